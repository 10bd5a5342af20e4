/*
 * item_part.h -- an immutable, counted set of sorted items: plain bytes in memory, or a directory of files (index format 4).
 * floor: index     uses: item_block item_meta base/cache     used by: item_iter item_merge item_table
 *
 *   in memory   data: items back to back     offsets: count + 1
 *   on disk     metaindex (kept) -> index block (cached) -> item block (cached)
 *
 * Invariants
 *  (1) Nothing in a part changes after it was made but refs, damaged, the path (by the publisher) and the table's fields.
 *  (2) refs > 0 while anybody can reach it; the last unref closes files and frees. Nothing on disk is removed by it.
 *  (3) Bounds are true: no item is smaller than first or greater than last. For parts without sums the last block is
 *      read to make sure (metadata.json is not believed, index format 4.1).
 * Errors     ERR_CORRUPTED names part, file and offset, and marks the part damaged; ERR_IO, ERR_MEMORY.
 * Ownership  a file part owns its descriptors; the cache is the table's and outlives the part.
 * Threads    any number may read a part and call ref/unref; one scratch, one thread.
 */
#ifndef TSE_ITEM_PART_H
#define TSE_ITEM_PART_H

#include "base/cache.h"
#include "base/io.h"
#include "index/item_block.h"
#include "index/item_meta.h"

/* One index block: where it is and which blocks it describes. */
struct item_metaindex_row {
	struct bytes first; /* first item of its first block */
	uint64_t offset;    /* in index.bin */
	uint32_t bytes;
	uint32_t blocks;
	uint64_t first_block; /* blocks before it in the part */
};

/* An index block decoded; the headers' byte strings lie behind them. */
struct item_index_block {
	uint32_t count;
	struct item_block_header headers[];
};

struct item_part {
	_Atomic uint32_t refs;
	_Atomic bool damaged; /* bad bytes were met: excluded from merges */
	struct mem *mem;
	uint64_t items;
	uint64_t blocks; /* 0 in memory */
	uint64_t bytes;  /* data in memory; the four .bin files on disk */
	struct bytes first, last;
	/* in memory */
	uint8_t *data; /* ITEM_SLACK_BYTES behind the last item; NULL on disk */
	uint32_t *offsets;
	uint64_t seq_min, seq_max; /* runs it consists of */
	int64_t due_tick_ms;       /* on disk by then */
	/* on disk */
	struct io *io;
	char *path; /* of the directory */
	struct io_file *items_file, *lens_file, *index_file;
	struct item_sizes sizes;
	struct buf bounds; /* what first and last point into */
	struct buf metaindex_bytes;
	struct item_metaindex_row *metaindex;
	size_t metaindex_count;
	bool verified; /* has sums */
	struct item_sums sums;
	struct cache *cache;
	uint64_t cache_owner;
	/* the table's, under its lock */
	bool busy; /* source of a merge */
};

/* -- Life ------------------------------------------------------------------------------------------------------------- */

/*
 * Takes over data (with slack) and offsets, both from mem_alloc of the same account: also on failure they are the part's
 * and freed. count > 0.
 */
NODISCARD int item_part_create_mem(struct mem *mem, uint8_t *data, uint32_t *offsets, size_t count,
    struct item_part **out);

struct item_part_env {
	struct io *io;
	struct mem *mem;
	struct cache *cache;
	uint64_t cache_owner; /* never used before with this cache */
};

/* Opens and checks a part; name is what the directory is or will be called, path where it is now. */
NODISCARD int item_part_open(const struct item_part_env *env, const char *path, const char *name,
    struct item_part **out);
/* The publisher renamed the directory: for messages and for the removal. */
NODISCARD int item_part_set_path(struct item_part *part, const char *path);
void item_part_ref(struct item_part *part);
void item_part_unref(struct item_part *part); /* NULL is fine */

static inline bool
item_part_in_memory(const struct item_part *part)
{
	return part->data != NULL;
}
/* The last component of the path. */
const char *item_part_base_name(const struct item_part *part);

/* -- Reading ---------------------------------------------------------------------------------------------------------- */

/* The index block of a row: held, release with cache_release(part->cache). */
NODISCARD int item_part_index_block(struct item_part *part, size_t row, struct item_scratch *scratch,
    struct cache_entry **out);
/* A block through the cache: held. number: of the block in the part. */
NODISCARD int item_part_block(struct item_part *part, uint64_t number, const struct item_block_header *header,
    struct item_scratch *scratch, struct cache_entry **out);
/* A block past the cache, for merges: decoded into room, which is reset first. */
NODISCARD int item_part_read_block(struct item_part *part, uint64_t number, const struct item_block_header *header,
    struct item_scratch *scratch, struct buf *room);

#endif
