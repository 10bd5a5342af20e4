/*
 * item_recover.c -- what an open finds in a table's directory.
 * floor: index     uses: item_table_inner.h base/txn.h     used by: item_table
 *
 *   lock -> run txn/ -> empty tmp/ and txn/ -> flag file -> each directory is a part: empty ones are deleted
 *   read-only: nothing is changed; pending transactions are applied to the list of parts instead
 *
 * A part that cannot be parsed does not stop the open, but the table takes no runs then: names that only it knows would
 * get new ids. An I/O error is not damage: it fails the open.
 */
#include "base/err.h"
#include "base/txn.h"
#include "index/item_table_inner.h"

/* Names beside the parts which are not parts. */
static bool
is_reserved(const char *name)
{
	static const char *const reserved[] = { ITEM_DIR_TMP, ITEM_DIR_TXN, "snapshots", "cache" };

	for (size_t i = 0; i < ARRAY_LENGTH(reserved); i++) {
		if (strcmp(name, reserved[i]) == 0)
			return true;
	}
	return false;
}

static const char *
last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Newer versions of the peer keep a list of parts; who ignores it would read parts that are no longer valid. */
static int
refuse_newer(struct item_table *table)
{
	char *path = mem_printf(table->env.mem, "%s/parts.json", table->path);
	bool there = false;
	int rc = path == NULL ? ERR_MEMORY : io_exists(table->env.io, path, &there);

	mem_free(table->env.mem, path);
	if (rc == 0 && there)
		return ERR(ERR_LAYOUT, "%s holds parts.json: it was rewritten by victoria-metrics 1.90 or newer",
		    table->path);
	return rc;
}

/* -- Directory -------------------------------------------------------------------------------------------------------- */

static int
make_flag(struct item_table *table)
{
	char *path = mem_printf(table->env.mem, "%s/%s", table->path, ITEM_FLAG);
	bool there = false;
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_exists(table->env.io, path, &there);
	if (rc == 0 && !there)
		rc = io_write_file_atomic(table->env.io, path, "ok", 2, true);
	mem_free(table->env.mem, path);
	return rc;
}

static int
take_lock(struct item_table *table)
{
	bool shared = table->env.read_only;
	char *path = mem_printf(table->env.mem, "%s/%s", table->path, ITEM_LOCK);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_lock(table->env.io, path, shared, !shared, &table->lock_file);
	mem_free(table->env.mem, path);
	return rc == ERR_NOTFOUND && shared ? 0 : rc;
}

static int
prepare(struct item_table *table, const struct txn_place *place)
{
	TRY(io_mkdir_all(table->env.io, table->path));
	TRY(take_lock(table));
	TRY(txn_run_dir(place, 0));
	TRY(txn_reset_root(place, 0));
	return make_flag(table);
}

/* -- Parts ------------------------------------------------------------------------------------------------------------ */

static void
note_suffix(struct item_table *table, const char *name)
{
	struct item_part_name parsed;

	if (item_part_name_parse(name, &parsed) == 0 && parsed.suffix >= table->next_suffix &&
	    parsed.suffix < UINT64_MAX)
		table->next_suffix = parsed.suffix + 1;
}

/* A part's path from the parent of its generation on: as people name it. */
static int
note_damaged(struct item_table *table, const char *path)
{
	const char *from = path + strlen(path);

	for (int slashes = 0; from > path && slashes < 3; from--)
		slashes += from[-1] == '/';
	if (*from == '/')
		from++;
	table->damaged_at_open++;
	TRY(buf_append_text(&table->damaged_names, from));
	return buf_append_u8(&table->damaged_names, '\n');
}

/* Damage is noted, other errors are returned. */
static int
open_part(struct item_table *table, const char *path, const char *name)
{
	struct item_part_env env = { table->env.io, table->env.mem, table->cache, ++table->next_owner };
	struct item_part *part;
	int rc = item_part_open(&env, path, name, &part);

	if (rc == ERR_CORRUPTED) {
		log_write(table->env.log, LOG_ERROR, "a damaged index part, nothing new will be written: %s",
		    err_message());
		item_table_set_read_only(table);
		return note_damaged(table, path);
	}
	TRY(rc);
	note_suffix(table, name);
	rc = item_table_swap(table, NULL, 0, part);
	item_part_unref(part);
	return rc;
}

