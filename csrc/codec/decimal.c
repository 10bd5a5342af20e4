/*
 * decimal.c -- doubles <-> mantissa and exponent (part format 9).
 * floor: codec     uses: decimal.h     used by: part, merge, storage
 *
 * Bit for bit what the format says, so the order of floating point operations matters: no contraction, no fast-math
 * (CMakeLists.txt), and the two-table power of 9.2, which is not the correctly rounded one.
 *
 * Two shortcuts give the same results sooner. A block of integers below 2^55 needs no conversion of single values: none
 * of them can overflow when brought to a common exponent, so that exponent is the smallest count of trailing zeros. And
 * mantissas below 2^51 turn into doubles by the bits of a constant, without looking for special ones.
 */
#include "codec/decimal.h"

#include <math.h>

/* Exponent arithmetic wraps in 16 bits (9.5): the -1024 of blocks of only special values comes from it. */
static inline int16_t
wrap16(int v)
{
	return (int16_t)(uint16_t)v;
}

/* The powers of ten that an int64 holds. */
static const int64_t power_of_10[19] = { INT64_C(1), INT64_C(10), INT64_C(100), INT64_C(1000), INT64_C(10000),
	INT64_C(100000), INT64_C(1000000), INT64_C(10000000), INT64_C(100000000), INT64_C(1000000000),
	INT64_C(10000000000), INT64_C(100000000000), INT64_C(1000000000000), INT64_C(10000000000000),
	INT64_C(100000000000000), INT64_C(1000000000000000), INT64_C(10000000000000000), INT64_C(100000000000000000),
	INT64_C(1000000000000000000) };

/* The greatest magnitude that may be multiplied by 10^k: a division less per value. */
#define UP_TO(power) (INT64_MAX / INT64_C(power))
static const int64_t up_limit[19] = { UP_TO(1), UP_TO(10), UP_TO(100), UP_TO(1000), UP_TO(10000), UP_TO(100000),
	UP_TO(1000000), UP_TO(10000000), UP_TO(100000000), UP_TO(1000000000), UP_TO(10000000000), UP_TO(100000000000),
	UP_TO(1000000000000), UP_TO(10000000000000), UP_TO(100000000000000), UP_TO(1000000000000000),
	UP_TO(10000000000000000), UP_TO(100000000000000000), UP_TO(1000000000000000000) };
#undef UP_TO

enum {
	EXPONENT_UP_MAX = 18,         /* the largest power of ten above */
	EXPONENT_UP_UNLIMITED = 1024, /* of zeros and special mantissas: they fit any exponent */
	EXPONENT_NONE = 32767         /* no value of the block has an exponent of its own */
};

/* Integers below it keep every digit; larger ones lose low digits (9.4). */
#define INTEGER_EXACT_MAX 36028797018963968.0 /* 2^55 */
/* Integral doubles below it take the integer path of 9.4. */
#define INTEGER_PATH_MAX  18446744073709551616.0 /* 2^64 */

static inline bool
is_special(int64_t m)
{
	return m >= DECIMAL_STALE || m == DECIMAL_INF_NEGATIVE;
}

/* -- Powers of ten (9.2) -------------------------------------------------------------------------------------------- */

static double
pow10_of(int n)
{
	static const double ones[32] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
		1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31 };
	static const double thirties[10] = { 1e0, 1e32, 1e64, 1e96, 1e128, 1e160, 1e192, 1e224, 1e256, 1e288 };
	static const double inverse_thirties[11] = { 1e-0, 1e-32, 1e-64, 1e-96, 1e-128, 1e-160, 1e-192, 1e-224, 1e-256,
		1e-288, 1e-320 };

	if (n > 308)
		return HUGE_VAL;
	if (n < -323)
		return 0;
	if (n >= 0)
		return thirties[n / 32] * ones[n % 32];
	return inverse_thirties[-n / 32] / ones[-n % 32];
}

/* -- One double to a decimal (9.4) ---------------------------------------------------------------------------------- */

/* g is integral and below 2^64. */
static void
decimal_of_integer(double g, uint64_t *mantissa, int *exponent)
{
	uint64_t u = (uint64_t)g;
	int s = 0;

	while (u >= UINT64_C(1) << 55) {
		u /= 10;
		s++;
	}
	while (u % 10 == 0) {
		u /= 10;
		s++;
	}
	*mantissa = u;
	*exponent = s;
}

/* Brings g below 10 or so and says by how many powers: for numbers far from 1, whose digits the loop would take long to reach. */
static double
scale_towards_one(double g, int *exponent)
{
	int x, s;

	(void)frexp(g, &x);
	if (x < -1022)
		x = -1022;
	if (x > 1023)
		x = 1023;
	s = (int)((double)x * 0.30102999566398120); /* log10 of 2 */
	*exponent = s;
	return g * pow10_of(-s);
}

