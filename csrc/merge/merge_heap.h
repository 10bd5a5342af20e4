/*
 * merge_heap.h -- which source has the next block: smallest by series, inside a series by first timestamp (part format 11.1).
 * floor: merge     uses: block_stream.h     used by: merge
 *
 * A binary heap of streams. Ties go to the source that was named first, so that a merge repeats bit for bit.
 *
 * Errors     those of block_stream_next; merge_heap_failed names the stream.
 * Ownership  borrows the streams.
 * Threads    one at a time.
 */
#ifndef TSE_MERGE_HEAP_H
#define TSE_MERGE_HEAP_H

#include "merge/block_stream.h"

struct merge_heap {
	struct block_stream **items; /* room for all streams; items[0] is the top */
	size_t count;
	struct block_stream *failed; /* the stream whose next failed */
};

/* items has room for every stream that will be added. */
void merge_heap_init(struct merge_heap *heap, struct block_stream **items);
/* Reads the stream's first block; an empty stream is left out. */
NODISCARD int merge_heap_add(struct merge_heap *heap, struct block_stream *stream);
static inline struct block_stream *
merge_heap_top(const struct merge_heap *heap)
{
	return heap->count == 0 ? NULL : heap->items[0];
}
/* Moves the top's stream to its next block. */
NODISCARD int merge_heap_advance(struct merge_heap *heap);

#endif
