/*
 * table_shims.c -- a table driven from the specs: rows in, steps, views, trouble.
 * floor: tests     uses: table_env.h     used by: spec/table
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "codec/decimal.h"
#include "part/part_search.h"
#include "table_env.h"

/* -- Environment ------------------------------------------------------------------------------------------------------- */

const struct tsid *
tt_table_tsid_get(const struct tsid_map *map, uint32_t series)
{
	if (series >= map->count)
		abort();
	return &map->tsids[series];
}

struct tt_table_env *tt_table_env_open(const char *root, bool crashing, uint32_t series, int64_t now_ms);
struct tt_table_env *
tt_table_env_open(const char *root, bool crashing, uint32_t series, int64_t now_ms)
{
	struct tt_table_env *env = calloc(1, sizeof(*env));

	mem_init(&env->mem, 0);
	clock_init_manual(&env->clock, now_ms);
	log_init(&env->log, &env->mem, &env->clock, LOG_TO_RING);
	if ((crashing ? io_crash_create(&env->mem, &env->disk) : io_posix_create(&env->mem, &env->disk)) != 0 ||
	    io_fault_create(&env->mem, env->disk, &env->io) != 0)
		abort();
	u64set_init(&env->deleted, &env->mem);
	snprintf(env->root, sizeof(env->root), "%s", root);
	env->map.tsids = calloc(series, sizeof(struct tsid));
	env->map.count = series;
	/* Dense numbers in another order than TSIDs; metric ids are series + 1000. */
	for (uint32_t i = 0; i < series; i++)
		env->map.tsids[i] = (struct tsid){ .metric_group_id = i * UINT64_C(7919) % 13,
			.job_id = i % 3,
			.instance_id = i * 40503u,
			.metric_id = i + 1000 };
	return env;
}

/* What is left: open files * 1000000 + live allocations. */
uint64_t tt_table_env_close(struct tt_table_env *env);
uint64_t
tt_table_env_close(struct tt_table_env *env)
{
	uint64_t left;

	table_close(env->table);
	left = (env->io->open_files + env->deleted_held) * 1000000;
	u64set_free(&env->deleted);
	io_destroy(env->io);
	io_destroy(env->disk);
	log_destroy(&env->log);
	left += mem_live(&env->mem);
	free(env->map.tsids);
	free(env);
	return left;
}

struct tt_table_index {
	uint64_t last, durable, requests, wakes;
};

void tt_table_index(struct tt_table_env *env, struct tt_table_index *out);
void
tt_table_index(struct tt_table_env *env, struct tt_table_index *out)
{
	*out = (struct tt_table_index){ env->index_last, env->index_durable, env->index_requests, env->wakes };
}

void tt_table_index_set(struct tt_table_env *env, uint64_t last, uint64_t durable);
void
tt_table_index_set(struct tt_table_env *env, uint64_t last, uint64_t durable)
{
	env->index_last = last;
	env->index_durable = durable;
}

void tt_table_time(struct tt_table_env *env, int64_t now_ms);
void
tt_table_time(struct tt_table_env *env, int64_t now_ms)
{
	clock_set_manual(&env->clock, now_ms);
}

int tt_table_delete_series(struct tt_table_env *env, uint64_t metric_id);
int
tt_table_delete_series(struct tt_table_env *env, uint64_t metric_id)
{
	return u64set_add(&env->deleted, metric_id);
}

/* The n-th call (of these kinds; 0: any) fails with this errno, once or for ever; n 0: none. */
void tt_table_fault(struct tt_table_env *env, uint64_t n, int errno_value, bool for_ever, uint32_t calls,
    const char *path_part);
void
tt_table_fault(struct tt_table_env *env, uint64_t n, int errno_value, bool for_ever, uint32_t calls,
    const char *path_part)
{
	struct io_fault_plan plan = { .fail_at = n,
		.for_ever = for_ever,
		.errno_value = errno_value,
		.calls = calls,
		.path_part = path_part };

	io_fault_plan(env->io, &plan);
}

uint64_t tt_table_fault_calls(struct tt_table_env *env);
uint64_t
tt_table_fault_calls(struct tt_table_env *env)
{
	return io_fault_calls(env->io);
}

void tt_table_full(struct tt_table_env *env, bool full);
void
tt_table_full(struct tt_table_env *env, bool full)
{
	io_fault_set_full(env->io, full);
}

void tt_table_fail_memory(struct tt_table_env *env, uint64_t n);
void
tt_table_fail_memory(struct tt_table_env *env, uint64_t n)
{
	env->mem.fail_at = n == 0 ? 0 : env->mem.calls + n;
}

void tt_table_limit_memory(struct tt_table_env *env, uint64_t bytes);
void
tt_table_limit_memory(struct tt_table_env *env, uint64_t bytes)
{
	env->mem.limit_bytes = bytes;
}

/* The next message of the log; false when there is none. */
bool tt_table_log(struct tt_table_env *env, char *text, size_t text_bytes);
bool
tt_table_log(struct tt_table_env *env, char *text, size_t text_bytes)
{
	struct log_entry entry;

	if (!log_take(&env->log, &entry))
		return false;
	snprintf(text, text_bytes, "%s", entry.text);
	return true;
}

