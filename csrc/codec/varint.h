/*
 * varint.h -- big-endian integers and zig-zag LEB128 varints (part format 3.1, 3.2; index format 1).
 * floor: codec     uses: base.h     used by: codec, part, index
 *
 * Readers take [p, end) and return the position behind what they read, or NULL when the bytes are truncated or a varint
 * is longer than 10 bytes. Writers need room for the worst case (VARINT_BYTES_MAX) and return the new end.
 * Threads    pure functions.
 */
#ifndef TSE_VARINT_H
#define TSE_VARINT_H

#include "base/base.h"

enum { VARINT_BYTES_MAX = 10 };

static inline uint64_t
zigzag64(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t
unzigzag64(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}
static inline uint16_t
zigzag16(int16_t v)
{
	return (uint16_t)(((uint16_t)v << 1) ^ (uint16_t)(v >> 15));
}
static inline int16_t
unzigzag16(uint16_t u)
{
	return (int16_t)((u >> 1) ^ -(u & 1));
}

static inline uint8_t *
put_u16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}
static inline uint8_t *
put_u32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
	return p + 4;
}
static inline uint8_t *
put_u64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, 8);
	return p + 8;
}
static inline uint16_t
get_u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t
get_u32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}
static inline uint64_t
get_u64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "x86-64 and arm64 are little-endian; the swaps above rely on it");

/* Unsigned LEB128 (lengths in the index). */
static inline uint8_t *
put_uvarint(uint8_t *p, uint64_t u)
{
	while (u >= 0x80) {
		*p++ = (uint8_t)(u | 0x80);
		u >>= 7;
	}
	*p++ = (uint8_t)u;
	return p;
}

static inline uint8_t *
put_varint(uint8_t *p, int64_t v)
{
	return put_uvarint(p, zigzag64(v));
}

/* The slow half of get_uvarint: values of two and more bytes. */
static inline const uint8_t *
get_uvarint(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
	uint64_t u = 0;

	for (unsigned shift = 0; shift < 70 && p < end; shift += 7) {
		uint8_t byte = *p++;

		u |= (uint64_t)(byte & 0x7f) << shift; /* bits above 2^64 of the tenth byte fall off */
		if (byte < 0x80) {
			*out = u;
			return p;
		}
	}
	return NULL;
}

static inline const uint8_t *
get_varint(const uint8_t *p, const uint8_t *end, int64_t *out)
{
	uint64_t u;

	p = get_uvarint(p, end, &u);
	if (p != NULL)
		*out = unzigzag64(u);
	return p;
}

/* Reads n varints into out: the position behind them, or NULL as get_varint. */
const uint8_t *varints_get(const uint8_t *p, const uint8_t *end, int64_t *out, size_t n);
/* Writes n varints: the new end. Room for VARINT_BYTES_MAX * n bytes is needed. */
uint8_t *varints_put(uint8_t *p, const int64_t *in, size_t n);

#endif
