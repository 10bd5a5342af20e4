/*
 * fuzz_item_block.c -- any bytes as a block of items, as metadata.json and as checksums: refused, or sound.
 *
 * The input is cut in three: header, items, lens. The first byte says whether the payloads are taken as they are or
 * compressed first, so that the fuzzer does not have to invent zstd frames. What decodes must be sorted, of the length it
 * promised, and must survive encoding and decoding; what is joined must keep its order.
 */
#include <stdlib.h>

#include "base/err.h"
#include "index/item_block.h"
#include "index/item_join.h"
#include "index/item_meta.h"

#define REQUIRE(condition) do { if (!(condition)) abort(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem mem;

static void
must(int rc)
{
	REQUIRE(rc == 0);
}

/* -- Blocks ----------------------------------------------------------------------------------------------------------- */

static void
check_block(const struct item_block *block, const struct item_block_header *header, uint32_t bytes)
{
	REQUIRE(block->count == header->items_count && block->bytes == bytes && block->offsets[block->count] == bytes);
	REQUIRE(bytes_equal(item_block_item(block, 0), header->first_item));
	for (uint32_t i = 1; i < block->count; i++)
		REQUIRE(bytes_compare(item_block_item(block, i - 1), item_block_item(block, i)) <= 0);
}

/* false: refused. */
static bool
decode(const struct item_block_header *header, struct bytes items, struct bytes lens, struct buf *room)
{
	struct item_scratch scratch;
	uint32_t bytes;
	int rc;

	item_scratch_init(&scratch, &mem);
	rc = item_block_decode_lens(&scratch, header, lens, &bytes);
	if (rc == 0) {
		buf_reset(room);
		must(buf_reserve(room, item_block_room(header->items_count, bytes)));
		rc = item_block_decode_items(&scratch, header, items, (struct item_block *)room->data);
	}
	item_scratch_free(&scratch);
	REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
	if (rc == 0)
		check_block((const struct item_block *)room->data, header, bytes);
	return rc == 0;
}

static int
sorted_sink(void *context, struct bytes item)
{
	struct buf *last = context;

	REQUIRE(bytes_compare(buf_bytes(last), item) <= 0);
	buf_reset(last);
	return buf_append(last, item.data, item.len);
}

static void
encode_again(const struct item_block *block)
{
	struct buf items, lens, room, last;
	struct item_block_header header;
	struct item_builder builder;
	struct item_join join;

	buf_init(&items, &mem);
	buf_init(&lens, &mem);
	buf_init(&room, &mem);
	buf_init(&last, &mem);
	must(item_builder_init(&builder, &mem));
	item_join_init(&join, &mem, 0, sorted_sink, &last);
	for (uint32_t i = 0; i < block->count; i++) {
		REQUIRE(item_builder_fits(&builder, item_block_item(block, i).len));
		must(item_builder_add(&builder, item_block_item(block, i)));
		must(item_join_add(&join, item_block_item(block, i)));
	}
	must(item_join_finish(&join));
	must(item_builder_encode(&builder, 1, &header, &items, &lens));
	REQUIRE(items.len > 0);
	REQUIRE(decode(&header, buf_bytes(&items), buf_bytes(&lens), &room));
	for (uint32_t i = 0; i < block->count; i++)
		REQUIRE(bytes_equal(item_block_item(block, i), item_block_item((const struct item_block *)room.data, i)));
	item_join_free(&join);
	item_builder_free(&builder);
	buf_free(&items);
	buf_free(&lens);
	buf_free(&room);
	buf_free(&last);
}

static void
try_block(struct bytes head, struct bytes items, struct bytes lens)
{
	const uint8_t *p = head.data;
	struct item_block_header header;
	struct buf room;

	if (item_block_header_get(&p, head.data + head.len, &header) != 0)
		return;
	buf_init(&room, &mem);
	if (decode(&header, items, lens, &room))
		encode_again((const struct item_block *)room.data);
	buf_free(&room);
}

/* -- Small files ------------------------------------------------------------------------------------------------------ */

static void
try_small_files(struct bytes data)
{
	struct item_metadata metadata = { 0 };
	struct item_sums sums = { 0 };
	int rc;

	buf_init(&metadata.first, &mem);
	buf_init(&metadata.last, &mem);
	rc = item_metadata_parse(data, &metadata);
	REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
	buf_free(&metadata.first);
	buf_free(&metadata.last);
	rc = item_sums_parse(&mem, data, &sums);
	REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
	item_sums_free(&mem, &sums);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zstd_context zstd;
	struct bytes head, items, lens;
	struct buf packed_items, packed_lens;
	size_t a, b;

	try_small_files(bytes_of(data, size));
	if (size < 3)
		return 0;
	a = (size - 3) * data[1] / 255;
	b = a + (size - 3 - a) * data[2] / 255;
	head = bytes_of(data + 3, a);
	items = bytes_of(data + 3 + a, b - a);
	lens = bytes_of(data + 3 + b, size - 3 - b);
	if ((data[0] & 1) == 0) {
		try_block(head, items, lens);
	} else {
		zstd_context_init(&zstd, &mem);
		buf_init(&packed_items, &mem);
		buf_init(&packed_lens, &mem);
		must(zstd_compress(&zstd, -5, items, &packed_items));
		must(zstd_compress(&zstd, -5, lens, &packed_lens));
		try_block(head, buf_bytes(&packed_items), buf_bytes(&packed_lens));
		buf_free(&packed_items);
		buf_free(&packed_lens);
		zstd_context_free(&zstd);
	}
	REQUIRE(mem_live(&mem) == 0);
	return 0;
}
