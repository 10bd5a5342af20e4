/*
 * unpack.h -- a stream that may be gzip or zstd -> plain bytes, a piece at a time.
 * floor: storage     uses: base zlib zstd     used by: write
 *
 * The first bytes tell: 1f 8b is gzip, 28 b5 2f fd zstd, anything else is plain and handed through without a copy. Several
 * gzip members or zstd frames may follow one another. Memory is counted in the account.
 *
 * Errors     ERR_FORMAT for broken or unfinished data, ERR_MEMORY.
 * Threads    one at a time.
 */
#ifndef TSE_UNPACK_H
#define TSE_UNPACK_H

#include "base/mem.h"

enum unpack_kind { UNPACK_UNKNOWN, UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack {
	struct mem *mem;
	enum unpack_kind kind;
	uint8_t first[4]; /* until the kind is known */
	size_t first_bytes;
	void *stream;  /* z_stream or ZSTD_DCtx */
	bool in_frame; /* an end here would be in the middle of one */
	uint8_t *out;
};

/* Given each piece of plain bytes, which holds for the call. */
typedef int unpack_sink_fn(void *context, struct bytes plain);

void unpack_init(struct unpack *unpack, struct mem *mem, bool enabled);
void unpack_free(struct unpack *unpack);
NODISCARD int unpack_feed(struct unpack *unpack, struct bytes data, bool last, unpack_sink_fn *sink, void *context);

#endif
