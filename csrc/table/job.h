/*
 * job.h -- one merge of a partition's parts, from the choice to the published part, in steps any thread may continue.
 * floor: table     uses: publish.h merge/merge.h     used by: partition_tasks, force, table
 *
 *   START --> MERGE --> BARRIER --> PUBLISH --> END
 *     |         |          |           |
 *     +---------+----------+-----------+--> END with an error: sources idle again, output discarded unless committed
 *
 *   START    deleted ids and deadline taken, output directory made
 *   MERGE    merge_step: about a millisecond of blocks, or one fsync
 *   BARRIER  sources in memory: their series must be durable in the index first (it is asked to; nobody waits here)
 *   PUBLISH  publish_step; waits for a snapshot of the partition to end
 *
 * Errors     ERR_CORRUPTED: the source is marked damaged. ERR_NOSPACE, ERR_MEMORY: the partition is set back for a second.
 *            After the commit point both only delay what is left to do. Everything else: the partition becomes read-only.
 * Ownership  holds references to its sources; they are busy with its id.
 * Threads    one at a time (`running`, guarded by the table's lock).
 */
#ifndef TSE_JOB_H
#define TSE_JOB_H

#include "merge/merge.h"
#include "table/publish.h"

/* In the order of their priority. */
enum job_kind { JOB_FLUSH, JOB_SMALL, JOB_BIG, JOB_KINDS };
enum job_state { JOB_START, JOB_MERGE, JOB_BARRIER, JOB_PUBLISH, JOB_END };

struct force_item;

struct job {
	struct job *next;
	struct partition *partition;
	enum job_kind kind;
	enum job_state state;
	uint64_t id;
	bool running;
	int64_t wake_tick_ms; /* blocked: look again then; INT64_MIN: can go on */
	struct part **sources;
	size_t sources_count;
	uint64_t index_seq; /* barrier; 0: none */
	uint64_t reserved_bytes;
	bool holds_deleted;
	const struct u64set *deleted;
	char *directory;
	struct merge *merge;
	struct publish publish;
	struct force_item *force; /* the force merge it is part of, or NULL */
	uint64_t busy_after;      /* as in publish */
	struct err_saved stuck;   /* code != 0: committed, but the next step needs space or memory that is not there */
	int rc;                   /* after JOB_END */
};

/*
 * Makes a job of these parts, which must be idle (or belong to the force merge `owner`), under the partition's lock.
 * The output goes to the big tree when the sources are larger than a small part may be.
 */
NODISCARD int job_create(struct partition *partition, enum job_kind kind, struct part *const *parts, size_t n,
    uint64_t owner, struct job **out);
/* Parts belong to a job or force merge from now on (0: to nobody); the partition's lock is held. */
void job_own_parts(struct partition *partition, struct part *const *parts, size_t n, uint64_t owner);
/* One step. After job->state == JOB_END the outcome is job->rc, already acted upon. */
void job_step(struct job *job, const struct budget *budget);
/* Can it go on? A job at the barrier looks at the index. */
bool job_ready(struct job *job, int64_t now_ms);
/* Undoes what is unfinished. */
void job_delete(struct job *job);

#endif
