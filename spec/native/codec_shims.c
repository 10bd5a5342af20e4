/*
 * codec_shims.c -- the codecs as functions of plain arrays, for the specs.
 * floor: tests     uses: codec     used by: spec/codec
 *
 * Every call starts with an empty account and checks at its end that nothing of it is left: tt_codec_live tells.
 */
#include <stdlib.h>

#include "base/err.h"
#include "codec/decimal.h"
#include "codec/hash.h"
#include "codec/hash_crc.h"
#include "codec/int64s.h"
#include "codec/varint.h"

static struct mem account;

/* What the last call left allocated. */
uint64_t tt_codec_live(void);
uint64_t
tt_codec_live(void)
{
	return mem_live(&account);
}

size_t tt_codec_varint_put(int64_t value, uint8_t *out);
size_t
tt_codec_varint_put(int64_t value, uint8_t *out)
{
	uint8_t many[VARINT_BYTES_MAX + 8];
	size_t n = (size_t)(put_varint(out, value) - out);

	/* the writer of runs must agree with the plain one */
	if ((size_t)(varints_put(many, &value, 1) - many) != n || memcmp(many, out, n) != 0)
		return 0;
	return n;
}

/* Bytes read, or -1. */
int tt_codec_varint_get(const uint8_t *data, size_t n, int64_t *out);
int
tt_codec_varint_get(const uint8_t *data, size_t n, int64_t *out)
{
	const uint8_t *p = get_varint(data, data + n, out);

	return p == NULL ? -1 : (int)(p - data);
}

/* A run of varints from memory that ends exactly with the data, so that a sanitizer sees a read too far. -1: refused. */
long tt_codec_varints_get(const uint8_t *data, size_t len, int64_t *out, size_t n);
long
tt_codec_varints_get(const uint8_t *data, size_t len, int64_t *out, size_t n)
{
	uint8_t *exact = malloc(len + (len == 0));
	const uint8_t *p;
	long used;

	if (len > 0)
		memcpy(exact, data, len);
	p = varints_get(exact, exact + len, out, n);
	used = p == NULL ? -1 : (long)(p - exact);
	free(exact);
	return used;
}

size_t tt_codec_varints_put(const int64_t *in, size_t n, uint8_t *out);
size_t
tt_codec_varints_put(const int64_t *in, size_t n, uint8_t *out)
{
	return (size_t)(varints_put(out, in, n) - out);
}

void tt_codec_fixed64(int64_t value, uint8_t *out);
void
tt_codec_fixed64(int64_t value, uint8_t *out)
{
	put_u64(out, zigzag64(value));
}

int64_t tt_codec_fixed64_get(const uint8_t *data);
int64_t
tt_codec_fixed64_get(const uint8_t *data)
{
	return unzigzag64(get_u64(data));
}

void tt_codec_fixed16(int value, uint8_t *out);
void
tt_codec_fixed16(int value, uint8_t *out)
{
	put_u16(out, zigzag16((int16_t)value));
}

int tt_codec_fixed16_get(const uint8_t *data);
int
tt_codec_fixed16_get(const uint8_t *data)
{
	return unzigzag16(get_u16(data));
}

/* The payload into out (room for 10 n + 1024 bytes). */
int tt_codec_int64s_encode(const int64_t *a, size_t n, int precision_bits, uint8_t *out, size_t *len, int *type,
    int64_t *first);
int
tt_codec_int64s_encode(const int64_t *a, size_t n, int precision_bits, uint8_t *out, size_t *len, int *type,
    int64_t *first)
{
	struct int64s_scratch scratch;
	struct buf payload;
	uint8_t marshal_type = 0;
	int rc;

	mem_init(&account, 0);
	int64s_scratch_init(&scratch, &account);
	buf_init(&payload, &account);
	rc = int64s_encode(&scratch, a, n, (uint8_t)precision_bits, &payload, &marshal_type, first);
	if (rc == 0 && payload.len > 0)
		memcpy(out, payload.data, payload.len);
	*len = payload.len;
	*type = marshal_type;
	buf_free(&payload);
	int64s_scratch_free(&scratch);
	return rc;
}

