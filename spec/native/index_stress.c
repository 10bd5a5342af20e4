/*
 * index_stress.c -- many threads on one index: writers of overlapping names, searchers, a worker, a deleter.
 * floor: test     uses: index/index.h     used by: spec/index/threads_spec.lua
 *
 * Without deletions and rotations every name must have one id for all writers. With them a name may be forgotten and come
 * back under a new id: then no writer may ever see an older one again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/io.h"
#include "base/thread.h"
#include "index/index.h"

enum { NAMES = 1000, WRITERS = 4, SEARCHERS = 2 };

struct stress {
	struct mem mem;
	struct clock clock;
	struct log log;
	struct io *io;
	struct index *index;
	enum layout layout;
	uint64_t first_date;
	_Atomic uint64_t ids[NAMES];
	_Atomic int rc;
	_Atomic bool stop;
	bool changing; /* deletions and rotations happen */
	_Atomic uint64_t violations, searches, deletions;
	_Atomic unsigned turn;
};

int tt_index_stress(const char *root, int layout, uint32_t rounds, bool changing, double *violations, double *searches,
    double *live);

static void
fail(struct stress *stress, int rc)
{
	int none = 0;

	if (rc != 0 &&
	    __atomic_compare_exchange_n((int *)&stress->rc, &none, rc, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		fprintf(stderr, "stress: %s (%s)\n", err_message(), err_place());
}

static struct bytes
make_name(uint32_t number, uint8_t *room)
{
	int n = snprintf((char *)room, 100, "metric_%u%cjob%cjob_%u%cn%c%u%c", number % 5, 1, 1, number % 11, 1, 1,
	    number, 1);

	return bytes_of(room, (size_t)n);
}

static void *
write_names(void *arg)
{
	struct stress *stress = arg;
	uint32_t random = 12345 + stress->turn++ * 7919;
	uint64_t last[NAMES] = { 0 };
	uint8_t room[100];

	for (uint32_t i = 0; !stress->stop && stress->rc == 0; i++) {
		uint32_t number;
		struct tsid tsid;
		uint64_t before;
		bool created;
		int rc;

		random = random * 1664525 + 1013904223;
		number = (random >> 8) % NAMES;
		before = stress->ids[number];
		rc =
		    index_register(stress->index, make_name(number, room), stress->first_date + i % 3, &tsid, &created);
		fail(stress, rc);
		if (rc != 0)
			break;
		if (stress->changing ? tsid.metric_id < last[number] : before != 0 && before != tsid.metric_id)
			stress->violations++;
		last[number] = tsid.metric_id;
		stress->ids[number] = tsid.metric_id;
	}
	return NULL;
}

static void *
search_names(void *arg)
{
	struct stress *stress = arg;
	struct bytes selector = bytes_of_text("{job=~\"job_[1-4]\",n!=\"7\"}");
	int64_t from_ms = (int64_t)stress->first_date * MS_PER_DAY;

	while (!stress->stop && stress->rc == 0) {
		struct tsid_list list = { 0 };
		struct bytes_list labels = { 0 };
		struct match *match;
		struct buf name;
		bool found;

		fail(stress, match_parse(&stress->mem, &selector, 1, &match));
		if (stress->rc != 0)
			break;
		fail(stress,
		    index_search(stress->index, (struct tenant){ 0, 0 }, match, from_ms, from_ms + 1, 0, &list));
		buf_init(&name, &stress->mem);
		if (list.count > 0)
			fail(stress,
			    index_name(stress->index, (struct tenant){ 0, 0 }, list.items[list.count / 2].metric_id,
				&name, &found));
		buf_free(&name);
		fail(stress,
		    index_label_values(stress->index, (struct tenant){ 0, 0 }, bytes_of_text("job"), NULL, from_ms,
			from_ms, 0, &labels));
		if (stress->changing && list.count > 0 && stress->searches++ % 4 == 0) {
			fail(stress, index_delete(stress->index, &list.items[0].metric_id, 1));
			stress->deletions++;
		}
		stress->searches++;
		bytes_list_free(&labels);
		tsid_list_free(&list);
		match_delete(match);
	}
	return NULL;
}

static void *
work(void *arg)
{
	struct stress *stress = arg;

	while (!stress->stop && stress->rc == 0) {
		struct budget budget = budget_of_us(1000);
		bool did;

		fail(stress, index_step(stress->index, &budget, &did));
		(void)index_durable_seq(stress->index);
		if (!did)
			index_flush_request(stress->index);
	}
	return NULL;
}

static int
run(struct stress *stress, uint32_t rounds)
{
	struct thread threads[WRITERS + SEARCHERS + 2] = { 0 };
	unsigned n = 0;
	int rc = 0;

	for (unsigned i = 0; i < WRITERS && rc == 0; i++)
		rc = thread_start(&threads[n++], write_names, stress, "writer");
	for (unsigned i = 0; i < SEARCHERS && rc == 0; i++)
		rc = thread_start(&threads[n++], search_names, stress, "searcher");
	for (unsigned i = 0; i < 2 && rc == 0; i++)
		rc = thread_start(&threads[n++], work, stress, "worker");
	fail(stress, rc);
	/* Time passes and generations rotate while everybody is at work. */
	for (uint32_t i = 0; i < rounds && stress->rc == 0; i++) {
		struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

		nanosleep(&pause, NULL);
		clock_set_manual(&stress->clock, clock_now_ms(&stress->clock) + (i % 20 == 19 ? MS_PER_DAY : 500));
	}
	stress->stop = true;
	for (unsigned i = 0; i < n; i++)
		thread_join(&threads[i]);
	return stress->rc;
}

int
tt_index_stress(const char *root, int layout, uint32_t rounds, bool changing, double *violations, double *searches,
    double *live)
{
	struct stress *stress = calloc(1, sizeof(*stress));
	struct index_env env;
	int rc;

	mem_init(&stress->mem, 0);
	clock_init_manual(&stress->clock, INT64_C(1795003200000));
	log_init(&stress->log, &stress->mem, &stress->clock, LOG_TO_STDERR);
	stress->layout = (enum layout)layout;
	stress->changing = changing;
	stress->first_date = 20775;
	rc = io_posix_create(&stress->mem, &stress->io);
	env = (struct index_env){
		.io = stress->io,
		.mem = &stress->mem,
		.clock = &stress->clock,
		.log = &stress->log,
		.layout = stress->layout,
		.root = root,
		.retention_ms = changing ? 2 * MS_PER_DAY : 0,
		.visible_ms = 1000,
		.durable_ms = 5000,
		.staging_series_max = 200,
	};
	if (rc == 0)
		rc = index_open(&env, &stress->index);
	if (rc == 0)
		rc = run(stress, rounds);
	index_close(stress->index);
	*violations = (double)stress->violations + (double)stress->io->open_files;
	*searches = (double)stress->searches;
	io_destroy(stress->io);
	log_destroy(&stress->log);
	*live = (double)mem_live(&stress->mem);
	free(stress);
	return rc;
}
