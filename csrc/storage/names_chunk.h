/*
 * names_chunk.h -- the names of a stretch of sorted tsids, and which of them are the same series.
 * floor: storage     uses: index/index.h     used by: select
 *
 *   tsids  | g j i m1 | g j i m2 | g j x m3 | h j i m4 | ...      sorted by group, job, instance, metric id
 *            name A      name B     name A     name C
 *            first --same--------> A
 *
 * victoria-metrics gives one name several ids when its inserters race. Equal names have equal group ids; equal job ids if
 * they have a label, equal instance ids if they have two, else those are whatever a buffer held (index format 9). So a
 * chunk ends where the group changes; a group of more than CHUNK_SERIES_MAX is cut where the job changes, and when that
 * stretch is too long as well, where the instance changes. What this misses is a name with less than two labels that
 * has several ids in a group of more than CHUNK_SERIES_MAX series: it then comes once per id.
 *
 * Errors     ERR_MEMORY; what the index returns. An id without a name is skipped, as the peer does.
 * Threads    one at a time.
 */
#ifndef TSE_NAMES_CHUNK_H
#define TSE_NAMES_CHUNK_H

#include "index/index.h"

struct name_place {
	uint64_t metric_id;
	uint32_t at; /* tsid: first + at */
};

struct name_slot {
	uint64_t hash;
	size_t offset; /* in text */
	uint32_t bytes;
	bool known;
	bool repeated; /* an earlier tsid has this name */
	size_t same;   /* the next tsid with this name, absolute; SIZE_MAX: none */
};

struct names_chunk {
	struct mem *mem;
	size_t first, count; /* tsids [first, first + count) */
	struct name_slot *slots;
	struct name_place *places; /* by metric id */
	uint32_t *table;           /* name -> slot + 1, open addressing */
	size_t table_room;         /* a power of two */
	size_t room;
	size_t visited;
	struct buf text;
};

void names_chunk_init(struct names_chunk *chunk, struct mem *mem);
void names_chunk_free(struct names_chunk *chunk);
/* Makes the chunk contain tsids->items[at]. */
NODISCARD int names_chunk_load(struct names_chunk *chunk, struct index *index, struct tenant tenant,
    const struct tsid_list *tsids, size_t at);
/* The stored name of tsid `at`; false: it has none, or an earlier one has the same. */
bool names_chunk_first(const struct names_chunk *chunk, size_t at, struct bytes *name);
/* The next tsid with the name of `at`, or SIZE_MAX. */
size_t names_chunk_same(const struct names_chunk *chunk, size_t at);

#endif
