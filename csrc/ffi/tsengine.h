/*
 * tsengine.h -- the public interface of the core, and the one source of the Lua module's ffi.cdef.
 * floor: ffi     uses: nothing     used by: lua/tsengine/ffi.lua (generated from this file at build), programs in C
 *
 * The text between the lines "cdef begin" and "cdef end" is plain C declarations without preprocessor, given to ffi.cdef as
 * it is; a spec compares sizes and offsets with the library (tse_abi_layout).
 *
 * Conventions
 *  - Functions that can fail return 0 or one of TSE_...; tse_error_message() then tells what was wrong, where, and what to do.
 *    Out-parameters are untouched on failure.
 *  - Timestamps are milliseconds since 1970 UTC. Texts are bytes with a length; results are also terminated.
 *  - tse_db and tse_series calls are safe from any thread; a writer, a select or a list belongs to one thread.
 *  - Calls on a database opened by a parent process return TSE_FORKED; close then only lets the handle go: files and locks are
 *    the parent's, and locks of its threads may be held for ever in the copy, so its memory goes when the child ends.
 *  - Objects are freed by their own close/free; those of a database that is closed meanwhile stay valid to free and return TSE_NOTFOUND "closed".
 */
#ifndef TSENGINE_H
#define TSENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* cdef begin */
enum tse_code {
	TSE_OK = 0,
	TSE_LOCKED = 1,
	TSE_LAYOUT = 2,
	TSE_CORRUPT = 3,
	TSE_NOSPACE = 4,
	TSE_IO = 5,
	TSE_MEMORY = 6,
	TSE_READONLY = 7,
	TSE_FORKED = 8,
	TSE_LIMIT = 9,
	TSE_TIMEOUT = 10,
	TSE_RANGE = 11,
	TSE_METRIC = 12,
	TSE_MATCH = 13,
	TSE_FORMAT = 14,
	TSE_POLICY = 15,
	TSE_NOTFOUND = 16,
	TSE_BUG = 17
};

struct tse_db;     /* an open storage directory */
struct tse_clock;  /* a manual clock */
struct tse_series; /* a handle for fast appends */
struct tse_writer; /* a stream of text being ingested */
struct tse_select; /* a running query */

/* Options of tse_open. Fill with tse_options_default first; then every field has its documented default. */
struct tse_options {
	const char *path;             /* the storage directory; made when missing unless read_only */
	int32_t layout;               /* 0 single, 1 cluster, -1: as found, single when new */
	int32_t read_only;            /* 1: shared lock, nothing on disk changes */
	int64_t retention_ms;         /* 0: for ever */
	int64_t future_limit_ms;      /* 172800000 */
	int64_t dedup_interval_ms;    /* 0: off */
	int32_t dedup_keep;           /* 0 last, 1 first */
	int32_t threads;              /* -1: one per CPU; 0: only tse_step works */
	int64_t visible_ms;           /* 1000: rows become a part */
	int64_t durable_ms;           /* 5000: rows are on disk */
	uint32_t shards;              /* 0: (CPUs + 7) / 8 */
	uint32_t shard_rows;          /* 0: chosen by the engine */
	uint32_t merge_fan;           /* 15 */
	uint32_t merge_workers;       /* 0: (CPUs + 1) / 2 of each kind */
	uint64_t memory_limit_bytes;  /* 0: a quarter of the machine's or cgroup's memory */
	uint64_t min_free_disk_bytes; /* 100000000 */
	uint32_t account;             /* tenant of calls that name none; single layout: 0 */
	uint32_t project;
	struct tse_clock *clock; /* NULL: the machine's; else kept alive by the database */
	int32_t log_target;      /* 0 nobody, 1 stderr, 2 kept for tse_log_take */
	uint32_t labels_max;     /* 30 per series */
	uint32_t reserved;
};

/* Which series, which time, how many. */
struct tse_query {
	const char *const *matches; /* selectors, any of them; NULL with count 0: all series */
	const size_t *match_lengths;
	size_t matches_count;
	int64_t from_ms; /* both inclusive; INT64_MIN and INT64_MAX: no bound */
	int64_t to_ms;
	uint64_t limit; /* series or names; 0: none */
	uint32_t account;
	uint32_t project;
};

/* Options of a writer; zeroed = victoria-metrics' defaults. Texts are copied. */
struct tse_write_options {
	int32_t format;      /* 0 prometheus, 1 influx */
	int32_t compression; /* 0 plain, 1 told by the first bytes (plain, gzip, zstd) */
	uint32_t account;
	uint32_t project;
	int64_t default_timestamp_ms; /* prometheus: lines without one; 0: now */
	const char *influx_separator; /* NULL: "_" ; "" : none */
	int32_t influx_skip_single_field;
	int32_t influx_skip_measurement;
	int64_t influx_precision_ns;     /* 1, 1000, 1000000, 1000000000, ...; 0: told by size */
	const char *influx_db;           /* label db; NULL: none */
	const char *const *extra_labels; /* name, value, name, value, ... */
	size_t extra_labels_count;       /* pairs */
};

