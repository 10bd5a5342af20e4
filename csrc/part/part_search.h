/*
 * part_search.h -- cursors over one part: all blocks in order (merge), or those of chosen series (query).
 * floor: part     uses: part.h block.h     used by: merge, storage
 *
 * A cursor holds a counted part, one decompressed index block and a read-ahead window per file, so memory is bounded
 * (about 1 MiB). Memory parts yield BLOCK_RAW blocks of at most BLOCK_ROWS_MAX rows, file parts BLOCK_ENCODED ones.
 * Every header and payload is checked (part format 5, 6, 7; the merge reader's extra rules when `strict`), sums too
 * when the part has a sidecar.
 *
 * Errors     ERR_CORRUPTED names part, file, offset. ERR_IO, ERR_MEMORY.
 * Threads    one cursor, one thread; many cursors may share a part.
 */
#ifndef TSE_PART_SEARCH_H
#define TSE_PART_SEARCH_H

#include "part/block.h"
#include "part/mem_part.h"
#include "part/part.h"

struct part_cursor;

/* strict: the checks of a merge reader (contiguous payloads, ranges and totals of the name). Takes its own reference. */
NODISCARD int part_cursor_create(struct mem *mem, struct part *part, bool strict, struct part_cursor **out);
void part_cursor_delete(struct part_cursor *cursor); /* NULL is fine */
/* Next block in part order: header and payload views into *block (borrowed until the next call on the cursor). *found false: the end. */
NODISCARD int part_cursor_next(struct part_cursor *cursor, struct block *block, bool *found);
/* Query: moves forward to the first block of a series >= tsid (never back; seeks must ascend). */
NODISCARD int part_cursor_seek(struct part_cursor *cursor, const struct tsid *tsid);
/* Query: the next block of exactly this series (by metric id) that meets [min_ms, max_ms]; *found false when there is none left.
 * Headers outside the range cost no payload read. */
NODISCARD int part_cursor_next_of(struct part_cursor *cursor, const struct tsid *tsid, int64_t min_ms, int64_t max_ms,
    struct block *block, bool *found);

/* Reads and checks everything: sums, headers, payloads decode. ERR_CORRUPTED at the first damage. */
NODISCARD int part_verify(struct mem *mem, struct part *part);

#endif
