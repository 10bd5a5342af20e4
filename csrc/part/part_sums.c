/*
 * part_sums.c -- the sidecar: written once, checked with every read.
 * floor: part     uses: part_sums.h codec/hash.h     used by: part
 */
#include "part/part_sums.h"

#include <inttypes.h>

#include "base/err.h"
#include "codec/hash.h"

static const uint8_t magic[8] = { 't', 's', 'e', 'S', 'U', 'M', 'S', '1' };

enum {
	MAGIC_BYTES = 8,
	HEAD_BYTES = 132,
	CRC_BYTES = 4,
	CHUNK_BYTES_MAX = 1 << 24 /* what a later writer may choose and a reader still buffers */
};

/* A part of the largest size that merges make (10^12 bytes) has sums of a quarter of it. */
#define SUMS_BYTES_MAX (UINT64_C(1) << 30)

const char *
part_file_name(enum part_file which)
{
	static const char *const names[PART_FILE_COUNT] = { "timestamps.bin", "values.bin", "index.bin",
		"metaindex.bin" };

	assert(which < PART_FILE_COUNT);
	return names[which];
}

static uint64_t
chunks_of(uint64_t bytes, uint32_t chunk_bytes)
{
	return bytes / chunk_bytes + (bytes % chunk_bytes != 0);
}

/* -- Writing -------------------------------------------------------------------------------------------------------- */

void
part_sums_run_init(struct part_sums_run *run, struct mem *mem)
{
	*run = (struct part_sums_run){ 0 };
	buf_init(&run->crcs, mem);
}

void
part_sums_run_free(struct part_sums_run *run)
{
	buf_free(&run->crcs);
}

int
part_sums_run_add(struct part_sums_run *run, const void *data, size_t n)
{
	const uint8_t *p = data;

	while (n > 0) {
		size_t room = PART_SUMS_CHUNK_BYTES - run->fill;
		size_t count = n < room ? n : room;

		run->crc = hash_crc32c(run->crc, p, count);
		run->fill += (uint32_t)count;
		run->bytes += count;
		p += count;
		n -= count;
		if (run->fill == PART_SUMS_CHUNK_BYTES) {
			TRY(buf_append(&run->crcs, &run->crc, sizeof(run->crc)));
			run->crc = 0;
			run->fill = 0;
		}
	}
	return 0;
}

static void
put_head(uint8_t *p, const struct part_sums *sums, const struct part_sums_run *runs)
{
	memcpy(p, magic, MAGIC_BYTES);
	p = put_u32(p + MAGIC_BYTES, PART_SUMS_CHUNK_BYTES);
	p = put_u32(p, sums->generation);
	p = put_u32(p, sums->fan_in);
	p = put_u64(p, (uint64_t)sums->created_ms);
	p = put_u64(p, (uint64_t)sums->min_dedup_interval_ms);
	memset(p, 0, PART_POLICY_MAX);
	memcpy(p, sums->policy, strnlen(sums->policy, PART_POLICY_MAX - 1));
	p = put_u64(p + PART_POLICY_MAX, sums->header.rows);
	p = put_u64(p, sums->header.blocks);
	p = put_u64(p, (uint64_t)sums->header.min_timestamp_ms);
	p = put_u64(p, (uint64_t)sums->header.max_timestamp_ms);
	for (int i = 0; i < PART_FILE_COUNT; i++)
		p = put_u64(p, runs[i].bytes);
}

int
part_sums_encode(const struct part_sums *sums, struct part_sums_run runs[PART_FILE_COUNT], struct buf *out)
{
	size_t begin = out->len;
	uint8_t crc[CRC_BYTES];

	TRY(buf_reserve(out, HEAD_BYTES));
	put_head(out->data + out->len, sums, runs);
	out->len += HEAD_BYTES;
	for (int i = 0; i < PART_FILE_COUNT; i++) {
		size_t full = runs[i].crcs.len / sizeof(uint32_t);

		TRY(buf_reserve(out, (full + 1) * CRC_BYTES));
		for (size_t k = 0; k < full; k++) {
			uint32_t sum;

			memcpy(&sum, runs[i].crcs.data + k * sizeof(sum), sizeof(sum));
			put_u32(out->data + out->len, sum);
			out->len += CRC_BYTES;
		}
		if (runs[i].fill > 0) {
			put_u32(out->data + out->len, runs[i].crc);
			out->len += CRC_BYTES;
		}
	}
	put_u32(crc, hash_crc32c(0, out->data + begin, out->len - begin));
	return buf_append(out, crc, CRC_BYTES);
}

/* -- Reading -------------------------------------------------------------------------------------------------------- */

