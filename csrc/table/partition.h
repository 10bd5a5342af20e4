/*
 * partition.h -- one month: its raw rows, its parts, and what a view sees of them.
 * floor: table     uses: shard.h month.h part/part.h     used by: publish, job, recover, retention, table
 *
 *   shards[]  --detach-->  raw_rows list  --convert-->  slots[] (in-memory parts)  --jobs-->  slots[] (file parts)
 *
 * Invariants
 *  (1) A row is in exactly one of: a shard, the raw_rows list, a part in slots. Every move between them happens under
 *      `lock`, so a view that holds it sees each row once.
 *  (2) slots change only in publish.c and recover.c.
 *  (3) A part with table.busy != 0 belongs to that job; nobody else merges or removes it.
 *  (4) committing > 0 and snapshots > 0 exclude each other: a snapshot sees directories that nobody moves.
 *  (5) read_only never goes back; failure says why.
 * Errors     ERR_MEMORY, ERR_READONLY, ERR_NOSPACE.
 * Threads    any; `lock` guards all but the shards and the atomics.
 */
#ifndef TSE_PARTITION_H
#define TSE_PARTITION_H

#include "base/err.h"
#include "base/txn.h"
#include "table/month.h"
#include "table/shard.h"

struct part_slot {
	struct part *part;
	uint64_t epoch; /* in memory: of its oldest row */
};

struct partition {
	struct table_shared *shared;
	int month;
	char name[MONTH_NAME_MAX];
	int64_t min_ms, max_ms;
	char *path[2]; /* small, big */
	char *tail[2]; /* "small/2026_11", "big/2026_11" */
	struct shard *shards;
	unsigned shards_count;
	_Atomic uint32_t shard_turn;
	struct lock lock;
	struct raw_rows *converting;
	struct part_slot *slots;
	size_t slots_count, slots_room;
	uint64_t suffix; /* last one used; starts at the wall clock in ns */
	_Atomic unsigned jobs_active;
	_Atomic unsigned committing; /* publishes and removals that move directories now */
	struct cond still;           /* signalled when committing becomes 0 */
	_Atomic unsigned snapshots;
	_Atomic bool forced;      /* a force merge has it: no other merges */
	_Atomic bool draining;    /* and waits for the jobs that run: no new flush either */
	uint64_t damaged;         /* parts left out or found damaged */
	struct err_saved failure; /* code != 0: why it is read-only */
	struct err_saved setback; /* the last failure that did not make it read-only (no space, no memory) */
	uint64_t setback_epoch;   /* flush requests up to this one have met it */
	bool failure_told;        /* by table_failed_next */
	_Atomic bool read_only;
	_Atomic bool closed; /* dropped: out of retention */
	/* What the scheduler looks at without the lock; kept by partition_refresh. */
	_Atomic int64_t flush_due_tick_ms;      /* earliest deadline of an idle in-memory part; INT64_MAX: none */
	_Atomic uint64_t flush_epoch;           /* least epoch of an idle in-memory part; UINT64_MAX: none */
	_Atomic int64_t retry_tick_ms;          /* after a setback: no job before; INT64_MIN: none */
	_Atomic int64_t convert_retry_tick_ms;  /* raw rows that could not be converted; INT64_MAX: none */
	_Atomic int64_t detach_retry_tick_ms;   /* no memory to take rows out of a shard: not before; INT64_MIN: none */
	_Atomic uint64_t convert_wanted;        /* raw rows of this epoch and before must become a part */
	_Atomic bool merge_wanted[2];           /* the parts of this tree changed since the plan found nothing */
	_Atomic int64_t merge_retry_tick_ms[2]; /* no plan before: the disk was too full for it; INT64_MIN: none */
	_Atomic uint32_t small_parts;           /* in memory and small */
};

/* What a view takes of one partition. */
struct raw_view {
	struct row_batch *batch; /* referenced */
	uint32_t first, count;
};

/* No disk is touched. */
NODISCARD int partition_create(struct table_shared *shared, int month, struct partition **out);
void partition_delete(struct partition *partition); /* NULL is fine */

/* The two roots of base/txn, small first; *place points to them. */
void partition_place(const struct partition *partition, struct txn_root roots[2], struct txn_place *place);
/* The next suffix; the lock is held. */
uint64_t partition_next_suffix(struct partition *partition);

/* -- Rows ------------------------------------------------------------------------------------------------------------- */

/* Adds rows of this month. *accepted < n without an error: the partition is gone (the rest is out of retention).
 * *overflowed: a shard was full and its rows became a part. */
NODISCARD int partition_add(struct partition *partition, const struct row *rows, size_t n, size_t *accepted,
    bool *overflowed);
/* Earliest tick at which raw rows must become a part; now or before when a flush was requested. INT64_MAX: no rows. */
int64_t partition_raw_due(const struct partition *partition, int64_t now_ms);
/* Converts the raw rows of one shard that is due, or one leftover. *did false: nothing was due. */
NODISCARD int partition_convert_due(struct partition *partition, int64_t now_ms, bool *did);

/* -- Parts (the lock is held) -------------------------------------------------------------------------------------------- */

/* A publish or removal is over. */
void partition_commit_end(struct partition *partition);
/* Room for one more slot, so that publishing cannot fail half way. */
NODISCARD int partition_reserve_slot(struct partition *partition);
/* Recomputes what the scheduler sees; after every change of slots, busy or damaged. */
void partition_refresh(struct partition *partition);
/* Least epoch of any row that is in no part yet. Takes the lock itself. */
uint64_t partition_raw_epoch(struct partition *partition);
/* Least epoch of any row that is not durable; UINT64_MAX: all are. Takes the lock itself. */
uint64_t partition_undurable_epoch(struct partition *partition);
/* Sticky; the last error of the thread is the reason. Takes the lock itself. */
void partition_set_read_only(struct partition *partition);
/* What was put off after setbacks is due at once. Takes the lock itself. */
void partition_retry_now(struct partition *partition);
/* A failure that goes away, for those who wait for a flush; `pause`: no job before SPACE_RECHECK_MS. Takes the lock itself. */
void partition_set_back(struct partition *partition, bool pause);
void partition_mark_damaged(struct partition *partition, struct part *part);
/* ERR_READONLY with the reason. */
NODISCARD int partition_read_only_error(const struct partition *partition);

#endif
