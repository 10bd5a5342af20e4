/*
 * item_block.c -- item blocks: headers, both payload types, decoding with every length checked.
 * floor: index     uses: item_block.h codec     used by: item_part item_writer item_iter
 *
 *   block header (index format 4.3), integers big-endian:
 *     uvarint n | n bytes   common prefix of all items
 *     uvarint n | n bytes   the first item, complete
 *     u8 type | u32 items | u64 offset in items.bin | u64 offset in lens.bin | u32 bytes in items.bin | u32 bytes in lens.bin
 *   plain (5.1)   lens: u64 length of x[1] ..      items: x[1] ..            where x[i] is item i behind the common prefix
 *   zstd (5.2)    lens: uvarints p[i]^p[i-1], then l[i]^l[i-1]     items: x[i] behind its first p[i] bytes
 *                 p[i]: bytes shared with x[i-1]; l[i]: length of x[i]; i from 1; p[0] = 0
 */
#include "index/item_block.h"

#include "base/err.h"
#include "codec/varint.h"

enum {
	HEADER_FIXED_BYTES = 29,
	/* Below this many bytes behind the common prefix, frames cost more than they save (index format 5.3). */
	COMPRESS_BYTES_MIN = 64,
	/* p and l are below 2^17: three varint bytes each. A frame that holds more is not a lens payload. */
	LENGTH_VARINT_BYTES = 3
};

/* Compressed items larger than this share of the plain ones do not pay for their decompression (5.3). */
#define COMPRESS_RATIO_MAX 0.9

/* -- Headers ---------------------------------------------------------------------------------------------------------- */

int
item_block_header_put(struct buf *out, const struct item_block_header *header)
{
	uint8_t *p;

	TRY(buf_reserve(out,
	    2 * VARINT_BYTES_MAX + header->common_prefix.len + header->first_item.len + HEADER_FIXED_BYTES));
	p = put_uvarint(out->data + out->len, header->common_prefix.len);
	memcpy(p, header->common_prefix.data, header->common_prefix.len);
	p = put_uvarint(p + header->common_prefix.len, header->first_item.len);
	memcpy(p, header->first_item.data, header->first_item.len);
	p += header->first_item.len;
	*p++ = header->type;
	p = put_u32(p, header->items_count);
	p = put_u64(p, header->items_offset);
	p = put_u64(p, header->lens_offset);
	p = put_u32(p, header->items_bytes);
	p = put_u32(p, header->lens_bytes);
	out->len = (size_t)(p - out->data);
	return 0;
}

/* A byte string of at most ITEM_BLOCK_BYTES_MAX bytes; NULL when it is cut off or longer. */
static const uint8_t *
get_bytes(const uint8_t *p, const uint8_t *end, struct bytes *out)
{
	uint64_t len;

	p = get_uvarint(p, end, &len);
	if (p == NULL || len > ITEM_BLOCK_BYTES_MAX || len > (uint64_t)(end - p))
		return NULL;
	*out = bytes_of(p, (size_t)len);
	return p + len;
}

static int
header_check(const struct item_block_header *h)
{
	if (h->common_prefix.len > h->first_item.len ||
	    memcmp(h->common_prefix.data, h->first_item.data, h->common_prefix.len) != 0)
		return ERR(ERR_CORRUPTED, "the first item does not start with the common prefix of its block");
	if (h->type > ITEM_BLOCK_ZSTD)
		return ERR(ERR_CORRUPTED, "unknown block type %u", h->type);
	if (h->items_count == 0 || h->items_count > ITEM_BLOCK_ITEMS_MAX)
		return ERR(ERR_CORRUPTED, "a block of %u items (1 to %d are possible)", h->items_count,
		    ITEM_BLOCK_ITEMS_MAX);
	if (h->items_bytes > ITEM_PAYLOAD_BYTES_MAX || h->lens_bytes > ITEM_LENS_BYTES_MAX)
		return ERR(ERR_CORRUPTED, "payloads of %u and %u bytes are over the limit", h->items_bytes,
		    h->lens_bytes);
	return 0;
}

int
item_block_header_get(const uint8_t **p, const uint8_t *end, struct item_block_header *header)
{
	const uint8_t *q = get_bytes(*p, end, &header->common_prefix);

	if (q != NULL)
		q = get_bytes(q, end, &header->first_item);
	if (q == NULL || end - q < HEADER_FIXED_BYTES)
		return ERR(ERR_CORRUPTED, "a block header is cut off or holds an item of over %d bytes",
		    ITEM_BLOCK_BYTES_MAX);
	header->type = q[0];
	header->items_count = get_u32(q + 1);
	header->items_offset = get_u64(q + 5);
	header->lens_offset = get_u64(q + 13);
	header->items_bytes = get_u32(q + 21);
	header->lens_bytes = get_u32(q + 25);
	TRY(header_check(header));
	*p = q + HEADER_FIXED_BYTES;
	return 0;
}

