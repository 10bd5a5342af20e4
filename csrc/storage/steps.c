/*
 * steps.c -- the scheduler: one unit of index, table or storage work at a time, by the host or by a pool.
 * floor: storage     uses: internal.h     used by: storage
 *
 *   pool thread:   unit --did--> unit --did--> ... --nothing due--> sleep
 *                                                     | nobody watches: until the next deadline (the watcher)
 *                                                     | somebody does:  until called
 *
 * Only the watcher has a timer, so an idle engine wakes nobody but it, and only for real deadlines. A thread that finds more
 * work due than it can do calls a sleeper. A manual clock says nothing when it is moved; then the watcher looks every
 * MANUAL_LOOK_MS.
 */
#include "storage/internal.h"

#include <stdatomic.h>
#include <stdio.h>

/*
 * BUSY_WAIT_MS    something is due but others do it: look again soon, they may have left more behind
 * JOBS_LOOK_MS    a ticket is pending: what it waits for has no hook
 * RETRY_MS        a full disk is tried again
 * RECLAIM_LOOK_MS retired series numbers wait for the last raw row that holds them
 */
enum { BUSY_WAIT_MS = 4, MANUAL_LOOK_MS = 5, JOBS_LOOK_MS = 5, RETRY_MS = 1000, RECLAIM_LOOK_MS = 200 };

/* The same code is not told twice within this time. */
#define TELL_AGAIN_NS UINT64_C(1000000000)

/* -- Trouble ------------------------------------------------------------------------------------------------------------ */

/* The names of damaged parts behind the first `told` ones. */
static void
tell_damaged(struct storage *storage, uint64_t told, uint64_t now)
{
	struct buf names;
	size_t start = 0;

	buf_init(&names, &storage->mem);
	if (table_damaged_names(storage->table, &names) != 0)
		names.len = 0;
	for (; told > 0 && start < names.len; start++)
		told -= names.data[start] == '\n';
	if (start < names.len && names.data[names.len - 1] == '\n')
		names.data[names.len - 1] = 0;
	events_put(&storage->events, "damaged", "", 0, now, ERR_CORRUPTED,
	    start < names.len ? (const char *)names.data + start : "");
	buf_free(&names);
}

void
steps_tell_trouble(struct storage *storage)
{
	struct steps *steps = &storage->steps;
	char partition[8], reason[sizeof(((struct storage_event *)0)->reason)];
	uint64_t failed, damaged, told;

	table_trouble(storage->table, &failed, &damaged);
	if (UNLIKELY(atomic_load_explicit(&steps->failed_told, memory_order_relaxed) != failed &&
		atomic_exchange(&steps->failed_told, failed) != failed))
		while (table_failed_next(storage->table, partition, reason, sizeof(reason)))
			events_put(&storage->events, "read_only", partition, 0, failed, ERR_READONLY, reason);
	if (LIKELY(atomic_load_explicit(&steps->damaged_told, memory_order_relaxed) == damaged))
		return;
	told = atomic_exchange(&steps->damaged_told, damaged);
	if (told < damaged)
		tell_damaged(storage, told, damaged);
}

/* Tells an error of background work once, not every time it comes again. */
static void
tell_error(struct storage *storage, const char *what, int code)
{
	struct steps *steps = &storage->steps;
	char message[sizeof(steps->last_message)];
	bool known;

	snprintf(message, sizeof(message), "%s", err_message());
	lock_take(&steps->lock);
	/* messages that count bytes differ every time */
	known = steps->last_code == code &&
	    (strcmp(steps->last_message, message) == 0 || clock_budget_ns() - steps->last_told_ns < TELL_AGAIN_NS);
	if (!known)
		steps->last_told_ns = clock_budget_ns();
	steps->last_code = code;
	memcpy(steps->last_message, message, sizeof(message));
	lock_release(&steps->lock);
	if (known)
		return;
	log_write(&storage->log, LOG_ERROR, "%s: %s: %s", what, err_word(code), message);
	events_put(&storage->events, "failed", "", 0, 0, code, message);
}

void
steps_note_full(struct storage *storage)
{
	if (!atomic_exchange(&storage->steps.index_full, true))
		steps_wake(storage);
}

