/*
 * jobs.c -- what takes many units and somebody waits for: flush, force merge, snapshot.
 * floor: storage     uses: internal.h     used by: storage, steps
 *
 *   JOB_FLUSH      FLUSH --------------------> DONE
 *   JOB_MERGE      FLUSH --> MERGE ----------> DONE     so that all rows accepted before are in the merged part
 *   JOB_SNAPSHOT   FLUSH ------------> LINK -> DONE
 *
 * A waiter helps: it runs units itself, so waiting works with no threads, and cannot deadlock with some. A job nobody
 * waits for is looked at after every unit and ends in an event.
 */
#include "storage/internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

/*
 * PROGRESS_WAIT_MS  a waiter that has nothing to do itself looks again after this
 * STUCK_NS          no unit done by anybody for so long: something is broken, and the host must not hang for ever
 * STILL_NS          the same under a manual clock without threads: what is tried again "in a while" never becomes due then
 */
enum { PROGRESS_WAIT_MS = 2 };
#define STUCK_NS (UINT64_C(30) * 1000000000)
#define STILL_NS (UINT64_C(20) * 1000000)

static struct job *
job_make(struct storage *storage, enum job_kind kind, bool waited)
{
	struct job *job = mem_zalloc(&storage->mem, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->kind = kind;
	job->waited = waited;
	job->all_partitions = true;
	job->phase = JOB_PHASE_FLUSH;
	return job;
}

/* Everything accepted so far becomes due; the job remembers what that was. */
static void
job_request_flush(struct storage *storage, struct job *job)
{
	job->index_seq = index_last_seq(storage->index);
	index_flush_request(storage->index);
	table_flush_request(storage->table, &job->table_ticket);
}

/* Returns the ticket: a job nobody waits for may be gone when this returns. */
static uint64_t
job_add(struct storage *storage, struct job *job)
{
	uint64_t ticket;

	job_request_flush(storage, job);
	if (!job->waited)
		atomic_fetch_add(&storage->jobs_open, 1);
	lock_take(&storage->jobs_lock);
	ticket = ++storage->jobs_last_ticket;
	job->ticket = ticket;
	job->next = storage->jobs;
	storage->jobs = job;
	lock_release(&storage->jobs_lock);
	steps_wake(storage);
	return ticket;
}

/* -- Phases -------------------------------------------------------------------------------------------------------------- */

static int
check_index_flushed(struct storage *storage, const struct job *job, bool *done)
{
	*done = index_durable_seq(storage->index) >= job->index_seq;
	if (*done)
		return 0;
	if (index_is_read_only(storage->index))
		return ERR(ERR_READONLY, "the index refuses writes since an earlier error: open the database again");
	if (atomic_load(&storage->steps.index_full) && index_is_no_space(storage->index))
		return ERR(ERR_NOSPACE,
		    "the disk is full: the index waits in memory and is written when there is space");
	return 0;
}

static enum job_phase
phase_after_flush(enum job_kind kind)
{
	switch (kind) {
	case JOB_MERGE: return JOB_PHASE_MERGE;
	case JOB_SNAPSHOT: return JOB_PHASE_LINK;
	case JOB_FLUSH: break;
	}
	return JOB_PHASE_DONE;
}

static int
advance_flush(struct storage *storage, struct job *job)
{
	bool table_done = false, index_done = false;

	TRY(table_flush_check(storage->table, job->table_ticket, &table_done));
	TRY(check_index_flushed(storage, job, &index_done));
	if (!table_done || !index_done)
		return 0;
	job->phase = phase_after_flush(job->kind);
	if (job->phase == JOB_PHASE_MERGE)
		TRY(table_force_merge_request(storage->table, job->all_partitions ? NULL : job->partition,
		    &job->table_ticket));
	return 0;
}

static int
advance_merge(struct storage *storage, struct job *job)
{
	bool done = false;

	TRY(table_force_merge_check(storage->table, job->table_ticket, &done, &job->count));
	if (done)
		job->phase = JOB_PHASE_DONE;
	return 0;
}

static int
advance_link(struct storage *storage, struct job *job)
{
	TRY(snapshot_link(storage, job->name));
	job->phase = JOB_PHASE_DONE;
	return 0;
}

static int
advance_phase(struct storage *storage, struct job *job)
{
	switch (job->phase) {
	case JOB_PHASE_FLUSH: return advance_flush(storage, job);
	case JOB_PHASE_MERGE: return advance_merge(storage, job);
	case JOB_PHASE_LINK: return advance_link(storage, job);
	case JOB_PHASE_DONE: break;
	}
	return 0;
}

/* Goes on as far as it can now; an error ends the job. */
static void
advance(struct storage *storage, struct job *job)
{
	enum job_phase before;

	do {
		before = job->phase;
		job->code = advance_phase(storage, job);
	} while (job->code == 0 && job->phase != before && job->phase != JOB_PHASE_DONE);
	if (job->code != 0) {
		err_save(&job->error);
		job->phase = JOB_PHASE_DONE;
	}
}

/* -- Jobs nobody waits for -------------------------------------------------------------------------------------------------- */

static const char *
job_words(enum job_kind kind)
{
	return kind == JOB_FLUSH ? "flush" : kind == JOB_MERGE ? "force merge" : "snapshot";
}

static void
job_unlink_locked(struct storage *storage, struct job *job)
{
	struct job **link = &storage->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
}

static void
job_end(struct storage *storage, struct job *job)
{
	if (job->code == 0)
		events_put(&storage->events, "done", job->partition, job->ticket, job->count, 0, job_words(job->kind));
	else
		events_put(&storage->events, "failed", job->partition, job->ticket, 0, job->code, job->error.message);
	mem_free(&storage->mem, job);
	atomic_fetch_sub(&storage->jobs_open, 1);
}

void
jobs_advance_all(struct storage *storage)
{
	uint64_t looked_at = UINT64_MAX; /* tickets descend along the list */

	for (;;) {
		struct job *job;

		lock_take(&storage->jobs_lock);
		for (job = storage->jobs; job != NULL; job = job->next) {
			if (job->ticket < looked_at && !job->waited && !job->busy)
				break;
		}
		if (job != NULL) {
			job->busy = true;
			looked_at = job->ticket;
		}
		lock_release(&storage->jobs_lock);
		if (job == NULL)
			return;
		advance(storage, job);
		lock_take(&storage->jobs_lock);
		job->busy = false;
		if (job->phase == JOB_PHASE_DONE)
			job_unlink_locked(storage, job);
		else
			job = NULL;
		lock_release(&storage->jobs_lock);
		if (job != NULL)
			job_end(storage, job);
	}
}

void
jobs_free_all(struct storage *storage)
{
	while (storage->jobs != NULL) {
		struct job *job = storage->jobs;

		storage->jobs = job->next;
		mem_free(&storage->mem, job);
	}
}

/* -- Waiting ------------------------------------------------------------------------------------------------------------------ */

/* closing: only the one who closes goes on waiting then. */
static int
job_wait(struct storage *storage, struct job *job, bool by_closer)
{
	bool still = storage->clock->manual && storage->steps.threads_count == 0;
	uint64_t patience_ns = still ? STILL_NS : STUCK_NS;
	uint64_t stuck_at = clock_budget_ns() + patience_ns;
	uint64_t units = atomic_load(&storage->steps.units);

	for (;;) {
		bool did;

		advance(storage, job);
		if (job->phase == JOB_PHASE_DONE)
			return job->code;
		if (!by_closer && atomic_load(&storage->closing))
			return ERR(ERR_NOTFOUND, "the database is being closed");
		steps_unit(storage, UNIT_US, &did);
		if (did) {
			stuck_at = clock_budget_ns() + patience_ns;
			continue;
		}
		if (atomic_load(&storage->steps.units) != units) {
			units = atomic_load(&storage->steps.units);
			stuck_at = clock_budget_ns() + patience_ns;
		}
		if (clock_budget_ns() > stuck_at && still)
			return ERR(ERR_TIMEOUT, "%s cannot go on before the manual clock does: move it, then try again",
			    job_words(job->kind));
		if (clock_budget_ns() > stuck_at)
			return ERR(ERR_TIMEOUT, "%s made no progress for %d s", job_words(job->kind),
			    (int)(STUCK_NS / 1000000000));
		steps_wait_progress(storage, PROGRESS_WAIT_MS);
	}
}

static int
job_run(struct storage *storage, struct job *job, bool by_closer, uint64_t *count)
{
	struct err_saved error;
	int rc;

	(void)job_add(storage, job);
	rc = job_wait(storage, job, by_closer);
	if (rc != 0 && job->code != 0)
		error = job->error;
	else
		err_save(&error);
	*count = job->count;
	lock_take(&storage->jobs_lock);
	job_unlink_locked(storage, job);
	lock_release(&storage->jobs_lock);
	mem_free(&storage->mem, job);
	return rc != 0 ? err_restore(&error) : 0;
}

int
jobs_flush_now(struct storage *storage)
{
	struct job *job = job_make(storage, JOB_FLUSH, true);
	uint64_t count;

	if (job == NULL)
		return ERR_MEMORY;
	return job_run(storage, job, true, &count);
}

/* Runs or leaves a prepared job, which it owns. */
static int
job_start(struct storage *storage, struct job *job, uint64_t *ticket, uint64_t *count)
{
	uint64_t counted = 0;
	int rc = 0;

	if (job->waited) {
		rc = job_run(storage, job, false, &counted);
	} else {
		*ticket = job_add(storage, job);
	}
	if (rc == 0)
		*count = counted;
	return rc;
}

/* -- The calls ------------------------------------------------------------------------------------------------------------------ */

static int
check_writable(const struct storage *storage)
{
	return storage->options.read_only ? ERR(ERR_READONLY, "the database was opened read-only") : 0;
}

int
storage_flush(struct storage *storage, bool wait, uint64_t *ticket)
{
	struct job *job;
	uint64_t count;
	int rc;

	TRY(storage_enter(storage));
	TRY_GOTO(out, check_writable(storage));
	job = job_make(storage, JOB_FLUSH, wait);
	rc = job != NULL ? job_start(storage, job, ticket, &count) : ERR_MEMORY;
out:
	storage_leave(storage);
	return rc;
}

int
storage_force_merge(struct storage *storage, const char *partition, bool wait, uint64_t *ticket, uint64_t *merges)
{
	struct job *job;
	int rc;

	TRY(storage_enter(storage));
	TRY_GOTO(out, check_writable(storage));
	job = job_make(storage, JOB_MERGE, wait);
	rc = job != NULL ? 0 : ERR_MEMORY;
	if (rc != 0)
		goto out;
	job->all_partitions = partition == NULL;
	if (partition != NULL && strlen(partition) >= sizeof(job->partition)) {
		mem_free(&storage->mem, job);
		rc = ERR(ERR_NOTFOUND, "%s is no partition: they are named like 2026_11", partition);
		goto out;
	}
	if (partition != NULL)
		memcpy(job->partition, partition, strlen(partition) + 1);
	rc = job_start(storage, job, ticket, merges);
out:
	storage_leave(storage);
	return rc;
}

/* Name and the path it will have. */
static int
name_and_path_add(struct storage *storage, const char *name, struct storage_texts *texts)
{
	char *path = mem_printf(&storage->mem, "%s/snapshots/%s", storage->root.path, name);
	int rc = ERR_MEMORY;

	if (path == NULL)
		return rc;
	TRY_GOTO(out, storage_texts_add(texts, bytes_of_text(name)));
	TRY_GOTO(out, storage_texts_add(texts, bytes_of_text(path)));
out:
	mem_free(&storage->mem, path);
	return rc;
}

int
storage_snapshot(struct storage *storage, const char *name, bool wait, uint64_t *ticket,
    struct storage_texts *name_and_path)
{
	struct job *job = NULL;
	uint64_t count;
	int rc;

	TRY(storage_enter(storage));
	TRY_GOTO(out, check_writable(storage));
	if (name != NULL)
		TRY_GOTO(out, snapshot_check_name(name));
	job = job_make(storage, JOB_SNAPSHOT, wait);
	rc = job != NULL ? 0 : ERR_MEMORY;
	if (rc != 0)
		goto out;
	if (name != NULL)
		memcpy(job->name, name, strlen(name) + 1);
	else
		snapshot_make_name(storage, job->name);
	rc = name_and_path_add(storage, job->name, name_and_path);
	if (rc != 0) {
		mem_free(&storage->mem, job);
		goto out;
	}
	rc = job_start(storage, job, ticket, &count);
out:
	storage_leave(storage);
	return rc;
}