/* -- Decoding --------------------------------------------------------------------------------------------------------- */

void
item_scratch_init(struct item_scratch *scratch, struct mem *mem)
{
	zstd_context_init(&scratch->zstd, mem);
	buf_init(&scratch->items, mem);
	buf_init(&scratch->lens, mem);
	buf_init(&scratch->lengths, mem);
	buf_init(&scratch->read, mem);
}

void
item_scratch_free(struct item_scratch *scratch)
{
	zstd_context_free(&scratch->zstd);
	buf_free(&scratch->items);
	buf_free(&scratch->lens);
	buf_free(&scratch->lengths);
	buf_free(&scratch->read);
}

/* lengths[2i] = shared bytes with the item before, lengths[2i+1] = length, both behind the common prefix; i from 1. */
static int
lens_plain(uint32_t *lengths, uint32_t count, struct bytes lens)
{
	if (lens.len != ((size_t)count - 1) * 8)
		return ERR(ERR_CORRUPTED, "lens of %zu bytes for %u plain items", lens.len, count);
	for (uint32_t i = 1; i < count; i++) {
		uint64_t length = get_u64(lens.data + (size_t)(i - 1) * 8);

		if (length > ITEM_BLOCK_BYTES_MAX)
			return ERR(ERR_CORRUPTED, "item %u of a block is longer than %d bytes", i,
			    ITEM_BLOCK_BYTES_MAX);
		lengths[2 * i] = 0;
		lengths[2 * i + 1] = (uint32_t)length;
	}
	return 0;
}

/* One column of lengths: each varint is the XOR with the one before. */
static const uint8_t *
lens_column(uint32_t *lengths, uint32_t count, uint64_t before, const uint8_t *p, const uint8_t *end)
{
	for (uint32_t i = 1; i < count; i++) {
		uint64_t x;

		if (p < end && *p < 0x80) {
			x = *p++;
		} else {
			p = get_uvarint(p, end, &x);
			if (p == NULL)
				return NULL;
		}
		before ^= x;
		if (before > ITEM_BLOCK_BYTES_MAX)
			return NULL;
		lengths[2 * (size_t)i] = (uint32_t)before;
	}
	return p;
}

static int
lens_zstd(struct item_scratch *scratch, uint32_t *lengths, uint32_t count, struct bytes lens)
{
	size_t limit = ((size_t)count - 1) * 2 * LENGTH_VARINT_BYTES;
	const uint8_t *p, *end;

	buf_reset(&scratch->lens);
	TRY(zstd_decompress(&scratch->zstd, lens, limit, &scratch->lens));
	p = scratch->lens.data;
	end = p + scratch->lens.len;
	p = lens_column(lengths, count, 0, p, end);
	if (p != NULL)
		p = lens_column(lengths + 1, count, lengths[1], p, end);
	if (p != end)
		return ERR(ERR_CORRUPTED, "the lens of %u items do not parse or have bytes left over", count);
	for (uint32_t i = 1; i < count; i++) {
		if (lengths[2 * i] > lengths[2 * i + 1] || lengths[2 * i] > lengths[2 * i - 1])
			return ERR(ERR_CORRUPTED, "item %u of a block shares more bytes than there are", i);
	}
	return 0;
}

int
item_block_decode_lens(struct item_scratch *scratch, const struct item_block_header *header, struct bytes lens,
    uint32_t *bytes)
{
	uint32_t count = header->items_count;
	uint32_t *lengths;
	uint64_t sum = 0;

	buf_reset(&scratch->lengths);
	TRY(buf_reserve(&scratch->lengths, (size_t)count * 2 * sizeof(uint32_t)));
	lengths = (uint32_t *)scratch->lengths.data;
	lengths[0] = 0;
	lengths[1] = (uint32_t)(header->first_item.len - header->common_prefix.len);
	if (header->type == ITEM_BLOCK_PLAIN)
		TRY(lens_plain(lengths, count, lens));
	else
		TRY(lens_zstd(scratch, lengths, count, lens));
	for (uint32_t i = 0; i < count; i++)
		sum += lengths[2 * i + 1];
	sum += (uint64_t)header->common_prefix.len * count;
	if (sum > ITEM_BLOCK_BYTES_MAX)
		return ERR(ERR_CORRUPTED, "the items of a block sum up to %llu bytes", (unsigned long long)sum);
	*bytes = (uint32_t)sum;
	return 0;
}

