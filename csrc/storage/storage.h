/*
 * storage.h -- an open storage directory: rows in, answers out, background work; what ffi/ exports.
 * floor: storage     uses: table index ingest base     used by: ffi, later script and server
 *
 *   storage_add / series / writer --series_cache--> dense numbers --table--> parts
 *                      \--(new key)--> ingest labels --> index (registered before the row is accepted)
 *   storage_select_*  <-- index (which series) + table (one moment of parts and raw rows)
 *   storage_step      one bounded unit of index, table or storage work; a pool of threads calls it, or the host
 *
 * Invariants
 *  (1) A row is accepted only after its series and day are registered in the index.
 *  (2) A query sees every row whose add returned before it began, and one moment: nothing later changes its answer.
 *  (3) Objects made from a storage (series, writer, select) hold a counted reference to its shell; after close they return
 *      ERR_NOTFOUND and can be freed at any time.
 *  (4) Nothing works in a process that did not open the directory: ERR_FORKED.
 * Errors     every code of err.h; messages name path and remedy.
 * Threads    storage and series: any. A writer or a select: one thread at a time.
 */
#ifndef TSE_STORAGE_H
#define TSE_STORAGE_H

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "table/table.h"

struct storage;
struct storage_series;
struct storage_writer;
struct storage_select;

struct storage_options {
	const char *path;
	int layout; /* 0 single, 1 cluster, -1 as found, single when new */
	bool read_only;
	int64_t retention_ms; /* 0: for ever */
	int64_t future_limit_ms;
	int64_t dedup_interval_ms;
	enum dedup_keep dedup_keep;
	int threads; /* -1: one per CPU; 0: only storage_step works */
	int64_t visible_ms;
	int64_t durable_ms;
	unsigned shards;
	uint32_t shard_rows;
	unsigned merge_fan;
	unsigned merge_workers;
	uint64_t memory_limit_bytes; /* 0: a quarter of machine or cgroup */
	uint64_t min_free_disk_bytes;
	struct tenant tenant;
	enum log_target log_target;
	uint32_t labels_max;
};

/* What a test or a host puts in the place of the machine. */
struct storage_env {
	struct io *io;                  /* NULL: the real disk */
	const struct clock *clock;      /* NULL: the machine's */
	void (*release)(void *context); /* called once when nobody needs io and clock any more; may be NULL */
	void *context;
};

void storage_options_default(struct storage_options *options);

/* On failure nothing is left open, and env->release was called if it is set. */
NODISCARD int storage_open(const struct storage_env *env, const struct storage_options *options, struct storage **out);
/* Makes everything accepted durable, ends the threads, frees. The handle is gone whatever is returned. */
int storage_close(struct storage *storage);
/* As close without flushing. */
void storage_abandon(struct storage *storage);
int64_t storage_now_ms(const struct storage *storage);
enum layout storage_layout(const struct storage *storage);

/* -- Rows in ---------------------------------------------------------------------------------------------------------- */

NODISCARD int storage_add(struct storage *storage, struct tenant tenant, struct bytes metric, int64_t timestamp_ms,
    double value);
NODISCARD int storage_series_open(struct storage *storage, struct tenant tenant, struct bytes metric,
    struct storage_series **out);
NODISCARD int storage_series_add(struct storage_series *series, int64_t timestamp_ms, double value);
/* Rows outside the window and NaN are counted, not errors. *accepted also on failure. */
NODISCARD int storage_series_add_columns(struct storage_series *series, const int64_t *timestamps_ms,
    const double *values, size_t n, uint64_t *accepted);
void storage_series_free(struct storage_series *series);

struct storage_write_options {
	struct ingest_options ingest; /* texts are copied */
	bool unpack;                  /* gzip and zstd are told by the first bytes */
	struct tenant tenant;
};

struct storage_write_report {
	uint64_t accepted, rejected, past, future, nan, limit, lines, bytes;
	uint64_t labels_dropped, names_cut, values_cut;
	size_t errors_count;
};

NODISCARD int storage_writer_open(struct storage *storage, const struct storage_write_options *options,
    struct storage_writer **out);
NODISCARD int storage_writer_write(struct storage_writer *writer, struct bytes data, bool last);
void storage_writer_report(const struct storage_writer *writer, struct storage_write_report *out);
/* i < errors_count. */
const char *storage_writer_error(const struct storage_writer *writer, size_t i, uint64_t *line);
void storage_writer_free(struct storage_writer *writer);

/* -- Answers ------------------------------------------------------------------------------------------------------------ */

