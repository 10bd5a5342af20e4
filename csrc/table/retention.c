/*
 * retention.c -- upkeep by the calendar: stale parts, months out of retention, final dedup (part format 12.3, 13).
 * floor: table     uses: table_private.h publish.h     used by: table_steps
 *
 * Dropping a month, one operation a step. "Gone": the next open does not see it.
 *
 *   DRAIN        closed for rows and merges; the jobs that run end; then it leaves the list
 *   MOVE_SMALL   rename small/<month> -> <side>/trash/small_<month>_<n>
 *   SYNC_SMALL   fsync small/, fsync trash/                              the small half is gone
 *   MOVE_BIG     rename big/<month>   -> <side>/trash/big_<month>_<n>
 *   SYNC_BIG     fsync big/, fsync trash/                                gone
 *                trash deletes both, a few files a step
 *
 * After a crash in between, the other half is a month out of retention again, and goes the same way. Whole months are
 * renamed, out of data/, because a stray name in there keeps the peer from starting.
 */
#include "table/table_private.h"

#include <inttypes.h>

enum { STALE_EVERY_MS = 7 * 60 * 1000, DROP_EVERY_MS = 60 * 1000, DEDUP_EVERY_MS = 60 * 60 * 1000 };

void
table_upkeep_init(struct table *table)
{
	const struct table_options *options = &table->shared.options;
	int64_t now = clock_tick_ms(table->shared.env.clock);

	table->stale_tick_ms = options->retention_ms > 0 ? tick_add(now, STALE_EVERY_MS) : INT64_MAX;
	table->drop_tick_ms = options->retention_ms > 0 ? tick_add(now, DROP_EVERY_MS) : INT64_MAX;
	table->dedup_tick_ms = options->dedup_interval_ms > 0 ? tick_add(now, DEDUP_EVERY_MS) : INT64_MAX;
	table->drop_retry_tick_ms = INT64_MIN;
}

int64_t
table_upkeep_due(const struct table *table)
{
	int64_t due = table->stale_tick_ms;

	if (table->dropping != NULL) {
		const struct partition *partition = table->dropping;

		/* while its jobs end there is nothing to do here */
		if ((table->drop_state != DROP_DRAIN ||
			(partition->jobs_active == 0 && partition->committing == 0 && partition->snapshots == 0)) &&
		    table->drop_retry_tick_ms < due)
			due = table->drop_retry_tick_ms;
	} else if (table->drop_tick_ms < due) {
		due = table->drop_tick_ms;
	}
	return table->dedup_tick_ms < due ? table->dedup_tick_ms : due;
}

/* -- Stale parts ------------------------------------------------------------------------------------------------------- */

/* A part that holds nothing inside the retention and that nobody merges; it belongs to `owner` then. */
static struct part *
find_stale(struct partition *partition, int64_t deadline_ms, uint64_t owner)
{
	struct part *stale = NULL;

	lock_take(&partition->lock);
	for (size_t i = 0;
	     i < partition->slots_count && stale == NULL && !partition->read_only && partition->snapshots == 0; i++) {
		struct part *part = partition->slots[i].part;

		if (part->table.busy == 0 && part->header.max_timestamp_ms < deadline_ms)
			stale = part;
	}
	if (stale != NULL) {
		job_own_parts(partition, &stale, 1, owner);
		partition_refresh(partition);
	}
	lock_release(&partition->lock);
	return stale;
}

/* false: not now, the next round tries again. */
static bool
remove_stale(struct table *table, struct partition *partition, struct part *part)
{
	uint64_t bytes = part->bytes;
	bool blocked;
	int rc = publish_remove(partition, part, &blocked);

	if (rc == 0 && !blocked) {
		table->shared.counters.parts_dropped++;
		log_write(table->shared.env.log, LOG_INFO,
		    "%s: a part of %" PRIu64 " bytes was out of retention and is gone", partition->name, bytes);
		return true;
	}
	if (rc != 0 && rc != ERR_MEMORY && rc != ERR_NOSPACE)
		partition_set_read_only(partition);
	lock_take(&partition->lock);
	job_own_parts(partition, &part, 1, 0);
	partition_refresh(partition);
	lock_release(&partition->lock);
	return false;
}

/* One part a step; the round is over when no partition has one. */
static int
step_stale(struct table *table, bool *did)
{
	int64_t deadline = clock_now_ms(table->shared.env.clock) - table->shared.options.retention_ms;
	struct partition **partitions;
	bool over = true;
	size_t count;

	TRY(table_list(table, &partitions, &count));
	for (size_t i = 0; i < count && !*did; i++) {
		struct part *part = find_stale(partitions[i], deadline, ++table->shared.job_ids);

		if (part != NULL) {
			*did = true;
			over = !remove_stale(table, partitions[i], part);
		}
	}
	mem_free(table->shared.env.mem, partitions);
	if (over)
		table->stale_tick_ms = tick_add(clock_tick_ms(table->shared.env.clock), STALE_EVERY_MS);
	return 0;
}

