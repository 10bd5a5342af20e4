/*
 * io.c -- the disk's interface: counting, poisoning, and what is made of the single calls.
 * floor: base     uses: io.h io_file.h err.h     used by: everyone that reads or writes files
 *
 * Atomic write, in order:   create path.tmp.n   write   fsync   close   rename to path   fsync of the directory
 * A crash before the rename leaves a file that readers skip by its name; after it the content is already durable.
 */
#include "base/io.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/io_file.h"

/* Storage directories nest seven deep; a tree of more levels than this is not ours, and recursion must have an end. */
enum { TREE_DEPTH_MAX = 64, COPY_BYTES = 1 << 18 };

/* -- Files ---------------------------------------------------------------------------------------------------------- */

void
io_destroy(struct io *io)
{
	if (io != NULL)
		io->ops->destroy(io);
}

int
io_file_init(struct io_file *file, struct io *io, const char *path)
{
	file->io = io;
	file->poisoned = false;
	file->path = mem_strdup(io->mem, path);
	return file->path == NULL ? ERR_MEMORY : 0;
}

void
io_file_uninit(struct io_file *file)
{
	mem_free(file->io->mem, file->path);
	file->path = NULL;
}

int
io_open_read(struct io *io, const char *path, struct io_file **out)
{
	*out = NULL;
	TRY(io->ops->open_read(io, path, out));
	io->open_files++;
	return 0;
}

int
io_create(struct io *io, const char *path, struct io_file **out)
{
	*out = NULL;
	TRY(io->ops->create(io, path, out));
	io->open_files++;
	return 0;
}

int
io_pread(struct io_file *file, void *data, size_t n, uint64_t offset)
{
	if (n == 0)
		return 0;
	TRY(file->io->ops->pread(file, data, n, offset));
	atomic_fetch_add_explicit(&file->io->bytes_read, n, memory_order_relaxed);
	return 0;
}

static int
poisoned(const struct io_file *file, const char *what)
{
	return ERR(ERR_IO, "cannot %s %s: an earlier write or fsync of it failed, its content is unknown", what,
	    file->path);
}

int
io_write(struct io_file *file, const void *data, size_t n)
{
	int rc;

	if (file->poisoned)
		return poisoned(file, "write");
	if (n == 0)
		return 0;
	rc = file->io->ops->write(file, data, n);
	if (rc != 0) {
		file->poisoned = true;
		return rc;
	}
	atomic_fetch_add_explicit(&file->io->bytes_written, n, memory_order_relaxed);
	return 0;
}

int
io_fsync(struct io_file *file)
{
	int rc;

	if (file->poisoned)
		return poisoned(file, "fsync");
	file->io->fsyncs++;
	rc = file->io->ops->fsync(file);
	if (rc != 0)
		file->poisoned = true;
	return rc;
}

int
io_size(struct io_file *file, uint64_t *out)
{
	return file->io->ops->size(file, out);
}

int
io_close(struct io_file *file)
{
	struct io *io;

	if (file == NULL)
		return 0;
	io = file->io;
	assert(io->open_files > 0);
	io->open_files--;
	return io->ops->close(file);
}

const char *
io_path(const struct io_file *file)
{
	return file->path;
}

/* -- Directories ---------------------------------------------------------------------------------------------------- */

int
io_rename(struct io *io, const char *from, const char *to)
{
	return io->ops->rename(io, from, to);
}

int
io_unlink(struct io *io, const char *path)
{
	return io->ops->unlink(io, path);
}

int
io_mkdir(struct io *io, const char *path)
{
	return io->ops->mkdir(io, path);
}

int
io_rmdir(struct io *io, const char *path)
{
	return io->ops->rmdir(io, path);
}

int
io_link(struct io *io, const char *from, const char *to)
{
	return io->ops->link(io, from, to);
}

int
io_symlink(struct io *io, const char *target, const char *path)
{
	return io->ops->symlink(io, target, path);
}

int
io_readlink(struct io *io, const char *path, struct buf *out)
{
	return io->ops->readlink(io, path, out);
}

