/*
 * io_fault.h -- a disk whose calls fail, or are left out, when a test says so.
 * floor: base     uses: io.h     used by: spec/fault, spec/crash
 *
 * Wraps another io, which it borrows. Calls are counted from 1; what a plan names fails before it reaches the inner
 * disk, except that a failing write first writes half of its bytes and a failing fsync may lose what was not durable.
 *
 * Errors     ERR_IO or ERR_NOSPACE as the plan says, with "injected" in the message; else those of the inner disk.
 * Ownership  the inner io must outlive the wrapper.
 * Threads    any; a plan is changed while nobody uses the io.
 */
#ifndef TSE_IO_FAULT_H
#define TSE_IO_FAULT_H

#include "base/io.h"

/* The calls of io.h by number, for masks. */
enum io_call {
	IO_CALL_OPEN_READ,
	IO_CALL_CREATE,
	IO_CALL_PREAD,
	IO_CALL_WRITE,
	IO_CALL_FSYNC,
	IO_CALL_SIZE,
	IO_CALL_CLOSE,
	IO_CALL_RENAME,
	IO_CALL_UNLINK,
	IO_CALL_MKDIR,
	IO_CALL_RMDIR,
	IO_CALL_LINK,
	IO_CALL_SYMLINK,
	IO_CALL_READLINK,
	IO_CALL_STAT,
	IO_CALL_LIST,
	IO_CALL_FSYNC_DIR,
	IO_CALL_LOCK,
	IO_CALL_FREE_SPACE,
	IO_CALL_REAL_PATH,
	IO_CALLS,
};

#define IO_CALL_BIT(call) (UINT32_C(1) << (call))
#define IO_CALLS_ALL      (IO_CALL_BIT(IO_CALLS) - 1)
#define IO_CALLS_CHANGING                                                                            \
	(IO_CALL_BIT(IO_CALL_CREATE) | IO_CALL_BIT(IO_CALL_WRITE) | IO_CALL_BIT(IO_CALL_FSYNC) |     \
	    IO_CALL_BIT(IO_CALL_RENAME) | IO_CALL_BIT(IO_CALL_UNLINK) | IO_CALL_BIT(IO_CALL_MKDIR) | \
	    IO_CALL_BIT(IO_CALL_RMDIR) | IO_CALL_BIT(IO_CALL_LINK) | IO_CALL_BIT(IO_CALL_SYMLINK) |  \
	    IO_CALL_BIT(IO_CALL_FSYNC_DIR))

struct io_fault_plan {
	uint64_t fail_at;      /* the n-th counted call from now fails, 1-based; 0: none */
	bool for_ever;         /* and every later counted one */
	int errno_value;       /* EIO, ENOSPC, ... */
	uint32_t calls;        /* which calls are counted; 0: all */
	const char *path_part; /* only calls whose path contains this are counted; NULL: all. Borrowed */
	bool leave_out;        /* counted calls do not fail: they do nothing and report success (only changing calls) */
	int (*fsync_failed)(struct io *inner, const char *path); /* told of a failed fsync of a file; NULL: nothing */
};

NODISCARD int io_fault_create(struct mem *mem, struct io *inner, struct io **out);
/* Sets the plan and starts counting anew; NULL: nothing fails. */
void io_fault_plan(struct io *io, const struct io_fault_plan *plan);
uint64_t io_fault_calls(struct io *io);    /* counted since the plan was set */
uint64_t io_fault_injected(struct io *io); /* of these failed or left out */
/* While full: what needs space fails with ENOSPC and free space is 0, beside any plan. */
void io_fault_set_full(struct io *io, bool full);
/* The last failure in words, for the message of a test; "" if none. */
const char *io_fault_last(struct io *io);
const char *io_call_word(enum io_call call);

#endif
