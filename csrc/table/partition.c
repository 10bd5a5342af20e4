/*
 * partition.c -- see partition.h.
 * floor: table     uses: partition.h publish.h     used by: table
 */
#include "table/partition.h"

#include "table/publish.h"

/* Rows converted by one step: 75 ns a row, if each is of another series, make 2.5 ms. */
enum { STEP_ROWS_MAX = 32768 };

/* -- Life --------------------------------------------------------------------------------------------------------- */

int
partition_create(struct table_shared *shared, int month, struct partition **out)
{
	struct mem *mem = shared->env.mem;
	struct partition *partition = mem_zalloc(mem, sizeof(*partition));

	if (partition == NULL)
		return ERR_MEMORY;
	partition->shared = shared;
	partition->month = month;
	month_name(month, partition->name);
	month_bounds(month, &partition->min_ms, &partition->max_ms);
	lock_init(&partition->lock);
	cond_init(&partition->still);
	partition->suffix = clock_now_ns(shared->env.clock);
	partition->flush_due_tick_ms = INT64_MAX;
	partition->flush_epoch = UINT64_MAX;
	partition->retry_tick_ms = INT64_MIN;
	partition->merge_retry_tick_ms[TREE_SMALL] = partition->merge_retry_tick_ms[TREE_BIG] = INT64_MIN;
	partition->convert_retry_tick_ms = INT64_MAX;
	partition->detach_retry_tick_ms = INT64_MIN;
	for (int tree = TREE_SMALL; tree <= TREE_BIG; tree++) {
		partition->path[tree] = mem_printf(mem, "%s/%s", shared->tree_path[tree], partition->name);
		partition->tail[tree] = mem_printf(mem, "%s/%s", tree == TREE_SMALL ? "small" : "big", partition->name);
	}
	partition->shards = mem_array(mem, shared->options.shards, sizeof(struct shard));
	if (partition->path[0] == NULL || partition->path[1] == NULL || partition->tail[0] == NULL ||
	    partition->tail[1] == NULL || partition->shards == NULL) {
		partition_delete(partition);
		return ERR_MEMORY;
	}
	for (; partition->shards_count < shared->options.shards; partition->shards_count++)
		shard_init(&partition->shards[partition->shards_count]);
	*out = partition;
	return 0;
}

void
partition_delete(struct partition *partition)
{
	struct mem *mem;

	if (partition == NULL)
		return;
	mem = partition->shared->env.mem;
	for (unsigned i = 0; i < partition->shards_count; i++)
		shard_destroy(&partition->shards[i]);
	while (partition->converting != NULL) {
		struct raw_rows *raw = partition->converting;

		partition->converting = raw->next;
		row_batch_unref(raw->batch);
		mem_free(mem, raw);
	}
	for (size_t i = 0; i < partition->slots_count; i++)
		part_unref(partition->slots[i].part);
	mem_free(mem, partition->slots);
	mem_free(mem, partition->shards);
	for (int tree = TREE_SMALL; tree <= TREE_BIG; tree++) {
		mem_free(mem, partition->path[tree]);
		mem_free(mem, partition->tail[tree]);
	}
	cond_destroy(&partition->still);
	lock_destroy(&partition->lock);
	mem_free(mem, partition);
}

void
partition_place(const struct partition *partition, struct txn_root roots[2], struct txn_place *place)
{
	for (int tree = TREE_SMALL; tree <= TREE_BIG; tree++)
		roots[tree] = (struct txn_root){ .path = partition->path[tree], .tail = partition->tail[tree] };
	*place = (struct txn_place){ .io = partition->shared->env.io,
		.mem = partition->shared->env.mem,
		.log = partition->shared->env.log,
		.roots = roots,
		.roots_count = 2 };
}

uint64_t
partition_next_suffix(struct partition *partition)
{
	return ++partition->suffix;
}

/* -- Troubles ------------------------------------------------------------------------------------------------------- */

int
partition_read_only_error(const struct partition *partition)
{
	return ERR(ERR_READONLY, "partition %s is read-only until the database is reopened: %s", partition->name,
	    partition->failure.message);
}

void
partition_set_read_only(struct partition *partition)
{
	struct err_saved saved;

	err_save(&saved);
	lock_take(&partition->lock);
	if (!partition->read_only) {
		partition->failure = saved;
		partition->read_only = true;
		partition->shared->counters.partitions_failed++;
		log_write(partition->shared->env.log, LOG_ERROR,
		    "partition %s is read-only until the database is reopened: %s", partition->name, saved.message);
	}
	partition_refresh(partition);
	lock_release(&partition->lock);
	err_restore(&saved);
}

void
partition_set_back(struct partition *partition, bool pause)
{
	struct table_shared *shared = partition->shared;

	lock_take(&partition->lock);
	err_save(&partition->setback);
	partition->setback_epoch = shared->flush_wanted;
	if (pause)
		partition->retry_tick_ms = tick_add(clock_tick_ms(shared->env.clock), SPACE_RECHECK_MS);
	lock_release(&partition->lock);
}

