/*
 * payload.c -- how the varints of a block are compressed.
 * floor: codec     uses: payload.h zstd.h     used by: int64s.c
 *
 * Measured on 8192-row blocks, bytes per row and ns per row (one core of 2.5 GHz; both with content checksums):
 *
 *                                     random walks, integers    507 series of a node_exporter    their timestamps
 *   level 5 (the format's)            0.350   22.4              0.405   7.7                      0.132   7.0
 *   level 1                           0.350    7.4              0.408   2.9                      0.147   3.8
 *   entropy coding only               0.288    2.0              0.422   1.7                      0.204   3.8
 *   as below                          0.288    2.9              0.408   6.0                      0.132   8.4
 *
 * and decoding the first takes 1.0 instead of 2.9 ns.
 */
#include "codec/payload.h"

enum {
	COMPRESS_BYTES_MIN = 128, /* shorter payloads stay as they are (8.2) */
	LEVEL_MATCHES = 5,        /* what the format's writers take for long blocks */
	PROBE_BYTES = 8,          /* a match worth its sequence */
	PROBE_STEP = 3,           /* one place in three is looked at: repeats are longer than that */
	PROBE_SLOTS_BITS = 10,
	PROBE_BYTES_MAX = 65536, /* positions fit 16 bits; what repeats does so in the first 64 KiB too */
	REPEATS_SOME = 32,       /* one probe in 32 was seen before: matches may win */
	REPEATS_MANY = 4,        /* one in 4: they do, nothing else is tried */
	SAMPLE_BYTES = 1024
};

/* A compressed payload is kept when it is at most this share of the plain one (8.2). */
#define COMPRESS_RATIO_MAX 0.9

/*
 * The chance that two bytes picked at random are equal is at least 2^-entropy. Below 2^-7.1 the entropy is over 7.1 bits
 * of 8, and with its tables no entropy coder gets to the 7.2 bits that would be kept.
 */
#define EQUAL_CHANCE_MIN 0.0073

/* Of how many places that were looked at, how many hold eight bytes that stood at such a place before. */
static void
probe_repeats(struct bytes plain, size_t *probes, size_t *repeats)
{
	uint16_t seen[1 << PROBE_SLOTS_BITS] = { 0 };
	size_t end = plain.len < PROBE_BYTES_MAX ? plain.len : PROBE_BYTES_MAX;

	*probes = *repeats = 0;
	for (size_t at = PROBE_BYTES; at + PROBE_BYTES <= end; at += PROBE_STEP) {
		uint64_t word, before;
		size_t slot;

		memcpy(&word, plain.data + at, PROBE_BYTES);
		slot = (size_t)((word * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - PROBE_SLOTS_BITS));
		memcpy(&before, plain.data + seen[slot], PROBE_BYTES);
		*repeats += before == word && seen[slot] != 0;
		seen[slot] = (uint16_t)at;
		++*probes;
	}
}

/* Are bytes so evenly distributed that coding them by frequency gains nothing? */
static bool
is_dense(struct bytes plain)
{
	size_t n = plain.len < SAMPLE_BYTES ? plain.len : SAMPLE_BYTES;
	size_t step = plain.len / n;
	uint32_t count[256] = { 0 };
	uint64_t pairs = 0;

	for (size_t i = 0; i < n; i++)
		count[plain.data[i * step]]++;
	for (size_t i = 0; i < 256; i++)
		pairs += count[i] == 0 ? 0 : (uint64_t)count[i] * (count[i] - 1);
	return (double)pairs < EQUAL_CHANCE_MIN * (double)n * (double)(n - 1);
}

/* Appends the smaller of two encodings, or none when both are useless. */
static int
compress_best(struct zstd_context *zstd, struct bytes plain, struct buf *out)
{
	size_t probes, repeats, start = out->len, first;

	probe_repeats(plain, &probes, &repeats);
	if (repeats * REPEATS_MANY > probes)
		return zstd_compress(zstd, LEVEL_MATCHES, plain, out);
	if (!is_dense(plain))
		TRY(zstd_compress_entropy(zstd, plain, out));
	if (repeats * REPEATS_SOME <= probes)
		return 0;
	first = out->len - start;
	TRY(zstd_compress(zstd, LEVEL_MATCHES, plain, out));
	if (first == 0)
		return 0;
	if (out->len - start - first < first) {
		memmove(out->data + start, out->data + start + first, out->len - start - first);
		first = out->len - start - first;
	}
	out->len = start + first;
	return 0;
}

int
payload_append(struct zstd_context *zstd, struct bytes plain, struct buf *out, bool *compressed)
{
	size_t start = out->len;

	*compressed = false;
	if (plain.len >= COMPRESS_BYTES_MIN) {
		TRY(compress_best(zstd, plain, out));
		if (out->len > start && (double)(out->len - start) <= COMPRESS_RATIO_MAX * (double)plain.len) {
			*compressed = true;
			return 0;
		}
		out->len = start;
	}
	return buf_append(out, plain.data, plain.len);
}
