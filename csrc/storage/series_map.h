/*
 * series_map.h -- dense series number -> TSID: what raw rows hold instead of a TSID.
 * floor: storage     uses: part/mem_part.h base     used by: storage, table (through tsid_map_get_fn)
 *
 *   number = root (10 bits) | middle (10 bits) | place in a chunk of 4096 (12 bits)
 *
 * Numbers are given out in ascending order and never change their TSID, so that reading needs no lock. They are taken
 * back only together: series_map_retire ends the present set, and once no raw row holds a retired number any more
 * (the table says so by a flush ticket) series_map_reclaim frees the chunks.
 *
 * Invariants
 *  (1) A number that was given out resolves until it was retired and reclaimed.
 *  (2) A chunk holds numbers of one set only.
 * Errors     ERR_MEMORY; ERR_LIMIT when all 2^32 numbers are in use.
 * Threads    get: any; the rest takes the lock.
 */
#ifndef TSE_SERIES_MAP_H
#define TSE_SERIES_MAP_H

#include "base/mem.h"
#include "base/thread.h"
#include "part/mem_part.h"

enum { SERIES_CHUNK_BITS = 12, SERIES_MIDDLE_BITS = 10, SERIES_ROOT_BITS = 10 };

struct series_chunk {
	struct tsid tsids[1 << SERIES_CHUNK_BITS];
};

struct series_middle {
	_Atomic(struct series_chunk *) chunks[1 << SERIES_MIDDLE_BITS];
};

/* The table knows it only as struct tsid_map. */
struct tsid_map {
	struct mem *mem;
	struct lock lock;
	uint64_t first;   /* numbers below are reclaimed (not wrapped: number = low 32 bits) */
	uint64_t retired; /* numbers below are retired */
	uint64_t next;    /* the next to give out */
	_Atomic(struct series_middle *) root[1 << SERIES_ROOT_BITS];
};

void series_map_init(struct tsid_map *map, struct mem *mem);
void series_map_destroy(struct tsid_map *map);
NODISCARD int series_map_add(struct tsid_map *map, const struct tsid *tsid, uint32_t *number);
const struct tsid *series_map_get(const struct tsid_map *map, uint32_t number);
/* Ends the present set: all numbers below *before are retired. */
void series_map_retire(struct tsid_map *map, uint64_t *before);
/* Nobody holds a number below `before` any more. */
void series_map_reclaim(struct tsid_map *map, uint64_t before);
uint64_t series_map_count(struct tsid_map *map);

#endif
