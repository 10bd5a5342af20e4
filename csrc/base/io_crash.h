/*
 * io_crash.h -- a disk in memory that records every change and can rebuild what a crash at any moment may leave.
 * floor: base     uses: io.h crash_journal.h     used by: spec/crash, spec/fault, simulation
 *
 *   io_crash_create ... work on the io ... io_crash_ops_count = n
 *        for k in 0..n:   io_crash_state(io, k, choice) -> a new io: what the disk holds when the power goes before operation k
 *                         open the engine on it, check the promise, io_destroy
 *
 * States share the bytes of files with their origin, so one costs some microseconds. A state is itself such a disk: it
 * records, and crashes again (a crash during recovery). Operations that read are not recorded.
 *
 * A state counts as freshly mounted: everything in it is durable, no file is open, no lock is held.
 *
 * Errors     as io.h; ERR_NOSPACE when space was limited. Names follow POSIX: hard links, symlinks, rename over an
 *            existing name.
 * Ownership  a state is independent of its origin, which may be destroyed first.
 * Threads    any; one lock.
 */
#ifndef TSE_IO_CRASH_H
#define TSE_IO_CRASH_H

#include "base/crash_journal.h"

NODISCARD int io_crash_create(struct mem *mem, struct io **out);

/* Changes recorded so far; marks count too. */
size_t io_crash_ops_count(struct io *io);
/* The journal, for looking at single operations; valid until the next change. */
const struct crash_journal *io_crash_journal(struct io *io);
/* Operation `index` as one line, "rename /a/b -> /a/c", with directories named as they are now; replaces out, terminated. */
NODISCARD int io_crash_describe(struct io *io, size_t index, struct buf *out);
/* Forgets the journal: what is there now is durable, and operation 0 is the next one. */
NODISCARD int io_crash_checkpoint(struct io *io);

/* The disk after a crash before operation k (0..ops_count). */
NODISCARD int io_crash_state(struct io *io, size_t k, const struct crash_choice *choice, struct io **out);
/* Operations on names that are uncertain before operation k: 2^n weak states. */
size_t io_crash_uncertain(struct io *io, size_t k);
/* Equal content gives an equal number: states already seen need no second look. */
uint64_t io_crash_fingerprint(struct io *io);

/* A note in the journal: what the test knows at this moment, e.g. how many rows are acknowledged. text may be NULL. */
NODISCARD int io_crash_mark(struct io *io, uint64_t number, const char *text);
/* The last mark with this text (NULL: any) before operation k; *found false when there is none. */
void io_crash_last_mark(struct io *io, size_t k, const char *text, uint64_t *number, bool *found);

/* So many more bytes can be written until ENOSPC; UINT64_MAX: no end. Bytes of removed files come back. */
void io_crash_set_free_space(struct io *io, uint64_t bytes);
/* What a failed fsync does to the page cache: the unsynced bytes of the file are zeros from now on, and count as clean. */
NODISCARD int io_crash_lose_unsynced(struct io *io, const char *path);

/* -- Damage (io_copy_tree of io.h is the way to and from a real disk) ------------------------------------------------- */

/* Replaces one file's content: bit flips, truncations. Ends with a checkpoint. */
NODISCARD int io_crash_set_content(struct io *io, const char *path, const void *data, size_t n);

#endif