/* -- Months out of retention --------------------------------------------------------------------------------------------- */

static void
close_to_rows(struct partition *partition)
{
	for (unsigned i = 0; i < partition->shards_count; i++) {
		lock_take(&partition->shards[i].lock);
		partition->shards[i].closed = true;
		lock_release(&partition->shards[i].lock);
	}
	lock_take(&partition->lock);
	partition->closed = true;
	partition_refresh(partition);
	lock_release(&partition->lock);
}

/* Finds a month to drop; *did false: there is none until the next look. */
static void
start_drop(struct table *table, bool *did)
{
	int64_t deadline = clock_now_ms(table->shared.env.clock) - table->shared.options.retention_ms;
	struct partition *partition = NULL;

	lock_take(&table->lock);
	if (table->partitions_count > 0 && table->partitions[0]->max_ms < deadline)
		partition = table->partitions[0];
	if (partition != NULL) {
		table->dropping = partition;
		table->drop_state = DROP_DRAIN;
		table->drop_retry_tick_ms = INT64_MIN;
	} else {
		table->drop_tick_ms = tick_add(clock_tick_ms(table->shared.env.clock), DROP_EVERY_MS);
	}
	lock_release(&table->lock);
	if (partition != NULL)
		close_to_rows(partition);
	*did = partition != NULL;
}

/* Out of the list, its rows and parts let go; views keep the parts they hold. */
static int
detach_dropped(struct table *table, bool *did)
{
	struct partition *partition = table->dropping;
	struct part_slot *slots = NULL;
	struct raw_rows *raw = NULL;
	size_t count = 0;
	bool idle;

	lock_take(&table->lock);
	if (table->dropped_count == table->dropped_room) {
		size_t room = table->dropped_room == 0 ? 16 : table->dropped_room * 2;
		struct partition **grown =
		    mem_realloc(table->shared.env.mem, table->dropped, room * sizeof(struct partition *));

		if (grown == NULL) {
			lock_release(&table->lock);
			return ERR_MEMORY;
		}
		table->dropped = grown;
		table->dropped_room = room;
	}
	lock_take(&partition->lock);
	idle = partition->jobs_active == 0 && partition->committing == 0 && partition->snapshots == 0 &&
	    !partition->forced;
	for (struct raw_rows *at = partition->converting; at != NULL; at = at->next)
		idle = idle && !at->busy;
	if (idle) {
		slots = partition->slots;
		count = partition->slots_count;
		raw = partition->converting;
		partition->slots = NULL;
		partition->slots_count = partition->slots_room = 0;
		partition->converting = NULL;
		partition->convert_retry_tick_ms = INT64_MAX;
		for (unsigned i = 0; i < partition->shards_count; i++) {
			struct raw_rows rest;

			if (shard_detach(&partition->shards[i], partition->shared, false, &rest))
				row_batch_unref(rest.batch);
		}
		partition_refresh(partition);
		table->by_month[partition->month] = NULL;
		table->recent = NULL;
		table->partitions_count--;
		memmove(table->partitions, table->partitions + 1, table->partitions_count * sizeof(struct partition *));
		table->dropped[table->dropped_count++] = partition;
		table->drop_state = DROP_MOVE_SMALL;
	}
	lock_release(&partition->lock);
	lock_release(&table->lock);
	*did = idle;
	for (size_t i = 0; i < count; i++) {
		if (slots[i].part->tier == PART_TIER_MEM)
			table->shared.memory_idle_bytes -= slots[i].part->bytes;
		part_unref(slots[i].part);
	}
	mem_free(table->shared.env.mem, slots);
	while (raw != NULL) {
		struct raw_rows *next = raw->next;

		row_batch_unref(raw->batch);
		mem_free(table->shared.env.mem, raw);
		raw = next;
	}
	return 0;
}

static int
move_to_trash(struct table *table, const struct partition *partition, enum tree tree)
{
	const struct table_env *env = &table->shared.env;
	char *directory = mem_printf(env->mem, "%s/trash", env->side_path);
	char *target = mem_printf(env->mem, "%s/trash/%s_%s_%016" PRIX64, env->side_path,
	    tree == TREE_SMALL ? "small" : "big", partition->name, clock_now_ns(env->clock));
	int rc = directory == NULL || target == NULL ? ERR_MEMORY : io_mkdir_all(env->io, directory);

	if (rc == 0)
		rc = io_rename(env->io, partition->path[tree], target);
	if (rc == 0)
		table->drop_moved = target;
	else
		mem_free(env->mem, target);
	mem_free(env->mem, directory);
	return rc;
}