/* Copies up to n bytes in pieces of 16, reading and writing up to 15 beyond: both sides have slack. */
static inline void
copy_slack(uint8_t *to, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i += 16)
		memcpy(to + i, from + i, 16);
}

/* Is b >= a, both starting with the same `from` bytes? */
static inline bool
in_order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, size_t from)
{
	size_t same = item_common_prefix(a, a_len, b, b_len, from);

	if (same < a_len && same < b_len)
		return a[same] < b[same];
	return a_len <= b_len;
}

int
item_block_decode_items(struct item_scratch *scratch, const struct item_block_header *header, struct bytes items,
    struct item_block *block)
{
	const uint32_t *lengths = (const uint32_t *)scratch->lengths.data;
	uint32_t count = header->items_count, prefix = (uint32_t)header->common_prefix.len;
	const uint8_t *p, *end;
	uint8_t *data, *before;
	size_t before_len;

	buf_reset(&scratch->items);
	if (header->type == ITEM_BLOCK_ZSTD)
		TRY(zstd_decompress(&scratch->zstd, items, ITEM_BLOCK_BYTES_MAX, &scratch->items));
	else
		TRY(buf_append(&scratch->items, items.data, items.len));
	TRY(buf_reserve(&scratch->items, ITEM_SLACK_BYTES));
	p = scratch->items.data;
	end = p + scratch->items.len;
	block->count = count;
	data = (uint8_t *)(block->offsets + count + 1);
	block->offsets[0] = 0;
	memcpy(data, header->first_item.data, header->first_item.len);
	before = data;
	before_len = header->first_item.len;
	for (uint32_t i = 1; i < count; i++) {
		uint8_t *item = before + before_len;
		uint32_t shared = prefix + lengths[2 * i], len = prefix + lengths[2 * i + 1];

		if (len - shared > (size_t)(end - p))
			return ERR(ERR_CORRUPTED, "the items payload of a block ends early");
		/* Forward in pieces is right although the areas may touch: the source lies wholly before the target, and what
		 * a piece writes too much is overwritten by the next. An item shorter than 16 bytes makes them overlap. */
		if (before_len >= 16)
			copy_slack(item, before, shared);
		else
			memmove(item, before, shared);
		copy_slack(item + shared, p, len - shared);
		p += len - shared;
		block->offsets[i] = (uint32_t)(item - data);
		if (!in_order(before, before_len, item, len, shared))
			return ERR(ERR_CORRUPTED, "item %u of a block is smaller than the one before", i);
		before = item;
		before_len = len;
	}
	if (p != end)
		return ERR(ERR_CORRUPTED, "the items payload of a block has %zu bytes left over", (size_t)(end - p));
	block->bytes = (uint32_t)(before + before_len - data);
	block->offsets[count] = block->bytes;
	memset(data + block->bytes, 0, ITEM_SLACK_BYTES);
	return 0;
}

/* -- Building --------------------------------------------------------------------------------------------------------- */

int
item_builder_init(struct item_builder *builder, struct mem *mem)
{
	*builder = (struct item_builder){ .mem = mem };
	zstd_context_init(&builder->zstd, mem);
	buf_init(&builder->offsets, mem);
	buf_init(&builder->suffixes, mem);
	buf_init(&builder->lens, mem);
	builder->data = mem_alloc(mem, ITEM_BLOCK_BYTES_MAX + ITEM_SLACK_BYTES);
	return builder->data == NULL ? ERR_MEMORY : 0;
}

void
item_builder_free(struct item_builder *builder)
{
	if (builder->mem == NULL)
		return;
	mem_free(builder->mem, builder->data);
	buf_free(&builder->offsets);
	buf_free(&builder->suffixes);
	buf_free(&builder->lens);
	zstd_context_free(&builder->zstd);
	builder->mem = NULL;
}

bool
item_builder_fits(const struct item_builder *builder, size_t len)
{
	return builder->bytes + len <= ITEM_BLOCK_BYTES_MAX && builder->count < ITEM_BLOCK_ITEMS_MAX;
}

int
item_builder_add(struct item_builder *builder, struct bytes item)
{
	assert(item_builder_fits(builder, item.len));
	assert(builder->count == 0 || bytes_compare(item_builder_last(builder), item) <= 0);
	TRY(buf_append(&builder->offsets, &builder->bytes, sizeof(uint32_t)));
	memcpy(builder->data + builder->bytes, item.data, item.len);
	builder->bytes += (uint32_t)item.len;
	builder->count++;
	return 0;
}

