/*
 * number.c -- decimal text -> double or int64, exactly rounded, fast.
 * floor: ingest     uses: number.h digits.h number_powers.h     used by: ingest, index (selectors), storage
 *
 *   text --read_decimal()--> sign, w (19 digits at most), q, "digits were cut"       value = w * 10^q
 *             |  w <= 2^53, |q| <= 22: w * 10^q or w / 10^-q in one exactly rounded operation
 *             |  else: decimal_to_binary(): w times the leading bits of 5^q
 *             |  digits cut: decimal_to_binary() of w and of w + 1; equal: done
 *             v  else: bignum_round(): the digits against the middle of two doubles
 *
 * Literature: W. Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990; D. Lemire, "Number Parsing at a
 * Gigabyte per Second", Software: Practice and Experience 51 (8), 2021.
 */
#include "ingest/number.h"

#include "ingest/digits.h"
#include "ingest/number_powers.h"

enum {
	DIGITS_MAX = 19, /* decimal digits that always fit 64 bits */
	FRACTION_BITS = 52,
	EXPONENT_BIAS = 1023,
	EXPONENT_INF = 0x7FF,
	EXACT_POWER_MAX = 22,             /* 10^22 is the last power of ten that a double holds exactly */
	EXPONENT_DIGITS_MAX = 1000000000, /* where a written exponent stops counting: more than any line has digits */
	DIGITS_COMPARED = 770,            /* the middle of two doubles has at most 767 significant digits */
	BIGNUM_LIMBS = 56                 /* 3584 bits: 770 digits are 2558, M * 5^1112 is 54 + 2583, shifts included */
};

static const double exact_powers[EXACT_POWER_MAX + 1] = {
	1e0,
	1e1,
	1e2,
	1e3,
	1e4,
	1e5,
	1e6,
	1e7,
	1e8,
	1e9,
	1e10,
	1e11,
	1e12,
	1e13,
	1e14,
	1e15,
	1e16,
	1e17,
	1e18,
	1e19,
	1e20,
	1e21,
	1e22,
};

/* A decimal number as written. */
struct decimal {
	uint64_t w; /* the first 19 significant digits */
	int64_t q;  /* value is w * 10^q, when no digits were cut */
	bool negative;
	bool cut;              /* there were more digits than w holds */
	const uint8_t *digits; /* first digit or point */
	const uint8_t *digits_end;
	int64_t exponent; /* as written behind the e */
};

/* -- Exact integers, for the few numbers that nothing else decides ---------------------------------------------- */

struct bignum {
	uint64_t limbs[BIGNUM_LIMBS]; /* lowest first */
	int count;
};

static void
bignum_multiply_add(struct bignum *n, uint64_t factor, uint64_t addend)
{
	unsigned __int128 carry = addend;

	for (int i = 0; i < n->count; i++) {
		carry += (unsigned __int128)n->limbs[i] * factor;
		n->limbs[i] = (uint64_t)carry;
		carry >>= 64;
	}
	if (carry != 0) {
		assert(n->count < BIGNUM_LIMBS);
		n->limbs[n->count++] = (uint64_t)carry;
	}
}

static void
bignum_multiply_power_of_5(struct bignum *n, int64_t power)
{
	const uint64_t five_27 = UINT64_C(7450580596923828125); /* the largest in 64 bits */

	for (; power >= 27; power -= 27)
		bignum_multiply_add(n, five_27, 0);
	for (; power > 0; power--)
		bignum_multiply_add(n, 5, 0);
}

static void
bignum_shift_left(struct bignum *n, int64_t bits)
{
	int limbs = (int)(bits / 64), rest = (int)(bits % 64);

	if (n->count == 0)
		return;
	bignum_multiply_add(n, UINT64_C(1) << rest, 0);
	assert(n->count + limbs <= BIGNUM_LIMBS);
	memmove(n->limbs + limbs, n->limbs, (size_t)n->count * sizeof(n->limbs[0]));
	memset(n->limbs, 0, (size_t)limbs * sizeof(n->limbs[0]));
	n->count += limbs;
}

static int
bignum_compare(const struct bignum *a, const struct bignum *b)
{
	if (a->count != b->count)
		return a->count < b->count ? -1 : 1;
	for (int i = a->count - 1; i >= 0; i--)
		if (a->limbs[i] != b->limbs[i])
			return a->limbs[i] < b->limbs[i] ? -1 : 1;
	return 0;
}

/*
 * Digits of the decimal as an integer, *power such that the value is integer * 10^power. Behind DIGITS_COMPARED digits
 * only one thing can matter: that the value is not exactly in the middle, for which one more digit 1 stands.
 */
