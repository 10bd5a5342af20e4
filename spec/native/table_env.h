/*
 * table_env.h -- what the shims of merge and table share: an account, a disk that can fail or crash, a clock, an index
 * that is only numbers.
 * floor: tests     uses: table     used by: merge_shims.c table_shims.c table_threads.c
 */
#ifndef TSE_TABLE_ENV_H
#define TSE_TABLE_ENV_H

#include "base/io_crash.h"
#include "base/io_fault.h"
#include "table/table.h"

struct tsid_map {
	struct tsid *tsids;
	size_t count;
};

struct tt_table_env {
	struct mem mem;
	struct io *disk; /* real or crashing */
	struct io *io;   /* the disk behind injected failures */
	struct clock clock;
	struct log log;
	struct tsid_map map;
	struct u64set deleted;
	_Atomic uint64_t index_last, index_durable, index_requests, wakes, deleted_held;
	char root[512];
	struct table *table;
};

/* Columns that the caller owns: rows of parts in the order they are read. */
struct tt_part_rows {
	size_t count, cap;
	uint64_t *metric_id;
	int64_t *timestamp_ms;
	uint64_t *bits;
	size_t blocks;
};

const struct tsid *tt_table_tsid_get(const struct tsid_map *map, uint32_t series);
/* Appends the rows of a part with metric ids in wanted (NULL: all) and times in [min, max]. */
int tt_table_read_part(struct tt_table_env *env, struct part *part, bool strict, const struct u64set *wanted,
    int64_t min_ms, int64_t max_ms, struct tt_part_rows *rows);

#endif
