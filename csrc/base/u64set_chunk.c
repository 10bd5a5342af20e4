/*
 * u64set_chunk.c -- sorted u16 arrays when thin, bitmaps when thick.
 * floor: base     uses: u64set_chunk.h err.h     used by: u64set.c
 */
#include "base/u64set_chunk.h"

#include "base/err.h"

enum { ARRAY_ROOM_MIN = 4 };

static bool
bit_set(uint64_t *bits, uint32_t low)
{
	uint64_t mask = UINT64_C(1) << (low & 63);
	bool fresh = (bits[low >> 6] & mask) == 0;

	bits[low >> 6] |= mask;
	return fresh;
}

static uint32_t
bits_count(const uint64_t *bits)
{
	uint32_t count = 0;
	size_t i;

	for (i = 0; i < U64SET_BITMAP_WORDS; i++)
		count += (uint32_t)__builtin_popcountll(bits[i]);
	return count;
}

/* The ids of a bitmap in order; there are at most U64SET_ARRAY_MAX. */
static uint32_t
bits_to_array(const uint64_t *bits, uint16_t *array)
{
	uint32_t n = 0, i;

	for (i = 0; i < U64SET_BITMAP_WORDS; i++) {
		uint64_t word;

		for (word = bits[i]; word != 0; word &= word - 1)
			array[n++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(word));
	}
	return n;
}

static int
chunk_reserve(struct mem *mem, struct u64set_chunk *chunk, uint32_t need)
{
	uint32_t room = chunk->room < ARRAY_ROOM_MIN ? ARRAY_ROOM_MIN : chunk->room;
	uint16_t *array;

	assert(!chunk->is_bitmap && need <= U64SET_ARRAY_MAX);
	if (chunk->room >= need)
		return 0;
	while (room < need)
		room *= 2;
	array = mem_realloc(mem, chunk->array, room * sizeof(*array));
	if (array == NULL)
		return ERR_MEMORY;
	chunk->array = array;
	chunk->room = (uint16_t)room;
	return 0;
}

static int
chunk_to_bitmap(struct mem *mem, struct u64set_chunk *chunk)
{
	uint64_t *bits = mem_zalloc(mem, U64SET_BITMAP_BYTES);
	uint32_t i;

	if (bits == NULL)
		return ERR_MEMORY;
	for (i = 0; i < chunk->count; i++)
		bit_set(bits, chunk->array[i]);
	mem_free(mem, chunk->array);
	chunk->bits = bits;
	chunk->is_bitmap = true;
	return 0;
}

/* Replaces a chunk's ids by count <= U64SET_ARRAY_MAX others, for which its memory is large enough. */
static void
chunk_shrink_to(struct u64set_chunk *chunk, const uint16_t *ids, uint32_t count)
{
	if (chunk->is_bitmap) {
		chunk->is_bitmap = false;
		chunk->room = U64SET_ARRAY_MAX;
	}
	assert(count <= chunk->room);
	memcpy(chunk->array, ids, count * sizeof(*ids));
	chunk->count = count;
}

/* A bitmap whose bits changed: counts them, and becomes an array when thin. */
static void
chunk_settle(struct u64set_chunk *chunk)
{
	uint16_t ids[U64SET_ARRAY_MAX];

	chunk->count = bits_count(chunk->bits);
	if (chunk->count <= U64SET_ARRAY_MAX)
		chunk_shrink_to(chunk, ids, bits_to_array(chunk->bits, ids));
}

int
u64set_chunk_copy(struct mem *mem, const struct u64set_chunk *chunk, struct u64set_chunk *out)
{
	size_t bytes = chunk->is_bitmap ? U64SET_BITMAP_BYTES : chunk->count * sizeof(uint16_t);
	void *data = mem_alloc(mem, bytes);

	if (data == NULL)
		return ERR_MEMORY;
	memcpy(data, chunk->is_bitmap ? (const void *)chunk->bits : (const void *)chunk->array, bytes);
	*out = *chunk;
	out->array = data;
	out->room = chunk->is_bitmap ? 0 : (uint16_t)chunk->count;
	return 0;
}