static int
sync_moved(struct table *table, enum tree tree)
{
	const struct table_env *env = &table->shared.env;
	char *directory = mem_printf(env->mem, "%s/trash", env->side_path);
	int rc = io_fsync_dir(env->io, table->shared.tree_path[tree]);

	if (rc == 0)
		rc = directory == NULL ? ERR_MEMORY : io_fsync_dir(env->io, directory);
	mem_free(env->mem, directory);
	/* Not a moment earlier: were the rename lost and the deletions kept, the next open would find half a month. */
	if (rc == 0)
		trash_add(&table->shared.trash, table->drop_moved);
	else
		mem_free(env->mem, table->drop_moved);
	table->drop_moved = NULL;
	return rc;
}

static int
continue_drop(struct table *table, bool *did)
{
	struct partition *partition = table->dropping;
	int rc = 0;

	*did = true;
	switch (table->drop_state) {
	case DROP_IDLE: break;
	case DROP_DRAIN: return detach_dropped(table, did);
	case DROP_MOVE_SMALL: rc = move_to_trash(table, partition, TREE_SMALL); break;
	case DROP_SYNC_SMALL: rc = sync_moved(table, TREE_SMALL); break;
	case DROP_MOVE_BIG: rc = move_to_trash(table, partition, TREE_BIG); break;
	case DROP_SYNC_BIG: rc = sync_moved(table, TREE_BIG); break;
	}
	if ((rc == ERR_NOSPACE || rc == ERR_MEMORY) &&
	    (table->drop_state == DROP_MOVE_SMALL || table->drop_state == DROP_MOVE_BIG)) {
		/* Nothing was moved. It must not end here: on a full disk this month may be the space that is missing. */
		table->drop_retry_tick_ms = tick_add(clock_tick_ms(table->shared.env.clock), SPACE_RECHECK_MS);
		*did = false;
		return 0;
	}
	lock_take(&table->lock);
	if (rc == 0 && table->drop_state != DROP_SYNC_BIG) {
		table->drop_state++;
	} else {
		table->drop_state = DROP_IDLE;
		table->dropping = NULL;
	}
	lock_release(&table->lock);
	if (rc != 0) /* out of sight all the same: the next open finds what is left of it, and drops it */
		log_write(table->shared.env.log, LOG_ERROR,
		    "month %s is out of retention but stays on disk until the next open: %s", partition->name,
		    err_message());
	else if (table->dropping == NULL) {
		table->shared.counters.partitions_dropped++;
		log_write(table->shared.env.log, LOG_INFO, "month %s was out of retention and is gone",
		    partition->name);
	}
	return 0;
}

/* -- Final dedup -------------------------------------------------------------------------------------------------------- */

static bool
needs_dedup(struct partition *partition, int64_t interval_ms)
{
	int64_t least = INT64_MAX;

	lock_take(&partition->lock);
	for (size_t i = 0; i < partition->slots_count; i++)
		if (partition->slots[i].part->tier != PART_TIER_MEM && !partition->slots[i].part->table.damaged &&
		    partition->slots[i].part->min_dedup_interval_ms < least)
			least = partition->slots[i].part->min_dedup_interval_ms; /* a damaged one is never merged */
	lock_release(&partition->lock);
	return least < interval_ms && !partition->read_only;
}

/* Months before the current one whose parts were written with a smaller interval are merged into one part each. */
static int
step_dedup(struct table *table)
{
	int current = month_of_ms(clock_now_ms(table->shared.env.clock));
	uint64_t ticket;
	int rc = 0;

	lock_take(&table->lock);
	table->dedup_tick_ms = tick_add(clock_tick_ms(table->shared.env.clock), DEDUP_EVERY_MS);
	for (size_t i = 0; i < table->partitions_count && rc == 0; i++) {
		struct partition *partition = table->partitions[i];

		if (partition->month != current && needs_dedup(partition, table->shared.options.dedup_interval_ms))
			rc = force_request(&table->forces, &table->shared, &partition, 1, &ticket);
	}
	lock_release(&table->lock);
	return rc;
}

int
table_upkeep_step(struct table *table, bool *did)
{
	int64_t now = clock_tick_ms(table->shared.env.clock);

	*did = false;
	if (table->dropping != NULL && table->drop_retry_tick_ms <= now)
		TRY(continue_drop(table, did));
	else if (table->dropping == NULL && table->drop_tick_ms <= now)
		start_drop(table, did);
	if (*did)
		return 0;
	if (table->stale_tick_ms <= now)
		TRY(step_stale(table, did));
	if (!*did && table->dedup_tick_ms <= now) {
		*did = true;
		return step_dedup(table);
	}
	return 0;
}
