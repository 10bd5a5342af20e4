/*
 * table.c -- see table.h: opening, closing, rows in, tickets.
 * floor: table     uses: table_private.h     used by: storage
 */
#include "table/table_private.h"

#include "merge/merge_plan.h"

/* Memory parts may take this many times what starts an early flush before adding threads help. */
enum { ASSIST_MEMORY_FACTOR = 2 };

/* -- Life --------------------------------------------------------------------------------------------------------- */

int
table_open(const struct table_env *env, const struct table_options *options, struct table **out)
{
	struct table *table = mem_zalloc(env->mem, sizeof(*table));
	int64_t first_ms;
	int rc;

	if (table == NULL)
		return ERR_MEMORY;
	month_bounds(MONTHS_MAX - 1, &first_ms, &table->last_ms);
	lock_init(&table->lock);
	lock_init(&table->create_lock);
	force_list_init(&table->forces, env->mem);
	rc = table_shared_init(&table->shared, env, options);
	if (rc == 0)
		rc = table_recover(table);
	if (rc != 0) {
		table_close(table);
		return rc;
	}
	table_upkeep_init(table);
	*out = table;
	return 0;
}

void
table_close(struct table *table)
{
	struct err_saved saved;
	struct mem *mem;

	if (table == NULL)
		return;
	err_save(&saved);
	mem = table->shared.env.mem;
	for (bool did = true; did;) /* so that a clean end leaves a clean directory */
		trash_step(&table->shared.trash, &did);
	while (table->jobs != NULL) {
		struct job *job = table->jobs;

		assert(!job->running);
		table->jobs = job->next;
		job_delete(job);
	}
	force_list_free(&table->forces);
	for (size_t i = 0; i < table->partitions_count; i++)
		partition_delete(table->partitions[i]);
	for (size_t i = 0; i < table->dropped_count; i++)
		partition_delete(table->dropped[i]);
	mem_free(mem, table->drop_moved);
	mem_free(mem, table->partitions);
	mem_free(mem, table->dropped);
	table_shared_free(&table->shared);
	lock_destroy(&table->create_lock);
	lock_destroy(&table->lock);
	mem_free(mem, table);
	err_restore(&saved);
}

/* -- Partitions ----------------------------------------------------------------------------------------------------------- */

int
table_insert(struct table *table, struct partition *partition)
{
	size_t at = table->partitions_count;

	if (table->partitions_count == table->partitions_room) {
		size_t room = table->partitions_room == 0 ? 16 : table->partitions_room * 2;
		struct partition **grown =
		    mem_realloc(table->shared.env.mem, table->partitions, room * sizeof(struct partition *));

		if (grown == NULL)
			return ERR_MEMORY;
		table->partitions = grown;
		table->partitions_room = room;
	}
	while (at > 0 && table->partitions[at - 1]->month > partition->month) {
		table->partitions[at] = table->partitions[at - 1];
		at--;
	}
	table->partitions[at] = partition;
	table->partitions_count++;
	table->by_month[partition->month] = partition;
	return 0;
}

/* <tree>/<month>/ with txn/ and tmp/ in it. Remnants of a crash in here are taken over. */
static int
make_tree(struct partition *partition, enum tree tree)
{
	struct io *io = partition->shared->env.io;
	struct mem *mem = partition->shared->env.mem;
	static const char *const below[] = { "txn", "tmp" };
	bool exists;

	TRY(io_exists(io, partition->path[tree], &exists));
	if (!exists)
		TRY(io_mkdir(io, partition->path[tree]));
	for (size_t i = 0; i < ARRAY_LENGTH(below); i++) {
		char *path = mem_printf(mem, "%s/%s", partition->path[tree], below[i]);
		int rc = path == NULL ? ERR_MEMORY : io_exists(io, path, &exists);

		if (rc == 0 && !exists)
			rc = io_mkdir(io, path);
		mem_free(mem, path);
		TRY(rc);
	}
	/* The month itself, then its name in small/ or big/: without the second a crash could lose the month. */
	TRY(io_fsync_dir(io, partition->path[tree]));
	return io_fsync_dir(io, partition->shared->tree_path[tree]);
}

static int
partition_make(struct table *table, int month, struct partition **out)
{
	struct partition *partition;
	int rc;

	TRY(partition_create(&table->shared, month, &partition));
	rc = make_tree(partition, TREE_SMALL);
	if (rc == 0)
		rc = make_tree(partition, TREE_BIG);
	if (rc == 0) {
		lock_take(&table->lock);
		rc = table_insert(table, partition);
		lock_release(&table->lock);
	}
	if (rc != 0) {
		if (rc == ERR_NOSPACE)
			table_shared_space_ran_out(&table->shared);
		partition_delete(partition);
		return rc;
	}
	*out = partition;
	return 0;
}

