/*
 * io_file.h -- what every implementation of io.h has in common; nobody else includes it.
 * floor: base     uses: io.h     used by: io.c io_posix.c io_fault.c io_crash.c
 *
 * An implementation embeds struct io_file and struct io_lock_handle as first members of its own, and starts them with
 * the functions below. io.c keeps the counters and the poison, so that they are the same everywhere.
 */
#ifndef TSE_IO_FILE_H
#define TSE_IO_FILE_H

#include "base/io.h"

struct io_file {
	struct io *io;
	char *path;    /* as given to open or create */
	bool poisoned; /* a write or fsync failed: what the file holds is unknown */
};

struct io_lock_handle {
	struct io *io;
};

/* Copies the path. */
NODISCARD int io_file_init(struct io_file *file, struct io *io, const char *path);
/* Gives the path back; called by the implementation's close, which frees the file itself. */
void io_file_uninit(struct io_file *file);

/* A growing listing: entries are added in any order, then sorted once. On failure io_list_free. */
NODISCARD int io_list_add(struct io_list *list, const char *name, enum io_type type);
void io_list_sort(struct io_list *list);

#endif