/* g > 0 is a fraction or at least 2^64. */
static void
decimal_of_fraction(double g, uint64_t *mantissa, int *exponent)
{
	double precision = 1e12;
	uint64_t u;
	int s = 0;

	if (g > 1e6 || g < 1e-6) {
		if (g > 1e6)
			precision = 1e15;
		g = scale_towards_one(g, &s);
	}
	while (g < precision) {
		double whole = (double)(int64_t)g; /* g < 1e15: the same as floor */
		double below = g - whole, above = 1 - below;
		double nearest = below < above ? below : above;

		/* products keep the order of their factors: one comparison tells whether either of the two would hold */
		if (nearest * precision < whole) {
			g = below * precision < whole ? whole : whole + 1;
			break;
		}
		g *= 100;
		s -= 2;
	}
	u = (uint64_t)g;
	if (u % 10 == 0) {
		u /= 10;
		s++;
	}
	*mantissa = u;
	*exponent = s;
}

/* Does g >= 0 take the integer path? Doubles of 2^53 and more have no fraction; trunc() may be a call. */
static inline bool
is_integral(double g)
{
	if (g < 0x1p53)
		return (double)(int64_t)g == g;
	return g < INTEGER_PATH_MAX;
}

/* A number that is neither special nor zero. */
static inline void
decimal_of_number(double v, int64_t *mantissa, int *exponent)
{
	double g = fabs(v);
	uint64_t u;

	if (is_integral(g))
		decimal_of_integer(g, &u, exponent);
	else
		decimal_of_fraction(g, &u, exponent);
	assert(u < UINT64_C(1) << 62); /* so the clamp of 9.4 never applies */
	*mantissa = v < 0 ? -(int64_t)u : (int64_t)u;
}

void
decimal_from_double(double v, int64_t *mantissa, int16_t *exponent)
{
	int s = 0;

	if (v == 0)
		*mantissa = 0;
	else if (v > 0x1.fffffffffffffp1023)
		*mantissa = DECIMAL_INF_POSITIVE;
	else if (v < -0x1.fffffffffffffp1023)
		*mantissa = DECIMAL_INF_NEGATIVE;
	else if (v != v)
		*mantissa = DECIMAL_STALE;
	else
		decimal_of_number(v, mantissa, &s);
	*exponent = (int16_t)s;
}

double
decimal_round_trip(double v)
{
	int64_t m;
	int16_t e;
	double back;

	/* Integers that the conversion keeps come back as they are; so do zeros, but for the sign. */
	if (fabs(v) < 0x1p53 && v == (double)(int64_t)v)
		return v + 0.0;
	decimal_from_double(v, &m, &e);
	decimal_to_doubles(&m, 1, e, &back);
	return back;
}

/* -- A block of doubles to decimals (9.5) --------------------------------------------------------------------------- */

/* By how many powers of ten m may grow and still fit. */
static int
exponent_up(int64_t m)
{
	uint64_t magnitude;
	int k;

	if (m == 0 || is_special(m))
		return EXPONENT_UP_UNLIMITED;
	magnitude = m < 0 ? 0 - (uint64_t)m : (uint64_t)m;
	/* 1233/4096 is a little less than log10 of 2, so 10^k <= 2^(leading zeros - 1): k fits, and at most one more does */
	k = (__builtin_clzll(magnitude) - 1) * 1233 >> 12;
	if (k < EXPONENT_UP_MAX && magnitude <= (uint64_t)up_limit[k + 1])
		k++;
	return k;
}

/* m * 10^k or m / 10^-k truncated, in 64 wrapping bits. */
static int64_t
scale(int64_t m, int k)
{
	if (k >= 0) {
		for (; k > EXPONENT_UP_MAX && m != 0; k--)
			m = (int64_t)((uint64_t)m * 10);
		return m == 0 ? 0 : (int64_t)((uint64_t)m * (uint64_t)power_of_10[k]);
	}
	return k < -EXPONENT_UP_MAX ? 0 : m / power_of_10[-k];
}

/*
 * The double whose bits are those of 1.5 * 2^52 plus m is 1.5 * 2^52 + m exactly, for m in [-2^51, 2^51). Additions of
 * doubles and subtractions of integers are cheap in vectors; conversions of int64 are not before AVX-512.
 */
#define SMALL_BIAS_BITS UINT64_C(0x4338000000000000)
#define SMALL_BIAS      6755399441055744.0
#define SMALL_MAX       2251799813685248.0 /* 2^51 */

/* As many values are looked at before one asks whether to go on: a count that compilers turn into vectors. */
enum { GROUP = 16 };

