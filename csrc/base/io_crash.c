/*
 * io_crash.c -- the file system calls over a crash_tree, with a record of every change.
 * floor: base     uses: io_crash.h crash_io.h crash_walk.h err.h     used by: spec/crash, spec/fault, simulation
 *
 * Every changing call looks at the live tree, builds the operation, records it, and then lets the same code that
 * replays journals apply it: so what is seen live and what a state shows cannot differ.
 */
#include "base/io_crash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/crash_io.h"
#include "base/crash_walk.h"
#include "base/err.h"

struct crash_file {
	struct io_file file;
	uint64_t node;
	bool writable;
};

struct crash_lock {
	struct io_lock_handle handle;
	uint64_t node;
	bool shared;
};

int
crash_io_failed(int errno_value, const char *what, const char *path)
{
	if (errno_value == ENOENT)
		return ERR(ERR_NOTFOUND, "cannot %s %s: there is no such file or directory", what, path);
	return ERR_ERRNO(errno_value, what, path);
}

/* -- Recording ------------------------------------------------------------------------------------------------------ */

static int
name_blob(struct crash_io *io, const struct crash_walk *walk, struct crash_blob **out)
{
	return crash_blob_new(io->io.mem, walk->name, walk->name_len, out);
}

/* Bytes of a file that nothing leads to any more are free again. */
static void
give_back(struct crash_io *io, const struct crash_node *node)
{
	if (node != NULL && node->type == IO_TYPE_FILE && node->links == 0 && node->handles == 0 &&
	    io->free_bytes != UINT64_MAX)
		io->free_bytes += node->size;
}

int
crash_io_record(struct crash_io *io, struct crash_op op)
{
	TRY(crash_journal_add(&io->journal, op));
	return crash_journal_apply(&io->live, &io->journal.ops[io->journal.count - 1]);
}

/* dir/name -> a new node, or one more name of `existing`. */
static int
record_create(struct crash_io *io, const struct crash_walk *walk, enum io_type type, const char *target,
    struct crash_node *existing)
{
	struct crash_op op = { .kind = CRASH_OP_CREATE, .type = type, .is_new = existing == NULL };
	int rc;

	op.node = existing == NULL ? io->live.count : existing->id;
	op.dir = walk->dirs[walk->depth];
	TRY(name_blob(io, walk, &op.name));
	if (target != NULL) {
		rc = crash_blob_new(io->io.mem, target, strlen(target), &op.data);
		if (rc != 0) {
			crash_blob_release(op.name);
			return rc;
		}
	}
	rc = crash_io_record(io, op);
	if (rc == 0)
		crash_tree_node(&io->live, op.node)->modified = (int64_t)io->journal.count;
	return rc;
}

/* -- Files ---------------------------------------------------------------------------------------------------------- */

static int
file_new(struct crash_io *io, const char *path, uint64_t node, bool writable, struct io_file **out)
{
	struct crash_file *file = mem_zalloc(io->io.mem, sizeof(*file));
	int rc;

	if (file == NULL)
		return ERR_MEMORY;
	rc = io_file_init(&file->file, &io->io, path);
	if (rc != 0) {
		mem_free(io->io.mem, file);
		return rc;
	}
	file->node = node;
	file->writable = writable;
	crash_tree_node(&io->live, node)->handles++;
	*out = &file->file;
	return 0;
}

static struct crash_node *
node_of(struct io_file *file)
{
	return crash_tree_node(&crash_io_of(file->io)->live, ((struct crash_file *)file)->node);
}

static int
open_read_locked(struct crash_io *io, const char *path, struct io_file **out)
{
	struct crash_walk walk;
	int failure = crash_walk_existing(&io->live, path, true, &walk);

	if (failure != 0)
		return crash_io_failed(failure, "open", path);
	return file_new(io, path, walk.node->id, false, out);
}

