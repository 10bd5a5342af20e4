/*
 * item_job.c -- the background work of an item table, one bounded unit per call.
 * floor: index     uses: item_table_inner.h item_plan.h     used by: index
 *
 * At most one job of each kind is under way; several threads may run different ones. Flushes go first, then merges in
 * memory, then merges of files, so that a long merge never delays durability. The phases are drawn in item_table_inner.h.
 *
 *   a failure                              what happens
 *   ERR_NOSPACE before the new name        output discarded, sources stay, no_space until item_table_retry()
 *   ERR_NOSPACE while sources are retired  no_space; the next rename is tried again after item_table_retry()
 *   ERR_MEMORY                             output discarded or phase kept; tried again after a second
 *   ERR_CORRUPTED of a source              output discarded, the source is left out from now on
 *   anything else                          output discarded, the table is read-only until reopened
 */
#include "base/err.h"
#include "index/item_plan.h"
#include "index/item_table_inner.h"

enum {
	UNIT_US = 1000, /* a unit of work: steps must not keep a host from its own work */
	MEMORY_RETRY_MS = 1000,
	NO_ROOM_RETRY_MS = 60000,
	BUSY_MS = 10000 /* a flush under memory pressure: a bulk load is assumed to go on for so long */
};

/* A merge needs its output beside its sources, and the disk must keep something for flushes. */
enum { FREE_BYTES_MIN = 16 << 20 };

/* -- Life of a job ---------------------------------------------------------------------------------------------------- */

/* Takes the chosen parts over. */
static void
job_start(struct item_table *table, enum item_job_kind kind, const struct item_choice *choice)
{
	struct item_job *job = &table->jobs[kind];

	*job = (struct item_job){ .phase = ITEM_JOB_MERGE,
		.sources = choice->parts,
		.count = choice->count,
		.force_last = choice->force_last };
	job->suffix = table->next_suffix++;
	for (size_t i = 0; i < job->count; i++) {
		item_part_ref(job->sources[i]);
		job->sources[i]->busy = true;
	}
}

/* Back to idle: the sources may be chosen again. What the job held is moved to *held, to be let go without the lock: to
 * unmap a flushed part takes milliseconds, and writers would wait. */
static void
job_end(struct item_job *job, struct item_job *held)
{
	for (size_t i = 0; i < job->count; i++)
		job->sources[i]->busy = false;
	*held = *job;
	*job = (struct item_job){ .phase = ITEM_JOB_IDLE };
}

/* A zeroed job is fine. */
static void
job_release(struct item_table *table, struct item_job *held)
{
	for (size_t i = 0; i < held->count; i++)
		item_part_unref(held->sources[i]);
	mem_free(table->env.mem, held->sources);
	item_merge_delete(held->merge, true);
	item_part_unref(held->result);
}

/* -- Choosing --------------------------------------------------------------------------------------------------------- */

/* true: job is idle and work for it was found, it is started now. */
static int
start_if_due(struct item_table *table, enum item_job_kind kind, int64_t now_ms, bool *started)
{
	struct item_choice choice;

	*started = false;
	if (table->jobs[kind].phase != ITEM_JOB_IDLE)
		return 0;
	TRY(item_due_choose(table, kind, now_ms, &choice));
	/* One part is enough for a flush; a merge of one would change nothing, so a forced one is done. */
	if (kind == ITEM_JOB_FILES && table->force_merge && choice.count < 2)
		table->force_merge = false;
	if (choice.count < (kind == ITEM_JOB_FLUSH ? 1 : 2)) {
		mem_free(table->env.mem, choice.parts);
		return 0;
	}
	job_start(table, kind, &choice);
	*started = true;
	return 0;
}

