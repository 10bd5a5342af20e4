/*
 * item_part.c -- life of item parts, and their blocks: read, sums compared, decoded, kept in the cache.
 * floor: index     uses: item_part.h codec     used by: item_iter item_merge item_table
 *
 * Opening is item_part_open.c. Bad bytes met here mark the part damaged: merges leave it alone from then on, so that
 * what is still readable of it stays where it is.
 */
#include "index/item_part.h"

#include <stdio.h>

#include "base/err.h"
#include "codec/hash.h"

/* Index blocks and item blocks share the cache: the top bit of the offset tells them apart. */
#define CACHE_INDEX_BIT (UINT64_C(1) << 63)

/* The writer closes index blocks at 64 KiB; the last header can exceed that by two items, and others may be generous. */
enum { INDEX_CONTENT_BYTES_MAX = 1 << 20 };

/* -- Life ------------------------------------------------------------------------------------------------------------- */

int
item_part_create_mem(struct mem *mem, uint8_t *data, uint32_t *offsets, size_t count, struct item_part **out)
{
	struct item_part *part = mem_zalloc(mem, sizeof(*part));

	assert(count > 0);
	if (part == NULL) {
		mem_free(mem, data);
		mem_free(mem, offsets);
		return ERR_MEMORY;
	}
	part->refs = 1;
	part->mem = mem;
	part->items = count;
	part->bytes = offsets[count];
	part->data = data;
	part->offsets = offsets;
	part->first = bytes_of(data, offsets[1]);
	part->last = bytes_of(data + offsets[count - 1], offsets[count] - offsets[count - 1]);
	*out = part;
	return 0;
}

void
item_part_ref(struct item_part *part)
{
	uint32_t before = part->refs++;

	assert(before > 0);
	(void)before;
}

static void
part_free(struct item_part *part)
{
	struct mem *mem = part->mem;

	if (part->cache != NULL)
		cache_drop(part->cache, part->cache_owner);
	io_close(part->items_file);
	io_close(part->lens_file);
	io_close(part->index_file);
	item_sums_free(mem, &part->sums);
	if (part->path != NULL) {
		buf_free(&part->bounds);
		buf_free(&part->metaindex_bytes);
	}
	mem_free(mem, part->metaindex);
	mem_free(mem, part->path);
	mem_free(mem, part->data);
	mem_free(mem, part->offsets);
	mem_free(mem, part);
}

void
item_part_unref(struct item_part *part)
{
	if (part == NULL)
		return;
	assert(part->refs > 0);
	if (--part->refs == 0)
		part_free(part);
}

int
item_part_set_path(struct item_part *part, const char *path)
{
	char *copy = mem_strdup(part->mem, path);

	if (copy == NULL)
		return ERR_MEMORY;
	mem_free(part->mem, part->path);
	part->path = copy;
	return 0;
}

const char *
item_part_base_name(const struct item_part *part)
{
	const char *slash = strrchr(part->path, '/');

	return slash == NULL ? part->path : slash + 1;
}

/* -- Reading ---------------------------------------------------------------------------------------------------------- */

/* Gives the last error its place when it was about bad bytes; other errors pass. */
static int
place_error(struct item_part *part, int rc, const struct io_file *file, uint64_t offset)
{
	char message[512];

	if (rc != ERR_CORRUPTED)
		return rc;
	snprintf(message, sizeof(message), "%s", err_message());
	part->damaged = true;
	return ERR_CORRUPT(io_path(file), offset, "%s", message);
}

static int
crc_check(uint32_t expected, struct bytes data)
{
	uint32_t found = hash_crc32c(0, data.data, data.len);

	if (found != expected)
		return ERR(ERR_CORRUPTED, "the CRC32C of %zu bytes is %08x, %08x was written", data.len, found,
		    expected);
	return 0;
}

/* Parses `count` headers of raw; their byte strings point into raw. */
static int
parse_headers(struct item_part *part, struct item_index_block *index, const uint8_t *raw, size_t raw_bytes)
{
	const uint8_t *p = raw;

	for (uint32_t i = 0; i < index->count; i++) {
		struct item_block_header *h = &index->headers[i];

		TRY(item_block_header_get(&p, raw + raw_bytes, h));
		if (i > 0 && bytes_compare(index->headers[i - 1].first_item, h->first_item) > 0)
			return ERR(ERR_CORRUPTED, "block headers are not sorted");
		if (h->items_offset > part->sizes.items || h->items_bytes > part->sizes.items - h->items_offset ||
		    h->lens_offset > part->sizes.lens || h->lens_bytes > part->sizes.lens - h->lens_offset)
			return ERR(ERR_CORRUPTED, "a block lies outside of its file");
	}
	if (p != raw + raw_bytes)
		return ERR(ERR_CORRUPTED, "bytes left over behind %u block headers", index->count);
	return 0;
}

