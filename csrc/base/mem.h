/*
 * mem.h -- every allocation of the engine, counted against one account per open database.
 * floor: base     uses: err.h     used by: everyone
 *
 * A block carries a 16-byte head (size, account), so that freeing needs no size and the account is exact. Memory is
 * aligned to 16 bytes. Blocks may be freed on any thread.
 *
 * Invariants
 *  (1) mem_used() is the sum of the sizes of the live blocks; after close it is 0, mem_live() too.
 *  (2) A failed allocation has no effect but the thread's last error (ERR_MEMORY).
 * Errors     NULL means: over the limit, malloc failed, or a test asked for it; the last error is set.
 * Threads    any; counters are atomic.
 */
#ifndef TSE_MEM_H
#define TSE_MEM_H

#include "base/base.h"

struct mem {
	_Atomic uint64_t used_bytes;
	_Atomic uint64_t peak_bytes;
	_Atomic uint64_t live_blocks;
	_Atomic uint64_t calls;     /* allocations so far: what fail_at counts */
	uint64_t limit_bytes;       /* 0: none */
	_Atomic uint64_t fail_at;   /* test: fail the n-th call from the start, 1-based; 0: never */
	_Atomic bool fail_for_ever; /* test: and every later one */
};

void mem_init(struct mem *mem, uint64_t limit_bytes);
/* n may be 0: then a valid pointer to no bytes. Contents undefined. */
void *mem_alloc(struct mem *mem, size_t n) NODISCARD;
void *mem_zalloc(struct mem *mem, size_t n) NODISCARD;
/* n elements of size bytes, overflow checked. */
void *mem_array(struct mem *mem, size_t n, size_t size) NODISCARD;
/* p may be NULL. On failure NULL, and p is untouched. */
void *mem_realloc(struct mem *mem, void *p, size_t n) NODISCARD;
/* p may be NULL. */
void mem_free(struct mem *mem, void *p);
/* A terminated copy. */
char *mem_strdup(struct mem *mem, const char *text) NODISCARD;
/* printf into a fresh terminated string. */
char *mem_printf(struct mem *mem, const char *fmt, ...) NODISCARD PRINTF_LIKE(2, 3);

static inline uint64_t
mem_used(struct mem *mem)
{
	return mem->used_bytes;
}
static inline uint64_t
mem_live(struct mem *mem)
{
	return mem->live_blocks;
}

#endif
