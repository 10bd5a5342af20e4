/*
 * zstd.h -- one-shot zstd frames with content size and content checksum.
 * floor: codec     uses: base.h buf.h     used by: codec, part, index
 *
 * A context holds reused compressor and decompressor; its memory is counted through zstd's allocator hooks. Frames we
 * write carry content size and a 4-byte checksum (victoria-metrics accepts both); frames we read need neither.
 *
 * Errors     ERR_MEMORY; decompress: ERR_CORRUPTED without a place (the caller adds it by err_prefix), also when the
 *            result would be larger than `limit`.
 * Threads    one context, one thread.
 */
#ifndef TSE_ZSTD_H
#define TSE_ZSTD_H

#include "base/buf.h"

struct zstd_context {
	struct mem *mem;
	void *compressor;
	void *entropy_compressor;
	void *decompressor;
};

void zstd_context_init(struct zstd_context *context, struct mem *mem);
void zstd_context_free(struct zstd_context *context);
/* Appends one frame to out. level: libzstd's, negative ones are its fast levels. */
NODISCARD int zstd_compress(struct zstd_context *context, int level, struct bytes in, struct buf *out);
/* As zstd_compress, but looks for (nearly) no matches: bytes are coded by their frequency alone. Fast; best for noise. */
NODISCARD int zstd_compress_entropy(struct zstd_context *context, struct bytes in, struct buf *out);
/* Appends the content of one or more frames to out; at most limit bytes. */
NODISCARD int zstd_decompress(struct zstd_context *context, struct bytes in, size_t limit, struct buf *out);

#endif
