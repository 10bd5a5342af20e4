/*
 * io.h -- the disk as an interface. No other file talks to the kernel about files.
 * floor: base     uses: err.h buf.h     used by: everyone that reads or writes files
 *
 *   io_posix.c   the real one
 *   io_fault.c   wraps another and makes the n-th call fail, once or for ever
 *   io_crash.c   a file system in memory that records every operation and can rebuild any state a crash may leave
 *
 * Paths are UTF-8 or any bytes, terminated, absolute or relative to the working directory. Descriptors are O_CLOEXEC.
 * New directories have mode 0755, files 0666, both minus umask. Nothing here retries a failed fsync, and after a failed
 * write or fsync a file may only be closed (the call returns ERR_IO at once: the file is poisoned).
 * EINTR and short reads and writes are handled inside.
 *
 * Errors     ERR_NOSPACE (ENOSPC, EDQUOT), ERR_NOTFOUND (ENOENT), ERR_LOCKED (io_lock), ERR_IO for the rest;
 *            messages name the call, the path and the system's text.
 * Ownership  an open file belongs to the caller until io_close, which frees it also when it fails.
 * Threads    one io may be used by all threads; one file by one thread, but io_pread by any number.
 */
#ifndef TSE_IO_H
#define TSE_IO_H

#include "base/buf.h"

struct io;
struct io_file;
struct io_lock_handle;

enum io_type { IO_TYPE_FILE, IO_TYPE_DIRECTORY, IO_TYPE_SYMLINK, IO_TYPE_OTHER };

struct io_stat {
	enum io_type type; /* symlinks are followed */
	uint64_t bytes;
	int64_t modified_ms;
};

struct io_entry {
	char *name;        /* without directory */
	enum io_type type; /* of the entry itself: symlinks are not followed */
};

/* A directory listing, sorted by name, without "." and "..". */
struct io_list {
	struct io_entry *entries;
	size_t count;
	struct mem *mem;
};

struct io_ops {
	int (*open_read)(struct io *io, const char *path, struct io_file **out);
	int (*create)(struct io *io, const char *path,
	    struct io_file **out); /* create or truncate, for writing at the end */
	int (*pread)(struct io_file *file, void *data, size_t n,
	    uint64_t offset); /* exactly n bytes, else ERR_CORRUPTED "ends early" */
	int (*write)(struct io_file *file, const void *data, size_t n); /* append */
	int (*fsync)(struct io_file *file);
	int (*size)(struct io_file *file, uint64_t *out);
	int (*close)(struct io_file *file);
	int (*rename)(struct io *io, const char *from, const char *to);
	int (*unlink)(struct io *io, const char *path);
	int (*mkdir)(struct io *io, const char *path); /* ERR_IO when it exists */
	int (*rmdir)(struct io *io, const char *path);
	int (*link)(struct io *io, const char *from, const char *to);
	int (*symlink)(struct io *io, const char *target, const char *path);
	int (*readlink)(struct io *io, const char *path, struct buf *out); /* terminated */
	int (*stat)(struct io *io, const char *path, struct io_stat *out); /* ERR_NOTFOUND when missing */
	int (*list)(struct io *io, const char *path, struct mem *mem, struct io_list *out);
	int (*fsync_dir)(struct io *io, const char *path);
	int (*lock)(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out);
	void (*unlock)(struct io_lock_handle *lock);
	int (*free_space)(struct io *io, const char *path, uint64_t *bytes);
	int (
	    *real_path)(struct io *io, const char *path, struct buf *out); /* absolute, symlinks resolved, terminated */
	void (*destroy)(struct io *io);
};

struct io {
	const struct io_ops *ops;
	struct mem *mem;
	_Atomic uint64_t open_files; /* live descriptors: zero after close */
	_Atomic uint64_t bytes_written;
	_Atomic uint64_t bytes_read;
	_Atomic uint64_t fsyncs;
	_Atomic uint64_t temporary_files; /* numbers of io_write_file_atomic */
};

NODISCARD int io_posix_create(struct mem *mem, struct io **out);
void io_destroy(struct io *io); /* NULL is fine */

NODISCARD int io_open_read(struct io *io, const char *path, struct io_file **out);
NODISCARD int io_create(struct io *io, const char *path, struct io_file **out);
NODISCARD int io_pread(struct io_file *file, void *data, size_t n, uint64_t offset);
NODISCARD int io_write(struct io_file *file, const void *data, size_t n);
NODISCARD int io_fsync(struct io_file *file);
NODISCARD int io_size(struct io_file *file, uint64_t *out);
int io_close(struct io_file *file); /* NULL is fine */
const char *io_path(const struct io_file *file);
NODISCARD int io_rename(struct io *io, const char *from, const char *to);
NODISCARD int io_unlink(struct io *io, const char *path);
NODISCARD int io_mkdir(struct io *io, const char *path);
NODISCARD int io_rmdir(struct io *io, const char *path);
NODISCARD int io_link(struct io *io, const char *from, const char *to);
NODISCARD int io_symlink(struct io *io, const char *target, const char *path);
NODISCARD int io_readlink(struct io *io, const char *path, struct buf *out);
NODISCARD int io_stat(struct io *io, const char *path, struct io_stat *out);
NODISCARD int io_list(struct io *io, const char *path, struct mem *mem, struct io_list *out);
void io_list_free(struct io_list *list);
NODISCARD int io_fsync_dir(struct io *io, const char *path);
/* flock on the file, created when `create`; ERR_LOCKED names the owner's pid where the system tells it. Never waits. */
NODISCARD int io_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out);
void io_unlock(
    struct io_lock_handle *lock); /* NULL is fine; unlocks explicitly, so that a forked child cannot keep it */
NODISCARD int io_free_space(struct io *io, const char *path, uint64_t *bytes);
NODISCARD int io_real_path(struct io *io, const char *path, struct buf *out);

/* -- Made of the above (io.c) ------------------------------------------------------------------------------------- */

/* true when something is there (symlinks followed); errors other than "missing" are returned. */
NODISCARD int io_exists(struct io *io, const char *path, bool *out);
/* The directory and its missing parents; every directory made is followed by fsync of its parent. Existing: fine. */
NODISCARD int io_mkdir_all(struct io *io, const char *path);
/* Makes it if missing, then fsync of the parent. */
NODISCARD int io_mkdir_synced(struct io *io, const char *path);
/* The whole file, at most limit bytes (else ERR_CORRUPTED); appended to out. */
NODISCARD int io_read_file(struct io *io, const char *path, uint64_t limit, struct buf *out);
/* create, write, fsync, close: not atomic, no directory fsync. For files in directories nobody sees yet. */
NODISCARD int io_write_file_synced(struct io *io, const char *path, const void *data, size_t n);
/* <path>.tmp.<n>, write, fsync, rename, fsync of the directory. ERR_IO when path exists and !replace. */
NODISCARD int io_write_file_atomic(struct io *io, const char *path, const void *data, size_t n, bool replace);
/* The path made absolute and clean without looking at the disk beyond the working directory: no "//", ".", "..". Replaces
 * out, terminated. Symlinks stay, as in the paths that the peer writes. */
NODISCARD int io_absolute_path(struct io *io, const char *path, struct buf *out);
/* Copies what is under from_path on one disk to to_path on another (or the same), which is made when missing. Symlinks stay
 * symlinks, hard links become files of their own. No fsync. */
NODISCARD int io_copy_tree(struct io *from, const char *from_path, struct io *to, const char *to_path);
/* Files and directories under path and itself, without following symlinks; missing is fine. No fsync. */
NODISCARD int io_remove_tree(struct io *io, const char *path);

#endif
