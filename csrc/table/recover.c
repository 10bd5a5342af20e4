/*
 * recover.c -- what a table finds on disk: transactions finished, remnants removed, parts opened (part format 1.1, 15.3).
 * floor: table     uses: table_private.h base/txn.h     used by: table
 *
 * For each month in small/ or big/:
 *   1. the transactions of small/, then of big/: all of them before any part is opened
 *   2. tmp/ and txn/ emptied and made again
 *   3. empty directories removed; every other one is a part. A damaged one is renamed to <side>/damaged/<month>_<name>
 *      and reported: the peer would not start beside it, and nothing is ever deleted for being damaged
 * read_only: nothing is changed. Removals of pending transactions are not opened, and their results are opened where
 * they lie.
 */
#include "table/table_private.h"

enum { DAMAGED_NAMES_MAX = 1000 }; /* tries for a free name in damaged/ */

/* A pending transaction's result, while nothing may be renamed. */
struct recovery {
	struct table *table;
	struct partition *partition;
	struct txn_list pending[2]; /* read_only: by tree */
};

/* -- Damage ----------------------------------------------------------------------------------------------------------- */

static int
damaged_path(struct recovery *recovery, const char *name, char **out)
{
	const struct table_env *env = &recovery->table->shared.env;

	for (int i = 0; i < DAMAGED_NAMES_MAX; i++) {
		bool exists;
		int rc;

		*out = i == 0
		    ? mem_printf(env->mem, "%s/damaged/%s_%s", env->side_path, recovery->partition->name, name)
		    : mem_printf(env->mem, "%s/damaged/%s_%s.%d", env->side_path, recovery->partition->name, name, i);
		if (*out == NULL)
			return ERR_MEMORY;
		rc = io_exists(env->io, *out, &exists);
		if (rc == 0 && !exists)
			return 0;
		mem_free(env->mem, *out);
		TRY(rc);
	}
	return ERR(ERR_LIMIT, "%s/damaged holds too many parts named %s", env->side_path, name);
}

/* The last error says what is wrong with it. What cannot be moved stays, and is left out all the same. */
static void
set_aside(struct recovery *recovery, enum tree tree, const char *name, const char *path)
{
	struct table_shared *shared = &recovery->table->shared;
	const struct table_env *env = &shared->env;
	char *directory = NULL, *target = NULL;
	int rc;

	recovery->partition->damaged++;
	table_shared_report_damaged(shared, recovery->partition->name, name, err_message());
	if (shared->options.read_only)
		return;
	directory = mem_printf(env->mem, "%s/damaged", env->side_path);
	rc = directory == NULL ? ERR_MEMORY : io_mkdir_all(env->io, directory);
	if (rc == 0)
		rc = damaged_path(recovery, name, &target);
	if (rc == 0)
		rc = io_rename(env->io, path, target);
	if (rc == 0)
		rc = io_fsync_dir(env->io, directory);
	if (rc == 0)
		rc = io_fsync_dir(env->io, recovery->partition->path[tree]);
	if (rc != 0)
		log_write(env->log, LOG_ERROR, "%s could not be set aside: %s", path, err_message());
	mem_free(env->mem, directory);
	mem_free(env->mem, target);
}

/* -- Parts ------------------------------------------------------------------------------------------------------------ */

/*
 * Suffixes start at the wall clock, which may have been set back since. A result of the same rows under the name of one
 * of its sources would be removed by its own transaction when that runs again (spec/fault/fault_spec: force merge).
 */
static void
pass_suffix(struct partition *partition, uint64_t used)
{
	if (used > partition->suffix && used < UINT64_MAX)
		partition->suffix = used;
}

static int
open_part(struct recovery *recovery, enum tree tree, const char *path, const char *name, bool under_other_name)
{
	const struct table_shared *shared = &recovery->table->shared;
	enum part_tier tier = tree == TREE_BIG ? PART_TIER_BIG : PART_TIER_SMALL;
	struct part *part;
	int rc;

	if (under_other_name)
		rc =
		    part_open_file_as(shared->env.io, shared->env.mem, shared->options.layout, path, name, tier, &part);
	else
		rc = part_open_file(shared->env.io, shared->env.mem, shared->options.layout, path, tier, &part);
	if (rc == ERR_CORRUPTED) {
		set_aside(recovery, tree, name, path);
		return 0;
	}
	TRY(rc);
	pass_suffix(recovery->partition, part->header.suffix);
	rc = publish_found(recovery->partition, part);
	if (rc != 0)
		part_unref(part);
	return rc;
}

