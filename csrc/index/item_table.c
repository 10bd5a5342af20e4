/*
 * item_table.c -- a table of items: opening, adding runs, views, statistics.
 * floor: index     uses: item_table_inner.h     used by: index
 */
#include "index/item_table.h"

#include <stdio.h>

#include "base/err.h"
#include "index/item_table_inner.h"

enum {
	/* The names of a million series take 130 MB decoded. Looking all of them up in any order, as after a restart, costs
	 * one decoded block each when they do not fit, and a thirtieth of that when they do. */
	CACHE_BYTES_MAX = 256 << 20,
	CACHE_SHARE = 8 /* of the memory limit, when there is one */
};

/* -- Views ------------------------------------------------------------------------------------------------------------ */

static int
view_create(struct mem *mem, size_t room, struct item_view **out)
{
	struct item_view *view = mem_alloc(mem, sizeof(*view) + room * sizeof(view->parts[0]));

	if (view == NULL)
		return ERR_MEMORY;
	view->refs = 1;
	view->mem = mem;
	view->count = 0;
	*out = view;
	return 0;
}

void
item_view_release(struct item_view *view)
{
	if (view == NULL)
		return;
	assert(view->refs > 0);
	if (--view->refs > 0)
		return;
	for (size_t i = 0; i < view->count; i++)
		item_part_unref(view->parts[i]);
	mem_free(view->mem, view);
}

static bool
contains(struct item_part *const *parts, size_t count, const struct item_part *part)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i] == part)
			return true;
	}
	return false;
}

int
item_table_swap(struct item_table *table, struct item_part *const *removed, size_t removed_count,
    struct item_part *added)
{
	struct item_view *old = table->view, *view;

	TRY(view_create(table->env.mem, old->count + 1, &view));
	for (size_t i = 0; i < old->count; i++) {
		if (!contains(removed, removed_count, old->parts[i]))
			view->parts[view->count++] = old->parts[i];
	}
	if (added != NULL)
		view->parts[view->count++] = added;
	for (size_t i = 0; i < view->count; i++)
		item_part_ref(view->parts[i]);
	table->view = view;
	item_view_release(old);
	return 0;
}

int
item_table_view(struct item_table *table, struct item_view **out)
{
	lock_take(&table->lock);
	table->view->refs++;
	*out = table->view;
	lock_release(&table->lock);
	return 0;
}

/* -- Life ------------------------------------------------------------------------------------------------------------- */

void
item_table_set_read_only(struct item_table *table)
{
	if (!table->read_only)
		snprintf(table->reason, sizeof(table->reason), "%s", err_message());
	table->read_only = true;
}

static uint64_t
cache_budget(const struct mem *mem)
{
	uint64_t share = mem->limit_bytes / CACHE_SHARE;

	return mem->limit_bytes == 0 || share > CACHE_BYTES_MAX ? CACHE_BYTES_MAX : share;
}

/* A shard should hold a few dozen blocks of 64 KiB, or it evicts what it needs next. */
static unsigned
cache_shards(uint64_t budget)
{
	enum { SHARD_BYTES_MIN = 2 << 20, SHARDS_MAX = 16 };
	uint64_t shards = budget / SHARD_BYTES_MIN;

	return shards < 1 ? 1 : shards > SHARDS_MAX ? SHARDS_MAX : (unsigned)shards;
}

static int
open_steps(struct item_table *table, const char *path)
{
	uint64_t budget = cache_budget(table->env.mem);

	table->path = mem_strdup(table->env.mem, path);
	table->tmp_path = mem_printf(table->env.mem, "%s/%s", path, ITEM_DIR_TMP);
	if (table->path == NULL || table->tmp_path == NULL)
		return ERR_MEMORY;
	TRY(view_create(table->env.mem, 0, &table->view));
	TRY(cache_create(table->env.mem, budget, cache_shards(budget), &table->cache));
	return item_recover(table);
}

int
item_table_open(const struct item_table_env *env, const char *path, struct item_table **out)
{
	struct item_table *table = mem_zalloc(env->mem, sizeof(*table));
	struct err_saved saved;
	int rc;

	if (table == NULL)
		return ERR_MEMORY;
	table->env = *env;
	lock_init(&table->lock);
	buf_init(&table->damaged_names, env->mem);
	table->next_suffix = clock_now_ns(env->clock);
	table->flushed_tick_ms = clock_tick_ms(env->clock);
	table->busy_until_tick_ms = INT64_MIN;
	table->retry_tick_ms = INT64_MIN;
	rc = open_steps(table, path);
	if (rc == 0) {
		*out = table;
		return 0;
	}
	err_save(&saved);
	item_table_close(table);
	return err_restore(&saved);
}

void
item_table_close(struct item_table *table)
{
	if (table == NULL)
		return;
	item_jobs_drop(table);
	item_view_release(table->view);
	cache_destroy(table->cache);
	io_unlock(table->lock_file);
	lock_destroy(&table->lock);
	mem_free(table->env.mem, table->path);
	mem_free(table->env.mem, table->tmp_path);
	buf_free(&table->damaged_names);
	mem_free(table->env.mem, table);
}

const char *
item_table_path(const struct item_table *table)
{
	return table->path;
}

/* -- Adding ----------------------------------------------------------------------------------------------------------- */

