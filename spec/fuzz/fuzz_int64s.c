/*
 * fuzz_int64s.c -- any bytes as the payload of an array of integers: refused, or numbers that survive our own encoding.
 *
 * OFFSET 0 flags: bits 0-2 type, bit 3: the payload is compressed first, so that zstd frames need not be invented
 *        1 precision bits   2 count (16 bits, little endian)   4 first number (8 bytes)   12 payload
 */
#include <stdlib.h>

#include "base/err.h"
#include "codec/int64s.h"
#include "codec/varint.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem mem;

/* Exact encoding gives the numbers back; a lossy one gives some back, never a crash. */
static void
encode_again(struct int64s_scratch *scratch, const int64_t *a, size_t n, uint8_t precision_bits)
{
	int64_t *back = malloc(n * sizeof(*back));
	struct buf payload;
	int64_t first;
	uint8_t type;

	buf_init(&payload, &mem);
	REQUIRE(int64s_encode(scratch, a, n, 64, &payload, &type, &first) == 0);
	REQUIRE(int64s_decode(scratch, buf_bytes(&payload), type, first, back, n) == 0);
	REQUIRE(memcmp(a, back, n * sizeof(*a)) == 0);
	REQUIRE(int64s_decode_shared(scratch, buf_bytes(&payload), type, first, back, n) == 0);
	REQUIRE(int64s_decode_shared(scratch, buf_bytes(&payload), type, first, back, n) == 0);
	REQUIRE(memcmp(a, back, n * sizeof(*a)) == 0);
	buf_reset(&payload);
	REQUIRE(int64s_encode(scratch, a, n, precision_bits, &payload, &type, &first) == 0);
	REQUIRE(int64s_decode(scratch, buf_bytes(&payload), type, first, back, n) == 0);
	REQUIRE(back[0] == a[0]);
	buf_free(&payload);
	free(back);
}

/* A run of varints is read as one by one. */
static void
same_varints(const uint8_t *data, size_t size, size_t n)
{
	int64_t *run = malloc((n + 1) * sizeof(*run));
	const uint8_t *p = data, *end = varints_get(data, data + size, run, n);

	for (size_t i = 0; i < n && p != NULL; i++) {
		int64_t value;

		p = get_varint(p, data + size, &value);
		REQUIRE(p == NULL || end == NULL || value == run[i]);
	}
	REQUIRE(p == end);
	free(run);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct int64s_scratch scratch;
	struct buf payload;
	int64_t first, *a;
	uint8_t type;
	size_t n;
	int rc;

	if (size < 12)
		return 0;
	mem_init(&mem, 0);
	type = data[0] & 7;
	n = (size_t)(data[2] | data[3] << 8) % 16384 + 1;
	memcpy(&first, data + 4, 8);
	int64s_scratch_init(&scratch, &mem);
	buf_init(&payload, &mem);
	if ((data[0] & 8) != 0)
		rc = zstd_compress(&scratch.zstd, 1, bytes_of(data + 12, size - 12), &payload);
	else
		rc = buf_append(&payload, data + 12, size - 12);
	REQUIRE(rc == 0);
	a = malloc(n * sizeof(*a));
	rc = int64s_decode(&scratch, buf_bytes(&payload), type, first, a, n);
	REQUIRE(rc == 0 || rc == ERR_CORRUPTED);
	if (rc == 0)
		encode_again(&scratch, a, n, data[1] % 64 + 1);
	same_varints(data + 12, size - 12, n % 512);
	free(a);
	buf_free(&payload);
	int64s_scratch_free(&scratch);
	REQUIRE(mem_live(&mem) == 0);
	return 0;
}
