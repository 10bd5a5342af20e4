/*
 * crash_io.h -- the inside of the crashing disk; nobody else includes it.
 * floor: base     uses: crash_journal.h io_file.h thread.h     used by: io_crash.c io_crash_state.c
 */
#ifndef TSE_CRASH_IO_H
#define TSE_CRASH_IO_H

#include "base/crash_journal.h"
#include "base/io_file.h"
#include "base/thread.h"

struct crash_io {
	struct io io;
	struct lock lock;
	struct crash_tree base, live;
	struct crash_journal journal;
	uint64_t free_bytes; /* UINT64_MAX: no limit */
};

static inline struct crash_io *
crash_io_of(struct io *io)
{
	return (struct crash_io *)io;
}

/* An instance without trees. */
NODISCARD int crash_io_new(struct mem *mem, struct crash_io **out);
/* Records an operation and does it. Takes over the blobs of op. With the lock held, as all below. */
NODISCARD int crash_io_record(struct crash_io *io, struct crash_op op);
/* Everything in the live tree becomes durable and the new start. */
NODISCARD int crash_io_rebase(struct crash_io *io);
/* Turns an errno of a path into a code and a message. */
int crash_io_failed(int errno_value, const char *what, const char *path);

#endif