/* -- The table ----------------------------------------------------------------------------------------------------------- */

static uint64_t
index_last(void *context)
{
	return ((struct tt_table_env *)context)->index_last;
}
static uint64_t
index_durable(void *context)
{
	return ((struct tt_table_env *)context)->index_durable;
}
static void
index_request(void *context)
{
	((struct tt_table_env *)context)->index_requests++;
}
static void
wake(void *context)
{
	((struct tt_table_env *)context)->wakes++;
}

static int
deleted_acquire(void *context, const struct u64set **out)
{
	struct tt_table_env *env = context;

	env->deleted_held++;
	*out = &env->deleted;
	return 0;
}

static void
deleted_release(void *context, const struct u64set *set)
{
	struct tt_table_env *env = context;

	(void)set;
	env->deleted_held--;
}

int tt_table_open(struct tt_table_env *env, const struct table_options *options);
int
tt_table_open(struct tt_table_env *env, const struct table_options *options)
{
	char data[600], side[600];
	struct table_env table_env = { .io = env->io,
		.mem = &env->mem,
		.clock = &env->clock,
		.log = &env->log,
		.data_path = data,
		.side_path = side,
		.tsids = &env->map,
		.tsid_get = tt_table_tsid_get };

	table_env.hooks = (struct table_hooks){ .context = env,
		.index_last_seq = index_last,
		.index_durable_seq = index_durable,
		.index_flush_request = index_request,
		.deleted_acquire = deleted_acquire,
		.deleted_release = deleted_release,
		.wake = wake };
	snprintf(data, sizeof(data), "%s/data", env->root);
	snprintf(side, sizeof(side), "%s/tsengine", env->root);
	return table_open(&table_env, options, &env->table);
}

void tt_table_close(struct tt_table_env *env);
void
tt_table_close(struct tt_table_env *env)
{
	table_close(env->table);
	env->table = NULL;
}

int tt_table_add(struct tt_table_env *env, struct row *rows, size_t n, struct add_counts *counts);
int
tt_table_add(struct tt_table_env *env, struct row *rows, size_t n, struct add_counts *counts)
{
	return table_add(env->table, rows, n, counts);
}

int tt_table_step(struct tt_table_env *env, uint64_t budget_us, bool *did);
int
tt_table_step(struct tt_table_env *env, uint64_t budget_us, bool *did)
{
	struct budget budget = budget_of_us(budget_us);

	return table_step(env->table, &budget, did);
}

/* Steps while something is due, at most `most`; *steps counts them. */
int tt_table_run(struct tt_table_env *env, uint64_t budget_us, uint64_t most, uint64_t *steps);
int
tt_table_run(struct tt_table_env *env, uint64_t budget_us, uint64_t most, uint64_t *steps)
{
	bool did = true;

	for (*steps = 0; did && *steps < most; ++*steps)
		TRY(tt_table_step(env, budget_us, &did));
	return 0;
}

/* -- Reading ----------------------------------------------------------------------------------------------------------- */

static int
read_block(struct block *block, struct int64s_scratch *scratch, const struct u64set *wanted, int64_t min_ms,
    int64_t max_ms, struct tt_part_rows *rows)
{
	size_t n = block->header.rows;
	int64_t *times = malloc(n * sizeof(*times));
	double *values = malloc(n * sizeof(*values));
	int rc = 0;

	if (block->state == BLOCK_RAW) {
		memcpy(times, block->timestamps_ms, n * sizeof(*times));
		memcpy(values, block->values, n * sizeof(*values));
	} else {
		rc = block_read(block, scratch, times, values);
	}
	rows->blocks++;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (times[i] < min_ms || times[i] > max_ms ||
		    (wanted != NULL && !u64set_has(wanted, block->header.tsid.metric_id)))
			continue;
		if (rows->count == rows->cap) {
			rc = ERR(ERR_LIMIT, "more rows than the test expects");
			break;
		}
		rows->metric_id[rows->count] = block->header.tsid.metric_id;
		rows->timestamp_ms[rows->count] = times[i];
		rows->bits[rows->count++] = double_bits(values[i]);
	}
	free(times);
	free(values);
	return rc;
}

int
tt_table_read_part(struct tt_table_env *env, struct part *part, bool strict, const struct u64set *wanted,
    int64_t min_ms, int64_t max_ms, struct tt_part_rows *rows)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc;

	TRY(part_cursor_create(&env->mem, part, strict && part->columns == NULL, &cursor));
	int64s_scratch_init(&scratch, &env->mem);
	block_init(&block, &env->mem);
	while (found) {
		TRY_GOTO(out, part_cursor_next(cursor, &block, &found));
		if (found)
			TRY_GOTO(out, read_block(&block, &scratch, wanted, min_ms, max_ms, rows));
	}
out:
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

