/*
 * item_table.h -- a set of sorted byte strings on disk: VictoriaMetrics' mergeset (index format 3 to 7).
 * floor: index     uses: base codec     used by: index
 *
 *   sorted runs --item_table_add_run()--> in-memory parts --flush--> file parts --merges--> larger file parts
 *                 searchable at once                       durable
 *
 * One table is one generation directory. All background work is item_table_step(): one bounded unit.
 *
 * Invariants
 *  (1) Nothing is ever removed from the set; merges only join tag rows (index format 7).
 *  (2) A view is a moment: later runs and merges do not change it. Parts it holds stay readable.
 *  (3) In-memory parts leave memory only after the file part that replaces them is published and durable.
 *  (4) After a failed write the table takes no more runs (ERR_READONLY, sticky) but goes on answering;
 *      ERR_NOSPACE is not sticky: the flush is tried again when item_table_retry() is called.
 * Errors     ERR_CORRUPTED names part and file. ERR_IO, ERR_NOSPACE, ERR_MEMORY, ERR_READONLY.
 * Threads    any; inner lock. Steps may run on several threads at once.
 */
#ifndef TSE_ITEM_TABLE_H
#define TSE_ITEM_TABLE_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

enum { ITEM_BYTES_MAX = 65536 };

struct item_table_env {
	struct io *io;
	struct mem *mem;
	const struct clock *clock;
	struct log *log;
	uint8_t
	    tag_row_prefix_bytes; /* 0 single, 8 cluster: tenant bytes behind the kind byte, for the joining of rows */
	int64_t durable_ms;       /* a run is on disk this long after it was added (ceiling) */
	uint64_t mem_bytes_max;   /* in-memory parts above this are flushed early */
	bool read_only;           /* changes nothing on disk; pending transactions are resolved in memory */
};

/* Items ascending (unsigned bytewise, duplicates allowed): item i is data[offsets[i] .. offsets[i+1]). */
struct item_run {
	const uint8_t *data;
	const uint32_t *offsets; /* count + 1 */
	size_t count;
};

struct item_table;
struct item_view;   /* a moment of one table: counted parts */
struct item_cursor; /* merged, ascending */

/* Creates the directory with flag file, tmp/, txn/ when missing (unless read_only). Runs transactions, empties tmp/, opens parts. */
NODISCARD int item_table_open(const struct item_table_env *env, const char *path, struct item_table **out);
/* Frees without flushing (flush first). NULL is fine. */
void item_table_close(struct item_table *table);
const char *item_table_path(const struct item_table *table);

/* Copies the run into an in-memory part, searchable when this returns. Sequence numbers count runs: *seq is this one's. */
NODISCARD int item_table_add_run(struct item_table *table, const struct item_run *run, uint64_t *seq);
/* Every run with a number <= this is durable. */
uint64_t item_table_durable_seq(struct item_table *table);
uint64_t item_table_last_seq(struct item_table *table);

/* Makes all in-memory parts due now. */
void item_table_flush_request(struct item_table *table);
/* When the next unit is due, on clock_tick_ms; INT64_MAX: nothing to do. */
int64_t item_table_next_tick_ms(struct item_table *table);
/* Does one bounded unit of what is due: in-memory merge, flush, file merge, fsync, publish. *did false: nothing was due or others do it. */
NODISCARD int item_table_step(struct item_table *table, const struct budget *budget, bool *did);
/* After the disk was full: try again. */
void item_table_retry(struct item_table *table);
/* Asks for a merge of all file parts into one; done when item_table_force_merging() is false. */
void item_table_force_merge(struct item_table *table);
bool item_table_force_merging(struct item_table *table);

NODISCARD int item_table_view(struct item_table *table, struct item_view **out);
void item_view_release(struct item_view *view);
/* A cursor over 1..n views together (both generations). Views must outlive it. */
NODISCARD int item_cursor_create(struct mem *mem, struct item_view *const *views, size_t n, struct item_cursor **out);
void item_cursor_delete(struct item_cursor *cursor);
/* Positions at the first item >= key. May go anywhere; forward short distances are cheap. */
NODISCARD int item_cursor_seek(struct item_cursor *cursor, struct bytes key);
/* The item at the position, then moves on; *found false at the end. The view is valid until the next call. Duplicates come as often as stored. */
NODISCARD int item_cursor_next(struct item_cursor *cursor, struct bytes *item, bool *found);
/* First item that starts with prefix, exact lookups: *found false when there is none. */
NODISCARD int item_cursor_first_with_prefix(struct item_cursor *cursor, struct bytes prefix, struct bytes *item,
    bool *found);

/* Hard links of all parts and the flag file into directory (which is made, parents exist); nothing in memory is flushed. Fsynced. */
NODISCARD int item_table_snapshot(struct item_table *table, const char *directory);

struct item_table_stats {
	uint64_t mem_parts, file_parts, mem_items, file_items, blocks, mem_bytes, file_bytes;
	uint64_t items_added, merges, items_merged, bytes_written, flushes;
	uint64_t damaged_parts; /* at open: the table is read-only then; met while reading: left out of merges */
	bool read_only, no_space;
};
void item_table_stats(struct item_table *table, struct item_table_stats *out);
/* Parts that were damaged at open, one per line, as "indexdb/<generation>/<part>". */
NODISCARD int item_table_damaged_names(struct item_table *table, struct buf *out);

#endif