void
partition_mark_damaged(struct partition *partition, struct part *part)
{
	bool first;

	lock_take(&partition->lock);
	first = !part->table.damaged;
	part->table.damaged = true;
	partition->damaged += first;
	partition_refresh(partition);
	lock_release(&partition->lock);
	if (first)
		table_shared_report_damaged(partition->shared, partition->name, part->name, err_message());
}

/* -- Parts ------------------------------------------------------------------------------------------------------------ */

void
partition_commit_end(struct partition *partition)
{
	assert(partition->committing > 0);
	if (--partition->committing == 0)
		cond_broadcast(&partition->still);
}

int
partition_reserve_slot(struct partition *partition)
{
	size_t room = partition->slots_room == 0 ? 16 : partition->slots_room * 2;
	struct part_slot *slots;

	if (partition->slots_count < partition->slots_room)
		return 0;
	slots = mem_realloc(partition->shared->env.mem, partition->slots, room * sizeof(*slots));
	if (slots == NULL)
		return ERR_MEMORY;
	partition->slots = slots;
	partition->slots_room = room;
	return 0;
}

void
partition_refresh(struct partition *partition)
{
	int64_t due = INT64_MAX;
	uint64_t epoch = UINT64_MAX;
	uint32_t small = 0;

	for (size_t i = 0; i < partition->slots_count; i++) {
		const struct part_slot *slot = &partition->slots[i];

		small += slot->part->tier != PART_TIER_BIG;
		if (slot->part->tier != PART_TIER_MEM || slot->part->table.busy != 0)
			continue;
		if (slot->part->table.durable_by_tick_ms < due)
			due = slot->part->table.durable_by_tick_ms;
		if (slot->epoch < epoch)
			epoch = slot->epoch;
	}
	if (partition->read_only || partition->closed) {
		due = INT64_MAX;
		epoch = UINT64_MAX;
	}
	partition->flush_due_tick_ms = due;
	partition->flush_epoch = epoch;
	partition->small_parts = small;
	partition->merge_wanted[TREE_SMALL] = partition->merge_wanted[TREE_BIG] =
	    !partition->read_only && !partition->closed;
}

static uint64_t
raw_epoch(const struct partition *partition)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < partition->shards_count; i++)
		if (partition->shards[i].epoch < least)
			least = partition->shards[i].epoch;
	for (struct raw_rows *raw = partition->converting; raw != NULL; raw = raw->next)
		if (raw->epoch < least)
			least = raw->epoch;
	return least;
}

uint64_t
partition_raw_epoch(struct partition *partition)
{
	uint64_t least;

	lock_take(&partition->lock);
	least = raw_epoch(partition);
	lock_release(&partition->lock);
	return least;
}

uint64_t
partition_undurable_epoch(struct partition *partition)
{
	uint64_t least;

	lock_take(&partition->lock);
	least = raw_epoch(partition);
	for (size_t i = 0; i < partition->slots_count; i++)
		if (partition->slots[i].part->tier == PART_TIER_MEM && partition->slots[i].epoch < least)
			least = partition->slots[i].epoch;
	lock_release(&partition->lock);
	return least;
}

/* -- Raw rows --------------------------------------------------------------------------------------------------------- */

/* Moves the rows of a shard into the list, where views go on seeing them. *out NULL: nothing to move. */
static int
detach(struct partition *partition, struct shard *shard, bool only_full, struct raw_rows **out)
{
	struct raw_rows *raw = mem_zalloc(partition->shared->env.mem, sizeof(*raw));

	*out = NULL;
	if (raw == NULL)
		return ERR_MEMORY;
	lock_take(&partition->lock);
	if (shard_detach(shard, partition->shared, only_full, raw)) {
		raw->busy = true;
		raw->next = partition->converting;
		partition->converting = raw;
		*out = raw;
	}
	lock_release(&partition->lock);
	if (*out == NULL)
		mem_free(partition->shared->env.mem, raw);
	return 0;
}

/* When leftovers may be tried again; the lock is held. */
static void
refresh_convert_retry(struct partition *partition)
{
	int64_t retry = INT64_MAX;

	for (struct raw_rows *raw = partition->converting; raw != NULL; raw = raw->next)
		if (!raw->busy && raw->retry_tick_ms < retry)
			retry = raw->retry_tick_ms;
	partition->convert_retry_tick_ms = retry;
}

/* Rows of the list become a part in its place. On ERR_MEMORY they stay and are tried again. */
static int
convert(struct partition *partition, struct raw_rows *raw)
{
	struct table_shared *shared = partition->shared;
	const struct table_hooks *hooks = &shared->env.hooks;
	struct part *part = NULL;
	int rc;

	rc = mem_part_create(shared->env.mem, shared->options.layout, raw->batch->rows + raw->first, raw->count,
	    shared->env.tsids, shared->env.tsid_get, &part);
	if (rc == 0) {
		part->created_ms = clock_now_ms(shared->env.clock);
		part->table.durable_by_tick_ms = raw->durable_by_tick_ms;
		/* every series of these rows was registered before the rows came */
		part->table.index_seq = hooks->index_last_seq == NULL ? 0 : hooks->index_last_seq(hooks->context);
		rc = publish_raw_rows(partition, raw, part);
	}
	if (rc == 0)
		return 0;
	part_unref(part);
	partition_set_back(partition, false); /* a flush of parts may be what makes room */
	lock_take(&partition->lock);
	raw->busy = false;
	raw->retry_tick_ms = tick_add(clock_tick_ms(shared->env.clock), SPACE_RECHECK_MS);
	refresh_convert_retry(partition);
	lock_release(&partition->lock);
	return rc;
}

