/*
 * crash_enumerate.c -- every state that a crash may leave of a world's journal, opened and checked; C names for LuaJIT.
 * Used by spec/crash and spec/fault.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "crash_world.h"
#include "storage/internal.h"

/* What was looked at, and what was wrong. */
struct tt_crash_report {
	uint64_t states; /* built */
	uint64_t opened; /* of these different from all before */
	uint64_t bad;
	uint64_t recoveries; /* crashes during the opening of a state */
	uint64_t went_on;    /* states that took new rows, were closed and opened again */
	char first[2048];    /* the first that was wrong, in words */
};

struct tt_crash_plan {
	size_t from, to; /* operations; to is included, cut at the end of the journal */
	size_t stride;   /* every n-th crash point; 0: 1 */
	uint32_t
	    weak_per_point; /* weak states sampled per crash point; all subsets when there are no more than these */
	uint32_t recovery_every; /* every n-th opened state crashes during its recovery, too; 0: none */
	uint32_t go_on_every;    /* every n-th opened state is written to and opened again; 0: none */
	uint64_t seed;
	bool stop_at_first,
	    backward; /* backward: from the last point to the first, where most of what is wrong shows */
};

struct seen {
	uint64_t *slots; /* 0: free */
	size_t room, count;
};

struct enumeration {
	struct world *world;
	const struct tt_crash_plan *plan;
	struct tt_crash_report *report;
	struct seen seen;
};

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xFF51AFD7ED558CCD);
	x ^= x >> 33;
	x *= UINT64_C(0xC4CEB9FE1A85EC53);
	return x ^ (x >> 33);
}

/* true when the number is new. */
static bool
seen_add(struct seen *seen, uint64_t number)
{
	size_t i, at;

	number |= 1;
	if (seen->count * 2 >= seen->room) {
		size_t room = seen->room == 0 ? 1024 : seen->room * 2;
		uint64_t *slots = calloc(room, sizeof(*slots));

		for (i = 0; i < seen->room; i++) {
			if (seen->slots[i] == 0)
				continue;
			for (at = mix(seen->slots[i]) & (room - 1); slots[at] != 0; at = (at + 1) & (room - 1))
				continue;
			slots[at] = seen->slots[i];
		}
		free(seen->slots);
		seen->slots = slots;
		seen->room = room;
	}
	for (at = mix(number) & (seen->room - 1); seen->slots[at] != 0; at = (at + 1) & (seen->room - 1))
		if (seen->slots[at] == number)
			return false;
	seen->slots[at] = number;
	seen->count++;
	return true;
}

/* What the model asks for before operation k: states that look alike need a second look only when it changed. */
static uint64_t
demand(const struct world *world, size_t k)
{
	uint64_t hash = 7;
	size_t i;

	for (i = 0; i < world->rows_count; i++) {
		const struct world_row *row = &world->rows[i];
		unsigned bits = (row->submitted_op <= k) | (row->acked_op <= k) << 1 | (row->may_go_op <= k) << 2 |
		    (row->must_go_op <= k) << 3;

		hash = (hash ^ bits) * UINT64_C(0x100000001B3);
	}
	for (i = 0; i < world->snapshots_count; i++) {
		const struct world_snapshot *snapshot = &world->snapshots[i];

		hash = mix(hash ^
		    ((snapshot->begun_op <= k) | (snapshot->done_op <= k) << 1 | (snapshot->removed_op <= k) << 2));
	}
	return hash;
}

static void
complain(struct enumeration *e, size_t k, const struct crash_choice *choice, const char *what)
{
	static const char *const data[] = { "full", "lost", "zeroed", "half" };
	struct buf operation;

	if (e->report->bad++ > 0)
		return;
	buf_init(&operation, &e->world->mem);
	if (k >= io_crash_ops_count(e->world->crash) || io_crash_describe(e->world->crash, k, &operation) != 0)
		(void)!buf_append(&operation, "the end", 8);
	if (choice->model == CRASH_WEAK)
		snprintf(e->report->first, sizeof(e->report->first),
		    "%s, weak state %" PRIu64 " before operation %zu (%s): %s", what, choice->seed, k,
		    (const char *)operation.data, e->world->message);
	else
		snprintf(e->report->first, sizeof(e->report->first),
		    "%s, unsynced data %s, before operation %zu (%s): %s", what, data[choice->data], k,
		    (const char *)operation.data, e->world->message);
	buf_free(&operation);
}