int
table_partition(struct table *table, int month, bool create, struct partition **out)
{
	int rc = 0;

	*out = table->by_month[month];
	if (*out != NULL || !create)
		return 0;
	lock_take(&table->create_lock);
	*out = table->by_month[month];
	if (*out == NULL)
		rc = partition_make(table, month, out);
	lock_release(&table->create_lock);
	return rc;
}

int
table_list(struct table *table, struct partition ***out, size_t *count)
{
	lock_take(&table->lock);
	*count = table->partitions_count;
	*out = mem_array(table->shared.env.mem, table->partitions_count, sizeof(struct partition *));
	if (*out != NULL && *count > 0)
		memcpy(*out, table->partitions, *count * sizeof(struct partition *));
	lock_release(&table->lock);
	return *out == NULL ? ERR_MEMORY : 0;
}

/* -- Rows in ---------------------------------------------------------------------------------------------------------- */

void
table_window(const struct table *table, int64_t *min_ms, int64_t *max_ms)
{
	const struct table_options *options = &table->shared.options;
	int64_t now = clock_now_ms(table->shared.env.clock);

	*min_ms = options->retention_ms > 0 && now > options->retention_ms ? now - options->retention_ms : 0;
	*max_ms = tick_add(now, options->future_limit_ms);
	if (*max_ms > table->last_ms)
		*max_ms = table->last_ms;
}

/* Refuses before anything is taken. */
static int
check_writable(struct table *table)
{
	if (table->shared.options.read_only)
		return ERR(ERR_READONLY, "the database was opened read-only");
	if (table->shared.no_space)
		table_shared_check_space(&table->shared);
	if (table->shared.no_space)
		return ERR(ERR_NOSPACE, "the disk is full; rows are accepted again when there is space");
	return 0;
}

/* More parts than merges can keep up with: the thread that adds helps, as the peer does (part format 14.2). */
static bool
needs_assistance(const struct table *table, const struct partition *partition)
{
	const struct table_shared *shared = &table->shared;

	return partition->small_parts > MERGE_SMALL_PARTS_ASSIST ||
	    shared->memory_idle_bytes > shared->options.mem_parts_bytes_max * ASSIST_MEMORY_FACTOR;
}

static int
add_run(struct table *table, struct partition *partition, const struct row *rows, size_t n, struct add_counts *counts)
{
	size_t accepted = 0, more = 0;
	bool overflowed, did;
	int rc;

	rc = partition_add(partition, rows, n, &accepted, &overflowed);
	if (rc == ERR_MEMORY && table_assist(table, NULL)) { /* what is in memory goes to disk, then once more */
		rc = partition_convert_due(partition, INT64_MAX, &did);
		if (rc == 0)
			rc = partition_add(partition, rows + accepted, n - accepted, &more, &overflowed);
		accepted += more;
	}
	counts->accepted += accepted;
	if (rc != 0)
		return rc;
	if (UNLIKELY(accepted < n)) { /* the month was dropped a moment ago */
		counts->past += n - accepted;
		table->shared.counters.rows_past += n - accepted;
	}
	if (overflowed && needs_assistance(table, partition))
		table_assist(table, partition);
	return 0;
}

/* The partition of a timestamp inside the window, made if there is none. */
static inline int
partition_of(struct table *table, int64_t timestamp_ms, struct partition **out)
{
	*out = table->recent;
	if (LIKELY(*out != NULL && timestamp_ms >= (*out)->min_ms && timestamp_ms <= (*out)->max_ms))
		return 0;
	TRY(table_partition(table, month_of_ms(timestamp_ms), true, out));
	table->recent = *out;
	return 0;
}

/*
 * The accepted window as far as one row needs it. Without a retention only the upper bound moves, and only upwards, so a
 * bound that was right once need not be computed again for every row.
 */
static bool
in_window(struct table *table, int64_t timestamp_ms, bool *past)
{
	int64_t min_ms, max_ms;

	*past = timestamp_ms < 0;
	if (LIKELY(table->shared.options.retention_ms <= 0 && timestamp_ms >= 0 && timestamp_ms <= table->future_ms))
		return true;
	table_window(table, &min_ms, &max_ms);
	table->future_ms = max_ms;
	*past = timestamp_ms < min_ms;
	return !*past && timestamp_ms <= max_ms;
}

