/*
 * int64s.h -- arrays of int64 <-> bytes: the six marshal types of part format 8, and the encoder's own choice.
 * floor: codec     uses: varint.h zstd.h     used by: part
 *
 * Errors     decode: ERR_CORRUPTED without a place (the caller adds part, file and offset by err_prefix); ERR_MEMORY.
 * Threads    one scratch, one thread.
 */
#ifndef TSE_INT64S_H
#define TSE_INT64S_H

#include "codec/zstd.h"

enum marshal_type {
	MARSHAL_ZSTD_DELTA2 = 1,
	MARSHAL_DELTA_CONST = 2,
	MARSHAL_CONST = 3,
	MARSHAL_ZSTD_DELTA = 4,
	MARSHAL_DELTA2 = 5,
	MARSHAL_DELTA = 6
};

/* Reused between calls: the zstd context, a byte buffer, and the last array that int64s_decode_shared unpacked. */
struct int64s_scratch {
	struct zstd_context zstd;
	struct buf bytes;
	struct {
		struct buf payload;
		struct buf numbers; /* int64_t[count] */
		size_t count;       /* 0: nothing is remembered */
		uint8_t type;
	} shared;
};

void int64s_scratch_init(struct int64s_scratch *scratch, struct mem *mem);
void int64s_scratch_free(struct int64s_scratch *scratch);

/* Appends the payload of a[0..n), n >= 1, to out; stores type and first value. precision_bits 1..64, 64 = exact. */
NODISCARD int int64s_encode(struct int64s_scratch *scratch, const int64_t *a, size_t n, uint8_t precision_bits,
    struct buf *out, uint8_t *type, int64_t *first);
/* Fills a[0..n), n >= 1, from the payload. Any valid type is accepted, minimal or not. */
NODISCARD int int64s_decode(struct int64s_scratch *scratch, struct bytes payload, uint8_t type, int64_t first,
    int64_t *a, size_t n);
/*
 * The same, for arrays of which many have one payload: the timestamps of series that are scraped together. A compressed
 * payload that equals the last one is not unpacked again.
 */
NODISCARD int int64s_decode_shared(struct int64s_scratch *scratch, struct bytes payload, uint8_t type, int64_t first,
    int64_t *a, size_t n);
/* Repairs lossy timestamps (8.5): non-decreasing within [min, max]. ERR_CORRUPTED when max < min. */
NODISCARD int int64s_ensure_non_decreasing(int64_t *a, size_t n, int64_t min, int64_t max);

#endif
