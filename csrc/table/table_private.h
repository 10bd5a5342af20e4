/*
 * table_private.h -- the table's own structure, for the files that are parts of table.c.
 * floor: table     uses: job.h partition_tasks.h force.h     used by: table, table_steps, view, snapshot, info, retention, recover
 *
 * Order of locks: table->lock > partition->lock > shard->lock > shared->lock, trash->lock.
 * A partition is never freed before table_close: adders find it without a lock. Dropped ones are closed and wait in
 * `dropped` with no rows in them.
 */
#ifndef TSE_TABLE_PRIVATE_H
#define TSE_TABLE_PRIVATE_H

#include "table/force.h"
#include "table/partition_tasks.h"

enum drop_state { DROP_IDLE, DROP_DRAIN, DROP_MOVE_SMALL, DROP_SYNC_SMALL, DROP_MOVE_BIG, DROP_SYNC_BIG };

struct table {
	struct table_shared shared;
	struct lock create_lock; /* one partition is made at a time; taken before table->lock */
	struct lock lock;
	struct partition *_Atomic by_month[MONTHS_MAX];
	struct partition *_Atomic recent; /* the partition of the last row added: most rows are of one month */
	_Atomic int64_t future_ms;        /* accepted at least up to here: the clock only goes on */
	int64_t last_ms;                  /* of the last month there can be */
	struct partition **partitions;    /* ascending by month */
	size_t partitions_count, partitions_room;
	struct partition **dropped;
	size_t dropped_count, dropped_room;
	struct job *jobs; /* oldest first */
	unsigned jobs_count[JOB_KINDS];
	struct force_list forces;
	/* retention; INT64_MAX: off */
	int64_t stale_tick_ms, drop_tick_ms, dedup_tick_ms;
	bool upkeep_running; /* one thread at a time does the three */
	struct partition *dropping;
	enum drop_state drop_state;
	int64_t drop_retry_tick_ms; /* the disk was too full even for a rename: not before; INT64_MIN: none */
	char *drop_moved;           /* where the half that was renamed is now, until that is durable */
};

/* Finds or makes (create) the partition of a month; *out NULL: there is none. */
NODISCARD int table_partition(struct table *table, int month, bool create, struct partition **out);
/* Puts an opened partition into the list; the table's lock is held. */
NODISCARD int table_insert(struct table *table, struct partition *partition);
/* A copy of the list of partitions (mem_free it), which is safe to walk without the lock. */
NODISCARD int table_list(struct table *table, struct partition ***out, size_t *count);

/* An adding thread met too many parts (of this partition), or no memory (NULL): it runs one small merge of the partition,
 * or one flush of any, as far as it goes without waiting. false: there was none to run. */
bool table_assist(struct table *table, struct partition *partition);

/* retention.c */
void table_upkeep_init(struct table *table);
/* When the next of the three is due; the table's lock is held. */
int64_t table_upkeep_due(const struct table *table);
/* One unit of it. The caller has set upkeep_running. */
NODISCARD int table_upkeep_step(struct table *table, bool *did);

/* recover.c */
NODISCARD int table_recover(struct table *table);

#endif
