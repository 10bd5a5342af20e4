/*
 * crash_world.h -- the engine on a disk that crashes and fails, and a model of what it must still know.
 * Used by the shims spec/native/crash_*.c and the specs spec/crash, spec/fault.
 *
 *   fault io -> crash io        the engine writes through both; the model marks in the journal what was acknowledged
 *
 * Every row is unique: row number n has the value n, and its series and timestamp follow from the model. So what a
 * directory gives back can be told row by row: foreign, twice, missing, or one that had to be gone.
 *
 * The promise, before operation k:  acknowledged rows are a part of the recovered ones, these are a part of the submitted.
 */
#ifndef CRASH_WORLD_H
#define CRASH_WORLD_H

#include "base/io_crash.h"
#include "base/io_fault.h"
#include "storage/storage.h"

enum { WORLD_ROWS_MAX = 60000, WORLD_SNAPSHOTS_MAX = 8, WORLD_TEXT_MAX = 1024, WORLD_PATH_MAX = 256 };

struct world_row {
	int64_t at_ms;
	uint32_t series;
	size_t submitted_op; /* the journal's length when its add was called */
	size_t acked_op;     /* and when flush said that it is durable; SIZE_MAX: never */
	size_t may_go_op;    /* from here on it may be missing (deleted, dropped); SIZE_MAX: never */
	size_t must_go_op;   /* from here on it must be missing */
	bool accepted;       /* its add said yes */
};

struct world_snapshot {
	char name[SNAPSHOT_NAME_MAX];
	size_t begun_op, done_op, removed_op; /* SIZE_MAX: not */
};

struct world {
	struct mem mem;
	struct io *crash, *io; /* io is the fault wrapper around crash */
	struct clock clock;
	struct storage_options options;
	uint64_t small_part_bytes; /* above: big; 0: the engine's own choice */
	struct storage *storage;
	struct world_row *rows;
	size_t rows_count;
	struct world_snapshot snapshots[WORLD_SNAPSHOTS_MAX];
	size_t snapshots_count;
	char path[WORLD_PATH_MAX];
	char message[WORLD_TEXT_MAX];
};

/* path: of the database on the disk in memory; its parents are made. */
struct world *world_new(int64_t now_ms, const char *path);
void world_free(struct world *world);
int world_open(struct world *world);
/* Merges above this many bytes go to big/ (the engine takes the bound from the machine, far above what a spec writes). */
void world_set_small_part_bytes(struct table *table, uint64_t bytes);
/* How a closed world's engine is opened on another disk, to look at a state. */
int world_open_on(struct world *world, struct io *io, const char *path, bool read_only, struct storage **out);
int world_add(struct world *world, uint32_t n, uint32_t first_series, uint32_t series, int64_t first_ms,
    int64_t step_ms);
int world_flush(struct world *world);
/* Marks all rows submitted so far as durable. */
void world_ack(struct world *world);
int world_run(struct world *world, uint64_t units_max, uint64_t *units);
int world_snapshot(struct world *world, const char *name);
int world_snapshot_delete(struct world *world, const char *name);
/* Series first..first+n-1: deleted, durably. */
int world_delete(struct world *world, uint32_t first_series, uint32_t n);
/* Rows before this time may go from now on. */
void world_may_drop(struct world *world, int64_t before_ms);
size_t world_ops(struct world *world);
size_t world_injected(struct world *world);

/* Looking at rows that somebody gives back. */
struct world_look {
	struct world *world;
	size_t k;
	int64_t from_ms, to_ms; /* only rows of this range are missed when they are not there */
	uint8_t *seen;
	uint64_t foreign, twice, rows;
};
int world_look_begin(struct world *world, size_t k, struct world_look *look);
void world_look_row(struct world_look *look, uint32_t series, int64_t at_ms, double value);
/* All rows of an open storage. A partial answer is an error. */
int world_look_storage(struct world_look *look, struct storage *storage);
/* 0 when the promise holds for what was seen, else ERR_BUG_CODE with world->message. limit: only rows acknowledged before it count (snapshots). */
int world_look_end(struct world_look *look, size_t acked_before);

/* Opens the engine on a disk and holds its answer against the model before operation k. */
int world_check(struct world *world, struct io *io, size_t k);

#endif
