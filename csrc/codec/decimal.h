/*
 * decimal.h -- doubles <-> mantissa and common exponent, bit for bit as part format 9 says.
 * floor: codec     uses: base.h     used by: part, merge, storage
 *
 * value = mantissa * 10^exponent; three mantissas are special (+Inf, -Inf, stale marker). Power tables, not pow().
 * Threads    pure functions.
 */
#ifndef TSE_DECIMAL_H
#define TSE_DECIMAL_H

#include "base/base.h"

#define DECIMAL_INF_POSITIVE INT64_MAX
#define DECIMAL_INF_NEGATIVE INT64_MIN
#define DECIMAL_STALE        (INT64_MAX - 1)

/* The stale marker as a double's bits; any other NaN must not reach these functions nor Lua. */
#define STALE_NAN_BITS     UINT64_C(0x7FF0000000000002)
#define CANONICAL_NAN_BITS UINT64_C(0x7FF8000000000000)

static inline uint64_t
double_bits(double v)
{
	uint64_t u;
	memcpy(&u, &v, 8);
	return u;
}
static inline double
double_of_bits(uint64_t u)
{
	double v;
	memcpy(&v, &u, 8);
	return v;
}
static inline bool
double_is_stale(double v)
{
	return double_bits(v) == STALE_NAN_BITS;
}

/* One value (9.4). v is not a NaN other than the stale marker. */
void decimal_from_double(double v, int64_t *mantissa, int16_t *exponent);
/* One value there and back: what a reader will see of v once it is stored alone. */
double decimal_round_trip(double v);
/* A block (9.5): mantissas[n], returns the common exponent. */
int16_t decimal_from_doubles(const double *values, size_t n, int64_t *mantissas);
/* A block (9.3). May not alias. Never yields a NaN other than STALE and (0 x Inf) the canonical one. */
void decimal_to_doubles(const int64_t *mantissas, size_t n, int16_t exponent, double *values);
/* Brings two arrays to one exponent in place (9.6), returned. */
int16_t decimal_calibrate(int64_t *a, size_t a_count, int16_t a_exponent, int64_t *b, size_t b_count,
    int16_t b_exponent);

#endif
