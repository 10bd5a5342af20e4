/*
 * arena.c -- a region of chunks.
 * floor: base     uses: arena.h err.h     used by: everyone
 *
 *   chunks -> [head | ..used.. next ..free.. end] -> [head | full] -> [head | own chunk of a large request] -> NULL
 *
 * Only the first chunk is filled. A request larger than the next chunk would be gets its own chunk, put behind the
 * first, so that the free tail of the first is not lost.
 */
#include "base/arena.h"

#include "base/err.h"

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* bytes behind the head */
};

enum { CHUNK_BYTES_MIN = 4096, CHUNK_BYTES_MAX = 1 << 20, HEAD_BYTES = 16, ALIGN_BYTES = 16 };

_Static_assert(sizeof(struct arena_chunk) <= HEAD_BYTES, "the head must keep the content aligned");

static uint8_t *
chunk_data(struct arena_chunk *chunk)
{
	return (uint8_t *)chunk + HEAD_BYTES;
}

void
arena_init(struct arena *arena, struct mem *mem)
{
	*arena = (struct arena){ .mem = mem };
}

void
arena_free(struct arena *arena)
{
	struct arena_chunk *chunk, *next;

	for (chunk = arena->chunks; chunk != NULL; chunk = next) {
		next = chunk->next;
		mem_free(arena->mem, chunk);
	}
	arena_init(arena, arena->mem);
}

void
arena_reset(struct arena *arena)
{
	struct arena_chunk *chunk, *next, *largest = arena->chunks;

	for (chunk = arena->chunks; chunk != NULL; chunk = chunk->next)
		if (chunk->size > largest->size)
			largest = chunk;
	for (chunk = arena->chunks; chunk != NULL; chunk = next) {
		next = chunk->next;
		if (chunk != largest)
			mem_free(arena->mem, chunk);
	}
	arena->chunks = largest;
	arena->used_bytes = 0;
	if (largest == NULL)
		return;
	largest->next = NULL;
	arena->next = chunk_data(largest);
	arena->end = arena->next + largest->size;
}

static struct arena_chunk *
chunk_new(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk;

	if (size > SIZE_MAX - HEAD_BYTES) {
		(void)ERR(ERR_MEMORY, "an arena chunk of %zu bytes overflows", size);
		return NULL;
	}
	chunk = mem_alloc(arena->mem, HEAD_BYTES + size);
	if (chunk != NULL)
		chunk->size = size;
	return chunk;
}

/* n bytes at the start of a fresh chunk. */
static uint8_t *
grow(struct arena *arena, size_t n)
{
	size_t size = arena->chunks == NULL ? CHUNK_BYTES_MIN : arena->chunks->size * 2;
	struct arena_chunk *chunk;

	/* the head counts: the allocator then sees round sizes */
	size = size < CHUNK_BYTES_MIN ? CHUNK_BYTES_MIN : size > CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX : size;
	if (n > size) {
		chunk = chunk_new(arena, n);
		if (chunk == NULL)
			return NULL;
		if (arena->chunks == NULL) {
			chunk->next = NULL;
			arena->chunks = chunk;
			arena->next = arena->end = chunk_data(chunk) + n;
		} else {
			chunk->next = arena->chunks->next;
			arena->chunks->next = chunk;
		}
		return chunk_data(chunk);
	}
	chunk = chunk_new(arena, size);
	if (chunk == NULL)
		return NULL;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	arena->next = chunk_data(chunk) + n;
	arena->end = chunk_data(chunk) + size;
	return chunk_data(chunk);
}

void *
arena_alloc(struct arena *arena, size_t n)
{
	size_t padding = (size_t)(-(uintptr_t)arena->next & (ALIGN_BYTES - 1));
	size_t room = (size_t)(arena->end - arena->next);
	uint8_t *p;

	if (LIKELY(room >= padding && room - padding >= n && arena->next != NULL)) {
		p = arena->next + padding;
		arena->next = p + n;
	} else {
		p = grow(arena, n);
	}
	if (p != NULL)
		arena->used_bytes += n;
	return p;
}

uint8_t *
arena_bytes(struct arena *arena, size_t n)
{
	uint8_t *p;

	if (LIKELY((size_t)(arena->end - arena->next) >= n && arena->next != NULL)) { /* no bytes are not NULL */
		p = arena->next;
		arena->next += n;
	} else {
		p = grow(arena, n);
	}
	if (p != NULL)
		arena->used_bytes += n;
	return p;
}

uint8_t *
arena_copy(struct arena *arena, const void *data, size_t n)
{
	uint8_t *p = arena_bytes(arena, n);

	if (p != NULL && n != 0)
		memcpy(p, data, n);
	return p;
}
