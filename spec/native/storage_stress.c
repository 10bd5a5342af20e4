/*
 * storage_stress.c -- four threads add, two search, all background threads run, then somebody closes.
 * floor: spec     uses: storage/storage.h     used by: spec/storage/threads_spec.lua, and under ThreadSanitizer by scripts
 *
 * The adders use every way in: text, handle, columns, influx lines. The searchers check that no answer has fewer rows of a
 * series than were acknowledged before the query began. One more thread flushes, deletes, snapshots, merges and steps.
 * The close comes while all of them are still calling.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/thread.h"
#include "storage/storage.h"

int tt_storage_stress(const char *path, int rounds, int threads, char *report, size_t report_bytes);

enum { ADDERS = 4, SEARCHERS = 2, ROWS_PER_ROUND = 32, PAUSE_US = 1000, CHURN_EVERY = 16 };

#define FIRST_MS INT64_C(1793880000000)

struct stress {
	struct storage *storage;
	struct storage_series *handles[ADDERS];
	struct storage_writer *writers[ADDERS];
	int rounds;
	_Atomic uint64_t acknowledged[ADDERS]; /* rows of series s<adder> */
	_Atomic bool stop, failed;
	_Atomic uint64_t queries, closed_seen, disturbances;
	char message[512];
};

struct member {
	struct stress *stress;
	int number;
	struct thread thread;
};

static void
fail(struct stress *stress, const char *what)
{
	bool expected = false;

	if (atomic_compare_exchange_strong(&stress->failed, &expected, true))
		snprintf(stress->message, sizeof(stress->message), "%s: %s %.300s", what, err_word(err_code()),
		    err_message());
	stress->stop = true;
}

/* Closed is how it must end; anything else is a failure. */
static bool
is_fine(struct stress *stress, int rc, const char *what)
{
	if (rc == 0)
		return true;
	if (rc == ERR_NOTFOUND && strstr(err_message(), "closed") != NULL)
		stress->closed_seen++;
	else
		fail(stress, what);
	return false;
}

/* Row i of adder a stands at FIRST_MS + i. */
static int
add_round(struct stress *stress, int a, uint64_t first)
{
	int64_t times[ROWS_PER_ROUND];
	double values[ROWS_PER_ROUND];
	char text[64];
	uint64_t accepted;

	for (int i = 0; i < ROWS_PER_ROUND; i++) {
		times[i] = FIRST_MS + (int64_t)first + i;
		values[i] = (double)(first + (uint64_t)i);
	}
	switch (first / ROWS_PER_ROUND % 3) {
	case 0: return storage_series_add_columns(stress->handles[a], times, values, ROWS_PER_ROUND, &accepted);
	case 1:
		for (int i = 0; i < ROWS_PER_ROUND; i++)
			TRY(storage_series_add(stress->handles[a], times[i], values[i]));
		return 0;
	default:
		snprintf(text, sizeof(text), "s%d{kind=\"kept\"}", a);
		for (int i = 0; i < ROWS_PER_ROUND; i++)
			TRY(storage_add(stress->storage, (struct tenant){ 0 }, bytes_of_text(text), times[i],
			    values[i]));
		return 0;
	}
}

/* Series that come and go: new ones all the time, so the index works too. */
static int
write_lines(struct stress *stress, int a, uint64_t round)
{
	char lines[2048];
	size_t n = 0;

	for (unsigned i = 0; i < 16; i++)
		n += (size_t)snprintf(lines + n, sizeof(lines) - n,
		    "churn,adder=%d,id=%" PRIu64 " a=%u,b=%u %" PRId64 "000000\n", a, round / 8 * 16 + i, i, i,
		    FIRST_MS + (int64_t)round);
	return storage_writer_write(stress->writers[a], bytes_of(lines, n), false);
}

static void *
run_adder(void *context)
{
	struct member *member = context;
	struct stress *stress = member->stress;

	for (uint64_t round = 0; !stress->stop; round++) {
		if (!is_fine(stress, add_round(stress, member->number, round * ROWS_PER_ROUND), "add"))
			break;
		stress->acknowledged[member->number] = (round + 1) * ROWS_PER_ROUND;
		if (round % CHURN_EVERY == 0 && !is_fine(stress, write_lines(stress, member->number, round), "write"))
			break;
		/* else the answers outgrow the searchers */
		usleep(PAUSE_US);
	}
	return NULL;
}

static int
count_rows(struct stress *stress, int a, uint64_t *rows)
{
	char selector[64];
	struct bytes match;
	struct storage_query query = { .matches = &match, .matches_count = 1, .from_ms = 0, .to_ms = INT64_MAX };
	struct storage_select *select = NULL;
	struct storage_columns columns;
	bool found = true;
	int rc;

	snprintf(selector, sizeof(selector), "s%d{kind=~\"k.*\"}", a);
	match = bytes_of_text(selector);
	TRY(storage_select_open(stress->storage, &query, &select));
	*rows = 0;
	while ((rc = storage_select_next(select, &columns, &found)) == 0 && found) {
		*rows += columns.count;
		for (uint64_t i = 0; i < columns.count; i++) {
			if (columns.timestamps_ms[i] != FIRST_MS + (int64_t)i || columns.values[i] != (double)i)
				fail(stress, "a row is wrong");
		}
	}
	storage_select_free(select);
	return rc;
}

