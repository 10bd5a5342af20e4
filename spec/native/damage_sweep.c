/*
 * damage_sweep.c -- every byte of every file damaged, every file cut at every length; what the engine then says.
 * Used by spec/fault/damage_spec.lua.
 *
 *   a directory on a disk in memory --copy, one file changed--> open, read everything, merge everything, read again
 *
 * noticed   an error, a part named as damaged, an answer that calls itself partial, or a directory that refuses writes
 * silent    nothing of that, and the right answer: the bytes decide nothing that was asked
 * wrong     nothing of that, and another answer than before: must never happen
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/io_crash.h"
#include "storage/internal.h"

enum damage { DAMAGE_FLIP, DAMAGE_CUT, DAMAGE_GROW };
enum outcome { NOTICED, SILENT, WRONG };

struct tt_damage_report {
	uint64_t files, checks, noticed, silent, wrong;
	char first_wrong[1024], first_silent[1024];
};

struct tt_damage_plan {
	const char *path;      /* of the database */
	const char *below;     /* only files whose path contains this */
	const char *not_below; /* and not this; may be empty */
	int64_t now_ms;
	uint64_t seed;
	uint32_t per_file; /* so many flips and as many cuts, spread over a file; 0: every byte, every length */
	bool merge;        /* merge everything when reading noticed nothing */
};

struct sweep {
	struct mem mem;
	struct clock clock;
	struct io *disk;
	const struct tt_damage_plan *plan;
	struct tt_damage_report *report;
	uint64_t right; /* the undamaged answer */
	uint64_t random;
};

int tt_damage_sweep(struct io *disk, const struct tt_damage_plan *plan, struct tt_damage_report *report);

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xFF51AFD7ED558CCD);
	x ^= x >> 33;
	x *= UINT64_C(0xC4CEB9FE1A85EC53);
	return x ^ (x >> 33);
}

/* One number for everything that a select gives, whatever the order of the series. */
static int
answer(struct storage *storage, uint64_t *hash, bool *partial)
{
	struct storage_query query = { .to_ms = INT64_MAX };
	struct storage_columns columns;
	struct storage_select *select;
	bool found = true;
	size_t i;
	int rc;

	*hash = 0;
	TRY(storage_select_open(storage, &query, &select));
	for (rc = 0; rc == 0;) {
		uint64_t series = 11;

		rc = storage_select_next(select, &columns, &found);
		if (rc != 0 || !found)
			break;
		for (i = 0; i < columns.metric.len; i++)
			series = (series ^ columns.metric.data[i]) * UINT64_C(0x100000001B3);
		for (i = 0; i < columns.count; i++) {
			uint64_t bits;

			memcpy(&bits, &columns.values[i], sizeof(bits));
			series = mix(series ^ bits) + (uint64_t)columns.timestamps_ms[i];
		}
		*hash += mix(series);
	}
	*partial = rc == 0 && storage_select_partial(select) != NULL && storage_select_partial(select)[0] != '\0';
	storage_select_free(select);
	return rc;
}

static bool
admits_damage(struct storage *storage)
{
	struct storage_stats stats;

	return storage_stats(storage, &stats) != 0 || stats.table.parts_damaged > 0 || stats.read_only ||
	    stats.index.current.read_only || stats.index.previous.read_only;
}

static enum outcome
judge(struct sweep *sweep, struct storage *storage)
{
	uint64_t hash, ticket, merges, units;
	int64_t next_ms;
	bool partial;

	if (answer(storage, &hash, &partial) != 0 || partial || admits_damage(storage))
		return NOTICED;
	if (hash != sweep->right)
		return WRONG;
	if (!sweep->plan->merge)
		return SILENT;
	index_force_merge(storage->index);
	if (storage_force_merge(storage, NULL, true, &ticket, &merges) != 0)
		return NOTICED;
	for (units = 1; units > 0 && index_force_merging(storage->index);)
		if (storage_step(storage, 0, &units, &next_ms) != 0)
			return NOTICED;
	if (answer(storage, &hash, &partial) != 0 || partial || admits_damage(storage))
		return NOTICED;
	return hash == sweep->right ? SILENT : WRONG;
}

static int
open_on(struct sweep *sweep, struct io *io, struct storage **out)
{
	struct storage_env env = { .io = io, .clock = &sweep->clock };
	struct storage_options options;

	storage_options_default(&options);
	options.path = sweep->plan->path;
	options.threads = 0;
	options.min_free_disk_bytes = 0;
	options.memory_limit_bytes = UINT64_C(64) << 20;
	return storage_open(&env, &options, out);
}

