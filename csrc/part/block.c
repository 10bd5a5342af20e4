/*
 * block.c -- one block: decoding, reading, owning, dedup.
 * floor: part     uses: block.h codec err.h     used by: part, merge, storage
 */
#include "part/block.h"

#include <inttypes.h>

#include "base/err.h"
#include "codec/decimal.h"

/* -- Life ----------------------------------------------------------------------------------------------------------- */

void
block_init(struct block *block, struct mem *mem)
{
	*block = (struct block){ .mem = mem };
	buf_init(&block->storage, mem);
}

void
block_free(struct block *block)
{
	mem_free(block->mem, block->timestamps_ms);
	mem_free(block->mem, block->mantissas);
	mem_free(block->mem, block->values);
	buf_free(&block->storage);
	block_init(block, block->mem);
}

void
block_reset(struct block *block)
{
	block->state = BLOCK_EMPTY;
	block->header = (struct block_header){ 0 };
	block->timestamps_payload = block->values_payload = bytes_of(NULL, 0);
	block->origin = NULL;
	buf_reset(&block->storage);
}

static int
grow(struct mem *mem, void **array, size_t rows)
{
	void *grown = mem_realloc(mem, *array, rows * sizeof(int64_t));

	if (grown == NULL)
		return ERR_MEMORY;
	*array = grown;
	return 0;
}

int
block_reserve(struct block *block, size_t rows)
{
	_Static_assert(sizeof(double) == sizeof(int64_t), "one size serves the three columns");
	size_t cap = rows < BLOCK_ROWS_MAX && rows > block->cap * 2
	    ? rows
	    : (rows + BLOCK_ROWS_MAX - 1) / BLOCK_ROWS_MAX * BLOCK_ROWS_MAX;

	if (rows <= block->cap)
		return 0;
	TRY(grow(block->mem, (void **)&block->timestamps_ms, cap));
	TRY(grow(block->mem, (void **)&block->mantissas, cap));
	TRY(grow(block->mem, (void **)&block->values, cap));
	block->cap = cap;
	return 0;
}

int
block_own_payloads(struct block *block)
{
	size_t timestamps = block->timestamps_payload.len, values = block->values_payload.len;

	assert(block->state == BLOCK_ENCODED);
	if (block->storage.len != 0)
		return 0;
	TRY(buf_reserve(&block->storage, timestamps + values));
	if (timestamps + values == 0)
		return 0;
	if (timestamps > 0)
		memcpy(block->storage.data, block->timestamps_payload.data, timestamps);
	if (values > 0)
		memcpy(block->storage.data + timestamps, block->values_payload.data, values);
	block->storage.len = timestamps + values;
	block->timestamps_payload = bytes_of(block->storage.data, timestamps);
	block->values_payload = bytes_of(block->storage.data + timestamps, values);
	return 0;
}

/* -- Decoding ------------------------------------------------------------------------------------------------------- */

/* Adds where the block comes from to the message of a codec. */
static int
damaged(const struct block *block, int rc, const char *file, uint64_t offset)
{
	if (rc != ERR_CORRUPTED || block->origin == NULL)
		return rc;
	return ERR_CORRUPT(block->origin, UINT64_MAX, "%s at offset %" PRIu64 ", block of metric id %016" PRIX64 ": %s",
	    file, offset, block->header.tsid.metric_id, err_message());
}

/* Do timestamps of a constant step, which is never repaired, begin and end as the header says, without going backwards? */
static bool
steps_fit(const struct block_header *header, int64_t step)
{
	int64_t span, length;

	return step >= 0 && !__builtin_mul_overflow(step, (int64_t)header->rows - 1, &span) &&
	    !__builtin_sub_overflow(header->max_timestamp_ms, header->min_timestamp_ms, &length) && span == length;
}

/* Exact timestamps must be what the header says: they are merged and searched by it. */
static int
timestamps_check(const struct block_header *header, const int64_t *timestamps_ms)
{
	size_t n = header->rows;
	bool falls = false;

	if (header->timestamps_type == MARSHAL_CONST || header->timestamps_type == MARSHAL_DELTA_CONST) {
		/* the step tells, no need to look at each of them */
		falls =
		    !steps_fit(header, n < 2 ? 0 : (int64_t)((uint64_t)timestamps_ms[1] - (uint64_t)timestamps_ms[0]));
	} else {
		for (size_t i = 1; i < n; i++)
			falls |= timestamps_ms[i] < timestamps_ms[i - 1];
	}
	if (falls)
		return ERR(ERR_CORRUPTED, "timestamps run backwards, or do not end at the header's %" PRId64,
		    header->max_timestamp_ms);
	if (timestamps_ms[n - 1] != header->max_timestamp_ms)
		return ERR(ERR_CORRUPTED, "the last timestamp is %" PRId64 ", the header says %" PRId64,
		    timestamps_ms[n - 1], header->max_timestamp_ms);
	return 0;
}

