/*
 * metaindex.c -- which index block holds which series.
 * floor: part     uses: metaindex.h block_header.h codec/zstd.h     used by: part.c part_search.c
 */
#include "part/metaindex.h"

#include <inttypes.h>

#include "base/err.h"
#include "codec/zstd.h"

/* A zstd frame of a block header is never shorter, so index.bin bounds how many rows there can be. */
enum { INDEX_FRAME_BYTES_MIN = 8 };

static const char *
layout_name(enum layout layout)
{
	return layout == LAYOUT_CLUSTER ? "cluster" : "single";
}

static int
rows_check(const struct part *part, const char *path, const struct metaindex_row *row,
    const struct metaindex_row *previous)
{
	if (row->index_offset > part->index_bytes || row->index_bytes > part->index_bytes - row->index_offset)
		return ERR_CORRUPT(path, UINT64_MAX,
		    "an index block of %u bytes at %" PRIu64 " is outside index.bin with its %" PRIu64 " bytes",
		    row->index_bytes, row->index_offset, part->index_bytes);
	if (previous != NULL && tsid_compare(&previous->tsid, &row->tsid) > 0)
		return ERR_CORRUPT(path, UINT64_MAX, "its rows are not sorted; or the part is not of the %s layout",
		    layout_name(part->layout));
	return 0;
}

static int
rows_parse(struct part *part, const char *path, struct bytes rows)
{
	size_t row_bytes = metaindex_row_bytes(part->layout);
	size_t count = rows.len / row_bytes;

	if (rows.len == 0 || rows.len % row_bytes != 0)
		return ERR_CORRUPT(path, UINT64_MAX,
		    "its content of %zu bytes is no row of %zu-byte rows; or the part is not of the %s layout",
		    rows.len, row_bytes, layout_name(part->layout));
	part->metaindex = mem_array(part->mem, count, sizeof(*part->metaindex));
	if (part->metaindex == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		struct metaindex_row *row = &part->metaindex[i];

		if (metaindex_row_get(rows.data + i * row_bytes, part->layout, row) != 0)
			return ERR_CORRUPT(path, UINT64_MAX, "row %zu: %s; or the part is not of the %s layout", i,
			    err_message(), layout_name(part->layout));
		TRY(rows_check(part, path, row, i > 0 ? row - 1 : NULL));
	}
	part->metaindex_count = count;
	return 0;
}

int
metaindex_parse(struct part *part, const char *path, struct bytes frame)
{
	size_t limit = (size_t)(part->index_bytes / INDEX_FRAME_BYTES_MIN + 1) * metaindex_row_bytes(part->layout);
	struct zstd_context zstd;
	struct buf rows;
	int rc;

	zstd_context_init(&zstd, part->mem);
	buf_init(&rows, part->mem);
	rc = zstd_decompress(&zstd, frame, limit, &rows);
	if (rc == ERR_CORRUPTED)
		rc = ERR_CORRUPT(path, 0, "%s", err_message());
	if (rc == 0)
		rc = rows_parse(part, path, buf_bytes(&rows));
	buf_free(&rows);
	zstd_context_free(&zstd);
	return rc;
}

size_t
metaindex_seek(const struct part *part, size_t from, const struct tsid *tsid)
{
	size_t low = from, high = part->metaindex_count;

	/* the first row whose series is not smaller; the index block before it may end with the series, so it counts */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tsid_compare(&part->metaindex[middle].tsid, tsid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > from ? low - 1 : low;
}