static int
create_locked(struct crash_io *io, const char *path, struct io_file **out)
{
	struct crash_walk walk;
	int failure = crash_walk(&io->live, path, true, &walk);
	uint64_t id;

	if (failure != 0 || walk.name_len == 0)
		return crash_io_failed(failure != 0 ? failure : EISDIR, "create", path);
	if (walk.node != NULL && walk.node->type != IO_TYPE_FILE)
		return crash_io_failed(EISDIR, "create", path);
	if (walk.node != NULL) {
		id = walk.node->id;
		if (io->free_bytes != UINT64_MAX)
			io->free_bytes += walk.node->size;
		TRY(crash_io_record(io, (struct crash_op){ .kind = CRASH_OP_TRUNCATE, .node = id }));
	} else {
		id = io->live.count;
		TRY(record_create(io, &walk, IO_TYPE_FILE, NULL, NULL));
	}
	return file_new(io, path, id, true, out);
}

static int
crash_open_read(struct io *io, const char *path, struct io_file **out)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = open_read_locked(crash_io_of(io), path, out);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

static int
crash_create(struct io *io, const char *path, struct io_file **out)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = create_locked(crash_io_of(io), path, out);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

static int
crash_pread(struct io_file *file, void *data, size_t n, uint64_t offset)
{
	struct crash_io *io = crash_io_of(file->io);
	const struct crash_node *node;
	int rc = 0;

	lock_take(&io->lock);
	node = node_of(file);
	if (node->type != IO_TYPE_FILE)
		rc = crash_io_failed(EISDIR, "read", file->path);
	else if (offset > node->size || n > node->size - offset)
		rc = ERR_CORRUPT(file->path, offset,
		    "the file ends early: it has %" PRIu64 " bytes, %zu from here were expected", node->size, n);
	else
		crash_node_read(node, data, n, offset);
	lock_release(&io->lock);
	return rc;
}

static int
write_locked(struct crash_io *io, struct io_file *file, const void *data, size_t n)
{
	struct crash_op op = { .kind = CRASH_OP_WRITE, .node = ((struct crash_file *)file)->node };
	size_t room = io->free_bytes < n ? (size_t)io->free_bytes : n;

	if (!((struct crash_file *)file)->writable)
		return crash_io_failed(EBADF, "write", file->path);
	/* a disk that fills up takes the first part of a write */
	if (room > 0) {
		TRY(crash_blob_new(io->io.mem, data, room, &op.data));
		TRY(crash_io_record(io, op));
		node_of(file)->modified = (int64_t)io->journal.count;
		if (io->free_bytes != UINT64_MAX)
			io->free_bytes -= room;
	}
	return room < n ? crash_io_failed(ENOSPC, "write", file->path) : 0;
}

static int
crash_write(struct io_file *file, const void *data, size_t n)
{
	struct crash_io *io = crash_io_of(file->io);
	int rc;

	lock_take(&io->lock);
	rc = write_locked(io, file, data, n);
	lock_release(&io->lock);
	return rc;
}

static int
crash_fsync(struct io_file *file)
{
	struct crash_io *io = crash_io_of(file->io);
	int rc;

	lock_take(&io->lock);
	rc =
	    crash_io_record(io, (struct crash_op){ .kind = CRASH_OP_FSYNC, .node = ((struct crash_file *)file)->node });
	lock_release(&io->lock);
	return rc;
}

static int
crash_size(struct io_file *file, uint64_t *out)
{
	struct crash_io *io = crash_io_of(file->io);

	lock_take(&io->lock);
	*out = node_of(file)->size;
	lock_release(&io->lock);
	return 0;
}

static int
crash_close(struct io_file *file)
{
	struct crash_io *io = crash_io_of(file->io);

	lock_take(&io->lock);
	node_of(file)->handles--;
	give_back(io, node_of(file));
	lock_release(&io->lock);
	io_file_uninit(file);
	mem_free(io->io.mem, file);
	return 0;
}

/* -- Names ---------------------------------------------------------------------------------------------------------- */

