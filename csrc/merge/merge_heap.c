/*
 * merge_heap.c -- see merge_heap.h.
 * floor: merge     uses: merge_heap.h     used by: merge
 */
#include "merge/merge_heap.h"

/* Streams lie in one array in the order they were named, so their addresses break ties. */
static bool
stream_before(const struct block_stream *a, const struct block_stream *b)
{
	if (a->tsid.metric_id != b->tsid.metric_id) {
		int order = tsid_compare(&a->tsid, &b->tsid);

		return order < 0;
	}
	if (a->min_timestamp_ms != b->min_timestamp_ms)
		return a->min_timestamp_ms < b->min_timestamp_ms;
	return a < b;
}

static void
sift_down(struct merge_heap *heap)
{
	struct block_stream *moving = heap->items[0];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && stream_before(heap->items[child + 1], heap->items[child]))
			child++;
		if (!stream_before(heap->items[child], moving))
			break;
		heap->items[at] = heap->items[child];
		at = child;
	}
	heap->items[at] = moving;
}

void
merge_heap_init(struct merge_heap *heap, struct block_stream **items)
{
	*heap = (struct merge_heap){ .items = items };
}

int
merge_heap_add(struct merge_heap *heap, struct block_stream *stream)
{
	bool found = false;
	size_t at;
	int rc;

	rc = block_stream_next(stream, &found);
	if (rc != 0) {
		heap->failed = stream;
		return rc;
	}
	if (!found)
		return 0;
	at = heap->count++;
	while (at > 0 && stream_before(stream, heap->items[(at - 1) / 2])) {
		heap->items[at] = heap->items[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	heap->items[at] = stream;
	return 0;
}

int
merge_heap_advance(struct merge_heap *heap)
{
	bool found = false;
	int rc;

	assert(heap->count > 0);
	rc = block_stream_next(heap->items[0], &found);
	if (rc != 0) {
		heap->failed = heap->items[0];
		return rc;
	}
	if (!found) {
		heap->items[0] = heap->items[--heap->count];
		if (heap->count == 0)
			return 0;
	}
	sift_down(heap);
	return 0;
}
