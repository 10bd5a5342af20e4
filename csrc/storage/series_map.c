/*
 * series_map.c -- dense series number -> TSID.
 * floor: storage     uses: series_map.h     used by: storage
 */
#include "storage/series_map.h"

#include <stdatomic.h>

#include "base/err.h"

enum {
	CHUNK_SERIES = 1 << SERIES_CHUNK_BITS,
	MIDDLE_CHUNKS = 1 << SERIES_MIDDLE_BITS,
	ROOT_MIDDLES = 1 << SERIES_ROOT_BITS
};

#define NUMBERS_MAX (UINT64_C(1) << 32)
_Static_assert(SERIES_CHUNK_BITS + SERIES_MIDDLE_BITS + SERIES_ROOT_BITS == 32, "a number has 32 bits");

static unsigned
root_at(uint32_t number)
{
	return number >> (SERIES_CHUNK_BITS + SERIES_MIDDLE_BITS);
}

static unsigned
middle_at(uint32_t number)
{
	return number >> SERIES_CHUNK_BITS & (MIDDLE_CHUNKS - 1);
}

static unsigned
chunk_at(uint32_t number)
{
	return number & (CHUNK_SERIES - 1);
}

void
series_map_init(struct tsid_map *map, struct mem *mem)
{
	memset(map, 0, sizeof(*map));
	map->mem = mem;
	lock_init(&map->lock);
}

void
series_map_destroy(struct tsid_map *map)
{
	for (unsigned r = 0; r < ROOT_MIDDLES; r++) {
		struct series_middle *middle = map->root[r];

		for (unsigned m = 0; middle != NULL && m < MIDDLE_CHUNKS; m++)
			mem_free(map->mem, middle->chunks[m]);
		mem_free(map->mem, middle);
		map->root[r] = NULL;
	}
	lock_destroy(&map->lock);
}

/* Makes the chunk of a number; the lock is held. */
static int
chunk_make(struct tsid_map *map, uint32_t number)
{
	struct series_middle *middle = map->root[root_at(number)];
	struct series_chunk *chunk;

	if (middle == NULL) {
		middle = mem_zalloc(map->mem, sizeof(*middle));
		if (middle == NULL)
			return ERR_MEMORY;
		atomic_store_explicit(&map->root[root_at(number)], middle, memory_order_release);
	}
	if (middle->chunks[middle_at(number)] != NULL)
		return 0;
	chunk = mem_alloc(map->mem, sizeof(*chunk));
	if (chunk == NULL)
		return ERR_MEMORY;
	atomic_store_explicit(&middle->chunks[middle_at(number)], chunk, memory_order_release);
	return 0;
}

int
series_map_add(struct tsid_map *map, const struct tsid *tsid, uint32_t *number)
{
	int rc = 0;
	uint32_t n;

	lock_take(&map->lock);
	n = (uint32_t)map->next;
	if (map->next - map->first >= NUMBERS_MAX) {
		rc = ERR(ERR_LIMIT, "all series numbers are in use: flush, or open the database again");
		goto out;
	}
	if (chunk_at(n) == 0)
		TRY_GOTO(out, chunk_make(map, n));
	map->root[root_at(n)]->chunks[middle_at(n)]->tsids[chunk_at(n)] = *tsid;
	map->next++;
	*number = n;
out:
	lock_release(&map->lock);
	return rc;
}

const struct tsid *
series_map_get(const struct tsid_map *map, uint32_t number)
{
	const struct series_middle *middle = atomic_load_explicit(&map->root[root_at(number)], memory_order_acquire);

	assert(middle != NULL);
	return &atomic_load_explicit(&middle->chunks[middle_at(number)], memory_order_acquire)->tsids[chunk_at(number)];
}

void
series_map_retire(struct tsid_map *map, uint64_t *before)
{
	lock_take(&map->lock);
	map->next = (map->next + CHUNK_SERIES - 1) / CHUNK_SERIES * CHUNK_SERIES; /* invariant 2 */
	map->retired = map->next;
	*before = map->retired;
	lock_release(&map->lock);
}

void
series_map_reclaim(struct tsid_map *map, uint64_t before)
{
	lock_take(&map->lock);
	for (; map->first < before; map->first += CHUNK_SERIES) {
		struct series_middle *middle = map->root[root_at((uint32_t)map->first)];
		unsigned m = middle_at((uint32_t)map->first);

		mem_free(map->mem, middle->chunks[m]);
		middle->chunks[m] = NULL;
	}
	lock_release(&map->lock);
}

uint64_t
series_map_count(struct tsid_map *map)
{
	uint64_t count;

	lock_take(&map->lock);
	count = map->next - map->retired;
	lock_release(&map->lock);
	return count;
}
