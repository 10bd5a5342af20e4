/*
 * part_writer.h -- turns a sorted stream of blocks into one immutable part directory.
 * floor: part     uses: block.h io.h     used by: merge
 *
 *   blocks, sorted by (tsid, min timestamp)
 *        |  part_writer_add()
 *        v
 *   timestamps.bin  values.bin  index.bin  metaindex.bin  tsengine.sums  (min_dedup_interval)    in  tmp/<suffix>/
 *        |  part_writer_finish_step() until done: each call at most one fsync
 *        v
 *   a complete directory that nobody can see yet; table/publish.c makes it visible
 *
 * Invariants
 *  (1) Blocks arrive in order. The writer asserts it; it never sorts.
 *  (2) Until finish is done, nothing outside the directory has changed.
 *  (3) After a failed write or fsync the writer is poisoned: abort is the only legal call.
 * Errors     ERR_IO, ERR_NOSPACE, ERR_MEMORY.
 * Ownership  borrows the caller's block for the call (and may decode or encode it in place); owns its files.
 * Threads    one writer, one thread.
 */
#ifndef TSE_PART_WRITER_H
#define TSE_PART_WRITER_H

#include "part/block.h"
#include "part/part.h"

struct part_writer_options {
	enum layout layout;
	int index_level;           /* zstd level of index.bin and metaindex.bin (part format 10.2) */
	int64_t dedup_interval_ms; /* 0: off; then min_dedup_interval is not written */
	enum dedup_keep dedup_keep;
	uint32_t generation; /* for the sidecar */
	uint32_t fan_in;
	const char *policy; /* "" or the policy's name */
	int64_t created_ms;
};

struct part_writer;

/* Creates the directory (its parent exists) and the files in it. */
NODISCARD int part_writer_create(struct io *io, struct mem *mem, const char *directory,
    const struct part_writer_options *options, struct part_writer **out);
/* Applies dedup, encodes what is not encoded, shares timestamps with the previous block, closes full index blocks. */
NODISCARD int part_writer_add(struct part_writer *writer, struct block *block, struct int64s_scratch *scratch);
/* Once all blocks are in. *done when everything in the directory is durable, the directory itself included (its
 * entry in the parent is the publisher's). */
NODISCARD int part_writer_finish_step(struct part_writer *writer, bool *done);
/* Counts and times of what was written; rows == 0: nothing was. The suffix is the caller's to fill in. */
void part_writer_header(const struct part_writer *writer, struct part_header *out);
uint64_t part_writer_bytes(const struct part_writer *writer); /* of the four .bin files so far */
/* Closes and frees; with `keep` false also removes the directory (best effort). NULL is fine. */
void part_writer_delete(struct part_writer *writer, bool keep);

#endif
