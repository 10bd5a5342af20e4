/*
 * fault_sweep.c -- one piece of work after the other, with its n-th call of the disk or of memory failing, for every n.
 * Used by spec/fault.
 *
 *   a prepared world --copy--> world of this n --plan--> the work --> what must hold --> closed --> crashed --> opened
 *
 * What must hold, whatever failed:
 *  (1) nothing dies; an error has a code and words
 *  (2) reading goes on when only writing fails: every row whose add said yes is there
 *  (3) after ENOSPC the same handle goes on by itself once there is space; after EIO at the latest a new one does.
 *      One exception: a rename refused for want of space in the middle of a publication counts like EIO
 *  (4) no descriptor is left open after close
 *  (5) the promise of crash_world.h, also when the power goes right after
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "crash_world.h"
#include "storage/internal.h"

enum work {
	WORK_OPEN,
	WORK_FLUSH,
	WORK_MERGE,
	WORK_SNAPSHOT,
	WORK_SEARCH,
	WORK_NEW_MONTH,
	WORK_INDEX,
	WORK_BACKGROUND,
	WORK_DELETE,
	WORK_DROP,
	WORKS
};

enum fault { FAULT_EIO, FAULT_ENOSPC, FAULT_FSYNC_LOSES, FAULT_MEMORY };

struct tt_fault_plan {
	int work, fault;
	bool for_ever;
	uint64_t first, stride; /* n = first, first + stride, ... */
};

struct tt_fault_report {
	uint64_t runs, failed, bad; /* failed: the work itself reported an error */
	uint64_t states;
	char first[2048];
};

int tt_fault_sweep(const struct tt_fault_plan *plan, int64_t now_ms, struct tt_fault_report *report);
int tt_world_check_live(struct world *world);

#define HOUR_MS INT64_C(3600000)

static int
try_work(struct world *world, enum work work)
{
	struct storage_query query = { .to_ms = INT64_MAX };
	struct storage_select *select;
	struct storage_columns columns;
	int64_t now = clock_now_ms(&world->clock);
	uint64_t units, ticket, merges;
	bool found = true;
	int rc;

	switch (work) {
	case WORK_OPEN: return world_open(world);
	case WORK_FLUSH: return world_flush(world);
	case WORK_MERGE: return storage_force_merge(world->storage, NULL, true, &ticket, &merges);
	case WORK_SNAPSHOT: return world_snapshot(world, "20240320120000-0000ABCD");
	case WORK_SEARCH:
		TRY(storage_select_open(world->storage, &query, &select));
		for (rc = 0; rc == 0 && found;)
			rc = storage_select_next(select, &columns, &found);
		storage_select_free(select);
		return rc;
	case WORK_NEW_MONTH: TRY(world_add(world, 40, 0, 4, now - 60 * MS_PER_DAY, 1000)); return world_flush(world);
	case WORK_INDEX:
		TRY(world_add(world, 40, 100, 40, now - HOUR_MS, 1000));
		TRY(world_flush(world));
		index_force_merge(world->storage->index);
		return world_run(world, 2000, &units);
	case WORK_BACKGROUND:
		for (rc = 0; rc == 0 && world->rows_count < 800;) {
			rc = world_add(world, 40, 0, 4, clock_now_ms(&world->clock) - 60000, 1000);
			clock_set_manual(&world->clock, clock_now_ms(&world->clock) + 3000);
			if (rc == 0)
				rc = world_run(world, 2000, &units);
		}
		return rc;
	case WORK_DELETE: return world_delete(world, 1, 2);
	case WORK_DROP:
		/* both sides of the retention stay, so that a clock that goes on loses nothing more */
		clock_set_manual(&world->clock, now + 8 * MS_PER_DAY);
		return world_run(world, 2000, &units);
	case WORKS: break;
	}
	return ERR_BUG("no such work");
}

/* Months, parts of all kinds, index parts: what the works begin with. Closed. */
static struct world *
prepare(enum work work, int64_t now_ms)
{
	struct world *world = world_new(now_ms, "/db");
	int rc;

	if (work == WORK_DROP)
		world->options.retention_ms = 30 * MS_PER_DAY;
	rc = world_open(world);
	for (int i = 0; i < 3 && rc == 0; i++) {
		rc = world_add(world, 60, (uint32_t)i, 4, now_ms - (i + 1) * HOUR_MS, 1000);
		if (rc == 0)
			rc = world_flush(world);
	}
	if (rc == 0)
		rc = world_add(world, 60, 0, 4, now_ms - 28 * MS_PER_DAY, 1000);
	if (rc == 0)
		rc = world_flush(world);
	if (work == WORK_DROP) {
		world_may_drop(world, now_ms - 20 * MS_PER_DAY);
		world_add(world, 20, 0, 4, now_ms - 10 * MS_PER_DAY, 1000) == 0 ? (void)0 : abort();
	}
	if (rc == 0)
		rc = storage_close(world->storage);
	world_ack(world);
	world->storage = NULL;
	if (rc != 0) {
		fprintf(stderr, "preparing: %s\n", err_message());
		abort();
	}
	return world;
}

