/*
 * cache.h -- immutable byte blobs by (owner, offset), within a budget.
 * floor: base     uses: mem.h thread.h     used by: part, index
 *
 *   key -> shard (by hash) -> bucket chain -> entry [head | bytes]
 *                             ring of the shard: the hand goes round, clears marks, evicts what is unmarked and idle
 *
 * A reader that misses makes an entry, fills it, and inserts it; between two who race, the first insertion wins and both
 * get its entry. Owners are numbers that are never reused (a counter), so a dropped owner cannot come back.
 *
 * Invariants
 *  (1) The bytes of an inserted entry never change; they stay valid until the last holder releases it, also after
 *      eviction and cache_drop.
 *  (2) The bytes in the table are at most the budget, plus what is held at the moment.
 * Errors     ERR_MEMORY from making an entry or the cache; inserting cannot fail.
 * Invariants hold per shard: each has its part of the budget, and keeps nothing that is larger.
 * Threads    any; one lock per shard, held for a few dozen instructions.
 */
#ifndef TSE_CACHE_H
#define TSE_CACHE_H

#include "base/mem.h"

struct cache;

struct cache_entry {
	const uint8_t *data; /* behind the head, aligned to 16 */
	size_t len;
	/* the rest is cache.c's */
	struct cache_entry *hash_next, *owner_next, **owner_link, *ring_next, *ring_prev;
	uint64_t owner, offset;
	uint32_t holders; /* under the shard's lock */
	bool marked;      /* used since the hand came by */
	bool in_table;
};

/* shards 0: 16. A budget of 0 keeps nothing. */
NODISCARD int cache_create(struct mem *mem, uint64_t budget_bytes, unsigned shards, struct cache **out);
/* Everything must have been released. NULL is fine. */
void cache_destroy(struct cache *cache);

/* Held, or NULL when it is not there. */
struct cache_entry *cache_get(struct cache *cache, uint64_t owner, uint64_t offset);
/* An entry of len bytes held by the caller alone; fill it through *data, then insert or release it. */
NODISCARD int cache_make(struct cache *cache, size_t len, uint8_t **data, struct cache_entry **out);
/* The entry, or the one that somebody inserted before (then the given one is freed); held. len may shrink before. */
struct cache_entry *cache_insert(struct cache *cache, struct cache_entry *entry, uint64_t owner, uint64_t offset);
void cache_release(struct cache *cache, struct cache_entry *entry); /* NULL is fine */
/* Forgets all entries of the owner; those held live until they are released. */
void cache_drop(struct cache *cache, uint64_t owner);
/* A new budget; a smaller one evicts at once. */
void cache_set_budget(struct cache *cache, uint64_t budget_bytes);

struct cache_stats {
	uint64_t hits, misses, evictions, entries, bytes, budget_bytes;
};
void cache_stats(struct cache *cache, struct cache_stats *out);

#endif