/* An empty directory is what a crash between mkdir and anything else leaves: the peer deletes it too. */
static int
open_if_not_empty(struct item_table *table, const char *path, const char *name)
{
	struct io_list list;
	size_t entries;

	TRY(io_list(table->env.io, path, table->env.mem, &list));
	entries = list.count;
	io_list_free(&list);
	if (entries > 0)
		return open_part(table, path, name);
	return table->env.read_only ? 0 : io_rmdir(table->env.io, path);
}

static bool
is_removed(const struct txn_list *pending, const char *name)
{
	for (size_t i = 0; i < pending->count; i++) {
		for (size_t j = 0; j < pending->items[i].removes_count; j++) {
			if (strcmp(pending->items[i].removes[j].name, name) == 0)
				return true;
		}
	}
	return false;
}

static int
open_entry(struct item_table *table, const struct io_entry *entry, const struct txn_list *pending)
{
	struct io_stat stat;
	char *path;
	int rc = 0;

	if (entry->type == IO_TYPE_FILE || is_reserved(entry->name) || is_removed(pending, entry->name))
		return 0;
	path = mem_printf(table->env.mem, "%s/%s", table->path, entry->name);
	if (path == NULL)
		return ERR_MEMORY;
	/* Symlinks to directories count as parts; a dangling one is somebody else's affair. */
	rc = io_stat(table->env.io, path, &stat);
	if (rc == 0 && stat.type == IO_TYPE_DIRECTORY)
		rc = open_if_not_empty(table, path, entry->name);
	else if (rc == ERR_NOTFOUND)
		rc = 0;
	mem_free(table->env.mem, path);
	return rc;
}

static int
open_listed(struct item_table *table, const struct txn_list *pending)
{
	struct io_list list;
	int rc = 0;

	TRY(io_list(table->env.io, table->path, table->env.mem, &list));
	for (size_t i = 0; rc == 0 && i < list.count; i++)
		rc = open_entry(table, &list.entries[i], pending);
	io_list_free(&list);
	return rc;
}

/* Read-only: the new part of a pending transaction is still in tmp/, or was renamed already and is listed. A later
 * transaction may have replaced it again. */
static int
open_pending(struct item_table *table, const struct txn_list *pending, size_t i)
{
	const struct txn *txn = &pending->items[i];
	struct txn_list later = { .items = pending->items + i + 1, .count = pending->count - i - 1 };
	char *path;
	bool there = false;
	int rc;

	if (txn->to.name == NULL || is_removed(&later, txn->to.name))
		return 0;
	path = mem_printf(table->env.mem, "%s/%s", table->tmp_path, txn->from.name);
	if (path == NULL)
		return ERR_MEMORY;
	rc = io_exists(table->env.io, path, &there);
	if (rc == 0 && there)
		rc = open_part(table, path, txn->to.name);
	mem_free(table->env.mem, path);
	return rc;
}

static int
open_read_only(struct item_table *table, const struct txn_place *place)
{
	struct txn_list pending;
	int rc;

	TRY(take_lock(table));
	TRY(txn_read_dir(place, 0, &pending));
	rc = open_listed(table, &pending);
	for (size_t i = 0; rc == 0 && i < pending.count; i++)
		rc = open_pending(table, &pending, i);
	txn_list_free(&pending);
	return rc;
}

int
item_recover(struct item_table *table)
{
	struct txn_root root = { .path = table->path, .tail = last_component(table->path) };
	struct txn_place place = { .io = table->env.io,
		.mem = table->env.mem,
		.log = table->env.log,
		.roots = &root,
		.roots_count = 1 };
	struct txn_list none = { 0 };

	TRY(refuse_newer(table));
	if (table->env.read_only)
		return open_read_only(table, &place);
	TRY(prepare(table, &place));
	return open_listed(table, &none);
}
