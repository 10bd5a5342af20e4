/*
 * names_chunk.c -- the names of a stretch of sorted tsids.
 * floor: storage     uses: names_chunk.h     used by: select
 */
#include "storage/names_chunk.h"

#include <stdlib.h>

#include "base/err.h"

/* Enough that asking the index for names costs little per name, little enough that a query with a limit does not pay for more. */
enum { CHUNK_SERIES = 1024 };

void
names_chunk_init(struct names_chunk *chunk, struct mem *mem)
{
	*chunk = (struct names_chunk){ .mem = mem };
	buf_init(&chunk->text, mem);
}

void
names_chunk_free(struct names_chunk *chunk)
{
	mem_free(chunk->mem, chunk->slots);
	mem_free(chunk->mem, chunk->places);
	buf_free(&chunk->text);
	names_chunk_init(chunk, chunk->mem);
}

/* May two tsids be of one name? */
static bool
same_family(const struct tsid *a, const struct tsid *b)
{
	return a->metric_group_id == b->metric_group_id && a->job_id == b->job_id && a->instance_id == b->instance_id;
}

static int
reserve(struct names_chunk *chunk, size_t n)
{
	if (n <= chunk->room)
		return 0;
	mem_free(chunk->mem, chunk->slots);
	mem_free(chunk->mem, chunk->places);
	chunk->room = 0;
	chunk->slots = mem_array(chunk->mem, n, sizeof(*chunk->slots));
	chunk->places = mem_array(chunk->mem, n, sizeof(*chunk->places));
	if (chunk->slots == NULL || chunk->places == NULL)
		return ERR_MEMORY;
	chunk->room = n;
	return 0;
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = ((const struct name_place *)a)->metric_id, y = ((const struct name_place *)b)->metric_id;

	return (x > y) - (x < y);
}

/* The place of an id; names mostly arrive in the order they were asked for. */
static struct name_place *
find_place(struct names_chunk *chunk, uint64_t metric_id)
{
	struct name_place key = { .metric_id = metric_id };

	if (chunk->visited < chunk->count && chunk->places[chunk->visited].metric_id == metric_id)
		return &chunk->places[chunk->visited++];
	return bsearch(&key, chunk->places, chunk->count, sizeof(key), compare_ids);
}

static int
visit(void *context, uint64_t metric_id, struct bytes name)
{
	struct names_chunk *chunk = context;
	struct name_place *place = find_place(chunk, metric_id);
	struct name_slot *slot;

	if (place == NULL)
		return 0;
	slot = &chunk->slots[place->at];
	if (slot->known)
		return 0;
	slot->offset = chunk->text.len;
	slot->bytes = (uint32_t)name.len;
	slot->known = true;
	return buf_append(&chunk->text, name.data, name.len);
}

static struct bytes
name_of(const struct names_chunk *chunk, size_t i)
{
	return bytes_of(chunk->text.data + chunk->slots[i].offset, chunk->slots[i].bytes);
}

static int
compare_names(const void *a, const void *b, void *context)
{
	const struct names_chunk *chunk = context;
	size_t x = ((const struct name_place *)a)->at, y = ((const struct name_place *)b)->at;
	int c = bytes_compare(name_of(chunk, x), name_of(chunk, y));

	return c != 0 ? c : (x > y) - (x < y);
}

/* Links equal names within slots [from, to), which are one family. places is scratch by now. */
static void
link_same(struct names_chunk *chunk, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++) {
		if (chunk->slots[i].known)
			chunk->places[n++].at = (uint32_t)i;
	}
	if (n < 2)
		return;
	qsort_r(chunk->places, n, sizeof(*chunk->places), compare_names, chunk);
	for (size_t i = 1; i < n; i++) {
		size_t earlier = chunk->places[i - 1].at, later = chunk->places[i].at;

		if (bytes_equal(name_of(chunk, earlier), name_of(chunk, later))) {
			chunk->slots[earlier].same = chunk->first + later;
			chunk->slots[later].repeated = true;
		}
	}
}

static int
ask_names(struct names_chunk *chunk, struct index *index, struct tenant tenant)
{
	uint64_t *ids = mem_array(chunk->mem, chunk->count, sizeof(*ids));
	int rc;

	if (ids == NULL)
		return ERR_MEMORY;
	qsort(chunk->places, chunk->count, sizeof(*chunk->places), compare_ids);
	for (size_t i = 0; i < chunk->count; i++)
		ids[i] = chunk->places[i].metric_id;
	rc = index_names(index, tenant, ids, chunk->count, visit, chunk);
	mem_free(chunk->mem, ids);
	return rc;
}

int
names_chunk_load(struct names_chunk *chunk, struct index *index, struct tenant tenant, const struct tsid_list *tsids, size_t at)
{
	size_t end = at + CHUNK_SERIES < tsids->count ? at + CHUNK_SERIES : tsids->count;
	size_t family = 0;
	int rc;

	if (at >= chunk->first && at < chunk->first + chunk->count)
		return 0;
	while (end < tsids->count && same_family(&tsids->items[end - 1], &tsids->items[end]))
		end++;
	chunk->count = 0;
	TRY(reserve(chunk, end - at));
	chunk->first = at;
	chunk->visited = 0;
	buf_reset(&chunk->text);
	for (size_t i = 0; i < end - at; i++) {
		chunk->slots[i] = (struct name_slot){ .same = SIZE_MAX };
		chunk->places[i] = (struct name_place){ .metric_id = tsids->items[at + i].metric_id, .at = (uint32_t)i };
	}
	chunk->count = end - at;
	rc = ask_names(chunk, index, tenant);
	if (rc != 0) {
		chunk->count = 0;
		return rc;
	}
	for (size_t i = 1; i <= chunk->count; i++) {
		if (i < chunk->count && same_family(&tsids->items[at + i - 1], &tsids->items[at + i]))
			continue;
		if (i - family > 1)
			link_same(chunk, family, i);
		family = i;
	}
	return 0;
}

bool
names_chunk_first(const struct names_chunk *chunk, size_t at, struct bytes *name)
{
	const struct name_slot *slot = &chunk->slots[at - chunk->first];

	if (!slot->known || slot->repeated)
		return false;
	*name = name_of(chunk, at - chunk->first);
	return true;
}

size_t
names_chunk_same(const struct names_chunk *chunk, size_t at)
{
	return chunk->slots[at - chunk->first].same;
}