/* One group of integers_of by the bits of the bias; false when a value is no integer of 51 bits. */
static inline bool
small_integers_of(const double *values, int64_t *mantissas)
{
	uint64_t odd = 0;

	for (size_t i = 0; i < GROUP; i++) {
		double biased = values[i] + SMALL_BIAS;

		mantissas[i] = (int64_t)(double_bits(biased) - SMALL_BIAS_BITS);
		/* rounded to an integer, it is the value only if that was one; and only below the limit are the bits right */
		odd |= (uint64_t) !(biased - SMALL_BIAS == values[i]) | (uint64_t) !(fabs(values[i]) < SMALL_MAX);
	}
	return odd == 0;
}

/* Fills mantissas with the integers of values; false when one is no integer below 2^55. */
static bool
integers_of(const double *values, size_t n, int64_t *mantissas)
{
	size_t i = 0;

	while (i < n) {
		size_t end;

		if (n - i >= GROUP && small_integers_of(values + i, mantissas + i)) {
			i += GROUP;
			continue;
		}
		for (end = n - i < GROUP ? n : i + GROUP; i < end; i++) {
			double v = values[i];

			if (!(fabs(v) < INTEGER_EXACT_MAX) || (double)(int64_t)v != v)
				return false;
			mantissas[i] = (int64_t)v;
		}
	}
	return true;
}

/* The largest e with all of m[0..n) multiples of 10^e; a zero counts as a multiple of 1 only (9.5). */
static int
common_zeros(const int64_t *m, size_t n)
{
	int e = EXPONENT_UP_MAX;

	for (size_t i = 0; i < n && e > 0; i++) {
		int64_t rest = m[i];
		int zeros = 0;

		if (rest == 0)
			return 0;
		while (zeros < e && rest % 10 == 0) {
			rest /= 10;
			zeros++;
		}
		e = zeros;
	}
	return e;
}

/* Are all values equal to `wanted`? */
static bool
all_equal(const double *values, size_t n, double wanted)
{
	for (size_t i = 0; i < n; i++) {
		if (values[i] != wanted)
			return false;
	}
	return true;
}

static int16_t
decimals_of_integers(int64_t *mantissas, size_t n)
{
	int e = common_zeros(mantissas, n);

	if (e > 0) {
		for (size_t i = 0; i < n; i++)
			mantissas[i] /= power_of_10[e];
	}
	return (int16_t)e;
}

/* Exponents of single values kept between the two passes, on the stack; those of longer blocks are computed twice. */
enum { EXPONENTS_KEPT = 8192 };

static int16_t
decimals_of_mixture(const double *values, size_t n, int64_t *mantissas)
{
	int16_t kept[EXPONENTS_KEPT];
	int lowest = EXPONENT_NONE, top = -EXPONENT_UP_UNLIMITED, e;
	int16_t single;

	/*
	 * First pass: mantissas, the lowest exponent of a number, and the highest one that a number cannot grow above.
	 * Exponents of numbers lie in [-360, 308], so 16 bits wrap only where all values are special: see below.
	 */
	for (size_t i = 0; i < n; i++) {
		decimal_from_double(values[i], &mantissas[i], &single);
		if (i < EXPONENTS_KEPT)
			kept[i] = single;
		if (is_special(mantissas[i]))
			continue;
		if (single < lowest)
			lowest = single;
		if (single - exponent_up(mantissas[i]) > top)
			top = single - exponent_up(mantissas[i]);
	}
	if (lowest == EXPONENT_NONE) {
		/* 9.5: down = wrap16(0 - 32767 - 1024), and wrap16(32767 + down) = -1024 */
		return -EXPONENT_UP_UNLIMITED;
	}
	e = top > lowest ? top : lowest;
	for (size_t i = 0; i < n; i++) {
		if (i < EXPONENTS_KEPT)
			single = kept[i];
		else
			decimal_from_double(values[i], &mantissas[i], &single);
		if (is_special(mantissas[i]))
			continue;
		/* nearly always a power that fits; by 1 too, since which value needs one cannot be predicted */
		if (LIKELY(single >= e && single - e <= EXPONENT_UP_MAX))
			mantissas[i] = (int64_t)((uint64_t)mantissas[i] * (uint64_t)power_of_10[single - e]);
		else
			mantissas[i] = scale(mantissas[i], single - e);
	}
	return (int16_t)e;
}

int16_t
decimal_from_doubles(const double *values, size_t n, int64_t *mantissas)
{
	if (n == 0)
		return 0;
	if (all_equal(values, n, 0) || all_equal(values, n, 1)) {
		for (size_t i = 0; i < n; i++)
			mantissas[i] = values[0] != 0;
		return 0;
	}
	if (integers_of(values, n, mantissas))
		return decimals_of_integers(mantissas, n);
	return decimals_of_mixture(values, n, mantissas);
}

