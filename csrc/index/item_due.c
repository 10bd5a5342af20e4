/*
 * item_due.c -- what an item table has to do now, and when it will have to do something: decisions, no deeds.
 * floor: index     uses: item_table_inner.h item_plan.h     used by: item_job
 *
 * All functions are called under the table's lock and change nothing.
 */
#include <stdlib.h>

#include "base/err.h"
#include "index/item_plan.h"
#include "index/item_table_inner.h"

enum { FORCE_PARTS_MAX = 64 }; /* a forced merge takes more at once than others: it is asked for rarely and must end */

/* A merge in memory doubles what it merges for a moment; its result has 32-bit offsets. */
enum { MEM_MERGE_SHARE = 4, MEM_MERGE_BYTES_MAX = 1 << 30 };

/* -- Flushes ---------------------------------------------------------------------------------------------------------- */

/* Part of the flush that is under way? Parts that are busy otherwise are sources of a merge in memory. */
static bool
is_flushing(const struct item_table *table, const struct item_part *part)
{
	const struct item_job *job = &table->jobs[ITEM_JOB_FLUSH];

	for (size_t i = 0; i < job->count; i++) {
		if (job->sources[i] == part)
			return true;
	}
	return false;
}

/* The earliest deadline of parts in memory that no flush has yet. */
static int64_t
flush_tick(const struct item_table *table)
{
	int64_t tick = INT64_MAX;

	for (size_t i = 0; i < table->view->count; i++) {
		const struct item_part *part = table->view->parts[i];

		if (!item_part_in_memory(part) || (part->busy && is_flushing(table, part)))
			continue;
		if (part->seq_min <= table->flush_seq)
			return INT64_MIN;
		if (part->due_tick_ms < tick)
			tick = part->due_tick_ms;
	}
	return tick;
}

static uint64_t
idle_mem_bytes(const struct item_table *table)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < table->view->count; i++) {
		const struct item_part *part = table->view->parts[i];

		if (item_part_in_memory(part) && !part->busy)
			bytes += item_part_mem_bytes(part);
	}
	return bytes;
}

enum item_flush_due
item_due_flush(const struct item_table *table, int64_t now_ms)
{
	if (flush_tick(table) <= now_ms)
		return ITEM_FLUSH_DEADLINE;
	/* Half: while it is written, as much again may come in. */
	return idle_mem_bytes(table) > table->env.mem_bytes_max / 2 ? ITEM_FLUSH_PRESSURE : ITEM_FLUSH_NOT_DUE;
}

/* -- Choices ---------------------------------------------------------------------------------------------------------- */

