/*
 * item_writer.h -- turns a sorted stream of items into one immutable part directory.
 * floor: index     uses: item_block item_meta io.h     used by: item_merge
 *
 *   items, ascending
 *        |  item_writer_add()
 *        v
 *   items.bin  lens.bin  index.bin  metaindex.bin  tsengine.sums  metadata.json    in  tmp/<suffix>/
 *        |  item_writer_finish_step() until done: each call at most one fsync
 *        v
 *   a complete directory that nobody can see yet; item_publish makes it visible
 *
 * Invariants
 *  (1) Items arrive in order. The writer asserts it; it never sorts.
 *  (2) Until finish is done, nothing outside the directory has changed.
 *  (3) After a failed write or fsync the writer is poisoned: delete is the only legal call.
 * Errors     ERR_IO, ERR_NOSPACE, ERR_MEMORY; ERR_LIMIT for an item over ITEM_BLOCK_BYTES_MAX.
 * Threads    one writer, one thread at a time.
 */
#ifndef TSE_ITEM_WRITER_H
#define TSE_ITEM_WRITER_H

#include "index/item_block.h"
#include "index/item_meta.h"

struct item_writer;

/* Creates the directory (its parent exists) and the large files in it. level: zstd's, for everything. */
NODISCARD int item_writer_create(struct io *io, struct mem *mem, const char *directory, int level,
    struct item_writer **out);
NODISCARD int item_writer_add(struct item_writer *writer, struct bytes item);
/* Once all items are in, at least one. *done when everything in the directory is durable, the directory itself included
 * (its entry in the parent is the publisher's). */
NODISCARD int item_writer_finish_step(struct item_writer *writer, bool *done);
/* Counts of what was written, for the name; the suffix is the caller's to fill in. */
void item_writer_name(const struct item_writer *writer, struct item_part_name *out);
uint64_t item_writer_bytes(const struct item_writer *writer); /* handed to the disk so far */
/* Closes and frees; with `keep` false also removes the directory (best effort). NULL is fine. */
void item_writer_delete(struct item_writer *writer, bool keep);

#endif
