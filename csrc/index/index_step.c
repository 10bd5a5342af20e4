/*
 * index_step.c -- background work: sealing when it is due, rotation, the tables' own steps; flush, snapshot, statistics.
 * floor: index     uses: index_private.h     used by: storage
 */
#include "index/index_private.h"

/* -- Holding both generations ------------------------------------------------------------------------------------------- */

struct generation_pair {
	struct generation *at[2]; /* current, previous */
};

static struct generation_pair
hold_pair(struct index *index)
{
	struct generation_pair pair;

	lock_take(&index->lock);
	pair.at[0] = generation_hold(index->current);
	pair.at[1] = generation_hold(index->previous);
	lock_release(&index->lock);
	return pair;
}

static void
release_pair(struct generation_pair *pair)
{
	generation_release(pair->at[0]);
	generation_release(pair->at[1]);
}

/* -- Steps ---------------------------------------------------------------------------------------------------------------- */

/* Seals when it is due; *did tells. */
static int
seal_due(struct index *index, bool *did)
{
	int rc = 0;

	lock_take(&index->lock);
	if (index->staging_due_tick_ms <= clock_tick_ms(index->env.clock)) {
		*did = true;
		rc = index_seal_locked(index);
		/* A seal that failed is tried again, but not in a loop without pause. */
		if (rc != 0)
			index->staging_due_tick_ms = clock_tick_ms(index->env.clock) + MS_PER_SECOND;
	}
	lock_release(&index->lock);
	return rc;
}

int
index_step(struct index *index, const struct budget *budget, bool *did)
{
	struct generation_pair pair;
	bool rotation_due;
	unsigned first;
	int rc = 0;

	*did = false;
	TRY(seal_due(index, did));
	if (*did)
		return 0;
	lock_take(&index->lock);
	rotation_due = clock_now_ms(index->env.clock) >= index->rotate_at_ms;
	lock_release(&index->lock);
	if (rotation_due && !index->env.read_only) {
		*did = true;
		return index_rotate(index);
	}
	pair = hold_pair(index);
	first = index->table_turn++ & 1;
	for (unsigned i = 0; i < 2 && rc == 0 && !*did; i++) {
		struct generation *generation = pair.at[first ^ i];

		if (generation != NULL)
			rc = item_table_step(generation->table, budget, did);
		/* What is registered from now on could not be kept. */
		if (rc != 0 && generation_is_read_only(generation)) {
			lock_take(&index->lock);
			index->failed = true;
			lock_release(&index->lock);
		}
	}
	release_pair(&pair);
	return rc;
}

int64_t
index_next_tick_ms(struct index *index)
{
	struct generation_pair pair = hold_pair(index);
	int64_t next, rotate_at_ms;

	lock_take(&index->lock);
	next = index->staging_due_tick_ms;
	rotate_at_ms = index->rotate_at_ms;
	lock_release(&index->lock);
	if (rotate_at_ms != INT64_MAX) {
		int64_t wait_ms = rotate_at_ms - clock_now_ms(index->env.clock);
		int64_t tick = clock_tick_ms(index->env.clock) + (wait_ms > 0 ? wait_ms : 0);

		next = tick < next ? tick : next;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (pair.at[i] != NULL) {
			int64_t tick = item_table_next_tick_ms(pair.at[i]->table);

			next = tick < next ? tick : next;
		}
	}
	release_pair(&pair);
	return next;
}

void
index_flush_request(struct index *index)
{
	struct generation_pair pair = hold_pair(index);

	lock_take(&index->lock);
	if (!staging_is_empty(&index->staging)) {
		index->staging_due_tick_ms = INT64_MIN;
		index->flush_wanted = true;
	}
	lock_release(&index->lock);
	for (unsigned i = 0; i < 2; i++) {
		if (pair.at[i] != NULL)
			item_table_flush_request(pair.at[i]->table);
	}
	release_pair(&pair);
}

void
index_retry(struct index *index)
{
	struct generation_pair pair = hold_pair(index);

	for (unsigned i = 0; i < 2; i++) {
		if (pair.at[i] != NULL)
			item_table_retry(pair.at[i]->table);
	}
	release_pair(&pair);
}

void
index_force_merge(struct index *index)
{
	struct generation_pair pair = hold_pair(index);

	for (unsigned i = 0; i < 2; i++) {
		if (pair.at[i] != NULL)
			item_table_force_merge(pair.at[i]->table);
	}
	release_pair(&pair);
}

bool
index_force_merging(struct index *index)
{
	struct generation_pair pair = hold_pair(index);
	bool merging = false;

	for (unsigned i = 0; i < 2; i++)
		merging |= pair.at[i] != NULL && item_table_force_merging(pair.at[i]->table);
	release_pair(&pair);
	return merging;
}

/* -- State ---------------------------------------------------------------------------------------------------------------- */

void
index_stats(struct index *index, struct index_stats *out)
{
	struct generation_pair pair = hold_pair(index);

	*out = (struct index_stats){ .series_created = 0 };
	lock_take(&index->lock);
	out->series_created = index->series_created;
	out->dates_registered = index->dates_registered;
	out->deleted_ids = u64set_count(&index->deleted->set);
	out->staged_series = index->staging.series_count;
	out->rotations = index->rotations;
	lock_release(&index->lock);
	out->missing_tsids = index->missing_tsids;
	out->missing_names = index->missing_names;
	if (pair.at[0] != NULL)
		item_table_stats(pair.at[0]->table, &out->current);
	if (pair.at[1] != NULL)
		item_table_stats(pair.at[1]->table, &out->previous);
	release_pair(&pair);
}

int
index_damaged_names(struct index *index, struct buf *out)
{
	struct generation_pair pair = hold_pair(index);
	int rc = 0;

	for (size_t i = 0; i < 2 && rc == 0; i++) {
		if (pair.at[i] != NULL)
			rc = item_table_damaged_names(pair.at[i]->table, out);
	}
	release_pair(&pair);
	return rc;
}

bool
index_is_read_only(struct index *index)
{
	struct index_stats stats;
	bool failed;

	lock_take(&index->lock);
	failed = index->failed || index->env.read_only;
	lock_release(&index->lock);
	index_stats(index, &stats);
	return failed || stats.current.read_only || stats.previous.read_only;
}

bool
index_is_no_space(struct index *index)
{
	struct index_stats stats;

	index_stats(index, &stats);
	return stats.current.no_space || stats.previous.no_space;
}

/* -- Snapshot ------------------------------------------------------------------------------------------------------------- */

int
index_snapshot(struct index *index, const char *directory)
{
	struct generation_pair pair = hold_pair(index);
	int rc = io_mkdir_all(index->env.io, directory);

	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		char *path;

		if (pair.at[i] == NULL)
			continue;
		path = mem_printf(index->env.mem, "%s/%016llX", directory, (unsigned long long)pair.at[i]->name);
		rc = path == NULL ? ERR_MEMORY : item_table_snapshot(pair.at[i]->table, path);
		mem_free(index->env.mem, path);
	}
	if (rc == 0)
		rc = io_fsync_dir(index->env.io, directory);
	release_pair(&pair);
	return rc;
}