static int
start_flush_if_due(struct item_table *table, int64_t now_ms, struct item_job *dropped, bool *started)
{
	enum item_flush_due due = item_due_flush(table, now_ms);
	struct item_job *memory = &table->jobs[ITEM_JOB_MEMORY];

	*started = false;
	if (due == ITEM_FLUSH_NOT_DUE || table->jobs[ITEM_JOB_FLUSH].phase != ITEM_JOB_IDLE)
		return 0;
	if (due == ITEM_FLUSH_DEADLINE && memory->phase != ITEM_JOB_IDLE) {
		/* Its sources are wanted. Whoever runs it drops it at the end of the unit. */
		memory->cancel = true;
		if (memory->running)
			return 0;
		job_end(memory, dropped);
	}
	TRY(start_if_due(table, ITEM_JOB_FLUSH, now_ms, started));
	if (*started) {
		table->flushed_tick_ms = now_ms;
		if (due == ITEM_FLUSH_PRESSURE)
			table->busy_until_tick_ms = now_ms + BUSY_MS;
	}
	return 0;
}

static bool
is_ready(const struct item_table *table, enum item_job_kind kind)
{
	const struct item_job *job = &table->jobs[kind];

	if (job->phase == ITEM_JOB_IDLE || job->running)
		return false;
	return job->phase != ITEM_JOB_RETIRE || table->links_busy == 0;
}

/* The job to run now, marked as running; NULL: nothing to do, or others do it. *dropped: a job that made way for it. */
static int
choose(struct item_table *table, struct item_job *dropped, struct item_job **out)
{
	int64_t now_ms = clock_tick_ms(table->env.clock);
	bool disk = !table->no_space, started = false;
	int kind = ITEM_JOB_KINDS;

	*out = NULL;
	if (table->read_only || table->env.read_only || now_ms < table->retry_tick_ms)
		return 0;
	if (disk)
		TRY(start_flush_if_due(table, now_ms, dropped, &started));
	if (disk && is_ready(table, ITEM_JOB_FLUSH)) {
		kind = ITEM_JOB_FLUSH;
	} else {
		TRY(start_if_due(table, ITEM_JOB_MEMORY, now_ms, &started));
		if (is_ready(table, ITEM_JOB_MEMORY)) {
			kind = ITEM_JOB_MEMORY;
		} else if (disk) {
			TRY(start_if_due(table, ITEM_JOB_FILES, now_ms, &started));
			if (is_ready(table, ITEM_JOB_FILES))
				kind = ITEM_JOB_FILES;
		}
	}
	if (kind == ITEM_JOB_KINDS)
		return 0;
	*out = &table->jobs[kind];
	(*out)->running = true;
	return 0;
}

/* -- Phases, without the lock ----------------------------------------------------------------------------------------- */

static int
create_merge(struct item_table *table, struct item_job *job, enum item_job_kind kind)
{
	struct item_merge_options options = { .io = table->env.io,
		.mem = table->env.mem,
		.tenant_bytes = table->env.tag_row_prefix_bytes };
	char *directory = NULL;
	uint64_t items = 0;
	int rc;

	for (size_t i = 0; i < job->count; i++)
		items += job->sources[i]->items;
	if (kind != ITEM_JOB_MEMORY) {
		directory = mem_printf(table->env.mem, "%s/%016llX", table->tmp_path, (unsigned long long)job->suffix);
		if (directory == NULL)
			return ERR_MEMORY;
	}
	options.directory = directory;
	options.level = item_plan_level(items);
	rc = item_merge_create(&options, job->sources, job->count, &job->merge);
	mem_free(table->env.mem, directory);
	return rc;
}

/* Is there room for the output of a merge of files? */
static int
has_room(struct item_table *table, const struct item_job *job, bool *room)
{
	uint64_t need = FREE_BYTES_MIN, free_bytes;

	for (size_t i = 0; i < job->count; i++)
		need += job->sources[i]->bytes;
	TRY(io_free_space(table->env.io, table->path, &free_bytes));
	*room = free_bytes >= need;
	return 0;
}

/* What the result inherits from its sources in memory. */
static void
inherit(const struct item_job *job)
{
	struct item_part *part = job->result;

	part->seq_min = UINT64_MAX;
	part->due_tick_ms = INT64_MAX;
	for (size_t i = 0; i < job->count; i++) {
		const struct item_part *source = job->sources[i];

		part->seq_min = source->seq_min < part->seq_min ? source->seq_min : part->seq_min;
		part->seq_max = source->seq_max > part->seq_max ? source->seq_max : part->seq_max;
		part->due_tick_ms = source->due_tick_ms < part->due_tick_ms ? source->due_tick_ms : part->due_tick_ms;
	}
}