/* -- Decimals to doubles (9.3) -------------------------------------------------------------------------------------- */

static inline double
special_to_double(int64_t m)
{
	if (m == DECIMAL_INF_POSITIVE)
		return HUGE_VAL;
	if (m == DECIMAL_INF_NEGATIVE)
		return -HUGE_VAL;
	return double_of_bits(STALE_NAN_BITS);
}

static inline double
number_to_double(int64_t m, int16_t exponent, double power)
{
	double v = (double)m;

	if (exponent < 0)
		v /= power;
	else if (exponent > 0)
		v *= power;
	/* 0 * Inf: CPUs differ in the sign of that NaN, and Lua may see one kind only */
	return v == v ? v : double_of_bits(CANONICAL_NAN_BITS);
}

static void
slow_to_doubles(const int64_t *mantissas, size_t n, int16_t exponent, double power, double *values)
{
	for (size_t i = 0; i < n; i++) {
		int64_t m = mantissas[i];

		values[i] = is_special(m) ? special_to_double(m) : number_to_double(m, exponent, power);
	}
}

static inline double
small_to_double(int64_t m)
{
	return double_of_bits((uint64_t)m + SMALL_BIAS_BITS) - SMALL_BIAS;
}

/* One group, if every mantissa lies in [-2^51, 2^51), so that none is special; else nothing happens. In place is fine. */
static inline bool
small_to_doubles(const int64_t *mantissas, int16_t exponent, double power, double *values)
{
	double numbers[GROUP];
	uint64_t high = 0;

	for (size_t i = 0; i < GROUP; i++)
		high |= (uint64_t)mantissas[i] + (UINT64_C(1) << 51);
	if (high >> 52 != 0)
		return false;
	for (size_t i = 0; i < GROUP; i++)
		numbers[i] = small_to_double(mantissas[i]);
	if (exponent < 0) {
		for (size_t i = 0; i < GROUP; i++)
			values[i] = numbers[i] / power;
	} else if (exponent > 0) {
		for (size_t i = 0; i < GROUP; i++)
			values[i] = numbers[i] * power;
	} else {
		memcpy(values, numbers, sizeof(numbers));
	}
	return true;
}

/* 10^308 is the last power that is no infinity: above, 0 * Inf needs care, and all zeros are zeros all the same. */
static void
huge_to_doubles(const int64_t *mantissas, size_t n, int16_t exponent, double *values)
{
	bool any = false;

	for (size_t i = 0; i < n; i++)
		any |= mantissas[i] != 0;
	slow_to_doubles(mantissas, n, any ? exponent : 0, HUGE_VAL, values);
}

void
decimal_to_doubles(const int64_t *mantissas, size_t n, int16_t exponent, double *values)
{
	double power = pow10_of(exponent < 0 ? -exponent : exponent);

	if (exponent > 308) {
		huge_to_doubles(mantissas, n, exponent, values);
		return;
	}
	while (n > 0) {
		size_t count = n < GROUP ? n : GROUP;

		if (count < GROUP || !small_to_doubles(mantissas, exponent, power, values))
			slow_to_doubles(mantissas, count, exponent, power, values);
		mantissas += count;
		values += count;
		n -= count;
	}
}

/* -- Calibration (9.6) ---------------------------------------------------------------------------------------------- */

/* As decimal_calibrate; a has the greater exponent. */
static int16_t
calibrate_down_to(int64_t *a, size_t a_count, int16_t a_exponent, int64_t *b, size_t b_count, int16_t b_exponent)
{
	int up = wrap16(a_exponent - b_exponent);
	int down = 0;

	for (size_t i = 0; i < a_count; i++) {
		int need = wrap16(up - exponent_up(a[i]));

		if (need > down)
			down = need;
	}
	up = wrap16(up - down);
	for (size_t i = 0; up > 0 && i < a_count; i++) {
		if (!is_special(a[i]))
			a[i] = scale(a[i], up);
	}
	for (size_t i = 0; down > 0 && i < b_count; i++) {
		if (!is_special(b[i]))
			b[i] = scale(b[i], -down);
	}
	return wrap16(b_exponent + down);
}

int16_t
decimal_calibrate(int64_t *a, size_t a_count, int16_t a_exponent, int64_t *b, size_t b_count, int16_t b_exponent)
{
	if (a_exponent == b_exponent || b_count == 0)
		return a_exponent;
	if (a_count == 0)
		return b_exponent;
	if (a_exponent > b_exponent)
		return calibrate_down_to(a, a_count, a_exponent, b, b_count, b_exponent);
	return calibrate_down_to(b, b_count, b_exponent, a, a_count, a_exponent);
}