/* May `to` be replaced by `from`? Returns an errno. */
static int
check_replace(const struct crash_node *from, const struct crash_node *to)
{
	if (to == NULL)
		return 0;
	if (from->type == IO_TYPE_DIRECTORY) {
		if (to->type != IO_TYPE_DIRECTORY)
			return ENOTDIR;
		return to->entries_count == 0 ? 0 : ENOTEMPTY;
	}
	return to->type == IO_TYPE_DIRECTORY ? EISDIR : 0;
}

static int
rename_errno(struct crash_io *io, const char *from_path, const char *to_path, struct crash_walk *from,
    struct crash_walk *to)
{
	int failure = crash_walk_existing(&io->live, from_path, false, from);
	size_t i;

	if (failure == 0)
		failure = crash_walk(&io->live, to_path, false, to);
	if (failure != 0)
		return failure;
	if (from->name_len == 0 || to->name_len == 0)
		return EBUSY;
	for (i = 0; i <= to->depth; i++)
		if (to->dirs[i] == from->node->id)
			return EINVAL; /* into itself */
	return check_replace(from->node, to->node);
}

static int
rename_locked(struct crash_io *io, const char *from_path, const char *to_path)
{
	struct crash_op op = { .kind = CRASH_OP_RENAME };
	struct crash_node *replaced;
	struct crash_walk from, to;
	int failure = rename_errno(io, from_path, to_path, &from, &to), rc;

	if (failure != 0) {
		char both[1024];

		snprintf(both, sizeof(both), "%.500s to %.500s", from_path, to_path);
		return crash_io_failed(failure, "rename", both);
	}
	replaced = to.node;
	if (replaced == from.node)
		return 0;
	op.type = from.node->type;
	op.node = from.node->id;
	op.dir = from.dirs[from.depth];
	op.dir2 = to.dirs[to.depth];
	TRY(name_blob(io, &from, &op.name));
	rc = name_blob(io, &to, &op.name2);
	if (rc != 0) {
		crash_blob_release(op.name);
		return rc;
	}
	TRY(crash_io_record(io, op));
	give_back(io, replaced);
	return 0;
}

static int
crash_rename(struct io *io, const char *from, const char *to)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = rename_locked(crash_io_of(io), from, to);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

static int
remove_locked(struct crash_io *io, const char *path, bool directory)
{
	struct crash_op op = { .kind = CRASH_OP_REMOVE };
	const char *what = directory ? "remove directory" : "remove";
	struct crash_node *node;
	struct crash_walk walk;
	int failure = crash_walk_existing(&io->live, path, false, &walk);

	if (failure == 0 && walk.name_len == 0)
		failure = EBUSY;
	if (failure == 0 && directory)
		failure = walk.node->type != IO_TYPE_DIRECTORY ? ENOTDIR : walk.node->entries_count > 0 ? ENOTEMPTY : 0;
	else if (failure == 0 && walk.node->type == IO_TYPE_DIRECTORY)
		failure = EISDIR;
	if (failure != 0)
		return crash_io_failed(failure, what, path);
	node = walk.node;
	op.node = node->id;
	op.type = node->type;
	op.dir = walk.dirs[walk.depth];
	TRY(name_blob(io, &walk, &op.name));
	TRY(crash_io_record(io, op));
	give_back(io, node);
	return 0;
}

static int
crash_unlink(struct io *io, const char *path)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = remove_locked(crash_io_of(io), path, false);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

static int
crash_rmdir(struct io *io, const char *path)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = remove_locked(crash_io_of(io), path, true);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

/* mkdir, symlink and link: a name that must not be there yet. */
static int
make_name(struct io *io, const char *path, enum io_type type, const char *target, const char *existing_path,
    const char *what)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk, existing = { .node = NULL };
	int failure = 0, rc;

	lock_take(&crash->lock);
	if (existing_path != NULL) {
		failure = crash_walk_existing(&crash->live, existing_path, false, &existing);
		if (failure == 0 && existing.node->type == IO_TYPE_DIRECTORY)
			failure = EPERM;
	}
	if (failure == 0)
		failure = crash_walk(&crash->live, path, false, &walk);
	if (failure == 0 && walk.node != NULL)
		failure = EEXIST;
	if (failure != 0)
		rc = crash_io_failed(failure, what, path);
	else
		rc = record_create(crash, &walk, existing.node != NULL ? existing.node->type : type, target,
		    existing.node);
	lock_release(&crash->lock);
	return rc;
}

