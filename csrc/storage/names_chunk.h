/*
 * names_chunk.h -- the names of a stretch of sorted tsids, and which of them are the same series.
 * floor: storage     uses: index/index.h     used by: select
 *
 *   tsids  | g j i m1 | g j i m2 | g j i m3 | h j i m4 | ...      sorted; g j i are computed from the name by whoever made it
 *            name A      name B     name A     name C
 *            first --same--------> A                             equal names have equal g j i: they stand in one stretch
 *
 * A chunk ends only where (g, j, i) changes, so equal names never stand in two chunks.
 *
 * Errors     ERR_MEMORY; what the index returns. An id without a name is skipped, as the peer does.
 * Threads    one at a time.
 */
#ifndef TSE_NAMES_CHUNK_H
#define TSE_NAMES_CHUNK_H

#include "index/index.h"

struct name_place {
	uint64_t metric_id;
	uint32_t at;         /* tsid: first + at */
};

struct name_slot {
	size_t offset;       /* in text */
	uint32_t bytes;
	bool known;
	bool repeated;       /* an earlier tsid has this name */
	size_t same;         /* the next tsid with this name, absolute; SIZE_MAX: none */
};

struct names_chunk {
	struct mem *mem;
	size_t first, count; /* tsids [first, first + count) */
	struct name_slot *slots;
	struct name_place *places; /* by metric id; later by name */
	size_t room;
	size_t visited;
	struct buf text;
};

void names_chunk_init(struct names_chunk *chunk, struct mem *mem);
void names_chunk_free(struct names_chunk *chunk);
/* Makes the chunk contain tsids->items[at]. */
NODISCARD int names_chunk_load(struct names_chunk *chunk, struct index *index, struct tenant tenant, const struct tsid_list *tsids, size_t at);
/* The stored name of tsid `at`; false: it has none, or an earlier one has the same. */
bool names_chunk_first(const struct names_chunk *chunk, size_t at, struct bytes *name);
/* The next tsid with the name of `at`, or SIZE_MAX. */
size_t names_chunk_same(const struct names_chunk *chunk, size_t at);

#endif
