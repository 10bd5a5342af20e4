/*
 * partition_tasks.c -- see partition_tasks.h.
 * floor: table     uses: partition_tasks.h     used by: table
 */
#include "table/partition_tasks.h"

#include "merge/merge_plan.h"

/* How often merges that do not fit the disk are planned again: like the peer's workers at their laziest (part format 14.4). */
enum { CRAMPED_RETRY_MS = 10000 };

/* A setback (no space, no memory) holds jobs off for a while, but a newer flush request tries at once. */
static int64_t
not_before(const struct partition *partition, int64_t tick_ms)
{
	int64_t retry = partition->retry_tick_ms;

	if (partition->shared->flush_wanted > partition->setback_epoch)
		return tick_ms;
	return tick_ms > retry ? tick_ms : retry;
}

int64_t
partition_flush_due(const struct partition *partition, int64_t now_ms)
{
	const struct table_shared *shared = partition->shared;
	int64_t due = partition->flush_due_tick_ms;

	if (due == INT64_MAX || partition->draining)
		return INT64_MAX;
	if (partition->flush_epoch <= shared->flush_wanted ||
	    shared->memory_idle_bytes > shared->options.mem_parts_bytes_max)
		due = now_ms;
	return not_before(partition, due);
}

int64_t
partition_merge_due(const struct partition *partition, enum tree tree)
{
	if (!partition->merge_wanted[tree] || partition->forced)
		return INT64_MAX;
	if (partition->shared->no_space) /* starting looks at the disk again */
		return not_before(partition, tick_add(partition->shared->space_checked_tick_ms, SPACE_RECHECK_MS));
	return not_before(partition, partition->merge_retry_tick_ms[tree]);
}

/* -- Flush ------------------------------------------------------------------------------------------------------------ */

int
partition_start_flush(struct partition *partition, struct job **out)
{
	struct table_shared *shared = partition->shared;
	struct part *parts[MERGE_PLAN_PARTS_MAX];
	size_t n = 0;
	int rc = 0;

	*out = NULL;
	table_shared_check_space(shared);
	if (shared->no_space)
		return ERR(ERR_NOSPACE, "no space to write the rows of %s", partition->name);
	lock_take(&partition->lock);
	if (!partition->closed && !partition->read_only) {
		for (size_t i = 0; i < partition->slots_count && n < shared->options.merge_fan; i++) {
			struct part *part = partition->slots[i].part;

			if (part->tier == PART_TIER_MEM && part->table.busy == 0)
				parts[n++] = part;
		}
		if (n > 0)
			rc = job_create(partition, JOB_FLUSH, parts, n, 0, out);
	}
	lock_release(&partition->lock);
	return rc;
}

/* -- Merges ----------------------------------------------------------------------------------------------------------- */

static int
candidates_collect(const struct partition *partition, enum tree tree, struct merge_candidate **out, size_t *count)
{
	struct merge_candidate *candidates =
	    mem_array(partition->shared->env.mem, partition->slots_count, sizeof(*candidates));

	if (candidates == NULL)
		return ERR_MEMORY;
	*count = 0;
	for (size_t i = 0; i < partition->slots_count; i++) {
		const struct part *part = partition->slots[i].part;

		if ((part->tier == PART_TIER_BIG) != (tree == TREE_BIG) || part->table.damaged)
			continue;
		candidates[(*count)++] =
		    (struct merge_candidate){ .bytes = table_shared_plan_bytes(partition->shared, part),
			    .id = part->table.id,
			    .min_timestamp_ms = part->header.min_timestamp_ms,
			    .busy = part->table.busy != 0 };
	}
	*out = candidates;
	return 0;
}

/* What one merge of a tree may write: the free space shared by the workers (part format 14.4). */
static int
max_out(struct table_shared *shared, enum tree tree, uint64_t *bytes)
{
	TRY(table_shared_space(shared, tree, bytes));
	*bytes /= shared->options.merge_workers;
	if (*bytes > (uint64_t)MERGE_BIG_PART_BYTES_MAX)
		*bytes = MERGE_BIG_PART_BYTES_MAX;
	return 0;
}

static int
job_of_plan(struct partition *partition, enum tree tree, const struct merge_plan *plan, struct job **out)
{
	struct part *parts[MERGE_PLAN_PARTS_MAX];
	size_t n = 0;

	for (size_t k = 0; k < plan->count; k++)
		for (size_t i = 0; i < partition->slots_count; i++)
			if (partition->slots[i].part->table.id == plan->ids[k])
				parts[n++] = partition->slots[i].part;
	assert(n == plan->count);
	return job_create(partition, tree == TREE_BIG ? JOB_BIG : JOB_SMALL, parts, n, 0, out);
}

static int
pick(const struct partition *partition, enum tree tree, uint64_t out_bytes_max, struct merge_plan *plan)
{
	struct merge_candidate *candidates;
	size_t count;

	TRY(candidates_collect(partition, tree, &candidates, &count));
	merge_plan_pick(candidates, count, partition->shared->options.merge_fan, out_bytes_max, plan);
	mem_free(partition->shared->env.mem, candidates);
	return 0;
}

/*
 * Part format 14.4: a small worker may plan as large as the big tree allows, if the result then belongs there. *cramped:
 * only the free space stands against a merge.
 */
static int
plan_locked(struct partition *partition, enum tree tree, struct merge_plan *plan, bool *cramped)
{
	const struct table_options *options = &partition->shared->options;
	uint64_t out_big, out_small;

	*cramped = false;
	TRY(max_out(partition->shared, TREE_BIG, &out_big));
	TRY(max_out(partition->shared, TREE_SMALL, &out_small));
	TRY(pick(partition, tree, out_big, plan));
	if (tree == TREE_SMALL && plan->count > 0 && plan->bytes <= options->max_small_part_bytes &&
	    plan->bytes > out_small)
		TRY(pick(partition, tree, out_small, plan));
	if (plan->count > 0)
		return 0;
	TRY(pick(partition, tree, MERGE_BIG_PART_BYTES_MAX, plan));
	*cramped = plan->count > 0;
	plan->count = 0;
	return 0;
}

int
partition_start_merge(struct partition *partition, enum tree tree, struct job **out)
{
	struct merge_plan plan = { .count = 0 };
	bool cramped;
	int rc = 0;

	*out = NULL;
	table_shared_check_space(partition->shared);
	lock_take(&partition->lock);
	if (!partition->closed && !partition->read_only && !partition->forced && !partition->shared->no_space) {
		rc = plan_locked(partition, tree, &plan, &cramped);
		if (rc == 0 && plan.count > 0)
			rc = job_of_plan(partition, tree, &plan, out);
		else if (rc == 0 && !cramped)
			partition->merge_wanted[tree] = false;
		else if (rc == 0)
			partition->merge_retry_tick_ms[tree] =
			    tick_add(clock_tick_ms(partition->shared->env.clock), CRAMPED_RETRY_MS);
	}
	lock_release(&partition->lock);
	return rc;
}
