/*
 * int64s.c -- the six marshal types and the choice among them (part format 8).
 * floor: codec     uses: int64s.h payload.h varint.h err.h     used by: part
 *
 *   type  name         payload of a[0..n); a[0] stands in the header
 *   1     zstd-delta2  a zstd frame of the payload of 5
 *   2     delta-const  varint a[1] - a[0]
 *   3     const        nothing
 *   4     zstd-delta   a zstd frame of the payload of 6
 *   5     delta2       varint a[1] - a[0], then n - 2 varints: by how much each difference exceeds the one before
 *   6     delta        n - 1 varints a[i] - a[i - 1]
 *
 * All sums wrap in 64 bits, so they are done on uint64_t.
 */
#include "codec/int64s.h"

#include "base/err.h"
#include "codec/payload.h"
#include "codec/varint.h"

enum {
	EXACT_BITS = 64, /* precision_bits of an exact encoding */
	TILE = 512       /* differences at once: they stay in the first level cache */
};

void
int64s_scratch_init(struct int64s_scratch *scratch, struct mem *mem)
{
	zstd_context_init(&scratch->zstd, mem);
	buf_init(&scratch->bytes, mem);
	buf_init(&scratch->shared.payload, mem);
	buf_init(&scratch->shared.numbers, mem);
	scratch->shared.count = 0;
}

void
int64s_scratch_free(struct int64s_scratch *scratch)
{
	zstd_context_free(&scratch->zstd);
	buf_free(&scratch->bytes);
	buf_free(&scratch->shared.payload);
	buf_free(&scratch->shared.numbers);
	scratch->shared.count = 0;
}

static inline int64_t
plus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t
minus(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* -- Choosing the type ---------------------------------------------------------------------------------------------- */

static bool
is_const(const int64_t *a, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (a[i] != a[0])
			return false;
	}
	return true;
}

static bool
is_delta_const(const int64_t *a, size_t n)
{
	uint64_t step;

	if (n < 2)
		return false;
	step = (uint64_t)a[1] - (uint64_t)a[0];
	for (size_t i = 2; i < n; i++) {
		if ((uint64_t)a[i] - (uint64_t)a[i - 1] != step)
			return false;
	}
	return true;
}

/* 8.3: does the array fall often, or far, so that it is no counter? */
static bool
is_gauge(const int64_t *a, size_t n)
{
	size_t resets = 0;

	if (a[0] < 0)
		return true;
	for (size_t i = 1; i < n; i++) {
		if (a[i] >= a[i - 1])
			continue;
		if (a[i] < 0 || a[i] > a[i - 1] >> 3)
			return true;
		resets++;
	}
	return resets > 2 && resets > n / 8;
}

/* -- Lossy steps (8.4) ---------------------------------------------------------------------------------------------- */

static unsigned
bit_length(int64_t v)
{
	uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	return magnitude == 0 ? 0 : 64 - (unsigned)__builtin_clzll(magnitude);
}

/* What an encoder of few bits remembers: how many low bits it cleared last. */
struct lossy {
	unsigned precision_bits;
	unsigned zeroed;
};

static void
lossy_init(struct lossy *lossy, unsigned precision_bits, int64_t v)
{
	unsigned bits = bit_length(v);

	lossy->precision_bits = precision_bits;
	lossy->zeroed = bits > precision_bits ? bits - precision_bits : 0;
}

/* The step from previous towards next that is stored. */
static int64_t
lossy_step(struct lossy *lossy, int64_t next, int64_t previous)
{
	int64_t step = minus(next, previous);
	uint64_t magnitude, mask;
	unsigned bits, excess;

	bits = bit_length(next);
	if (step == 0 || bits <= lossy->precision_bits) {
		if (lossy->zeroed > 0)
			lossy->zeroed--;
		return step;
	}
	excess = bits - lossy->precision_bits;
	if (excess > lossy->zeroed + 4) {
		lossy->zeroed += 2;
		return step;
	}
	if (excess + 4 < lossy->zeroed) {
		lossy->zeroed -= 2;
		return step;
	}
	lossy->zeroed = excess;
	mask = (UINT64_C(1) << excess) - 1; /* excess < 64: precision_bits >= 1 */
	magnitude = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
	magnitude &= ~mask;
	return (int64_t)(step < 0 ? 0 - magnitude : magnitude);
}

static uint8_t *
put_lossy_delta(uint8_t *p, const int64_t *a, size_t n, unsigned precision_bits)
{
	struct lossy lossy;
	int64_t v = a[0];

	lossy_init(&lossy, precision_bits < 6 ? precision_bits + 2 : precision_bits, v);
	for (size_t i = 1; i < n; i++) {
		int64_t step = lossy_step(&lossy, a[i], v);

		v = plus(v, step);
		p = put_varint(p, step);
	}
	return p;
}

