/*
 * io_fault.c -- every call of the disk passes through gate(), which counts it and decides.
 * floor: base     uses: io_fault.h io_file.h thread.h err.h     used by: spec/fault, spec/crash
 */
#include "base/io_fault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "base/io_file.h"
#include "base/thread.h"

/* What a full disk refuses. A journaling file system may need space for a new name, too. */
#define CALLS_NEEDING_SPACE                                                                      \
	(IO_CALL_BIT(IO_CALL_CREATE) | IO_CALL_BIT(IO_CALL_WRITE) | IO_CALL_BIT(IO_CALL_MKDIR) | \
	    IO_CALL_BIT(IO_CALL_LINK) | IO_CALL_BIT(IO_CALL_SYMLINK))

struct fault_io {
	struct io io;
	struct io *inner;
	struct lock lock;
	struct io_fault_plan plan;
	bool planned, full;
	uint64_t calls, injected;
	char last[256];
};

struct fault_file {
	struct io_file file;
	struct io_file *inner; /* NULL when its creation was left out */
};

struct fault_lock {
	struct io_lock_handle handle;
	struct io_lock_handle *inner;
};

enum verdict { PASS, LEAVE_OUT, FAIL };

static struct fault_io *
fault_of(struct io *io)
{
	return (struct fault_io *)io;
}

static struct io *
inner_of(struct io *io)
{
	return fault_of(io)->inner;
}

const char *
io_call_word(enum io_call call)
{
	static const char *const words[IO_CALLS] = {
		[IO_CALL_OPEN_READ] = "open",
		[IO_CALL_CREATE] = "create",
		[IO_CALL_PREAD] = "read",
		[IO_CALL_WRITE] = "write",
		[IO_CALL_FSYNC] = "fsync",
		[IO_CALL_SIZE] = "size",
		[IO_CALL_CLOSE] = "close",
		[IO_CALL_RENAME] = "rename",
		[IO_CALL_UNLINK] = "remove",
		[IO_CALL_MKDIR] = "mkdir",
		[IO_CALL_RMDIR] = "rmdir",
		[IO_CALL_LINK] = "link",
		[IO_CALL_SYMLINK] = "symlink",
		[IO_CALL_READLINK] = "readlink",
		[IO_CALL_STAT] = "stat",
		[IO_CALL_LIST] = "list",
		[IO_CALL_FSYNC_DIR] = "fsync dir",
		[IO_CALL_LOCK] = "lock",
		[IO_CALL_FREE_SPACE] = "free space",
		[IO_CALL_REAL_PATH] = "real path",
	};

	return (size_t)call < IO_CALLS ? words[call] : "unknown";
}

static bool
is_counted(const struct io_fault_plan *plan, enum io_call call, const char *path)
{
	if (plan->calls != 0 && (plan->calls & IO_CALL_BIT(call)) == 0)
		return false;
	return plan->path_part == NULL || strstr(path, plan->path_part) != NULL;
}

/* With the lock held. */
static enum verdict
judge(struct fault_io *io, enum io_call call, const char *path, int *errno_value)
{
	*errno_value = ENOSPC;
	if (io->full && (CALLS_NEEDING_SPACE & IO_CALL_BIT(call)) != 0)
		return FAIL;
	if (!io->planned || !is_counted(&io->plan, call, path))
		return PASS;
	io->calls++;
	if (io->plan.fail_at == 0 || io->calls < io->plan.fail_at ||
	    (io->calls > io->plan.fail_at && !io->plan.for_ever))
		return PASS;
	*errno_value = io->plan.errno_value;
	if (!io->plan.leave_out)
		return FAIL;
	return (IO_CALLS_CHANGING & IO_CALL_BIT(call)) != 0 ? LEAVE_OUT : PASS;
}

/* Counts the call. On FAIL the last error is set and *rc is its code. */
static enum verdict
gate(struct io *io, enum io_call call, const char *path, int *rc)
{
	struct fault_io *fault = fault_of(io);
	enum verdict verdict;
	int errno_value;

	lock_take(&fault->lock);
	verdict = judge(fault, call, path, &errno_value);
	if (verdict != PASS) {
		fault->injected++;
		snprintf(fault->last, sizeof(fault->last), "%s %" PRIu64 ": %s %.200s",
		    verdict == FAIL ? "failed" : "left out", fault->calls, io_call_word(call), path);
	}
	lock_release(&fault->lock);
	*rc = 0;
	if (verdict == FAIL) {
		char what[64];

		snprintf(what, sizeof(what), "%s (injected)", io_call_word(call));
		*rc = ERR_ERRNO(errno_value, what, path);
	}
	return verdict;
}

/* -- Files ---------------------------------------------------------------------------------------------------------- */

