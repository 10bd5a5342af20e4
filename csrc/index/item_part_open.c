/*
 * item_part_open.c -- opens a part directory and believes nothing in it.
 * floor: index     uses: item_part.h codec     used by: item_recover item_merge item_table
 *
 *   name -> tsengine.sums (if there) -> metadata.json -> metaindex.bin -> sizes of the others -> without sums: the last block
 *
 * Sums tell the sizes and the checksums of the small files at once; those of the large ones are compared block by block
 * when they are read. A missing file is damage, a failing read is not.
 */
#include "index/item_part.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "codec/hash.h"
#include "codec/varint.h"

enum {
	METADATA_BYTES_MAX = 1 << 20,    /* two items of 64 KiB in hex take a quarter of it */
	METAINDEX_BYTES_MAX = 256 << 20, /* compressed: ten million rows and more */
	SUMS_BYTES_MAX = 256 << 20,
	METAINDEX_ROW_FIXED_BYTES = 16,
	METAINDEX_ROW_BYTES_MAX = ITEM_BLOCK_BYTES_MAX + METAINDEX_ROW_FIXED_BYTES + 10
};

/* "<part>/<file>" for messages and calls; NULL with ERR_MEMORY. */
static char *
file_path(const struct item_part *part, const char *file)
{
	return mem_printf(part->mem, "%s/%s", part->path, file);
}

/* The last error with its place, when it was about bad bytes or a missing file. */
static int
place_error(const struct item_part *part, int rc, const char *file)
{
	char message[512];
	char *path;

	if (rc != ERR_CORRUPTED && rc != ERR_NOTFOUND)
		return rc;
	snprintf(message, sizeof(message), "%s", rc == ERR_NOTFOUND ? "the file is missing" : err_message());
	path = file_path(part, file);
	rc = ERR_CORRUPT(path == NULL ? part->path : path, UINT64_MAX, "%s", message);
	mem_free(part->mem, path);
	return rc;
}

static int
read_small(struct item_part *part, const char *file, uint64_t limit, struct buf *out)
{
	char *path = file_path(part, file);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_read_file(part->io, path, limit, out);
	mem_free(part->mem, path);
	return rc;
}

/* -- Sums and metadata ------------------------------------------------------------------------------------------------ */

static int
load_sums(struct item_part *part, const struct item_part_name *name)
{
	struct buf data;
	int rc;

	buf_init(&data, part->mem);
	rc = read_small(part, ITEM_FILE_SUMS, SUMS_BYTES_MAX, &data);
	if (rc == ERR_NOTFOUND) {
		buf_free(&data);
		return 0; /* written by somebody else */
	}
	if (rc == 0)
		rc = item_sums_parse(part->mem, buf_bytes(&data), &part->sums);
	if (rc == 0 && (part->sums.items != name->items || part->sums.blocks != name->blocks))
		rc = ERR(ERR_CORRUPTED, "the counts are not those of the directory's name");
	part->verified = rc == 0;
	buf_free(&data);
	return place_error(part, rc, ITEM_FILE_SUMS);
}

/* Size and checksum of a small file against the sums, if there are any. */
static int
check_small(const struct item_part *part, struct bytes data, uint64_t bytes, uint32_t crc)
{
	if (!part->verified)
		return 0;
	if (data.len != bytes)
		return ERR(ERR_CORRUPTED, "%zu bytes, %" PRIu64 " were written", data.len, bytes);
	if (hash_crc32c(0, data.data, data.len) != crc)
		return ERR(ERR_CORRUPTED, "the checksum is wrong");
	return 0;
}

/* Takes the bounds over into the part. */
static int
keep_bounds(struct item_part *part, const struct item_metadata *metadata)
{
	size_t first = metadata->first.len;

	buf_reset(&part->bounds);
	TRY(buf_reserve(&part->bounds, first + metadata->last.len + 1));
	TRY(buf_append(&part->bounds, metadata->first.data, first));
	TRY(buf_append(&part->bounds, metadata->last.data, metadata->last.len));
	part->first = bytes_of(part->bounds.data, first);
	part->last = bytes_of(part->bounds.data + first, metadata->last.len);
	return 0;
}

