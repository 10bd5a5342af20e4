/*
 * digits.h -- runs of decimal digits, eight at a time.
 * floor: ingest     uses: base.h     used by: number.c influx.c
 *
 * The loads are little-endian on every machine: the first digit is in the lowest byte.
 * Threads    pure functions.
 */
#ifndef TSE_DIGITS_H
#define TSE_DIGITS_H

#include "base/base.h"

static inline uint64_t
digits_load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static inline bool
digits_is(uint8_t c)
{
	return (uint8_t)(c - '0') <= 9;
}

/*
 * How many of eight bytes are digits before the first that is none: 0..8. A byte above '9' reaches bit 7 by the sum or
 * has it, one below '0' borrows into it. Carries and borrows spoil only bytes behind the first that is no digit.
 */
static inline unsigned
digits_count(uint64_t v)
{
	uint64_t others =
	    ((v + UINT64_C(0x4646464646464646)) | (v - UINT64_C(0x3030303030303030))) & UINT64_C(0x8080808080808080);

	return others == 0 ? 8 : (unsigned)__builtin_ctzll(others) / 8;
}

/* The value of eight digits: neighbours are joined to pairs, pairs to fours, fours to the whole. */
static inline uint32_t
digits_value(uint64_t v)
{
	v -= UINT64_C(0x3030303030303030);
	v = v * 10 + (v >> 8);
	v = ((v & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
		((v >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >>
	    32;
	return (uint32_t)v;
}

/* The value of the first count digits of eight bytes, count 1..7: they are moved to the end, behind zeros. */
static inline uint32_t
digits_value_of(uint64_t v, unsigned count)
{
	return digits_value(v << (64 - 8 * count) | UINT64_C(0x3030303030303030) >> (8 * count));
}

static const uint32_t digits_powers[9] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

/* *w = *w * 10^n + the n digits from p on, modulo 2^64; returns the position behind them. */
static inline const uint8_t *
digits_read(const uint8_t *p, const uint8_t *end, uint64_t *w)
{
	uint64_t v = *w, eight;
	unsigned count;

	while (end - p >= 8) {
		eight = digits_load(p);
		count = digits_count(eight);
		p += count;
		if (count < 8) {
			if (count > 0)
				v = v * digits_powers[count] + digits_value_of(eight, count);
			*w = v;
			return p;
		}
		v = v * 100000000 + digits_value(eight);
	}
	while (p < end && digits_is(*p))
		v = v * 10 + (uint64_t)(*p++ - '0');
	*w = v;
	return p;
}

#endif
