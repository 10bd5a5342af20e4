/*
 * crash_world.c -- see crash_world.h.
 * Used by spec/crash and spec/fault.
 */
#include "crash_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "storage/internal.h"

/* -- Life ----------------------------------------------------------------------------------------------------------- */

struct world *
world_new(int64_t now_ms, const char *path)
{
	struct world *world = calloc(1, sizeof(*world));

	mem_init(&world->mem, 0);
	if (io_crash_create(&world->mem, &world->crash) != 0 ||
	    io_fault_create(&world->mem, world->crash, &world->io) != 0)
		abort();
	clock_init_manual(&world->clock, now_ms);
	storage_options_default(&world->options);
	snprintf(world->path, sizeof(world->path), "%s", path);
	*strrchr(world->path, '/') = '\0';
	if (world->path[0] != '\0' &&
	    (io_mkdir_all(world->crash, world->path) != 0 || io_crash_checkpoint(world->crash) != 0))
		abort();
	snprintf(world->path, sizeof(world->path), "%s", path);
	world->options.threads = 0;
	world->options.shards = 1;
	world->options.min_free_disk_bytes = 0;
	world->options.memory_limit_bytes = UINT64_C(64) << 20;
	world->rows = calloc(WORLD_ROWS_MAX, sizeof(*world->rows));
	return world;
}

void
world_free(struct world *world)
{
	if (world->storage != NULL)
		storage_abandon(world->storage);
	io_destroy(world->io);
	io_destroy(world->crash);
	assert(mem_live(&world->mem) == 0);
	free(world->rows);
	free(world);
}

int
world_open_on(struct world *world, struct io *io, const char *path, bool read_only, struct storage **out)
{
	struct storage_env env = { .io = io, .clock = &world->clock };
	struct storage_options options = world->options;

	options.path = path;
	options.read_only = read_only;
	TRY(storage_open(&env, &options, out));
	if (world->small_part_bytes != 0)
		world_set_small_part_bytes((*out)->table, world->small_part_bytes);
	return 0;
}

int
world_open(struct world *world)
{
	return world_open_on(world, world->io, world->path, false, &world->storage);
}

size_t
world_ops(struct world *world)
{
	return io_crash_ops_count(world->crash);
}

size_t
world_injected(struct world *world)
{
	return (size_t)io_fault_injected(world->io);
}

/* -- Work ----------------------------------------------------------------------------------------------------------- */

int
world_add(struct world *world, uint32_t n, uint32_t first_series, uint32_t series, int64_t first_ms, int64_t step_ms)
{
	char metric[64];
	uint32_t i;
	int rc;

	for (i = 0; i < n; i++) {
		struct world_row *row = &world->rows[world->rows_count];

		assert(world->rows_count < WORLD_ROWS_MAX);
		*row = (struct world_row){ .at_ms = first_ms + (int64_t)(i / series) * step_ms,
			.series = first_series + i % series,
			.submitted_op = world_ops(world),
			.acked_op = SIZE_MAX,
			.may_go_op = SIZE_MAX,
			.must_go_op = SIZE_MAX };
		snprintf(metric, sizeof(metric), "m{s=\"%u\",group=\"g%u\"}", row->series, row->series % 3);
		rc = storage_add(world->storage, world->options.tenant, bytes_of_text(metric), row->at_ms,
		    (double)world->rows_count);
		/* an add that failed may have got in or not: the row counts as submitted */
		row->accepted = rc == 0;
		world->rows_count++;
		if (rc != 0)
			return rc;
	}
	return 0;
}

void
world_ack(struct world *world)
{
	size_t i;

	for (i = 0; i < world->rows_count; i++)
		if (world->rows[i].acked_op == SIZE_MAX && world->rows[i].accepted)
			world->rows[i].acked_op = world_ops(world);
}

int
world_flush(struct world *world)
{
	uint64_t ticket;

	TRY(storage_flush(world->storage, true, &ticket));
	world_ack(world);
	return 0;
}

int
world_run(struct world *world, uint64_t units_max, uint64_t *units)
{
	uint64_t did = 1;
	int64_t next_ms;

	for (*units = 0; *units < units_max && did > 0; (*units)++)
		TRY(storage_step(world->storage, 0, &did, &next_ms));
	return 0;
}

int
world_snapshot(struct world *world, const char *name)
{
	struct world_snapshot *snapshot = &world->snapshots[world->snapshots_count++];
	struct storage_texts texts;
	uint64_t ticket;
	int rc;

	assert(world->snapshots_count <= WORLD_SNAPSHOTS_MAX);
	*snapshot =
	    (struct world_snapshot){ .begun_op = world_ops(world), .done_op = SIZE_MAX, .removed_op = SIZE_MAX };
	snprintf(snapshot->name, sizeof(snapshot->name), "%s", name);
	storage_texts_init(&texts, &world->mem);
	rc = storage_snapshot(world->storage, name, true, &ticket, &texts);
	storage_texts_free(&texts);
	if (rc != 0)
		return rc;
	/* a snapshot flushes first */
	world_ack(world);
	snapshot->done_op = world_ops(world);
	return 0;
}