int
io_stat(struct io *io, const char *path, struct io_stat *out)
{
	return io->ops->stat(io, path, out);
}

int
io_list(struct io *io, const char *path, struct mem *mem, struct io_list *out)
{
	*out = (struct io_list){ .mem = mem };
	return io->ops->list(io, path, mem, out);
}

/* The room doubles at powers of two, so it needs no field of its own. */
int
io_list_add(struct io_list *list, const char *name, enum io_type type)
{
	char *copy;

	if ((list->count & (list->count - 1)) == 0) {
		size_t room = list->count == 0 ? 1 : list->count * 2;
		struct io_entry *entries = mem_realloc(list->mem, list->entries, room * sizeof(*entries));

		if (entries == NULL)
			return ERR_MEMORY;
		list->entries = entries;
	}
	copy = mem_strdup(list->mem, name);
	if (copy == NULL)
		return ERR_MEMORY;
	list->entries[list->count++] = (struct io_entry){ .name = copy, .type = type };
	return 0;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct io_entry *)a)->name, ((const struct io_entry *)b)->name);
}

void
io_list_sort(struct io_list *list)
{
	if (list->count > 1)
		qsort(list->entries, list->count, sizeof(*list->entries), compare_entries);
}

void
io_list_free(struct io_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		mem_free(list->mem, list->entries[i].name);
	if (list->entries != NULL)
		mem_free(list->mem, list->entries);
	list->entries = NULL;
	list->count = 0;
}

int
io_fsync_dir(struct io *io, const char *path)
{
	io->fsyncs++;
	return io->ops->fsync_dir(io, path);
}

int
io_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out)
{
	*out = NULL;
	TRY(io->ops->lock(io, path, shared, create, out));
	io->open_files++;
	return 0;
}

void
io_unlock(struct io_lock_handle *lock)
{
	if (lock == NULL)
		return;
	lock->io->open_files--;
	lock->io->ops->unlock(lock);
}

int
io_free_space(struct io *io, const char *path, uint64_t *bytes)
{
	return io->ops->free_space(io, path, bytes);
}

int
io_real_path(struct io *io, const char *path, struct buf *out)
{
	return io->ops->real_path(io, path, out);
}

/* -- Made of the above ---------------------------------------------------------------------------------------------- */

int
io_exists(struct io *io, const char *path, bool *out)
{
	struct io_stat stat;
	int rc = io_stat(io, path, &stat);

	*out = rc == 0;
	return rc == ERR_NOTFOUND ? 0 : rc;
}

/* The directory that holds path, into out, terminated: "." for a bare name, "/" stays. Trailing slashes do not count. */
static int
parent_of(const char *path, struct buf *out)
{
	size_t n = strlen(path);

	buf_reset(out);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	if (n == 0)
		return buf_append(out, ".", 2);
	while (n > 1 && path[n - 1] == '/')
		n--;
	TRY(buf_append(out, path, n));
	return buf_append_u8(out, 0);
}

static int
fsync_parent(struct io *io, const char *path)
{
	struct buf parent;
	int rc;

	buf_init(&parent, io->mem);
	rc = parent_of(path, &parent);
	if (rc == 0)
		rc = io_fsync_dir(io, (const char *)parent.data);
	buf_free(&parent);
	return rc;
}

int
io_mkdir_synced(struct io *io, const char *path)
{
	bool exists;

	TRY(io_exists(io, path, &exists));
	if (!exists)
		TRY(io_mkdir(io, path));
	return fsync_parent(io, path);
}

int
io_mkdir_all(struct io *io, const char *path)
{
	size_t n = strlen(path), i;
	char *part = mem_strdup(io->mem, path);
	int rc = 0;

	if (part == NULL)
		return ERR_MEMORY;
	for (i = 1; i <= n && rc == 0; i++) {
		bool exists;
		char kept = part[i];

		if ((kept != '/' && kept != '\0') || part[i - 1] == '/')
			continue;
		part[i] = '\0';
		rc = io_exists(io, part, &exists);
		if (rc == 0 && !exists) {
			rc = io_mkdir(io, part);
			if (rc == 0)
				rc = fsync_parent(io, part);
		}
		part[i] = kept;
	}
	mem_free(io->mem, part);
	return rc;
}