struct tse_write_report {
	uint64_t accepted;     /* rows stored */
	uint64_t rejected;     /* bad lines */
	uint64_t ignored_past; /* rows before the retention */
	uint64_t ignored_future;
	uint64_t ignored_nan;
	uint64_t ignored_limit; /* rows of series that a limit refused */
	uint64_t lines;
	uint64_t bytes;                                 /* consumed, after decompression */
	uint64_t errors_count;                          /* kept: at most 100 */
	uint64_t labels_dropped, names_cut, values_cut; /* new series that a label limit changed, by cause */
};

/* One series of a select. All pointers hold until the next tse_select_next. */
struct tse_columns {
	const char *metric; /* canonical text, terminated */
	size_t metric_bytes;
	const int64_t *timestamps; /* ascending */
	const double *values;      /* no NaN but the stale marker */
	uint64_t count;
	const char *const *labels; /* name, value, ... with "__name__" first when there is a name; terminated */
	const size_t *label_bytes;
	size_t labels_count; /* pairs */
};

/* A list of texts: text i is data[offsets[i] .. offsets[i+1]-1), with a zero behind it. */
struct tse_list {
	const char *data;
	const uint64_t *offsets;
	size_t count;
	void *owner;
};

struct tse_part_info {
	char name[128];    /* directory; "" in memory */
	char partition[8]; /* "2026_11" */
	char policy[32];
	uint64_t rows, blocks, bytes;
	int64_t min_ms, max_ms, created_ms;
	uint32_t id;
	int32_t tier; /* 0 mem, 1 small, 2 big */
	uint32_t generation, fan_in;
	int32_t busy, verified, damaged;
	uint32_t reserved;
};

struct tse_partition_info {
	char name[8];
	int64_t min_ms, max_ms;
	uint64_t parts, rows, bytes, raw_rows;
	int32_t read_only;
	uint32_t reserved;
};

/* Everything counts from open unless it says "now". */
struct tse_stats {
	uint64_t rows_added, rows_ignored_past, rows_ignored_future, rows_ignored_nan, lines_rejected;
	uint64_t series_created, series_cached_now, series_deleted_now;
	uint64_t raw_rows_now;
	uint64_t parts_mem_now, parts_small_now, parts_big_now;
	uint64_t rows_mem_now, rows_small_now, rows_big_now;
	uint64_t blocks_mem_now, blocks_small_now, blocks_big_now;
	uint64_t bytes_mem_now, bytes_small_now, bytes_big_now;
	uint64_t merges_mem, merges_small, merges_big, active_merges_now, assisted_merges;
	uint64_t rows_merged_small, rows_merged_big, rows_deleted, rows_deduplicated;
	uint64_t data_bytes_written, flushes;
	uint64_t partitions_now, partitions_read_only_now, partitions_dropped, parts_dropped, parts_damaged_now;
	uint64_t index_items_mem_now, index_items_file_now, index_parts_mem_now, index_parts_file_now, index_blocks_now;
	uint64_t index_bytes_now, index_bytes_written, index_merges, index_rotations, dates_registered, missing_tsids,
	    missing_names;
	uint64_t memory_used_now, memory_peak, memory_limit, live_allocations_now;
	uint64_t open_files_now, fsyncs, bytes_read, bytes_written;
	uint64_t free_disk_now, queries, rows_selected, log_lost;
	uint64_t labels_dropped, label_names_cut, label_values_cut;
	int32_t read_only, no_space, threads, layout;
};

struct tse_log_entry {
	int32_t level; /* 0 info, 1 warning, 2 error */
	uint32_t reserved;
	int64_t at_ms;
	char text[1024];
};

/* What happened in the background: the end of a ticket, a part that was set aside, a partition that became read-only. */
struct tse_event {
	char kind[16]; /* "done" "failed" "damaged" "read_only" "lost" */
	char partition[8];
	int64_t at_ms;
	uint64_t ticket; /* of wait = false calls; 0: none */
	uint64_t count;  /* merges done, rows, ... */
	int32_t code;    /* 0 or what failed */
	uint32_t reserved;
	char reason[256];
};

uint32_t tse_abi_version(void);
/* "struct.field offset size" lines of every public struct: compared with the cdef by a spec. */
const char *tse_abi_layout(void);
const char *tse_version(void);
const char *tse_error_message(void);  /* of the last failed call on this thread, without the code word */
const char *tse_error_word(int code); /* "LOCKED", ... */

