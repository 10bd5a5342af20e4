/*
 * name_filter.h -- "this name is certainly not on disk": a growing Bloom filter over hashes of stored names.
 * floor: index     uses: mem.h     used by: index
 *
 * Creating a million series must not cost a million lookups that find nothing. The filter is a chain of blocked Bloom
 * filters, each four times as large as the one before; a block is one cache line, so a probe is one miss per link.
 * 16 bits and 6 probes a name: about 2 in 1000 names that are new are looked up on disk all the same.
 *
 * Errors     ERR_MEMORY from name_filter_add; the filter must then be forgotten (name_filter_free).
 * Threads    one at a time.
 */
#ifndef TSE_NAME_FILTER_H
#define TSE_NAME_FILTER_H

#include "base/err.h"
#include "base/mem.h"

enum { NAME_FILTER_LINKS_MAX = 12 }; /* 64 Ki * 4^11 names: more than 10^11 */

struct name_filter {
	struct mem *mem;
	struct name_filter_link {
		uint64_t (*blocks)[8];
		size_t block_mask;
		size_t names, names_max;
	} links[NAME_FILTER_LINKS_MAX];
	unsigned links_count;
};

void name_filter_init(struct name_filter *filter, struct mem *mem);
void name_filter_free(struct name_filter *filter);
NODISCARD int name_filter_add(struct name_filter *filter, uint64_t hash);
/* false: never added. */
bool name_filter_may_have(const struct name_filter *filter, uint64_t hash);

#endif
