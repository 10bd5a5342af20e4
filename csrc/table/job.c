/*
 * job.c -- see job.h.
 * floor: table     uses: job.h     used by: partition_tasks, force, table
 */
#include "table/job.h"

#include <inttypes.h>

enum { BLOCKED_RETRY_MS = 10 }; /* a job at the barrier or behind a snapshot is looked at again this soon */

/* -- Life --------------------------------------------------------------------------------------------------------- */

void
job_own_parts(struct partition *partition, struct part *const *parts, size_t n, uint64_t owner)
{
	struct table_shared *shared = partition->shared;

	for (size_t i = 0; i < n; i++) {
		struct part *part = parts[i];

		if (part->tier == PART_TIER_MEM && (part->table.busy == 0) != (owner == 0)) {
			if (owner == 0)
				shared->memory_idle_bytes += part->bytes;
			else
				shared->memory_idle_bytes -= part->bytes;
		}
		part->table.busy = owner;
	}
}

int
job_create(struct partition *partition, enum job_kind kind, struct part *const *parts, size_t n, uint64_t owner,
    struct job **out)
{
	struct table_shared *shared = partition->shared;
	struct job *job = mem_zalloc(shared->env.mem, sizeof(*job));
	uint64_t bytes = 0;

	(void)owner; /* only the assert below looks at it */
	if (job == NULL)
		return ERR_MEMORY;
	job->sources = mem_array(shared->env.mem, n, sizeof(struct part *));
	if (job->sources == NULL) {
		mem_free(shared->env.mem, job);
		return ERR_MEMORY;
	}
	job->partition = partition;
	job->kind = kind;
	job->id = ++shared->job_ids;
	job->wake_tick_ms = INT64_MIN;
	for (size_t i = 0; i < n; i++) {
		assert(parts[i]->table.busy == 0 || parts[i]->table.busy == owner);
		part_ref(parts[i]);
		job->sources[job->sources_count++] = parts[i];
		bytes += table_shared_plan_bytes(shared, parts[i]);
		if (parts[i]->tier == PART_TIER_MEM && parts[i]->table.index_seq > job->index_seq)
			job->index_seq = parts[i]->table.index_seq;
	}
	job_own_parts(partition, job->sources, n, job->id);
	job->reserved_bytes = bytes;
	shared->reserved_bytes += bytes;
	shared->counters.active_merges++;
	partition->jobs_active++;
	job->publish = (struct publish){ .partition = partition,
		.sources = job->sources,
		.sources_count = n,
		.id = partition_next_suffix(partition),
		.tree = bytes > shared->options.max_small_part_bytes ? TREE_BIG : TREE_SMALL };
	partition_refresh(partition);
	*out = job;
	return 0;
}

static void
release_merge(struct job *job, bool keep)
{
	const struct table_hooks *hooks = &job->partition->shared->env.hooks;

	merge_delete(job->merge, keep);
	job->merge = NULL;
	if (job->holds_deleted)
		hooks->deleted_release(hooks->context, job->deleted);
	job->holds_deleted = false;
	job->deleted = NULL;
}

/* The sources are idle again, or gone; the job no longer counts. */
static void
release_sources(struct job *job, bool published)
{
	struct partition *partition = job->partition;
	struct table_shared *shared = partition->shared;

	lock_take(&partition->lock);
	if (!published)
		job_own_parts(partition, job->sources, job->sources_count, 0);
	partition->jobs_active--;
	partition_refresh(partition);
	lock_release(&partition->lock);
	shared->reserved_bytes -= job->reserved_bytes;
	shared->counters.active_merges--;
	for (size_t i = 0; i < job->sources_count; i++)
		part_unref(job->sources[i]);
	job->sources_count = 0;
}

void
job_delete(struct job *job)
{
	struct mem *mem = job->partition->shared->env.mem;

	if (job->state != JOB_END) {
		bool committed = job->publish.committed;

		publish_abort(&job->publish);
		release_merge(job, committed);
		release_sources(job, false);
	}
	mem_free(mem, job->directory);
	mem_free(mem, job->sources);
	mem_free(mem, job);
}

/* -- The steps ---------------------------------------------------------------------------------------------------------- */

static uint32_t
next_generation(const struct job *job)
{
	uint32_t generation = 0;

	for (size_t i = 0; i < job->sources_count; i++)
		if (job->sources[i]->generation > generation)
			generation = job->sources[i]->generation;
	return generation + 1;
}

static int
start(struct job *job)
{
	struct table_shared *shared = job->partition->shared;
	const struct table_hooks *hooks = &shared->env.hooks;
	int64_t now = clock_now_ms(shared->env.clock);
	struct merge_options options = { .io = shared->env.io,
		.mem = shared->env.mem,
		.retention_deadline_ms = INT64_MIN };

	if (hooks->deleted_acquire != NULL) {
		TRY(hooks->deleted_acquire(hooks->context, &job->deleted));
		job->holds_deleted = true;
	}
	job->directory =
	    mem_printf(shared->env.mem, "%s/tmp/%016" PRIX64, job->partition->path[job->publish.tree], job->publish.id);
	if (job->directory == NULL)
		return ERR_MEMORY;
	if (shared->options.retention_ms > 0)
		options.retention_deadline_ms = now - shared->options.retention_ms;
	options.directory = job->directory;
	options.deleted = job->deleted;
	options.writer = (struct part_writer_options){ .layout = shared->options.layout,
		.index_level = merge_index_level(job->sources, job->sources_count),
		.dedup_interval_ms = shared->options.dedup_interval_ms,
		.dedup_keep = shared->options.dedup_keep,
		.generation = next_generation(job),
		.fan_in = (uint32_t)job->sources_count,
		.policy = "vm",
		.created_ms = now };
	TRY(merge_create(job->sources, job->sources_count, &options, &job->merge));
	job->state = JOB_MERGE;
	return 0;
}