static int
crash_mkdir(struct io *io, const char *path)
{
	return make_name(io, path, IO_TYPE_DIRECTORY, NULL, NULL, "create directory");
}

static int
crash_symlink(struct io *io, const char *target, const char *path)
{
	return make_name(io, path, IO_TYPE_SYMLINK, target, NULL, "create symlink");
}

static int
crash_link(struct io *io, const char *from, const char *to)
{
	return make_name(io, to, IO_TYPE_FILE, NULL, from, "link");
}

static int
crash_readlink(struct io *io, const char *path, struct buf *out)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure, rc;

	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, false, &walk);
	if (failure == 0 && walk.node->type != IO_TYPE_SYMLINK)
		failure = EINVAL;
	buf_reset(out);
	rc = failure != 0 ? crash_io_failed(failure, "read symlink", path)
			  : buf_append(out, walk.node->target->data, walk.node->target->len + 1);
	lock_release(&crash->lock);
	return rc;
}

static int
crash_stat(struct io *io, const char *path, struct io_stat *out)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure;

	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, true, &walk);
	if (failure == 0)
		*out = (struct io_stat){ .type = walk.node->type,
			.bytes = walk.node->size,
			.modified_ms = walk.node->modified };
	lock_release(&crash->lock);
	return failure == 0 ? 0 : crash_io_failed(failure == ENOTDIR ? ENOENT : failure, "stat", path);
}

static int
crash_list(struct io *io, const char *path, struct mem *mem, struct io_list *out)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure, rc = 0;
	size_t i;

	(void)mem;
	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, true, &walk);
	if (failure == 0 && walk.node->type != IO_TYPE_DIRECTORY)
		failure = ENOTDIR;
	for (i = 0; failure == 0 && rc == 0 && i < walk.node->entries_count; i++) {
		const struct crash_entry *entry = &walk.node->entries[i];

		rc = io_list_add(out, crash_blob_text(entry->name), crash_tree_node(&crash->live, entry->id)->type);
	}
	lock_release(&crash->lock);
	if (rc != 0)
		io_list_free(out);
	return failure != 0 ? crash_io_failed(failure, "list", path) : rc;
}

static int
crash_fsync_dir(struct io *io, const char *path)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure, rc;

	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, true, &walk);
	if (failure == 0 && walk.node->type != IO_TYPE_DIRECTORY)
		failure = ENOTDIR;
	rc = failure != 0
	    ? crash_io_failed(failure, "fsync directory", path)
	    : crash_io_record(crash, (struct crash_op){ .kind = CRASH_OP_FSYNC_DIR, .dir = walk.node->id });
	lock_release(&crash->lock);
	return rc;
}

static int
crash_free_space(struct io *io, const char *path, uint64_t *bytes)
{
	struct crash_io *crash = crash_io_of(io);

	(void)path;
	lock_take(&crash->lock);
	*bytes = crash->free_bytes == UINT64_MAX ? UINT64_C(1) << 50 : crash->free_bytes;
	lock_release(&crash->lock);
	return 0;
}

static int
crash_real_path(struct io *io, const char *path, struct buf *out)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure, rc = 0;
	size_t i;

	buf_reset(out);
	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, true, &walk);
	for (i = 0; failure == 0 && rc == 0 && i < walk.depth; i++)
		rc = buf_printf(out, "/%.*s", (int)walk.name_lens[i], walk.names[i]);
	if (failure == 0 && rc == 0 && walk.name_len > 0)
		rc = buf_printf(out, "/%.*s", (int)walk.name_len, walk.name);
	if (failure == 0 && rc == 0 && out->len == 0)
		rc = buf_append_text(out, "/");
	lock_release(&crash->lock);
	if (failure != 0)
		return crash_io_failed(failure, "resolve", path);
	return rc != 0 ? rc : buf_append_u8(out, 0);
}