/* Sources are ours to trust, but an item that no block can hold would stop every later flush. */
static int
check_run(const struct item_run *run)
{
	if (run->count == 0 || run->count >= UINT32_MAX)
		return ERR(ERR_LIMIT, "a run of %zu items", run->count);
	for (size_t i = 0; i < run->count; i++) {
		if (run->offsets[i + 1] - run->offsets[i] > ITEM_BYTES_MAX)
			return ERR(ERR_LIMIT, "an item of %u bytes; %d is the most",
			    run->offsets[i + 1] - run->offsets[i], ITEM_BYTES_MAX);
		assert(run->offsets[i + 1] >= run->offsets[i]);
		assert(i == 0 ||
		    bytes_compare(bytes_of(run->data + run->offsets[i - 1], run->offsets[i] - run->offsets[i - 1]),
			bytes_of(run->data + run->offsets[i], run->offsets[i + 1] - run->offsets[i])) <= 0);
	}
	return 0;
}

/* A part with a copy of the run. Offsets need not start at 0. */
static int
copy_run(struct mem *mem, const struct item_run *run, struct item_part **out)
{
	uint32_t start = run->offsets[0];
	size_t bytes = run->offsets[run->count] - start;
	uint8_t *data = mem_alloc(mem, bytes + ITEM_SLACK_BYTES);
	uint32_t *offsets = mem_array(mem, run->count + 1, sizeof(uint32_t));

	if (data == NULL || offsets == NULL) {
		mem_free(mem, data);
		mem_free(mem, offsets);
		return ERR_MEMORY;
	}
	memcpy(data, run->data + start, bytes);
	memset(data + bytes, 0, ITEM_SLACK_BYTES);
	for (size_t i = 0; i <= run->count; i++)
		offsets[i] = run->offsets[i] - start;
	return item_part_create_mem(mem, data, offsets, run->count, out);
}

static int
refuse(const struct item_table *table)
{
	return ERR(ERR_READONLY, "index table %s takes nothing new: %s", table->path,
	    table->env.read_only ? "opened read-only" : table->reason);
}

int
item_table_add_run(struct item_table *table, const struct item_run *run, uint64_t *seq)
{
	struct item_part *part;
	int rc;

	TRY(check_run(run));
	TRY(copy_run(table->env.mem, run, &part));
	part->due_tick_ms = clock_tick_ms(table->env.clock) + table->env.durable_ms;
	lock_take(&table->lock);
	part->seq_min = part->seq_max = table->last_seq + 1;
	rc = table->read_only || table->env.read_only ? refuse(table) : item_table_swap(table, NULL, 0, part);
	if (rc == 0) {
		*seq = ++table->last_seq;
		table->stats.items_added += run->count;
	}
	lock_release(&table->lock);
	item_part_unref(part);
	return rc;
}

uint64_t
item_table_durable_seq(struct item_table *table)
{
	uint64_t seq;

	lock_take(&table->lock);
	seq = table->last_seq;
	for (size_t i = 0; i < table->view->count; i++) {
		const struct item_part *part = table->view->parts[i];

		if (item_part_in_memory(part) && part->seq_min <= seq)
			seq = part->seq_min - 1;
	}
	lock_release(&table->lock);
	return seq;
}

uint64_t
item_table_last_seq(struct item_table *table)
{
	uint64_t seq;

	lock_take(&table->lock);
	seq = table->last_seq;
	lock_release(&table->lock);
	return seq;
}

/* -- Wishes ----------------------------------------------------------------------------------------------------------- */

void
item_table_flush_request(struct item_table *table)
{
	lock_take(&table->lock);
	table->flush_seq = table->last_seq;
	lock_release(&table->lock);
}

void
item_table_retry(struct item_table *table)
{
	lock_take(&table->lock);
	table->no_space = false;
	table->retry_tick_ms = INT64_MIN;
	lock_release(&table->lock);
}

void
item_table_force_merge(struct item_table *table)
{
	lock_take(&table->lock);
	table->force_merge = !table->read_only && !table->env.read_only;
	lock_release(&table->lock);
}

bool
item_table_force_merging(struct item_table *table)
{
	bool merging;

	lock_take(&table->lock);
	merging = table->force_merge && !table->read_only;
	lock_release(&table->lock);
	return merging;
}

int
item_table_damaged_names(struct item_table *table, struct buf *out)
{
	return buf_append(out, table->damaged_names.data, table->damaged_names.len);
}

/* -- Statistics ------------------------------------------------------------------------------------------------------- */

void
item_table_stats(struct item_table *table, struct item_table_stats *out)
{
	lock_take(&table->lock);
	*out = table->stats;
	out->read_only = table->read_only || table->env.read_only;
	out->no_space = table->no_space;
	out->damaged_parts = table->damaged_at_open;
	for (size_t i = 0; i < table->view->count; i++) {
		const struct item_part *part = table->view->parts[i];

		out->damaged_parts += part->damaged;
		if (item_part_in_memory(part)) {
			out->mem_parts++;
			out->mem_items += part->items;
			out->mem_bytes += item_part_mem_bytes(part);
		} else {
			out->file_parts++;
			out->file_items += part->items;
			out->file_bytes += part->bytes;
			out->blocks += part->blocks;
		}
	}
	lock_release(&table->lock);
}