/* The index has no clock for a disk that was full: it is asked to try again every second. */
static void
retry_when_full(struct storage *storage, int64_t now_tick_ms)
{
	if (LIKELY(!atomic_load_explicit(&storage->steps.index_full, memory_order_relaxed)))
		return;
	if (now_tick_ms < atomic_load(&storage->steps.retry_at_tick_ms))
		return;
	atomic_store(&storage->steps.retry_at_tick_ms, now_tick_ms + RETRY_MS);
	if (index_is_no_space(storage->index))
		index_retry(storage->index);
	else
		atomic_store(&storage->steps.index_full, false);
}

/* -- Units ---------------------------------------------------------------------------------------------------------------- */

static bool
unit_of_index(struct storage *storage, int64_t now_tick_ms, const struct budget *budget)
{
	bool did = false;
	int rc;

	if (index_next_tick_ms(storage->index) > now_tick_ms)
		return false;
	rc = index_step(storage->index, budget, &did);
	if (rc == 0)
		return did;
	if (rc == ERR_NOSPACE)
		steps_note_full(storage);
	tell_error(storage, "index", rc);
	return false;
}

static bool
unit_of_table(struct storage *storage, int64_t now_tick_ms, const struct budget *budget)
{
	bool did = false;
	int rc;

	if (table_next_tick_ms(storage->table) > now_tick_ms)
		return false;
	rc = table_step(storage->table, budget, &did);
	if (rc == 0)
		return did;
	tell_error(storage, "table", rc);
	return false;
}

