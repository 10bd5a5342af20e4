/*
 * series_cache.c -- raw series keys -> dense series numbers.
 * floor: storage     uses: series_cache.h     used by: resolve, write, add
 */
#include "storage/series_cache.h"

#include <stdatomic.h>

#include "base/err.h"
#include "codec/hash.h"

enum { SLOTS_AT_FIRST = 1024, TAIL_BIT = 1 };

/* Any odd number with many bits: spreads what is xored together. */
#define MIX UINT64_C(0x9E3779B97F4A7C15)

/* -- Life ------------------------------------------------------------------------------------------------------------- */

static struct series_table *
table_make(struct series_cache *cache, uint64_t slots)
{
	struct series_table *table = mem_zalloc(cache->mem, sizeof(*table) + slots * sizeof(table->slots[0]));

	if (table == NULL)
		return NULL;
	table->mask = slots - 1;
	cache->bytes += slots * sizeof(table->slots[0]);
	return table;
}

static void
tables_free(struct series_cache *cache)
{
	struct series_table *table = cache->table;

	while (table != NULL) {
		struct series_table *older = table->older;

		mem_free(cache->mem, table);
		table = older;
	}
	cache->table = NULL;
}

int
series_cache_init(struct series_cache *cache, struct mem *mem)
{
	memset(cache, 0, sizeof(*cache));
	cache->mem = mem;
	lock_init(&cache->lock);
	arena_init(&cache->arena, mem);
	cache->table = table_make(cache, SLOTS_AT_FIRST);
	return cache->table != NULL ? 0 : ERR_MEMORY;
}

void
series_cache_destroy(struct series_cache *cache)
{
	if (cache->mem == NULL)
		return;
	tables_free(cache);
	arena_free(&cache->arena);
	lock_destroy(&cache->lock);
	cache->mem = NULL;
}

int
series_cache_clear(struct series_cache *cache)
{
	struct series_table *fresh;

	tables_free(cache);
	arena_free(&cache->arena);
	arena_init(&cache->arena, cache->mem);
	cache->bytes = 0;
	cache->count = 0;
	fresh = table_make(cache, SLOTS_AT_FIRST);
	cache->table = fresh;
	return fresh != NULL ? 0 : ERR_MEMORY;
}

/* -- Finding ------------------------------------------------------------------------------------------------------------ */

uint64_t
series_cache_hash(const struct series_space *space, struct bytes head)
{
	uint64_t tenant = (uint64_t)space->tenant.account << 32 | space->tenant.project;

	return hash_xxh3(head.data, head.len) ^ (tenant + 1) * MIX ^ space->options;
}

static uint64_t
tail_hash(uint64_t head_hash, struct bytes text)
{
	return (head_hash ^ hash_xxh3(text.data, text.len)) * MIX;
}

void
series_cache_prefetch(struct series_cache *cache, uint64_t hash)
{
	struct series_table *table = atomic_load_explicit(&cache->table, memory_order_acquire);

	if (LIKELY(table != NULL))
		__builtin_prefetch(&table->slots[hash & table->mask]);
}

void
series_cache_prefetch_entry(struct series_cache *cache, uint64_t hash)
{
	struct series_table *table = atomic_load_explicit(&cache->table, memory_order_acquire);
	uintptr_t target;

	if (UNLIKELY(table == NULL))
		return;
	target = atomic_load_explicit(&table->slots[hash & table->mask].target, memory_order_relaxed);
	if (target != 0) {
		const char *p = (const char *)(target & ~(uintptr_t)TAIL_BIT);

		__builtin_prefetch(p);
		__builtin_prefetch(p + 64);
		__builtin_prefetch(p + 128);
	}
}

static bool
entry_is(const struct series_entry *entry, const struct series_space *space, struct bytes head)
{
	return entry->head_bytes == head.len && entry->space.options == space->options &&
	    entry->space.tenant.account == space->tenant.account &&
	    entry->space.tenant.project == space->tenant.project && memcmp(entry->head, head.data, head.len) == 0;
}

struct series_entry *
series_cache_head(struct series_cache *cache, uint64_t hash, const struct series_space *space, struct bytes head)
{
	struct series_table *table = atomic_load_explicit(&cache->table, memory_order_acquire);

	if (UNLIKELY(table == NULL))
		return NULL;
	for (uint64_t at = hash & table->mask;; at = (at + 1) & table->mask) {
		uintptr_t target = atomic_load_explicit(&table->slots[at].target, memory_order_acquire);

		if (target == 0)
			return NULL;
		if (atomic_load_explicit(&table->slots[at].hash, memory_order_relaxed) != hash ||
		    (target & TAIL_BIT) != 0)
			continue;
		if (LIKELY(entry_is((struct series_entry *)target, space, head)))
			return (struct series_entry *)target;
	}
}

static bool
tail_is(const struct series_tail *tail, struct bytes text)
{
	return tail->text_bytes == text.len && (text.len == 0 || memcmp(tail->text, text.data, text.len) == 0);
}

static struct series_tail *
tail_in_table(struct series_cache *cache, const struct series_entry *entry, uint64_t hash, struct bytes text)
{
	struct series_table *table = atomic_load_explicit(&cache->table, memory_order_acquire);
	uint64_t wanted = tail_hash(hash, text);

	if (UNLIKELY(table == NULL))
		return NULL;
	for (uint64_t at = wanted & table->mask;; at = (at + 1) & table->mask) {
		uintptr_t target = atomic_load_explicit(&table->slots[at].target, memory_order_acquire);
		struct series_tail *tail = (struct series_tail *)(target & ~(uintptr_t)TAIL_BIT);

		if (target == 0)
			return NULL;
		if (atomic_load_explicit(&table->slots[at].hash, memory_order_relaxed) == wanted &&
		    (target & TAIL_BIT) != 0 && tail->entry == entry && tail_is(tail, text))
			return tail;
	}
}