/* A world of its own that begins where the prepared one ended. */
static struct world *
copy_of(const struct world *from)
{
	struct world *world = world_new(clock_now_ms(&from->clock), from->path);
	struct crash_choice all = { .model = CRASH_ORDERED, .data = CRASH_DATA_FULL };
	size_t i;

	io_destroy(world->io);
	io_destroy(world->crash);
	/* the copy shares the account of its origin: it must go first */
	if (io_crash_state(from->crash, io_crash_ops_count(from->crash), &all, &world->crash) != 0 ||
	    io_fault_create(&world->mem, world->crash, &world->io) != 0)
		abort();
	world->options.retention_ms = from->options.retention_ms;
	world->rows_count = from->rows_count;
	memcpy(world->rows, from->rows, from->rows_count * sizeof(*from->rows));
	for (i = 0; i < world->rows_count; i++) {
		struct world_row *row = &world->rows[i];

		row->submitted_op = row->acked_op = 0;
		row->may_go_op = row->may_go_op == SIZE_MAX ? SIZE_MAX : 0;
	}
	return world;
}

static void
set_plan(struct world *world, const struct tt_fault_plan *plan, uint64_t n)
{
	struct io_fault_plan faults = { .fail_at = n, .for_ever = plan->for_ever, .errno_value = EIO };

	if (plan->fault == FAULT_ENOSPC) {
		faults.errno_value = ENOSPC;
		/* a directory whose fsync failed is in an unknown state, whatever the reason: that is not a full disk */
		faults.calls = IO_CALLS_CHANGING &
		    ~(IO_CALL_BIT(IO_CALL_UNLINK) | IO_CALL_BIT(IO_CALL_RMDIR) | IO_CALL_BIT(IO_CALL_FSYNC_DIR));
	}
	if (plan->fault == FAULT_FSYNC_LOSES) {
		faults.calls = IO_CALL_BIT(IO_CALL_FSYNC);
		faults.fsync_failed = io_crash_lose_unsynced;
	}
	if (plan->fault != FAULT_MEMORY) {
		io_fault_plan(world->io, &faults);
	} else if (world->storage != NULL) {
		world->storage->mem.fail_for_ever = plan->for_ever;
		world->storage->mem.fail_at = world->storage->mem.calls + n;
	}
}

/* Ends the plan; true if it did anything. */
static bool
end_plan(struct world *world, const struct tt_fault_plan *plan, uint64_t n, uint64_t calls_before)
{
	bool hit;

	if (plan->fault == FAULT_MEMORY) {
		hit = world->storage != NULL && world->storage->mem.calls >= calls_before + n;
		if (world->storage != NULL)
			world->storage->mem.fail_at = 0;
		return hit;
	}
	hit = world_injected(world) > 0;
	io_fault_plan(world->io, NULL);
	return hit;
}

/* Every row that was accepted is in the open storage's answer. */
static int
check_live(struct world *world)
{
	struct world_look look;
	size_t i;
	int rc;

	TRY(world_look_begin(world, SIZE_MAX - 1, &look));
	rc = world_look_storage(&look, world->storage);
	for (i = 0; i < world->rows_count && rc == 0; i++)
		if (!look.seen[i] && world->rows[i].accepted && world->rows[i].may_go_op == SIZE_MAX)
			rc = ERR(ERR_BUG_CODE, "accepted row %zu is not in the answer", i);
	if (rc == 0 && (look.twice > 0 || look.foreign > 0))
		rc = ERR(ERR_BUG_CODE, "%" PRIu64 " rows twice, %" PRIu64 " foreign in the live answer: %s", look.twice,
		    look.foreign, world->message);
	free(look.seen);
	return rc;
}

/* Space is back: the same handle must be able to make everything durable, within a few retries of a second. */
static int
check_goes_on(struct world *world)
{
	uint64_t units;
	int rc = 0, i;

	for (i = 0; i < 5; i++) {
		clock_set_manual(&world->clock, clock_now_ms(&world->clock) + 2000);
		TRY(world_run(world, 2000, &units));
		rc = world_flush(world);
		if (rc == 0)
			rc = world_add(world, 4, 0, 4, clock_now_ms(&world->clock) - 1000, 1);
		if (rc == 0)
			rc = world_flush(world);
		if (rc == 0)
			return 0;
	}
	return err_prefix(rc, "space is back, but: ");
}

