/*
 * cache.c -- shards of a hash table whose entries also stand in a ring for the CLOCK hand.
 * floor: base     uses: cache.h thread.h err.h     used by: part, index
 *
 * An entry is in three lists of its shard: the chain of its key's bucket, the chain of its owner's bucket (so that a
 * dropped owner is found without walking the shard), and the ring. `holders` counts gets; an entry that left the table
 * while held is freed by the last release.
 *
 * CLOCK instead of LRU: a hit sets a mark, it does not move the entry, so hits write one byte under a short lock.
 */
#include "base/cache.h"

#include "base/err.h"
#include "base/thread.h"

enum { SHARDS_DEFAULT = 16, SHARDS_MAX = 1024, BUCKETS_MIN = 16 };

/* Every entry costs its head besides its bytes: small blobs must not make the budget a lie. */
enum { ENTRY_BYTES = (sizeof(struct cache_entry) + 15) / 16 * 16 };

struct shard {
	struct lock lock;
	struct cache_entry **by_key, **by_owner; /* chains; `buckets` of each */
	size_t buckets;                          /* a power of two */
	struct cache_entry *hand;                /* somewhere in the ring; NULL: empty */
	uint64_t entries, bytes, budget_bytes;
	uint64_t hits, misses, evictions;
};

struct cache {
	struct mem *mem;
	unsigned shards_count;
	struct shard *shards;
};

/* The finalizer of a 64-bit mixer: every input bit reaches every output bit. */
static uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= UINT64_C(0xD6E8FEB86659FD93);
	x ^= x >> 32;
	x *= UINT64_C(0xD6E8FEB86659FD93);
	return x ^ (x >> 32);
}

static uint64_t
key_hash(uint64_t owner, uint64_t offset)
{
	return mix(offset + mix(owner));
}

/* -- Lists of a shard (with its lock held) -------------------------------------------------------------------------- */

static struct cache_entry *
find(const struct shard *shard, uint64_t hash, uint64_t owner, uint64_t offset)
{
	struct cache_entry *entry;

	if (shard->buckets == 0)
		return NULL;
	for (entry = shard->by_key[hash & (shard->buckets - 1)]; entry != NULL; entry = entry->hash_next)
		if (entry->owner == owner && entry->offset == offset)
			return entry;
	return NULL;
}

static void
link_chains(struct shard *shard, struct cache_entry *entry)
{
	struct cache_entry **key = &shard->by_key[key_hash(entry->owner, entry->offset) & (shard->buckets - 1)];
	struct cache_entry **owner = &shard->by_owner[mix(entry->owner) & (shard->buckets - 1)];

	entry->hash_next = *key;
	*key = entry;
	entry->owner_next = *owner;
	entry->owner_link = owner;
	if (*owner != NULL)
		(*owner)->owner_link = &entry->owner_next;
	*owner = entry;
}

static void
link_ring(struct shard *shard, struct cache_entry *entry)
{
	if (shard->hand == NULL) {
		entry->ring_next = entry->ring_prev = entry;
		shard->hand = entry;
		return;
	}
	/* just behind the hand: it comes by last */
	entry->ring_next = shard->hand;
	entry->ring_prev = shard->hand->ring_prev;
	entry->ring_prev->ring_next = entry;
	shard->hand->ring_prev = entry;
}

static void
unlink_entry(struct shard *shard, struct cache_entry *entry)
{
	struct cache_entry **link = &shard->by_key[key_hash(entry->owner, entry->offset) & (shard->buckets - 1)];

	assert(entry->in_table);
	while (*link != entry)
		link = &(*link)->hash_next;
	*link = entry->hash_next;
	*entry->owner_link = entry->owner_next;
	if (entry->owner_next != NULL)
		entry->owner_next->owner_link = entry->owner_link;
	if (entry->ring_next == entry) {
		shard->hand = NULL;
	} else {
		if (shard->hand == entry)
			shard->hand = entry->ring_next;
		entry->ring_next->ring_prev = entry->ring_prev;
		entry->ring_prev->ring_next = entry->ring_next;
	}
	entry->in_table = false;
	shard->entries--;
	shard->bytes -= ENTRY_BYTES + entry->len;
}