static void
bignum_read(const struct decimal *decimal, struct bignum *n, int64_t *power)
{
	int64_t behind_point = 0;
	int digits = 0;
	bool point = false, rest = false;

	n->count = 0;
	for (const uint8_t *p = decimal->digits; p < decimal->digits_end; p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		if (digits == DIGITS_COMPARED) {
			rest = rest || *p != '0';
			behind_point -= !point;
			continue;
		}
		behind_point += point;
		if (digits > 0 || *p != '0') {
			bignum_multiply_add(n, 10, (uint64_t)(*p - '0'));
			digits++;
		}
	}
	if (rest) {
		bignum_multiply_add(n, 10, 1);
		behind_point++;
	}
	*power = decimal->exponent - behind_point;
}

/*
 * bits is the double next below the value or the value's own (or one less than that: the caller cut digits). Returns
 * bits or bits + 1, whichever is nearer.
 */
static uint64_t
bignum_round(const struct decimal *decimal, uint64_t bits)
{
	uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
	int64_t exponent = (int64_t)(bits >> FRACTION_BITS), power, shift;
	struct bignum value, middle;
	int order;

	/* middle = (2m + 1) * 2^(exponent - 1), m the significand with its hidden bit */
	if (exponent != 0)
		fraction |= UINT64_C(1) << FRACTION_BITS;
	else
		exponent = 1;
	middle.limbs[0] = 2 * fraction + 1;
	middle.count = 1;
	bignum_read(decimal, &value, &power);
	shift = exponent - EXPONENT_BIAS - FRACTION_BITS - 1 - power;
	if (power >= 0)
		bignum_multiply_power_of_5(&value, power);
	else
		bignum_multiply_power_of_5(&middle, -power);
	if (shift >= 0)
		bignum_shift_left(&middle, shift);
	else
		bignum_shift_left(&value, -shift);
	order = bignum_compare(&value, &middle);
	return order > 0 || (order == 0 && (bits & 1) != 0) ? bits + 1 : bits;
}

/* -- w * 10^q by one or two 64-bit products ---------------------------------------------------------------------- */

/* The 128 bits of w * 5^q, as far as they are needed: the low half of the power counts only when the high half leaves doubt. */
static inline unsigned __int128
product_of(uint64_t w, int64_t q)
{
	unsigned __int128 first = (unsigned __int128)w * number_powers[q - NUMBER_POWER_MIN].high;
	unsigned __int128 second;

	/* 55 bits decide: 53 of the significand, one to round, one lost when the product has a leading zero */
	if (((uint64_t)(first >> 64) & (UINT64_MAX >> 55)) == UINT64_MAX >> 55) {
		second = (unsigned __int128)w * number_powers[q - NUMBER_POWER_MIN].low;
		first += second >> 64;
	}
	return first;
}

/* The bits of the double nearest to w * 10^q. */
static uint64_t
decimal_to_binary(uint64_t w, int64_t q)
{
	uint64_t high, low, m;
	int zeros, top;
	int64_t exponent;
	unsigned __int128 product;

	if (w == 0 || q < NUMBER_POWER_MIN)
		return 0;
	if (q > NUMBER_POWER_MAX)
		return (uint64_t)EXPONENT_INF << FRACTION_BITS;
	zeros = __builtin_clzll(w);
	product = product_of(w << zeros, q);
	high = (uint64_t)(product >> 64);
	low = (uint64_t)product;
	top = (int)(high >> 63);
	m = high >> (top + 64 - FRACTION_BITS - 3); /* 54 bits: the significand and one to round by */
	/* 217706 / 2^16 is log2(10) exactly enough for every q of the table: floor(q * log2(10)) */
	exponent = ((q * 217706) >> 16) + 63 + top - zeros + EXPONENT_BIAS;
	if (exponent <= 0) { /* subnormal */
		if (exponent <= -63)
			return 0;
		m >>= 1 - exponent;
		m = (m + (m & 1)) >> 1;
		return m; /* a carry into bit 52 is the smallest normal number, and reads so */
	}
	/* exactly in the middle: only for powers of five that fit 64 bits; then to even, so do not round up */
	if (low <= 1 && q >= -4 && q <= 23 && (m & 3) == 1 && m << (top + 64 - FRACTION_BITS - 3) == high)
		m &= ~UINT64_C(1);
	m = (m + (m & 1)) >> 1;
	if (m >> (FRACTION_BITS + 1) != 0) {
		m >>= 1;
		exponent++;
	}
	if (exponent >= EXPONENT_INF)
		return (uint64_t)EXPONENT_INF << FRACTION_BITS;
	return (uint64_t)exponent << FRACTION_BITS | (m & ((UINT64_C(1) << FRACTION_BITS) - 1));
}