/* What the disk holds after close, and what it would hold had the power gone. */
static int
check_disk(struct world *world, struct tt_fault_report *report)
{
	size_t ops = io_crash_ops_count(world->crash), i;

	for (i = 0; i < 4; i++) {
		struct crash_choice choice = { .model = i == 2 ? CRASH_WEAK : CRASH_ORDERED,
			.data = i == 0 ? CRASH_DATA_FULL
			    : i == 1   ? CRASH_DATA_LOST
				       : CRASH_DATA_ZEROED,
			.seed = 77 + i };
		struct io *state;
		int rc;

		if (io_crash_state(world->crash, ops, &choice, &state) != 0)
			abort();
		rc = world_check(world, state, ops);
		io_destroy(state);
		report->states++;
		if (rc != 0)
			return err_prefix(rc, "disk %zu after it: ", i);
	}
	return 0;
}

static int
check_after(struct world *world, const struct tt_fault_plan *plan, int work_rc, const char *last)
{
	int rc = 0;

	if (work_rc != 0 && (err_code() != work_rc || err_message()[0] == '\0'))
		return ERR(ERR_BUG_CODE, "code %d came without words", work_rc);
	if (world->storage == NULL) {
		/* the open failed: nothing may be left of it, and without the fault it works */
		if (world->io->open_files != 0)
			return ERR(ERR_BUG_CODE, "%llu descriptors are left of a failed open",
			    (unsigned long long)world->io->open_files);
		rc = world_open(world);
		if (rc != 0)
			return err_prefix(rc, "opening without the fault: ");
	}
	rc = check_live(world);
	if (rc == 0 && (plan->fault == FAULT_ENOSPC || plan->fault == FAULT_MEMORY)) {
		rc = check_goes_on(world);
		if (rc == ERR_READONLY && plan->fault == FAULT_ENOSPC && strstr(last, ": rename /db/") != NULL)
			rc = 0;
	}
	return rc;
}

static void
one_run(const struct world *prepared, const struct tt_fault_plan *plan, uint64_t n, bool *hit,
    struct tt_fault_report *report)
{
	struct world *world = copy_of(prepared);
	uint64_t calls_before = 0;
	char last[300], words[600];
	int rc = 0, work_rc;

	if (plan->work != WORK_OPEN)
		rc = world_open(world);
	if (rc == 0 && (plan->work == WORK_FLUSH || plan->work == WORK_SNAPSHOT || plan->work == WORK_SEARCH))
		rc = world_add(world, 60, 2, 4, clock_now_ms(&world->clock) - HOUR_MS / 2, 1000);
	if (rc != 0)
		abort();
	if (world->storage != NULL)
		calls_before = world->storage->mem.calls;
	set_plan(world, plan, n);
	work_rc = try_work(world, (enum work)plan->work);
	snprintf(words, sizeof(words), "%s", work_rc != 0 ? err_message() : "no error");
	snprintf(last, sizeof(last), "%s", io_fault_last(world->io));
	/* writing fails for ever, reading does not */
	rc = plan->fault == FAULT_ENOSPC && plan->for_ever && world->storage != NULL ? check_live(world) : 0;
	*hit = end_plan(world, plan, n, calls_before);
	report->runs += *hit;
	report->failed += work_rc != 0;
	if (rc == 0) {
		if (work_rc != 0)
			(void)ERR(work_rc, "%s", words);
		rc = check_after(world, plan, work_rc, last);
	}
	if (world->storage != NULL) {
		if (storage_close(world->storage) == 0)
			world_ack(world);
		world->storage = NULL;
	}
	if (rc == 0 && (world->io->open_files != 0 || world->crash->open_files != 0))
		rc = ERR(ERR_BUG_CODE, "%llu descriptors are left", (unsigned long long)world->io->open_files);
	if (rc == 0)
		rc = check_disk(world, report);
	if (rc != 0 && report->bad++ == 0)
		snprintf(report->first, sizeof(report->first), "n = %" PRIu64 " (%s; the work said: %s): %s", n, last,
		    words, err_message());
	world_free(world);
}

int
tt_fault_sweep(const struct tt_fault_plan *plan, int64_t now_ms, struct tt_fault_report *report)
{
	struct world *prepared = prepare((enum work)plan->work, now_ms);
	bool hit = true;
	uint64_t n;

	memset(report, 0, sizeof(*report));
	for (n = plan->first; hit; n += plan->stride)
		one_run(prepared, plan, n, &hit, report);
	world_free(prepared);
	return 0;
}

int
tt_world_check_live(struct world *world)
{
	return check_live(world);
}
