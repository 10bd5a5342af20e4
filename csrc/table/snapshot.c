/*
 * snapshot.c -- hard links of all parts (part format 16).
 * floor: table     uses: table_private.h     used by: storage (through table.h)
 *
 * While partition->snapshots > 0 no publish begins and no part is removed, so the directories stand still. A publish
 * that is under way is continued by this thread, or waited for if another one has it.
 */
#include "table/table_private.h"

enum { WAIT_MS_MAX = 10 }; /* then look whether this thread can do something */

/* Does a publish of the partition wait for space or memory? Then nobody knows for how long: its error is the answer. */
static int
stuck_error(struct table *table, const struct partition *partition)
{
	int rc = 0;

	lock_take(&table->lock);
	for (const struct job *job = table->jobs; job != NULL && rc == 0; job = job->next)
		if (job->partition == partition && !job->running && job->stuck.code != 0)
			rc = err_restore(&job->stuck);
	lock_release(&table->lock);
	return rc;
}

/* Waits until no publish moves directories of the partition, then keeps new ones out. */
static int
snapshot_enter(struct table *table, struct partition *partition)
{
	for (;;) {
		struct budget budget = budget_of_us(1000);
		bool entered, did;

		lock_take(&partition->lock);
		entered = partition->committing == 0;
		if (entered)
			partition->snapshots++;
		lock_release(&partition->lock);
		if (entered)
			return 0;
		TRY(table_step(table, &budget, &did));
		TRY(stuck_error(table, partition));
		if (did)
			continue;
		lock_take(&partition->lock); /* another thread has it */
		if (partition->committing > 0)
			cond_wait_ms(&partition->still, &partition->lock, WAIT_MS_MAX);
		lock_release(&partition->lock);
	}
}

static void
snapshot_leave(struct partition *partition)
{
	lock_take(&partition->lock);
	partition->snapshots--;
	lock_release(&partition->lock);
	table_shared_wake(partition->shared);
}

static int
link_part(struct table *table, const char *from, const char *to)
{
	const struct table_env *env = &table->shared.env;
	struct io_list list = { .mem = env->mem };
	int rc = io_mkdir(env->io, to);

	if (rc == 0)
		rc = io_list(env->io, from, env->mem, &list);
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		char *source = mem_printf(env->mem, "%s/%s", from, list.entries[i].name);
		char *target = mem_printf(env->mem, "%s/%s", to, list.entries[i].name);

		if (source == NULL || target == NULL)
			rc = ERR_MEMORY;
		else if (list.entries[i].type == IO_TYPE_FILE)
			rc = io_link(env->io, source, target);
		mem_free(env->mem, source);
		mem_free(env->mem, target);
	}
	io_list_free(&list);
	return rc != 0 ? rc : io_fsync_dir(env->io, to);
}

/* The parts of one tree into <root>/<month>, which is made even if there are none. */
static int
link_tree(struct table *table, struct partition *partition, enum tree tree, struct part *const *parts, size_t count,
    const char *root)
{
	const struct table_env *env = &table->shared.env;
	char *month = mem_printf(env->mem, "%s/%s", root, partition->name);
	int rc = month == NULL ? ERR_MEMORY : io_mkdir(env->io, month);

	for (size_t i = 0; i < count && rc == 0; i++) {
		char *to;

		if (parts[i]->tier == PART_TIER_MEM || (parts[i]->tier == PART_TIER_BIG) != (tree == TREE_BIG))
			continue;
		to = mem_printf(env->mem, "%s/%s", month, parts[i]->name);
		rc = to == NULL ? ERR_MEMORY : link_part(table, parts[i]->path, to);
		mem_free(env->mem, to);
	}
	if (rc == 0)
		rc = io_fsync_dir(env->io, month);
	mem_free(env->mem, month);
	return rc;
}

static int
snapshot_partition(struct table *table, struct partition *partition, const char *small_path, const char *big_path)
{
	struct mem *mem = table->shared.env.mem;
	struct part **parts;
	size_t count = 0;
	int rc;

	TRY(snapshot_enter(table, partition));
	lock_take(&partition->lock);
	parts = mem_array(mem, partition->slots_count, sizeof(struct part *));
	for (size_t i = 0; i < partition->slots_count && parts != NULL; i++) {
		part_ref(partition->slots[i].part);
		parts[count++] = partition->slots[i].part;
	}
	lock_release(&partition->lock);
	rc = parts == NULL ? ERR_MEMORY : link_tree(table, partition, TREE_SMALL, parts, count, small_path);
	if (rc == 0)
		rc = link_tree(table, partition, TREE_BIG, parts, count, big_path);
	for (size_t i = 0; i < count; i++)
		part_unref(parts[i]);
	mem_free(mem, parts);
	snapshot_leave(partition);
	return rc;
}

int
table_snapshot(struct table *table, const char *small_path, const char *big_path)
{
	struct io *io = table->shared.env.io;
	struct partition **partitions;
	size_t count;
	int rc;

	TRY(io_mkdir_all(io, small_path));
	TRY(io_mkdir_all(io, big_path));
	TRY(table_list(table, &partitions, &count));
	rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		if (!partitions[i]->closed)
			rc = snapshot_partition(table, partitions[i], small_path, big_path);
	mem_free(table->shared.env.mem, partitions);
	if (rc == 0)
		rc = io_fsync_dir(io, small_path);
	return rc != 0 ? rc : io_fsync_dir(io, big_path);
}