void
steps_unit(struct storage *storage, uint64_t budget_us, bool *did)
{
	struct budget budget = budget_of_us(budget_us);
	int64_t now = clock_tick_ms(storage->clock);
	bool table_first = (atomic_fetch_add_explicit(&storage->steps.turn, 1, memory_order_relaxed) & 1) != 0;

	*did = false;
	if (storage->options.read_only)
		return;
	retry_when_full(storage, now);
	*did = table_first ? unit_of_table(storage, now, &budget) : unit_of_index(storage, now, &budget);
	if (!*did)
		*did = table_first ? unit_of_index(storage, now, &budget) : unit_of_table(storage, now, &budget);
	if (*did)
		atomic_fetch_add_explicit(&storage->steps.units, 1, memory_order_relaxed);
	steps_tell_trouble(storage);
	if (atomic_load_explicit(&storage->jobs_open, memory_order_acquire) != 0)
		jobs_advance_all(storage);
	if (atomic_load_explicit(&storage->reclaiming, memory_order_acquire))
		resolve_reclaim(storage);
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t
steps_next_tick_ms(struct storage *storage)
{
	int64_t now = clock_tick_ms(storage->clock);
	int64_t next = INT64_MAX;

	if (storage->options.read_only)
		return next;
	next = least(index_next_tick_ms(storage->index), table_next_tick_ms(storage->table));
	if (atomic_load(&storage->jobs_open) != 0)
		next = least(next, now + JOBS_LOOK_MS);
	if (atomic_load(&storage->reclaiming))
		next = least(next, now + RECLAIM_LOOK_MS);
	if (atomic_load(&storage->steps.index_full))
		next = least(next, atomic_load(&storage->steps.retry_at_tick_ms));
	return next;
}

/* -- The pool ---------------------------------------------------------------------------------------------------------------- */

void
steps_wake(void *context)
{
	struct storage *storage = context;
	struct steps *steps = &storage->steps;

	atomic_fetch_add(&steps->wakes, 1);
	if (steps->threads_count == 0)
		return;
	lock_take(&steps->lock);
	cond_signal(&steps->work);
	lock_release(&steps->lock);
}

void
steps_wake_for_index(struct storage *storage)
{
	int64_t until;

	if (storage->steps.threads_count == 0)
		return;
	lock_take(&storage->steps.lock);
	until = storage->steps.watched ? storage->steps.watch_until_ms : 0;
	lock_release(&storage->steps.lock);
	if (index_next_tick_ms(storage->index) < until)
		steps_wake(storage);
}

static void
tell_progress(struct steps *steps)
{
	lock_take(&steps->lock);
	if (steps->waiters > 0)
		cond_broadcast(&steps->progress);
	lock_release(&steps->lock);
}

void
steps_wait_progress(struct storage *storage, int64_t ms)
{
	struct steps *steps = &storage->steps;

	lock_take(&steps->lock);
	steps->waiters++;
	(void)cond_wait_ms(&steps->progress, &steps->lock, ms);
	steps->waiters--;
	lock_release(&steps->lock);
}

/* How long the watcher may sleep, given the next deadline. */
static int64_t
watch_ms(const struct storage *storage, int64_t next)
{
	int64_t now = clock_tick_ms(storage->clock);
	int64_t ms;

	if (next == INT64_MAX)
		return storage->clock->manual ? MANUAL_LOOK_MS : INT64_MAX;
	/* "at once" may be INT64_MIN: compared, not subtracted */
	ms = next <= now + BUSY_WAIT_MS ? BUSY_WAIT_MS : next - now;
	return storage->clock->manual ? MANUAL_LOOK_MS : ms;
}

/* Sleeps until there may be something to do. `wakes` was read before the last look. */
static void
pool_sleep(struct storage *storage, uint64_t wakes, int64_t next)
{
	struct steps *steps = &storage->steps;

	lock_take(&steps->lock);
	if (steps->stop || atomic_load(&steps->wakes) != wakes)
		goto out;
	if (steps->watched) {
		steps->idle++;
		cond_wait(&steps->work, &steps->lock);
		steps->idle--;
		goto out;
	}
	steps->watched = true;
	steps->watch_until_ms = next;
	(void)cond_wait_ms(&steps->work, &steps->lock, watch_ms(storage, next));
	steps->watched = false;
	/* who was watching goes to work now: somebody else takes the watch */
	if (steps->idle > 0)
		cond_signal(&steps->work);
out:
	lock_release(&steps->lock);
}

static void *
pool_run(void *context)
{
	struct storage *storage = context;
	struct steps *steps = &storage->steps;
	bool stop = false;

	while (!stop) {
		uint64_t wakes = atomic_load(&steps->wakes);
		bool did;

		steps_unit(storage, UNIT_US, &did);
		if (did)
			tell_progress(steps);
		else
			pool_sleep(storage, wakes, steps_next_tick_ms(storage));
		lock_take(&steps->lock);
		stop = steps->stop;
		lock_release(&steps->lock);
	}
	return NULL;
}

int
steps_start(struct storage *storage, unsigned threads)
{
	struct steps *steps = &storage->steps;
	char name[32];
	unsigned i;
	int rc = 0;

	if (threads == 0)
		return 0;
	steps->threads = mem_zalloc(&storage->mem, threads * sizeof(*steps->threads));
	if (steps->threads == NULL)
		return ERR_MEMORY;
	steps->threads_count = threads; /* set before the first thread runs: it is read without the lock */
	for (i = 0; i < threads && rc == 0; i++) {
		snprintf(name, sizeof(name), "tsengine %u", i);
		rc = thread_start(&steps->threads[i], pool_run, storage, name);
	}
	return rc;
}

void
steps_stop(struct storage *storage)
{
	struct steps *steps = &storage->steps;

	lock_take(&steps->lock);
	steps->stop = true;
	cond_broadcast(&steps->work);
	lock_release(&steps->lock);
	for (unsigned i = 0; i < steps->threads_count && steps->threads != NULL; i++)
		thread_join(&steps->threads[i]);
	mem_free(&storage->mem, steps->threads);
	steps->threads = NULL;
}

/* -- The host's step ------------------------------------------------------------------------------------------------------------ */

int
storage_step(struct storage *storage, uint64_t budget_us, uint64_t *did, int64_t *next_ms)
{
	struct budget budget = budget_of_us(budget_us);
	uint64_t units = 0;
	int64_t next, now;
	bool one;

	TRY(storage_enter(storage));
	do {
		steps_unit(storage, UNIT_US, &one);
		units += one;
	} while (one && budget_us != 0 && !budget_spent(&budget));
	if (units > 0)
		tell_progress(&storage->steps);
	next = steps_next_tick_ms(storage);
	now = clock_tick_ms(storage->clock);
	storage_leave(storage);
	*did = units;
	*next_ms = next == INT64_MAX ? -1 : next <= now ? 0 : next - now;
	return 0;
}
