/*
 * table_shared.c -- see table_shared.h.
 * floor: table     uses: table_shared.h shard.h merge_plan.h machine.h     used by: table
 */
#include "table/table_shared.h"

#include <stdatomic.h>

#include "base/err.h"
#include "base/machine.h"
#include "merge/merge_plan.h"
#include "table/shard.h"

enum {
	SHARD_ROWS_MIN = 10000,          /* part format 14.1 */
	SHARD_ROWS_MAX = 65536,          /* one conversion of so many rows stays under 2 ms */
	FILE_BYTES_PER_1024_ROWS = 2048, /* before anything was written */
	LEARN_ROWS_MIN = 1000,
	SHARD_MEMORY_SHARE = 256 /* all shards of a partition together may take this fraction of the memory */
};
#define SMALL_PART_BYTES_MIN UINT64_C(10000000) /* part format 14.3 */

int64_t
tick_add(int64_t tick_ms, int64_t add_ms)
{
	int64_t sum;

	if (__builtin_add_overflow(tick_ms, add_ms, &sum))
		return add_ms > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

uint64_t
table_shared_plan_bytes(const struct table_shared *shared, const struct part *part)
{
	return part->tier == PART_TIER_MEM ? part->header.rows * shared->file_bytes_per_1024_rows / 1024 + 1
					   : part->bytes;
}

void
table_shared_learn_size(struct table_shared *shared, uint64_t rows, uint64_t bytes)
{
	if (rows < LEARN_ROWS_MIN)
		return; /* of few rows the headers are most of it */
	shared->file_bytes_per_1024_rows = (shared->file_bytes_per_1024_rows * 3 + bytes * 1024 / rows) / 4;
}

/* Fills in what the caller left to us (part format 14). */
static void
options_resolve(struct table_options *options, uint64_t memory_limit_bytes)
{
	uint64_t machine_bytes = machine_memory_bytes();
	uint64_t memory_bytes = memory_limit_bytes > 0 ? memory_limit_bytes : machine_bytes / 4;
	uint64_t rows;

	if (options->shards == 0)
		options->shards = (thread_cpus() + 7) / 8;
	if (options->shard_rows == 0) {
		rows = memory_bytes / options->shards / SHARD_MEMORY_SHARE / sizeof(struct row);
		options->shard_rows = rows < SHARD_ROWS_MIN ? SHARD_ROWS_MIN
		    : rows > SHARD_ROWS_MAX                 ? SHARD_ROWS_MAX
							    : (uint32_t)rows;
	}
	if (options->merge_fan < 2)
		options->merge_fan = MERGE_FAN_DEFAULT;
	if (options->merge_fan > MERGE_PLAN_PARTS_MAX)
		options->merge_fan = MERGE_PLAN_PARTS_MAX;
	if (options->merge_workers == 0)
		options->merge_workers = (thread_cpus() + 1) / 2;
	if (options->max_small_part_bytes == 0) {
		options->max_small_part_bytes =
		    machine_bytes * 2 / 5 / 15; /* the 40 % that the peer leaves to the page cache */
		if (options->max_small_part_bytes < SMALL_PART_BYTES_MIN)
			options->max_small_part_bytes = SMALL_PART_BYTES_MIN;
	}
	if (options->mem_parts_bytes_max == 0)
		options->mem_parts_bytes_max = memory_bytes / 8;
}

int
table_shared_init(struct table_shared *shared, const struct table_env *env, const struct table_options *options)
{
	*shared = (struct table_shared){ .env = *env, .options = *options };
	lock_init(&shared->lock);
	buf_init(&shared->damaged_names, env->mem);
	trash_init(&shared->trash, env->io, env->mem, env->log);
	options_resolve(&shared->options, env->mem->limit_bytes);
	shared->epoch = 1;
	shared->file_bytes_per_1024_rows = FILE_BYTES_PER_1024_ROWS;
	shared->space_checked_tick_ms = INT64_MIN;
	shared->free_read_tick_ms[TREE_SMALL] = shared->free_read_tick_ms[TREE_BIG] = INT64_MIN;
	shared->env.data_path = mem_strdup(env->mem, env->data_path);
	shared->env.side_path = mem_strdup(env->mem, env->side_path);
	shared->tree_path[TREE_SMALL] = mem_printf(env->mem, "%s/small", env->data_path);
	shared->tree_path[TREE_BIG] = mem_printf(env->mem, "%s/big", env->data_path);
	if (shared->env.data_path == NULL || shared->env.side_path == NULL || shared->tree_path[TREE_SMALL] == NULL ||
	    shared->tree_path[TREE_BIG] == NULL)
		return ERR_MEMORY;
	return 0;
}

void
table_shared_free(struct table_shared *shared)
{
	row_batch_free_spares(shared);
	buf_free(&shared->damaged_names);
	trash_free(&shared->trash);
	mem_free(shared->env.mem, shared->tree_path[TREE_SMALL]);
	mem_free(shared->env.mem, shared->tree_path[TREE_BIG]);
	mem_free(shared->env.mem, (char *)shared->env.data_path);
	mem_free(shared->env.mem, (char *)shared->env.side_path);
	lock_destroy(&shared->lock);
}

/* -- Disk space ------------------------------------------------------------------------------------------------------- */

static int
space_read(struct table_shared *shared, enum tree tree, int64_t max_age_ms, uint64_t *bytes)
{
	int64_t now = clock_tick_ms(shared->env.clock);
	int rc = 0;

	lock_take(&shared->lock);
	if (shared->free_read_tick_ms[tree] == INT64_MIN || now - shared->free_read_tick_ms[tree] >= max_age_ms) {
		rc = io_free_space(shared->env.io, shared->tree_path[tree], &shared->free_bytes[tree]);
		if (rc == 0)
			shared->free_read_tick_ms[tree] = now;
	}
	*bytes = shared->free_bytes[tree];
	lock_release(&shared->lock);
	return rc;
}

int
table_shared_space(struct table_shared *shared, enum tree tree, uint64_t *bytes)
{
	uint64_t taken = shared->reserved_bytes + shared->options.min_free_disk_bytes;

	TRY(space_read(shared, tree, FREE_SPACE_CACHE_MS, bytes));
	*bytes = *bytes > taken ? *bytes - taken : 0;
	return 0;
}

void
table_shared_check_space(struct table_shared *shared)
{
	int64_t now = clock_tick_ms(shared->env.clock), last = shared->space_checked_tick_ms;
	uint64_t bytes;
	bool low;

	if (last != INT64_MIN && now - last < SPACE_RECHECK_MS)
		return;
	if (!atomic_compare_exchange_strong(&shared->space_checked_tick_ms, &last, now))
		return; /* another thread looks */
	if (space_read(shared, TREE_SMALL, SPACE_RECHECK_MS, &bytes) != 0)
		return; /* what cannot be read does not limit */
	low = bytes < shared->options.min_free_disk_bytes;
	if (low != shared->no_space)
		log_write(shared->env.log, low ? LOG_WARN : LOG_INFO,
		    low ? "%s: only %llu bytes free; new rows are refused until there are more"
			: "%s: %llu bytes free; rows are accepted again",
		    shared->env.data_path, (unsigned long long)bytes);
	shared->no_space = low;
}

void
table_shared_space_ran_out(struct table_shared *shared)
{
	if (!shared->no_space)
		log_write(shared->env.log, LOG_WARN, "%s: the disk is full; new rows are refused until there is space",
		    shared->env.data_path);
	shared->space_checked_tick_ms = clock_tick_ms(shared->env.clock);
	shared->no_space = true;
}

/* -- Messages ---------------------------------------------------------------------------------------------------------- */

void
table_shared_report_damaged(struct table_shared *shared, const char *month, const char *name, const char *why)
{
	log_write(shared->env.log, LOG_ERROR, "part %s/%s is damaged and left out: %s", month, name, why);
	shared->counters.parts_damaged++;
	lock_take(&shared->lock);
	if (buf_printf(&shared->damaged_names, "%s/%s\n", month, name) != 0)
		log_write(shared->env.log, LOG_WARN, "no memory to keep the name of a damaged part");
	lock_release(&shared->lock);
}

void
table_shared_wake(const struct table_shared *shared)
{
	if (shared->env.hooks.wake != NULL)
		shared->env.hooks.wake(shared->env.hooks.context);
}