int
partition_add(struct partition *partition, const struct row *rows, size_t n, size_t *accepted, bool *overflowed)
{
	struct table_shared *shared = partition->shared;
	struct shard *shard =
	    &partition->shards[partition->shards_count == 1 ? 0 : partition->shard_turn++ % partition->shards_count];

	*accepted = 0;
	*overflowed = false;
	if (UNLIKELY(partition->read_only))
		return partition_read_only_error(partition);
	while (*accepted < n) {
		bool started, closed;
		size_t taken;

		TRY(shard_append(shard, shared, rows + *accepted, n - *accepted, &taken, &started, &closed));
		if (closed)
			return 0;
		*accepted += taken;
		if (started) {
			table_shared_check_space(shared); /* about once a second and shard */
			table_shared_wake(shared);
		}
		if (taken == 0) {
			struct raw_rows *raw;

			/* The writer converts what it found full. Failing that the rows wait in the list: they were accepted. */
			TRY(detach(partition, shard, true, &raw));
			if (raw != NULL) {
				*overflowed = true;
				TRY(convert(partition, raw));
			}
		}
	}
	return 0;
}

/* Rows of this epoch and before must become parts now. */
static uint64_t
convert_wanted(const struct partition *partition)
{
	uint64_t flush = partition->shared->flush_wanted, own = partition->convert_wanted;

	return flush > own ? flush : own;
}

void
partition_retry_now(struct partition *partition)
{
	lock_take(&partition->lock);
	for (struct raw_rows *raw = partition->converting; raw != NULL; raw = raw->next)
		raw->retry_tick_ms = INT64_MIN;
	refresh_convert_retry(partition);
	partition->retry_tick_ms = partition->detach_retry_tick_ms = INT64_MIN;
	lock_release(&partition->lock);
}

int64_t
partition_raw_due(const struct partition *partition, int64_t now_ms)
{
	int64_t due = INT64_MAX, retry = partition->detach_retry_tick_ms, leftovers = partition->convert_retry_tick_ms;
	uint64_t wanted = convert_wanted(partition);

	for (unsigned i = 0; i < partition->shards_count; i++) {
		int64_t one = partition->shards[i].epoch <= wanted ? now_ms : partition->shards[i].due_tick_ms;

		if (one < due)
			due = one;
	}
	if (due < retry)
		due = retry;
	return due < leftovers ? due : leftovers;
}

/* Leaves what is more than one step should convert in the list, as rows of their own. */
static void
split(struct partition *partition, struct raw_rows *raw)
{
	struct raw_rows *rest =
	    raw->count > STEP_ROWS_MAX ? mem_zalloc(partition->shared->env.mem, sizeof(*rest)) : NULL;

	if (rest == NULL)
		return; /* without memory one step is longer, that is all */
	lock_take(&partition->lock);
	*rest = *raw;
	row_batch_ref(rest->batch);
	rest->first += STEP_ROWS_MAX;
	rest->count -= STEP_ROWS_MAX;
	rest->busy = false;
	rest->retry_tick_ms = INT64_MIN;
	rest->next = partition->converting;
	partition->converting = rest;
	raw->count = STEP_ROWS_MAX;
	refresh_convert_retry(partition);
	lock_release(&partition->lock);
}

int
partition_convert_due(struct partition *partition, int64_t now_ms, bool *did)
{
	struct raw_rows *raw = NULL;

	*did = false;
	lock_take(&partition->lock);
	for (struct raw_rows *at = partition->converting; at != NULL && raw == NULL; at = at->next)
		if (!at->busy && at->retry_tick_ms <= now_ms)
			raw = at;
	if (raw != NULL) {
		raw->busy = true;
		refresh_convert_retry(partition);
	}
	lock_release(&partition->lock);
	for (unsigned i = 0; i < partition->shards_count && raw == NULL; i++) {
		struct shard *shard = &partition->shards[i];

		if (shard->due_tick_ms > now_ms && shard->epoch > convert_wanted(partition))
			continue;
		if (detach(partition, shard, false, &raw) != 0) {
			/* A flush of other parts may make room, and comes after conversions: they must pause. */
			partition_set_back(partition, false);
			partition->detach_retry_tick_ms =
			    tick_add(clock_tick_ms(partition->shared->env.clock), SPACE_RECHECK_MS);
			return ERR_MEMORY;
		}
	}
	if (raw == NULL)
		return 0;
	*did = true;
	split(partition, raw);
	return convert(partition, raw);
}