struct series_tail *
series_cache_tail(struct series_cache *cache, struct series_entry *entry, uint64_t hash, struct series_tail *hint,
    struct bytes text)
{
	struct series_tail *tail;
	unsigned walked = 0;

	if (LIKELY(hint != NULL && tail_is(hint, text)))
		return hint;
	tail = atomic_load_explicit(&entry->first, memory_order_acquire);
	for (; tail != NULL && walked < SERIES_TAILS_WALKED; walked++) {
		if (tail_is(tail, text))
			return tail;
		tail = atomic_load_explicit(&tail->next, memory_order_acquire);
	}
	return tail == NULL ? NULL : tail_in_table(cache, entry, hash, text);
}

/* -- Adding: all under the lock -------------------------------------------------------------------------------------------- */

/* Puts a target into a table that has room; the reader sees the hash before the target. */
static void
slot_put(struct series_table *table, uint64_t hash, uintptr_t target)
{
	uint64_t at = hash & table->mask;

	while (atomic_load_explicit(&table->slots[at].target, memory_order_relaxed) != 0)
		at = (at + 1) & table->mask;
	atomic_store_explicit(&table->slots[at].hash, hash, memory_order_relaxed);
	atomic_store_explicit(&table->slots[at].target, target, memory_order_release);
	table->used++;
}

/* Makes sure that two more targets fit: at most half full, because readers walk to the next empty slot. */
static int
table_reserve(struct series_cache *cache)
{
	struct series_table *table = cache->table;
	struct series_table *larger;
	uint64_t slots;

	if (table != NULL && (table->used + 2) * 2 <= table->mask + 1)
		return 0;
	slots = table == NULL ? SLOTS_AT_FIRST : (table->mask + 1) * 2;
	larger = table_make(cache, slots);
	if (larger == NULL)
		return ERR_MEMORY;
	for (uint64_t i = 0; table != NULL && i <= table->mask; i++) {
		if (table->slots[i].target != 0)
			slot_put(larger, table->slots[i].hash, table->slots[i].target);
	}
	larger->older = table;
	atomic_store_explicit(&cache->table, larger, memory_order_release);
	return 0;
}

static size_t
aligned(size_t n)
{
	return (n + 15) & ~(size_t)15;
}

/* A head and its first tail stand together: one or two cache lines answer a key without a tail. */
static struct series_entry *
entry_make(struct series_cache *cache, const struct series_space *space, struct bytes head, size_t tail_bytes,
    struct series_tail **tail)
{
	size_t n = aligned(sizeof(struct series_entry) + head.len);
	struct series_entry *entry = arena_alloc(&cache->arena, n + tail_bytes);

	if (entry == NULL)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->space = *space;
	entry->head_bytes = (uint32_t)head.len;
	memcpy(entry->head, head.data, head.len);
	*tail = (struct series_tail *)((uint8_t *)entry + n);
	cache->bytes += n;
	return entry;
}

static void
tail_fill(struct series_tail *tail, struct series_entry *entry, struct bytes text, uint32_t number, uint64_t state)
{
	memset(tail, 0, sizeof(*tail));
	tail->entry = entry;
	tail->text_bytes = (uint32_t)text.len;
	if (text.len != 0)
		memcpy(tail->text, text.data, text.len);
	tail->ref.number = number;
	tail->ref.state = state;
}

static int
insert_locked(struct series_cache *cache, uint64_t hash, const struct series_space *space, struct bytes head,
    struct bytes text, uint32_t number, uint64_t state, struct series_tail **out)
{
	struct series_entry *entry = series_cache_head(cache, hash, space, head);
	size_t bytes = sizeof(struct series_tail) + text.len;
	struct series_tail *tail = NULL;
	bool fresh = entry == NULL;

	if (!fresh) {
		*out = series_cache_tail(cache, entry, hash, NULL, text);
		if (*out != NULL)
			return 0;
	}
	TRY(table_reserve(cache));
	if (fresh)
		entry = entry_make(cache, space, head, bytes, &tail);
	else
		tail = arena_alloc(&cache->arena, bytes);
	if (entry == NULL || tail == NULL)
		return ERR_MEMORY;
	tail_fill(tail, entry, text, number, state);
	cache->bytes += aligned(bytes);
	cache->count++;
	if (fresh)
		atomic_store_explicit(&entry->first, tail, memory_order_release);
	else
		atomic_store_explicit(&entry->last->next, tail, memory_order_release);
	entry->last = tail;
	if (fresh)
		slot_put(cache->table, hash, (uintptr_t)entry);
	if (++entry->tails_count > SERIES_TAILS_WALKED)
		slot_put(cache->table, tail_hash(hash, text), (uintptr_t)tail | TAIL_BIT);
	*out = tail;
	return 0;
}

int
series_cache_insert(struct series_cache *cache, uint64_t hash, const struct series_space *space, struct bytes head,
    struct bytes text, uint32_t number, uint64_t state, struct series_tail **out)
{
	int rc;

	lock_take(&cache->lock);
	rc = insert_locked(cache, hash, space, head, text, number, state, out);
	lock_release(&cache->lock);
	return rc;
}
