/*
 * u64set.c -- the list of chunks, and walking through it.
 * floor: base     uses: u64set.h u64set_chunk.h err.h     used by: index, table, merge
 */
#include "base/u64set.h"

#include "base/err.h"
#include "base/u64set_chunk.h"

enum { CHUNKS_ROOM_MIN = 4 };

/* -- The list of chunks --------------------------------------------------------------------------------------------- */

void
u64set_free(struct u64set *set)
{
	size_t i;

	for (i = 0; i < set->chunks_count; i++)
		mem_free(set->mem, set->chunks[i].array);
	if (set->chunks != NULL)
		mem_free(set->mem, set->chunks);
	u64set_init(set, set->mem);
}

/* The index of the first chunk with high >= the given one. Ids mostly grow: the last chunk is looked at first. */
static size_t
find_chunk(const struct u64set *set, uint64_t high)
{
	size_t from = 0, to = set->chunks_count;

	if (to > 0 && set->chunks[to - 1].high <= high)
		return set->chunks[to - 1].high == high ? to - 1 : to;
	while (from < to) {
		size_t middle = (from + to) / 2;

		if (set->chunks[middle].high < high)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static int
reserve_chunks(struct u64set *set, size_t need)
{
	size_t room = set->chunks_room < CHUNKS_ROOM_MIN ? CHUNKS_ROOM_MIN : set->chunks_room;
	struct u64set_chunk *chunks;

	if (set->chunks_room >= need)
		return 0;
	while (room < need)
		room *= 2;
	chunks = mem_realloc(set->mem, set->chunks, room * sizeof(*chunks));
	if (chunks == NULL)
		return ERR_MEMORY;
	set->chunks = chunks;
	set->chunks_room = room;
	return 0;
}

/* The chunk for high, made when missing; then it is empty and must get an id, or be taken back by drop_if_empty. */
static int
chunk_for(struct u64set *set, uint64_t high, struct u64set_chunk **out)
{
	size_t at = find_chunk(set, high);

	if (at == set->chunks_count || set->chunks[at].high != high) {
		TRY(reserve_chunks(set, set->chunks_count + 1));
		memmove(&set->chunks[at + 1], &set->chunks[at], (set->chunks_count - at) * sizeof(*set->chunks));
		set->chunks[at] = (struct u64set_chunk){ .high = high };
		set->chunks_count++;
	}
	*out = &set->chunks[at];
	return 0;
}

static void
drop_if_empty(struct u64set *set, struct u64set_chunk *chunk)
{
	size_t at = (size_t)(chunk - set->chunks);

	if (chunk->count != 0)
		return;
	if (chunk->array != NULL)
		mem_free(set->mem, chunk->array);
	set->chunks_count--;
	memmove(chunk, chunk + 1, (set->chunks_count - at) * sizeof(*chunk));
}

/* -- Adding --------------------------------------------------------------------------------------------------------- */

int
u64set_add(struct u64set *set, uint64_t id)
{
	struct u64set_chunk *chunk;
	uint32_t before;
	int rc;

	TRY(chunk_for(set, id >> 16, &chunk));
	before = chunk->count;
	rc = u64set_chunk_add(set->mem, chunk, (uint32_t)(id & 0xFFFF));
	set->count += chunk->count - before;
	drop_if_empty(set, chunk);
	return rc;
}

int
u64set_add_many(struct u64set *set, const uint64_t *ids, size_t n)
{
	uint16_t lows[U64SET_ARRAY_MAX];
	size_t i = 0;

	while (i < n) {
		uint64_t high = ids[i] >> 16;
		struct u64set_chunk *chunk;
		uint32_t lows_count = 0, before;
		int rc;

		for (; i < n && ids[i] >> 16 == high && lows_count < U64SET_ARRAY_MAX; i++) {
			assert(i == 0 || ids[i - 1] <= ids[i]);
			if (lows_count == 0 || lows[lows_count - 1] != (uint16_t)ids[i])
				lows[lows_count++] = (uint16_t)ids[i];
		}
		TRY(chunk_for(set, high, &chunk));
		before = chunk->count;
		rc = u64set_chunk_add_array(set->mem, chunk, lows, lows_count);
		set->count += chunk->count - before;
		drop_if_empty(set, chunk);
		if (rc != 0)
			return rc;
	}
	return 0;
}

bool
u64set_has(const struct u64set *set, uint64_t id)
{
	size_t at = find_chunk(set, id >> 16);

	return at < set->chunks_count && set->chunks[at].high == id >> 16 &&
	    u64set_chunk_has(&set->chunks[at], (uint32_t)(id & 0xFFFF));
}

/* -- Sets with sets ------------------------------------------------------------------------------------------------- */

/* Copies of the chunks of other that set has not, in *out; their number in *count. */
static int
copy_missing(const struct u64set *set, const struct u64set *other, struct u64set_chunk **out, size_t *count)
{
	struct u64set_chunk *copies = mem_array(set->mem, other->chunks_count, sizeof(*copies));
	size_t i, j = 0, n = 0;
	int rc = 0;

	if (copies == NULL)
		return ERR_MEMORY;
	for (i = 0; i < other->chunks_count && rc == 0; i++) {
		while (j < set->chunks_count && set->chunks[j].high < other->chunks[i].high)
			j++;
		if (j < set->chunks_count && set->chunks[j].high == other->chunks[i].high)
			continue;
		rc = u64set_chunk_copy(set->mem, &other->chunks[i], &copies[n]);
		n += rc == 0;
	}
	if (rc != 0) {
		while (n > 0)
			mem_free(set->mem, copies[--n].array);
		mem_free(set->mem, copies);
		return rc;
	}
	*out = copies;
	*count = n;
	return 0;
}

/* Merges fresh chunks into the list from the back; there is room. */
static void
insert_chunks(struct u64set *set, const struct u64set_chunk *fresh, size_t n)
{
	size_t from = set->chunks_count, to = set->chunks_count + n;

	set->chunks_count = to;
	while (n > 0) {
		if (from > 0 && set->chunks[from - 1].high > fresh[n - 1].high) {
			set->chunks[--to] = set->chunks[--from];
		} else {
			set->chunks[--to] = fresh[--n];
			set->count += fresh[n].count;
		}
	}
}

int
u64set_union(struct u64set *set, const struct u64set *other)
{
	struct u64set_chunk *missing;
	size_t missing_count, i, j = 0;
	int rc = 0;

	if (set == other || other->count == 0)
		return 0;
	TRY(reserve_chunks(set, set->chunks_count + other->chunks_count));
	for (i = 0; i < set->chunks_count && rc == 0; i++) {
		struct u64set_chunk *chunk = &set->chunks[i];
		uint32_t before = chunk->count;

		while (j < other->chunks_count && other->chunks[j].high < chunk->high)
			j++;
		if (j < other->chunks_count && other->chunks[j].high == chunk->high)
			rc = u64set_chunk_union(set->mem, chunk, &other->chunks[j]);
		set->count += chunk->count - before;
	}
	if (rc != 0)
		return rc;
	TRY(copy_missing(set, other, &missing, &missing_count));
	insert_chunks(set, missing, missing_count);
	mem_free(set->mem, missing);
	return 0;
}

/* Applies both kinds of shrinking; chunks that other has not are emptied or kept. */
static void
shrink(struct u64set *set, const struct u64set *other, bool intersect)
{
	size_t i, j = 0, kept = 0;

	set->count = 0;
	for (i = 0; i < set->chunks_count; i++) {
		struct u64set_chunk chunk = set->chunks[i];

		while (j < other->chunks_count && other->chunks[j].high < chunk.high)
			j++;
		if (j == other->chunks_count || other->chunks[j].high != chunk.high)
			chunk.count = intersect ? 0 : chunk.count;
		else if (intersect)
			u64set_chunk_intersect(&chunk, &other->chunks[j]);
		else
			u64set_chunk_subtract(&chunk, &other->chunks[j]);
		if (chunk.count == 0) {
			mem_free(set->mem, chunk.array);
		} else {
			set->chunks[kept++] = chunk;
			set->count += chunk.count;
		}
	}
	set->chunks_count = kept;
}

void
u64set_intersect(struct u64set *set, const struct u64set *other)
{
	if (set != other)
		shrink(set, other, true);
}

void
u64set_subtract(struct u64set *set, const struct u64set *other)
{
	if (set == other)
		u64set_free(set);
	else
		shrink(set, other, false);
}

bool
u64set_equal(const struct u64set *a, const struct u64set *b)
{
	size_t i;

	if (a->count != b->count || a->chunks_count != b->chunks_count)
		return false;
	for (i = 0; i < a->chunks_count; i++) {
		const struct u64set_chunk *x = &a->chunks[i], *y = &b->chunks[i];

		/* equal counts have equal forms: invariant (1) */
		if (x->high != y->high || x->count != y->count)
			return false;
		if (memcmp(x->array, y->array, x->is_bitmap ? U64SET_BITMAP_BYTES : x->count * sizeof(uint16_t)) != 0)
			return false;
	}
	return true;
}

int
u64set_copy(const struct u64set *set, struct mem *mem, struct u64set *out)
{
	int rc;

	u64set_init(out, mem);
	rc = u64set_union(out, set);
	if (rc != 0)
		u64set_free(out);
	return rc;
}

uint64_t
u64set_bytes(const struct u64set *set)
{
	uint64_t bytes = set->chunks_room * sizeof(*set->chunks);
	size_t i;

	for (i = 0; i < set->chunks_count; i++)
		bytes +=
		    set->chunks[i].is_bitmap ? (uint64_t)U64SET_BITMAP_BYTES : set->chunks[i].room * sizeof(uint16_t);
	return bytes;
}

/* -- Walking -------------------------------------------------------------------------------------------------------- */

void
u64set_iter_init(struct u64set_iter *iter, const struct u64set *set)
{
	*iter = (struct u64set_iter){ .set = set };
}

void
u64set_iter_seek(struct u64set_iter *iter, const struct u64set *set, uint64_t from)
{
	const struct u64set_chunk *chunk;

	*iter = (struct u64set_iter){ .set = set, .chunk = find_chunk(set, from >> 16) };
	if (iter->chunk == set->chunks_count)
		return;
	chunk = &set->chunks[iter->chunk];
	if (chunk->high == from >> 16)
		iter->at = chunk->is_bitmap
		    ? (uint32_t)(from & 0xFFFF)
		    : u64set_chunk_array_find(chunk->array, chunk->count, (uint32_t)(from & 0xFFFF));
}

static size_t
iter_array(struct u64set_iter *iter, const struct u64set_chunk *chunk, uint64_t *ids, size_t room)
{
	uint64_t base = chunk->high << 16;
	size_t n = 0;

	while (iter->at < chunk->count && n < room)
		ids[n++] = base | chunk->array[iter->at++];
	if (iter->at == chunk->count) {
		iter->chunk++;
		iter->at = 0;
	}
	return n;
}

static size_t
iter_bitmap(struct u64set_iter *iter, const struct u64set_chunk *chunk, uint64_t *ids, size_t room)
{
	uint64_t base = chunk->high << 16;
	uint32_t word = iter->at >> 6;
	uint64_t bits = chunk->bits[word] & (UINT64_MAX << (iter->at & 63));
	size_t n = 0;

	for (;;) {
		for (; bits != 0; bits &= bits - 1) {
			uint32_t low = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (n == room) {
				iter->at = low;
				return n;
			}
			ids[n++] = base | low;
		}
		if (++word == U64SET_BITMAP_WORDS) {
			iter->chunk++;
			iter->at = 0;
			return n;
		}
		bits = chunk->bits[word];
	}
}

size_t
u64set_iter_next(struct u64set_iter *iter, uint64_t *ids, size_t room)
{
	size_t n = 0;

	while (n < room && iter->chunk < iter->set->chunks_count) {
		const struct u64set_chunk *chunk = &iter->set->chunks[iter->chunk];

		if (chunk->is_bitmap)
			n += iter_bitmap(iter, chunk, ids + n, room - n);
		else
			n += iter_array(iter, chunk, ids + n, room - n);
	}
	return n;
}

int
u64set_to_array(const struct u64set *set, struct mem *mem, uint64_t **ids)
{
	struct u64set_iter iter;
	uint64_t *array = mem_array(mem, set->count, sizeof(*array));

	if (array == NULL)
		return ERR_MEMORY;
	u64set_iter_init(&iter, set);
	if (u64set_iter_next(&iter, array, set->count) != set->count)
		assert(!"the count of a set is the number of its ids");
	*ids = array;
	return 0;
}