static uint8_t *
put_lossy_delta2(uint8_t *p, const int64_t *a, size_t n, unsigned precision_bits)
{
	struct lossy lossy;
	int64_t delta = minus(a[1], a[0]);
	int64_t v = a[1];

	lossy_init(&lossy, precision_bits, v);
	p = put_varint(p, delta);
	for (size_t i = 2; i < n; i++) {
		int64_t step = lossy_step(&lossy, minus(a[i], v), delta);

		delta = plus(delta, step);
		v = plus(v, delta);
		p = put_varint(p, step);
	}
	return p;
}

/* -- Encoding ------------------------------------------------------------------------------------------------------- */

static uint8_t *
put_delta(uint8_t *p, const int64_t *a, size_t n)
{
	int64_t steps[TILE];

	for (size_t i = 1; i < n;) {
		size_t count = n - i < TILE ? n - i : TILE;

		for (size_t k = 0; k < count; k++)
			steps[k] = minus(a[i + k], a[i + k - 1]);
		p = varints_put(p, steps, count);
		i += count;
	}
	return p;
}

static uint8_t *
put_delta2(uint8_t *p, const int64_t *a, size_t n)
{
	int64_t steps[TILE];

	p = put_varint(p, minus(a[1], a[0]));
	for (size_t i = 2; i < n;) {
		size_t count = n - i < TILE ? n - i : TILE;

		for (size_t k = 0; k < count; k++)
			steps[k] = minus(minus(a[i + k], a[i + k - 1]), minus(a[i + k - 1], a[i + k - 2]));
		p = varints_put(p, steps, count);
		i += count;
	}
	return p;
}

int
int64s_encode(struct int64s_scratch *scratch, const int64_t *a, size_t n, uint8_t precision_bits, struct buf *out,
    uint8_t *type, int64_t *first)
{
	bool compressed;
	uint8_t *p;

	assert(n >= 1 && precision_bits >= 1 && precision_bits <= EXACT_BITS);
	*first = a[0];
	if (is_const(a, n)) {
		*type = MARSHAL_CONST;
		return 0;
	}
	if (is_delta_const(a, n)) {
		*type = MARSHAL_DELTA_CONST;
		TRY(buf_reserve(out, VARINT_BYTES_MAX));
		out->len = (size_t)(put_varint(out->data + out->len, minus(a[1], a[0])) - out->data);
		return 0;
	}
	buf_reset(&scratch->bytes);
	TRY(buf_reserve(&scratch->bytes, VARINT_BYTES_MAX * n));
	p = scratch->bytes.data;
	if (is_gauge(a, n)) {
		*type = MARSHAL_DELTA;
		p = precision_bits < EXACT_BITS ? put_lossy_delta(p, a, n, precision_bits) : put_delta(p, a, n);
	} else {
		*type = MARSHAL_DELTA2;
		p = precision_bits < EXACT_BITS ? put_lossy_delta2(p, a, n, precision_bits) : put_delta2(p, a, n);
	}
	scratch->bytes.len = (size_t)(p - scratch->bytes.data);
	TRY(payload_append(&scratch->zstd, buf_bytes(&scratch->bytes), out, &compressed));
	if (compressed)
		*type = *type == MARSHAL_DELTA2 ? MARSHAL_ZSTD_DELTA2 : MARSHAL_ZSTD_DELTA;
	return 0;
}

/* -- Decoding ------------------------------------------------------------------------------------------------------- */

static int
decode_const(struct bytes payload, int64_t first, int64_t *a, size_t n)
{
	if (payload.len != 0)
		return ERR(ERR_CORRUPTED, "a constant array has a payload of %zu bytes", payload.len);
	for (size_t i = 0; i < n; i++)
		a[i] = first;
	return 0;
}

static int
decode_delta_const(struct bytes payload, int64_t first, int64_t *a, size_t n)
{
	int64_t step;

	if (payload.len == 0 ||
	    get_varint(payload.data, payload.data + payload.len, &step) != payload.data + payload.len)
		return ERR(ERR_CORRUPTED, "the %zu bytes of a constant difference are not one varint", payload.len);
	for (size_t i = 0; i < n; i++)
		a[i] = (int64_t)((uint64_t)first + (uint64_t)i * (uint64_t)step);
	return 0;
}

/*
 * The n - 1 varints of a delta or delta2 payload, summed up once or twice into a[1..n). A tile at a time, so that the
 * second look at a number finds it in the first level cache.
 */