/* -- Locks ---------------------------------------------------------------------------------------------------------- */

static int
lock_locked(struct crash_io *io, const char *path, bool shared, bool create, struct io_lock_handle **out)
{
	struct crash_lock *lock;
	struct crash_node *node;
	struct crash_walk walk;
	int failure = crash_walk(&io->live, path, true, &walk);

	if (failure == 0 && walk.node == NULL && !create)
		failure = ENOENT;
	if (failure != 0)
		return crash_io_failed(failure, "open", path);
	if (walk.node == NULL) {
		uint64_t id = io->live.count;

		TRY(record_create(io, &walk, IO_TYPE_FILE, NULL, NULL));
		walk.node = crash_tree_node(&io->live, id);
	}
	node = walk.node;
	if (node->lock_holders > 0 && (!shared || node->lock_exclusive))
		return ERR(ERR_LOCKED, "%s is held by this process: close the other handle first", path);
	lock = mem_alloc(io->io.mem, sizeof(*lock));
	if (lock == NULL)
		return ERR_MEMORY;
	*lock = (struct crash_lock){ .handle.io = &io->io, .node = node->id, .shared = shared };
	node->lock_holders++;
	node->lock_exclusive = !shared;
	*out = &lock->handle;
	return 0;
}

static int
crash_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = lock_locked(crash_io_of(io), path, shared, create, out);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

static void
crash_unlock(struct io_lock_handle *handle)
{
	struct crash_io *io = crash_io_of(handle->io);
	struct crash_node *node;

	lock_take(&io->lock);
	node = crash_tree_node(&io->live, ((struct crash_lock *)handle)->node);
	node->lock_holders--;
	lock_release(&io->lock);
	mem_free(io->io.mem, handle);
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

static void
crash_destroy(struct io *io)
{
	struct crash_io *crash = crash_io_of(io);

	crash_journal_free(&crash->journal);
	crash_tree_free(&crash->base);
	crash_tree_free(&crash->live);
	lock_destroy(&crash->lock);
	mem_free(io->mem, crash);
}

int
crash_io_new(struct mem *mem, struct crash_io **out)
{
	static const struct io_ops ops = {
		.open_read = crash_open_read,
		.create = crash_create,
		.pread = crash_pread,
		.write = crash_write,
		.fsync = crash_fsync,
		.size = crash_size,
		.close = crash_close,
		.rename = crash_rename,
		.unlink = crash_unlink,
		.mkdir = crash_mkdir,
		.rmdir = crash_rmdir,
		.link = crash_link,
		.symlink = crash_symlink,
		.readlink = crash_readlink,
		.stat = crash_stat,
		.list = crash_list,
		.fsync_dir = crash_fsync_dir,
		.lock = crash_lock,
		.unlock = crash_unlock,
		.free_space = crash_free_space,
		.real_path = crash_real_path,
		.destroy = crash_destroy,
	};
	struct crash_io *io = mem_zalloc(mem, sizeof(*io));

	if (io == NULL)
		return ERR_MEMORY;
	io->io.ops = &ops;
	io->io.mem = mem;
	io->free_bytes = UINT64_MAX;
	io->base.mem = mem;
	io->live.mem = mem;
	lock_init(&io->lock);
	crash_journal_init(&io->journal, mem);
	*out = io;
	return 0;
}

int
io_crash_create(struct mem *mem, struct io **out)
{
	struct crash_io *io;
	int rc;

	*out = NULL;
	TRY(crash_io_new(mem, &io));
	rc = crash_tree_init(&io->base, mem);
	if (rc == 0)
		rc = crash_tree_init(&io->live, mem);
	if (rc != 0) {
		crash_destroy(&io->io);
		return rc;
	}
	*out = &io->io;
	return 0;
}
