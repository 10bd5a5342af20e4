/*
 * varint.c -- runs of varints at once.
 * floor: codec     uses: varint.h     used by: int64s.c
 *
 * Arrays of deltas mix varints of one and two bytes at random, so a loop that branches on every byte mispredicts on
 * every second value. Here eight bytes are looked at together: the bytes that end a varint are found by their clear top
 * bit, and a varint's groups of seven bits are squeezed together without a branch. Varints of nine and ten bytes, and
 * the last bytes of the input, take the plain way.
 */
#include "codec/varint.h"

#define TOP_BITS UINT64_C(0x8080808080808080)

/* The groups of seven bits of up to eight bytes, the least significant first, as one number. */
static inline uint64_t
squeeze(uint64_t word)
{
	word = (word & UINT64_C(0x007f007f007f007f)) | ((word & UINT64_C(0x7f007f007f007f00)) >> 1);
	word = (word & UINT64_C(0x00003fff00003fff)) | ((word & UINT64_C(0x3fff00003fff0000)) >> 2);
	return (word & UINT64_C(0x000000000fffffff)) | ((word & UINT64_C(0x0fffffff00000000)) >> 4);
}

/* The opposite of squeeze: u < 2^56, top bits clear. */
static inline uint64_t
spread(uint64_t u)
{
	u = (u & UINT64_C(0x000000000fffffff)) | ((u << 4) & UINT64_C(0x0fffffff00000000));
	u = (u & UINT64_C(0x00003fff00003fff)) | ((u << 2) & UINT64_C(0x3fff00003fff0000));
	return (u & UINT64_C(0x007f007f007f007f)) | ((u << 1) & UINT64_C(0x7f007f007f007f00));
}

const uint8_t *
varints_get(const uint8_t *p, const uint8_t *end, int64_t *out, size_t n)
{
	int64_t *last = out + n;

	/* up to eight varints end in a word, and a read of eight bytes may start at its last byte */
	while (last - out >= 8 && end - p >= 16) {
		uint64_t word, ends;
		const uint8_t *base = p;

		memcpy(&word, p, 8);
		ends = ~word & TOP_BITS;
		if (ends == TOP_BITS) {
			for (int i = 0; i < 8; i++)
				out[i] = unzigzag64(p[i]);
			out += 8;
			p += 8;
			continue;
		}
		if (UNLIKELY(ends == 0)) {
			p = get_varint(p, end, out++);
			if (p == NULL)
				return NULL;
			continue;
		}
		do {
			unsigned behind = ((unsigned)__builtin_ctzll(ends) >> 3) + 1;
			unsigned len = behind - (unsigned)(p - base);

			memcpy(&word, p, 8);
			*out++ = unzigzag64(squeeze(word & (UINT64_MAX >> (64 - 8 * len))));
			p = base + behind;
			ends &= ends - 1;
		} while (ends != 0);
	}
	while (out < last) {
		p = get_varint(p, end, out++);
		if (p == NULL)
			return NULL;
	}
	return p;
}

/* One varint by its length, without a branch that depends on it. Writes eight bytes. */
static inline uint8_t *
put_spread(uint8_t *p, uint64_t u)
{
	unsigned len;
	uint64_t word;

	if (UNLIKELY(u >= UINT64_C(1) << 56))
		return put_uvarint(p, u);
	len = (70 - (unsigned)__builtin_clzll(u | 1)) / 7;
	word = spread(u) | (TOP_BITS & ((UINT64_C(1) << (8 * len - 8)) - 1));
	memcpy(p, &word, 8);
	return p + len;
}

uint8_t *
varints_put(uint8_t *p, const int64_t *in, size_t n)
{
	size_t i = 0;

	for (; n - i >= 8; i += 8) {
		uint64_t u[8], any = 0;

		for (int k = 0; k < 8; k++) {
			u[k] = zigzag64(in[i + (size_t)k]);
			any |= u[k];
		}
		if (any < 0x80) {
			for (int k = 0; k < 8; k++)
				p[k] = (uint8_t)u[k];
			p += 8;
			continue;
		}
		for (int k = 0; k < 8; k++)
			p = put_spread(p, u[k]);
	}
	for (; i < n; i++)
		p = put_spread(p, zigzag64(in[i]));
	return p;
}