struct storage_query {
	const struct bytes *matches; /* any of them; count 0: all series */
	size_t matches_count;
	int64_t from_ms, to_ms; /* both inclusive */
	uint64_t limit;         /* 0: none */
	struct tenant tenant;
};

/* All pointers hold until the next storage_select_next, or until the select is freed. */
struct storage_columns {
	struct bytes metric; /* canonical, terminated */
	const int64_t *timestamps_ms;
	const double *values;
	uint64_t count;
	const char *const *labels; /* name, value, ... terminated */
	const size_t *label_bytes;
	size_t labels_count; /* pairs */
};

NODISCARD int storage_select_open(struct storage *storage, const struct storage_query *query,
    struct storage_select **out);
NODISCARD int storage_select_next(struct storage_select *select, struct storage_columns *out, bool *found);
/* Damaged parts whose rows are missing, one per line. */
const char *storage_select_partial(struct storage_select *select);
void storage_select_free(struct storage_select *select);

/* Texts for the caller: item i is data[offsets[i] .. offsets[i+1]-1), terminated. Freed with storage_texts_free. */
struct storage_texts {
	struct buf data;
	uint64_t *offsets; /* count + 1 */
	size_t count, room;
	struct mem *mem;
};

void storage_texts_init(struct storage_texts *texts, struct mem *mem);
NODISCARD int storage_texts_add(struct storage_texts *texts, struct bytes text);
void storage_texts_free(struct storage_texts *texts);

/* Sorted, distinct canonical names of the series that match. texts is initialised by the caller, with any account. */
NODISCARD int storage_series_names(struct storage *storage, const struct storage_query *query,
    struct storage_texts *texts);
NODISCARD int storage_label_names(struct storage *storage, const struct storage_query *query,
    struct storage_texts *texts);
NODISCARD int storage_label_values(struct storage *storage, struct bytes label, const struct storage_query *query,
    struct storage_texts *texts);
/* Hides whole series; *series: how many. The range of the query is not looked at. */
NODISCARD int storage_delete(struct storage *storage, const struct storage_query *query, uint64_t *series);

/* -- Work asked for -------------------------------------------------------------------------------------------------------- */

/* wait: returns when it is done; else at once, and an event with the ticket follows. */
NODISCARD int storage_flush(struct storage *storage, bool wait, uint64_t *ticket);
NODISCARD int storage_force_merge(struct storage *storage, const char *partition, bool wait, uint64_t *ticket,
    uint64_t *merges);

enum { SNAPSHOT_NAME_MAX = 64 };
/* name NULL: from the time. The texts get name and absolute path. */
NODISCARD int storage_snapshot(struct storage *storage, const char *name, bool wait, uint64_t *ticket,
    struct storage_texts *name_and_path);
NODISCARD int storage_snapshots(struct storage *storage, struct storage_texts *texts);
NODISCARD int storage_snapshot_delete(struct storage *storage, const char *name);

/* One unit when budget_us is 0, else units until none is due or the time is spent. *next_ms: until the next; -1: none will be. */
NODISCARD int storage_step(struct storage *storage, uint64_t budget_us, uint64_t *did, int64_t *next_ms);

/* -- Looking in -------------------------------------------------------------------------------------------------------------- */

struct storage_event {
	char kind[16];
	char partition[8];
	int64_t at_ms;
	uint64_t ticket;
	uint64_t count;
	int code;
	char reason[256];
};

/* Of everything since open, or of now. */
struct storage_stats {
	struct table_stats table;
	struct index_stats index;
	uint64_t rows_nan, lines_rejected, series_cached, index_rows_limit;
	uint64_t labels_dropped, names_cut, values_cut;
	uint64_t memory_used, memory_peak, memory_limit, live_allocations;
	uint64_t open_files, fsyncs, bytes_read, bytes_written, free_disk;
	uint64_t queries, rows_selected, log_lost;
	bool read_only, no_space;
	int threads;
	enum layout layout;
};

NODISCARD int storage_parts(struct storage *storage, const char *partition, struct table_part_info **out,
    size_t *count);
NODISCARD int storage_partitions(struct storage *storage, struct table_partition_info **out, size_t *count);
void storage_free(struct storage *storage, void *p); /* arrays of the two above */
NODISCARD int storage_damaged(struct storage *storage, struct storage_texts *texts);
NODISCARD int storage_stats(struct storage *storage, struct storage_stats *out);
bool storage_log_take(struct storage *storage, struct log_entry *out);
bool storage_event_take(struct storage *storage, struct storage_event *out);
int storage_event_fd(struct storage *storage);

#endif
