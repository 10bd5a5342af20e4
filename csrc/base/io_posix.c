/*
 * io_posix.c -- the real disk. The only file that opens anything.
 * floor: base     uses: io_file.h io_posix.h err.h     used by: storage (io_posix_create), machine.c
 *
 * Every descriptor is O_CLOEXEC: a program the host starts must not keep our lock.
 * A lock remembers the process that took it: in a forked child the descriptor is shared with the parent, and LOCK_UN
 * there would take the lock away from the parent.
 */
#include "base/io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io_file.h"

struct posix_file {
	struct io_file file;
	int fd;
};

struct posix_lock {
	struct io_lock_handle handle;
	int fd;
	pid_t owner;
};

/* Linux moves at most 2 GiB - 4 KiB by one call. */
enum { TRANSFER_BYTES_MAX = 1 << 30 };

static int
failed(int errno_value, const char *what, const char *path)
{
	if (errno_value == ENOENT)
		return ERR(ERR_NOTFOUND, "cannot %s %s: there is no such file or directory", what, path);
	return ERR_ERRNO(errno_value, what, path);
}

static int
open_retrying(const char *path, int flags)
{
	int fd;

	do
		fd = open(path, flags | O_CLOEXEC, 0666);
	while (fd < 0 && errno == EINTR);
	return fd;
}

/* -- Files ---------------------------------------------------------------------------------------------------------- */

static int
open_file(struct io *io, const char *path, int flags, const char *what, struct io_file **out)
{
	struct posix_file *file = mem_zalloc(io->mem, sizeof(*file));
	int rc;

	if (file == NULL)
		return ERR_MEMORY;
	rc = io_file_init(&file->file, io, path);
	if (rc != 0)
		goto free_file;
	file->fd = open_retrying(path, flags);
	if (file->fd < 0) {
		rc = failed(errno, what, path);
		goto free_path;
	}
	*out = &file->file;
	return 0;
free_path:
	io_file_uninit(&file->file);
free_file:
	mem_free(io->mem, file);
	return rc;
}

static int posix_close(struct io_file *file);

