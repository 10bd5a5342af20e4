/*
 * item_meta.c -- names of item parts and their sidecar of checksums. The JSON reader is item_json.c.
 * floor: index     uses: item_meta.h codec     used by: item_part item_writer item_recover
 */
#include "index/item_meta.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"
#include "codec/hash.h"
#include "codec/varint.h"

/* -- Names ------------------------------------------------------------------------------------------------------------ */

void
item_part_name_format(const struct item_part_name *name, char *text)
{
	int n = snprintf(text, ITEM_PART_NAME_MAX, "%" PRIu64 "_%" PRIu64 "_%016" PRIX64, name->items, name->blocks,
	    name->suffix);

	assert(n > 0 && n < ITEM_PART_NAME_MAX);
	(void)n;
}

/* Digits up to '_'; NULL when there are none, too many, or the value is zero. */
static const char *
parse_count(const char *p, uint64_t *out)
{
	uint64_t value = 0;
	const char *start = p;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (p - start == 19)
			return NULL;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	if (p == start || *p != '_' || value == 0)
		return NULL;
	*out = value;
	return p + 1;
}

static uint64_t
parse_suffix(const char *p)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (uint64_t)(c - 'A' + 10);
		else
			return 0;
	}
	return p[16] == '\0' ? value : 0;
}

int
item_part_name_parse(const char *text, struct item_part_name *name)
{
	const char *p = parse_count(text, &name->items);

	if (p != NULL)
		p = parse_count(p, &name->blocks);
	if (p == NULL || strchr(p, '_') != NULL)
		return ERR(ERR_CORRUPTED, "\"%.80s\" is not the name of an item part: <items>_<blocks>_<suffix>", text);
	if (name->blocks > name->items)
		return ERR(ERR_CORRUPTED, "\"%.80s\" names more blocks than items", text);
	name->suffix = parse_suffix(p);
	return 0;
}

/* -- Sums ------------------------------------------------------------------------------------------------------------- */

static const char MAGIC[8] = { 'T', 'S', 'I', 'S', 'U', 'M', 'S', '1' };

enum { SUMS_HEAD_BYTES = 80, SUMS_TAIL_BYTES = 4 };

int
item_sums_put(struct buf *out, const struct item_sums *sums)
{
	size_t start = out->len;
	uint8_t *p;

	TRY(buf_reserve(out, SUMS_HEAD_BYTES + ((size_t)sums->index_blocks + sums->blocks) * 4 + SUMS_TAIL_BYTES));
	p = out->data + start;
	memcpy(p, MAGIC, sizeof(MAGIC));
	p = put_u64(p + sizeof(MAGIC), sums->items);
	p = put_u64(p, sums->blocks);
	p = put_u64(p, sums->sizes.items);
	p = put_u64(p, sums->sizes.lens);
	p = put_u64(p, sums->sizes.index);
	p = put_u64(p, sums->sizes.metaindex);
	p = put_u64(p, sums->sizes.metadata);
	p = put_u32(p, sums->metaindex_crc);
	p = put_u32(p, sums->metadata_crc);
	p = put_u32(p, sums->index_blocks);
	p = put_u32(p, 0);
	for (uint32_t i = 0; i < sums->index_blocks; i++)
		p = put_u32(p, sums->index_crcs[i]);
	for (uint64_t i = 0; i < sums->blocks; i++)
		p = put_u32(p, sums->block_crcs[i]);
	p = put_u32(p, hash_crc32c(0, out->data + start, (size_t)(p - out->data) - start));
	out->len = (size_t)(p - out->data);
	return 0;
}

static int
sums_check(struct bytes data)
{
	size_t body = data.len - SUMS_TAIL_BYTES;

	if (data.len < SUMS_HEAD_BYTES + SUMS_TAIL_BYTES)
		return ERR(ERR_CORRUPTED, "only %zu bytes, checksums have at least %d", data.len,
		    SUMS_HEAD_BYTES + SUMS_TAIL_BYTES);
	if (hash_crc32c(0, data.data, body) != get_u32(data.data + body))
		return ERR(ERR_CORRUPTED, "the checksum of the checksums is wrong");
	if (memcmp(data.data, MAGIC, sizeof(MAGIC)) != 0)
		return ERR(ERR_CORRUPTED, "unknown magic, written by a newer version?");
	return 0;
}

int
item_sums_parse(struct mem *mem, struct bytes data, struct item_sums *sums)
{
	const uint8_t *p = data.data;
	uint64_t words;

	TRY(sums_check(data));
	*sums = (struct item_sums){
		.items = get_u64(p + 8),
		.blocks = get_u64(p + 16),
		.sizes = { get_u64(p + 24), get_u64(p + 32), get_u64(p + 40), get_u64(p + 48), get_u64(p + 56) },
		.metaindex_crc = get_u32(p + 64),
		.metadata_crc = get_u32(p + 68),
		.index_blocks = get_u32(p + 72),
	};
	words = (data.len - SUMS_HEAD_BYTES - SUMS_TAIL_BYTES) / 4;
	if (data.len % 4 != 0 || sums->blocks > words || sums->index_blocks != words - sums->blocks)
		return ERR(ERR_CORRUPTED, "%zu bytes do not hold the sums of %" PRIu64 " blocks", data.len,
		    sums->blocks);
	sums->index_crcs = mem_array(mem, words, sizeof(uint32_t));
	if (sums->index_crcs == NULL)
		return ERR_MEMORY;
	for (uint64_t i = 0; i < words; i++)
		sums->index_crcs[i] = get_u32(p + SUMS_HEAD_BYTES + i * 4);
	sums->block_crcs = sums->index_crcs + sums->index_blocks;
	return 0;
}

void
item_sums_free(struct mem *mem, struct item_sums *sums)
{
	mem_free(mem, sums->index_crcs);
	sums->index_crcs = NULL;
}