static int
run_merge(struct item_table *table, struct item_job *job, enum item_job_kind kind, const struct budget *budget,
    enum item_job_phase *next)
{
	bool done, room = true;

	if (job->merge == NULL) {
		if (kind == ITEM_JOB_FILES)
			TRY(has_room(table, job, &room));
		if (room)
			return create_merge(table, job, kind);
		*next = ITEM_JOB_IDLE;
		return 0;
	}
	TRY(item_merge_step(job->merge, budget, &done));
	if (!done)
		return 0;
	if (kind == ITEM_JOB_MEMORY) {
		TRY(item_merge_take_part(job->merge, &job->result));
		inherit(job);
		*next = ITEM_JOB_IDLE;
	} else {
		*next = ITEM_JOB_PUBLISH;
	}
	return 0;
}

static int
run_delete(struct item_table *table, struct item_job *job, enum item_job_phase *next)
{
	int rc = item_publish_delete(table, job->sources[job->deleted]);

	/* It lies in tmp/, which the next open empties: no reason to stop. */
	if (rc != 0)
		log_write(table->env.log, LOG_WARN, "a merged index part could not be deleted: %s", err_message());
	if (++job->deleted == job->count)
		*next = ITEM_JOB_IDLE;
	return 0;
}

void
item_jobs_drop(struct item_table *table)
{
	for (int kind = 0; kind < ITEM_JOB_KINDS; kind++) {
		struct item_job *job = &table->jobs[kind], held;

		if (job->phase == ITEM_JOB_IDLE)
			continue;
		assert(!job->running);
		/* Retired parts would only take space until the next open. Nothing else is begun or ended here. */
		for (enum item_job_phase next = job->phase; next == ITEM_JOB_DELETE;)
			(void)run_delete(table, job, &next);
		item_merge_delete(job->merge, job->phase > ITEM_JOB_PUBLISH);
		job->merge = NULL;
		job_end(job, &held);
		job_release(table, &held);
	}
}

/* One unit of the job; *next: the phase behind it. */
static int
run_phase(struct item_table *table, struct item_job *job, enum item_job_kind kind, const struct budget *budget,
    uint64_t owner, enum item_job_phase *next)
{
	*next = job->phase;
	switch (job->phase) {
	case ITEM_JOB_MERGE: return run_merge(table, job, kind, budget, next);
	case ITEM_JOB_PUBLISH:
		TRY(item_publish_rename(table, job->merge, job->suffix, owner, &job->result));
		*next = ITEM_JOB_SYNC;
		return 0;
	case ITEM_JOB_SYNC:
		TRY(io_fsync_dir(table->env.io, table->path));
		*next = kind == ITEM_JOB_FILES ? ITEM_JOB_RETIRE : ITEM_JOB_IDLE;
		return 0;
	case ITEM_JOB_RETIRE:
		for (; job->retired < job->count; job->retired++)
			TRY(item_publish_retire(table, job->sources[job->retired]));
		*next = ITEM_JOB_RETIRE_SYNC;
		return 0;
	case ITEM_JOB_RETIRE_SYNC:
		TRY(io_fsync_dir(table->env.io, table->path));
		*next = ITEM_JOB_DELETE;
		return 0;
	case ITEM_JOB_DELETE: return run_delete(table, job, next);
	case ITEM_JOB_IDLE: break;
	}
	return ERR_BUG("an idle job of an index table was run");
}

/* -- Outcomes, under the lock ----------------------------------------------------------------------------------------- */

static void
count_merge(struct item_table *table, const struct item_job *job, enum item_job_kind kind)
{
	uint64_t items = 0;

	for (size_t i = 0; i < job->count; i++)
		items += job->sources[i]->items;
	if (kind == ITEM_JOB_FLUSH)
		table->stats.flushes++;
	else
		table->stats.merges++;
	table->stats.items_merged += items;
	if (kind != ITEM_JOB_MEMORY)
		table->stats.bytes_written += job->result->bytes;
}