int
io_read_file(struct io *io, const char *path, uint64_t limit, struct buf *out)
{
	struct io_file *file;
	uint64_t size;
	int rc;

	TRY(io_open_read(io, path, &file));
	TRY_GOTO(out, io_size(file, &size));
	if (size > limit) {
		rc = ERR_CORRUPT(path, UINT64_MAX,
		    "the file has %" PRIu64 " bytes, more than %" PRIu64 " are never expected", size, limit);
		goto out;
	}
	TRY_GOTO(out, buf_reserve(out, size));
	TRY_GOTO(out, io_pread(file, out->data + out->len, size, 0));
	out->len += size;
out:
	io_close(file);
	return rc;
}

int
io_write_file_synced(struct io *io, const char *path, const void *data, size_t n)
{
	struct io_file *file;
	int rc;

	TRY(io_create(io, path, &file));
	rc = io_write(file, data, n);
	if (rc == 0)
		rc = io_fsync(file);
	if (rc != 0) {
		io_close(file);
		return rc;
	}
	return io_close(file);
}

int
io_write_file_atomic(struct io *io, const char *path, const void *data, size_t n, bool replace)
{
	char *temporary;
	bool exists;
	int rc;

	if (!replace) {
		TRY(io_exists(io, path, &exists));
		if (exists)
			return ERR(ERR_IO, "cannot create %s: it exists already", path);
	}
	temporary = mem_printf(io->mem, "%s.tmp.%" PRIu64, path, ++io->temporary_files);
	if (temporary == NULL)
		return ERR_MEMORY;
	rc = io_write_file_synced(io, temporary, data, n);
	if (rc == 0)
		rc = io_rename(io, temporary, path);
	if (rc != 0) {
		struct err_saved saved;

		err_save(&saved);
		(void)!io_unlink(io, temporary);
		mem_free(io->mem, temporary);
		return err_restore(&saved);
	}
	mem_free(io->mem, temporary);
	return fsync_parent(io, path);
}

int
io_absolute_path(struct io *io, const char *path, struct buf *out)
{
	const char *at = path;

	buf_reset(out);
	if (path[0] != '/') {
		TRY(io_real_path(io, ".", out));
		out->len--; /* its end */
		if (out->len == 1)
			out->len = 0;
	}
	while (*at != '\0') {
		size_t n = strcspn(at, "/");

		if (n == 2 && at[0] == '.' && at[1] == '.') {
			while (out->len > 0 && out->data[out->len - 1] != '/')
				out->len--;
			if (out->len > 0)
				out->len--;
		} else if (n > 0 && !(n == 1 && at[0] == '.')) {
			TRY(buf_append_u8(out, '/'));
			TRY(buf_append(out, at, n));
		}
		at += n;
		at += strspn(at, "/");
	}
	if (out->len == 0)
		TRY(buf_append_u8(out, '/'));
	return buf_append_u8(out, 0);
}

/* What the path itself is: a symlink is not followed. false when nothing is there. */
static int
type_of(struct io *io, const char *path, bool *found, enum io_type *type)
{
	struct io_stat stat;
	struct buf target;
	int rc;

	buf_init(&target, io->mem);
	rc = io_readlink(io, path, &target);
	buf_free(&target);
	*found = true;
	*type = IO_TYPE_SYMLINK;
	if (rc == 0)
		return 0;
	rc = io_stat(io, path, &stat);
	*found = rc == 0;
	*type = stat.type;
	return rc == ERR_NOTFOUND ? 0 : rc;
}

static int copy_entry(struct io *from, const char *from_path, struct io *to, const char *to_path, enum io_type type,
    int depth);

