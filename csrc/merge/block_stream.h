/*
 * block_stream.h -- one source of a merge: its blocks in file order, whether they come from disk or from memory.
 * floor: merge     uses: part/part_search.h part/mem_part.h     used by: merge_heap, merge
 *
 *   file part      part_cursor (strict) -> block, BLOCK_ENCODED, payloads borrowed until the next advance
 *   memory part    the columns themselves -> timestamps_ms, values: no copy, at most BLOCK_ROWS_MAX rows at once
 *
 * Invariants
 *  (1) After block_stream_next with *found, the fields from tsid to rows describe the current block.
 *  (2) Blocks of a stream come in the order (tsid, min timestamp); the cursor of a file part refuses others.
 * Errors     ERR_CORRUPTED, ERR_IO, ERR_MEMORY from the cursor.
 * Ownership  borrows the part (the merge holds the reference) but a cursor takes its own.
 * Threads    one at a time.
 */
#ifndef TSE_BLOCK_STREAM_H
#define TSE_BLOCK_STREAM_H

#include "part/mem_part.h"
#include "part/part_search.h"

struct block_stream {
	struct part *part;
	struct part_cursor *cursor;   /* NULL for a part in memory */
	struct block block;           /* file parts: the current block */
	size_t series;                /* memory parts: the series of the next block */
	uint32_t next_row;            /* and its first row */
	const int64_t *timestamps_ms; /* memory parts: rows of the current block */
	const double *values;
	struct tsid tsid;
	int64_t min_timestamp_ms, max_timestamp_ms;
	uint32_t rows;
};

NODISCARD int block_stream_open(struct block_stream *stream, struct mem *mem, struct part *part);
/* Legal on a zeroed stream. */
void block_stream_close(struct block_stream *stream);
NODISCARD int block_stream_next(struct block_stream *stream, bool *found);

static inline bool
block_stream_in_memory(const struct block_stream *stream)
{
	return stream->cursor == NULL;
}

#endif
