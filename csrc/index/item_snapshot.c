/*
 * item_snapshot.c -- a snapshot of an item table: the same files under a second name.
 * floor: index     uses: item_table_inner.h     used by: index
 *
 * Parts are immutable, so hard links of their files are a copy. While links are made no part is renamed into tmp/ (merges
 * wait before that step); tmp/, txn/ and the lock file are not part of a snapshot.
 */
#include "base/err.h"
#include "index/item_table_inner.h"

static int
link_entry(struct item_table *table, const char *from_dir, const char *to_dir, const char *name)
{
	char *from = mem_printf(table->env.mem, "%s/%s", from_dir, name);
	char *to = mem_printf(table->env.mem, "%s/%s", to_dir, name);
	int rc = from == NULL || to == NULL ? ERR_MEMORY : io_link(table->env.io, from, to);

	mem_free(table->env.mem, from);
	mem_free(table->env.mem, to);
	return rc;
}

static int
link_files(struct item_table *table, const struct item_part *part, const char *to)
{
	struct io_list list;
	int rc;

	TRY(io_list(table->env.io, part->path, table->env.mem, &list));
	rc = io_mkdir(table->env.io, to);
	for (size_t i = 0; rc == 0 && i < list.count; i++) {
		if (list.entries[i].type == IO_TYPE_FILE)
			rc = link_entry(table, part->path, to, list.entries[i].name);
	}
	io_list_free(&list);
	return rc != 0 ? rc : io_fsync_dir(table->env.io, to);
}

static int
link_parts(struct item_table *table, const struct item_view *view, const char *directory)
{
	for (size_t i = 0; i < view->count; i++) {
		char *to;
		int rc;

		if (item_part_in_memory(view->parts[i]))
			continue;
		to = mem_printf(table->env.mem, "%s/%s", directory, item_part_base_name(view->parts[i]));
		if (to == NULL)
			return ERR_MEMORY;
		rc = link_files(table, view->parts[i], to);
		mem_free(table->env.mem, to);
		TRY(rc);
	}
	return 0;
}

static int
link_flag(struct item_table *table, const char *directory)
{
	int rc = link_entry(table, table->path, directory, ITEM_FLAG);

	return rc == ERR_NOTFOUND ? 0 : rc; /* a read-only table of others may lack it */
}

static int
make_snapshot(struct item_table *table, const struct item_view *view, const char *directory)
{
	TRY(io_mkdir_synced(table->env.io, directory));
	TRY(link_flag(table, directory));
	TRY(link_parts(table, view, directory));
	return io_fsync_dir(table->env.io, directory);
}

int
item_table_snapshot(struct item_table *table, const char *directory)
{
	struct item_view *view;
	struct err_saved saved;
	bool there;
	int rc;

	TRY(io_exists(table->env.io, directory, &there));
	if (there)
		return ERR(ERR_IO, "%s is there already, a snapshot needs a directory of its own", directory);
	if (table->damaged_at_open > 0)
		return ERR(ERR_CORRUPTED, "index table %s has damaged parts: a snapshot would lack them. %s",
		    table->path, table->reason);
	lock_take(&table->lock);
	table->links_busy++;
	view = table->view;
	view->refs++;
	lock_release(&table->lock);
	rc = make_snapshot(table, view, directory);
	lock_take(&table->lock);
	table->links_busy--;
	lock_release(&table->lock);
	item_view_release(view);
	if (rc == 0)
		return 0;
	err_save(&saved);
	rc = io_remove_tree(table->env.io, directory);
	(void)rc;
	return err_restore(&saved);
}