/* All rows that a view shows; ids NULL: of all series. *partial as in the view. */
int tt_table_rows(struct tt_table_env *env, int64_t min_ms, int64_t max_ms, const uint64_t *ids, size_t n,
    struct tt_part_rows *rows, uint64_t *partial);
int
tt_table_rows(struct tt_table_env *env, int64_t min_ms, int64_t max_ms, const uint64_t *ids, size_t n,
    struct tt_part_rows *rows, uint64_t *partial)
{
	struct table_view view;
	struct u64set wanted;
	int rc = 0;

	u64set_init(&wanted, &env->mem);
	rows->count = rows->blocks = 0;
	if (ids != NULL)
		TRY(u64set_add_many(&wanted, ids, n));
	rc = table_view_open(env->table, min_ms, max_ms, ids == NULL ? NULL : &wanted, &view);
	if (rc == 0) {
		*partial = view.partial;
		for (size_t i = 0; i < view.count && rc == 0; i++)
			rc = tt_table_read_part(env, view.parts[i], true, ids == NULL ? NULL : &wanted, min_ms, max_ms,
			    rows);
		table_view_close(&view);
	}
	u64set_free(&wanted);
	return rc;
}

/* A view that stays open while the table goes on. */
int tt_table_view_open(struct tt_table_env *env, struct table_view *view);
int
tt_table_view_open(struct tt_table_env *env, struct table_view *view)
{
	return table_view_open(env->table, INT64_MIN, INT64_MAX, NULL, view);
}

int tt_table_view_rows(struct tt_table_env *env, struct table_view *view, struct tt_part_rows *rows);
int
tt_table_view_rows(struct tt_table_env *env, struct table_view *view, struct tt_part_rows *rows)
{
	rows->count = rows->blocks = 0;
	for (size_t i = 0; i < view->count; i++)
		TRY(tt_table_read_part(env, view->parts[i], false, NULL, INT64_MIN, INT64_MAX, rows));
	return 0;
}

int tt_table_parts(struct tt_table_env *env, struct table_part_info *out, size_t room, size_t *count);
int
tt_table_parts(struct tt_table_env *env, struct table_part_info *out, size_t room, size_t *count)
{
	struct table_part_info *infos;

	TRY(table_parts(env->table, NULL, &infos, count));
	for (size_t i = 0; i < *count && i < room; i++)
		out[i] = infos[i];
	mem_free(&env->mem, infos);
	return 0;
}

int tt_table_damaged(struct tt_table_env *env, char *text, size_t text_bytes);
int
tt_table_damaged(struct tt_table_env *env, char *text, size_t text_bytes)
{
	struct buf names;
	int rc;

	buf_init(&names, &env->mem);
	rc = table_damaged_names(env->table, &names);
	snprintf(text, text_bytes, "%.*s", (int)names.len, names.data == NULL ? "" : (const char *)names.data);
	buf_free(&names);
	return rc;
}

struct table *tt_table_of(struct tt_table_env *env);
struct table *
tt_table_of(struct tt_table_env *env)
{
	return env->table;
}

/* -- Crashes ------------------------------------------------------------------------------------------------------------ */

uint64_t tt_table_crash_ops(struct tt_table_env *env);
uint64_t
tt_table_crash_ops(struct tt_table_env *env)
{
	return io_crash_ops_count(env->disk);
}

uint64_t tt_table_crash_uncertain(struct tt_table_env *env, uint64_t k);
uint64_t
tt_table_crash_uncertain(struct tt_table_env *env, uint64_t k)
{
	return io_crash_uncertain(env->disk, k);
}

int tt_table_crash_describe(struct tt_table_env *env, uint64_t index, char *text, size_t text_bytes);
int
tt_table_crash_describe(struct tt_table_env *env, uint64_t index, char *text, size_t text_bytes)
{
	struct buf line;
	int rc;

	buf_init(&line, &env->mem);
	rc = io_crash_describe(env->disk, index, &line);
	if (rc == 0)
		snprintf(text, text_bytes, "%s", (const char *)line.data);
	buf_free(&line);
	return rc;
}

/* What a crash before operation k leaves, as an environment of its own; NULL when memory ran out. *fingerprint tells states apart. */
struct tt_table_env *tt_table_crash_state(struct tt_table_env *env, uint64_t k, int model, int data, uint64_t seed,
    uint64_t *fingerprint);
struct tt_table_env *
tt_table_crash_state(struct tt_table_env *env, uint64_t k, int model, int data, uint64_t seed, uint64_t *fingerprint)
{
	struct crash_choice choice = { .model = (enum crash_model)model, .data = (enum crash_data)data, .seed = seed };
	struct tt_table_env *state =
	    tt_table_env_open(env->root, true, (uint32_t)env->map.count, clock_now_ms(&env->clock));

	io_destroy(state->io);
	io_destroy(state->disk);
	if (io_crash_state(env->disk, k, &choice, &state->disk) != 0 ||
	    io_fault_create(&state->mem, state->disk, &state->io) != 0)
		abort();
	*fingerprint = io_crash_fingerprint(state->disk);
	return state;
}
