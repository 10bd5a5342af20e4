/*
 * table_shared.h -- what the partitions of one table have in common: environment, resolved options, counters, disk space.
 * floor: table     uses: table.h     used by: every file of table/
 *
 * Invariants
 *  (1) options are complete: no field that says "0: chosen" is 0.
 *  (2) reserved_bytes is what the running jobs may still write; free space for planning is what the disk has less this.
 * Threads    any; counters are atomic, the rest is behind `lock`, the innermost lock of the table.
 */
#ifndef TSE_TABLE_SHARED_H
#define TSE_TABLE_SHARED_H

#include "base/thread.h"
#include "table/table.h"
#include "table/trash.h"

enum {
	FREE_SPACE_CACHE_MS = 2000, /* part format 14.4 */
	SPACE_RECHECK_MS = 1000,    /* how often a full disk is looked at again while rows arrive */
	SPARE_BATCHES_MAX = 8
};

enum tree { TREE_SMALL = 0, TREE_BIG = 1 };

/* Monotonic counters behind table_stats. */
struct table_counters {
	_Atomic uint64_t rows_past, rows_future; /* rows added are counted in the shards */
	_Atomic uint64_t merges_mem, merges_small, merges_big, rows_merged_small, rows_merged_big, rows_deleted,
	    rows_deduplicated;
	_Atomic uint64_t assisted_merges, active_merges, bytes_written, flushes, parts_damaged, partitions_dropped,
	    parts_dropped;
	_Atomic uint64_t partitions_failed; /* that became read-only */
};

struct row_batch;

struct table_shared {
	struct table_env env;
	struct table_options options;
	char *tree_path[2]; /* <data>/small, <data>/big */
	struct table_counters counters;
	_Atomic uint32_t part_ids; /* last small integer given to a part */
	_Atomic uint64_t job_ids;
	_Atomic uint64_t epoch;             /* rows added now belong to it; a flush request ends it */
	_Atomic uint64_t flush_wanted;      /* rows of this epoch and before are due at once */
	_Atomic uint64_t memory_idle_bytes; /* in-memory parts that no job has */
	_Atomic uint64_t reserved_bytes;
	_Atomic uint64_t file_bytes_per_1024_rows; /* as recent merges wrote them */
	_Atomic bool no_space;
	_Atomic int64_t space_checked_tick_ms; /* INT64_MIN: look now */
	struct lock lock;
	uint64_t free_bytes[2];
	int64_t free_read_tick_ms[2];
	struct row_batch *spares[SPARE_BATCHES_MAX]; /* full-sized batches for reuse: fresh memory costs page faults */
	size_t spares_count;
	struct buf damaged_names; /* one per line */
	struct trash trash;
};

/* What a part counts in plans: bytes on disk, or what they will probably be. */
uint64_t table_shared_plan_bytes(const struct table_shared *shared, const struct part *part);
/*
 * A merge wrote so much: the next estimates follow it. Were they too large, memory parts would look as large as files made of
 * many of them, and the policy would rewrite these over and over (measured on well compressed rows: 98 -> 56 ns per row).
 */
void table_shared_learn_size(struct table_shared *shared, uint64_t rows, uint64_t bytes);

NODISCARD int table_shared_init(struct table_shared *shared, const struct table_env *env,
    const struct table_options *options);
void table_shared_free(struct table_shared *shared);

/* Free bytes of a tree's file system, at most FREE_SPACE_CACHE_MS old, less what running jobs may write and min_free_disk. */
NODISCARD int table_shared_space(struct table_shared *shared, enum tree tree, uint64_t *bytes);
/* While rows arrive and before jobs: looks at the disk at most once in SPACE_RECHECK_MS; sets and ends no_space. */
void table_shared_check_space(struct table_shared *shared);
/* A write met ENOSPC: no rows until a later look finds space. */
void table_shared_space_ran_out(struct table_shared *shared);
void table_shared_report_damaged(struct table_shared *shared, const char *month, const char *name, const char *why);
void table_shared_wake(const struct table_shared *shared);
/* a + b without overflow, for deadlines. */
int64_t tick_add(int64_t tick_ms, int64_t add_ms);

#endif
