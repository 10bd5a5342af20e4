/*
 * shard.h -- rows just added, before they become an in-memory part.
 * floor: table     uses: table_shared.h     used by: partition
 *
 *   shard --append--> batch [row row row ......]      one short lock per call, one memcpy
 *                       |  full, or older than visible_ms: detached, converted
 *                       v
 *                     raw_rows: still seen by views until the part is published in its place
 *
 * Invariants
 *  (1) Rows [0, n) of a batch never change once n is published under the shard's lock: a view that holds a reference and
 *      has read n under the lock reads them without it.
 *  (2) A batch grows by being replaced, never in place.
 * Errors     ERR_MEMORY; then no row of the call that failed was taken.
 * Ownership  batches are counted.
 * Threads    any.
 */
#ifndef TSE_SHARD_H
#define TSE_SHARD_H

#include "table/table_shared.h"

struct row_batch {
	_Atomic uint32_t refs;
	uint32_t cap;
	struct table_shared *shared;
	struct row rows[];
};

/* Rows with the promises made about them. */
struct raw_rows {
	struct row_batch *batch;
	uint32_t first, count;      /* rows of the batch */
	int64_t durable_by_tick_ms; /* of the oldest row */
	uint64_t epoch;             /* of the oldest row */
	struct raw_rows *next;      /* rows being converted */
	bool busy;                  /* a thread converts them now */
	int64_t retry_tick_ms;      /* after ERR_MEMORY: not before */
};

struct shard {
	struct lock lock;
	struct row_batch *batch; /* NULL: empty */
	uint32_t count;
	uint32_t expected; /* rows of the batch before: the next one starts with that much room */
	bool closed;       /* the partition was dropped */
	uint64_t added;    /* rows ever taken */
	int64_t durable_by_tick_ms;
	_Atomic int64_t due_tick_ms; /* when the rows must become a part; INT64_MAX: empty */
	_Atomic uint64_t epoch;      /* of the oldest row; UINT64_MAX: empty */
	char apart[64];              /* so that two shards never share a cache line */
};

void row_batch_ref(struct row_batch *batch);
void row_batch_unref(struct row_batch *batch); /* NULL is fine */
void row_batch_free_spares(struct table_shared *shared);

void shard_init(struct shard *shard);
void shard_destroy(struct shard *shard);
/*
 * Takes the first rows it has room for; *taken == 0 means full: detach and try again. *started: the batch was empty
 * before, so a deadline has appeared. *closed: the partition is gone, nothing was taken.
 */
NODISCARD int shard_append(struct shard *shard, struct table_shared *shared, const struct row *rows, size_t n,
    size_t *taken, bool *started, bool *closed);
/* Moves the rows to *out (fields next, busy, retry are the caller's); false when there are none, or when `only_full`
 * and it is not. The partition's lock is held. */
bool shard_detach(struct shard *shard, const struct table_shared *shared, bool only_full, struct raw_rows *out);

#endif
