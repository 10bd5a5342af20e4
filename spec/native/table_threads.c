/*
 * table_threads.c -- many threads on one table: some add, some look, some step, one force-merges and makes snapshots.
 * floor: tests     uses: table_env.h base/thread.h     used by: spec/table (also under the thread sanitizer)
 *
 * Every adder owns some series and adds rows of value 1, 2, 3, ... at ascending times. A view must show for each series
 * a gapless count that never falls below what the adder had been told was accepted before the view began.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/thread.h"
#include "table_env.h"

enum { ADDERS = 4, LOOKERS = 2, STEPPERS = 2, DISTURBERS = 1, SERIES_EACH = 4, BATCH = 500 };

struct shared_run {
	struct tt_table_env *env;
	_Atomic bool stop_steps, stop_looks;
	_Atomic uint64_t accepted[ADDERS];
	_Atomic int failed;
	_Atomic uint64_t views;
	uint64_t rows_each;
	char why[256];
};

struct worker {
	struct thread thread;
	struct shared_run *run;
	uint32_t number;
};

static void
fail(struct shared_run *run, const char *what, long long a, long long b)
{
	int none = 0;

	if (__atomic_compare_exchange_n((int *)&run->failed, &none, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		snprintf(run->why, sizeof(run->why), "%s: %lld %lld %s", what, a, b, err_message());
}

static void *
run_adder(void *argument)
{
	struct worker *worker = argument;
	struct shared_run *run = worker->run;
	struct row rows[BATCH];
	int64_t now = clock_now_ms(&run->env->clock);

	for (uint64_t done = 0; done < run->rows_each && run->failed == 0; done += BATCH) {
		struct add_counts counts = { 0 };
		int rc;

		for (uint64_t i = 0; i < BATCH; i++)
			rows[i] =
			    (struct row){ .series = worker->number * SERIES_EACH + (uint32_t)((done + i) % SERIES_EACH),
				    .timestamp_ms = now - 10000000 + (int64_t)(done + i),
				    .value = (double)(done + i) };
		rc = table_add(run->env->table, rows, BATCH, &counts);
		if (rc != 0 || counts.accepted != BATCH)
			fail(run, "add", rc, (long long)counts.accepted);
		run->accepted[worker->number] = done + BATCH;
	}
	return NULL;
}

/* Rows of each adder in one view. */
static int
count_view(struct shared_run *run, struct tt_part_rows *rows, uint64_t *counts)
{
	struct table_view view;
	int rc;

	rows->count = 0;
	TRY(table_view_open(run->env->table, INT64_MIN, INT64_MAX, NULL, &view));
	rc = 0;
	for (size_t i = 0; i < view.count && rc == 0; i++)
		rc = tt_table_read_part(run->env, view.parts[i], false, NULL, INT64_MIN, INT64_MAX, rows);
	table_view_close(&view);
	for (size_t i = 0; i < ADDERS; i++)
		counts[i] = 0;
	for (size_t i = 0; i < rows->count; i++)
		counts[(rows->metric_id[i] - 1000) / SERIES_EACH]++;
	return rc;
}

static void *
run_looker(void *argument)
{
	struct worker *worker = argument;
	struct shared_run *run = worker->run;
	size_t cap = run->rows_each * ADDERS + 1;
	struct tt_part_rows rows = { .cap = cap };

	rows.metric_id = calloc(cap, sizeof(uint64_t));
	rows.timestamp_ms = calloc(cap, sizeof(int64_t));
	rows.bits = calloc(cap, sizeof(uint64_t));
	while (!run->stop_looks && run->failed == 0) {
		uint64_t before[ADDERS], counts[ADDERS];
		int rc;

		for (size_t i = 0; i < ADDERS; i++)
			before[i] = run->accepted[i];
		rc = count_view(run, &rows, counts);
		if (rc != 0)
			fail(run, "view", rc, 0);
		for (size_t i = 0; i < ADDERS && rc == 0; i++)
			if (counts[i] < before[i] || counts[i] > run->rows_each)
				fail(run, "rows seen, accepted", (long long)counts[i], (long long)before[i]);
		run->views++;
	}
	free(rows.metric_id);
	free(rows.timestamp_ms);
	free(rows.bits);
	return NULL;
}

static void *
run_stepper(void *argument)
{
	struct worker *worker = argument;
	struct shared_run *run = worker->run;

	while (!run->stop_steps && run->failed == 0) {
		struct budget budget = budget_of_us(1000);
		bool did;
		int rc = table_step(run->env->table, &budget, &did);

		if (rc != 0)
			fail(run, "step", rc, 0);
		(void)table_next_tick_ms(run->env->table);
	}
	return NULL;
}

/* Force merges and snapshots while the others work. */
static void *
run_disturber(void *argument)
{
	struct worker *worker = argument;
	struct shared_run *run = worker->run;

	for (int i = 0; !run->stop_looks && run->failed == 0; i++) {
		char small[600], big[600];
		uint64_t ticket, merges;
		bool done = false;
		int rc;

		snprintf(small, sizeof(small), "%s/snapshot%d/small", run->env->root, i);
		snprintf(big, sizeof(big), "%s/snapshot%d/big", run->env->root, i);
		rc = table_snapshot(run->env->table, small, big);
		if (rc == 0)
			rc = table_force_merge_request(run->env->table, NULL, &ticket);
		while (rc == 0 && !done && run->failed == 0)
			rc = table_force_merge_check(run->env->table, ticket, &done, &merges);
		if (rc != 0)
			fail(run, "snapshot or force merge", rc, i);
	}
	return NULL;
}

/* 0 when all went well; else why. The flush at the end is waited for. */
int tt_table_threads(struct tt_table_env *env, uint64_t rows_each, uint64_t *views, char *why, size_t why_bytes);
int
tt_table_threads(struct tt_table_env *env, uint64_t rows_each, uint64_t *views, char *why, size_t why_bytes)
{
	static void *(*const run_of[])(void *) = { run_adder, run_looker, run_disturber, run_stepper };
	static const unsigned counts[] = { ADDERS, LOOKERS, DISTURBERS, STEPPERS };
	struct worker workers[ADDERS + LOOKERS + DISTURBERS + STEPPERS];
	struct shared_run *run = calloc(1, sizeof(*run));
	uint64_t ticket;
	bool done = false;
	int rc = 0;
	size_t n = 0;

	clock_init_wall(&env->clock);
	run->env = env;
	run->rows_each = rows_each;
	for (size_t kind = 0; kind < ARRAY_LENGTH(counts); kind++)
		for (uint32_t i = 0; i < counts[kind]; i++) {
			workers[n] = (struct worker){ .run = run, .number = i };
			if (thread_start(&workers[n].thread, run_of[kind], &workers[n], "test") != 0)
				abort();
			n++;
		}
	for (size_t i = 0; i < ADDERS; i++)
		thread_join(&workers[i].thread);
	table_flush_request(env->table, &ticket);
	while (!done && rc == 0 && run->failed == 0)
		rc = table_flush_check(env->table, ticket, &done);
	run->stop_looks = true;
	for (size_t i = ADDERS; i < ADDERS + LOOKERS + DISTURBERS; i++)
		thread_join(&workers[i].thread);
	run->stop_steps = true;
	for (size_t i = ADDERS + LOOKERS + DISTURBERS; i < n; i++)
		thread_join(&workers[i].thread);
	*views = run->views;
	snprintf(why, why_bytes, "%s", run->why);
	if (rc == 0)
		rc = run->failed;
	free(run);
	return rc;
}