int
u64set_chunk_add(struct mem *mem, struct u64set_chunk *chunk, uint32_t low)
{
	uint32_t at;

	if (!chunk->is_bitmap) {
		at = chunk->count > 0 && chunk->array[chunk->count - 1] < low
		    ? chunk->count
		    : u64set_chunk_array_find(chunk->array, chunk->count, low);
		if (at < chunk->count && chunk->array[at] == low)
			return 0;
		if (chunk->count < U64SET_ARRAY_MAX) {
			TRY(chunk_reserve(mem, chunk, chunk->count + 1));
			memmove(&chunk->array[at + 1], &chunk->array[at], (chunk->count - at) * sizeof(*chunk->array));
			chunk->array[at] = (uint16_t)low;
			chunk->count++;
			return 0;
		}
		TRY(chunk_to_bitmap(mem, chunk));
	}
	if (bit_set(chunk->bits, low))
		chunk->count++;
	return 0;
}

/* Merges two ascending lists without repeating; returns how many. */
static uint32_t
merge_arrays(const uint16_t *a, uint32_t a_count, const uint16_t *b, uint32_t b_count, uint16_t *out)
{
	uint32_t i = 0, j = 0, n = 0;

	while (i < a_count && j < b_count) {
		uint16_t x = a[i], y = b[j];

		out[n++] = x < y ? x : y;
		i += x <= y;
		j += y <= x;
	}
	while (i < a_count)
		out[n++] = a[i++];
	while (j < b_count)
		out[n++] = b[j++];
	return n;
}

/* Adds ascending distinct ids to an array or bitmap chunk. */
int
u64set_chunk_add_array(struct mem *mem, struct u64set_chunk *chunk, const uint16_t *ids, uint32_t n)
{
	uint16_t merged[2 * U64SET_ARRAY_MAX];
	uint32_t i;

	assert(n <= U64SET_ARRAY_MAX);
	if (!chunk->is_bitmap) {
		uint32_t count = merge_arrays(chunk->array, chunk->count, ids, n, merged);

		if (count <= U64SET_ARRAY_MAX) {
			TRY(chunk_reserve(mem, chunk, count));
			memcpy(chunk->array, merged, count * sizeof(*merged));
			chunk->count = count;
			return 0;
		}
		TRY(chunk_to_bitmap(mem, chunk));
	}
	for (i = 0; i < n; i++)
		chunk->count += bit_set(chunk->bits, ids[i]);
	return 0;
}

int
u64set_chunk_union(struct mem *mem, struct u64set_chunk *chunk, const struct u64set_chunk *other)
{
	size_t i;

	if (!other->is_bitmap)
		return u64set_chunk_add_array(mem, chunk, other->array, other->count);
	if (!chunk->is_bitmap)
		TRY(chunk_to_bitmap(mem, chunk));
	for (i = 0; i < U64SET_BITMAP_WORDS; i++)
		chunk->bits[i] |= other->bits[i];
	chunk->count = bits_count(chunk->bits);
	return 0;
}

/* Keeps the ids of an array for which other has the wanted answer. */
static void
array_filter(struct u64set_chunk *chunk, const struct u64set_chunk *other, bool wanted)
{
	uint32_t i, n = 0;

	for (i = 0; i < chunk->count; i++) {
		uint16_t low = chunk->array[i];

		if (u64set_chunk_has(other, low) == wanted)
			chunk->array[n++] = low;
	}
	chunk->count = n;
}

void
u64set_chunk_intersect(struct u64set_chunk *chunk, const struct u64set_chunk *other)
{
	uint16_t ids[U64SET_ARRAY_MAX];
	uint32_t i, n = 0;

	if (!chunk->is_bitmap) {
		array_filter(chunk, other, true);
	} else if (!other->is_bitmap) {
		for (i = 0; i < other->count; i++)
			if (u64set_chunk_bit(chunk->bits, other->array[i]))
				ids[n++] = other->array[i];
		chunk_shrink_to(chunk, ids, n);
	} else {
		for (i = 0; i < U64SET_BITMAP_WORDS; i++)
			chunk->bits[i] &= other->bits[i];
		chunk_settle(chunk);
	}
}

void
u64set_chunk_subtract(struct u64set_chunk *chunk, const struct u64set_chunk *other)
{
	uint32_t i;

	if (!chunk->is_bitmap) {
		array_filter(chunk, other, false);
		return;
	}
	if (other->is_bitmap) {
		for (i = 0; i < U64SET_BITMAP_WORDS; i++)
			chunk->bits[i] &= ~other->bits[i];
	} else {
		for (i = 0; i < other->count; i++)
			chunk->bits[other->array[i] >> 6] &= ~(UINT64_C(1) << (other->array[i] & 63));
	}
	chunk_settle(chunk);
}