static int
copy_file(struct io *from, const char *from_path, struct io *to, const char *to_path)
{
	struct io_file *source, *target;
	uint8_t *piece = mem_alloc(from->mem, COPY_BYTES);
	uint64_t size, at = 0;
	int rc, closed;

	if (piece == NULL)
		return ERR_MEMORY;
	TRY_GOTO(free_piece, io_open_read(from, from_path, &source));
	TRY_GOTO(close_source, io_create(to, to_path, &target));
	rc = io_size(source, &size);
	while (rc == 0 && at < size) {
		size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;

		rc = io_pread(source, piece, n, at);
		if (rc == 0)
			rc = io_write(target, piece, n);
		at += n;
	}
	closed = io_close(target);
	rc = rc != 0 ? rc : closed;
close_source:
	io_close(source);
free_piece:
	mem_free(from->mem, piece);
	return rc;
}

static int
copy_symlink(struct io *from, const char *from_path, struct io *to, const char *to_path)
{
	struct buf target;
	int rc;

	buf_init(&target, from->mem);
	rc = io_readlink(from, from_path, &target);
	if (rc == 0)
		rc = io_symlink(to, (const char *)target.data, to_path);
	buf_free(&target);
	return rc;
}

static int
copy_directory(struct io *from, const char *from_path, struct io *to, const char *to_path, int depth)
{
	struct io_list list;
	bool exists;
	size_t i;
	int rc;

	if (depth == TREE_DEPTH_MAX)
		return ERR(ERR_LIMIT, "%s is more than %d directories deep", from_path, TREE_DEPTH_MAX);
	TRY(io_exists(to, to_path, &exists));
	if (!exists)
		TRY(io_mkdir(to, to_path));
	rc = io_list(from, from_path, from->mem, &list);
	for (i = 0; i < list.count && rc == 0; i++) {
		char *source = mem_printf(from->mem, "%s/%s", from_path, list.entries[i].name);
		char *target = mem_printf(from->mem, "%s/%s", to_path, list.entries[i].name);

		rc = source == NULL || target == NULL
		    ? ERR_MEMORY
		    : copy_entry(from, source, to, target, list.entries[i].type, depth + 1);
		mem_free(from->mem, source);
		mem_free(from->mem, target);
	}
	io_list_free(&list);
	return rc;
}

static int
copy_entry(struct io *from, const char *from_path, struct io *to, const char *to_path, enum io_type type, int depth)
{
	switch (type) {
	case IO_TYPE_FILE: return copy_file(from, from_path, to, to_path);
	case IO_TYPE_SYMLINK: return copy_symlink(from, from_path, to, to_path);
	case IO_TYPE_DIRECTORY: return copy_directory(from, from_path, to, to_path, depth);
	case IO_TYPE_OTHER: break;
	}
	return ERR(ERR_IO, "cannot copy %s: neither file, directory nor symlink", from_path);
}

int
io_copy_tree(struct io *from, const char *from_path, struct io *to, const char *to_path)
{
	enum io_type type;
	bool found;

	TRY(type_of(from, from_path, &found, &type));
	if (!found)
		return ERR(ERR_NOTFOUND, "cannot copy %s: there is no such file or directory", from_path);
	return copy_entry(from, from_path, to, to_path, type, 0);
}

static int
remove_tree(struct io *io, const char *path, enum io_type type, int depth)
{
	struct io_list list;
	size_t i;
	int rc;

	if (type != IO_TYPE_DIRECTORY)
		return io_unlink(io, path);
	if (depth == TREE_DEPTH_MAX)
		return ERR(ERR_LIMIT, "%s is more than %d directories deep", path, TREE_DEPTH_MAX);
	rc = io_list(io, path, io->mem, &list);
	for (i = 0; i < list.count && rc == 0; i++) {
		char *child = mem_printf(io->mem, "%s/%s", path, list.entries[i].name);

		rc = child == NULL ? ERR_MEMORY : remove_tree(io, child, list.entries[i].type, depth + 1);
		mem_free(io->mem, child);
	}
	io_list_free(&list);
	return rc != 0 ? rc : io_rmdir(io, path);
}

int
io_remove_tree(struct io *io, const char *path)
{
	enum io_type type;
	bool found;

	TRY(type_of(io, path, &found, &type));
	return found ? remove_tree(io, path, type, 0) : 0;
}
