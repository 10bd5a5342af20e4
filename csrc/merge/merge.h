/*
 * merge.h -- many parts -> one: a state machine that returns after about a millisecond of blocks.
 * floor: merge     uses: part     used by: table
 *
 *   sources --part_cursor--> heap by (tsid, min timestamp) --join, dedup, drop--> part_writer --> tmp/<suffix>/
 *
 * Exactly part format 11: pending block, joining, verbatim copies of blocks that meet no other, retention, deleted series,
 * cuts at 8192 rows. Sources in memory (BLOCK_RAW) are merged as doubles and encoded once. Dedup also runs on what is written.
 *
 * Errors     ERR_CORRUPTED names the damaged source part (merge_failed_source); ERR_IO, ERR_NOSPACE, ERR_MEMORY.
 *            After an error only merge_delete is legal; it removes the unfinished output.
 * Ownership  holds a reference to each source.
 * Threads    one thread at a time (it may wander between threads from step to step).
 */
#ifndef TSE_MERGE_H
#define TSE_MERGE_H

#include "base/clock.h"
#include "base/u64set.h"
#include "part/part_search.h"
#include "part/part_writer.h"

struct merge_options {
	struct io *io;
	struct mem *mem;
	const char *directory; /* tmp/<suffix>, made by the merge; NULL: the output is an in-memory part */
	struct part_writer_options writer;
	const struct u64set *deleted;  /* borrowed until merge_delete; NULL: none */
	int64_t retention_deadline_ms; /* rows before it may be dropped as part format 13 says; INT64_MIN: none */
};

struct merge_counts {
	uint64_t rows_read, rows_written, rows_deleted, rows_deduplicated, blocks_copied, blocks_joined, bytes_in,
	    bytes_out;
	uint64_t cpu_ns;
};

struct merge;

NODISCARD int merge_create(struct part *const *sources, size_t n, const struct merge_options *options,
    struct merge **out);
/* Works until the budget is spent, or does at most one fsync. *done: the output is complete and durable (for files). */
NODISCARD int merge_step(struct merge *merge, const struct budget *budget, bool *done);
/* After done: what was written (rows 0: nothing is left). */
void merge_header(const struct merge *merge, struct part_header *out);
/* After done, output in memory: gives the part away (refs 1); NULL when no rows are left. */
struct part *merge_take_part(struct merge *merge);
const struct merge_counts *merge_counts(const struct merge *merge);
/* The source at fault after ERR_CORRUPTED, or NULL. */
struct part *merge_failed_source(const struct merge *merge);
/* keep: leave the output directory (it was published). NULL is fine. */
void merge_delete(struct merge *merge, bool keep);

/* zstd level of index.bin and metaindex.bin for a file part made of these sources (part format 10.2). */
int merge_index_level(struct part *const *sources, size_t n);

#endif
