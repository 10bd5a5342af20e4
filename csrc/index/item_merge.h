/*
 * item_merge.h -- many item parts become one, in bounded steps.
 * floor: index     uses: item_iter item_join item_writer     used by: item_job
 *
 *   parts --item_tree--> ascending items --drop repeats--> item_join --> in-memory part, or part directory
 *
 * Invariants
 *  (1) The result holds the same set as the sources together, tag rows joined, each other item once.
 *  (2) A step runs until its budget is spent or a file was synced; then the next one goes on.
 * Errors     ERR_CORRUPTED (a source is marked damaged), ERR_IO, ERR_NOSPACE, ERR_MEMORY; then delete is the only legal call.
 * Threads    one at a time.
 */
#ifndef TSE_ITEM_MERGE_H
#define TSE_ITEM_MERGE_H

#include "base/clock.h"
#include "index/item_part.h"
#include "index/item_writer.h"

struct item_merge;

struct item_merge_options {
	struct io *io;
	struct mem *mem;
	const char *directory; /* made, its parent exists; NULL: in memory, all sources must be so too */
	int level;             /* zstd, for files */
	uint8_t tenant_bytes;
};

NODISCARD int item_merge_create(const struct item_merge_options *options, struct item_part *const *parts, size_t count,
    struct item_merge **out);
NODISCARD int item_merge_step(struct item_merge *merge, const struct budget *budget, bool *done);
/* Once done, in memory: the part, the caller's. */
NODISCARD int item_merge_take_part(struct item_merge *merge, struct item_part **out);
/* Once done, on disk: counts for the name. */
void item_merge_name(const struct item_merge *merge, struct item_part_name *out);
uint64_t item_merge_bytes(const struct item_merge *merge); /* written to files so far */
/* keep false removes the directory too (best effort). NULL is fine. */
void item_merge_delete(struct item_merge *merge, bool keep);

#endif
