/*
 * item_writer.c -- writes the files of an item part, one block after the other.
 * floor: index     uses: item_writer.h codec     used by: item_merge
 *
 * Finishing, one step each:  last block, rest of all buffers -> fsync items -> fsync lens -> fsync index ->
 * metaindex.bin (synced) -> metadata.json (synced) -> tsengine.sums (synced) -> fsync of the directory.
 * The order inside the directory is free: nobody can see it before it was renamed.
 */
#include "index/item_writer.h"

#include "base/err.h"
#include "codec/hash.h"
#include "codec/varint.h"

enum {
	INDEX_BLOCK_BYTES_MIN = 65536, /* an index block is closed when its headers reach this (index format 4.3) */
	/* A block is closed before it grows beyond this, half of what it may hold: a lookup that misses the cache decodes half as
	 * much (110 us of cpu for a full one), for 1.6 % more bytes on disk. */
	BLOCK_BYTES_GOAL = ITEM_BLOCK_BYTES_MAX / 2,
	WRITE_BYTES = 256 << 10 /* one write call: large enough to be cheap, small enough to be short */
};

/* A file that is appended to, and what was not handed to the system yet. */
struct out_file {
	struct io_file *file;
	struct buf pending;
	uint64_t bytes; /* with what is pending */
};

enum finish_state {
	FINISH_FLUSH,
	FINISH_SYNC_ITEMS,
	FINISH_SYNC_LENS,
	FINISH_SYNC_INDEX,
	FINISH_METAINDEX,
	FINISH_METADATA,
	FINISH_SUMS,
	FINISH_DIRECTORY,
	FINISH_DONE
};

struct item_writer {
	struct io *io;
	struct mem *mem;
	char *directory;
	int level;
	struct item_builder builder;
	struct zstd_context zstd;
	struct out_file items, lens, index;
	struct buf headers; /* of the open index block */
	uint32_t headers_count;
	struct buf headers_first; /* its first item */
	struct buf metaindex;     /* rows, uncompressed */
	struct buf index_crcs, block_crcs;
	uint32_t index_blocks;
	uint64_t items_count, blocks_count;
	struct buf first, last;
	struct item_sums sums; /* filled while finishing */
	enum finish_state state;
};

/* -- Files ------------------------------------------------------------------------------------------------------------ */

static int
out_open(struct item_writer *writer, struct out_file *out, const char *name)
{
	char *path = mem_printf(writer->mem, "%s/%s", writer->directory, name);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_create(writer->io, path, &out->file);
	mem_free(writer->mem, path);
	return rc;
}

static int
out_flush(struct out_file *out)
{
	TRY(io_write(out->file, out->pending.data, out->pending.len));
	buf_reset(&out->pending);
	return 0;
}

static int
out_flush_if_large(struct out_file *out)
{
	return out->pending.len >= WRITE_BYTES ? out_flush(out) : 0;
}

static int
out_sync_close(struct out_file *out)
{
	int rc = io_fsync(out->file), close_rc = io_close(out->file);

	out->file = NULL;
	return rc != 0 ? rc : close_rc;
}

static int
write_small(struct item_writer *writer, const char *name, struct bytes data)
{
	char *path = mem_printf(writer->mem, "%s/%s", writer->directory, name);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_write_file_synced(writer->io, path, data.data, data.len);
	mem_free(writer->mem, path);
	return rc;
}

/* -- Life ------------------------------------------------------------------------------------------------------------- */

static void
init_bufs(struct item_writer *writer)
{
	struct buf *bufs[] = { &writer->items.pending, &writer->lens.pending, &writer->index.pending, &writer->headers,
		&writer->headers_first, &writer->metaindex, &writer->index_crcs, &writer->block_crcs, &writer->first,
		&writer->last };

	for (size_t i = 0; i < ARRAY_LENGTH(bufs); i++)
		buf_init(bufs[i], writer->mem);
}

static void
free_bufs(struct item_writer *writer)
{
	struct buf *bufs[] = { &writer->items.pending, &writer->lens.pending, &writer->index.pending, &writer->headers,
		&writer->headers_first, &writer->metaindex, &writer->index_crcs, &writer->block_crcs, &writer->first,
		&writer->last };

	for (size_t i = 0; i < ARRAY_LENGTH(bufs); i++)
		buf_free(bufs[i]);
}