/* read_only: has a pending transaction removed it? */
static bool
is_removed(const struct recovery *recovery, enum tree tree, const char *name)
{
	for (int home = TREE_SMALL; home <= TREE_BIG; home++)
		for (size_t i = 0; i < recovery->pending[home].count; i++) {
			const struct txn *txn = &recovery->pending[home].items[i];

			for (size_t k = 0; k < txn->removes_count; k++)
				if (txn->removes[k].root == (size_t)tree && strcmp(txn->removes[k].name, name) == 0)
					return true;
		}
	return false;
}

/* read_only: the results of pending transactions, in tmp/ under the number they were written as. */
static int
open_pending(struct recovery *recovery)
{
	const struct table_env *env = &recovery->table->shared.env;

	for (int home = TREE_SMALL; home <= TREE_BIG; home++)
		for (size_t i = 0; i < recovery->pending[home].count; i++) {
			const struct txn *txn = &recovery->pending[home].items[i];
			char *path;
			bool exists = false;
			int rc;

			if (txn->to.name == NULL || is_removed(recovery, (enum tree)txn->to.root, txn->to.name))
				continue;
			path = mem_printf(env->mem, "%s/tmp/%s", recovery->partition->path[txn->from.root],
			    txn->from.name);
			rc = path == NULL ? ERR_MEMORY : io_exists(env->io, path, &exists);
			if (rc == 0 && exists)
				rc = open_part(recovery, (enum tree)txn->to.root, path, txn->to.name, true);
			mem_free(env->mem, path);
			TRY(rc);
		}
	return 0;
}

static int
is_empty_directory(struct recovery *recovery, const char *path, bool *empty)
{
	struct io_list list = { .mem = recovery->table->shared.env.mem };
	int rc = io_list(recovery->table->shared.env.io, path, list.mem, &list);

	*empty = rc == 0 && list.count == 0;
	io_list_free(&list);
	return rc;
}

static int
take_entry(struct recovery *recovery, enum tree tree, const struct io_entry *entry)
{
	const struct table_shared *shared = &recovery->table->shared;
	char *path;
	bool empty = false;
	int rc;

	if (strcmp(entry->name, "parts.json") == 0)
		return ERR(ERR_LAYOUT,
		    "%s/parts.json: written by victoria-metrics 1.90 or newer, which this engine does not read",
		    recovery->partition->path[tree]);
	if (entry->type != IO_TYPE_DIRECTORY || strcmp(entry->name, "tmp") == 0 || strcmp(entry->name, "txn") == 0 ||
	    strcmp(entry->name, "snapshots") == 0)
		return 0;
	if (shared->options.read_only && is_removed(recovery, tree, entry->name))
		return 0;
	path = mem_printf(shared->env.mem, "%s/%s", recovery->partition->path[tree], entry->name);
	if (path == NULL)
		return ERR_MEMORY;
	rc = is_empty_directory(recovery, path, &empty);
	if (rc == 0 && empty)
		rc = shared->options.read_only ? 0 : io_rmdir(shared->env.io, path);
	else if (rc == 0)
		rc = open_part(recovery, tree, path, entry->name, false);
	mem_free(shared->env.mem, path);
	return rc;
}

static int
take_tree(struct recovery *recovery, enum tree tree)
{
	const struct table_env *env = &recovery->table->shared.env;
	struct io_list list = { .mem = env->mem };
	int rc = io_list(env->io, recovery->partition->path[tree], env->mem, &list);

	if (rc == ERR_NOTFOUND && recovery->table->shared.options.read_only)
		return 0; /* one of the two trees may be missing */
	for (size_t i = 0; i < list.count && rc == 0; i++)
		rc = take_entry(recovery, tree, &list.entries[i]);
	io_list_free(&list);
	return rc;
}

/* -- Partitions ------------------------------------------------------------------------------------------------------- */

