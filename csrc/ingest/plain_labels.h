/*
 * plain_labels.h -- the end of a label list written as every client writes it, found 64 bytes at a time.
 * floor: ingest     uses: base.h     used by: prometheus.c
 *
 *   name{key="value",key="value"}        no backslash, no white space outside of strings, no comma behind the last label
 *
 * For 64 bytes each question is one 64-bit mask, a bit per byte, lowest first:
 *
 *   text      a="b,c",d="e"}
 *   quotes    ..1...1...1.1.
 *   inside    ..1111....11..      from an opening quote up to the byte before the closing one: the xor of all bits below
 *
 * The list is plain when every '=' outside is followed by an opening quote, every opening quote follows one, every closing
 * quote is followed by ',' or '}', and those occur nowhere else outside.
 * Threads    pure functions.
 */
#ifndef TSE_PLAIN_LABELS_H
#define TSE_PLAIN_LABELS_H

#include "base/base.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Which of 64 bytes are what. */
struct plain_masks {
	uint64_t quotes;
	uint64_t equals;
	uint64_t commas;
	uint64_t braces;  /* closing ones */
	uint64_t escapes; /* backslashes */
	uint64_t blanks;  /* ' ', '\t' */
};

#if defined(__SSE2__)
static inline uint64_t
plain_mask_of(const __m128i v[4], char c)
{
	const __m128i wanted = _mm_set1_epi8(c);
	uint64_t m0 = (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[0], wanted));
	uint64_t m1 = (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[1], wanted));
	uint64_t m2 = (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[2], wanted));
	uint64_t m3 = (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v[3], wanted));

	return m0 | m1 << 16 | m2 << 32 | m3 << 48;
}
#elif defined(__aarch64__)
static inline uint64_t
plain_mask_of(const uint8x16_t v[4], char c)
{
	static const uint8_t bit_of_lane[16] = { 1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128 };
	const uint8x16_t wanted = vdupq_n_u8((uint8_t)c), bits = vld1q_u8(bit_of_lane);
	/* adding neighbours three times gathers eight lanes into one byte */
	uint8x16_t low = vpaddq_u8(vandq_u8(vceqq_u8(v[0], wanted), bits), vandq_u8(vceqq_u8(v[1], wanted), bits));
	uint8x16_t high = vpaddq_u8(vandq_u8(vceqq_u8(v[2], wanted), bits), vandq_u8(vceqq_u8(v[3], wanted), bits));

	low = vpaddq_u8(low, high);
	low = vpaddq_u8(low, low);
	return vgetq_lane_u64(vreinterpretq_u64_u8(low), 0);
}
#endif

#if defined(__SSE2__) || defined(__aarch64__)

/* p has 64 readable bytes. */
static inline void
plain_masks_load(const uint8_t *p, struct plain_masks *out)
{
#if defined(__SSE2__)
	__m128i v[4];

	for (int i = 0; i < 4; i++)
		v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
#elif defined(__aarch64__)
	uint8x16_t v[4];

	for (int i = 0; i < 4; i++)
		v[i] = vld1q_u8(p + 16 * i);
#endif
	out->quotes = plain_mask_of(v, '"');
	out->equals = plain_mask_of(v, '=');
	out->commas = plain_mask_of(v, ',');
	out->braces = plain_mask_of(v, '}');
	out->blanks = plain_mask_of(v, ' ') | plain_mask_of(v, '\t');
	out->escapes = plain_mask_of(v, '\\');
}

/* Bit i of the result is the xor of the bits 0..i. */
static inline uint64_t
plain_prefix_xor(uint64_t v)
{
	v ^= v << 1;
	v ^= v << 2;
	v ^= v << 4;
	v ^= v << 8;
	v ^= v << 16;
	v ^= v << 32;
	return v;
}

/*
 * p is behind the '{' of a label list; returns the position behind its '}', or NULL when the list is not plain or does not
 * end before `end`. *labels is their number.
 */
static inline const uint8_t *
plain_labels_end(const uint8_t *p, const uint8_t *end, size_t *labels)
{
	uint64_t in_string = 0, after_equals = 0, after_string = 0; /* carried from block to block */

	for (*labels = 0; p < end; p += 64) {
		uint8_t tail[64] = { 0 };
		struct plain_masks m;
		uint64_t inside, opening, closing, ends, mine;

		if (end - p < 64)
			memcpy(tail, p, (size_t)(end - p));
		plain_masks_load(end - p < 64 ? tail : p, &m);
		inside = plain_prefix_xor(m.quotes) ^ in_string;
		opening = m.quotes & inside;
		closing = m.quotes & ~inside;
		ends = m.braces & ~inside;
		/* only the bytes up to the '}' that ends the list are ours */
		mine = ends == 0 ? UINT64_MAX : ends ^ (ends - 1);
		if ((((m.equals & ~inside) << 1 | after_equals) & mine) != (opening & mine) ||
		    ((closing << 1 | after_string) & mine) != ((m.commas | m.braces) & ~inside & mine) ||
		    ((m.escapes | (m.blanks & ~inside)) & mine) != 0)
			return NULL;
		*labels += (size_t)__builtin_popcountll(opening & mine);
		if (ends != 0)
			return p + __builtin_ctzll(ends) + 1;
		in_string = (uint64_t)0 - (inside >> 63);
		after_equals = (m.equals & ~inside) >> 63;
		after_string = closing >> 63;
	}
	return NULL;
}

#else /* taking the labels one by one is faster than masks without vectors */

static inline const uint8_t *
plain_labels_end(const uint8_t *p, const uint8_t *end, size_t *labels)
{
	(void)p;
	(void)end;
	(void)labels;
	return NULL;
}

#endif

#endif
