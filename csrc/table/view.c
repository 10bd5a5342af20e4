/*
 * view.c -- a moment of the table: counted parts, and raw rows of the wanted series as private parts.
 * floor: table     uses: table_private.h     used by: storage (through table.h)
 *
 *   partition->lock   { reference parts; reference batches and read how many rows they have }   one moment per partition
 *   without it          rows of wanted series and times are copied; mem_part_create groups them
 *
 * Whether a dense series number is wanted takes two look-ups (its TSID, then the set); a small table of answers keyed
 * by the number spares them for all but the first row of most series.
 */
#include "table/table_private.h"

enum { MEMO_SLOTS = 4096 };

struct wanted_memo {
	uint64_t answers[MEMO_SLOTS]; /* (series + 1) << 1 | wanted; 0: not known */
};

struct raw_list {
	struct raw_view *items;
	size_t count, room;
};

/* -- Gathering (the partition's lock is held) --------------------------------------------------------------------------- */

static int
view_add_part(struct table_view *view, size_t *room, struct part *part)
{
	if (view->count == *room) {
		size_t grown_room = *room == 0 ? 64 : *room * 2;
		struct part **grown = mem_realloc(view->mem, view->parts, grown_room * sizeof(struct part *));

		if (grown == NULL)
			return ERR_MEMORY;
		view->parts = grown;
		*room = grown_room;
	}
	view->parts[view->count++] = part;
	return 0;
}

static int
raw_list_add(struct raw_list *list, struct mem *mem, struct row_batch *batch, uint32_t first, uint32_t count)
{
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 16 : list->room * 2;
		struct raw_view *grown = mem_realloc(mem, list->items, room * sizeof(*grown));

		if (grown == NULL)
			return ERR_MEMORY;
		list->items = grown;
		list->room = room;
	}
	row_batch_ref(batch);
	list->items[list->count++] = (struct raw_view){ .batch = batch, .first = first, .count = count };
	return 0;
}

static int
gather_raw(struct partition *partition, struct mem *mem, struct raw_list *list)
{
	int rc = 0;

	for (struct raw_rows *raw = partition->converting; raw != NULL && rc == 0; raw = raw->next)
		rc = raw_list_add(list, mem, raw->batch, raw->first, raw->count);
	for (unsigned i = 0; i < partition->shards_count && rc == 0; i++) {
		struct shard *shard = &partition->shards[i];

		lock_take(&shard->lock);
		if (shard->count > 0)
			rc = raw_list_add(list, mem, shard->batch, 0, shard->count);
		lock_release(&shard->lock);
	}
	return rc;
}

static int
gather_partition(struct partition *partition, int64_t min_ms, int64_t max_ms, struct table_view *view, size_t *room,
    struct raw_list *list)
{
	int rc = 0;

	lock_take(&partition->lock);
	for (size_t i = 0; i < partition->slots_count && rc == 0; i++) {
		struct part *part = partition->slots[i].part;

		if (part->header.max_timestamp_ms < min_ms || part->header.min_timestamp_ms > max_ms)
			continue;
		rc = view_add_part(view, room, part);
		if (rc == 0)
			part_ref(part);
	}
	if (rc == 0)
		rc = gather_raw(partition, view->mem, list);
	view->partial += partition->damaged;
	lock_release(&partition->lock);
	return rc;
}

/* -- Raw rows --------------------------------------------------------------------------------------------------------- */

static bool
is_wanted(const struct table_shared *shared, const struct u64set *wanted, struct wanted_memo *memo, uint32_t series)
{
	uint64_t key = ((uint64_t)series + 1) << 1, *answer = &memo->answers[series % MEMO_SLOTS];

	if ((*answer & ~UINT64_C(1)) != key)
		*answer = key | u64set_has(wanted, shared->env.tsid_get(shared->env.tsids, series)->metric_id);
	return *answer & 1;
}

