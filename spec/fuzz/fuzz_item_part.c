/*
 * fuzz_item_part.c -- a part of somebody else with any bytes changed: refused, or readable to its end.
 *
 * The input starts with edits (count, then file, position u16, value each); the rest becomes items, which our writer turns
 * into a part on a disk in memory. Its sums are removed, the edits applied, those of the two index files to their
 * contents, which are compressed again. So inputs come as far as a reader can be brought.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/io_crash.h"
#include "codec/varint.h"
#include "index/item_iter.h"
#include "index/item_writer.h"

#define REQUIRE(condition) do { if (!(condition)) abort(); } while (0)

enum { ITEMS_MAX = 150, EDITS_MAX = 15, EDIT_BYTES = 4, LONG_ITEM_BYTES = 2500 };

/* All block headers must fit one index block: each holds a long item at most twice, as first item and as prefix. */
_Static_assert((ITEMS_MAX * LONG_ITEM_BYTES / 60000 + 1) * (2 * LONG_ITEM_BYTES + 64) < 65536, "several index blocks");

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem mem;
static uint8_t long_items[8][LONG_ITEM_BYTES];

struct edits {
	const uint8_t *data;
	unsigned count;
};

static void
must(int rc)
{
	REQUIRE(rc == 0);
}

/* -- Writing ---------------------------------------------------------------------------------------------------------- */

static int
compare_items(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* A length byte and as many bytes each; from 248 on, one of the long items, so that parts have several blocks. */
static size_t
cut_items(const uint8_t *data, size_t size, struct bytes *items)
{
	size_t count = 0, at = 0;

	while (at < size && count < ITEMS_MAX) {
		size_t len = data[at++];

		if (len >= 248) {
			memset(long_items[len - 248], (int)(len & 7) + 1, LONG_ITEM_BYTES);
			items[count++] = bytes_of(long_items[len - 248], LONG_ITEM_BYTES);
			continue;
		}
		len = len > size - at ? size - at : len;
		items[count++] = bytes_of(data + at, len);
		at += len;
	}
	qsort(items, count, sizeof(*items), compare_items);
	return count;
}

static void
write_part(struct io *io, const struct bytes *items, size_t count, struct item_part_name *name)
{
	struct item_writer *writer;
	bool done = false;

	must(item_writer_create(io, &mem, "/p", 1, &writer));
	for (size_t i = 0; i < count; i++)
		must(item_writer_add(writer, items[i]));
	while (!done)
		must(item_writer_finish_step(writer, &done));
	item_writer_name(writer, name);
	item_writer_delete(writer, true);
	must(io_unlink(io, "/p/" ITEM_FILE_SUMS));
}

/* -- Changing --------------------------------------------------------------------------------------------------------- */

/* Applies the edits of one file to its bytes; true when there were any. */
static bool
apply(const struct edits *edits, unsigned file, struct buf *content)
{
	bool changed = false;

	for (unsigned i = 0; i < edits->count; i++) {
		const uint8_t *edit = edits->data + i * EDIT_BYTES;

		if (edit[0] % 5 != file || content->len == 0)
			continue;
		content->data[get_u16(edit + 1) % content->len] ^= edit[3];
		changed = true;
	}
	return changed;
}

static void
read_content(struct io *io, const char *path, bool packed, struct buf *out)
{
	struct zstd_context zstd;
	struct buf raw;

	buf_init(&raw, &mem);
	zstd_context_init(&zstd, &mem);
	must(io_read_file(io, path, 1 << 26, packed ? &raw : out));
	if (packed)
		must(zstd_decompress(&zstd, buf_bytes(&raw), 1 << 26, out));
	zstd_context_free(&zstd);
	buf_free(&raw);
}

static uint32_t
write_content(struct io *io, const char *path, bool pack, const struct buf *content)
{
	struct zstd_context zstd;
	struct buf packed;
	struct bytes out = buf_bytes(content);

	buf_init(&packed, &mem);
	zstd_context_init(&zstd, &mem);
	if (pack) {
		must(zstd_compress(&zstd, 1, out, &packed));
		out = buf_bytes(&packed);
	}
	must(io_write_file_synced(io, path, out.data, out.len));
	zstd_context_free(&zstd);
	buf_free(&packed);
	return (uint32_t)out.len;
}

static void
change_part(struct io *io, const struct edits *edits)
{
	static const char *const files[] = { "/p/" ITEM_FILE_INDEX, "/p/" ITEM_FILE_METAINDEX, "/p/" ITEM_FILE_ITEMS,
		"/p/" ITEM_FILE_LENS, "/p/" ITEM_FILE_METADATA };
	uint32_t index_bytes = 0;

	for (unsigned file = 0; file < ARRAY_LENGTH(files); file++) {
		struct buf content;

		buf_init(&content, &mem);
		read_content(io, files[file], file < 2, &content);
		/* There is one index block: its size stands at the end of the only row. */
		if (file == 1)
			put_u32(content.data + content.len - 4, index_bytes);
		apply(edits, file, &content);
		if (file == 0)
			index_bytes = write_content(io, files[file], true, &content);
		else
			(void)write_content(io, files[file], file == 1, &content);
		buf_free(&content);
	}
}

/* -- Reading ---------------------------------------------------------------------------------------------------------- */

static void
read_to_the_end(struct item_part *part, bool untouched, size_t count)
{
	struct item_tree *tree;
	struct bytes item;
	struct buf last;
	size_t found = 0;
	int rc;

	buf_init(&last, &mem);
	must(item_tree_create(&mem, &part, 1, true, &tree));
	rc = item_tree_start(tree);
	while (rc == 0 && item_tree_top(tree, &item)) {
		found++;
		buf_reset(&last);
		must(buf_append(&last, item.data, item.len));
		rc = item_tree_pop(tree);
	}
	REQUIRE(rc == 0 || (rc == ERR_CORRUPTED && !untouched));
	REQUIRE(!untouched || found == count);
	if (rc == 0) {
		rc = item_tree_seek(tree, buf_bytes(&last));
		REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
	}
	item_tree_delete(tree);
	buf_free(&last);
}

static void
open_and_read(struct io *io, const struct item_part_name *name, bool untouched, size_t count)
{
	struct item_part_env env = { .io = io, .mem = &mem, .cache_owner = 1 };
	char text[ITEM_PART_NAME_MAX];
	struct item_part *part;
	int rc;

	item_part_name_format(name, text);
	must(cache_create(&mem, 1 << 20, 1, &env.cache));
	rc = item_part_open(&env, "/p", text, &part);
	REQUIRE(rc == 0 || (rc == ERR_CORRUPTED && !untouched));
	if (rc == 0) {
		read_to_the_end(part, untouched, count);
		item_part_unref(part);
	}
	cache_destroy(env.cache);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes items[ITEMS_MAX];
	struct item_part_name name;
	struct edits edits;
	struct io *io;
	size_t head, count;

	if (size < 1)
		return 0;
	edits.count = data[0] & EDITS_MAX;
	edits.data = data + 1;
	head = 1 + (size_t)edits.count * EDIT_BYTES;
	if (size <= head)
		return 0;
	count = cut_items(data + head, size - head, items);
	must(io_crash_create(&mem, &io));
	write_part(io, items, count, &name);
	name.suffix = 0xAB;
	change_part(io, &edits);
	open_and_read(io, &name, edits.count == 0, count);
	REQUIRE(io->open_files == 0);
	io_destroy(io);
	REQUIRE(mem_live(&mem) == 0);
	return 0;
}
