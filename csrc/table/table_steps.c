/*
 * table_steps.c -- the scheduler: which unit of work is next, and when the next one will be due.
 * floor: table     uses: table_private.h     used by: storage (through table.h)
 *
 * Order: raw rows become parts > memory parts go to disk > small merges > force and big merges > trash > upkeep.
 * One function decides both questions: with `take` it also makes the choice, so that they cannot disagree.
 */
#include "table/table_private.h"

enum unit_kind { UNIT_NONE, UNIT_CONVERT, UNIT_JOB, UNIT_TRASH, UNIT_UPKEEP };

struct unit {
	enum unit_kind kind;
	struct partition *partition;
	struct job *job;
};

/* -- Jobs (the table's lock is held) ------------------------------------------------------------------------------------ */

static void
jobs_append(struct table *table, struct job *job)
{
	struct job **last = &table->jobs;

	while (*last != NULL)
		last = &(*last)->next;
	*last = job;
	table->jobs_count[job->kind]++;
}

static void
jobs_remove(struct table *table, struct job *job)
{
	struct job **at = &table->jobs;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	table->jobs_count[job->kind]--;
}

static struct job *
jobs_ready(struct table *table, enum job_kind kind, int64_t now_ms, int64_t *due_ms)
{
	for (struct job *job = table->jobs; job != NULL; job = job->next) {
		if (job->kind != kind || job->running)
			continue;
		if (job_ready(job, now_ms))
			return job;
		if (job->wake_tick_ms < *due_ms)
			*due_ms = job->wake_tick_ms;
	}
	return NULL;
}

/* When a new job of this kind could start in a partition. */
static int64_t
start_due(const struct partition *partition, enum job_kind kind, int64_t now_ms)
{
	if (kind == JOB_FLUSH)
		return partition_flush_due(partition, now_ms);
	return partition_merge_due(partition, kind == JOB_BIG ? TREE_BIG : TREE_SMALL);
}

static int
start_job(struct partition *partition, enum job_kind kind, struct job **out)
{
	if (kind == JOB_FLUSH)
		return partition_start_flush(partition, out);
	return partition_start_merge(partition, kind == JOB_BIG ? TREE_BIG : TREE_SMALL, out);
}

/* A failure to start is a setback of its partition: it is tried again later, and a flush ticket tells it. */
static struct job *
try_start(struct table *table, struct partition *partition, enum job_kind kind)
{
	struct job *job = NULL;

	if (start_job(partition, kind, &job) != 0) {
		partition_set_back(partition, true);
		return NULL;
	}
	if (job != NULL)
		jobs_append(table, job);
	return job;
}

/* A job of this kind that can run now: one that exists, or (take) a new one. Without take only *due_ms is right. */
static struct job *
find_job(struct table *table, enum job_kind kind, int64_t now_ms, bool take, int64_t *due_ms)
{
	struct job *job = jobs_ready(table, kind, now_ms, due_ms);

	if (job != NULL) {
		*due_ms = now_ms;
		return job;
	}
	if (table->jobs_count[kind] >= table->shared.options.merge_workers)
		return NULL;
	if (kind == JOB_BIG && force_can_start(&table->forces)) {
		*due_ms = now_ms;
		if (take) {
			force_start(&table->forces, &job);
			if (job != NULL)
				jobs_append(table, job);
		}
	}
	for (size_t i = 0; i < table->partitions_count && job == NULL; i++) {
		int64_t due = start_due(table->partitions[i], kind, now_ms);

		if (due < *due_ms)
			*due_ms = due;
		if (take && due <= now_ms)
			job = try_start(table, table->partitions[i], kind);
	}
	return job;
}

/* -- Choosing --------------------------------------------------------------------------------------------------------- */

