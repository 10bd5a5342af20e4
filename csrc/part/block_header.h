/*
 * block_header.h -- what index.bin says of one block, and one row of metaindex.bin (part format 5, 6).
 * floor: part     uses: tsid.h     used by: part, merge, storage
 *
 * Errors     the readers return ERR_CORRUPTED with the rule that was broken; the caller adds part and file.
 */
#ifndef TSE_BLOCK_HEADER_H
#define TSE_BLOCK_HEADER_H

#include "base/buf.h"
#include "part/tsid.h"

enum {
	BLOCK_ROWS_MAX = 8192,            /* most rows we write into a block */
	BLOCK_ROWS_READ_MAX = 16384,      /* most rows a reader accepts */
	BLOCK_PAYLOAD_BYTES_MAX = 131072, /* most bytes of one stored payload */
	INDEX_BLOCK_BYTES_CLOSE = 65536,  /* an index block is closed once its headers reach this */
	INDEX_BLOCK_BYTES_READ_MAX = 131072,
	BLOCK_HEADER_BYTES_MAX = 89,
	METAINDEX_ROW_BYTES_MAX = 64
};

struct block_header {
	struct tsid tsid;
	int64_t min_timestamp_ms; /* first */
	int64_t max_timestamp_ms; /* last */
	int64_t first_value;      /* first mantissa */
	uint64_t timestamps_offset;
	uint64_t values_offset;
	uint32_t timestamps_bytes;
	uint32_t values_bytes;
	uint32_t rows;
	int16_t exponent; /* "Scale" */
	uint8_t timestamps_type;
	uint8_t values_type;
	uint8_t precision_bits;
};

struct metaindex_row {
	struct tsid tsid; /* of the first header of the index block */
	uint32_t headers;
	int64_t min_timestamp_ms;
	int64_t max_timestamp_ms;
	uint64_t index_offset;
	uint32_t index_bytes; /* compressed */
};

static inline size_t
block_header_bytes(enum layout layout)
{
	return tsid_bytes(layout) + 57;
}
static inline size_t
metaindex_row_bytes(enum layout layout)
{
	return tsid_bytes(layout) + 32;
}

uint8_t *block_header_put(uint8_t *p, enum layout layout, const struct block_header *header);
/* p holds block_header_bytes(layout) bytes; checks every rule of part format 6 that needs no neighbour. */
NODISCARD int block_header_get(const uint8_t *p, enum layout layout, struct block_header *header);
uint8_t *metaindex_row_put(uint8_t *p, enum layout layout, const struct metaindex_row *row);
NODISCARD int metaindex_row_get(const uint8_t *p, enum layout layout, struct metaindex_row *row);

#endif