/* The phase went well. */
static int
succeed(struct item_table *table, struct item_job *job, enum item_job_kind kind, enum item_job_phase next,
    struct item_job *held)
{
	bool swap = job->phase == ITEM_JOB_SYNC ||
	    (job->phase == ITEM_JOB_MERGE && next == ITEM_JOB_IDLE && job->result != NULL);

	if (swap) {
		TRY(item_table_swap(table, job->sources, job->count, job->result));
		count_merge(table, job, kind);
	} else if (job->phase == ITEM_JOB_MERGE && next == ITEM_JOB_IDLE) {
		log_write(table->env.log, LOG_WARN, "no room for a merge of %zu parts of index table %s", job->count,
		    table->path);
		table->files_tick_ms = clock_tick_ms(table->env.clock) + NO_ROOM_RETRY_MS;
		table->force_merge = false;
	}
	job->phase = next;
	if (next == ITEM_JOB_IDLE) {
		if (job->force_last)
			table->force_merge = false;
		job_end(job, held);
	}
	return 0;
}

static bool
has_damaged_source(const struct item_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		if (job->sources[i]->damaged)
			return true;
	}
	return false;
}

/* What a failure means for the table. true: the job goes on with the same phase later. */
static bool
fail(struct item_table *table, struct item_job *job, int rc)
{
	bool committed = job->phase >= ITEM_JOB_SYNC;

	if (rc == ERR_MEMORY) {
		table->retry_tick_ms = clock_tick_ms(table->env.clock) + MEMORY_RETRY_MS;
		return committed;
	}
	/* Behind the new name, only renames may be repeated: after a failed fsync nobody knows what is on disk. */
	if (rc == ERR_NOSPACE && (!committed || job->phase == ITEM_JOB_RETIRE)) {
		log_write(table->env.log, LOG_WARN, "index table %s cannot write: %s", table->path, err_message());
		table->no_space = true;
		return committed;
	}
	if (rc == ERR_CORRUPTED && !committed && has_damaged_source(job)) {
		log_write(table->env.log, LOG_ERROR, "an index part is damaged and left out of merges: %s",
		    err_message());
		return false;
	}
	log_write(table->env.log, LOG_ERROR, "index table %s is read-only until it is opened again: %s", table->path,
	    err_message());
	item_table_set_read_only(table);
	return false;
}

/* A failed job lets go of its output, without the lock because files are removed. */
static void
discard_output(struct item_job *job)
{
	struct err_saved saved;

	err_save(&saved);
	item_merge_delete(job->merge, job->phase > ITEM_JOB_PUBLISH);
	job->merge = NULL;
	item_part_unref(job->result);
	job->result = NULL;
	(void)err_restore(&saved);
}

static int
finish_unit(struct item_table *table, struct item_job *job, enum item_job_kind kind, enum item_job_phase next, int rc)
{
	struct item_job held = { 0 };
	bool keep = true;

	lock_take(&table->lock);
	if (rc == 0)
		rc = succeed(table, job, kind, next, &held);
	if (rc != 0)
		keep = fail(table, job, rc);
	if (!keep) {
		lock_release(&table->lock);
		discard_output(job);
		lock_take(&table->lock);
	}
	job->running = false;
	if (!keep || job->cancel)
		job_end(job, &held);
	lock_release(&table->lock);
	job_release(table, &held);
	return rc;
}

int
item_table_step(struct item_table *table, const struct budget *budget, bool *did)
{
	struct budget unit = budget_of_us(UNIT_US);
	struct item_job *job, dropped = { 0 };
	enum item_job_kind kind;
	enum item_job_phase next;
	uint64_t owner;
	int rc;

	*did = false;
	lock_take(&table->lock);
	rc = choose(table, &dropped, &job);
	owner = ++table->next_owner;
	lock_release(&table->lock);
	job_release(table, &dropped);
	if (rc != 0 || job == NULL)
		return rc;
	*did = true;
	kind = (enum item_job_kind)(job - table->jobs);
	if (budget->until_ns < unit.until_ns)
		unit = *budget;
	rc = run_phase(table, job, kind, &unit, owner, &next);
	return finish_unit(table, job, kind, next, rc);
}
