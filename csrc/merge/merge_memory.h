/*
 * merge_memory.h -- the output of a merge that stays in memory: blocks become columns.
 * floor: merge     uses: part/mem_part.h part/part_writer.h     used by: merge
 *
 * Dedup is applied to each block as the part writer would. Room for all rows of the sources is taken at the start, so
 * that a merge that does not fit the memory limit fails before it worked.
 *
 * Errors     ERR_MEMORY; ERR_CORRUPTED for an encoded block that does not decode.
 * Threads    one at a time.
 */
#ifndef TSE_MERGE_MEMORY_H
#define TSE_MERGE_MEMORY_H

#include "part/mem_part.h"
#include "part/part_writer.h"

struct merge_memory;

NODISCARD int merge_memory_create(struct mem *mem, struct part *const *sources, size_t n,
    const struct part_writer_options *options, struct merge_memory **out);
/* Blocks arrive sorted by (tsid, min timestamp), of any state; overlapping ones of a series are sorted by finish. */
NODISCARD int merge_memory_add(struct merge_memory *memory, struct block *block, struct int64s_scratch *scratch);
NODISCARD int merge_memory_finish(struct merge_memory *memory);
void merge_memory_header(const struct merge_memory *memory, struct part_header *out);
/* The part with refs == 1, or NULL when there are no rows. */
struct part *merge_memory_take(struct merge_memory *memory);
void merge_memory_delete(struct merge_memory *memory); /* NULL is fine */

#endif