static void *
run_searcher(void *context)
{
	struct member *member = context;
	struct stress *stress = member->stress;

	for (int a = member->number; !stress->stop; a = (a + 1) % ADDERS) {
		uint64_t before = stress->acknowledged[a], rows = 0;

		if (!is_fine(stress, count_rows(stress, a, &rows), "select"))
			break;
		if (rows < before) {
			(void)ERR(ERR_BUG_CODE, "%" PRIu64 " rows after %" PRIu64 " were acknowledged", rows, before);
			fail(stress, "a query missed rows");
		}
		stress->queries++;
	}
	return NULL;
}

static int
disturb(struct stress *stress, uint64_t turn)
{
	struct bytes match = bytes_of_text("{__name__=~\"churn.*\"}");
	struct storage_query query = { .matches = &match, .matches_count = 1, .from_ms = 0, .to_ms = INT64_MAX };
	struct storage_texts texts;
	struct storage_stats stats;
	uint64_t ticket, count;
	int64_t next;
	int rc = 0;

	storage_texts_init(&texts, NULL);
	switch (turn % 6) {
	case 0: return storage_flush(stress->storage, true, &ticket);
	case 1: return storage_delete(stress->storage, &query, &count);
	case 2: return storage_force_merge(stress->storage, NULL, true, &ticket, &count);
	case 3: return storage_step(stress->storage, 500, &count, &next);
	case 4: return storage_stats(stress->storage, &stats);
	default: {
		struct mem mem;

		mem_init(&mem, 0);
		storage_texts_init(&texts, &mem);
		rc = storage_snapshot(stress->storage, NULL, true, &ticket, &texts);
		if (rc == 0)
			rc = storage_snapshot_delete(stress->storage, (const char *)texts.data.data);
		storage_texts_free(&texts);
		return rc;
	}
	}
}

static void *
run_disturber(void *context)
{
	struct member *member = context;
	struct stress *stress = member->stress;

	for (uint64_t turn = 0; !stress->stop; turn++) {
		int rc = disturb(stress, turn);

		/* a flush that waits while somebody closes is told so */
		if (rc == ERR_NOTFOUND && strstr(err_message(), "close") != NULL)
			break;
		if (!is_fine(stress, rc, "disturb"))
			break;
		stress->disturbances++;
	}
	return NULL;
}

static int
prepare(struct stress *stress, const char *path, int threads)
{
	struct storage_options options;
	struct storage_env env = { .io = NULL };
	struct storage_write_options write = { .ingest = { .format = INGEST_INFLUX } };

	storage_options_default(&options);
	options.path = path;
	options.threads = threads;
	options.visible_ms = 20;
	options.durable_ms = 100;
	options.future_limit_ms = 3650 * MS_PER_DAY;
	TRY(storage_open(&env, &options, &stress->storage));
	for (int a = 0; a < ADDERS; a++) {
		char text[64];

		snprintf(text, sizeof(text), "s%d{kind=\"kept\"}", a);
		TRY(storage_series_open(stress->storage, (struct tenant){ 0 }, bytes_of_text(text),
		    &stress->handles[a]));
		TRY(storage_writer_open(stress->storage, &write, &stress->writers[a]));
	}
	return 0;
}

static int
start_all(struct stress *stress, struct member *members, int *n)
{
	void *(*const run[])(void *) = { run_adder, run_searcher, run_disturber };
	const int many[] = { ADDERS, SEARCHERS, 1 };

	*n = 0;
	for (int kind = 0; kind < 3; kind++) {
		for (int i = 0; i < many[kind]; i++) {
			members[*n] = (struct member){ .stress = stress, .number = i };
			TRY(thread_start(&members[*n].thread, run[kind], &members[*n], "stress"));
			(*n)++;
		}
	}
	return 0;
}

/* Runs until `rounds` queries were answered, then closes in the middle of everything. 0, or the report says what went wrong. */
int
tt_storage_stress(const char *path, int rounds, int threads, char *report, size_t report_bytes)
{
	static struct stress stress;
	struct member members[ADDERS + SEARCHERS + 1];
	int n = 0, rc;

	memset(&stress, 0, sizeof(stress));
	TRY(prepare(&stress, path, threads));
	rc = start_all(&stress, members, &n);
	while (rc == 0 && !stress.stop && stress.queries < (uint64_t)rounds) {
		usleep(PAUSE_US);
	}
	/* handles and writers keep the shell alive: calls of the others get "closed" from now on */
	if (storage_close(stress.storage) != 0)
		fail(&stress, "close");
	stress.stop = true;
	for (int i = 0; i < n; i++)
		thread_join(&members[i].thread);
	for (int a = 0; a < ADDERS; a++) {
		storage_series_free(stress.handles[a]);
		storage_writer_free(stress.writers[a]);
	}
	snprintf(report, report_bytes,
	    "%s; %" PRIu64 " queries, %" PRIu64 " disturbances, rows %" PRIu64 " %" PRIu64 ", %" PRIu64
	    " calls saw the close",
	    stress.failed ? stress.message : "fine", stress.queries, stress.disturbances, stress.acknowledged[0],
	    stress.acknowledged[1], stress.closed_seen);
	return stress.failed ? 1 : rc;
}