/* The same state is opened while everything is recorded; then the power goes again somewhere in between. */
static void
crash_again(struct enumeration *e, size_t k, const struct crash_choice *choice, struct io *recovered)
{
	size_t ops = io_crash_ops_count(recovered), i, points = ops < 4 ? ops : 4;

	for (i = 0; i < points; i++) {
		struct crash_choice again = { .model = (i & 1) ? CRASH_WEAK : CRASH_ORDERED,
			.data = (enum crash_data)(i & 3),
			.seed = mix(e->plan->seed + k * 31 + i) };
		struct io *state;

		if (io_crash_state(recovered, (size_t)(mix(again.seed) % (ops + 1)), &again, &state) != 0)
			abort();
		e->report->recoveries++;
		if (world_check(e->world, state, k) != 0)
			complain(e, k, choice, "a crash during recovery");
		io_destroy(state);
	}
}

/* A recovered directory takes rows, gives them back, and opens again. */
static void
go_on(struct enumeration *e, size_t k, const struct crash_choice *choice, struct io *io)
{
	struct world *world = e->world;
	size_t rows_before = world->rows_count, snapshots = world->snapshots_count;
	struct storage *kept = world->storage;
	int rc;

	rc = world_open_on(world, io, world->path, false, &world->storage);
	if (rc == 0) {
		rc = world_add(world, 8, 500, 4, clock_now_ms(&world->clock) - 3600000, 1000);
		for (size_t i = rows_before; i < world->rows_count; i++)
			world->rows[i].submitted_op = world->rows[i].acked_op = 0;
		if (rc == 0)
			rc = storage_close(world->storage);
		else
			storage_abandon(world->storage);
	}
	world->storage = kept;
	world->snapshots_count = 0; /* they do not have the new rows */
	if (rc != 0)
		snprintf(world->message, sizeof(world->message), "%s", err_message());
	else
		rc = world_check(world, io, k);
	world->rows_count = rows_before;
	world->snapshots_count = snapshots;
	e->report->went_on++;
	if (rc != 0)
		complain(e, k, choice, "going on after recovery");
}

static void
look(struct enumeration *e, size_t k, const struct crash_choice *choice)
{
	struct io *state;

	e->report->states++;
	if (io_crash_state(e->world->crash, k, choice, &state) != 0)
		abort();
	if (seen_add(&e->seen, io_crash_fingerprint(state) ^ demand(e->world, k))) {
		bool deep;

		e->report->opened++;
		if (world_check(e->world, state, k) != 0)
			complain(e, k, choice, "a crash");
		deep = e->plan->recovery_every != 0 && e->report->opened % e->plan->recovery_every == 0;
		if (deep)
			crash_again(e, k, choice, state);
		if (e->plan->go_on_every != 0 && e->report->opened % e->plan->go_on_every == 0)
			go_on(e, k, choice, state);
	}
	io_destroy(state);
}

static void
look_weak(struct enumeration *e, size_t k)
{
	size_t uncertain = io_crash_uncertain(e->world->crash, k);
	bool all = uncertain < 16 && (UINT64_C(1) << uncertain) <= e->plan->weak_per_point;
	uint64_t n = all ? UINT64_C(1) << uncertain : e->plan->weak_per_point, i;

	for (i = 0; i < n && !(e->plan->stop_at_first && e->report->bad > 0); i++) {
		/* the low 16 bits choose the names while these are few, the rest draws what happens to bytes */
		struct crash_choice choice = { .model = CRASH_WEAK, .seed = mix(e->plan->seed ^ (k << 20) ^ i) };

		if (all)
			choice.seed = (choice.seed & ~UINT64_C(0xFFFF)) | i;
		look(e, k, &choice);
	}
}

