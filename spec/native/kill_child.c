/*
 * kill_child.c -- a process that writes rows until it is killed, and the one that looks at what it left.
 * Used by spec/crash/kill_spec.lua.
 *
 * The child tells by two numbers in a shared file what it asked for and what it was promised; the file outlives it.
 * Row n has the value n and belongs to series n % KILL_SERIES, so the looker can tell every row.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "storage/storage.h"

enum { KILL_SERIES = 7, KILL_BATCH = 40 };

/* 2024-03-20 12:00:00 UTC */
#define KILL_FIRST_MS INT64_C(1710936000000)

struct tt_kill_progress {
	_Atomic uint64_t submitted, acked; /* rows with a lower number */
	_Atomic uint64_t opened;           /* 1: the open returned */
	_Atomic uint64_t failed;           /* the child itself met an error */
};

int tt_kill_child(const char *path, const char *progress_path, uint64_t first, uint64_t seed);
struct tt_kill_progress *tt_kill_progress_map(const char *path);
void tt_kill_progress_read(const struct tt_kill_progress *progress, uint64_t *numbers);
void tt_kill_progress_unmap(struct tt_kill_progress *progress);
int tt_kill_look(const char *path, uint64_t submitted, uint64_t acked_from, uint64_t acked, uint8_t *known,
    uint64_t *rows);

struct tt_kill_progress *
tt_kill_progress_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *p;

	if (fd < 0 || ftruncate(fd, 4096) != 0)
		return NULL;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void
tt_kill_progress_read(const struct tt_kill_progress *progress, uint64_t *numbers)
{
	numbers[0] = progress->submitted;
	numbers[1] = progress->acked;
	numbers[2] = progress->opened;
	numbers[3] = progress->failed;
}

void
tt_kill_progress_unmap(struct tt_kill_progress *progress)
{
	munmap(progress, 4096);
}

static int64_t
at_of(uint64_t n)
{
	/* two months, so that partitions are made, too */
	return KILL_FIRST_MS + (int64_t)(n / KILL_SERIES) * 10 - (n % 5 == 0 ? 30 * MS_PER_DAY : 0);
}

static int
add_batch(struct storage *storage, struct tt_kill_progress *progress, uint64_t *n)
{
	char metric[64];
	int i;

	progress->submitted = *n + KILL_BATCH;
	for (i = 0; i < KILL_BATCH; i++, (*n)++) {
		snprintf(metric, sizeof(metric), "m{s=\"%d\"}", (int)(*n % KILL_SERIES));
		TRY(storage_add(storage, (struct tenant){ 0, 0 }, bytes_of_text(metric), at_of(*n), (double)*n));
	}
	return 0;
}

static int
live(const char *path, struct tt_kill_progress *progress, uint64_t n, uint64_t seed)
{
	struct storage_env env = { .io = NULL };
	struct storage_options options;
	struct storage *storage;
	uint64_t ticket, merges;

	storage_options_default(&options);
	options.path = path;
	options.threads = 2;
	options.visible_ms = 5;
	options.durable_ms = 20;
	options.min_free_disk_bytes = 0;
	TRY(storage_open(&env, &options, &storage));
	progress->opened = 1;
	for (;;) {
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		TRY(add_batch(storage, progress, &n));
		switch ((seed >> 40) % 8) {
		case 0:
		case 1:
			TRY(storage_flush(storage, true, &ticket));
			progress->acked = n;
			break;
		case 2:
			TRY(storage_force_merge(storage, NULL, true, &ticket, &merges));
			progress->acked = n;
			break;
		default: usleep(500);
		}
	}
}

int
tt_kill_child(const char *path, const char *progress_path, uint64_t first, uint64_t seed)
{
	struct tt_kill_progress *progress = tt_kill_progress_map(progress_path);

	progress->submitted = progress->acked = first;
	if (live(path, progress, first, seed) != 0) {
		progress->failed = 1;
		fprintf(stderr, "%s: %s\n", err_word(err_code()), err_message());
	}
	return 1;
}

/* known[n]: 1 when row n was on the disk before; updated. */
static int
look_at(struct storage *storage, uint64_t submitted, uint8_t *seen, uint64_t *rows)
{
	struct storage_query query = { .to_ms = INT64_MAX };
	struct storage_columns columns;
	struct storage_select *select;
	bool found = true;
	uint64_t i;
	int rc;

	TRY(storage_select_open(storage, &query, &select));
	for (rc = 0; rc == 0 && found;) {
		rc = storage_select_next(select, &columns, &found);
		for (i = 0; rc == 0 && found && i < columns.count; i++) {
			uint64_t n = (uint64_t)columns.values[i];

			(*rows)++;
			if (n >= submitted || columns.timestamps_ms[i] != at_of(n))
				rc = ERR(ERR_BUG_CODE, "row %" PRIu64 " was never added like this", n);
			else if (seen[n]++ != 0)
				rc = ERR(ERR_BUG_CODE, "row %" PRIu64 " is there twice", n);
		}
	}
	storage_select_free(select);
	return rc;
}

/*
 * Opens what a killed child left. Rows [acked_from, acked) were acknowledged by it, known[] tells the rows that were there
 * before it started; all of these must be there. known is updated to what is there now.
 */
int
tt_kill_look(const char *path, uint64_t submitted, uint64_t acked_from, uint64_t acked, uint8_t *known, uint64_t *rows)
{
	struct storage_env env = { .io = NULL };
	struct storage_options options;
	struct storage *storage;
	uint8_t *seen = calloc(submitted + 1, 1);
	uint64_t i;
	int rc, close_rc;

	*rows = 0;
	storage_options_default(&options);
	options.path = path;
	options.threads = 0;
	options.min_free_disk_bytes = 0;
	rc = storage_open(&env, &options, &storage);
	if (rc == 0) {
		rc = look_at(storage, submitted, seen, rows);
		for (i = 0; i < submitted && rc == 0; i++)
			if (!seen[i] && (known[i] || (i >= acked_from && i < acked)))
				rc = ERR(ERR_BUG_CODE, "row %" PRIu64 " is missing, which %s", i,
				    known[i] ? "was there before" : "was acknowledged");
		close_rc = storage_close(storage);
		rc = rc != 0 ? rc : close_rc;
	}
	for (i = 0; i < submitted && rc == 0; i++)
		known[i] = seen[i];
	free(seen);
	return rc;
}