/* The fixed fields; p holds HEAD_BYTES bytes whose sum was right. */
static int
get_head(const uint8_t *p, const char *path, struct part_sums *sums)
{
	sums->chunk_bytes = get_u32(p + 8);
	sums->generation = get_u32(p + 12);
	sums->fan_in = get_u32(p + 16);
	sums->created_ms = (int64_t)get_u64(p + 20);
	sums->min_dedup_interval_ms = (int64_t)get_u64(p + 28);
	memcpy(sums->policy, p + 36, PART_POLICY_MAX);
	sums->header.rows = get_u64(p + 68);
	sums->header.blocks = get_u64(p + 76);
	sums->header.min_timestamp_ms = (int64_t)get_u64(p + 84);
	sums->header.max_timestamp_ms = (int64_t)get_u64(p + 92);
	sums->header.suffix = 0;
	for (int i = 0; i < PART_FILE_COUNT; i++)
		sums->bytes[i] = get_u64(p + 100 + 8 * i);
	if (sums->chunk_bytes == 0 || sums->chunk_bytes > CHUNK_BYTES_MAX)
		return ERR_CORRUPT(path, 8, "chunks of %u bytes are not possible", sums->chunk_bytes);
	if (sums->policy[PART_POLICY_MAX - 1] != 0)
		return ERR_CORRUPT(path, 36, "the name of the policy does not end");
	return 0;
}

/* Checks magic, own sum and length; makes the struct with the sums behind it. */
static int
sums_parse(struct mem *mem, const char *path, struct bytes text, struct part_sums **out)
{
	struct part_sums head, *sums;
	uint64_t chunks = 0;
	const uint8_t *p;
	uint32_t *crcs;

	if (text.len < HEAD_BYTES + CRC_BYTES)
		return ERR_CORRUPT(path, UINT64_MAX, "has %zu bytes, at least %d are needed", text.len,
		    HEAD_BYTES + CRC_BYTES);
	if (hash_crc32c(0, text.data, text.len - CRC_BYTES) != get_u32(text.data + text.len - CRC_BYTES))
		return ERR_CORRUPT(path, UINT64_MAX, "its own checksum is wrong");
	if (memcmp(text.data, magic, MAGIC_BYTES) != 0)
		return ERR(ERR_LAYOUT, "%s was written by another version of tsengine", path);
	TRY(get_head(text.data, path, &head));
	for (int i = 0; i < PART_FILE_COUNT; i++) {
		uint64_t count = chunks_of(head.bytes[i], head.chunk_bytes);

		/* one by one: four of them may wrap round to what fits the file */
		if (count > SUMS_BYTES_MAX)
			return ERR_CORRUPT(path, UINT64_MAX, "tells of a file of %" PRIu64 " bytes", head.bytes[i]);
		chunks += count;
	}
	if (chunks > SUMS_BYTES_MAX || text.len != HEAD_BYTES + chunks * CRC_BYTES + CRC_BYTES)
		return ERR_CORRUPT(path, UINT64_MAX, "has %zu bytes, its sizes ask for %" PRIu64 " sums", text.len,
		    chunks);
	sums = mem_alloc(mem, sizeof(*sums) + chunks * sizeof(uint32_t));
	if (sums == NULL)
		return ERR_MEMORY;
	*sums = head;
	crcs = (uint32_t *)(sums + 1);
	p = text.data + HEAD_BYTES;
	for (int i = 0; i < PART_FILE_COUNT; i++) {
		sums->crcs[i] = crcs;
		for (uint64_t k = chunks_of(head.bytes[i], head.chunk_bytes); k > 0; k--, p += CRC_BYTES)
			*crcs++ = get_u32(p);
	}
	*out = sums;
	return 0;
}

int
part_sums_load(struct io *io, struct mem *mem, const char *directory, struct part_sums **out)
{
	char *path = mem_printf(mem, "%s/%s", directory, PART_SUMS_FILE);
	struct buf text;
	int rc;

	*out = NULL;
	if (path == NULL)
		return ERR_MEMORY;
	buf_init(&text, mem);
	rc = io_read_file(io, path, SUMS_BYTES_MAX, &text);
	if (rc == 0)
		rc = sums_parse(mem, path, buf_bytes(&text), out);
	else if (rc == ERR_NOTFOUND)
		rc = 0;
	buf_free(&text);
	mem_free(mem, path);
	return rc;
}

int
part_sums_check(const struct part_sums *sums, enum part_file which, const char *path, uint64_t offset, const void *data,
    size_t n)
{
	const uint8_t *p = data;
	uint64_t chunk = offset / sums->chunk_bytes;

	assert(offset % sums->chunk_bytes == 0 && offset + n <= sums->bytes[which]);
	assert(n % sums->chunk_bytes == 0 || offset + n == sums->bytes[which]);
	for (; n > 0; chunk++) {
		size_t count = n < sums->chunk_bytes ? n : sums->chunk_bytes;

		if (hash_crc32c(0, p, count) != sums->crcs[which][chunk])
			return ERR_CORRUPT(path, chunk * sums->chunk_bytes,
			    "the checksum of %zu bytes from here is wrong", count);
		p += count;
		n -= count;
	}
	return 0;
}