static int
decode_steps(struct bytes payload, int64_t first, int64_t *a, size_t n, bool twice)
{
	const uint8_t *p = payload.data, *end = payload.data + payload.len;
	uint64_t v = (uint64_t)first, delta = 0;

	a[0] = first;
	for (size_t i = 1; i < n;) {
		size_t stop = n - i < TILE ? n : i + TILE;

		p = varints_get(p, end, a + i, stop - i);
		if (p == NULL)
			return ERR(ERR_CORRUPTED,
			    "a payload of %zu bytes ends before its %zu differences, or one is too long", payload.len,
			    n - 1);
		if (twice) {
			for (; i < stop; i++) {
				delta += (uint64_t)a[i];
				v += delta;
				a[i] = (int64_t)v;
			}
		} else {
			for (; i < stop; i++) {
				v += (uint64_t)a[i];
				a[i] = (int64_t)v;
			}
		}
	}
	if (p != end)
		return ERR(ERR_CORRUPTED, "%zu bytes follow the %zu differences of a payload", (size_t)(end - p),
		    n - 1);
	return 0;
}

static int
decode_delta(struct bytes payload, int64_t first, int64_t *a, size_t n)
{
	if (payload.len == 0 && n > 1)
		return ERR(ERR_CORRUPTED, "the payload of %zu numbers is empty", n);
	if (payload.len == 0)
		payload.data = (const uint8_t *)""; /* a pointer that may be compared */
	return decode_steps(payload, first, a, n, false);
}

static int
decode_delta2(struct bytes payload, int64_t first, int64_t *a, size_t n)
{
	if (n < 2)
		return ERR(ERR_CORRUPTED, "an array of one number has differences of differences");
	if (payload.len == 0)
		return ERR(ERR_CORRUPTED, "the payload of %zu numbers is empty", n);
	return decode_steps(payload, first, a, n, true);
}

int
int64s_decode(struct int64s_scratch *scratch, struct bytes payload, uint8_t type, int64_t first, int64_t *a, size_t n)
{
	assert(n >= 1);
	if (type == MARSHAL_ZSTD_DELTA2 || type == MARSHAL_ZSTD_DELTA) {
		buf_reset(&scratch->bytes);
		TRY(zstd_decompress(&scratch->zstd, payload, VARINT_BYTES_MAX * (n - 1), &scratch->bytes));
		payload = buf_bytes(&scratch->bytes);
	}
	switch (type) {
	case MARSHAL_CONST: return decode_const(payload, first, a, n);
	case MARSHAL_DELTA_CONST: return decode_delta_const(payload, first, a, n);
	case MARSHAL_ZSTD_DELTA:
	case MARSHAL_DELTA: return decode_delta(payload, first, a, n);
	case MARSHAL_ZSTD_DELTA2:
	case MARSHAL_DELTA2: return decode_delta2(payload, first, a, n);
	default: return ERR(ERR_CORRUPTED, "marshal type %u does not exist", type);
	}
}

/* Remembers a payload and its numbers for the next call. */
static int
shared_keep(struct int64s_scratch *scratch, struct bytes payload, uint8_t type, const int64_t *a, size_t n)
{
	scratch->shared.count = 0;
	buf_reset(&scratch->shared.payload);
	buf_reset(&scratch->shared.numbers);
	TRY(buf_append(&scratch->shared.payload, payload.data, payload.len));
	TRY(buf_append(&scratch->shared.numbers, a, n * sizeof(*a)));
	scratch->shared.count = n;
	scratch->shared.type = type;
	return 0;
}

int
int64s_decode_shared(struct int64s_scratch *scratch, struct bytes payload, uint8_t type, int64_t first, int64_t *a,
    size_t n)
{
	const int64_t *numbers = (const int64_t *)scratch->shared.numbers.data;
	uint64_t shift;

	/* the other types unpack as fast as they are copied */
	if (type != MARSHAL_ZSTD_DELTA2 && type != MARSHAL_ZSTD_DELTA)
		return int64s_decode(scratch, payload, type, first, a, n);
	if (scratch->shared.count != n || scratch->shared.type != type ||
	    !bytes_equal(payload, buf_bytes(&scratch->shared.payload))) {
		TRY(int64s_decode(scratch, payload, type, first, a, n));
		return shared_keep(scratch, payload, type, a, n);
	}
	/* sums of differences: another first number shifts them all */
	shift = (uint64_t)first - (uint64_t)numbers[0];
	for (size_t i = 0; i < n; i++)
		a[i] = (int64_t)((uint64_t)numbers[i] + shift);
	return 0;
}

int
int64s_ensure_non_decreasing(int64_t *a, size_t n, int64_t min, int64_t max)
{
	if (max < min)
		return ERR(ERR_CORRUPTED, "timestamps from %lld to %lld run backwards", (long long)min, (long long)max);
	if (n == 0)
		return 0;
	a[0] = min;
	for (size_t i = 1; i < n; i++) {
		if (a[i] < a[i - 1])
			a[i] = a[i - 1];
	}
	if (a[n - 1] == max)
		return 0;
	a[n - 1] = max;
	for (size_t i = n - 1; i > 0 && a[i - 1] > max; i--)
		a[i - 1] = max;
	return 0;
}