int
item_writer_create(struct io *io, struct mem *mem, const char *directory, int level, struct item_writer **out)
{
	struct item_writer *writer = mem_zalloc(mem, sizeof(*writer));
	struct err_saved saved;
	int rc;

	if (writer == NULL)
		return ERR_MEMORY;
	writer->io = io;
	writer->mem = mem;
	writer->level = level;
	init_bufs(writer);
	zstd_context_init(&writer->zstd, mem);
	writer->directory = mem_strdup(mem, directory);
	rc = writer->directory == NULL ? ERR_MEMORY : item_builder_init(&writer->builder, mem);
	if (rc == 0)
		rc = io_mkdir(io, directory);
	if (rc == 0)
		rc = out_open(writer, &writer->items, ITEM_FILE_ITEMS);
	if (rc == 0)
		rc = out_open(writer, &writer->lens, ITEM_FILE_LENS);
	if (rc == 0)
		rc = out_open(writer, &writer->index, ITEM_FILE_INDEX);
	if (rc == 0) {
		*out = writer;
		return 0;
	}
	err_save(&saved);
	item_writer_delete(writer, false);
	return err_restore(&saved);
}

void
item_writer_delete(struct item_writer *writer, bool keep)
{
	if (writer == NULL)
		return;
	io_close(writer->items.file);
	io_close(writer->lens.file);
	io_close(writer->index.file);
	if (!keep && writer->directory != NULL) {
		/* What stays lies in tmp/, which the next open empties. */
		int rc = io_remove_tree(writer->io, writer->directory);

		(void)rc;
	}
	item_builder_free(&writer->builder);
	zstd_context_free(&writer->zstd);
	free_bufs(writer);
	mem_free(writer->mem, writer->directory);
	mem_free(writer->mem, writer);
}

void
item_writer_name(const struct item_writer *writer, struct item_part_name *out)
{
	*out = (struct item_part_name){ .items = writer->items_count, .blocks = writer->blocks_count };
}

uint64_t
item_writer_bytes(const struct item_writer *writer)
{
	return writer->items.bytes + writer->lens.bytes + writer->index.bytes;
}

/* -- Blocks ----------------------------------------------------------------------------------------------------------- */

static int
close_index_block(struct item_writer *writer)
{
	struct buf *out = &writer->index.pending;
	size_t start = out->len, bytes;
	uint32_t crc;
	uint8_t *p;

	TRY(zstd_compress(&writer->zstd, writer->level, buf_bytes(&writer->headers), out));
	bytes = out->len - start;
	crc = hash_crc32c(0, out->data + start, bytes);
	TRY(buf_append(&writer->index_crcs, &crc, sizeof(crc)));
	TRY(buf_reserve(&writer->metaindex, VARINT_BYTES_MAX + writer->headers_first.len + 16));
	p = put_uvarint(writer->metaindex.data + writer->metaindex.len, writer->headers_first.len);
	if (writer->headers_first.len > 0) /* an empty item has no bytes to point at */
		memcpy(p, writer->headers_first.data, writer->headers_first.len);
	p = put_u32(p + writer->headers_first.len, writer->headers_count);
	p = put_u64(p, writer->index.bytes);
	p = put_u32(p, (uint32_t)bytes);
	writer->metaindex.len = (size_t)(p - writer->metaindex.data);
	writer->index.bytes += bytes;
	writer->index_blocks++;
	writer->headers_count = 0;
	buf_reset(&writer->headers);
	return out_flush_if_large(&writer->index);
}

/* Takes the header of a block that was encoded into the pending bytes from the given starts on. */
static int
note_block(struct item_writer *writer, struct item_block_header *header, size_t items_start, size_t lens_start)
{
	uint32_t crc = hash_crc32c(0, writer->items.pending.data + items_start, header->items_bytes);

	crc = hash_crc32c(crc, writer->lens.pending.data + lens_start, header->lens_bytes);
	TRY(buf_append(&writer->block_crcs, &crc, sizeof(crc)));
	header->items_offset = writer->items.bytes;
	header->lens_offset = writer->lens.bytes;
	writer->items.bytes += header->items_bytes;
	writer->lens.bytes += header->lens_bytes;
	if (writer->headers_count == 0) {
		buf_reset(&writer->headers_first);
		TRY(buf_append(&writer->headers_first, header->first_item.data, header->first_item.len));
	}
	if (writer->blocks_count == 0)
		TRY(buf_append(&writer->first, header->first_item.data, header->first_item.len));
	TRY(item_block_header_put(&writer->headers, header));
	writer->headers_count++;
	writer->blocks_count++;
	writer->items_count += header->items_count;
	return writer->headers.len >= INDEX_BLOCK_BYTES_MIN ? close_index_block(writer) : 0;
}