int
table_add(struct table *table, struct row *rows, size_t n, struct add_counts *counts)
{
	int64_t min_ms, max_ms;
	uint64_t past = 0, future = 0;
	size_t i = 0;

	TRY(check_writable(table));
	table_window(table, &min_ms, &max_ms);
	while (i < n) {
		struct partition *partition;
		int64_t first, last;
		size_t end = i + 1;

		if (rows[i].timestamp_ms < min_ms || rows[i].timestamp_ms > max_ms) {
			past += rows[i].timestamp_ms < min_ms;
			future += rows[i].timestamp_ms > max_ms;
			i++;
			continue;
		}
		TRY(partition_of(table, rows[i].timestamp_ms, &partition));
		first = partition->min_ms > min_ms ? partition->min_ms : min_ms;
		last = partition->max_ms < max_ms ? partition->max_ms : max_ms;
		/* one comparison for both bounds: what is below first wraps to a large number */
		while (
		    end < n && (uint64_t)rows[end].timestamp_ms - (uint64_t)first <= (uint64_t)last - (uint64_t)first)
			end++;
		TRY(add_run(table, partition, rows + i, end - i, counts));
		i = end;
	}
	counts->past += past;
	counts->future += future;
	if (past + future > 0) {
		table->shared.counters.rows_past += past;
		table->shared.counters.rows_future += future;
	}
	return 0;
}

int
table_add_one(struct table *table, const struct row *row, bool *in_range)
{
	struct add_counts counts = { 0 };
	struct partition *partition;
	bool past;

	TRY(check_writable(table));
	*in_range = in_window(table, row->timestamp_ms, &past);
	if (!*in_range) {
		if (past)
			table->shared.counters.rows_past++;
		else
			table->shared.counters.rows_future++;
		return 0;
	}
	TRY(partition_of(table, row->timestamp_ms, &partition));
	TRY(add_run(table, partition, row, 1, &counts));
	*in_range = counts.accepted == 1;
	return 0;
}

/* -- Tickets ---------------------------------------------------------------------------------------------------------- */

void
table_flush_request(struct table *table, uint64_t *ticket)
{
	struct table_shared *shared = &table->shared;

	lock_take(&table->lock);
	*ticket = shared->epoch++;
	if (*ticket > shared->flush_wanted)
		shared->flush_wanted = *ticket;
	for (size_t i = 0; i < table->partitions_count; i++)
		partition_retry_now(table->partitions[i]);
	for (struct job *job = table->jobs; job != NULL; job = job->next)
		if (!job->running)
			job->wake_tick_ms = INT64_MIN;
	lock_release(&table->lock);
	table_shared_wake(shared);
}

/* Does this partition still hold rows of the ticket in memory, and is there hope? */
static int
flush_check_one(struct partition *partition, uint64_t ticket, bool *left)
{
	int rc = 0;

	*left = partition_undurable_epoch(partition) <= ticket;
	if (!*left)
		return 0;
	lock_take(&partition->lock);
	if (partition->read_only)
		rc = partition_read_only_error(partition);
	else if (partition->setback_epoch >= ticket)
		rc = err_restore(&partition->setback);
	lock_release(&partition->lock);
	return rc;
}

int
table_flush_check(struct table *table, uint64_t ticket, bool *done)
{
	struct partition **partitions;
	size_t count;
	bool waiting = false;
	int rc = 0;

	*done = false;
	TRY(table_list(table, &partitions, &count));
	for (size_t i = 0; i < count; i++) {
		bool left;
		int one = flush_check_one(partitions[i], ticket, &left);

		waiting = waiting || (left && one == 0);
		if (rc == 0)
			rc = one;
	}
	mem_free(table->shared.env.mem, partitions);
	*done = !waiting;
	return waiting ? 0 : rc;
}

int
table_force_merge_request(struct table *table, const char *partition, uint64_t *ticket)
{
	int rc;

	if (table->shared.options.read_only)
		return ERR(ERR_READONLY, "the database was opened read-only");
	lock_take(&table->lock);
	if (partition == NULL) {
		rc = force_request(&table->forces, &table->shared, table->partitions, table->partitions_count, ticket);
	} else {
		int month = month_parse(partition);
		struct partition *one = month < 0 ? NULL : table->by_month[month];

		rc = one == NULL ? ERR(ERR_NOTFOUND, "there is no partition %s", partition)
				 : force_request(&table->forces, &table->shared, &one, 1, ticket);
	}
	lock_release(&table->lock);
	if (rc == 0)
		table_shared_wake(&table->shared);
	return rc;
}

int
table_force_merge_check(struct table *table, uint64_t ticket, bool *done, uint64_t *merges)
{
	int rc;

	lock_take(&table->lock);
	rc = force_check(&table->forces, ticket, done, merges);
	lock_release(&table->lock);
	return rc;
}
