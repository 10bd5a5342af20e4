/*
 * merge_join.c -- see merge_join.h.
 * floor: merge     uses: merge_join.h codec/decimal.h     used by: merge
 */
#include "merge/merge_join.h"

#include "base/err.h"
#include "codec/decimal.h"

enum {
	FULL_VALUES_BYTES = 65536,      /* an encoded block with this large a values payload counts as full (11.2) */
	JOIN_ROWS = 2 * BLOCK_ROWS_MAX, /* room made at once: pending and one more block */
	RAW_PRECISION_BITS = 64         /* rows from memory are exact */
};

void
merge_join_init(struct merge_join *join, struct mem *mem, struct int64s_scratch *scratch, int64_t deadline_ms)
{
	*join = (struct merge_join){ .scratch = scratch, .deadline_ms = deadline_ms };
	block_init(&join->pending, mem);
	block_init(&join->result, mem);
	block_init(&join->incoming, mem);
}

void
merge_join_free(struct merge_join *join)
{
	block_free(&join->pending);
	block_free(&join->result);
	block_free(&join->incoming);
}

bool
merge_join_pending_full(const struct merge_join *join)
{
	const struct block_header *header = &join->pending.header;

	if (header->rows >= BLOCK_ROWS_MAX)
		return true;
	return join->pending.state == BLOCK_ENCODED && header->values_bytes >= FULL_VALUES_BYTES;
}

/* -- Blocks ------------------------------------------------------------------------------------------------------- */

/* The values of a block that is not encoded, as 8 bytes each. */
static row_value *
block_row_values(const struct block *block)
{
	assert(block->state == BLOCK_RAW || block->state == BLOCK_DECODED);
	return block->state == BLOCK_RAW ? (row_value *)block->values : (row_value *)block->mantissas;
}

/* Arrays of a block for at least `rows`; what they held is lost. Made large at once so that they rarely grow. */
static int
block_make_room(struct block *block, size_t rows)
{
	if (block->cap >= rows)
		return 0;
	return block_reserve(block, rows > JOIN_ROWS ? rows : JOIN_ROWS);
}

static int
block_copy_raw(struct block *block, const struct block_stream *stream)
{
	TRY(block_make_room(block, stream->rows));
	memcpy(block->timestamps_ms, stream->timestamps_ms, stream->rows * sizeof(int64_t));
	memcpy(block->values, stream->values, stream->rows * sizeof(double));
	block->state = BLOCK_RAW;
	block->header = (struct block_header){ .tsid = stream->tsid,
		.rows = stream->rows,
		.precision_bits = RAW_PRECISION_BITS,
		.min_timestamp_ms = stream->min_timestamp_ms,
		.max_timestamp_ms = stream->max_timestamp_ms };
	return 0;
}

/* A copy of an encoded block with payloads of its own: the reader's window moves on. */
static int
block_copy_encoded(struct block *block, const struct block *from)
{
	size_t timestamps_bytes = from->timestamps_payload.len, values_bytes = from->values_payload.len;

	buf_reset(&block->storage);
	TRY(buf_reserve(&block->storage, timestamps_bytes + values_bytes + 1));
	if (timestamps_bytes > 0)
		memcpy(block->storage.data, from->timestamps_payload.data, timestamps_bytes);
	if (values_bytes > 0)
		memcpy(block->storage.data + timestamps_bytes, from->values_payload.data, values_bytes);
	block->storage.len = timestamps_bytes + values_bytes;
	block->timestamps_payload = bytes_of(block->storage.data, timestamps_bytes);
	block->values_payload = bytes_of(block->storage.data + timestamps_bytes, values_bytes);
	block->header = from->header;
	block->state = BLOCK_ENCODED;
	return 0;
}

/* -- Joining ------------------------------------------------------------------------------------------------------ */

int
merge_join_take(struct merge_join *join, struct block_stream *stream)
{
	join->pending_part = stream->part;
	if (block_stream_in_memory(stream))
		return block_copy_raw(&join->pending, stream);
	return block_copy_encoded(&join->pending, &stream->block);
}

static int
decode(struct merge_join *join, struct block *block, struct part *part)
{
	int rc = 0;

	if (block->state != BLOCK_DECODED)
		rc = block_decode(block, join->scratch);
	if (rc == ERR_CORRUPTED)
		join->at_fault = part;
	return rc;
}