int tt_codec_int64s_decode(const uint8_t *payload, size_t len, int type, int64_t first, int64_t *a, size_t n);
int
tt_codec_int64s_decode(const uint8_t *payload, size_t len, int type, int64_t first, int64_t *a, size_t n)
{
	uint8_t *exact = malloc(len + (len == 0));
	struct int64s_scratch scratch;
	int rc;

	mem_init(&account, 0);
	if (len > 0)
		memcpy(exact, payload, len);
	int64s_scratch_init(&scratch, &account);
	rc = int64s_decode(&scratch, bytes_of(exact, len), (uint8_t)type, first, a, n);
	int64s_scratch_free(&scratch);
	free(exact);
	return rc;
}

int tt_codec_zstd_compress(int level, const uint8_t *data, size_t len, uint8_t *out, size_t *out_len);
int
tt_codec_zstd_compress(int level, const uint8_t *data, size_t len, uint8_t *out, size_t *out_len)
{
	struct zstd_context zstd;
	struct buf frame;
	int rc;

	mem_init(&account, 0);
	zstd_context_init(&zstd, &account);
	buf_init(&frame, &account);
	rc = zstd_compress(&zstd, level, bytes_of(data, len), &frame);
	if (rc == 0)
		memcpy(out, frame.data, frame.len);
	*out_len = frame.len;
	buf_free(&frame);
	zstd_context_free(&zstd);
	return rc;
}

int tt_codec_zstd_decompress(const uint8_t *frame, size_t len, size_t limit, uint8_t *out, size_t *out_len);
int
tt_codec_zstd_decompress(const uint8_t *frame, size_t len, size_t limit, uint8_t *out, size_t *out_len)
{
	struct zstd_context zstd;
	struct buf content;
	int rc;

	mem_init(&account, 0);
	zstd_context_init(&zstd, &account);
	buf_init(&content, &account);
	rc = zstd_decompress(&zstd, bytes_of(frame, len), limit, &content);
	if (rc == 0 && content.len > 0)
		memcpy(out, content.data, content.len);
	*out_len = content.len;
	buf_free(&content);
	zstd_context_free(&zstd);
	return rc;
}

/* The portable sum and the CPU's, begun at any alignment. */
uint32_t tt_codec_crc32c(const uint8_t *data, size_t from, size_t len, bool portable);
uint32_t
tt_codec_crc32c(const uint8_t *data, size_t from, size_t len, bool portable)
{
	return portable ? hash_crc32c_portable(0, data + from, len) : hash_crc32c(0, data + from, len);
}

/* Doubles by their bits: Lua must not see other NaNs. */
int tt_codec_decimals(const uint64_t *bits, size_t n, int64_t *mantissas);
int
tt_codec_decimals(const uint64_t *bits, size_t n, int64_t *mantissas)
{
	double *values = malloc((n + 1) * sizeof(*values));
	int exponent;

	memcpy(values, bits, n * sizeof(*values));
	exponent = decimal_from_doubles(values, n, mantissas);
	free(values);
	return exponent;
}

/* in_place: mantissas and doubles share their memory, as block_read does it. */
void tt_codec_doubles(const int64_t *mantissas, size_t n, int exponent, uint64_t *bits, bool in_place);
void
tt_codec_doubles(const int64_t *mantissas, size_t n, int exponent, uint64_t *bits, bool in_place)
{
	double *values = malloc((n + 1) * sizeof(*values));

	if (in_place) {
		memcpy(values, mantissas, n * sizeof(*values));
		decimal_to_doubles((const int64_t *)values, n, (int16_t)exponent, values);
	} else {
		decimal_to_doubles(mantissas, n, (int16_t)exponent, values);
	}
	memcpy(bits, values, n * sizeof(*values));
	free(values);
}

uint64_t tt_codec_round_trip(uint64_t bits);
uint64_t
tt_codec_round_trip(uint64_t bits)
{
	return double_bits(decimal_round_trip(double_of_bits(bits)));
}

int tt_codec_calibrate(int64_t *a, size_t a_count, int a_exponent, int64_t *b, size_t b_count, int b_exponent);
int
tt_codec_calibrate(int64_t *a, size_t a_count, int a_exponent, int64_t *b, size_t b_count, int b_exponent)
{
	return decimal_calibrate(a, a_count, (int16_t)a_exponent, b, b_count, (int16_t)b_exponent);
}
