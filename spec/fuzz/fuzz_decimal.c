/*
 * fuzz_decimal.c -- any doubles as a block: the shortcuts of decimal.c must give what part format 9.5, done literally, gives.
 */
#include <math.h>
#include <stdlib.h>

#include "codec/decimal.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES_MAX = 512 };

static bool
special(int64_t m)
{
	return m >= INT64_MAX - 1 || m == INT64_MIN;
}

/* Step 3 of 9.5, by trying. */
static int
up_of(int64_t m)
{
	int64_t limit = INT64_MAX;
	int k = 0;

	if (m == 0 || special(m))
		return 1024;
	if (m < 0)
		m = -m;
	while (k < 18 && m <= limit / 10) {
		limit /= 10;
		k++;
	}
	return k;
}

/* 9.5 step by step, in wrapping 16 bits. */
static int16_t
block_literally(const double *values, size_t n, int64_t *mantissas)
{
	static int16_t exponents[VALUES_MAX];
	int16_t least = 32767, down = 0, e;
	bool zeros = true, ones = true;

	for (size_t i = 0; i < n; i++) {
		zeros = zeros && values[i] == 0;
		ones = ones && values[i] == 1;
		decimal_from_double(values[i], &mantissas[i], &exponents[i]);
		if (!special(mantissas[i]) && exponents[i] < least)
			least = exponents[i];
	}
	if (zeros || ones) {
		for (size_t i = 0; i < n; i++)
			mantissas[i] = ones;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		int16_t need = (int16_t)((int16_t)(exponents[i] - least) - up_of(mantissas[i]));

		if (need > down)
			down = need;
	}
	e = (int16_t)(least + down);
	for (size_t i = 0; i < n; i++) {
		if (special(mantissas[i]))
			continue;
		for (int16_t k = (int16_t)(exponents[i] - e); k > 0; k--)
			mantissas[i] = (int64_t)((uint64_t)mantissas[i] * 10);
		for (int16_t k = (int16_t)(exponents[i] - e); k < 0; k++)
			mantissas[i] /= 10;
	}
	return e;
}

/* What Lua may read: numbers, infinities, the stale marker and one NaN. */
static void
check_readable(const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t bits = double_bits(values[i]);

		REQUIRE(values[i] == values[i] || bits == STALE_NAN_BITS || bits == CANONICAL_NAN_BITS);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static double values[VALUES_MAX], back[VALUES_MAX];
	static int64_t fast[VALUES_MAX], slow[VALUES_MAX], raw[VALUES_MAX];
	size_t n = 0;
	int16_t e;

	for (size_t at = 0; at + 8 <= size && n < VALUES_MAX; at += 8) {
		double v;

		memcpy(&v, data + at, 8);
		memcpy(&raw[n], data + at, 8);
		if (v == v || double_is_stale(v))
			values[n++] = v;
	}
	if (n == 0)
		return 0;
	e = decimal_from_doubles(values, n, fast);
	REQUIRE(e == block_literally(values, n, slow));
	REQUIRE(memcmp(fast, slow, n * sizeof(*fast)) == 0);
	decimal_to_doubles(fast, n, e, back);
	check_readable(back, n);
	for (size_t i = 0; i < n; i++) {
		double once = decimal_round_trip(values[i]), alone;
		int64_t m;
		int16_t s;

		decimal_from_double(values[i], &m, &s);
		decimal_to_doubles(&m, 1, s, &alone);
		REQUIRE(double_bits(alone) == double_bits(once));
		REQUIRE(isinf(values[i]) || values[i] != values[i] || fabs(values[i]) < 1e-290 ||
		    fabs(once - values[i]) <= fabs(values[i]) * 1e-11);
	}
	/* the same bytes as mantissas, with an exponent of theirs */
	decimal_to_doubles(raw, n, (int16_t)raw[0], back);
	check_readable(back, n);
	return 0;
}
