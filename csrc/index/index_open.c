/*
 * index_open.c -- opening and closing: generations found or made, deleted ids loaded, the metric id counter started.
 * floor: index     uses: index_private.h     used by: storage
 *
 * Names of generations are 16 upper-case hex digits and grow with time (index format 2.1): the last is the current one,
 * the one before the previous, older ones are removed. A lonely one becomes the previous one.
 */
#include "index/index_private.h"

/* -- Names of generations --------------------------------------------------------------------------------------------- */

static bool
parse_generation_name(const char *name, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 16; i++) {
		char c = name[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint64_t)(c - 'A' + 10);
		else
			return false;
	}
	*out = value;
	return name[16] == '\0';
}

struct generation_names {
	uint64_t newest[2]; /* [0] the last, [1] the one before */
	unsigned count;
};

/* The two last names; older directories are removed unless read-only. A missing root has none. */
static int
find_generations(const struct index_env *env, const char *root, bool remove_older, struct generation_names *out)
{
	struct io_list list;
	bool exists;
	int rc;

	*out = (struct generation_names){ .count = 0 };
	TRY(io_exists(env->io, root, &exists));
	if (!exists)
		return 0;
	TRY(io_list(env->io, root, env->mem, &list));
	rc = 0;
	for (size_t i = list.count; i-- > 0 && rc == 0;) {
		uint64_t name;

		if (list.entries[i].type != IO_TYPE_DIRECTORY && list.entries[i].type != IO_TYPE_SYMLINK)
			continue;
		if (!parse_generation_name(list.entries[i].name, &name))
			continue;
		if (out->count < 2) {
			out->newest[out->count++] = name;
		} else if (remove_older) {
			char *path = mem_printf(env->mem, "%s/%s", root, list.entries[i].name);

			rc = path == NULL ? ERR_MEMORY : io_remove_tree(env->io, path);
			mem_free(env->mem, path);
		}
	}
	io_list_free(&list);
	return rc;
}

/* -- Generations ------------------------------------------------------------------------------------------------------- */

int
generation_open(const struct index_env *env, const char *root, uint64_t name, struct generation **out)
{
	struct item_table_env table_env = {
		.io = env->io,
		.mem = env->mem,
		.clock = env->clock,
		.log = env->log,
		.tag_row_prefix_bytes = (uint8_t)tenant_bytes(env->layout),
		.durable_ms = env->durable_ms > env->visible_ms ? env->durable_ms - env->visible_ms : 0,
		.mem_bytes_max = env->mem_bytes_max != 0 ? env->mem_bytes_max : INDEX_MEM_BYTES_DEFAULT,
		.read_only = env->read_only,
	};
	struct generation *generation = mem_zalloc(env->mem, sizeof(*generation));
	int rc;

	if (generation == NULL)
		return ERR_MEMORY;
	generation->io = env->io;
	generation->mem = env->mem;
	generation->log = env->log;
	generation->name = name;
	generation->refs = 1;
	generation->path = mem_printf(env->mem, "%s/%016llX", root, (unsigned long long)name);
	rc = generation->path == NULL ? ERR_MEMORY : item_table_open(&table_env, generation->path, &generation->table);
	if (rc != 0) {
		mem_free(env->mem, generation->path);
		mem_free(env->mem, generation);
		return rc;
	}
	*out = generation;
	return 0;
}

void
generation_release(struct generation *generation)
{
	if (generation == NULL || --generation->refs > 0)
		return;
	item_table_close(generation->table);
	/* A failure leaves a third generation behind, which every open removes. */
	if (generation->dropped && io_remove_tree(generation->io, generation->path) != 0 && generation->log != NULL)
		log_write(generation->log, LOG_WARN, "cannot remove index generation: %s", err_message());
	mem_free(generation->mem, generation->path);
	mem_free(generation->mem, generation);
}

bool
generation_is_empty(const struct generation *generation)
{
	struct item_table_stats stats;

	if (generation == NULL)
		return true;
	item_table_stats(generation->table, &stats);
	return stats.mem_items == 0 && stats.file_items == 0;
}

bool
generation_is_read_only(const struct generation *generation)
{
	struct item_table_stats stats;

	if (generation == NULL)
		return false;
	item_table_stats(generation->table, &stats);
	return stats.read_only;
}

/* -- What the items tell ----------------------------------------------------------------------------------------------- */

struct id_scan {
	struct item_cursor *cursor;
	enum layout layout;
	uint64_t greatest;
};