static int
timestamps_decode(const struct block *block, struct int64s_scratch *scratch, int64_t *timestamps_ms)
{
	const struct block_header *header = &block->header;

	TRY(int64s_decode_shared(scratch, block->timestamps_payload, header->timestamps_type, header->min_timestamp_ms,
	    timestamps_ms, header->rows));
	if (header->precision_bits < 64)
		return int64s_ensure_non_decreasing(timestamps_ms, header->rows, header->min_timestamp_ms,
		    header->max_timestamp_ms);
	return timestamps_check(header, timestamps_ms);
}

/* Both columns of an encoded block into the caller's memory. */
static int
columns_decode(const struct block *block, struct int64s_scratch *scratch, int64_t *timestamps_ms, int64_t *mantissas)
{
	const struct block_header *header = &block->header;
	int rc;

	rc = timestamps_decode(block, scratch, timestamps_ms);
	if (rc != 0)
		return damaged(block, rc, "timestamps.bin", header->timestamps_offset);
	rc = int64s_decode(scratch, block->values_payload, header->values_type, header->first_value, mantissas,
	    header->rows);
	return rc == 0 ? 0 : damaged(block, rc, "values.bin", header->values_offset);
}

int
block_decode(struct block *block, struct int64s_scratch *scratch)
{
	assert(block->state != BLOCK_EMPTY);
	if (block->state == BLOCK_DECODED)
		return 0;
	if (block->state == BLOCK_ENCODED) {
		TRY(block_reserve(block, block->header.rows));
		TRY(columns_decode(block, scratch, block->timestamps_ms, block->mantissas));
	} else {
		block->header.exponent = decimal_from_doubles(block->values, block->header.rows, block->mantissas);
		block->header.first_value = block->mantissas[0];
	}
	block->state = BLOCK_DECODED;
	return 0;
}

int
block_read(struct block *block, struct int64s_scratch *scratch, int64_t *timestamps_ms, double *values)
{
	size_t n = block->header.rows;

	assert(block->state != BLOCK_EMPTY);
	if (block->state == BLOCK_ENCODED) {
		/* mantissas become doubles where they lie: half the memory to touch */
		TRY(columns_decode(block, scratch, timestamps_ms, (int64_t *)values));
		decimal_to_doubles((const int64_t *)values, n, block->header.exponent, values);
		return 0;
	}
	memcpy(timestamps_ms, block->timestamps_ms, n * sizeof(*timestamps_ms));
	if (block->state == BLOCK_DECODED) {
		decimal_to_doubles(block->mantissas, n, block->header.exponent, values);
		return 0;
	}
	/* a reader sees what it will see once the rows are on disk */
	for (size_t i = 0; i < n; i++)
		values[i] = decimal_round_trip(block->values[i]);
	return 0;
}

/* -- Dedup (12.1) --------------------------------------------------------------------------------------------------- */

static inline void
keep_row(size_t from, size_t to, int64_t *timestamps_ms, int64_t *mantissas, double *values)
{
	timestamps_ms[to] = timestamps_ms[from];
	if (mantissas != NULL)
		mantissas[to] = mantissas[from];
	if (values != NULL)
		values[to] = values[from];
}

/* t rounded down to a multiple of interval_ms. */
static int64_t
bucket_start(int64_t t, int64_t interval_ms)
{
	int64_t rest = t % interval_ms;

	return t - rest - (rest < 0 ? interval_ms : 0);
}

static int64_t
saturating_add(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

size_t
dedup_rows(int64_t interval_ms, enum dedup_keep keep, int64_t *timestamps_ms, int64_t *mantissas, double *values,
    size_t n)
{
	size_t kept = 0;
	int64_t end = 0; /* of the bucket of the last row kept; of no meaning before the first */

	if (interval_ms <= 0 || n < 2)
		return n;
	if (keep == DEDUP_FIRST) {
		/* [end - interval, end): the first row of a bucket stays */
		for (size_t i = 0; i < n; i++) {
			if (i > 0 && timestamps_ms[i] < end)
				continue;
			end = saturating_add(bucket_start(timestamps_ms[i], interval_ms), interval_ms);
			keep_row(i, kept++, timestamps_ms, mantissas, values);
		}
		return kept;
	}
	/* (end - interval, end]: each row of a bucket takes the place of the one before */
	for (size_t i = 0; i < n; i++) {
		int64_t t = timestamps_ms[i];

		if (i == 0 || t > end) {
			end = bucket_start(t, interval_ms);
			if (end != t)
				end = saturating_add(end, interval_ms);
			kept++;
		}
		keep_row(i, kept - 1, timestamps_ms, mantissas, values);
	}
	return kept;
}