int
world_snapshot_delete(struct world *world, const char *name)
{
	size_t i;

	for (i = 0; i < world->snapshots_count; i++)
		if (strcmp(world->snapshots[i].name, name) == 0)
			world->snapshots[i].removed_op = world_ops(world);
	return storage_snapshot_delete(world->storage, name);
}

int
world_delete(struct world *world, uint32_t first_series, uint32_t n)
{
	struct storage_query query = { .matches_count = 1, .to_ms = INT64_MAX };
	size_t rows = world->rows_count, i, may_go = world_ops(world);
	struct bytes match;
	uint64_t deleted;
	char text[64];
	uint32_t s;
	int rc = 0;

	for (s = first_series; s < first_series + n && rc == 0; s++) {
		snprintf(text, sizeof(text), "m{s=\"%u\"}", s);
		match = bytes_of_text(text);
		query.matches = &match;
		rc = storage_delete(world->storage, &query, &deleted);
	}
	for (i = 0; i < rows; i++)
		if (world->rows[i].series >= first_series && world->rows[i].series < first_series + n &&
		    world->rows[i].may_go_op > may_go)
			world->rows[i].may_go_op = may_go;
	if (rc == 0)
		rc = world_flush(world);
	for (i = 0; i < rows && rc == 0; i++)
		if (world->rows[i].may_go_op <= may_go && world->rows[i].series >= first_series &&
		    world->rows[i].series < first_series + n)
			world->rows[i].must_go_op = world_ops(world);
	return rc;
}

void
world_may_drop(struct world *world, int64_t before_ms)
{
	size_t i;

	for (i = 0; i < world->rows_count; i++)
		if (world->rows[i].at_ms < before_ms && world->rows[i].may_go_op == SIZE_MAX)
			world->rows[i].may_go_op = world_ops(world);
}

/* -- Looking -------------------------------------------------------------------------------------------------------- */

int
world_look_begin(struct world *world, size_t k, struct world_look *look)
{
	*look =
	    (struct world_look){ .world = world, .k = k, .to_ms = INT64_MAX, .seen = calloc(world->rows_count + 1, 1) };
	return look->seen == NULL ? ERR(ERR_MEMORY, "no memory to look") : 0;
}

void
world_look_row(struct world_look *look, uint32_t series, int64_t at_ms, double value)
{
	struct world *world = look->world;
	size_t n = (size_t)value;
	const struct world_row *row = &world->rows[n];

	look->rows++;
	if (value < 0 || n >= world->rows_count || (double)n != value || row->at_ms != at_ms || row->series != series ||
	    row->submitted_op > look->k) {
		if (look->foreign++ == 0)
			snprintf(world->message, sizeof(world->message),
			    "series %u has %.17g at %" PRId64 ", which nobody added", series, value, at_ms);
		return;
	}
	if (look->seen[n] && look->twice++ == 0)
		snprintf(world->message, sizeof(world->message), "row %zu of series %u is there twice", n, series);
	look->seen[n] = 1;
}

int
world_look_end(struct world_look *look, size_t acked_before)
{
	struct world *world = look->world;
	uint64_t missing = 0, undead = 0, bad;
	char first[400] = "";
	size_t i;

	for (i = 0; i < world->rows_count; i++) {
		const struct world_row *row = &world->rows[i];

		if (row->at_ms < look->from_ms || row->at_ms > look->to_ms)
			continue;
		if (!look->seen[i] && row->acked_op <= acked_before && row->may_go_op > look->k && missing++ == 0)
			snprintf(first, sizeof(first),
			    "row %zu of series %u at %" PRId64 " is missing, acknowledged at operation %zu", i,
			    row->series, row->at_ms, row->acked_op);
		if (look->seen[i] && row->must_go_op <= look->k && undead++ == 0)
			snprintf(first, sizeof(first), "row %zu of series %u is back, deleted at operation %zu", i,
			    row->series, row->must_go_op);
	}
	free(look->seen);
	look->seen = NULL;
	bad = missing + undead + look->twice + look->foreign;
	if (bad == 0)
		return 0;
	if (first[0] != '\0')
		snprintf(world->message, sizeof(world->message), "%s", first);
	return ERR(ERR_BUG_CODE,
	    "%" PRIu64 " rows missing, %" PRIu64 " twice, %" PRIu64 " foreign, %" PRIu64 " back: %s", missing,
	    look->twice, look->foreign, undead, world->message);
}

