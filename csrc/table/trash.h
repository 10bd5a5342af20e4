/*
 * trash.h -- directories that are gone for everybody but the disk: deleted a few files at a time.
 * floor: table     uses: base/io.h base/log.h     used by: publish, retention, table
 *
 * What is in here was renamed into tmp/ or trash/ before, and that rename is durable: a crash leaves remnants that the
 * next open deletes. Hence a failure is logged and forgotten.
 *
 * Errors     trash_add: none (without memory the next open does it).
 * Threads    any.
 */
#ifndef TSE_TRASH_H
#define TSE_TRASH_H

#include "base/io.h"
#include "base/log.h"
#include "base/thread.h"

struct trash {
	struct io *io;
	struct mem *mem;
	struct log *log;
	struct lock lock;
	char **paths;
	size_t count, room;
	_Atomic uint64_t waiting; /* paths not yet deleted, being worked on or not */
};

void trash_init(struct trash *trash, struct io *io, struct mem *mem, struct log *log);
void trash_free(struct trash *trash);
/* Takes a mem_alloc'ed path; NULL is fine. */
void trash_add(struct trash *trash, char *path);
static inline bool
trash_any(const struct trash *trash)
{
	return trash->waiting > 0;
}
/* Deletes some files of one directory; *did false: nothing to do (another thread may have the last one). */
void trash_step(struct trash *trash, bool *did);

#endif