struct world *tt_world_new(int64_t now_ms, const char *path);
void tt_world_free(struct world *world);
int tt_world_open(struct world *world);
int tt_world_close(struct world *world);
int tt_world_open_once(struct world *world, struct io *io, const char *path);
void tt_world_abandon(struct world *world);
int tt_world_add(struct world *world, uint32_t n, uint32_t first_series, uint32_t series, int64_t first_ms,
    int64_t step_ms);
int tt_world_flush(struct world *world);
int tt_world_force_merge(struct world *world, uint64_t *merges);
int tt_world_index_merge(struct world *world);
int tt_world_run(struct world *world, uint64_t units_max, uint64_t *units);
int tt_world_advance(struct world *world, int64_t ms, uint64_t *units);
int tt_world_snapshot(struct world *world, const char *name);
int tt_world_snapshot_delete(struct world *world, const char *name);
int tt_world_delete(struct world *world, uint32_t first_series, uint32_t n);
void tt_world_may_drop(struct world *world, int64_t before_ms);
void tt_world_set(struct world *world, int64_t retention_ms, uint64_t small_part_bytes);
int tt_world_checkpoint(struct world *world);
struct io *tt_world_io(struct world *world);
struct io *tt_world_crash(struct world *world);

size_t tt_world_rows(struct world *world);
int tt_world_check(struct world *world, struct io *io, size_t k);
int tt_world_check_now(struct world *world);
void tt_world_enumerate(struct world *world, const struct tt_crash_plan *plan, struct tt_crash_report *report);
int tt_world_state(struct world *world, size_t k, const struct crash_choice *choice, struct io **out);
struct world_look *tt_look_begin(struct world *world, size_t k);
void tt_look_row(struct world_look *look, uint32_t series, int64_t at_ms, double value);
int tt_look_end(struct world_look *look);

void
tt_world_enumerate(struct world *world, const struct tt_crash_plan *plan, struct tt_crash_report *report)
{
	struct enumeration e = { .world = world, .plan = plan, .report = report };
	size_t ops = world_ops(world), stride = plan->stride == 0 ? 1 : plan->stride,
	       to = plan->to < ops ? plan->to : ops, i;
	unsigned data;

	assert(world->storage == NULL);
	memset(report, 0, sizeof(*report));
	for (i = 0; plan->from + i <= to; i += stride) {
		size_t k = plan->backward ? to - i : plan->from + i;

		for (data = 0; data < 4; data++)
			look(&e, k, &(struct crash_choice){ .model = CRASH_ORDERED, .data = (enum crash_data)data });
		look_weak(&e, k);
		if (plan->stop_at_first && report->bad > 0)
			break;
	}
	free(e.seen.slots);
}

struct world *
tt_world_new(int64_t now_ms, const char *path)
{
	return world_new(now_ms, path);
}

void
tt_world_free(struct world *world)
{
	world_free(world);
}

int
tt_world_open(struct world *world)
{
	return world_open(world);
}

/* Opens a database on any disk and closes it again. */
int
tt_world_open_once(struct world *world, struct io *io, const char *path)
{
	struct storage *storage;

	TRY(world_open_on(world, io, path, false, &storage));
	return storage_close(storage);
}

/* A close that says 0 has made everything durable. */
int
tt_world_close(struct world *world)
{
	int rc = world->storage == NULL ? 0 : storage_close(world->storage);

	world->storage = NULL;
	if (rc == 0)
		world_ack(world);
	return rc;
}

void
tt_world_abandon(struct world *world)
{
	if (world->storage != NULL)
		storage_abandon(world->storage);
	world->storage = NULL;
}

int
tt_world_add(struct world *world, uint32_t n, uint32_t first_series, uint32_t series, int64_t first_ms, int64_t step_ms)
{
	return world_add(world, n, first_series, series, first_ms, step_ms);
}

int
tt_world_flush(struct world *world)
{
	return world_flush(world);
}

