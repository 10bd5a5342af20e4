/*
 * item_block.h -- a block of sorted items <-> bytes: the header in an index block, and two payloads (index format 4.3, 5).
 * floor: index     uses: codec base     used by: item_part item_writer item_iter
 *
 *   items, sorted --item_builder_add()--> builder --item_builder_encode()--> header | items payload | lens payload
 *   item_block  <--item_block_decode()--  header, items payload, lens payload
 *
 * A decoded block is one piece of memory without pointers, so that a cache can keep it as plain bytes:
 *
 *   count u32 | bytes u32 | offsets u32 x (count + 1) | the items back to back | ITEM_SLACK_BYTES of zeros
 *
 * Invariants
 *  (1) Items of a block are ascending, equal neighbours allowed; their lengths sum to at most ITEM_BLOCK_BYTES_MAX.
 *  (2) No block that we write has an empty items payload (index format 4.4).
 *  (3) What a decoded block says was checked: every length consumed exactly, order included.
 * Errors     decode: ERR_CORRUPTED without a place (the caller knows file and offset); ERR_MEMORY.
 * Ownership  a builder owns its bytes; decoded blocks lie in memory that the caller provides.
 * Threads    one builder or scratch, one thread; decoded blocks are never changed.
 */
#ifndef TSE_ITEM_BLOCK_H
#define TSE_ITEM_BLOCK_H

#include "codec/zstd.h"

enum {
	ITEM_BLOCK_BYTES_MAX = 65536,    /* sum of the lengths of a block's items */
	ITEM_PAYLOAD_BYTES_MAX = 131072, /* items payload, and an index block on disk */
	ITEM_LENS_BYTES_MAX = 1048576,   /* lens payload */
	ITEM_BLOCK_ITEMS_MAX =
	    ITEM_LENS_BYTES_MAX / 8 + 1, /* a plain block cannot hold more; a zstd block may not either */
	ITEM_SLACK_BYTES = 16            /* behind items in memory: they are read and copied 16 bytes at a time */
};

enum item_block_type { ITEM_BLOCK_PLAIN = 0, ITEM_BLOCK_ZSTD = 1 };

struct item_block_header {
	struct bytes common_prefix;
	struct bytes first_item; /* complete */
	uint8_t type;
	uint32_t items_count;
	uint64_t items_offset; /* in items.bin */
	uint64_t lens_offset;  /* in lens.bin */
	uint32_t items_bytes;
	uint32_t lens_bytes;
};

/* Appends the header as index blocks hold it. */
NODISCARD int item_block_header_put(struct buf *out, const struct item_block_header *header);
/* Reads one header at *p and moves *p behind it; the byte strings point into the input. Checks the stated limits. */
NODISCARD int item_block_header_get(const uint8_t **p, const uint8_t *end, struct item_block_header *header);

/* -- Decoded ---------------------------------------------------------------------------------------------------------- */

struct item_block {
	uint32_t count;
	uint32_t bytes;
	uint32_t offsets[]; /* count + 1, then the bytes */
};

static inline const uint8_t *
item_block_data(const struct item_block *block)
{
	return (const uint8_t *)(block->offsets + block->count + 1);
}

static inline struct bytes
item_block_item(const struct item_block *block, uint32_t i)
{
	return bytes_of(item_block_data(block) + block->offsets[i], block->offsets[i + 1] - block->offsets[i]);
}

/* What decoding needs besides the input: zstd, both contents, lengths. Reused between calls. */
struct item_scratch {
	struct zstd_context zstd;
	struct buf items; /* contents of the frames */
	struct buf lens;
	struct buf lengths; /* uint32_t: prefix, suffix length of every item */
	struct buf read;    /* payloads as read from disk: the caller's to use */
};

void item_scratch_init(struct item_scratch *scratch, struct mem *mem);
void item_scratch_free(struct item_scratch *scratch);

/*
 * Decoding in two halves, because the size is known only after the first: lengths, then the caller provides
 * item_block_room(count, *bytes) bytes aligned to 4, then the items. The second half must follow the first of the
 * same block on the same scratch.
 */
NODISCARD int item_block_decode_lens(struct item_scratch *scratch, const struct item_block_header *header,
    struct bytes lens, uint32_t *bytes);
NODISCARD int item_block_decode_items(struct item_scratch *scratch, const struct item_block_header *header,
    struct bytes items, struct item_block *block);
static inline size_t
item_block_room(uint32_t count, uint32_t bytes)
{
	return sizeof(struct item_block) + ((size_t)count + 1) * sizeof(uint32_t) + bytes + ITEM_SLACK_BYTES;
}

/* -- Building --------------------------------------------------------------------------------------------------------- */

struct item_builder {
	struct mem *mem;
	uint8_t *data;      /* ITEM_BLOCK_BYTES_MAX and slack */
	struct buf offsets; /* uint32_t x count, the end is `bytes` */
	uint32_t count;
	uint32_t bytes;
	struct zstd_context zstd;
	struct buf suffixes; /* working space of encode */
	struct buf lens;
};

NODISCARD int item_builder_init(struct item_builder *builder, struct mem *mem);
void item_builder_free(struct item_builder *builder); /* legal on a zeroed one */
/* false: it does not fit any more, encode and reset first. An item of up to ITEM_BLOCK_BYTES_MAX always fits an empty builder. */
bool item_builder_fits(const struct item_builder *builder, size_t len);
/* Items ascending, each one fits. */
NODISCARD int item_builder_add(struct item_builder *builder, struct bytes item);
/* Appends the payloads and fills the header but for its offsets; its byte strings point into the builder. count > 0. */
NODISCARD int item_builder_encode(struct item_builder *builder, int level, struct item_block_header *header,
    struct buf *items, struct buf *lens);
struct bytes item_builder_last(const struct item_builder *builder);
static inline void
item_builder_reset(struct item_builder *builder)
{
	builder->count = 0;
	builder->bytes = 0;
	builder->offsets.len = 0;
}

/* -- Comparing --------------------------------------------------------------------------------------------------------- */

/* How many leading bytes are equal, known to be at least `from`. Reads 8 bytes at a time within the shorter one. */
static inline size_t
item_common_prefix(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, size_t from)
{
	size_t n = a_len < b_len ? a_len : b_len;
	size_t i = from;
	uint64_t x, y;

	while (i + 8 <= n) {
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			return i +
			    (size_t)(__builtin_ctzll(x ^ y) >> 3); /* little-endian: the first byte is the lowest */
		i += 8;
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

#endif