static int
load_metadata(struct item_part *part, const struct item_part_name *name)
{
	struct item_metadata metadata = { 0 };
	struct buf data;
	int rc;

	buf_init(&data, part->mem);
	buf_init(&metadata.first, part->mem);
	buf_init(&metadata.last, part->mem);
	rc = read_small(part, ITEM_FILE_METADATA, METADATA_BYTES_MAX, &data);
	if (rc == 0)
		rc = check_small(part, buf_bytes(&data), part->sums.sizes.metadata, part->sums.metadata_crc);
	if (rc == 0)
		rc = item_metadata_parse(buf_bytes(&data), &metadata);
	if (rc == 0 && (metadata.items != name->items || metadata.blocks != name->blocks))
		rc = ERR(ERR_CORRUPTED, "the counts are not those of the directory's name");
	if (rc == 0 && bytes_compare(buf_bytes(&metadata.first), buf_bytes(&metadata.last)) > 0)
		rc = ERR(ERR_CORRUPTED, "FirstItem is greater than LastItem");
	if (rc == 0)
		rc = keep_bounds(part, &metadata);
	part->items = name->items;
	part->blocks = name->blocks;
	part->sizes.metadata = data.len;
	buf_free(&data);
	buf_free(&metadata.first);
	buf_free(&metadata.last);
	return place_error(part, rc, ITEM_FILE_METADATA);
}

/* -- Metaindex -------------------------------------------------------------------------------------------------------- */

/* Reads one row; the first item points into the input. */
static int
get_row(const uint8_t **p, const uint8_t *end, struct item_metaindex_row *row)
{
	uint64_t len;
	const uint8_t *q = get_uvarint(*p, end, &len);

	if (q == NULL || len > ITEM_BLOCK_BYTES_MAX || (uint64_t)(end - q) < len + METAINDEX_ROW_FIXED_BYTES)
		return ERR(ERR_CORRUPTED, "a row is cut off or holds an item of over %d bytes", ITEM_BLOCK_BYTES_MAX);
	row->first = bytes_of(q, (size_t)len);
	q += len;
	row->blocks = get_u32(q);
	row->offset = get_u64(q + 4);
	row->bytes = get_u32(q + 12);
	*p = q + METAINDEX_ROW_FIXED_BYTES;
	return 0;
}

static int
check_row(const struct item_part *part, const struct item_metaindex_row *row, const struct item_metaindex_row *before)
{
	uint64_t offset = before == NULL ? 0 : before->offset + before->bytes;

	if (row->blocks == 0 || row->blocks > part->blocks || row->first_block > part->blocks - row->blocks)
		return ERR(ERR_CORRUPTED, "the rows promise more blocks than the part has, or none");
	if (row->offset != offset || row->bytes == 0 || row->bytes > ITEM_PAYLOAD_BYTES_MAX)
		return ERR(ERR_CORRUPTED, "an index block of %u bytes at %" PRIu64 " where %" PRIu64 " is expected",
		    row->bytes, row->offset, offset);
	if (before != NULL && bytes_compare(before->first, row->first) > 0)
		return ERR(ERR_CORRUPTED, "the rows are not sorted");
	return 0;
}

static int
parse_metaindex(struct item_part *part)
{
	const uint8_t *p = part->metaindex_bytes.data, *end = p + part->metaindex_bytes.len;
	struct buf rows;
	uint64_t blocks = 0;
	int rc = 0;

	buf_init(&rows, part->mem);
	while (rc == 0 && p < end) {
		struct item_metaindex_row row;
		size_t n = rows.len / sizeof(row);
		const struct item_metaindex_row *before =
		    n == 0 ? NULL : (struct item_metaindex_row *)rows.data + n - 1;

		rc = get_row(&p, end, &row);
		if (rc != 0)
			break;
		row.first_block = blocks;
		blocks += row.blocks;
		rc = check_row(part, &row, before);
		if (rc == 0)
			rc = buf_append(&rows, &row, sizeof(row));
	}
	if (rc == 0 && (rows.len == 0 || blocks != part->blocks))
		rc = ERR(ERR_CORRUPTED, "the rows hold %" PRIu64 " blocks, the part %" PRIu64, blocks, part->blocks);
	part->metaindex = (struct item_metaindex_row *)rows.data; /* a buf's bytes are one block of mem.h */
	part->metaindex_count = rows.len / sizeof(struct item_metaindex_row);
	if (rc == 0 && bytes_compare(part->metaindex[0].first, part->first) != 0)
		rc = ERR(ERR_CORRUPTED, "the first row does not start with FirstItem of %s", ITEM_FILE_METADATA);
	return rc;
}

