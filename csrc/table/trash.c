/*
 * trash.c -- see trash.h.
 * floor: table     uses: trash.h     used by: publish, retention, table
 */
#include "table/trash.h"

#include "base/err.h"

enum { UNLINKS_PER_STEP = 8 };

void
trash_init(struct trash *trash, struct io *io, struct mem *mem, struct log *log)
{
	*trash = (struct trash){ .io = io, .mem = mem, .log = log };
	lock_init(&trash->lock);
}

void
trash_free(struct trash *trash)
{
	for (size_t i = 0; i < trash->count; i++)
		mem_free(trash->mem, trash->paths[i]);
	mem_free(trash->mem, trash->paths);
	lock_destroy(&trash->lock);
}

/* false: no memory. The lock is held. */
static bool
push(struct trash *trash, char *path)
{
	if (trash->count == trash->room) {
		size_t room = trash->room == 0 ? 16 : trash->room * 2;
		char **paths = mem_realloc(trash->mem, trash->paths, room * sizeof(*paths));

		if (paths == NULL)
			return false;
		trash->paths = paths;
		trash->room = room;
	}
	trash->paths[trash->count++] = path;
	return true;
}

void
trash_add(struct trash *trash, char *path)
{
	bool kept;

	if (path == NULL)
		return;
	lock_take(&trash->lock);
	kept = push(trash, path);
	trash->waiting += kept;
	lock_release(&trash->lock);
	if (!kept)
		mem_free(trash->mem, path);
}

/* Deletes the first entries below path, a directory; *gone: all of it. Descends into one directory at most. */
static int
delete_some(struct trash *trash, const char *path, bool *gone)
{
	struct io_list list = { .mem = trash->mem };
	size_t deleted = 0;
	bool descended = false;
	int rc;

	*gone = false;
	rc = io_list(trash->io, path, trash->mem, &list);
	if (rc == ERR_NOTFOUND) {
		*gone = true;
		return 0;
	}
	for (size_t i = 0; i < list.count && rc == 0 && deleted < UNLINKS_PER_STEP && !descended; i++) {
		char *entry = mem_printf(trash->mem, "%s/%s", path, list.entries[i].name);
		bool entry_gone = true;

		if (entry == NULL)
			rc = ERR_MEMORY;
		else if (list.entries[i].type == IO_TYPE_DIRECTORY) {
			rc = delete_some(trash, entry, &entry_gone);
			descended = true; /* a directory is a step of its own */
		} else {
			rc = io_unlink(trash->io, entry);
			deleted++;
		}
		mem_free(trash->mem, entry);
	}
	if (rc == 0 && !descended && deleted == list.count) {
		rc = io_rmdir(trash->io, path);
		*gone = rc == 0;
	}
	io_list_free(&list);
	return rc;
}

void
trash_step(struct trash *trash, bool *did)
{
	char *path = NULL;
	bool gone = false;
	int rc;

	lock_take(&trash->lock);
	if (trash->count > 0)
		path = trash->paths[--trash->count];
	lock_release(&trash->lock);
	*did = path != NULL;
	if (path == NULL)
		return;
	rc = delete_some(trash, path, &gone);
	if (rc != 0)
		log_write(trash->log, LOG_WARN, "%s could not be deleted now, the next open does it: %s", path,
		    err_message());
	lock_take(&trash->lock);
	if (rc == 0 && !gone && push(trash, path))
		path = NULL;
	else
		trash->waiting--;
	lock_release(&trash->lock);
	mem_free(trash->mem, path);
}
