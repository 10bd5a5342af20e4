/*
 * snapshot.c -- hard-linked copies of a moment, as victoria-metrics makes and opens them (part format 16, index format 15.3).
 * floor: storage     uses: internal.h     used by: jobs, ffi
 *
 *   data/small/snapshots/<name>/<month>/<part>/...   hard links    (table)
 *   data/big/snapshots/<name>/...                    hard links        (table)
 *   indexdb/snapshots/<name>/<generation>/...        hard links        (index)
 *   tsengine/snapshots/<name>/                       being made or removed; else:
 *   snapshots/<name>/data/small -> ../../../data/small/snapshots/<name>, data/big, indexdb -> ../../indexdb/snapshots/<name>
 *   snapshots/<name>/metadata/                       a copy
 *
 *   create:  mkdir tsengine/snapshots/<name> -> data links -> index links -> entry in it -> fsync -> rename to snapshots/<name>
 *   delete:  rename snapshots/<name> to tsengine/snapshots/<name> -> links away -> entry away
 *   open:    whatever stands in tsengine/snapshots/ was being made or removed: its links go away, then it
 *
 * The index is linked after the data: it then knows every series of the parts (a part is published after its series are
 * durable). One at a time.
 */
#include "storage/internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { NAME_TIME_DIGITS = 14 };

/* -- Names ----------------------------------------------------------------------------------------------------------------- */

static int
number_at(const char *digits, unsigned n)
{
	int value = 0;

	for (unsigned i = 0; i < n; i++)
		value = value * 10 + (digits[i] - '0');
	return value;
}

static int
days_of_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* Fourteen digits that are a time, as newer peers want it. */
static bool
is_time(const char *name)
{
	int year = number_at(name, 4), month = number_at(name + 4, 2), day = number_at(name + 6, 2);

	return month >= 1 && month <= 12 && day >= 1 && day <= days_of_month(year, month) &&
	    number_at(name + 8, 2) < 24 && number_at(name + 10, 2) < 60 && number_at(name + 12, 2) < 60;
}

static bool
is_name(const char *name)
{
	size_t n = strlen(name);

	if (n < NAME_TIME_DIGITS + 2 || n >= SNAPSHOT_NAME_MAX || name[NAME_TIME_DIGITS] != '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (i < NAME_TIME_DIGITS ? !isdigit((unsigned char)name[i])
					 : i > NAME_TIME_DIGITS && !isxdigit((unsigned char)name[i]))
			return false;
	}
	return is_time(name);
}

int
snapshot_check_name(const char *name)
{
	if (!is_name(name))
		return ERR(ERR_FORMAT, "snapshot name %.80s is not YYYYMMDDhhmmss-HEX with a valid time", name);
	return 0;
}

void
snapshot_make_name(struct storage *storage, char *name)
{
	time_t seconds = (time_t)(clock_now_ms(storage->clock) / 1000);
	struct tm t;
	uint64_t counter;

	lock_take(&storage->jobs_lock);
	counter = ++storage->snapshot_counter;
	lock_release(&storage->jobs_lock);
	gmtime_r(&seconds, &t);
	snprintf(name, SNAPSHOT_NAME_MAX, "%04d%02d%02d%02d%02d%02d-%08" PRIX64, (t.tm_year + 1900) % 10000,
	    t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, counter);
}

/* -- Places ------------------------------------------------------------------------------------------------------------------ */

struct places {
	char *small, *big, *index; /* the hard links */
	char *unfinished;          /* tsengine/snapshots/<name> */
	char *final;               /* snapshots/<name> */
};

static char *
place(struct storage *storage, const char *directory, const char *name)
{
	return mem_printf(&storage->mem, "%s/%s/%s", storage->root.path, directory, name);
}

static void
places_free(struct storage *storage, struct places *places)
{
	mem_free(&storage->mem, places->small);
	mem_free(&storage->mem, places->big);
	mem_free(&storage->mem, places->index);
	mem_free(&storage->mem, places->unfinished);
	mem_free(&storage->mem, places->final);
}

static int
places_make(struct storage *storage, const char *name, struct places *out)
{
	out->small = place(storage, "data/small/snapshots", name);
	out->big = place(storage, "data/big/snapshots", name);
	out->index = place(storage, "indexdb/snapshots", name);
	out->unfinished = place(storage, "tsengine/snapshots", name);
	out->final = place(storage, "snapshots", name);
	if (out->small != NULL && out->big != NULL && out->index != NULL && out->unfinished != NULL &&
	    out->final != NULL)
		return 0;
	places_free(storage, out);
	return ERR_MEMORY;
}