static int
load_metaindex(struct item_part *part, struct item_scratch *scratch)
{
	/* One row per block at most: what a damaged frame may ask for is bounded by what the part can need. */
	uint64_t most = part->blocks > METAINDEX_BYTES_MAX / METAINDEX_ROW_BYTES_MAX
	    ? METAINDEX_BYTES_MAX
	    : part->blocks * METAINDEX_ROW_BYTES_MAX;
	struct buf data;
	int rc;

	buf_init(&data, part->mem);
	rc = read_small(part, ITEM_FILE_METAINDEX, METAINDEX_BYTES_MAX, &data);
	part->sizes.metaindex = data.len;
	if (rc == 0)
		rc = check_small(part, buf_bytes(&data), part->sums.sizes.metaindex, part->sums.metaindex_crc);
	if (rc == 0)
		rc = zstd_decompress(&scratch->zstd, buf_bytes(&data), (size_t)most, &part->metaindex_bytes);
	if (rc == 0)
		rc = parse_metaindex(part);
	if (rc == 0 && part->verified && part->metaindex_count != part->sums.index_blocks)
		rc = ERR(ERR_CORRUPTED, "%zu rows, %u were written", part->metaindex_count, part->sums.index_blocks);
	buf_free(&data);
	return place_error(part, rc, ITEM_FILE_METAINDEX);
}

/* -- The large files -------------------------------------------------------------------------------------------------- */

/* expected UINT64_MAX: any size. */
static int
open_large(struct item_part *part, const char *file, uint64_t expected, struct io_file **out, uint64_t *bytes)
{
	char *path = file_path(part, file);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_open_read(part->io, path, out);
	if (rc == 0)
		rc = io_size(*out, bytes);
	if (rc == 0 && expected != UINT64_MAX && *bytes != expected)
		rc = ERR(ERR_CORRUPTED, "%" PRIu64 " bytes, %" PRIu64 " are expected", *bytes, expected);
	mem_free(part->mem, path);
	return place_error(part, rc, file);
}

static int
open_files(struct item_part *part)
{
	const struct item_metaindex_row *last = &part->metaindex[part->metaindex_count - 1];
	uint64_t items = part->verified ? part->sums.sizes.items : UINT64_MAX;
	uint64_t lens = part->verified ? part->sums.sizes.lens : UINT64_MAX;

	TRY(open_large(part, ITEM_FILE_INDEX, last->offset + last->bytes, &part->index_file, &part->sizes.index));
	TRY(open_large(part, ITEM_FILE_ITEMS, items, &part->items_file, &part->sizes.items));
	TRY(open_large(part, ITEM_FILE_LENS, lens, &part->lens_file, &part->sizes.lens));
	part->bytes = part->sizes.items + part->sizes.lens + part->sizes.index + part->sizes.metaindex;
	return 0;
}

/* A LastItem smaller than the real one would hide items from every seek, so it is compared with the last block. */
static int
check_last(struct item_part *part, struct item_scratch *scratch)
{
	size_t row = part->metaindex_count - 1;
	struct cache_entry *index_entry, *block_entry;
	const struct item_index_block *index;
	int rc;

	TRY(item_part_index_block(part, row, scratch, &index_entry));
	index = (const struct item_index_block *)index_entry->data;
	rc = item_part_block(part, part->blocks - 1, &index->headers[index->count - 1], scratch, &block_entry);
	if (rc == 0) {
		const struct item_block *block = (const struct item_block *)block_entry->data;

		if (bytes_compare(item_block_item(block, block->count - 1), part->last) != 0)
			rc = place_error(part, ERR(ERR_CORRUPTED, "LastItem is not the last item"), ITEM_FILE_METADATA);
		cache_release(part->cache, block_entry);
	}
	cache_release(part->cache, index_entry);
	return rc;
}

static int
open_steps(struct item_part *part, const char *name_text, struct item_scratch *scratch)
{
	struct item_part_name name;

	if (item_part_name_parse(name_text, &name) != 0) {
		char message[512];

		snprintf(message, sizeof(message), "%s", err_message());
		return ERR_CORRUPT(part->path, UINT64_MAX, "%s", message);
	}
	TRY(load_sums(part, &name));
	TRY(load_metadata(part, &name));
	TRY(load_metaindex(part, scratch));
	TRY(open_files(part));
	return part->verified ? 0 : check_last(part, scratch);
}

int
item_part_open(const struct item_part_env *env, const char *path, const char *name, struct item_part **out)
{
	struct item_part *part = mem_zalloc(env->mem, sizeof(*part));
	struct item_scratch scratch;
	int rc;

	if (part == NULL)
		return ERR_MEMORY;
	part->refs = 1;
	part->mem = env->mem;
	part->io = env->io;
	part->cache = env->cache;
	part->cache_owner = env->cache_owner;
	buf_init(&part->bounds, env->mem);
	buf_init(&part->metaindex_bytes, env->mem);
	part->path = mem_strdup(env->mem, path);
	item_scratch_init(&scratch, env->mem);
	rc = part->path == NULL ? ERR_MEMORY : open_steps(part, name, &scratch);
	item_scratch_free(&scratch);
	if (rc != 0) {
		struct err_saved saved;

		err_save(&saved);
		item_part_unref(part);
		return err_restore(&saved);
	}
	*out = part;
	return 0;
}