struct tse_clock *tse_clock_manual(int64_t now_ms);
int64_t tse_clock_now(const struct tse_clock *clock);
void tse_clock_set(struct tse_clock *clock, int64_t now_ms);
void tse_clock_free(struct tse_clock *clock); /* the databases that use it keep it alive */

void tse_options_default(struct tse_options *options);
int tse_open(const struct tse_options *options, struct tse_db **out);
/* Makes everything accepted durable, stops all threads, frees. The handle is gone also when an error is returned. */
int tse_close(struct tse_db *db);
/* As tse_close without flushing: for tests of recovery, and for a child process. */
void tse_abandon(struct tse_db *db);
int64_t tse_now_ms(const struct tse_db *db);
int tse_layout(const struct tse_db *db);

/* metric: Prometheus text. TSE_RANGE outside the window, TSE_METRIC, TSE_READONLY, TSE_NOSPACE, TSE_MEMORY. NaN other than the stale marker is dropped and counted. */
int tse_add(struct tse_db *db, uint32_t account, uint32_t project, const char *metric, size_t metric_bytes,
    int64_t timestamp_ms, double value);
int tse_series_open(struct tse_db *db, uint32_t account, uint32_t project, const char *metric, size_t metric_bytes,
    struct tse_series **out);
int tse_series_add(struct tse_series *series, int64_t timestamp_ms, double value);
int tse_series_add_columns(struct tse_series *series, const int64_t *timestamps_ms, const double *values, size_t n,
    uint64_t *accepted);
void tse_series_free(struct tse_series *series);

int tse_writer_open(struct tse_db *db, const struct tse_write_options *options, struct tse_writer **out);
/* Takes all n bytes (an unfinished last line is kept for the next call); last: nothing follows. */
int tse_writer_write(struct tse_writer *writer, const char *data, size_t n, int last);
void tse_writer_report(const struct tse_writer *writer, struct tse_write_report *out);
/* Error i < errors_count: its line (1-based) and terminated text. */
const char *tse_writer_error(const struct tse_writer *writer, uint64_t i, uint64_t *line);
void tse_writer_free(struct tse_writer *writer);

int tse_select_open(struct tse_db *db, const struct tse_query *query, struct tse_select **out);
/* *found 0: no more series. */
int tse_select_next(struct tse_select *select, struct tse_columns *out, int *found);
/* Names of damaged parts whose rows are missing in the answer, one per line; "" when complete. */
const char *tse_select_partial(struct tse_select *select);
void tse_select_free(struct tse_select *select);

int tse_series_names(struct tse_db *db, const struct tse_query *query, struct tse_list *out);
int tse_label_names(struct tse_db *db, const struct tse_query *query, struct tse_list *out);
int tse_label_values(struct tse_db *db, const char *label, size_t label_bytes, const struct tse_query *query,
    struct tse_list *out);
void tse_list_free(struct tse_list *list);
/* Whole series; *series: how many were hidden. */
int tse_delete_series(struct tse_db *db, const struct tse_query *query, uint64_t *series);

/* wait 0: returns at once with a ticket; an event with it ends the work. wait 1: done when it returns. */
int tse_flush(struct tse_db *db, int wait, uint64_t *ticket);
/* partition NULL: all. *merges: how many were done (wait 1). */
int tse_force_merge(struct tse_db *db, const char *partition, int wait, uint64_t *ticket, uint64_t *merges);
/* name NULL: made from the time. name_out: the name, path_out: absolute; both lists of one text. */
int tse_snapshot_create(struct tse_db *db, const char *name, struct tse_list *name_and_path);
int tse_snapshot_start(struct tse_db *db, const char *name, uint64_t *ticket, struct tse_list *name_and_path);
int tse_snapshots(struct tse_db *db, struct tse_list *out);
int tse_snapshot_delete(struct tse_db *db, const char *name);

/* Fresh arrays, to be freed with tse_free. partition NULL: all. */
int tse_parts(struct tse_db *db, const char *partition, struct tse_part_info **out, size_t *count);
int tse_partitions(struct tse_db *db, struct tse_partition_info **out, size_t *count);
/* Names of damaged parts, set aside at open or found since. */
int tse_damaged(struct tse_db *db, struct tse_list *out);
void tse_stats(struct tse_db *db, struct tse_stats *out);
void tse_free(void *p);

/* Runs units of due work until none is due or budget_us is spent (0: one unit). *did: units done; *next_ms: ms until the next is due, -1: nothing will be. */
int tse_step(struct tse_db *db, uint64_t budget_us, uint64_t *did, int64_t *next_ms);
int tse_log_take(struct tse_db *db, struct tse_log_entry *out); /* 1: one was taken, 0: none */
int tse_event_take(struct tse_db *db, struct tse_event *out);   /* 1: one was taken, 0: none */
int tse_event_fd(struct tse_db *db);                            /* readable while events wait; -1: not available */
/* cdef end */

#endif
