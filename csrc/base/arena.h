/*
 * arena.h -- a region: many small allocations, one reset.
 * floor: base     uses: mem.h     used by: everyone
 *
 * Chunks double from 4 KiB to 1 MiB; larger requests get a chunk of their own. Nothing is freed singly. Reset keeps
 * the largest chunk, so a loop that resets between rounds stops allocating.
 *
 * Errors     NULL with ERR_MEMORY.
 * Threads    one at a time.
 */
#ifndef TSE_ARENA_H
#define TSE_ARENA_H

#include "base/mem.h"

struct arena_chunk;

struct arena {
	struct mem *mem;
	struct arena_chunk *chunks; /* newest first */
	uint8_t *next;
	uint8_t *end;
	size_t used_bytes; /* handed out since the last reset */
};

void arena_init(struct arena *arena, struct mem *mem);
void arena_free(struct arena *arena);
void arena_reset(struct arena *arena);
/* Aligned to 16 bytes. */
void *arena_alloc(struct arena *arena, size_t n) NODISCARD;
/* Not aligned: for byte strings. */
uint8_t *arena_bytes(struct arena *arena, size_t n) NODISCARD;
uint8_t *arena_copy(struct arena *arena, const void *data, size_t n) NODISCARD;

#endif
