/*
 * fuzz_part.c -- any bytes as the files of a part: refused, or every block can be read, searched and written again.
 *
 * OFFSET 0 flags: bit 0 layout, bit 1: the metaindex row is made to fit the index block, else it comes first in the input,
 *                 bit 2: frames are made here from plain bytes, else they come as they are, bit 3: the sidecar comes too
 *        1 bytes of the index block (16 bits, little endian)   3 bytes of timestamps.bin   5 of metaindex or sidecar
 *        7 metaindex or sidecar, index block, timestamps, values
 */
#include <stdlib.h>

#include "base/err.h"
#include "base/io_crash.h"
#include "codec/hash.h"
#include "part/part_search.h"
#include "part/part_writer.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)
#define DIRECTORY "d/999999999_999999_20100101000000.000_20391231000000.000_0000000000000001"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem mem;

/* The next n bytes of the input, or what is left of it. */
static struct bytes
take(struct bytes *rest, size_t n)
{
	struct bytes taken = bytes_of(rest->data, n < rest->len ? n : rest->len);

	rest->data += taken.len;
	rest->len -= taken.len;
	return taken;
}

static void
put_file(struct io *io, const char *path, struct bytes content)
{
	struct io_file *file;

	REQUIRE(io_create(io, path, &file) == 0);
	REQUIRE(io_write(file, content.data, content.len) == 0);
	REQUIRE(io_close(file) == 0);
}

/* As it is, or compressed. */
static void
frame_of(struct bytes plain, bool compress, struct buf *out)
{
	struct zstd_context zstd;

	zstd_context_init(&zstd, &mem);
	REQUIRE((compress ? zstd_compress(&zstd, 1, plain, out) : buf_append(out, plain.data, plain.len)) == 0);
	zstd_context_free(&zstd);
}

static void
make_row(enum layout layout, struct bytes index, uint32_t index_bytes, struct buf *out)
{
	struct metaindex_row row = { .min_timestamp_ms = 0, .max_timestamp_ms = INT64_MAX, .index_bytes = index_bytes };

	row.headers = (uint32_t)(index.len / block_header_bytes(layout));
	if (index.len >= tsid_bytes(layout))
		tsid_get(index.data, layout, &row.tsid);
	REQUIRE(buf_reserve(out, METAINDEX_ROW_BYTES_MAX) == 0);
	out->len = (size_t)(metaindex_row_put(out->data, layout, &row) - out->data);
}

static void
put_files(struct io *io, uint8_t flags, struct bytes rest, const size_t lengths[3])
{
	enum layout layout = (flags & 1) != 0 ? LAYOUT_CLUSTER : LAYOUT_SINGLE;
	struct bytes first = take(&rest, lengths[2]), index = take(&rest, lengths[0]),
		     timestamps = take(&rest, lengths[1]);
	struct buf frame, row, meta;

	buf_init(&frame, &mem);
	buf_init(&row, &mem);
	buf_init(&meta, &mem);
	frame_of(index, (flags & 4) != 0, &frame);
	if ((flags & 2) != 0)
		make_row(layout, index, (uint32_t)frame.len, &row);
	else
		REQUIRE(buf_append(&row, first.data, first.len) == 0);
	frame_of(buf_bytes(&row), (flags & 4) != 0, &meta);
	put_file(io, DIRECTORY "/index.bin", buf_bytes(&frame));
	put_file(io, DIRECTORY "/metaindex.bin", buf_bytes(&meta));
	put_file(io, DIRECTORY "/timestamps.bin", timestamps);
	put_file(io, DIRECTORY "/values.bin", rest);
	if ((flags & 8) != 0) {
		/* with its own sum set right, or nothing would get past it */
		buf_reset(&row);
		REQUIRE(buf_append(&row, first.data, first.len) == 0 && buf_reserve(&row, 4) == 0);
		put_u32(row.data + row.len, hash_crc32c(0, row.data, row.len));
		row.len += 4;
		put_file(io, DIRECTORY "/tsengine.sums", buf_bytes(&row));
	}
	buf_free(&frame);
	buf_free(&row);
	buf_free(&meta);
}

/* Everything a merge would do with it: read strictly, write anew with dedup. */
static int
merge_alone(struct io *io, struct part *part, bool strict)
{
	struct part_writer_options options = { .layout = part->layout,
		.index_level = 1,
		.dedup_interval_ms = strict ? 0 : 7 };
	struct int64s_scratch scratch;
	struct part_writer *writer;
	struct part_cursor *cursor;
	struct block block;
	bool found = true, done = false;
	int rc;

	REQUIRE(part_writer_create(io, &mem, "d/tmp", &options, &writer) == 0);
	REQUIRE(part_cursor_create(&mem, part, true, &cursor) == 0);
	int64s_scratch_init(&scratch, &mem);
	block_init(&block, &mem);
	do {
		rc = part_cursor_next(cursor, &block, &found);
		if (rc == 0 && found && strict)
			rc = block_decode(&block, &scratch);
		if (rc == 0 && found)
			rc = part_writer_add(writer, &block, &scratch);
	} while (rc == 0 && found);
	while (rc == 0 && !done)
		rc = part_writer_finish_step(writer, &done);
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	part_writer_delete(writer, false);
	return rc;
}

/* Searches every series of the metaindex. */
static int
search(struct part *part)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	int rc = 0;

	REQUIRE(part_cursor_create(&mem, part, false, &cursor) == 0);
	int64s_scratch_init(&scratch, &mem);
	block_init(&block, &mem);
	for (size_t i = 0; rc == 0 && i < part->metaindex_count; i++) {
		const struct tsid *tsid = &part->metaindex[i].tsid;
		bool found = true;

		rc = part_cursor_seek(cursor, tsid);
		while (rc == 0 && found) {
			rc = part_cursor_next_of(cursor, tsid, 0, INT64_MAX, &block, &found);
			if (rc == 0 && found && block_reserve(&block, block.header.rows) == 0)
				rc = block_read(&block, &scratch, block.timestamps_ms, block.values);
		}
	}
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t lengths[3];
	struct part *part;
	struct io *io;
	int rc;

	if (size < 7)
		return 0;
	mem_init(&mem, 0);
	REQUIRE(io_crash_create(&mem, &io) == 0);
	REQUIRE(io_mkdir_all(io, DIRECTORY) == 0);
	for (int i = 0; i < 3; i++)
		lengths[i] = (size_t)(data[1 + 2 * i] | data[2 + 2 * i] << 8);
	put_files(io, data[0], bytes_of(data + 7, size - 7), lengths);
	rc = part_open_file(io, &mem, (enum layout)(data[0] & 1), DIRECTORY, PART_TIER_SMALL, &part);
	if (rc == 0) {
		rc = part_verify(&mem, part);
		REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
		rc = search(part);
		REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
		rc = merge_alone(io, part, true);
		REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
		rc = merge_alone(io, part, false);
		REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
		part_unref(part);
	} else {
		REQUIRE(rc == ERR_CORRUPTED || rc == ERR_LAYOUT);
	}
	io_destroy(io);
	REQUIRE(mem_live(&mem) == 0);
	return 0;
}
