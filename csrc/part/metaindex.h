/*
 * metaindex.h -- metaindex.bin as an array, and the search in it.
 * floor: part     uses: part_sums.h     used by: part.c part_search.c
 *
 * Errors     ERR_CORRUPTED names file and offset; ERR_MEMORY.
 * Threads    pure over immutable parts.
 */
#ifndef TSE_METAINDEX_H
#define TSE_METAINDEX_H

#include "part/part_sums.h"

/* Fills part->metaindex from the file's bytes and checks every rule of part format 5. part->index_bytes is set. */
NODISCARD int metaindex_parse(struct part *part, const char *path, struct bytes frame);
/* The first index block, at `from` or behind it, that may hold a header of a series >= tsid. */
size_t metaindex_seek(const struct part *part, size_t from, const struct tsid *tsid);

#endif