static int
find_greatest(struct id_scan *scan, enum index_kind kind, struct tenant tenant, size_t prefix_bytes)
{
	uint8_t key[1 + TENANT_BYTES_MAX + 8];
	uint64_t stride = 1;

	row_put_head(key, kind, prefix_bytes == 1 ? LAYOUT_SINGLE : LAYOUT_CLUSTER, tenant);
	/* Ids beyond the clock are rare (another machine's clock): strides double until nothing is found, then start again. */
	while (scan->greatest != UINT64_MAX) {
		uint64_t from = scan->greatest + stride;
		struct bytes item;
		bool found;

		if (from < scan->greatest)
			from = UINT64_MAX;
		put_u64(key + prefix_bytes, from);
		TRY(item_cursor_seek(scan->cursor, bytes_of(key, prefix_bytes + 8)));
		TRY(item_cursor_next(scan->cursor, &item, &found));
		found = found && item.len >= prefix_bytes + 8 && memcmp(item.data, key, prefix_bytes) == 0;
		if (!found && stride == 1)
			return 0;
		if (found) {
			scan->greatest = get_u64(item.data + prefix_bytes);
			stride = stride > UINT64_MAX / 2 ? stride : stride * 2;
		} else {
			stride = 1;
		}
	}
	return 0;
}

static int
find_greatest_of_tenant(void *context, struct tenant tenant)
{
	struct id_scan *scan = context;
	size_t prefix_bytes = 1 + tenant_bytes(scan->layout);

	TRY(find_greatest(scan, ROW_ID_TO_TSID, tenant, prefix_bytes));
	return find_greatest(scan, ROW_ID_TO_NAME, tenant, prefix_bytes);
}

/* Ids go on behind the clock and behind everything that the directory holds (index format 9). */
static int
start_metric_ids(struct index *index, struct item_cursor *cursor)
{
	struct id_scan scan = { .cursor = cursor,
		.layout = index->env.layout,
		.greatest = clock_now_ns(index->env.clock) };
	struct tenant none = { 0, 0 };
	int rc;

	/* Tenants are found with the same cursor that looks for their ids: it seeks every time, so that is fine. */
	rc = index_each_tenant(cursor, index->env.layout, find_greatest_of_tenant, &scan);
	if (rc == 0)
		rc = find_greatest(&scan, ROW_DELETED_ID, none, 1);
	if (rc == 0 && scan.greatest > UINT64_MAX - UINT32_MAX)
		rc = ERR(ERR_LIMIT, "%s holds metric ids up to %016llx: there are none left", index->root,
		    (unsigned long long)scan.greatest);
	index->last_metric_id = scan.greatest;
	return rc;
}

struct deleted_load {
	struct index *index;
	struct u64set *set;
};

static int
load_deleted_item(void *context, struct bytes item, bool *more)
{
	struct deleted_load *load = context;
	uint64_t id;

	(void)more;
	TRY(row_parse_deleted(item, load->index->root, &id));
	return u64set_add(load->set, id);
}

static int
load_deleted(struct index *index, struct item_cursor *cursor)
{
	struct deleted_load load = { .index = index, .set = &index->deleted->set };
	uint8_t prefix = ROW_DELETED_ID;

	return items_each(cursor, bytes_of(&prefix, 1), load_deleted_item, &load);
}

/* -- Opening ------------------------------------------------------------------------------------------------------------ */

static int
open_generations(struct index *index)
{
	const struct index_env *env = &index->env;
	struct generation_names names;
	uint64_t fresh = clock_now_ns(env->clock);

	if (!env->read_only)
		TRY(io_mkdir_all(env->io, index->root));
	TRY(find_generations(env, index->root, !env->read_only, &names));
	if (names.count == 2) {
		TRY(generation_open(env, index->root, names.newest[1], &index->previous));
		return generation_open(env, index->root, names.newest[0], &index->current);
	}
	if (names.count == 1) {
		TRY(generation_open(env, index->root, names.newest[0], &index->previous));
		if (env->read_only)
			return 0;
		if (fresh <= names.newest[0])
			fresh = names.newest[0] + 1;
		return generation_open(env, index->root, fresh, &index->current);
	}
	if (env->read_only)
		return 0;
	TRY(generation_open(env, index->root, fresh, &index->previous));
	return generation_open(env, index->root, fresh + 1, &index->current);
}

