/*
 * index_sort.h -- sorting of numbered things by 64-bit keys and by strings, for sealing.
 * floor: index     uses: mem.h     used by: index_seal, index_search
 *
 * Strings are sorted by class first, then by bytes: within a class the common prefix is skipped and the next eight bytes
 * become a number, so that a radix sort does nearly all of the work and memcmp is left for ties.
 *
 * Errors     none: the caller brings the room.
 * Threads    pure functions.
 */
#ifndef TSE_INDEX_SORT_H
#define TSE_INDEX_SORT_H

#include "base/base.h"

struct sort_item {
	uint64_t key;
	uint32_t index; /* of the thing */
	uint32_t aux;   /* the caller's; the class for sort_strings */
};

/* By key, stable. room: n items. */
void sort_items(struct sort_item *items, struct sort_item *room, size_t n);
/* By aux, then by strings[index]; strings must differ within a class where the order of equal ones matters. Keys are overwritten. */
void sort_strings(struct sort_item *items, struct sort_item *room, size_t n, const struct bytes *strings);

#endif
