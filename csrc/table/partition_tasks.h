/*
 * partition_tasks.h -- what a partition's parts need next: a flush, a small merge, a big merge.
 * floor: table     uses: job.h merge/merge_plan.h     used by: table
 *
 * Choosing looks at the slots under the partition's lock and makes the job there, so nothing can change in between.
 *
 * Errors     ERR_MEMORY, ERR_IO (free space).
 * Threads    any.
 */
#ifndef TSE_PARTITION_TASKS_H
#define TSE_PARTITION_TASKS_H

#include "table/job.h"

/* When in-memory parts must go to disk: now or before means at once. INT64_MAX: nothing to do. */
int64_t partition_flush_due(const struct partition *partition, int64_t now_ms);
/* When a plan should be made for a tree; INT64_MAX: nothing changed. */
int64_t partition_merge_due(const struct partition *partition, enum tree tree);

/* *out NULL: nothing to do after all. */
NODISCARD int partition_start_flush(struct partition *partition, struct job **out);
NODISCARD int partition_start_merge(struct partition *partition, enum tree tree, struct job **out);

#endif