/* Steps 1 and 2. */
static int
settle(struct recovery *recovery)
{
	const struct table_env *env = &recovery->table->shared.env;
	struct txn_root roots[2];
	struct txn_place place;

	partition_place(recovery->partition, roots, &place);
	for (size_t tree = TREE_SMALL; tree <= TREE_BIG; tree++) {
		if (recovery->table->shared.options.read_only)
			TRY(txn_read_dir(&place, tree, &recovery->pending[tree]));
		else
			TRY(io_mkdir_synced(env->io, recovery->partition->path[tree]));
	}
	if (recovery->table->shared.options.read_only)
		return 0;
	TRY(txn_run_dir(&place, TREE_SMALL));
	TRY(txn_run_dir(&place, TREE_BIG));
	TRY(txn_reset_root(&place, TREE_SMALL));
	return txn_reset_root(&place, TREE_BIG);
}

static int
recover_month(struct table *table, int month)
{
	struct recovery recovery = { .table = table,
		.pending = { { .mem = table->shared.env.mem }, { .mem = table->shared.env.mem } } };
	int rc;

	if (table->by_month[month] != NULL)
		return 0; /* found in the other tree already */
	TRY(partition_create(&table->shared, month, &recovery.partition));
	rc = settle(&recovery);
	if (rc == 0)
		rc = take_tree(&recovery, TREE_SMALL);
	if (rc == 0)
		rc = take_tree(&recovery, TREE_BIG);
	if (rc == 0)
		rc = open_pending(&recovery);
	txn_list_free(&recovery.pending[TREE_SMALL]);
	txn_list_free(&recovery.pending[TREE_BIG]);
	if (rc == 0)
		rc = table_insert(table, recovery.partition);
	if (rc != 0)
		partition_delete(recovery.partition);
	return rc;
}

static int
recover_tree(struct table *table, enum tree tree)
{
	const struct table_shared *shared = &table->shared;
	struct io_list list = { .mem = shared->env.mem };
	int rc = io_list(shared->env.io, shared->tree_path[tree], shared->env.mem, &list);

	if (rc == ERR_NOTFOUND)
		rc = 0;
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		const struct io_entry *entry = &list.entries[i];
		int month = month_parse(entry->name);

		if (strcmp(entry->name, "snapshots") == 0 ||
		    (entry->type != IO_TYPE_DIRECTORY && entry->type != IO_TYPE_SYMLINK))
			continue;
		if (month < 0) {
			/* a symlink to a file is ignored as a file is; a directory of another name stops the peer, and us */
			struct io_stat stat = { .type = entry->type };
			char *path = mem_printf(shared->env.mem, "%s/%s", shared->tree_path[tree], entry->name);

			rc = path == NULL                    ? ERR_MEMORY
			    : entry->type == IO_TYPE_SYMLINK ? io_stat(shared->env.io, path, &stat)
							     : 0;
			mem_free(shared->env.mem, path);
			if (rc == 0 && stat.type == IO_TYPE_DIRECTORY)
				rc = ERR(ERR_LAYOUT, "%s/%s is not a month (YYYY_MM): move it elsewhere",
				    shared->tree_path[tree], entry->name);
			continue;
		}
		rc = recover_month(table, month);
	}
	io_list_free(&list);
	return rc;
}

/* What a dropped month left behind. */
static int
empty_trash(struct table *table)
{
	struct table_env *env = &table->shared.env;
	char *path = mem_printf(env->mem, "%s/trash", env->side_path);
	struct io_list list = { .mem = env->mem };
	int rc = path == NULL ? ERR_MEMORY : io_list(env->io, path, env->mem, &list);

	for (size_t i = 0; i < list.count && rc == 0; i++)
		trash_add(&table->shared.trash, mem_printf(env->mem, "%s/%s", path, list.entries[i].name));
	io_list_free(&list);
	mem_free(env->mem, path);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

int
table_recover(struct table *table)
{
	const struct table_shared *shared = &table->shared;

	if (!shared->options.read_only) {
		TRY(io_mkdir_all(shared->env.io, shared->tree_path[TREE_SMALL]));
		TRY(io_mkdir_all(shared->env.io, shared->tree_path[TREE_BIG]));
		TRY(empty_trash(table));
	}
	TRY(recover_tree(table, TREE_SMALL));
	return recover_tree(table, TREE_BIG);
}