static void
count(struct sweep *sweep, enum outcome outcome, const char *path, enum damage damage, size_t at)
{
	static const char *const words[] = { "one bit flipped at", "cut at", "a byte more at" };
	struct tt_damage_report *report = sweep->report;
	char *first = outcome == WRONG ? report->first_wrong : report->first_silent;

	report->checks++;
	if (outcome == NOTICED) {
		report->noticed++;
		return;
	}
	if ((outcome == WRONG ? report->wrong++ : report->silent++) == 0)
		snprintf(first, sizeof(report->first_wrong), "%s, %s %zu", path, words[damage], at);
}

static void
try_one(struct sweep *sweep, const char *path, const uint8_t *data, size_t n, enum damage damage, size_t at)
{
	struct crash_choice all = { .model = CRASH_ORDERED, .data = CRASH_DATA_FULL };
	enum outcome outcome = NOTICED;
	struct storage *storage;
	struct io *copy;

	if (io_crash_state(sweep->disk, io_crash_ops_count(sweep->disk), &all, &copy) != 0 ||
	    io_crash_set_content(copy, path, data, n) != 0)
		abort();
	if (open_on(sweep, copy, &storage) == 0) {
		outcome = judge(sweep, storage);
		storage_abandon(storage);
	}
	count(sweep, outcome, path, damage, at);
	io_destroy(copy);
}

static void
damage_file(struct sweep *sweep, const char *path)
{
	const struct tt_damage_plan *plan = sweep->plan;
	struct buf content;
	size_t i, n, stride;

	buf_init(&content, &sweep->mem);
	if (io_read_file(sweep->disk, path, UINT32_MAX, &content) != 0 || buf_append_u8(&content, 0) != 0)
		abort();
	n = content.len - 1;
	stride = plan->per_file == 0 || n < plan->per_file ? 1 : n / plan->per_file;
	sweep->report->files++;
	for (i = 0; i < n; i += stride) {
		uint8_t bit = (uint8_t)(1u << ((sweep->random = mix(sweep->random + i)) & 7));

		content.data[i] ^= bit;
		try_one(sweep, path, content.data, n, DAMAGE_FLIP, i);
		content.data[i] ^= bit;
	}
	for (i = 0; i < n; i += stride)
		try_one(sweep, path, content.data, i, DAMAGE_CUT, i);
	try_one(sweep, path, content.data, n + 1, DAMAGE_GROW, n);
	buf_free(&content);
}

static void
walk(struct sweep *sweep, const char *directory)
{
	struct io_list list;
	size_t i;

	if (io_list(sweep->disk, directory, &sweep->mem, &list) != 0)
		abort();
	for (i = 0; i < list.count; i++) {
		char *path = mem_printf(&sweep->mem, "%s/%s", directory, list.entries[i].name);
		const char *not_below = sweep->plan->not_below;

		if (list.entries[i].type == IO_TYPE_DIRECTORY)
			walk(sweep, path);
		else if (list.entries[i].type == IO_TYPE_FILE && strstr(path, sweep->plan->below) != NULL &&
		    (not_below[0] == '\0' || strstr(path, not_below) == NULL) && strstr(path, "flock.lock") == NULL)
			damage_file(sweep, path);
		mem_free(&sweep->mem, path);
	}
	io_list_free(&list);
}

/* Nothing damaged must look like nothing damaged, or the sweep proves nothing. */
static int
control(struct sweep *sweep)
{
	struct crash_choice all = { .model = CRASH_ORDERED, .data = CRASH_DATA_FULL };
	enum outcome outcome = NOTICED;
	struct storage *storage;
	struct io *copy;

	if (io_crash_state(sweep->disk, io_crash_ops_count(sweep->disk), &all, &copy) != 0)
		abort();
	if (open_on(sweep, copy, &storage) == 0) {
		outcome = judge(sweep, storage);
		storage_abandon(storage);
	}
	io_destroy(copy);
	return outcome == SILENT ? 0 : ERR(ERR_BUG_CODE, "an undamaged directory counts as outcome %d", (int)outcome);
}

int
tt_damage_sweep(struct io *disk, const struct tt_damage_plan *plan, struct tt_damage_report *report)
{
	struct sweep sweep = { .disk = disk, .plan = plan, .report = report, .random = plan->seed };
	struct storage *storage;
	bool partial;
	int rc;

	mem_init(&sweep.mem, 0);
	clock_init_manual(&sweep.clock, plan->now_ms);
	memset(report, 0, sizeof(*report));
	TRY(io_crash_checkpoint(disk));
	TRY(open_on(&sweep, disk, &storage));
	rc = answer(storage, &sweep.right, &partial);
	storage_abandon(storage);
	if (rc == 0)
		rc = io_crash_checkpoint(disk);
	if (rc == 0)
		rc = control(&sweep);
	if (rc == 0)
		walk(&sweep, plan->path);
	return rc;
}