/* Rows of a block that are not before the deadline. */
static struct rows_run
run_after_deadline(struct merge_join *join, const int64_t *timestamps_ms, const row_value *values, size_t rows)
{
	size_t dropped = rows_before(timestamps_ms, rows, join->deadline_ms);

	join->rows_dropped += dropped;
	return (struct rows_run){ timestamps_ms + dropped, values + dropped, rows - dropped };
}

static bool
run_fits_behind(struct rows_run pending, struct rows_run next)
{
	return pending.count == 0 || next.count == 0 ||
	    pending.timestamps_ms[pending.count - 1] <= next.timestamps_ms[0];
}

static void
block_set_times(struct block *block, size_t rows)
{
	block->header.rows = (uint32_t)rows;
	if (rows == 0) {
		block->state = BLOCK_EMPTY;
		return;
	}
	block->header.min_timestamp_ms = block->timestamps_ms[0];
	block->header.max_timestamp_ms = block->timestamps_ms[rows - 1];
}

/* pending (not encoded) + next, which holds values of the same kind. */
static int
join_runs(struct merge_join *join, const int64_t *timestamps_ms, const row_value *values, size_t rows,
    uint8_t precision_bits)
{
	struct block *pending = &join->pending, *result = &join->result, swapped;
	struct rows_run old =
	    run_after_deadline(join, pending->timestamps_ms, block_row_values(pending), pending->header.rows);
	struct rows_run next = run_after_deadline(join, timestamps_ms, values, rows);
	size_t total = old.count + next.count;

	if (precision_bits < pending->header.precision_bits)
		pending->header.precision_bits = precision_bits;
	if (old.count == pending->header.rows && total <= pending->cap && run_fits_behind(old, next)) {
		memcpy(pending->timestamps_ms + old.count, next.timestamps_ms, next.count * sizeof(int64_t));
		memcpy(block_row_values(pending) + old.count, next.values, next.count * sizeof(row_value));
		block_set_times(pending, total);
		return 0;
	}
	TRY(block_make_room(result, total));
	result->state = pending->state;
	result->header = pending->header;
	merge_rows(old, next, result->timestamps_ms, block_row_values(result));
	block_set_times(result, total);
	swapped = *pending;
	*pending = *result;
	*result = swapped;
	return 0;
}

int
merge_join_add(struct merge_join *join, struct block_stream *stream)
{
	struct block *pending = &join->pending, *next = &stream->block;

	assert(pending->state != BLOCK_EMPTY);
	if (block_stream_in_memory(stream)) {
		if (pending->state == BLOCK_RAW)
			return join_runs(join, stream->timestamps_ms, (const row_value *)stream->values, stream->rows,
			    RAW_PRECISION_BITS);
		next = &join->incoming;
		TRY(block_copy_raw(next, stream));
	}
	TRY(decode(join, pending, join->pending_part));
	TRY(decode(join, next, stream->part));
	pending->header.exponent = decimal_calibrate(pending->mantissas, pending->header.rows, pending->header.exponent,
	    next->mantissas, next->header.rows, next->header.exponent);
	return join_runs(join, next->timestamps_ms, (const row_value *)next->mantissas, next->header.rows,
	    next->header.precision_bits);
}

int
merge_join_cut(struct merge_join *join, struct block **out)
{
	struct block *whole = &join->pending, *rest = &join->result, swapped;
	size_t rows = whole->header.rows;

	*out = NULL;
	if (whole->state == BLOCK_EMPTY || whole->state == BLOCK_ENCODED || rows <= BLOCK_ROWS_MAX)
		return 0;
	rows -= BLOCK_ROWS_MAX;
	TRY(block_make_room(rest, rows));
	rest->state = whole->state;
	rest->header = whole->header;
	memcpy(rest->timestamps_ms, whole->timestamps_ms + BLOCK_ROWS_MAX, rows * sizeof(int64_t));
	memcpy(block_row_values(rest), block_row_values(whole) + BLOCK_ROWS_MAX, rows * sizeof(row_value));
	block_set_times(rest, rows);
	block_set_times(whole, BLOCK_ROWS_MAX);
	swapped = *whole;
	*whole = *rest;
	*rest = swapped;
	*out = rest;
	return 0;
}
