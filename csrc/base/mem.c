/*
 * mem.c -- counted malloc with a limit and injected failures.
 * floor: base     uses: mem.h err.h     used by: everyone
 *
 *   OFFSET  SIZE  what
 *   -16     8     bytes asked for
 *   -8      8     the account they are counted in
 *   0       n     the caller's bytes, aligned to 16
 *
 * The account is charged before malloc is asked and refunded when it fails, so that two threads cannot pass the limit
 * together.
 */
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

struct head {
	uint64_t size;
	struct mem *account;
};

_Static_assert(sizeof(struct head) <= 16, "the head must fit before an aligned block");

enum { HEAD_BYTES = 16 };

/* No allocation of the engine comes near; keeps every size sum below from overflowing. */
#define BLOCK_BYTES_MAX (UINT64_C(1) << 46)

static struct head *
head_of(void *p)
{
	return (struct head *)((uint8_t *)p - HEAD_BYTES);
}

void
mem_init(struct mem *mem, uint64_t limit_bytes)
{
	memset(mem, 0, sizeof(*mem));
	mem->limit_bytes = limit_bytes;
}

/* Counts the call and adds `grow` bytes to the account; false when a test or the limit forbids it. */
static bool
charge(struct mem *mem, uint64_t n, uint64_t grow)
{
	uint64_t call = atomic_fetch_add_explicit(&mem->calls, 1, memory_order_relaxed) + 1;
	uint64_t fail_at = mem->fail_at;
	uint64_t used, peak;

	if (UNLIKELY(fail_at != 0 && (call == fail_at || (call > fail_at && mem->fail_for_ever)))) {
		(void)ERR(ERR_MEMORY, "allocation %" PRIu64 " of %" PRIu64 " bytes was told to fail", call, n);
		return false;
	}
	if (UNLIKELY(n > BLOCK_BYTES_MAX)) {
		(void)ERR(ERR_MEMORY, "an allocation of %" PRIu64 " bytes is more than any block may have", n);
		return false;
	}
	used = atomic_fetch_add_explicit(&mem->used_bytes, grow, memory_order_relaxed) + grow;
	if (UNLIKELY(mem->limit_bytes != 0 && used > mem->limit_bytes)) {
		(void)atomic_fetch_sub_explicit(&mem->used_bytes, grow, memory_order_relaxed);
		(void)ERR(ERR_MEMORY,
		    "%" PRIu64 " more bytes are over the memory limit of %" PRIu64 " (in use: %" PRIu64 ")", grow,
		    mem->limit_bytes, used - grow);
		return false;
	}
	peak = atomic_load_explicit(&mem->peak_bytes, memory_order_relaxed);
	while (used > peak &&
	    !atomic_compare_exchange_weak_explicit(&mem->peak_bytes, &peak, used, memory_order_relaxed,
		memory_order_relaxed))
		continue;
	return true;
}

static void *
allocate(struct mem *mem, size_t n, bool zeroed)
{
	struct head *head;

	if (!charge(mem, n, n))
		return NULL;
	head = zeroed ? calloc(1, HEAD_BYTES + n) : malloc(HEAD_BYTES + n);
	if (UNLIKELY(head == NULL)) {
		(void)atomic_fetch_sub_explicit(&mem->used_bytes, n, memory_order_relaxed);
		(void)ERR(ERR_MEMORY, "the system has no memory for %zu bytes", n);
		return NULL;
	}
	head->size = n;
	head->account = mem;
	(void)atomic_fetch_add_explicit(&mem->live_blocks, 1, memory_order_relaxed);
	return (uint8_t *)head + HEAD_BYTES;
}

void *
mem_alloc(struct mem *mem, size_t n)
{
	return allocate(mem, n, false);
}

void *
mem_zalloc(struct mem *mem, size_t n)
{
	return allocate(mem, n, true);
}

void *
mem_array(struct mem *mem, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total)) {
		(void)ERR(ERR_MEMORY, "an array of %zu elements of %zu bytes overflows", n, size);
		return NULL;
	}
	return mem_alloc(mem, total);
}

void *
mem_realloc(struct mem *mem, void *p, size_t n)
{
	struct head *head, *moved;
	uint64_t old;

	if (p == NULL)
		return mem_alloc(mem, n);
	head = head_of(p);
	assert(head->account == mem);
	old = head->size;
	if (!charge(mem, n, n > old ? n - old : 0))
		return NULL;
	moved = realloc(head, HEAD_BYTES + n);
	if (UNLIKELY(moved == NULL)) {
		if (n > old)
			(void)atomic_fetch_sub_explicit(&mem->used_bytes, n - old, memory_order_relaxed);
		(void)ERR(ERR_MEMORY, "the system has no memory for %zu bytes", n);
		return NULL;
	}
	if (n < old)
		(void)atomic_fetch_sub_explicit(&mem->used_bytes, old - n, memory_order_relaxed);
	moved->size = n;
	return (uint8_t *)moved + HEAD_BYTES;
}

void
mem_free(struct mem *mem, void *p)
{
	struct head *head;

	if (p == NULL)
		return;
	head = head_of(p);
	assert(head->account == mem);
	(void)atomic_fetch_sub_explicit(&mem->used_bytes, head->size, memory_order_relaxed);
	(void)atomic_fetch_sub_explicit(&mem->live_blocks, 1, memory_order_relaxed);
	free(head);
}

char *
mem_strdup(struct mem *mem, const char *text)
{
	size_t n = strlen(text) + 1;
	char *copy = mem_alloc(mem, n);

	if (copy != NULL)
		memcpy(copy, text, n);
	return copy;
}

char *
mem_printf(struct mem *mem, const char *fmt, ...)
{
	va_list args;
	char *text;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0) {
		(void)ERR_BUG("a text cannot be formatted: %s", fmt);
		return NULL;
	}
	text = mem_alloc(mem, (size_t)n + 1);
	if (text == NULL)
		return NULL;
	va_start(args, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, args);
	va_end(args);
	return text;
}
