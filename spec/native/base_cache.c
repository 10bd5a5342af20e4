/*
 * base_cache.c -- many threads on one cache; every entry's bytes tell its key.
 * Used by spec/base/cache_spec.lua.
 */
#include "base/cache.h"

#include "base/err.h"
#include "base/thread.h"

struct hammer {
	struct cache *cache;
	uint64_t seed;
	uint32_t rounds;
	uint64_t wrong;
};

static void
fill(uint8_t *data, size_t len, uint64_t owner, uint64_t offset)
{
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (uint8_t)(owner * 31 + offset * 7 + i);
}

static bool
is_right(const struct cache_entry *entry, uint64_t owner, uint64_t offset)
{
	size_t i;

	for (i = 0; i < entry->len; i++)
		if (entry->data[i] != (uint8_t)(owner * 31 + offset * 7 + i))
			return false;
	return entry->len == 100 + offset % 50;
}

static void *
run(void *arg)
{
	struct hammer *hammer = arg;
	uint64_t x = hammer->seed * 2 + 1;
	uint32_t i;

	for (i = 0; i < hammer->rounds; i++) {
		uint64_t owner, offset;
		struct cache_entry *entry;
		uint8_t *data;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		owner = x % 7;
		offset = (x >> 8) % 200;
		if (x % 1000 == 0) {
			cache_drop(hammer->cache, owner);
			continue;
		}
		entry = cache_get(hammer->cache, owner, offset);
		if (entry == NULL) {
			if (cache_make(hammer->cache, 100 + offset % 50, &data, &entry) != 0)
				continue;
			fill(data, entry->len, owner, offset);
			entry = cache_insert(hammer->cache, entry, owner, offset);
		}
		hammer->wrong += !is_right(entry, owner, offset);
		cache_release(hammer->cache, entry);
	}
	return NULL;
}

int tt_cache_hammer(struct mem *mem, uint64_t seed, unsigned threads, uint32_t rounds, uint64_t budget,
    struct cache_stats *stats);
int tt_cache_put(struct cache *cache, uint64_t owner, uint64_t offset, size_t len, struct cache_entry **out);

int
tt_cache_hammer(struct mem *mem, uint64_t seed, unsigned threads, uint32_t rounds, uint64_t budget,
    struct cache_stats *stats)
{
	struct hammer hammers[16];
	struct thread ids[16];
	struct cache *cache;
	unsigned i;
	int rc;

	assert(threads <= 16);
	TRY(cache_create(mem, budget, 4, &cache));
	for (i = 0; i < threads; i++) {
		hammers[i] = (struct hammer){ .cache = cache, .seed = seed + i, .rounds = rounds };
		TRY(thread_start(&ids[i], run, &hammers[i], "hammer"));
	}
	for (i = 0; i < threads; i++)
		thread_join(&ids[i]);
	cache_stats(cache, stats);
	rc = 0;
	for (i = 0; i < threads; i++)
		if (hammers[i].wrong > 0)
			rc = ERR(ERR_BUG_CODE, "%llu reads gave other bytes", (unsigned long long)hammers[i].wrong);
	if (stats->bytes > budget)
		rc = ERR(ERR_BUG_CODE, "%llu bytes are over the budget", (unsigned long long)stats->bytes);
	cache_destroy(cache);
	return rc;
}

/* Makes, fills and inserts; the entry stays held. */
int
tt_cache_put(struct cache *cache, uint64_t owner, uint64_t offset, size_t len, struct cache_entry **out)
{
	uint8_t *data;

	TRY(cache_make(cache, len, &data, out));
	fill(data, len, owner, offset);
	*out = cache_insert(cache, *out, owner, offset);
	return 0;
}
