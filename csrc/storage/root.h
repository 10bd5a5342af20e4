/*
 * root.h -- the directory of a database: is it one, which layout, who has it, what belongs into it.
 * floor: storage     uses: base index     used by: storage
 *
 *   <root>/flock.lock, data/flock.lock      held while open (index generations have their own)
 *   <root>/metadata/minTimestampForCompositeIndex   eight zero bytes in a new directory, else left alone
 *   <root>/tsengine/options                 "layout single": for directories whose index is still empty
 *   <root>/tsengine/                        our own state; nothing of ours stands under data/ or indexdb/
 *
 * Invariants
 *  (1) Nothing is changed before both locks are held, but the root directory and the lock files themselves.
 *  (2) A directory that is no storage, or that a newer version rewrote (parts.json), is refused before anything is made in it.
 * Errors     ERR_LAYOUT, ERR_LOCKED, ERR_NOTFOUND (read_only and missing), ERR_IO, ERR_MEMORY, ERR_CORRUPTED.
 * Threads    one at a time.
 */
#ifndef TSE_ROOT_H
#define TSE_ROOT_H

#include "base/io.h"
#include "base/log.h"

struct root {
	struct io *io;
	struct mem *mem;
	char *path; /* absolute, symlinks resolved */
	struct io_lock_handle *locks[2];
	enum layout layout;
	bool read_only;
};

/* layout: 0 single, 1 cluster, -1 as found. On failure nothing is held. */
NODISCARD int root_open(struct io *io, struct mem *mem, const char *path, int layout, bool read_only, struct root *out);
void root_close(struct root *root); /* a zeroed or closed root is fine */
/* <root>/<tail>, to be freed with mem_free; NULL: no memory. */
char *root_path(const struct root *root, const char *tail) NODISCARD;
/* From when on composite index rows may be relied on (index format 15.2); far in the future when nothing says so. */
NODISCARD int root_composite_from(const struct root *root, int64_t *from_ms);

#endif
