/*
 * table.h -- months -> partitions -> parts: rows in, background work, moments for queries.
 * floor: table     uses: merge part base     used by: storage
 *
 *   table_add --> partition of the row's month --> raw-row shard --(full: by the writer; else after visible_ms)--> in-memory part
 *        --(before durable_ms)--> small part on disk --merges--> larger small parts --above a size--> big parts
 *
 * All background work is table_step(): one bounded unit. Tasks of each partition: raw rows to a part, in-memory parts to disk,
 * merges of small and of big parts, stale parts (7 min), and of the table: partitions out of retention (1 min), final dedup (1 h).
 *
 * Invariants
 *  (1) A row whose table_add returned is in exactly one place a view sees: a shard, rows being converted, or a part.
 *  (2) Parts appear and vanish only in publish.c, under the partition's lock, after the disk agrees (its drawing).
 *  (3) A file part made from raw rows is published only when the index says that its series are durable.
 *  (4) EIO or a failed fsync makes the partition read-only until reopened; rows in memory go on answering. ENOSPC
 *      discards the output, keeps the sources, refuses new rows, and ends by itself when space is back.
 * Errors     ERR_RANGE is never returned by table_add for single rows: they are counted. ERR_READONLY, ERR_NOSPACE, ERR_MEMORY, ERR_IO, ERR_CORRUPTED.
 * Threads    any.
 */
#ifndef TSE_TABLE_H
#define TSE_TABLE_H

#include "base/clock.h"
#include "base/log.h"
#include "base/u64set.h"
#include "part/mem_part.h"
#include "part/part.h"
#include "part/part_writer.h"

struct table;

/* What the table must know about the index without knowing the index. */
struct table_hooks {
	void *context;
	uint64_t (*index_last_seq)(void *context);    /* registrations so far */
	uint64_t (*index_durable_seq)(void *context); /* those that survive a crash */
	void (*index_flush_request)(void *context);   /* make them durable soon */
	int (*deleted_acquire)(void *context, const struct u64set **out);
	void (*deleted_release)(void *context, const struct u64set *set);
	void (*wake)(void *context); /* work became due earlier than table_next_tick_ms said */
};

struct table_options {
	enum layout layout;
	unsigned shards;         /* raw-row shards per partition; 0: (CPUs + 7) / 8 as the peer */
	uint32_t shard_rows;     /* rows that make a shard full; 0: chosen so that one conversion stays under 2 ms */
	int64_t visible_ms;      /* raw rows become a part after this */
	int64_t durable_ms;      /* rows are on disk this long after their add, plus one write */
	int64_t retention_ms;    /* 0: for ever */
	int64_t future_limit_ms; /* rows later than now + this are refused */
	int64_t dedup_interval_ms;
	enum dedup_keep dedup_keep;
	unsigned merge_fan;            /* 15 */
	unsigned merge_workers;        /* most merges of one kind at once; 0: (CPUs + 1) / 2 */
	uint64_t max_small_part_bytes; /* above: big; 0: from memory as part format 14.3 */
	uint64_t min_free_disk_bytes;
	uint64_t
	    mem_parts_bytes_max; /* in-memory parts above this are flushed early; 0: an eighth of the memory limit */
	bool read_only;
};

struct table_env {
	struct io *io;
	struct mem *mem;
	const struct clock *clock;
	struct log *log;
	const char *data_path; /* <root>/data */
	const char *side_path; /* <root>/tsengine: trash/ and damaged/ are made in it when needed */
	const struct tsid_map *tsids;
	tsid_map_get_fn *tsid_get;
	struct table_hooks hooks;
};

NODISCARD int table_open(const struct table_env *env, const struct table_options *options, struct table **out);
/* Frees without flushing (flush first). NULL is fine. */
void table_close(struct table *table);

/* -- Rows in ---------------------------------------------------------------------------------------------------------- */

struct add_counts {
	uint64_t accepted, past, future;
};

/* Adds to *counts. Rows outside the window are counted, the rest is accepted; on error none after the failing month. rows may be reordered. */
NODISCARD int table_add(struct table *table, struct row *rows, size_t n, struct add_counts *counts);
/* One row without batch overhead; *in_range false when outside the window. */
NODISCARD int table_add_one(struct table *table, const struct row *row, bool *in_range);
/* Accepted window now: [min, max]. */
void table_window(const struct table *table, int64_t *min_ms, int64_t *max_ms);

