/*
 * scan.h -- the first of a few bytes in a text, sixteen at a time.
 * floor: ingest     uses: base.h     used by: ingest
 *
 * SSE2 and NEON belong to every x86-64 and arm64, so nothing has to be chosen at run time; other machines take the loop.
 * Threads    pure functions.
 */
#ifndef TSE_SCAN_H
#define TSE_SCAN_H

#include "base/base.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* The first byte in [p, end) that is a, b, c or d (repeat one to look for less); end when there is none. */
static inline const uint8_t *
scan_any4(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
#if defined(__SSE2__)
	const __m128i va = _mm_set1_epi8((char)a), vb = _mm_set1_epi8((char)b);
	const __m128i vc = _mm_set1_epi8((char)c), vd = _mm_set1_epi8((char)d);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i ab = _mm_or_si128(_mm_cmpeq_epi8(v, va), _mm_cmpeq_epi8(v, vb));
		__m128i cd = _mm_or_si128(_mm_cmpeq_epi8(v, vc), _mm_cmpeq_epi8(v, vd));
		unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(ab, cd));

		if (mask != 0)
			return p + __builtin_ctz(mask);
	}
#elif defined(__aarch64__)
	const uint8x16_t va = vdupq_n_u8(a), vb = vdupq_n_u8(b), vc = vdupq_n_u8(c), vd = vdupq_n_u8(d);

	for (; end - p >= 16; p += 16) {
		uint8x16_t v = vld1q_u8(p);
		uint8x16_t ab = vorrq_u8(vceqq_u8(v, va), vceqq_u8(v, vb));
		uint8x16_t found = vorrq_u8(ab, vorrq_u8(vceqq_u8(v, vc), vceqq_u8(v, vd)));
		/* four bits for each byte: NEON has no movemask */
		uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(found), 4)), 0);

		if (mask != 0)
			return p + __builtin_ctzll(mask) / 4;
	}
#endif
	while (p < end && *p != a && *p != b && *p != c && *p != d)
		p++;
	return p;
}

static inline const uint8_t *
scan_any2(const uint8_t *p, const uint8_t *end, uint8_t a, uint8_t b)
{
	return scan_any4(p, end, a, b, a, b);
}

/* The first `wanted` in [p, end) before which stands no backslash that is not escaped itself; NULL when there is none. */
static inline const uint8_t *
scan_unescaped(const uint8_t *p, const uint8_t *end, uint8_t wanted)
{
	for (;;) {
		p = scan_any2(p, end, wanted, '\\');
		if (p == end)
			return NULL;
		if (*p == wanted)
			return p;
		if (end - p <= 2)
			return NULL;
		p += 2;
	}
}

#endif