static struct fault_file *
file_of(struct io_file *file)
{
	return (struct fault_file *)file;
}

static int
open_or_create(struct io *io, const char *path, bool create, struct io_file **out)
{
	struct fault_file *file;
	enum verdict verdict;
	int rc;

	verdict = gate(io, create ? IO_CALL_CREATE : IO_CALL_OPEN_READ, path, &rc);
	if (verdict == FAIL)
		return rc;
	file = mem_zalloc(io->mem, sizeof(*file));
	if (file == NULL)
		return ERR_MEMORY;
	rc = io_file_init(&file->file, io, path);
	if (rc != 0) {
		mem_free(io->mem, file);
		return rc;
	}
	if (verdict == PASS)
		rc = create ? io_create(inner_of(io), path, &file->inner)
			    : io_open_read(inner_of(io), path, &file->inner);
	if (rc != 0) {
		io_file_uninit(&file->file);
		mem_free(io->mem, file);
		return rc;
	}
	*out = &file->file;
	return 0;
}

static int
fault_open_read(struct io *io, const char *path, struct io_file **out)
{
	return open_or_create(io, path, false, out);
}

static int
fault_create(struct io *io, const char *path, struct io_file **out)
{
	return open_or_create(io, path, true, out);
}

static int
fault_pread(struct io_file *file, void *data, size_t n, uint64_t offset)
{
	int rc;

	if (gate(file->io, IO_CALL_PREAD, file->path, &rc) == FAIL)
		return rc;
	return io_pread(file_of(file)->inner, data, n, offset);
}

static int
fault_write(struct io_file *file, const void *data, size_t n)
{
	struct io_file *inner = file_of(file)->inner;
	struct err_saved saved;
	int rc;

	switch (gate(file->io, IO_CALL_WRITE, file->path, &rc)) {
	case FAIL:
		/* a write that fails in the middle leaves its first part behind */
		err_save(&saved);
		if (inner != NULL)
			(void)!io_write(inner, data, n / 2);
		return err_restore(&saved);
	case LEAVE_OUT: return 0;
	case PASS: break;
	}
	return inner == NULL ? 0 : io_write(inner, data, n);
}

static int
fault_fsync(struct io_file *file)
{
	struct fault_io *fault = fault_of(file->io);
	struct err_saved saved;
	int rc;

	switch (gate(file->io, IO_CALL_FSYNC, file->path, &rc)) {
	case FAIL:
		err_save(&saved);
		if (fault->plan.fsync_failed != NULL)
			(void)!fault->plan.fsync_failed(fault->inner, file->path);
		return err_restore(&saved);
	case LEAVE_OUT: return 0;
	case PASS: break;
	}
	return file_of(file)->inner == NULL ? 0 : io_fsync(file_of(file)->inner);
}

static int
fault_size(struct io_file *file, uint64_t *out)
{
	int rc;

	if (gate(file->io, IO_CALL_SIZE, file->path, &rc) == FAIL)
		return rc;
	*out = 0;
	return file_of(file)->inner == NULL ? 0 : io_size(file_of(file)->inner, out);
}

/* A failing close closes all the same, as the kernel does. */
static int
fault_close(struct io_file *file)
{
	struct mem *mem = file->io->mem;
	struct err_saved saved;
	int rc, inner_rc;
	bool failed = gate(file->io, IO_CALL_CLOSE, file->path, &rc) == FAIL;

	err_save(&saved);
	inner_rc = io_close(file_of(file)->inner);
	io_file_uninit(file);
	mem_free(mem, file);
	return failed ? err_restore(&saved) : inner_rc;
}

/* -- Names ---------------------------------------------------------------------------------------------------------- */

/* Leaves the calling function unless the call shall reach the inner disk. */
#define PASS_GATE(io, call, path)                                  \
	do {                                                       \
		int gate_rc_;                                      \
		if (gate((io), (call), (path), &gate_rc_) != PASS) \
			return gate_rc_;                           \
	} while (0)

static int
fault_rename(struct io *io, const char *from, const char *to)
{
	/* a plan looks for its part of the path in both: the target is what usually names the thing */
	const struct fault_io *fault = fault_of(io);
	const char *path = to;

	if (fault->planned && fault->plan.path_part != NULL && strstr(from, fault->plan.path_part) != NULL)
		path = from;
	PASS_GATE(io, IO_CALL_RENAME, path);
	return io_rename(fault->inner, from, to);
}

static int
fault_unlink(struct io *io, const char *path)
{
	PASS_GATE(io, IO_CALL_UNLINK, path);
	return io_unlink(inner_of(io), path);
}

static int
fault_mkdir(struct io *io, const char *path)
{
	PASS_GATE(io, IO_CALL_MKDIR, path);
	return io_mkdir(inner_of(io), path);
}