static struct bytes
builder_item(const struct item_builder *builder, uint32_t i)
{
	const uint32_t *offsets = (const uint32_t *)builder->offsets.data;
	uint32_t end = i + 1 < builder->count ? offsets[i + 1] : builder->bytes;

	return bytes_of(builder->data + offsets[i], end - offsets[i]);
}

struct bytes
item_builder_last(const struct item_builder *builder)
{
	return builder_item(builder, builder->count - 1);
}

/* Fills suffixes and lens with the contents of the two frames. */
static int
gather_zstd(struct item_builder *builder, size_t prefix)
{
	struct bytes before = builder_item(builder, 0);
	size_t shared_before = 0, lengths_room = (size_t)builder->count * LENGTH_VARINT_BYTES;
	uint8_t *shared_end, *lengths, *lengths_end, *out;

	buf_reset(&builder->lens);
	buf_reset(&builder->suffixes);
	/* The second column is written behind the room of the first, and moved down when both are known. */
	TRY(buf_reserve(&builder->lens, 2 * lengths_room));
	TRY(buf_reserve(&builder->suffixes, builder->bytes + ITEM_SLACK_BYTES));
	shared_end = builder->lens.data;
	lengths = lengths_end = shared_end + lengths_room;
	out = builder->suffixes.data;
	for (uint32_t i = 1; i < builder->count; i++) {
		struct bytes item = builder_item(builder, i);
		size_t shared = item_common_prefix(before.data, before.len, item.data, item.len, prefix);

		shared_end = put_uvarint(shared_end, (shared - prefix) ^ shared_before);
		lengths_end = put_uvarint(lengths_end, (item.len - prefix) ^ (before.len - prefix));
		copy_slack(out, item.data + shared, item.len - shared);
		out += item.len - shared;
		shared_before = shared - prefix;
		before = item;
	}
	memmove(shared_end, lengths, (size_t)(lengths_end - lengths));
	builder->lens.len = (size_t)(shared_end - builder->lens.data) + (size_t)(lengths_end - lengths);
	builder->suffixes.len = (size_t)(out - builder->suffixes.data);
	return 0;
}

static int
encode_zstd(struct item_builder *builder, size_t prefix, int level, struct buf *items, struct buf *lens)
{
	TRY(gather_zstd(builder, prefix));
	TRY(zstd_compress(&builder->zstd, level, buf_bytes(&builder->suffixes), items));
	return zstd_compress(&builder->zstd, level, buf_bytes(&builder->lens), lens);
}

static int
encode_plain(struct item_builder *builder, size_t prefix, struct buf *items, struct buf *lens)
{
	uint8_t *p;

	TRY(buf_reserve(lens, ((size_t)builder->count - 1) * 8));
	p = lens->data + lens->len;
	for (uint32_t i = 1; i < builder->count; i++) {
		struct bytes item = builder_item(builder, i);

		p = put_u64(p, item.len - prefix);
		TRY(buf_append(items, item.data + prefix, item.len - prefix));
	}
	lens->len = (size_t)(p - lens->data);
	return 0;
}

/* One item, or all equal: a plain block would have an empty items payload, which confuses the peer (4.4). */
static bool
plain_is_empty(const struct item_builder *builder, size_t prefix)
{
	return builder->bytes - builder_item(builder, 0).len == prefix * (builder->count - 1);
}

int
item_builder_encode(struct item_builder *builder, int level, struct item_block_header *header, struct buf *items,
    struct buf *lens)
{
	struct bytes first = builder_item(builder, 0), last = item_builder_last(builder);
	size_t prefix = item_common_prefix(first.data, first.len, last.data, last.len, 0);
	size_t items_start = items->len, lens_start = lens->len;
	size_t plain_bytes = builder->bytes - prefix * builder->count;
	bool zstd = plain_is_empty(builder, prefix);

	assert(builder->count > 0);
	if (zstd || plain_bytes >= COMPRESS_BYTES_MIN) {
		TRY(encode_zstd(builder, prefix, level, items, lens));
		zstd = zstd || (double)(items->len - items_start) <= COMPRESS_RATIO_MAX * (double)plain_bytes;
	}
	if (!zstd) {
		items->len = items_start;
		lens->len = lens_start;
		TRY(encode_plain(builder, prefix, items, lens));
	}
	*header = (struct item_block_header){
		.common_prefix = bytes_of(first.data, prefix),
		.first_item = first,
		.type = zstd ? ITEM_BLOCK_ZSTD : ITEM_BLOCK_PLAIN,
		.items_count = builder->count,
		.items_bytes = (uint32_t)(items->len - items_start),
		.lens_bytes = (uint32_t)(lens->len - lens_start),
	};
	return 0;
}