static int
compare_sizes(const void *a, const void *b)
{
	const struct item_part *x = *(struct item_part *const *)a, *y = *(struct item_part *const *)b;

	return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

/* Idle, undamaged parts in memory or on disk, smallest first. */
static int
list_idle(const struct item_table *table, bool in_memory, struct item_choice *out)
{
	out->parts = mem_array(table->env.mem, table->view->count, sizeof(*out->parts));
	if (out->parts == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < table->view->count; i++) {
		struct item_part *part = table->view->parts[i];

		if (item_part_in_memory(part) == in_memory && !part->busy && !part->damaged)
			out->parts[out->count++] = part;
	}
	qsort(out->parts, out->count, sizeof(*out->parts), compare_sizes);
	return 0;
}

/* Keeps the window that the plan picks of the listed parts. */
static int
keep_picked(const struct item_table *table, struct item_choice *choice, size_t parts_max, double gain,
    uint64_t bytes_max)
{
	uint64_t *sizes = mem_array(table->env.mem, choice->count, sizeof(*sizes));
	struct item_plan plan;

	if (sizes == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < choice->count; i++)
		sizes[i] = choice->parts[i]->bytes;
	plan = item_plan_pick(sizes, choice->count, parts_max, gain, bytes_max);
	mem_free(table->env.mem, sizes);
	if (plan.count > 0)
		memmove(choice->parts, choice->parts + plan.start, plan.count * sizeof(*choice->parts));
	choice->count = plan.count;
	return 0;
}

static int
choose_memory(const struct item_table *table, struct item_choice *out)
{
	uint64_t share = table->env.mem_bytes_max / MEM_MERGE_SHARE;

	if (table->view->count < ITEM_MEM_PARTS_MIN)
		return 0;
	TRY(list_idle(table, true, out));
	if (out->count < ITEM_MEM_PARTS_MIN) {
		out->count = 0;
		return 0;
	}
	/* Half of the fewest parts that trigger it: small runs beside a large one are merged without it. */
	return keep_picked(table, out, ITEM_MEM_PARTS_MAX, ITEM_MEM_PARTS_MIN / 2,
	    share > MEM_MERGE_BYTES_MAX ? MEM_MERGE_BYTES_MAX : share);
}

static int
choose_files_at(const struct item_table *table, int64_t when_ms, struct item_choice *out)
{
	double gain;

	TRY(list_idle(table, false, out));
	gain = item_plan_file_gain(out->count, when_ms - table->flushed_tick_ms, when_ms < table->busy_until_tick_ms);
	if (gain <= 0 || when_ms < table->files_tick_ms) {
		out->count = 0;
		return 0;
	}
	return keep_picked(table, out, ITEM_MERGE_PARTS_MAX, gain, UINT64_MAX);
}

static int
choose_forced(const struct item_table *table, struct item_choice *out)
{
	TRY(list_idle(table, false, out));
	out->force_last = out->count <= FORCE_PARTS_MAX;
	if (!out->force_last)
		out->count = FORCE_PARTS_MAX;
	return 0;
}

int
item_due_choose(const struct item_table *table, enum item_job_kind kind, int64_t now_ms, struct item_choice *out)
{
	int rc;

	*out = (struct item_choice){ 0 };
	if (kind == ITEM_JOB_FLUSH)
		rc = list_idle(table, true, out);
	else if (kind == ITEM_JOB_MEMORY)
		rc = choose_memory(table, out);
	else
		rc = table->force_merge ? choose_forced(table, out) : choose_files_at(table, now_ms, out);
	if (rc != 0 || out->count == 0) {
		mem_free(table->env.mem, out->parts);
		out->parts = NULL;
	}
	return rc;
}

/* -- When ------------------------------------------------------------------------------------------------------------- */

/* Would this kind find something at that time? Memory failures count as yes: the step will tell. */
static bool
finds_work(const struct item_table *table, enum item_job_kind kind, int64_t when_ms)
{
	struct item_choice choice;
	bool found = item_due_choose(table, kind, when_ms, &choice) != 0 || choice.count > 1;

	mem_free(table->env.mem, choice.parts);
	return found;
}

/* Now, or one of the moments at which smaller gains become worth while. */
static int64_t
files_tick(const struct item_table *table, int64_t now_ms)
{
	int64_t when = now_ms;

	for (;;) {
		int64_t quiet;

		if (finds_work(table, ITEM_JOB_FILES, when))
			return when;
		if (when < table->busy_until_tick_ms) {
			when = table->busy_until_tick_ms;
			continue;
		}
		if (when < table->files_tick_ms) {
			when = table->files_tick_ms;
			continue;
		}
		quiet = item_plan_next_quiet_ms(when - table->flushed_tick_ms);
		if (quiet == INT64_MAX)
			return INT64_MAX;
		when = table->flushed_tick_ms + quiet;
	}
}

static bool
is_runnable(const struct item_table *table, const struct item_job *job)
{
	return job->phase != ITEM_JOB_IDLE && !job->running &&
	    (job->phase != ITEM_JOB_RETIRE || table->links_busy == 0);
}

/* Of the jobs that write. */
static int64_t
disk_tick(const struct item_table *table, int64_t now_ms)
{
	const struct item_job *flush = &table->jobs[ITEM_JOB_FLUSH], *files = &table->jobs[ITEM_JOB_FILES];
	bool memory_runs = table->jobs[ITEM_JOB_MEMORY].running;
	int64_t tick = INT64_MAX;

	if (is_runnable(table, flush) || is_runnable(table, files) ||
	    (files->phase == ITEM_JOB_IDLE && table->force_merge))
		return now_ms;
	if (flush->phase == ITEM_JOB_IDLE && !memory_runs)
		tick = item_due_flush(table, now_ms) == ITEM_FLUSH_PRESSURE ? now_ms : flush_tick(table);
	if (files->phase == ITEM_JOB_IDLE && tick > now_ms) {
		int64_t files_ms = files_tick(table, now_ms);

		tick = files_ms < tick ? files_ms : tick;
	}
	return tick;
}

int64_t
item_table_next_tick_ms(struct item_table *table)
{
	int64_t now_ms = clock_tick_ms(table->env.clock), tick = INT64_MAX;
	const struct item_job *memory = &table->jobs[ITEM_JOB_MEMORY];

	lock_take(&table->lock);
	if (!table->read_only && !table->env.read_only) {
		if (!table->no_space)
			tick = disk_tick(table, now_ms);
		if (is_runnable(table, memory) ||
		    (memory->phase == ITEM_JOB_IDLE && finds_work(table, ITEM_JOB_MEMORY, now_ms)))
			tick = now_ms;
		if (tick < table->retry_tick_ms)
			tick = table->retry_tick_ms;
		if (tick < now_ms)
			tick = now_ms;
	}
	lock_release(&table->lock);
	return tick;
}
