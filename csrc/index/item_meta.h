/*
 * item_meta.h -- what is written about an item part: its directory's name, metadata.json, tsengine.sums.
 * floor: index     uses: codec base     used by: item_part item_writer item_recover
 *
 *   <items>_<blocks>_<suffix>/
 *      metadata.json    counts, first and last item in hex (index format 4.1)
 *      tsengine.sums    ours: sizes of all files and a CRC32C of every piece that is read at once; the peer ignores it
 *
 *   offset  size  tsengine.sums, integers big-endian
 *        0     8  magic "TSISUMS1"
 *        8     8  items        16  8  blocks
 *       24     8  bytes of items.bin   32  8  lens.bin   40  8  index.bin   48  8  metaindex.bin   56  8  metadata.json
 *       64     4  CRC of metaindex.bin      68  4  CRC of metadata.json
 *       72     4  index blocks (n)          76  4  zero
 *       80    4n  CRC of each index block as stored
 *   80 + 4n   4b  CRC of each block: items payload, then lens payload (b = blocks)
 *      end     4  CRC of all before
 *
 * Invariants
 *  (1) A part with sums: no bit of any of its files can change without ERR_CORRUPTED when that piece is read.
 *  (2) A part without sums was written by somebody else: read with all checks the format itself allows.
 * Errors     ERR_CORRUPTED with the broken rule, without a place where the caller adds it; ERR_MEMORY.
 * Threads    pure functions and plain data.
 */
#ifndef TSE_ITEM_META_H
#define TSE_ITEM_META_H

#include "base/io.h"

#define ITEM_FILE_ITEMS     "items.bin"
#define ITEM_FILE_LENS      "lens.bin"
#define ITEM_FILE_INDEX     "index.bin"
#define ITEM_FILE_METAINDEX "metaindex.bin"
#define ITEM_FILE_METADATA  "metadata.json"
#define ITEM_FILE_SUMS      "tsengine.sums"

enum { ITEM_PART_NAME_MAX = 64 };

struct item_part_name {
	uint64_t items;
	uint64_t blocks;
	uint64_t suffix; /* 0 when the third field is not 16 upper-case hex digits: the peer does not parse it either */
};

/* Into name[ITEM_PART_NAME_MAX]. */
void item_part_name_format(const struct item_part_name *name, char *text);
NODISCARD int item_part_name_parse(const char *text, struct item_part_name *name);

struct item_metadata {
	uint64_t items;
	uint64_t blocks;
	struct buf first;
	struct buf last;
};

/* As the peer writes it: tab indent, no newline at the end. */
NODISCARD int item_metadata_put(struct buf *out, uint64_t items, uint64_t blocks, struct bytes first,
    struct bytes last);
/* Unknown members are skipped, the four must be there once. first and last are initialised buffers, appended to. */
NODISCARD int item_metadata_parse(struct bytes text, struct item_metadata *metadata);

/* The sizes of the five files of the format, in the order of the drawing. */
struct item_sizes {
	uint64_t items, lens, index, metaindex, metadata;
};

struct item_sums {
	uint64_t items;
	uint64_t blocks;
	struct item_sizes sizes;
	uint32_t metaindex_crc;
	uint32_t metadata_crc;
	uint32_t index_blocks;
	uint32_t *index_crcs; /* index_blocks */
	uint32_t *block_crcs; /* blocks; one allocation with index_crcs */
};

/* The two arrays are given as bufs of uint32_t while a part is written. */
NODISCARD int item_sums_put(struct buf *out, const struct item_sums *sums);
/* Checks everything that the sidecar alone can tell; the arrays belong to the caller (item_sums_free). */
NODISCARD int item_sums_parse(struct mem *mem, struct bytes data, struct item_sums *sums);
void item_sums_free(struct mem *mem, struct item_sums *sums);

#endif