static void
remove_entry(struct cache *cache, struct shard *shard, struct cache_entry *entry)
{
	unlink_entry(shard, entry);
	if (entry->holders == 0)
		mem_free(cache->mem, entry);
}

/* Twice as many buckets; when there is no memory the chains just stay longer. false: there are no buckets at all. */
static bool
grow(struct cache *cache, struct shard *shard)
{
	size_t buckets = shard->buckets == 0 ? BUCKETS_MIN : shard->buckets * 2;
	struct cache_entry **chains, *entry = shard->hand;

	chains = mem_zalloc(cache->mem, 2 * buckets * sizeof(struct cache_entry *));
	if (chains == NULL)
		return shard->buckets != 0;
	mem_free(cache->mem, shard->by_key);
	shard->by_key = chains;
	shard->by_owner = chains + buckets;
	shard->buckets = buckets;
	if (entry != NULL) {
		do {
			link_chains(shard, entry);
			entry = entry->ring_next;
		} while (entry != shard->hand);
	}
	return true;
}

/* Goes round at most twice: the first round may only clear marks. Held entries are passed over. */
static void
evict_to(struct cache *cache, struct shard *shard, uint64_t bytes)
{
	uint64_t steps = 2 * shard->entries;

	while (shard->bytes > bytes && shard->hand != NULL && steps-- > 0) {
		struct cache_entry *entry = shard->hand;

		shard->hand = entry->ring_next;
		if (entry->holders > 0)
			continue;
		if (entry->marked) {
			entry->marked = false;
			continue;
		}
		remove_entry(cache, shard, entry);
		shard->evictions++;
	}
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

int
cache_create(struct mem *mem, uint64_t budget_bytes, unsigned shards, struct cache **out)
{
	struct cache *cache = mem_zalloc(mem, sizeof(*cache));
	unsigned i;

	*out = NULL;
	if (cache == NULL)
		return ERR_MEMORY;
	cache->mem = mem;
	cache->shards_count = shards == 0 ? SHARDS_DEFAULT : shards > SHARDS_MAX ? SHARDS_MAX : shards;
	cache->shards = mem_zalloc(mem, cache->shards_count * sizeof(*cache->shards));
	if (cache->shards == NULL) {
		mem_free(mem, cache);
		return ERR_MEMORY;
	}
	for (i = 0; i < cache->shards_count; i++) {
		lock_init(&cache->shards[i].lock);
		cache->shards[i].budget_bytes = budget_bytes / cache->shards_count;
	}
	*out = cache;
	return 0;
}

void
cache_destroy(struct cache *cache)
{
	unsigned i;

	if (cache == NULL)
		return;
	for (i = 0; i < cache->shards_count; i++) {
		struct shard *shard = &cache->shards[i];

		while (shard->hand != NULL) {
			assert(shard->hand->holders == 0);
			remove_entry(cache, shard, shard->hand);
		}
		mem_free(cache->mem, shard->by_key);
		lock_destroy(&shard->lock);
	}
	mem_free(cache->mem, cache->shards);
	mem_free(cache->mem, cache);
}

/* -- Use ------------------------------------------------------------------------------------------------------------ */

/* The high half chooses the shard, the low half the bucket. */
static struct shard *
shard_of(struct cache *cache, uint64_t hash)
{
	return &cache->shards[(hash >> 32) % cache->shards_count];
}

struct cache_entry *
cache_get(struct cache *cache, uint64_t owner, uint64_t offset)
{
	uint64_t hash = key_hash(owner, offset);
	struct shard *shard = shard_of(cache, hash);
	struct cache_entry *entry;

	lock_take(&shard->lock);
	entry = find(shard, hash, owner, offset);
	if (entry != NULL) {
		entry->holders++;
		entry->marked = true;
		shard->hits++;
	} else {
		shard->misses++;
	}
	lock_release(&shard->lock);
	return entry;
}

int
cache_make(struct cache *cache, size_t len, uint8_t **data, struct cache_entry **out)
{
	struct cache_entry *entry;

	*out = NULL;
	if (len > SIZE_MAX - ENTRY_BYTES)
		return ERR(ERR_MEMORY, "a cache entry of %zu bytes overflows", len);
	entry = mem_alloc(cache->mem, ENTRY_BYTES + len);
	if (entry == NULL)
		return ERR_MEMORY;
	*data = (uint8_t *)entry + ENTRY_BYTES;
	*entry = (struct cache_entry){ .data = *data, .len = len, .holders = 1 };
	*out = entry;
	return 0;
}

struct cache_entry *
cache_insert(struct cache *cache, struct cache_entry *entry, uint64_t owner, uint64_t offset)
{
	uint64_t hash = key_hash(owner, offset), bytes = ENTRY_BYTES + entry->len;
	struct shard *shard = shard_of(cache, hash);
	struct cache_entry *before;

	assert(!entry->in_table && entry->holders == 1);
	entry->owner = owner;
	entry->offset = offset;
	lock_take(&shard->lock);
	before = find(shard, hash, owner, offset);
	if (before != NULL) {
		before->holders++;
		lock_release(&shard->lock);
		mem_free(cache->mem, entry);
		return before;
	}
	/* what is larger than the whole shard would only throw everything out and then itself */
	if (bytes <= shard->budget_bytes && (shard->entries < shard->buckets || grow(cache, shard))) {
		evict_to(cache, shard, shard->budget_bytes - bytes);
		link_chains(shard, entry);
		link_ring(shard, entry);
		entry->in_table = true;
		shard->entries++;
		shard->bytes += bytes;
	}
	lock_release(&shard->lock);
	return entry;
}

void
cache_release(struct cache *cache, struct cache_entry *entry)
{
	struct shard *shard;
	bool last;

	if (entry == NULL)
		return;
	/* an entry that was never inserted is the caller's alone, in any shard */
	shard = shard_of(cache, key_hash(entry->owner, entry->offset));
	lock_take(&shard->lock);
	assert(entry->holders > 0);
	entry->holders--;
	last = entry->holders == 0 && !entry->in_table;
	lock_release(&shard->lock);
	if (last)
		mem_free(cache->mem, entry);
}

static void
drop_in_shard(struct cache *cache, struct shard *shard, uint64_t owner)
{
	struct cache_entry *entry, *next;

	if (shard->buckets == 0)
		return;
	for (entry = shard->by_owner[mix(owner) & (shard->buckets - 1)]; entry != NULL; entry = next) {
		next = entry->owner_next;
		if (entry->owner == owner)
			remove_entry(cache, shard, entry);
	}
}

void
cache_drop(struct cache *cache, uint64_t owner)
{
	unsigned i;

	for (i = 0; i < cache->shards_count; i++) {
		lock_take(&cache->shards[i].lock);
		drop_in_shard(cache, &cache->shards[i], owner);
		lock_release(&cache->shards[i].lock);
	}
}

void
cache_set_budget(struct cache *cache, uint64_t budget_bytes)
{
	unsigned i;

	for (i = 0; i < cache->shards_count; i++) {
		struct shard *shard = &cache->shards[i];

		lock_take(&shard->lock);
		shard->budget_bytes = budget_bytes / cache->shards_count;
		evict_to(cache, shard, shard->budget_bytes);
		lock_release(&shard->lock);
	}
}

void
cache_stats(struct cache *cache, struct cache_stats *out)
{
	unsigned i;

	*out = (struct cache_stats){ .hits = 0 };
	for (i = 0; i < cache->shards_count; i++) {
		struct shard *shard = &cache->shards[i];

		lock_take(&shard->lock);
		out->hits += shard->hits;
		out->misses += shard->misses;
		out->evictions += shard->evictions;
		out->entries += shard->entries;
		out->bytes += shard->bytes;
		out->budget_bytes += shard->budget_bytes;
		lock_release(&shard->lock);
	}
}