static int
load_state(struct index *index)
{
	struct moment moment;
	struct item_cursor *cursor;
	int rc;

	TRY(moment_take(index, false, &moment));
	rc = moment_cursor(&moment, &cursor);
	if (rc == 0) {
		rc = load_deleted(index, cursor);
		if (rc == 0)
			rc = start_metric_ids(index, cursor);
		item_cursor_delete(cursor);
	}
	moment_release(&moment);
	/* A damaged part: names may be missing, so new ones must not get ids. */
	index->failed = generation_is_read_only(index->current) || generation_is_read_only(index->previous);
	index->previous_has_series = !generation_is_empty(index->previous);
	index->filter_complete = generation_is_empty(index->current) && !index->previous_has_series;
	return rc;
}

int
index_open(const struct index_env *env, struct index **out)
{
	struct index *index = mem_zalloc(env->mem, sizeof(*index));
	int rc;

	if (index == NULL)
		return ERR_MEMORY;
	index->env = *env;
	lock_init(&index->lock);
	staging_init(&index->staging, env->mem, env->layout);
	name_filter_init(&index->filter, env->mem);
	buf_init(&index->filter_next, env->mem);
	day_sets_init(&index->days, env->mem);
	index->staging_due_tick_ms = INT64_MAX;
	index->rotate_at_ms = INT64_MAX;
	if (env->retention_ms > 0 && !env->read_only)
		index->rotate_at_ms = index_rotation_deadline_ms(clock_now_ms(env->clock), env->retention_ms);
	index->root = mem_strdup(env->mem, env->root);
	index->deleted = mem_zalloc(env->mem, sizeof(*index->deleted));
	if (index->root == NULL || index->deleted == NULL) {
		rc = ERR_MEMORY;
		goto fail;
	}
	index->env.root = index->root;
	index->deleted->mem = env->mem;
	index->deleted->refs = 1;
	u64set_init(&index->deleted->set, env->mem);
	TRY_GOTO(fail, open_generations(index));
	TRY_GOTO(fail, load_state(index));
	*out = index;
	return 0;
fail:
	index_close(index);
	return rc;
}

void
index_close(struct index *index)
{
	struct mem *mem;

	if (index == NULL)
		return;
	mem = index->env.mem;
	for (size_t i = 0; i < index->pending_count; i++)
		generation_release(index->pending[index->pending_start + i].generation);
	mem_free(mem, index->pending);
	generation_release(index->current);
	generation_release(index->previous);
	if (index->deleted != NULL)
		index_deleted_release(index, &index->deleted->set);
	staging_free(&index->staging);
	name_filter_free(&index->filter);
	buf_free(&index->filter_next);
	day_sets_clear(&index->days);
	lock_destroy(&index->lock);
	mem_free(mem, index->root);
	mem_free(mem, index);
}

/* -- Layout ------------------------------------------------------------------------------------------------------------- */

static int
detect_in(const struct index_env *env, const char *root, uint64_t name, enum layout *layout, bool *known)
{
	static const uint8_t kind = ROW_ID_TO_TSID;
	struct generation *generation;
	struct item_view *view = NULL;
	struct item_cursor *cursor = NULL;
	struct bytes item;
	bool found = false;
	int rc;

	TRY(generation_open(env, root, name, &generation));
	TRY_GOTO(out, item_table_view(generation->table, &view));
	TRY_GOTO(out, item_cursor_create(env->mem, &view, 1, &cursor));
	TRY_GOTO(out, item_cursor_first_with_prefix(cursor, bytes_of(&kind, 1), &item, &found));
	if (found && item.len != 33 && item.len != 49)
		rc = ERR_CORRUPT(generation->path, UINT64_MAX, "id row of %zu bytes is of no layout", item.len);
	if (found && rc == 0)
		*layout = item.len == 33 ? LAYOUT_SINGLE : LAYOUT_CLUSTER;
	*known = found && rc == 0;
out:
	item_cursor_delete(cursor);
	item_view_release(view);
	generation_release(generation);
	return rc;
}

int
index_detect_layout(struct io *io, struct mem *mem, const char *root, enum layout *layout, bool *known)
{
	struct index_env env = { .io = io, .mem = mem, .root = root, .read_only = true };
	struct generation_names names;
	struct clock clock;
	struct log log;
	int rc;

	clock_init_wall(&clock);
	log_init(&log, mem, &clock, LOG_TO_NOBODY);
	env.clock = &clock;
	env.log = &log;
	*known = false;
	rc = find_generations(&env, root, false, &names);
	for (unsigned i = 0; rc == 0 && i < names.count && !*known; i++)
		rc = detect_in(&env, root, names.newest[i], layout, known);
	log_destroy(&log);
	return rc;
}
