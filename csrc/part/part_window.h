/*
 * part_window.h -- a moving view of one file of a part: read ahead, bounded, checked.
 * floor: part     uses: part_sums.h io.h     used by: part_search.c
 *
 *   file    [ chunk ][ chunk ][ chunk ][ chunk ][ chunk ] ...
 *   window            [------ in memory ------]              begins with a chunk, ends with a chunk or the file
 *
 * A read outside the window moves it. Reads that go on where the window ended double what is read at once, up to
 * WINDOW_AHEAD_MAX; a jump starts small again, so that a query for one block does not read a quarter of a megabyte.
 * Where the part has sums, nothing is handed out before its chunks were compared.
 *
 * Errors     ERR_CORRUPTED names file and offset; ERR_IO, ERR_MEMORY.
 * Ownership  what a read returns is the window's, until its next read.
 * Threads    one.
 */
#ifndef TSE_PART_WINDOW_H
#define TSE_PART_WINDOW_H

#include "part/part_sums.h"

struct part_window {
	struct mem *mem;
	struct io_file *file;
	const struct part_sums *sums; /* NULL: nothing to compare with */
	enum part_file which;
	uint64_t file_bytes;
	uint64_t start; /* of the window in the file */
	size_t len;
	uint8_t *data;
	size_t cap;
	size_t ahead;
};

void part_window_init(struct part_window *window, struct mem *mem, const struct part *part, enum part_file which);
void part_window_free(struct part_window *window);
/* The n bytes at offset. */
NODISCARD int part_window_read(struct part_window *window, uint64_t offset, size_t n, struct bytes *out);

#endif
