/*
 * columns.h -- rows of one series from many blocks -> two sorted columns.
 * floor: storage     uses: part/block.h     used by: select
 *
 *   blocks, each ascending --append--> [run][run][run]   runs: stretches that ascend; a block that continues one joins it
 *                          --sort----> one run           one run already (the common case): nothing to do
 *
 * Sorting is stable: of equal timestamps those appended first come first; all are kept.
 *
 * Errors     ERR_MEMORY; what block_read returns.
 * Threads    one at a time.
 */
#ifndef TSE_COLUMNS_H
#define TSE_COLUMNS_H

#include "part/block.h"

struct columns {
	struct mem *mem;
	int64_t *timestamps_ms;
	double *values;
	size_t count, room;
	size_t *run_starts;
	size_t runs_count, runs_room;
	int64_t *other_timestamps_ms; /* the other side of a merge; made when first needed */
	double *other_values;
	size_t other_room;
};

void columns_init(struct columns *columns, struct mem *mem);
void columns_free(struct columns *columns);
void columns_reset(struct columns *columns);
/* The rows of the block within [min_ms, max_ms]. */
NODISCARD int columns_append(struct columns *columns, struct block *block, struct int64s_scratch *scratch,
    int64_t min_ms, int64_t max_ms);
NODISCARD int columns_sort(struct columns *columns);
/* After columns_sort. */
void columns_dedup(struct columns *columns, int64_t interval_ms, enum dedup_keep keep);

/* To take back what was appended since. */
struct columns_mark {
	size_t count, runs_count;
};
struct columns_mark columns_mark(const struct columns *columns);
void columns_back_to(struct columns *columns, struct columns_mark mark);

#endif