/* The tick at which something is due, at most now_ms when it is due now; with take, *unit says what to do now. */
static int64_t
choose(struct table *table, int64_t now_ms, bool take, struct unit *unit)
{
	int64_t due_ms = INT64_MAX, upkeep_ms;

	*unit = (struct unit){ .kind = UNIT_NONE };
	for (size_t i = 0; i < table->partitions_count; i++) {
		int64_t due = partition_raw_due(table->partitions[i], now_ms);

		if (due < due_ms)
			due_ms = due;
		if (due <= now_ms) {
			*unit = (struct unit){ .kind = UNIT_CONVERT, .partition = table->partitions[i] };
			return due;
		}
	}
	for (enum job_kind kind = JOB_FLUSH; kind < JOB_KINDS; kind++) {
		struct job *job = find_job(table, kind, now_ms, take, &due_ms);

		if (take && job != NULL) {
			*unit = (struct unit){ .kind = UNIT_JOB, .job = job, .partition = job->partition };
			return now_ms;
		}
		if (!take && due_ms <= now_ms)
			return due_ms;
	}
	if (trash_any(&table->shared.trash)) {
		unit->kind = UNIT_TRASH;
		return now_ms;
	}
	upkeep_ms = table->upkeep_running ? INT64_MAX : table_upkeep_due(table);
	if (upkeep_ms <= now_ms)
		unit->kind = UNIT_UPKEEP;
	return upkeep_ms < due_ms ? upkeep_ms : due_ms;
}

int64_t
table_next_tick_ms(struct table *table)
{
	int64_t now_ms = clock_tick_ms(table->shared.env.clock), due_ms;
	struct unit unit;

	if (table->shared.options.read_only)
		return INT64_MAX;
	lock_take(&table->lock);
	due_ms = choose(table, now_ms, false, &unit);
	lock_release(&table->lock);
	return due_ms < now_ms ? now_ms : due_ms;
}

/* -- Doing ------------------------------------------------------------------------------------------------------------ */

/* The thread lets go of a job; one that is over leaves the list. Its outcome has been acted upon by the job itself. */
static void
job_let_go(struct table *table, struct job *job)
{
	bool ended = job->state == JOB_END;

	lock_take(&table->lock);
	job->running = false;
	if (ended) {
		jobs_remove(table, job);
		if (job->force != NULL)
			force_job_ended(job);
	} else if (job->force != NULL) {
		force_job_paused(job);
	}
	lock_release(&table->lock);
	if (ended)
		job_delete(job);
}

int
table_step(struct table *table, const struct budget *budget, bool *did)
{
	struct unit unit;
	int rc = 0;

	*did = false;
	if (table->shared.options.read_only)
		return 0;
	lock_take(&table->lock);
	choose(table, clock_tick_ms(table->shared.env.clock), true, &unit);
	if (unit.kind == UNIT_JOB)
		unit.job->running = true;
	if (unit.kind == UNIT_UPKEEP)
		table->upkeep_running = true;
	lock_release(&table->lock);
	switch (unit.kind) {
	case UNIT_NONE: break;
	case UNIT_CONVERT:
		rc = partition_convert_due(unit.partition, clock_tick_ms(table->shared.env.clock), did);
		if (rc == ERR_MEMORY) { /* the rows wait, and answer; they are tried again in a second */
			log_write(table->shared.env.log, LOG_WARN, "rows of %s stay unsorted for now: %s",
			    unit.partition->name, err_message());
			*did = true;
			rc = 0;
		}
		break;
	case UNIT_JOB:
		*did = true;
		job_step(unit.job, budget);
		job_let_go(table, unit.job);
		break;
	case UNIT_TRASH: trash_step(&table->shared.trash, did); break;
	case UNIT_UPKEEP:
		rc = table_upkeep_step(table, did);
		lock_take(&table->lock);
		table->upkeep_running = false;
		lock_release(&table->lock);
		break;
	}
	return rc;
}

/* A flush of any partition that has memory parts; the table's lock is held. */
static struct job *
try_start_any_flush(struct table *table)
{
	struct job *job = NULL;

	for (size_t i = 0; i < table->partitions_count && job == NULL; i++)
		if (partition_flush_due(table->partitions[i], INT64_MIN) != INT64_MAX)
			job = try_start(table, table->partitions[i], JOB_FLUSH);
	return job;
}

bool
table_assist(struct table *table, struct partition *partition)
{
	struct budget budget = budget_unlimited();
	struct job *job = NULL;

	lock_take(&table->lock);
	if (partition != NULL && !partition->draining && !partition->closed && !partition->read_only)
		job = try_start(table, partition, JOB_SMALL);
	if (job == NULL)
		job = try_start_any_flush(table);
	if (job != NULL)
		job->running = true;
	lock_release(&table->lock);
	if (job == NULL)
		return false;
	table->shared.counters.assisted_merges++;
	do
		job_step(job, &budget);
	while (job->state != JOB_END && job_ready(job, INT64_MIN));
	job_let_go(table, job); /* one that waits for the index is continued by table_step */
	return true;
}
