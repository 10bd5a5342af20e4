/*
 * io_posix.h -- small reads of the system's own files (/proc, /sys) for those who may not talk to the kernel.
 * floor: base     uses: base.h     used by: machine.c io_posix.c
 *
 * io_posix.c is the only file that opens anything, also these. Files of databases go through io.h.
 */
#ifndef TSE_IO_POSIX_H
#define TSE_IO_POSIX_H

#include "base/base.h"

/* At most text_bytes - 1 bytes of a small file, terminated. false when it cannot be read; the last error stays as it was. */
bool io_posix_read_small(const char *path, char *text, size_t text_bytes);

/* The pid in the line of a /proc/locks text that locks this inode by flock; 0 when there is none. Seen here for specs. */
long io_posix_lock_owner(const char *locks, unsigned device_major, unsigned device_minor, uint64_t inode);

#endif
