/*
 * merge_join.h -- the pending block of a merge, and how the next block of its series is joined to it (part format 11.2, 11.3).
 * floor: merge     uses: block_stream.h merge_rows.h     used by: merge
 *
 *   take    pending = a copy of the stream's block, still encoded or raw
 *   add     pending = pending + the stream's block: both decoded to mantissas of one exponent; two raw ones stay doubles
 *   cut     the first BLOCK_ROWS_MAX rows leave as a block of their own, pending = the rest
 *
 * Invariants
 *  (1) pending.state is BLOCK_EMPTY or pending has rows.
 *  (2) No array of pending is shared with a stream: the stream may advance.
 * Errors     ERR_CORRUPTED (a payload that does not decode; join->at_fault says whose), ERR_MEMORY.
 * Threads    one at a time.
 */
#ifndef TSE_MERGE_JOIN_H
#define TSE_MERGE_JOIN_H

#include "merge/block_stream.h"
#include "merge/merge_rows.h"

struct merge_join {
	struct int64s_scratch *scratch;
	int64_t deadline_ms; /* leading rows before it are dropped by add */
	struct block pending;
	struct block result;       /* where add builds, and what cut gives away */
	struct block incoming;     /* a memory block that must become mantissas */
	struct part *pending_part; /* whose rows are in pending, when still encoded */
	struct part *at_fault;     /* after ERR_CORRUPTED */
	uint64_t rows_dropped;     /* by deadline, so far */
};

void merge_join_init(struct merge_join *join, struct mem *mem, struct int64s_scratch *scratch, int64_t deadline_ms);
void merge_join_free(struct merge_join *join);

/* Full: nothing more is joined to it unless it overlaps (11.2). */
bool merge_join_pending_full(const struct merge_join *join);
NODISCARD int merge_join_take(struct merge_join *join, struct block_stream *stream);
NODISCARD int merge_join_add(struct merge_join *join, struct block_stream *stream);
/* NULL when pending holds BLOCK_ROWS_MAX rows or less. *out is valid until the next call. */
NODISCARD int merge_join_cut(struct merge_join *join, struct block **out);

#endif