int
tt_world_force_merge(struct world *world, uint64_t *merges)
{
	uint64_t ticket;

	TRY(storage_force_merge(world->storage, NULL, true, &ticket, merges));
	return 0;
}

/* All file parts of the index into one. */
int
tt_world_index_merge(struct world *world)
{
	uint64_t units;

	index_force_merge(world->storage->index);
	while (index_force_merging(world->storage->index))
		TRY(world_run(world, 1000, &units));
	return 0;
}

int
tt_world_run(struct world *world, uint64_t units_max, uint64_t *units)
{
	return world_run(world, units_max, units);
}

int
tt_world_advance(struct world *world, int64_t ms, uint64_t *units)
{
	clock_set_manual(&world->clock, clock_now_ms(&world->clock) + ms);
	*units = 0;
	return world->storage == NULL ? 0 : world_run(world, 100000, units);
}

int
tt_world_snapshot(struct world *world, const char *name)
{
	return world_snapshot(world, name);
}

int
tt_world_snapshot_delete(struct world *world, const char *name)
{
	return world_snapshot_delete(world, name);
}

int
tt_world_delete(struct world *world, uint32_t first_series, uint32_t n)
{
	return world_delete(world, first_series, n);
}

void
tt_world_may_drop(struct world *world, int64_t before_ms)
{
	world_may_drop(world, before_ms);
}

void
tt_world_set(struct world *world, int64_t retention_ms, uint64_t small_part_bytes)
{
	world->options.retention_ms = retention_ms;
	world->small_part_bytes = small_part_bytes;
	if (world->storage != NULL && small_part_bytes != 0)
		world_set_small_part_bytes(world->storage->table, small_part_bytes);
}

/* Forgets the journal: all that happened so far is durable and happened before operation 0. */
int
tt_world_checkpoint(struct world *world)
{
	size_t i;

	TRY(io_crash_checkpoint(world->crash));
	for (i = 0; i < world->rows_count; i++) {
		struct world_row *row = &world->rows[i];

		row->submitted_op = 0;
		row->acked_op = row->acked_op == SIZE_MAX ? SIZE_MAX : 0;
		row->may_go_op = row->may_go_op == SIZE_MAX ? SIZE_MAX : 0;
		row->must_go_op = row->must_go_op == SIZE_MAX ? SIZE_MAX : 0;
	}
	for (i = 0; i < world->snapshots_count; i++) {
		struct world_snapshot *snapshot = &world->snapshots[i];

		snapshot->begun_op = 0;
		snapshot->done_op = snapshot->done_op == SIZE_MAX ? SIZE_MAX : 0;
		snapshot->removed_op = snapshot->removed_op == SIZE_MAX ? SIZE_MAX : 0;
	}
	return 0;
}

struct io *
tt_world_io(struct world *world)
{
	return world->io;
}

struct io *
tt_world_crash(struct world *world)
{
	return world->crash;
}

size_t
tt_world_rows(struct world *world)
{
	return world->rows_count;
}

int
tt_world_check(struct world *world, struct io *io, size_t k)
{
	return world_check(world, io, k);
}

/* What is on the world's own disk now, without a crash; the world must be closed. */
int
tt_world_check_now(struct world *world)
{
	assert(world->storage == NULL);
	return world_check(world, world->crash, world_ops(world));
}

int
tt_world_state(struct world *world, size_t k, const struct crash_choice *choice, struct io **out)
{
	return io_crash_state(world->crash, k, choice, out);
}

struct world_look *
tt_look_begin(struct world *world, size_t k)
{
	struct world_look *look_out = calloc(1, sizeof(*look_out));

	if (world_look_begin(world, k, look_out) != 0)
		abort();
	return look_out;
}

void
tt_look_row(struct world_look *look_in, uint32_t series, int64_t at_ms, double value)
{
	world_look_row(look_in, series, at_ms, value);
}

int
tt_look_end(struct world_look *look_in)
{
	int rc = world_look_end(look_in, look_in->k);

	free(look_in);
	return rc;
}
