/*
 * force.h -- force merges: all parts of a partition become one.
 * floor: table     uses: job.h     used by: table
 *
 *   PENDING --> DRAIN --> MERGE --> ... --> DONE
 *
 *   DRAIN   raw rows become parts, then running jobs end and no new ones start
 *   MERGE   all parts are owned; while there are more than the fan, the smallest of them become one, so that the last
 *           merge takes exactly the fan. A single part is rewritten too: deleted rows go, dedup is applied.
 *
 * The final dedup is a force merge that nobody waits for.
 *
 * Errors     ERR_NOSPACE when all parts together do not fit the big tree's disk; what a job says.
 * Threads    the table's lock is held by every call.
 */
#ifndef TSE_FORCE_H
#define TSE_FORCE_H

#include "table/job.h"

enum force_state { FORCE_PENDING, FORCE_DRAIN, FORCE_MERGE, FORCE_DONE };

struct force;

struct force_item {
	struct force *force;
	struct partition *partition;
	enum force_state state;
	uint64_t owner;      /* what parts.table.busy says */
	struct part **parts; /* referenced */
	size_t parts_count;
	struct err_saved stuck; /* code != 0: its job waits for space or memory, and goes on by itself */
	struct job *job;        /* the merge that runs; NULL: the next can start */
};

struct force {
	struct force *next;
	uint64_t ticket;
	uint64_t epoch; /* rows up to this epoch take part */
	struct force_item *items;
	size_t items_count, items_done;
	uint64_t merges;
	struct err_saved failure; /* the first one */
};

struct force_list {
	struct mem *mem;
	struct force *first; /* oldest first */
	uint64_t tickets;
};

void force_list_init(struct force_list *list, struct mem *mem);
void force_list_free(struct force_list *list);
/* The partitions' raw rows so far take part. */
NODISCARD int force_request(struct force_list *list, struct table_shared *shared, struct partition *const *partitions,
    size_t n, uint64_t *ticket);
/* ERR_NOTFOUND for a ticket that was never given or is long over; the failure of the merges once *done. Also *done, with
 * that error: what is left waits for space or memory (it goes on by itself when there is some). */
NODISCARD int force_check(const struct force_list *list, uint64_t ticket, bool *done, uint64_t *merges);
/* Anything that force_start could do now? (It may find that not, and then waits for jobs to end.) */
bool force_can_start(const struct force_list *list);
/* Moves items on; *out: a job to put into the list of jobs, or NULL. */
void force_start(struct force_list *list, struct job **out);
/* A thread lets go of a job of a force merge that is not over: does it get on? */
void force_job_paused(const struct job *job);
/* A job of a force merge ended. */
void force_job_ended(struct job *job);

#endif