/* Without waiting: to open a named pipe would block until somebody writes to it. Only files have a size and offsets. */
static int
posix_open_read(struct io *io, const char *path, struct io_file **out)
{
	struct stat st;

	TRY(open_file(io, path, O_RDONLY | O_NONBLOCK, "open", out));
	if (fstat(((struct posix_file *)*out)->fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		(void)!posix_close(*out);
		*out = NULL;
		return ERR_CORRUPT(path, UINT64_MAX, "it is no file that has a size, but a directory or the like");
	}
	return 0;
}

static int
posix_create(struct io *io, const char *path, struct io_file **out)
{
	return open_file(io, path, O_WRONLY | O_CREAT | O_TRUNC, "create", out);
}

static int
fd_of(const struct io_file *file)
{
	return ((const struct posix_file *)file)->fd;
}

static int
posix_pread(struct io_file *file, void *data, size_t n, uint64_t offset)
{
	uint8_t *to = data;

	if (offset > (uint64_t)INT64_MAX - n)
		return ERR_CORRUPT(file->path, offset, "nothing can be read so far behind the start");
	while (n > 0) {
		ssize_t got = pread(fd_of(file), to, n < TRANSFER_BYTES_MAX ? n : TRANSFER_BYTES_MAX, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failed(errno, "read", file->path);
		if (got == 0)
			return ERR_CORRUPT(file->path, offset, "the file ends early: %zu more bytes were expected", n);
		to += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

static int
posix_write(struct io_file *file, const void *data, size_t n)
{
	const uint8_t *from = data;

	while (n > 0) {
		ssize_t put = write(fd_of(file), from, n < TRANSFER_BYTES_MAX ? n : TRANSFER_BYTES_MAX);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return failed(errno, "write", file->path);
		from += put;
		n -= (size_t)put;
	}
	return 0;
}

/* Not repeated after EINTR: the first call may have consumed the error of a failed write-back. */
static int
posix_fsync(struct io_file *file)
{
	return fsync(fd_of(file)) == 0 ? 0 : failed(errno, "fsync", file->path);
}

static int
posix_size(struct io_file *file, uint64_t *out)
{
	struct stat st;

	if (fstat(fd_of(file), &st) != 0)
		return failed(errno, "stat", file->path);
	*out = (uint64_t)st.st_size;
	return 0;
}

/* Linux has closed the descriptor even when close reports EINTR; a second close might hit somebody else's. */
static int
posix_close(struct io_file *file)
{
	int rc = 0;

	if (close(fd_of(file)) != 0 && errno != EINTR)
		rc = failed(errno, "close", file->path);
	{
		struct mem *mem = file->io->mem;

		io_file_uninit(file);
		mem_free(mem, file);
	}
	return rc;
}

/* -- Names ---------------------------------------------------------------------------------------------------------- */

static int
two_paths_failed(const char *what, const char *from, const char *to)
{
	int errno_value = errno;
	char both[1024];

	snprintf(both, sizeof(both), "%s to %s", from, to);
	return failed(errno_value, what, both);
}

static int
posix_rename(struct io *io, const char *from, const char *to)
{
	(void)io;
	return rename(from, to) == 0 ? 0 : two_paths_failed("rename", from, to);
}

static int
posix_link(struct io *io, const char *from, const char *to)
{
	(void)io;
	return link(from, to) == 0 ? 0 : two_paths_failed("link", from, to);
}

static int
posix_symlink(struct io *io, const char *target, const char *path)
{
	(void)io;
	return symlink(target, path) == 0 ? 0 : failed(errno, "create symlink", path);
}

static int
posix_unlink(struct io *io, const char *path)
{
	(void)io;
	return unlink(path) == 0 ? 0 : failed(errno, "remove", path);
}

static int
posix_mkdir(struct io *io, const char *path)
{
	(void)io;
	return mkdir(path, 0755) == 0 ? 0 : failed(errno, "create directory", path);
}

static int
posix_rmdir(struct io *io, const char *path)
{
	(void)io;
	return rmdir(path) == 0 ? 0 : failed(errno, "remove directory", path);
}

static int
posix_readlink(struct io *io, const char *path, struct buf *out)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	(void)io;
	if (n < 0)
		return failed(errno, "read symlink", path);
	target[n] = '\0';
	buf_reset(out);
	return buf_append(out, target, (size_t)n + 1);
}

static enum io_type
type_of_mode(mode_t mode)
{
	if (S_ISREG(mode))
		return IO_TYPE_FILE;
	if (S_ISDIR(mode))
		return IO_TYPE_DIRECTORY;
	return S_ISLNK(mode) ? IO_TYPE_SYMLINK : IO_TYPE_OTHER;
}

static int
posix_stat(struct io *io, const char *path, struct io_stat *out)
{
	struct stat st;

	(void)io;
	if (stat(path, &st) != 0) /* ENOTDIR: a parent is a file, so nothing can be there */
		return failed(errno == ENOTDIR ? ENOENT : errno, "stat", path);
	*out = (struct io_stat){
		.type = type_of_mode(st.st_mode),
		.bytes = (uint64_t)st.st_size,
		.modified_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000,
	};
	return 0;
}

/* Some file systems leave d_type empty. */
static enum io_type
type_of_entry(int fd, const struct dirent *entry)
{
	struct stat st;

	switch (entry->d_type) {
	case DT_REG: return IO_TYPE_FILE;
	case DT_DIR: return IO_TYPE_DIRECTORY;
	case DT_LNK: return IO_TYPE_SYMLINK;
	case DT_UNKNOWN:
		if (fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			return type_of_mode(st.st_mode);
		return IO_TYPE_OTHER;
	default: return IO_TYPE_OTHER;
	}
}

static int
posix_list(struct io *io, const char *path, struct mem *mem, struct io_list *out)
{
	int fd = open_retrying(path, O_RDONLY | O_DIRECTORY), rc = 0;
	DIR *dir;

	(void)io;
	(void)mem;
	if (fd < 0)
		return failed(errno, "list", path);
	dir = fdopendir(fd);
	if (dir == NULL) {
		rc = failed(errno, "list", path);
		close(fd);
		return rc;
	}
	while (rc == 0) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			if (errno != 0)
				rc = failed(errno, "list", path);
			break;
		}
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			rc = io_list_add(out, entry->d_name, type_of_entry(fd, entry));
	}
	closedir(dir);
	if (rc != 0)
		io_list_free(out);
	else
		io_list_sort(out);
	return rc;
}

static int
posix_fsync_dir(struct io *io, const char *path)
{
	int fd = open_retrying(path, O_RDONLY | O_DIRECTORY), rc = 0;

	(void)io;
	if (fd < 0)
		return failed(errno, "open directory", path);
	if (fsync(fd) != 0)
		rc = failed(errno, "fsync directory", path);
	close(fd);
	return rc;
}

static int
posix_free_space(struct io *io, const char *path, uint64_t *bytes)
{
	struct statvfs st;

	(void)io;
	if (statvfs(path, &st) != 0)
		return failed(errno, "ask for the free space of", path);
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return 0;
}

static int
posix_real_path(struct io *io, const char *path, struct buf *out)
{
	char resolved[PATH_MAX];

	(void)io;
	if (realpath(path, resolved) == NULL)
		return failed(errno, "resolve", path);
	buf_reset(out);
	return buf_append(out, resolved, strlen(resolved) + 1);
}

/* -- Locks ---------------------------------------------------------------------------------------------------------- */

bool
io_posix_read_small(const char *path, char *text, size_t text_bytes)
{
	int fd = open_retrying(path, O_RDONLY);
	size_t have = 0;

	if (fd < 0)
		return false;
	while (have < text_bytes - 1) {
		ssize_t got = read(fd, text + have, text_bytes - 1 - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	close(fd);
	text[have] = '\0';
	return true;
}

/* A line reads "12: FLOCK  ADVISORY  WRITE 4711 08:01:131077 0 EOF"; device numbers in hex; waiting ones have "->". */
long
io_posix_lock_owner(const char *locks, unsigned device_major, unsigned device_minor, uint64_t inode)
{
	const char *line = locks;

	while (*line != '\0') {
		unsigned line_major, line_minor;
		unsigned long long line_inode;
		long pid;

		if (sscanf(line, "%*d: FLOCK %*s %*s %ld %x:%x:%llu", &pid, &line_major, &line_minor, &line_inode) ==
			4 &&
		    line_major == device_major && line_minor == device_minor && line_inode == inode && pid > 0)
			return pid;
		line += strcspn(line, "\n");
		if (*line == '\n')
			line++;
	}
	return 0;
}

static int
lock_refused(struct io *io, int fd, const char *path)
{
	const size_t text_bytes = 1 << 20; /* some ten thousand locks */
	char *text = mem_alloc(io->mem, text_bytes);
	struct stat st;
	long pid = 0;

	if (text != NULL && fstat(fd, &st) == 0 && io_posix_read_small("/proc/locks", text, text_bytes))
		pid = io_posix_lock_owner(text, major(st.st_dev), minor(st.st_dev), (uint64_t)st.st_ino);
	mem_free(io->mem, text);
	if (pid == (long)getpid())
		return ERR(ERR_LOCKED, "%s is held by this process (pid %ld): close the other handle first", path, pid);
	if (pid > 0)
		return ERR(ERR_LOCKED, "%s is held by the process with pid %ld: stop it first", path, pid);
	return ERR(ERR_LOCKED, "%s is held by another process: stop it first", path);
}

static int
posix_lock(struct io *io, const char *path, bool shared, bool create, struct io_lock_handle **out)
{
	struct posix_lock *lock;
	int fd, rc, failure;

	/* a shared lock must be possible on a read-only mount; an exclusive one needs a writable descriptor on NFS */
	fd = open_retrying(path, (shared && !create ? O_RDONLY : O_RDWR) | (create ? O_CREAT : 0));
	if (fd < 0)
		return failed(errno, "open", path);
	do
		failure = flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 ? 0 : errno;
	while (failure == EINTR);
	if (failure != 0) {
		rc = failure == EWOULDBLOCK ? lock_refused(io, fd, path) : failed(failure, "lock", path);
		close(fd);
		return rc;
	}
	lock = mem_alloc(io->mem, sizeof(*lock));
	if (lock == NULL) {
		flock(fd, LOCK_UN);
		close(fd);
		return ERR_MEMORY;
	}
	*lock = (struct posix_lock){ .handle.io = io, .fd = fd, .owner = getpid() };
	*out = &lock->handle;
	return 0;
}

static void
posix_unlock(struct io_lock_handle *handle)
{
	struct posix_lock *lock = (struct posix_lock *)handle;

	if (lock->owner == getpid())
		flock(lock->fd, LOCK_UN);
	close(lock->fd);
	mem_free(handle->io->mem, lock);
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

static void
posix_destroy(struct io *io)
{
	mem_free(io->mem, io);
}

int
io_posix_create(struct mem *mem, struct io **out)
{
	static const struct io_ops ops = {
		.open_read = posix_open_read,
		.create = posix_create,
		.pread = posix_pread,
		.write = posix_write,
		.fsync = posix_fsync,
		.size = posix_size,
		.close = posix_close,
		.rename = posix_rename,
		.unlink = posix_unlink,
		.mkdir = posix_mkdir,
		.rmdir = posix_rmdir,
		.link = posix_link,
		.symlink = posix_symlink,
		.readlink = posix_readlink,
		.stat = posix_stat,
		.list = posix_list,
		.fsync_dir = posix_fsync_dir,
		.lock = posix_lock,
		.unlock = posix_unlock,
		.free_space = posix_free_space,
		.real_path = posix_real_path,
		.destroy = posix_destroy,
	};
	struct io *io = mem_zalloc(mem, sizeof(*io));

	*out = NULL;
	if (io == NULL)
		return ERR_MEMORY;
	io->ops = &ops;
	io->mem = mem;
	*out = io;
	return 0;
}