/* -- Background work ------------------------------------------------------------------------------------------------------ */

int64_t table_next_tick_ms(struct table *table); /* on clock_tick_ms; INT64_MAX: nothing */
NODISCARD int table_step(struct table *table, const struct budget *budget, bool *did);
/* Everything accepted before becomes due at once; *ticket is later than all rows so far. */
void table_flush_request(struct table *table, uint64_t *ticket);
/* *done: all rows of the ticket are durable, or cannot be (then the error of the partition that failed). */
NODISCARD int table_flush_check(struct table *table, uint64_t ticket, bool *done);
/* Force merge of one partition ("2026_11") or all (NULL): ERR_NOTFOUND; *ticket for the check; *merges counts them in the check. */
NODISCARD int table_force_merge_request(struct table *table, const char *partition, uint64_t *ticket);
NODISCARD int table_force_merge_check(struct table *table, uint64_t ticket, bool *done, uint64_t *merges);

/* -- Moments ----------------------------------------------------------------------------------------------------------------- */

/* A moment: counted parts, and the raw rows of the wanted series as private in-memory parts, of all partitions meeting [min, max]. */
struct table_view {
	struct part **parts;
	size_t count;
	struct mem *mem;
	uint64_t partial; /* damaged or unreadable parts left out */
};
/* wanted: sorted metric ids of the series asked for (raw rows of others are not copied); NULL: all. */
NODISCARD int table_view_open(struct table *table, int64_t min_ms, int64_t max_ms, const struct u64set *wanted,
    struct table_view *out);
void table_view_close(struct table_view *view);
/* A cursor met ERR_CORRUPTED in this part: excluded from merges, reported, set aside at the next open. */
void table_part_damaged(struct table *table, struct part *part);

/* -- Looking in ---------------------------------------------------------------------------------------------------------------- */

struct table_part_info {
	uint32_t id;
	char name[PART_NAME_MAX];
	char partition[8];
	enum part_tier tier;
	uint64_t rows, blocks, bytes;
	int64_t min_ms, max_ms, created_ms;
	uint32_t generation, fan_in;
	bool busy, verified, damaged;
	char policy[PART_POLICY_MAX];
};
/* Fills a fresh array (mem_free it); partition NULL: all. Sorted by partition, tier, name. */
NODISCARD int table_parts(struct table *table, const char *partition, struct table_part_info **out, size_t *count);

struct table_partition_info {
	char name[8];
	int64_t min_ms, max_ms;
	uint64_t parts, rows, bytes, raw_rows;
	bool read_only;
};
NODISCARD int table_partitions(struct table *table, struct table_partition_info **out, size_t *count);

struct table_stats {
	uint64_t rows_added, rows_past, rows_future, raw_rows;
	uint64_t parts_mem, parts_small, parts_big, rows_mem, rows_small, rows_big, blocks_mem, blocks_small,
	    blocks_big;
	uint64_t bytes_mem, bytes_small, bytes_big;
	uint64_t merges_mem, merges_small, merges_big, rows_merged_small, rows_merged_big, rows_deleted,
	    rows_deduplicated;
	uint64_t assisted_merges, active_merges, bytes_written, flushes, parts_damaged, partitions,
	    partitions_read_only, partitions_dropped, parts_dropped;
	bool no_space;
};
void table_stats(struct table *table, struct table_stats *out);
/* Partitions that became read-only and parts found damaged since open: cheap to ask after every unit. */
void table_trouble(const struct table *table, uint64_t *partitions_failed, uint64_t *parts_damaged);
/* A partition that became read-only and was not told yet, and why; false: there is none. */
bool table_failed_next(struct table *table, char name[8], char *reason, size_t reason_bytes);
/* Names of damaged parts set aside at open or found since, one per line. */
NODISCARD int table_damaged_names(struct table *table, struct buf *out);

/* Hard links of every partition into small_path/<month>/<part>/ and big_path/... (part format 16.3); rows must be flushed before. Fsynced. */
NODISCARD int table_snapshot(struct table *table, const char *small_path, const char *big_path);

#endif