/* "m{group="g0",s="12"}" -> 12; UINT32_MAX: not one of ours. */
static uint32_t
series_of(struct bytes metric)
{
	unsigned group, series;

	if (sscanf((const char *)metric.data, "m{group=\"g%u\",s=\"%u\"}", &group, &series) != 2 || group != series % 3)
		return UINT32_MAX;
	return series;
}

int
world_look_storage(struct world_look *look, struct storage *storage)
{
	struct bytes match = bytes_of_text("m{group=~\"g[0-9]+\"}");
	struct storage_query query = { .matches = &match,
		.matches_count = 1,
		.from_ms = look->from_ms,
		.to_ms = look->to_ms };
	struct storage_columns columns;
	struct storage_select *select;
	bool found;
	uint64_t i;
	int rc;

	TRY(storage_select_open(storage, &query, &select));
	for (;;) {
		rc = storage_select_next(select, &columns, &found);
		if (rc != 0 || !found)
			break;
		for (i = 0; i < columns.count; i++)
			world_look_row(look, series_of(columns.metric), columns.timestamps_ms[i], columns.values[i]);
	}
	if (rc == 0 && storage_select_partial(select) != NULL && storage_select_partial(select)[0] != '\0')
		rc = ERR(ERR_BUG_CODE, "the answer is partial: %s", storage_select_partial(select));
	storage_select_free(select);
	return rc;
}

static int
look_and_compare(struct world *world, struct storage *storage, size_t k, size_t acked_before, int64_t from_ms,
    int64_t to_ms)
{
	struct world_look look;
	int rc = world_look_begin(world, k, &look);

	look.from_ms = from_ms;
	look.to_ms = to_ms;
	if (rc == 0)
		rc = world_look_storage(&look, storage);
	if (rc == 0)
		rc = world_look_end(&look, acked_before);
	free(look.seen);
	return rc;
}

/* All rows by the global part of the index, then the day of one row by the per-day part. */
static int
compare_all(struct world *world, struct storage *storage, size_t k, size_t acked_before)
{
	int64_t day;

	TRY(look_and_compare(world, storage, k, acked_before, 0, INT64_MAX));
	if (world->rows_count == 0)
		return 0;
	day = world->rows[(k * 7919) % world->rows_count].at_ms / MS_PER_DAY;
	return look_and_compare(world, storage, k, acked_before, day * MS_PER_DAY, day * MS_PER_DAY + MS_PER_DAY - 1);
}

/* A crash damages nothing: what it leaves must not have to be set aside, nor stop anybody from writing. */
static int
check_health(struct storage *storage, bool read_only)
{
	struct storage_stats stats;

	TRY(storage_stats(storage, &stats));
	if (stats.table.parts_damaged > 0)
		return ERR(ERR_BUG_CODE, "%" PRIu64 " parts count as damaged", stats.table.parts_damaged);
	if (!read_only && (stats.read_only || stats.index.current.read_only || stats.index.previous.read_only))
		return ERR(ERR_BUG_CODE, "the directory opens for reading only");
	return 0;
}

static int
check_path(struct world *world, struct io *io, const char *path, bool read_only, size_t k, size_t acked_before)
{
	struct storage *storage;
	int rc;

	rc = world_open_on(world, io, path, read_only, &storage);
	if (rc != 0) {
		snprintf(world->message, sizeof(world->message), "%s does not open: %s", path, err_message());
		return ERR(ERR_BUG_CODE, "%s", world->message);
	}
	rc = compare_all(world, storage, k, acked_before);
	if (rc == 0)
		rc = check_health(storage, read_only);
	if (rc != 0)
		snprintf(world->message, sizeof(world->message), "%s: %s", path, err_message());
	storage_abandon(storage);
	return rc;
}

/* A snapshot that is listed must hold everything acknowledged when it was asked for. */
static int
check_snapshots(struct world *world, struct io *io, size_t k)
{
	char path[WORLD_PATH_MAX + SNAPSHOT_NAME_MAX + 16];
	bool exists;
	size_t i;

	for (i = 0; i < world->snapshots_count; i++) {
		const struct world_snapshot *snapshot = &world->snapshots[i];

		if (snapshot->begun_op > k || snapshot->removed_op <= k)
			continue;
		snprintf(path, sizeof(path), "%s/snapshots/%s", world->path, snapshot->name);
		TRY(io_exists(io, path, &exists));
		if (!exists && snapshot->done_op > k)
			continue;
		TRY(check_path(world, io, path, true, k, snapshot->begun_op));
	}
	return 0;
}

int
world_check(struct world *world, struct io *io, size_t k)
{
	world->message[0] = '\0';
	TRY(check_path(world, io, world->path, false, k, k));
	return check_snapshots(world, io, k);
}