static int
sync_parent(struct storage *storage, const char *tail)
{
	char *path = root_path(&storage->root, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_fsync_dir(storage->io, path);
	mem_free(&storage->mem, path);
	return rc;
}

static int
make_parent(struct storage *storage, const char *tail)
{
	char *path = root_path(&storage->root, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_mkdir_all(storage->io, path);
	mem_free(&storage->mem, path);
	return rc;
}

/* -- The entry directory --------------------------------------------------------------------------------------------------- */

/* <unfinished>/<tail> -> target<name> */
static int
entry_symlink(struct storage *storage, const struct places *places, const char *tail, const char *target,
    const char *name)
{
	char *path = mem_printf(&storage->mem, "%s/%s", places->unfinished, tail);
	char *to = mem_printf(&storage->mem, "%s%s", target, name);
	int rc = ERR_MEMORY;

	if (path != NULL && to != NULL)
		rc = io_symlink(storage->io, to, path);
	mem_free(&storage->mem, to);
	mem_free(&storage->mem, path);
	return rc;
}

static int
entry_directory(struct storage *storage, const struct places *places, const char *tail, bool only_sync)
{
	char *path = mem_printf(&storage->mem, "%s/%s", places->unfinished, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = only_sync ? io_fsync_dir(storage->io, path) : io_mkdir_synced(storage->io, path);
	mem_free(&storage->mem, path);
	return rc;
}

/* metadata/ is copied file by file: a link would change with the original. */
static int
copy_metadata_file(struct storage *storage, const struct places *places, const char *name)
{
	enum { METADATA_BYTES_MAX = 1 << 20 };
	char *from = mem_printf(&storage->mem, "%s/metadata/%s", storage->root.path, name);
	char *to = mem_printf(&storage->mem, "%s/metadata/%s", places->unfinished, name);
	struct buf bytes;
	int rc = ERR_MEMORY;

	buf_init(&bytes, &storage->mem);
	if (from != NULL && to != NULL)
		rc = io_read_file(storage->io, from, METADATA_BYTES_MAX, &bytes);
	if (rc == 0)
		rc = io_write_file_synced(storage->io, to, bytes.data, bytes.len);
	buf_free(&bytes);
	mem_free(&storage->mem, to);
	mem_free(&storage->mem, from);
	return rc;
}

static int
copy_metadata(struct storage *storage, const struct places *places)
{
	char *path = root_path(&storage->root, "metadata");
	struct io_list list = { .mem = &storage->mem };
	bool there = false;
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	TRY_GOTO(out, entry_directory(storage, places, "metadata", false));
	TRY_GOTO(out, io_exists(storage->io, path, &there));
	if (there)
		TRY_GOTO(out, io_list(storage->io, path, &storage->mem, &list));
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		if (list.entries[i].type == IO_TYPE_FILE)
			rc = copy_metadata_file(storage, places, list.entries[i].name);
	}
	io_list_free(&list);
	if (rc == 0)
		rc = entry_directory(storage, places, "metadata", true);
out:
	mem_free(&storage->mem, path);
	return rc;
}

static int
entry_fill(struct storage *storage, const struct places *places, const char *name)
{
	TRY(entry_directory(storage, places, "data", false));
	TRY(entry_symlink(storage, places, "data/small", "../../../data/small/snapshots/", name));
	TRY(entry_symlink(storage, places, "data/big", "../../../data/big/snapshots/", name));
	TRY(entry_symlink(storage, places, "indexdb", "../../indexdb/snapshots/", name));
	TRY(entry_directory(storage, places, "data", true));
	TRY(copy_metadata(storage, places));
	return io_fsync_dir(storage->io, places->unfinished);
}

/* -- Creating, removing ------------------------------------------------------------------------------------------------------ */

/* The links and the unfinished entry go away; missing ones are fine. */
static int
remove_all(struct storage *storage, const struct places *places)
{
	TRY(io_remove_tree(storage->io, places->small));
	TRY(io_remove_tree(storage->io, places->big));
	TRY(io_remove_tree(storage->io, places->index));
	return io_remove_tree(storage->io, places->unfinished);
}

static int
create(struct storage *storage, const struct places *places, const char *name)
{
	TRY(make_parent(storage, "tsengine/snapshots"));
	TRY(make_parent(storage, "snapshots"));
	TRY(make_parent(storage, "data/small/snapshots"));
	TRY(make_parent(storage, "data/big/snapshots"));
	TRY(make_parent(storage, "indexdb/snapshots"));
	TRY(io_mkdir_synced(storage->io, places->unfinished));
	TRY(table_snapshot(storage->table, places->small, places->big));
	TRY(index_snapshot(storage->index, places->index));
	TRY(sync_parent(storage, "data/small/snapshots"));
	TRY(sync_parent(storage, "data/big/snapshots"));
	TRY(sync_parent(storage, "indexdb/snapshots"));
	TRY(entry_fill(storage, places, name));
	TRY(io_rename(storage->io, places->unfinished, places->final));
	TRY(sync_parent(storage, "tsengine/snapshots"));
	return sync_parent(storage, "snapshots");
}

static int
link_locked(struct storage *storage, const char *name)
{
	struct places places;
	struct err_saved saved;
	bool there;
	int rc;

	TRY(places_make(storage, name, &places));
	TRY_GOTO(out, io_exists(storage->io, places.final, &there));
	if (there) {
		rc = ERR(ERR_FORMAT, "snapshot %s exists already", name);
		goto out;
	}
	rc = create(storage, &places, name);
	if (rc != 0) {
		err_save(&saved);
		if (io_exists(storage->io, places.final, &there) == 0 && !there && remove_all(storage, &places) != 0)
			log_write(&storage->log, LOG_WARN,
			    "what is left of snapshot %s is removed by the next open: %s", name, err_message());
		rc = err_restore(&saved);
	}
out:
	places_free(storage, &places);
	return rc;
}

int
snapshot_link(struct storage *storage, const char *name)
{
	int rc;

	lock_take(&storage->snapshot_lock);
	rc = link_locked(storage, name);
	lock_release(&storage->snapshot_lock);
	return rc;
}

static int
delete_locked(struct storage *storage, const char *name)
{
	struct places places;
	bool there;
	int rc;

	TRY(places_make(storage, name, &places));
	TRY_GOTO(out, io_exists(storage->io, places.final, &there));
	if (!there) {
		rc = ERR(ERR_NOTFOUND, "there is no snapshot %s", name);
		goto out;
	}
	TRY_GOTO(out, make_parent(storage, "tsengine/snapshots"));
	TRY_GOTO(out, io_rename(storage->io, places.final, places.unfinished));
	TRY_GOTO(out, sync_parent(storage, "tsengine/snapshots"));
	TRY_GOTO(out, sync_parent(storage, "snapshots"));
	rc = remove_all(storage, &places);
out:
	places_free(storage, &places);
	return rc;
}

int
storage_snapshot_delete(struct storage *storage, const char *name)
{
	int rc;

	TRY(storage_enter(storage));
	rc = storage->options.read_only ? ERR(ERR_READONLY, "the database was opened read-only")
					: snapshot_check_name(name);
	if (rc == 0) {
		lock_take(&storage->snapshot_lock);
		rc = delete_locked(storage, name);
		lock_release(&storage->snapshot_lock);
	}
	storage_leave(storage);
	return rc;
}

/* -- Listing, recovering -------------------------------------------------------------------------------------------------------- */

/* The directory <root>/<tail>, empty when it is missing. */
static int
list_directory(struct storage *storage, const char *tail, struct io_list *list)
{
	char *path = root_path(&storage->root, tail);
	bool there = false;
	int rc;

	*list = (struct io_list){ .mem = &storage->mem };
	if (path == NULL)
		return ERR_MEMORY;
	rc = io_exists(storage->io, path, &there);
	if (rc == 0 && there)
		rc = io_list(storage->io, path, &storage->mem, list);
	mem_free(&storage->mem, path);
	return rc;
}

int
storage_snapshots(struct storage *storage, struct storage_texts *texts)
{
	struct io_list list;
	int rc;

	TRY(storage_enter(storage));
	rc = list_directory(storage, "snapshots", &list);
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		if (list.entries[i].type == IO_TYPE_DIRECTORY && is_name(list.entries[i].name))
			rc = storage_texts_add(texts, bytes_of_text(list.entries[i].name));
	}
	io_list_free(&list);
	storage_leave(storage);
	return rc;
}

int
snapshot_recover(struct storage *storage)
{
	struct io_list list;
	int rc = list_directory(storage, "tsengine/snapshots", &list);

	for (size_t i = 0; i < list.count && rc == 0; i++) {
		struct places places;

		if (!is_name(list.entries[i].name))
			continue;
		rc = places_make(storage, list.entries[i].name, &places);
		if (rc != 0)
			break;
		rc = remove_all(storage, &places);
		places_free(storage, &places);
	}
	io_list_free(&list);
	return rc;
}