static int
fault_rmdir(struct io *io, const char *path)
{
	PASS_GATE(io, IO_CALL_RMDIR, path);
	return io_rmdir(inner_of(io), path);
}

static int
fault_link(struct io *io, const char *from, const char *to)
{
	PASS_GATE(io, IO_CALL_LINK, to);
	return io_link(inner_of(io), from, to);
}

static int
fault_symlink(struct io *io, const char *target, const char *path)
{
	PASS_GATE(io, IO_CALL_SYMLINK, path);
	return io_symlink(inner_of(io), target, path);
}

static int
fault_readlink(struct io *io, const char *path, struct buf *out)
{
	PASS_GATE(io, IO_CALL_READLINK, path);
	return io_readlink(inner_of(io), path, out);
}

static int
fault_stat(struct io *io, const char *path, struct io_stat *out)
{
	PASS_GATE(io, IO_CALL_STAT, path);
	return io_stat(inner_of(io), path, out);
}

static int
fault_list(struct io *io, const char *path, struct mem *mem, struct io_list *out)
{
	PASS_GATE(io, IO_CALL_LIST, path);
	return io_list(inner_of(io), path, mem, out);
}

static int
fault_fsync_dir(struct io *io, const char *path)
{
	PASS_GATE(io, IO_CALL_FSYNC_DIR, path);
	return io_fsync_dir(inner_of(io), path);
}

static int
fault_free_space(struct io *io, const char *path, uint64_t *bytes)
{
	PASS_GATE(io, IO_CALL_FREE_SPACE, path);
	*bytes = 0;
	return fault_of(io)->full ? 0 : io_free_space(inner_of(io), path, bytes);
}

static int
fault_real_path(struct io *io, const char *path, struct buf *out)
{
	PASS_GATE(io, IO_CALL_REAL_PATH, path);
	return io_real_path(inner_of(io), path, out);
}

static int
fault_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out)
{
	struct fault_lock *lock;
	int rc;

	PASS_GATE(io, IO_CALL_LOCK, path);
	lock = mem_zalloc(io->mem, sizeof(*lock));
	if (lock == NULL)
		return ERR_MEMORY;
	lock->handle.io = io;
	rc = io_lock(inner_of(io), path, shared, create, &lock->inner);
	if (rc != 0) {
		mem_free(io->mem, lock);
		return rc;
	}
	*out = &lock->handle;
	return 0;
}

static void
fault_unlock(struct io_lock_handle *handle)
{
	io_unlock(((struct fault_lock *)handle)->inner);
	mem_free(handle->io->mem, handle);
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

static void
fault_destroy(struct io *io)
{
	lock_destroy(&fault_of(io)->lock);
	mem_free(io->mem, io);
}

int
io_fault_create(struct mem *mem, struct io *inner, struct io **out)
{
	static const struct io_ops ops = {
		.open_read = fault_open_read,
		.create = fault_create,
		.pread = fault_pread,
		.write = fault_write,
		.fsync = fault_fsync,
		.size = fault_size,
		.close = fault_close,
		.rename = fault_rename,
		.unlink = fault_unlink,
		.mkdir = fault_mkdir,
		.rmdir = fault_rmdir,
		.link = fault_link,
		.symlink = fault_symlink,
		.readlink = fault_readlink,
		.stat = fault_stat,
		.list = fault_list,
		.fsync_dir = fault_fsync_dir,
		.lock = fault_lock,
		.unlock = fault_unlock,
		.free_space = fault_free_space,
		.real_path = fault_real_path,
		.destroy = fault_destroy,
	};
	struct fault_io *fault = mem_zalloc(mem, sizeof(*fault));

	*out = NULL;
	if (fault == NULL)
		return ERR_MEMORY;
	fault->io.ops = &ops;
	fault->io.mem = mem;
	fault->inner = inner;
	lock_init(&fault->lock);
	*out = &fault->io;
	return 0;
}

void
io_fault_plan(struct io *io, const struct io_fault_plan *plan)
{
	struct fault_io *fault = fault_of(io);

	lock_take(&fault->lock);
	fault->planned = plan != NULL;
	fault->plan = plan != NULL ? *plan : (struct io_fault_plan){ .fail_at = 0 };
	fault->calls = fault->injected = 0;
	fault->last[0] = '\0';
	lock_release(&fault->lock);
}

uint64_t
io_fault_calls(struct io *io)
{
	return fault_of(io)->calls;
}

uint64_t
io_fault_injected(struct io *io)
{
	return fault_of(io)->injected;
}

void
io_fault_set_full(struct io *io, bool full)
{
	lock_take(&fault_of(io)->lock);
	fault_of(io)->full = full;
	lock_release(&fault_of(io)->lock);
}

const char *
io_fault_last(struct io *io)
{
	return fault_of(io)->last;
}
