/*
 * index_delete.c -- deleted ids: kind 4 items and the set that hides them.
 * floor: index     uses: index_private.h     used by: storage
 *
 * A marker goes into the generation that holds the series, because markers die with their generation (index format 13.1):
 * into the current one always, and into the previous one too when that knows the id. In the cluster layout ids come
 * without a tenant, so a previous generation that holds anything gets the marker.
 */
#include "index/index_private.h"

int
index_deleted(struct index *index, const struct u64set **out)
{
	lock_take(&index->lock);
	index->deleted->refs++;
	*out = &index->deleted->set;
	lock_release(&index->lock);
	return 0;
}

void
index_deleted_release(struct index *index, const struct u64set *set)
{
	struct deleted_set *deleted = (struct deleted_set *)(void *)(uintptr_t)set;

	(void)index;
	if (set == NULL || --deleted->refs > 0)
		return;
	u64set_free(&deleted->set);
	mem_free(deleted->mem, deleted);
}

/* The ids as items, sorted, without those deleted already. */
struct marker_run {
	uint8_t *data;
	uint32_t *offsets;
	uint64_t *ids;
	size_t count;
};

enum { MARKER_BYTES = 9 };

static void
marker_run_free(struct mem *mem, struct marker_run *run)
{
	mem_free(mem, run->data);
	mem_free(mem, run->offsets);
	mem_free(mem, run->ids);
}

static void
marker_run_fill(struct marker_run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		uint8_t *p = run->data + i * MARKER_BYTES;

		run->offsets[i] = (uint32_t)(i * MARKER_BYTES);
		*p = ROW_DELETED_ID;
		put_u64(p + 1, run->ids[i]);
	}
	run->offsets[run->count] = (uint32_t)(run->count * MARKER_BYTES);
}

static int
marker_run_make(struct index *index, const struct u64set *fresh, struct marker_run *run)
{
	struct mem *mem = index->env.mem;
	size_t n = u64set_count(fresh);

	*run = (struct marker_run){ .count = n };
	if (n > UINT32_MAX / MARKER_BYTES - 1)
		return ERR(ERR_LIMIT, "deleting %zu series at once", n);
	run->data = mem_array(mem, n, MARKER_BYTES);
	run->offsets = mem_array(mem, n + 1, sizeof(*run->offsets));
	if (run->data == NULL || run->offsets == NULL)
		return ERR_MEMORY;
	TRY(u64set_to_array(fresh, mem, &run->ids));
	marker_run_fill(run);
	return 0;
}

/* Keeps the markers of ids that the previous generation knows (single layout: by their kind 2 items). */
static int
keep_known(struct index *index, struct generation *generation, struct marker_run *run)
{
	struct item_view *view = NULL;
	struct item_cursor *cursor = NULL;
	size_t kept = 0;
	int rc;

	if (index->env.layout == LAYOUT_CLUSTER)
		return 0;
	TRY_GOTO(out, item_table_view(generation->table, &view));
	TRY_GOTO(out, item_cursor_create(index->env.mem, &view, 1, &cursor));
	for (size_t i = 0; i < run->count; i++) {
		uint8_t key[9] = { ROW_ID_TO_TSID };
		struct bytes item;
		bool found;

		put_u64(key + 1, run->ids[i]);
		TRY_GOTO(out, item_cursor_first_with_prefix(cursor, bytes_of(key, sizeof(key)), &item, &found));
		if (found)
			run->ids[kept++] = run->ids[i];
	}
	run->count = kept;
	marker_run_fill(run);
out:
	item_cursor_delete(cursor);
	item_view_release(view);
	return rc;
}

static int
add_markers(struct index *index, struct generation *generation, const struct marker_run *run)
{
	struct item_run items = { .data = run->data, .offsets = run->offsets, .count = run->count };

	return run->count == 0 ? 0 : index_add_run_locked(index, generation, &items);
}

/* The new set: the old one and fresh. */
static int
make_grown(struct index *index, const struct u64set *fresh, struct deleted_set **out)
{
	struct deleted_set *grown = mem_zalloc(index->env.mem, sizeof(*grown));
	int rc;

	if (grown == NULL)
		return ERR_MEMORY;
	grown->mem = index->env.mem;
	grown->refs = 1;
	rc = u64set_copy(&index->deleted->set, index->env.mem, &grown->set);
	if (rc == 0) {
		rc = u64set_union(&grown->set, fresh);
		if (rc != 0)
			u64set_free(&grown->set);
	}
	if (rc != 0) {
		mem_free(index->env.mem, grown);
		return rc;
	}
	*out = grown;
	return 0;
}

static int
delete_locked(struct index *index, struct u64set *fresh)
{
	struct marker_run run = { .count = 0 };
	struct deleted_set *grown = NULL;
	int rc;

	/* What is staged goes out first, so that a deleted name is looked up where its marker is seen. */
	TRY(index_seal_locked(index));
	u64set_subtract(fresh, &index->deleted->set);
	if (u64set_count(fresh) == 0)
		return 0;
	TRY_GOTO(out, marker_run_make(index, fresh, &run));
	/* Nothing may fail between the first marker and the new set: rows added to an id that only the disk calls deleted would
	 * vanish with the next open (spec/fault/fault_spec: memory, delete of series). */
	TRY_GOTO(out, make_grown(index, fresh, &grown));
	index->last_seq++;
	TRY_GOTO(out, add_markers(index, index->current, &run));
	/* The set before the second run: from here on the deletion has happened, whatever fails. */
	index_deleted_release(index, &index->deleted->set);
	index->deleted = grown;
	grown = NULL;
	index->changes++;
	index->epoch++;
	if (!generation_is_empty(index->previous)) {
		TRY_GOTO(out, keep_known(index, index->previous, &run));
		TRY_GOTO(out, add_markers(index, index->previous, &run));
	}
out:
	index->sealed_seq = index->last_seq; /* staging is empty, and a failed deletion waits for nothing */
	if (grown != NULL)
		index_deleted_release(index, &grown->set);
	marker_run_free(index->env.mem, &run);
	return rc;
}

int
index_delete(struct index *index, const uint64_t *metric_ids, size_t n)
{
	struct u64set fresh;
	int rc = 0;

	if (index->env.read_only)
		return ERR(ERR_READONLY, "the directory is open read-only");
	u64set_init(&fresh, index->env.mem);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = u64set_add(&fresh, metric_ids[i]);
	if (rc == 0) {
		lock_take(&index->lock);
		rc = delete_locked(index, &fresh);
		lock_release(&index->lock);
	}
	u64set_free(&fresh);
	return rc;
}