static void
count_merge(struct job *job)
{
	struct table_counters *counters = &job->partition->shared->counters;
	const struct merge_counts *counts = merge_counts(job->merge);

	counters->bytes_written += counts->bytes_out;
	table_shared_learn_size(job->partition->shared, counts->rows_written, counts->bytes_out);
	counters->rows_deleted += counts->rows_deleted;
	counters->rows_deduplicated += counts->rows_deduplicated;
	if (job->kind == JOB_FLUSH) {
		counters->flushes++;
		counters->merges_mem++;
	} else if (job->publish.tree == TREE_BIG) {
		counters->merges_big++;
		counters->rows_merged_big += counts->rows_read;
	} else {
		counters->merges_small++;
		counters->rows_merged_small += counts->rows_read;
	}
}

static int
work(struct job *job, const struct budget *budget)
{
	bool done;

	TRY(merge_step(job->merge, budget, &done));
	if (!done)
		return 0;
	merge_header(job->merge, &job->publish.header);
	job->publish.header.suffix = job->publish.id;
	job->publish.busy_after = job->busy_after;
	count_merge(job);
	release_merge(job, job->publish.header.rows > 0);
	job->state = job->index_seq > 0 ? JOB_BARRIER : JOB_PUBLISH;
	return 0;
}

static bool
index_is_durable(const struct job *job)
{
	const struct table_hooks *hooks = &job->partition->shared->env.hooks;

	return hooks->index_durable_seq == NULL || hooks->index_durable_seq(hooks->context) >= job->index_seq;
}

static void
wait(struct job *job)
{
	job->wake_tick_ms = tick_add(clock_tick_ms(job->partition->shared->env.clock), BLOCKED_RETRY_MS);
}

static void
pass_barrier(struct job *job)
{
	const struct table_hooks *hooks = &job->partition->shared->env.hooks;

	if (index_is_durable(job)) {
		job->state = JOB_PUBLISH;
		return;
	}
	if (hooks->index_flush_request != NULL)
		hooks->index_flush_request(hooks->context);
	wait(job);
}

bool
job_ready(struct job *job, int64_t now_ms)
{
	if (job->state == JOB_BARRIER && index_is_durable(job))
		return true;
	return job->wake_tick_ms <= now_ms;
}

/*
 * Past the commit point there is no way back. A step that lacks memory, or a rename that lacks space, changed nothing and
 * can be tried again; after a failed fsync nothing can.
 */
static bool
can_wait(const struct job *job, int rc)
{
	const struct publish *publishing = &job->publish;

	if (!publishing->committed)
		return false;
	return rc == ERR_MEMORY ||
	    (rc == ERR_NOSPACE && (publishing->state == PUBLISH_MOVE || publishing->state == PUBLISH_SHOW));
}

static void
get_stuck(struct job *job, int rc)
{
	struct table_shared *shared = job->partition->shared;

	err_save(&job->stuck);
	partition_set_back(job->partition, false);
	if (rc == ERR_NOSPACE)
		table_shared_space_ran_out(shared);
	job->wake_tick_ms = tick_add(clock_tick_ms(shared->env.clock), SPACE_RECHECK_MS);
}

static int
publish(struct job *job)
{
	bool done = false, blocked = false;
	int rc = publish_step(&job->publish, &done, &blocked);

	job->stuck.code = 0;
	if (rc != 0 && !can_wait(job, rc))
		return rc;
	if (rc != 0)
		get_stuck(job, rc);
	else if (blocked)
		wait(job);
	if (done) {
		release_sources(job, true);
		job->state = JOB_END;
	}
	return 0;
}

/* The unfinished output. Once committed it must stay: the next open finishes what the transaction says. */
static void
discard_output(struct job *job)
{
	struct table_shared *shared = job->partition->shared;
	bool written = job->merge == NULL && job->state >= JOB_BARRIER;

	release_merge(job, job->publish.committed);
	if (written && !job->publish.committed && job->publish.header.rows > 0)
		trash_add(&shared->trash, mem_strdup(shared->env.mem, job->directory));
}

static void
fail(struct job *job, int rc)
{
	struct part *damaged = job->merge == NULL ? NULL : merge_failed_source(job->merge);
	struct err_saved saved;

	err_save(&saved);
	if (!job->publish.committed && rc == ERR_CORRUPTED && damaged != NULL)
		partition_mark_damaged(job->partition, damaged);
	else if (!job->publish.committed && (rc == ERR_NOSPACE || rc == ERR_MEMORY))
		partition_set_back(job->partition, true);
	else
		partition_set_read_only(job->partition);
	if (rc == ERR_NOSPACE)
		table_shared_space_ran_out(job->partition->shared);
	log_write(job->partition->shared->env.log, LOG_WARN, "merge of %zu parts in %s failed: %s", job->sources_count,
	    job->partition->name, saved.message);
	publish_abort(&job->publish);
	discard_output(job);
	release_sources(job, false);
	job->state = JOB_END;
	job->rc = err_restore(&saved);
}

void
job_step(struct job *job, const struct budget *budget)
{
	int rc = 0;

	job->wake_tick_ms = INT64_MIN;
	switch (job->state) {
	case JOB_START: rc = start(job); break;
	case JOB_MERGE: rc = work(job, budget); break;
	case JOB_BARRIER: pass_barrier(job); break;
	case JOB_PUBLISH: rc = publish(job); break;
	case JOB_END: break;
	}
	if (rc != 0)
		fail(job, rc);
}
