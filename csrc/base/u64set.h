/*
 * u64set.h -- a sorted set of u64: metric ids.
 * floor: base     uses: mem.h     used by: index, table, merge
 *
 *   id = high 48 bits | low 16 bits
 *   chunks, ascending by high:   [high 7: array 3 17 4000]  [high 8: bitmap of 65536]  [high 9: array ...]
 *
 * A chunk is an array of u16 up to 4096 ids and a bitmap of 8 KiB above, so never more than two bytes per id of a full
 * array and one bit per id of a dense range (ids made one after the other are the common case: 8 ids per byte).
 *
 * Invariants
 *  (1) Chunks ascend, none is empty. An array has 1..4096 ids, ascending; a bitmap has more than 4096.
 *  (2) count is the number of ids.
 * Errors     ERR_MEMORY; the set stays valid: a failed add changed nothing, a failed union or add_many added some.
 * Ownership  u64set_free is legal on a zeroed-and-initialised, freed or live set.
 * Threads    one writer, or any number of readers.
 */
#ifndef TSE_U64SET_H
#define TSE_U64SET_H

#include "base/mem.h"

struct u64set_chunk;

struct u64set {
	struct mem *mem;
	struct u64set_chunk *chunks;
	size_t chunks_count, chunks_room;
	uint64_t count;
};

static inline void
u64set_init(struct u64set *set, struct mem *mem)
{
	*set = (struct u64set){ .mem = mem };
}

void u64set_free(struct u64set *set); /* empty afterwards, usable again */
NODISCARD int u64set_add(struct u64set *set, uint64_t id);
/* ids ascending, equal ones allowed. */
NODISCARD int u64set_add_many(struct u64set *set, const uint64_t *ids, size_t n);
bool u64set_has(const struct u64set *set, uint64_t id);
static inline uint64_t
u64set_count(const struct u64set *set)
{
	return set->count;
}
/* set = set + other, set & other, set - other. other may be set itself. The last two only shrink and cannot fail. */
NODISCARD int u64set_union(struct u64set *set, const struct u64set *other);
void u64set_intersect(struct u64set *set, const struct u64set *other);
void u64set_subtract(struct u64set *set, const struct u64set *other);
bool u64set_equal(const struct u64set *a, const struct u64set *b);
/* out is initialised by the call (not freed before). */
NODISCARD int u64set_copy(const struct u64set *set, struct mem *mem, struct u64set *out);
uint64_t u64set_bytes(const struct u64set *set); /* memory it holds */

/* Ascending. Changing the set ends the iteration. */
struct u64set_iter {
	const struct u64set *set;
	size_t chunk;
	uint32_t at; /* array: index; bitmap: bit */
};
void u64set_iter_init(struct u64set_iter *iter, const struct u64set *set);
/* As init, but starts at the first id >= from. */
void u64set_iter_seek(struct u64set_iter *iter, const struct u64set *set, uint64_t from);
/* The next at most `room` ids; 0: the end. */
size_t u64set_iter_next(struct u64set_iter *iter, uint64_t *ids, size_t room);
/* All ids into a fresh array of count (mem_free it; NULL with *ids for none is never returned: an empty array is). */
NODISCARD int u64set_to_array(const struct u64set *set, struct mem *mem, uint64_t **ids);

#endif
