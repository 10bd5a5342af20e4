/*
 * names_chunk.c -- the names of a stretch of sorted tsids.
 * floor: storage     uses: names_chunk.h     used by: select
 */
#include "storage/names_chunk.h"

#include <stdlib.h>

#include "base/err.h"
#include "codec/hash.h"

/*
 * CHUNK_SERIES      enough that asking the index for names costs little per name, little enough that a query with a limit does
 *                   not pay for more
 * CHUNK_SERIES_MAX  names held at once: some 10 MB
 */
enum { CHUNK_SERIES = 1024, CHUNK_SERIES_MAX = 65536, CUTS = 3 };

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
	mem_free(chunk->mem, chunk->table);
	buf_free(&chunk->text);
	names_chunk_init(chunk, chunk->mem);
}

/* Do two neighbours agree in the fields that a cut of this fineness looks at? 1: group, 2: and job, 3: and instance. */
static bool
agree(const struct tsid *a, const struct tsid *b, int fineness)
{
	return a->metric_group_id == b->metric_group_id && (fineness < 2 || a->job_id == b->job_id) &&
	    (fineness < 3 || a->instance_id == b->instance_id);
}

/* Where a chunk that begins at `at` ends. */
static size_t
chunk_end(const struct tsid_list *tsids, size_t at)
{
	size_t least = at + CHUNK_SERIES < tsids->count ? at + CHUNK_SERIES : tsids->count;
	size_t end = least;

	for (int fineness = 1; fineness <= CUTS; fineness++) {
		end = least;
		while (end < tsids->count && agree(&tsids->items[end - 1], &tsids->items[end], fineness) &&
		    (end - at < CHUNK_SERIES_MAX || fineness == CUTS))
			end++;
		if (end == tsids->count || !agree(&tsids->items[end - 1], &tsids->items[end], fineness))
			break;
	}
	return end;
}

static int
reserve(struct names_chunk *chunk, size_t n)
{
	size_t table_room = 16;

	if (n <= chunk->room)
		return 0;
	while (table_room < 2 * n)
		table_room *= 2;
	mem_free(chunk->mem, chunk->slots);
	mem_free(chunk->mem, chunk->places);
	mem_free(chunk->mem, chunk->table);
	chunk->room = 0;
	chunk->table = mem_array(chunk->mem, table_room, sizeof(*chunk->table));
	chunk->table_room = table_room;
	chunk->slots = mem_array(chunk->mem, n, sizeof(*chunk->slots));
	chunk->places = mem_array(chunk->mem, n, sizeof(*chunk->places));
	if (chunk->slots == NULL || chunk->places == NULL || chunk->table == NULL)
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
	slot->hash = hash_xxh3(name.data, name.len);
	return buf_append(&chunk->text, name.data, name.len);
}

static struct bytes
name_of(const struct names_chunk *chunk, size_t i)
{
	return bytes_of(chunk->text.data + chunk->slots[i].offset, chunk->slots[i].bytes);
}

/* Links equal names, each to the next in order. */
static void
link_same(struct names_chunk *chunk)
{
	memset(chunk->table, 0, chunk->table_room * sizeof(*chunk->table));
	for (size_t i = 0; i < chunk->count; i++) {
		uint64_t at = chunk->slots[i].hash & (chunk->table_room - 1);

		if (!chunk->slots[i].known)
			continue;
		for (; chunk->table[at] != 0; at = (at + 1) & (chunk->table_room - 1)) {
			size_t earlier = chunk->table[at] - 1;

			if (chunk->slots[earlier].hash != chunk->slots[i].hash ||
			    !bytes_equal(name_of(chunk, earlier), name_of(chunk, i)))
				continue;
			chunk->slots[earlier].same = chunk->first + i;
			chunk->slots[i].repeated = true;
			break;
		}
		chunk->table[at] = (uint32_t)i + 1;
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
names_chunk_load(struct names_chunk *chunk, struct index *index, struct tenant tenant, const struct tsid_list *tsids,
    size_t at)
{
	size_t n;
	int rc;

	if (at >= chunk->first && at < chunk->first + chunk->count)
		return 0;
	n = chunk_end(tsids, at) - at;
	chunk->count = 0;
	TRY(reserve(chunk, n));
	chunk->first = at;
	chunk->visited = 0;
	buf_reset(&chunk->text);
	for (size_t i = 0; i < n; i++) {
		chunk->slots[i] = (struct name_slot){ .same = SIZE_MAX };
		chunk->places[i] =
		    (struct name_place){ .metric_id = tsids->items[at + i].metric_id, .at = (uint32_t)i };
	}
	chunk->count = n;
	rc = ask_names(chunk, index, tenant);
	if (rc == 0)
		link_same(chunk);
	else
		chunk->count = 0;
	return rc;
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
