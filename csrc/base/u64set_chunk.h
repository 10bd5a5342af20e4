/*
 * u64set_chunk.h -- 65536 neighbouring ids; nobody but u64set looks inside.
 * floor: base     uses: mem.h     used by: u64set.c u64set_chunk.c
 *
 * What shrinks a chunk cannot fail: a bitmap that becomes thin turns into an array in its own 8 KiB. A chunk may come
 * out empty; the set then drops it.
 */
#ifndef TSE_U64SET_CHUNK_H
#define TSE_U64SET_CHUNK_H

#include "base/mem.h"

enum {
	U64SET_ARRAY_MAX = 4096,    /* as many u16 as fit into the bytes of a bitmap */
	U64SET_BITMAP_WORDS = 1024, /* 65536 bits */
	U64SET_BITMAP_BYTES = U64SET_BITMAP_WORDS * 8,
};

_Static_assert(U64SET_ARRAY_MAX * sizeof(uint16_t) == U64SET_BITMAP_BYTES, "a bitmap turns into an array in place");

struct u64set_chunk {
	uint64_t high;
	uint32_t count;
	uint16_t room; /* of an array */
	bool is_bitmap;
	union {
		uint16_t *array;
		uint64_t *bits;
	};
};

static inline bool
u64set_chunk_bit(const uint64_t *bits, uint32_t low)
{
	return (bits[low >> 6] >> (low & 63)) & 1;
}

/* The index of the first id >= low. */
static inline uint32_t
u64set_chunk_array_find(const uint16_t *array, uint32_t count, uint32_t low)
{
	uint32_t from = 0, to = count;

	while (from < to) {
		uint32_t middle = (from + to) / 2;

		if (array[middle] < low)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static inline bool
u64set_chunk_has(const struct u64set_chunk *chunk, uint32_t low)
{
	uint32_t i;

	if (chunk->is_bitmap)
		return u64set_chunk_bit(chunk->bits, low);
	i = u64set_chunk_array_find(chunk->array, chunk->count, low);
	return i < chunk->count && chunk->array[i] == low;
}

NODISCARD int u64set_chunk_copy(struct mem *mem, const struct u64set_chunk *chunk, struct u64set_chunk *out);
NODISCARD int u64set_chunk_add(struct mem *mem, struct u64set_chunk *chunk, uint32_t low);
/* Adds n <= U64SET_ARRAY_MAX ascending distinct ids. */
NODISCARD int u64set_chunk_add_array(struct mem *mem, struct u64set_chunk *chunk, const uint16_t *ids, uint32_t n);
NODISCARD int u64set_chunk_union(struct mem *mem, struct u64set_chunk *chunk, const struct u64set_chunk *other);
void u64set_chunk_intersect(struct u64set_chunk *chunk, const struct u64set_chunk *other);
void u64set_chunk_subtract(struct u64set_chunk *chunk, const struct u64set_chunk *other);

#endif