static int
close_block(struct item_writer *writer)
{
	size_t items_start = writer->items.pending.len, lens_start = writer->lens.pending.len;
	struct item_block_header header;
	struct bytes last;

	TRY(item_builder_encode(&writer->builder, writer->level, &header, &writer->items.pending,
	    &writer->lens.pending));
	TRY(note_block(writer, &header, items_start, lens_start));
	last = item_builder_last(&writer->builder);
	buf_reset(&writer->last);
	TRY(buf_append(&writer->last, last.data, last.len));
	item_builder_reset(&writer->builder);
	TRY(out_flush_if_large(&writer->items));
	return out_flush_if_large(&writer->lens);
}

int
item_writer_add(struct item_writer *writer, struct bytes item)
{
	assert(writer->state == FINISH_FLUSH);
	if (item.len > ITEM_BLOCK_BYTES_MAX)
		return ERR(ERR_LIMIT, "an item of %zu bytes; %d is the most", item.len, ITEM_BLOCK_BYTES_MAX);
	if (writer->builder.count > 0 &&
	    (writer->builder.bytes + item.len > BLOCK_BYTES_GOAL || !item_builder_fits(&writer->builder, item.len)))
		TRY(close_block(writer));
	return item_builder_add(&writer->builder, item);
}

/* -- Finishing -------------------------------------------------------------------------------------------------------- */

static int
flush_all(struct item_writer *writer)
{
	if (writer->builder.count > 0)
		TRY(close_block(writer));
	if (writer->headers_count > 0)
		TRY(close_index_block(writer));
	assert(writer->blocks_count > 0);
	TRY(out_flush(&writer->items));
	TRY(out_flush(&writer->lens));
	return out_flush(&writer->index);
}

/* The small files use the builder's buffer, which nobody needs any more. */
static int
write_metaindex(struct item_writer *writer)
{
	struct buf *out = &writer->headers;

	buf_reset(out);
	TRY(zstd_compress(&writer->zstd, writer->level, buf_bytes(&writer->metaindex), out));
	writer->sums.sizes.metaindex = out->len;
	writer->sums.metaindex_crc = hash_crc32c(0, out->data, out->len);
	return write_small(writer, ITEM_FILE_METAINDEX, buf_bytes(out));
}

static int
write_metadata(struct item_writer *writer)
{
	struct buf *out = &writer->headers;

	buf_reset(out);
	TRY(item_metadata_put(out, writer->items_count, writer->blocks_count, buf_bytes(&writer->first),
	    buf_bytes(&writer->last)));
	writer->sums.sizes.metadata = out->len;
	writer->sums.metadata_crc = hash_crc32c(0, out->data, out->len);
	return write_small(writer, ITEM_FILE_METADATA, buf_bytes(out));
}

static int
write_sums(struct item_writer *writer)
{
	struct item_sums *sums = &writer->sums;
	struct buf *out = &writer->headers;

	sums->items = writer->items_count;
	sums->blocks = writer->blocks_count;
	sums->sizes.items = writer->items.bytes;
	sums->sizes.lens = writer->lens.bytes;
	sums->sizes.index = writer->index.bytes;
	sums->index_blocks = writer->index_blocks;
	sums->index_crcs = (uint32_t *)writer->index_crcs.data;
	sums->block_crcs = (uint32_t *)writer->block_crcs.data;
	buf_reset(out);
	TRY(item_sums_put(out, sums));
	return write_small(writer, ITEM_FILE_SUMS, buf_bytes(out));
}

int
item_writer_finish_step(struct item_writer *writer, bool *done)
{
	int rc = 0;

	switch (writer->state) {
	case FINISH_FLUSH: rc = flush_all(writer); break;
	case FINISH_SYNC_ITEMS: rc = out_sync_close(&writer->items); break;
	case FINISH_SYNC_LENS: rc = out_sync_close(&writer->lens); break;
	case FINISH_SYNC_INDEX: rc = out_sync_close(&writer->index); break;
	case FINISH_METAINDEX: rc = write_metaindex(writer); break;
	case FINISH_METADATA: rc = write_metadata(writer); break;
	case FINISH_SUMS: rc = write_sums(writer); break;
	case FINISH_DIRECTORY: rc = io_fsync_dir(writer->io, writer->directory); break;
	case FINISH_DONE: break;
	}
	if (rc == 0 && writer->state != FINISH_DONE)
		writer->state++;
	*done = rc == 0 && writer->state == FINISH_DONE;
	return rc;
}