static int
load_index_block(struct item_part *part, size_t number, struct item_scratch *scratch, struct cache_entry **out)
{
	const struct item_metaindex_row *row = &part->metaindex[number];
	size_t head = sizeof(struct item_index_block) + row->blocks * sizeof(struct item_block_header);
	struct item_index_block *index;
	struct cache_entry *entry;
	uint8_t *data;
	int rc;

	buf_reset(&scratch->read);
	TRY(buf_reserve(&scratch->read, row->bytes));
	TRY(io_pread(part->index_file, scratch->read.data, row->bytes, row->offset));
	if (part->verified)
		TRY(crc_check(part->sums.index_crcs[number], bytes_of(scratch->read.data, row->bytes)));
	buf_reset(&scratch->items);
	TRY(zstd_decompress(&scratch->zstd, bytes_of(scratch->read.data, row->bytes), INDEX_CONTENT_BYTES_MAX,
	    &scratch->items));
	/* Every header has at least 31 bytes: a count beyond that must not become an allocation. */
	if (row->blocks > scratch->items.len / 31)
		return ERR(ERR_CORRUPTED, "%zu bytes cannot hold %u block headers", scratch->items.len, row->blocks);
	TRY(cache_make(part->cache, head + scratch->items.len, &data, &entry));
	index = (struct item_index_block *)data;
	index->count = row->blocks;
	memcpy(data + head, scratch->items.data, scratch->items.len);
	rc = parse_headers(part, index, data + head, scratch->items.len);
	if (rc == 0 && bytes_compare(index->headers[0].first_item, row->first) != 0)
		rc = ERR(ERR_CORRUPTED, "the first item of an index block is not that of the metaindex");
	if (rc != 0) {
		cache_release(part->cache, entry);
		return rc;
	}
	*out = cache_insert(part->cache, entry, part->cache_owner, CACHE_INDEX_BIT | number);
	return 0;
}

int
item_part_index_block(struct item_part *part, size_t row, struct item_scratch *scratch, struct cache_entry **out)
{
	*out = cache_get(part->cache, part->cache_owner, CACHE_INDEX_BIT | row);
	if (*out != NULL)
		return 0;
	return place_error(part, load_index_block(part, row, scratch, out), part->index_file,
	    part->metaindex[row].offset);
}

/* Both payloads one behind the other in scratch->read, their sum compared, the lengths decoded. */
static int
read_payloads(struct item_part *part, uint64_t number, const struct item_block_header *h, struct item_scratch *scratch,
    uint32_t *bytes)
{
	uint8_t *p;

	buf_reset(&scratch->read);
	TRY(buf_reserve(&scratch->read, (size_t)h->items_bytes + h->lens_bytes));
	p = scratch->read.data;
	TRY(io_pread(part->items_file, p, h->items_bytes, h->items_offset));
	TRY(io_pread(part->lens_file, p + h->items_bytes, h->lens_bytes, h->lens_offset));
	if (part->verified)
		TRY(crc_check(part->sums.block_crcs[number], bytes_of(p, (size_t)h->items_bytes + h->lens_bytes)));
	return item_block_decode_lens(scratch, h, bytes_of(p + h->items_bytes, h->lens_bytes), bytes);
}

static int
load_block(struct item_part *part, uint64_t number, const struct item_block_header *h, struct item_scratch *scratch,
    struct cache_entry **out)
{
	struct cache_entry *entry;
	uint32_t bytes;
	uint8_t *data;
	int rc;

	TRY(read_payloads(part, number, h, scratch, &bytes));
	TRY(cache_make(part->cache, item_block_room(h->items_count, bytes), &data, &entry));
	rc = item_block_decode_items(scratch, h, bytes_of(scratch->read.data, h->items_bytes),
	    (struct item_block *)data);
	if (rc != 0) {
		cache_release(part->cache, entry);
		return rc;
	}
	*out = cache_insert(part->cache, entry, part->cache_owner, number);
	return 0;
}

int
item_part_block(struct item_part *part, uint64_t number, const struct item_block_header *header,
    struct item_scratch *scratch, struct cache_entry **out)
{
	*out = cache_get(part->cache, part->cache_owner, number);
	if (*out != NULL)
		return 0;
	return place_error(part, load_block(part, number, header, scratch, out), part->items_file,
	    header->items_offset);
}

static int
read_block(struct item_part *part, uint64_t number, const struct item_block_header *h, struct item_scratch *scratch,
    struct buf *room)
{
	uint32_t bytes;

	TRY(read_payloads(part, number, h, scratch, &bytes));
	buf_reset(room);
	TRY(buf_reserve(room, item_block_room(h->items_count, bytes)));
	return item_block_decode_items(scratch, h, bytes_of(scratch->read.data, h->items_bytes),
	    (struct item_block *)room->data);
}

int
item_part_read_block(struct item_part *part, uint64_t number, const struct item_block_header *header,
    struct item_scratch *scratch, struct buf *room)
{
	return place_error(part, read_block(part, number, header, scratch, room), part->items_file,
	    header->items_offset);
}