static double
double_of_bits(uint64_t bits, bool negative)
{
	double value;

	bits |= (uint64_t)negative << 63;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* -- Reading the text -------------------------------------------------------------------------------------------- */

/* w again, of the first 19 significant digits only. */
static void
cut_digits(struct decimal *decimal)
{
	int64_t behind_point = 0;
	int digits = 0;
	bool point = false;

	decimal->w = 0;
	for (const uint8_t *p = decimal->digits; p < decimal->digits_end; p++) {
		if (*p == '.') {
			point = true;
		} else if (digits == DIGITS_MAX) {
			decimal->cut = true;
			behind_point -= !point;
		} else {
			behind_point += point;
			decimal->w = decimal->w * 10 + (uint64_t)(*p - '0');
			digits += decimal->w != 0;
		}
	}
	decimal->q = decimal->exponent - behind_point;
}

/* p is behind the e; returns the position behind the exponent, or NULL when it has no digits. */
static const uint8_t *
read_exponent(const uint8_t *p, const uint8_t *end, int64_t *exponent)
{
	bool negative = false;
	int64_t v = 0;

	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	if (p == end || !digits_is(*p))
		return NULL;
	for (; p < end && digits_is(*p); p++)
		if (v < EXPONENT_DIGITS_MAX)
			v = v * 10 + (*p - '0');
	*exponent = negative ? -v : v;
	return p;
}

static inline const uint8_t *
read_decimal(const uint8_t *p, const uint8_t *end, struct decimal *decimal)
{
	const uint8_t *behind;
	int64_t digits;

	decimal->digits = p;
	decimal->w = 0;
	decimal->cut = false;
	decimal->exponent = 0;
	p = digits_read(p, end, &decimal->w);
	digits = p - decimal->digits;
	decimal->q = 0;
	if (p < end && *p == '.') {
		behind = p + 1;
		p = digits_read(behind, end, &decimal->w);
		decimal->q = behind - p;
		digits += p - behind;
	}
	if (UNLIKELY(digits == 0))
		return NULL;
	decimal->digits_end = p;
	if (p < end && (*p | 0x20) == 'e') {
		behind = read_exponent(p + 1, end, &decimal->exponent);
		if (behind != NULL)
			p = behind;
		decimal->q += decimal->exponent;
	}
	if (UNLIKELY(digits > DIGITS_MAX))
		cut_digits(decimal);
	return p;
}

static double
decimal_value(const struct decimal *decimal)
{
	uint64_t bits;

	if (LIKELY(decimal->w <= UINT64_C(1) << 53 && !decimal->cut)) {
		double w = (double)decimal->w;

		if (decimal->q >= 0 && decimal->q <= EXACT_POWER_MAX)
			w *= exact_powers[decimal->q];
		else if (decimal->q < 0 && decimal->q >= -EXACT_POWER_MAX)
			w /= exact_powers[-decimal->q];
		else
			w = double_of_bits(decimal_to_binary(decimal->w, decimal->q), false);
		return decimal->negative ? -w : w;
	}
	bits = decimal_to_binary(decimal->w, decimal->q);
	if (UNLIKELY(decimal->cut) && bits != decimal_to_binary(decimal->w + 1, decimal->q))
		bits = bignum_round(decimal, bits);
	return double_of_bits(bits, decimal->negative);
}

/* Does the text at p start with word, in any case? word is in lower case. */
static bool
starts_with_word(const uint8_t *p, const uint8_t *end, const char *word)
{
	for (; *word != '\0'; p++, word++)
		if (p == end || (*p | 0x20) != (uint8_t)*word)
			return false;
	return true;
}

static const uint8_t *
parse_word(const uint8_t *p, const uint8_t *end, bool negative, double *out)
{
	if (starts_with_word(p, end, "inf")) {
		*out = double_of_bits((uint64_t)EXPONENT_INF << FRACTION_BITS, negative);
		return p + (starts_with_word(p, end, "infinity") ? 8 : 3);
	}
	if (starts_with_word(p, end, "nan")) {
		*out = double_of_bits(UINT64_C(0x7FF8000000000000), false);
		return p + 3;
	}
	return NULL;
}

const uint8_t *
number_parse_double(const uint8_t *p, const uint8_t *end, double *out)
{
	struct decimal decimal;
	const uint8_t *behind;

	decimal.negative = false;
	if (p < end && (*p == '-' || *p == '+'))
		decimal.negative = *p++ == '-';
	behind = read_decimal(p, end, &decimal);
	if (UNLIKELY(behind == NULL))
		return parse_word(p, end, decimal.negative, out);
	*out = decimal_value(&decimal);
	return behind;
}

const uint8_t *
number_parse_uint64(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
	const uint8_t *start = p;
	uint64_t v = 0;

	p = digits_read(p, end, &v);
	if (p == start)
		return NULL;
	if (UNLIKELY(p - start > DIGITS_MAX)) { /* it may not fit: again, with care */
		v = 0;
		for (p = start; p < end && digits_is(*p); p++)
			if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
				return NULL;
	}
	*out = v;
	return p;
}

const uint8_t *
number_parse_int64(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	bool negative = false;
	uint64_t v;

	if (p < end && (*p == '-' || *p == '+'))
		negative = *p++ == '-';
	p = number_parse_uint64(p, end, &v);
	if (p == NULL || v > (uint64_t)INT64_MAX + negative)
		return NULL;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return p;
}