/* Copies the rows to be seen to out; returns how many. */
static size_t
select_rows(const struct table_shared *shared, const struct raw_view *raw, int64_t min_ms, int64_t max_ms,
    const struct u64set *wanted, struct wanted_memo *memo, struct row *out)
{
	size_t n = 0;

	for (uint32_t i = 0; i < raw->count; i++) {
		const struct row *row = &raw->batch->rows[raw->first + i];

		if (row->timestamp_ms < min_ms || row->timestamp_ms > max_ms)
			continue;
		if (wanted != NULL && !is_wanted(shared, wanted, memo, row->series))
			continue;
		out[n++] = *row;
	}
	return n;
}

static int
add_raw_parts(struct table *table, const struct raw_list *list, int64_t min_ms, int64_t max_ms,
    const struct u64set *wanted, struct table_view *view, size_t *room)
{
	const struct table_shared *shared = &table->shared;
	struct wanted_memo *memo;
	struct row *rows;
	uint32_t most = 0;
	int rc = 0;

	for (size_t i = 0; i < list->count; i++)
		most = list->items[i].count > most ? list->items[i].count : most;
	if (most == 0)
		return 0;
	memo = mem_zalloc(view->mem, sizeof(*memo));
	rows = mem_array(view->mem, most, sizeof(*rows));
	if (memo == NULL || rows == NULL)
		rc = ERR_MEMORY;
	for (size_t i = 0; i < list->count && rc == 0; i++) {
		size_t n = select_rows(shared, &list->items[i], min_ms, max_ms, wanted, memo, rows);
		struct part *part;

		if (n == 0)
			continue;
		rc = mem_part_create(view->mem, shared->options.layout, rows, n, shared->env.tsids,
		    shared->env.tsid_get, &part);
		if (rc != 0)
			break;
		rc = view_add_part(view, room, part);
		if (rc != 0)
			part_unref(part);
	}
	mem_free(view->mem, memo);
	mem_free(view->mem, rows);
	return rc;
}

/* -- The view ----------------------------------------------------------------------------------------------------------- */

int
table_view_open(struct table *table, int64_t min_ms, int64_t max_ms, const struct u64set *wanted,
    struct table_view *out)
{
	struct raw_list list = { .items = NULL };
	struct partition **partitions;
	size_t count, room = 0;
	int rc = 0;

	*out = (struct table_view){ .mem = table->shared.env.mem };
	TRY(table_list(table, &partitions, &count));
	for (size_t i = 0; i < count && rc == 0; i++)
		if (partitions[i]->min_ms <= max_ms && partitions[i]->max_ms >= min_ms)
			rc = gather_partition(partitions[i], min_ms, max_ms, out, &room, &list);
	if (rc == 0)
		rc = add_raw_parts(table, &list, min_ms, max_ms, wanted, out, &room);
	for (size_t i = 0; i < list.count; i++)
		row_batch_unref(list.items[i].batch);
	mem_free(out->mem, list.items);
	mem_free(out->mem, partitions);
	if (rc != 0)
		table_view_close(out);
	return rc;
}

void
table_view_close(struct table_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		part_unref(view->parts[i]);
	if (view->mem != NULL)
		mem_free(view->mem, view->parts);
	*view = (struct table_view){ .mem = view->mem };
}

void
table_part_damaged(struct table *table, struct part *part)
{
	struct partition **partitions;
	size_t count;

	if (part->tier == PART_TIER_MEM || table_list(table, &partitions, &count) != 0)
		return; /* without memory the next reader reports it */
	for (size_t i = 0; i < count; i++) {
		bool here = false;

		lock_take(&partitions[i]->lock);
		for (size_t k = 0; k < partitions[i]->slots_count; k++)
			here = here || partitions[i]->slots[k].part == part;
		lock_release(&partitions[i]->lock);
		if (here)
			partition_mark_damaged(partitions[i], part);
	}
	mem_free(table->shared.env.mem, partitions);
}
