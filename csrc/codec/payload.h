/*
 * payload.h -- whether, and how, the varints of a block are compressed.
 * floor: codec     uses: zstd.h     used by: int64s.c
 *
 * Any zstd frame is valid to every reader, so how hard to try is ours to choose. Differences of samples come in two
 * kinds: noise, where a match of five bytes costs more than the symbols it replaces and only their frequencies count,
 * and patterns, where matches win. The first kind is packed by entropy coding alone.
 *
 * Errors     ERR_MEMORY.
 * Threads    one context, one thread.
 */
#ifndef TSE_PAYLOAD_H
#define TSE_PAYLOAD_H

#include "codec/zstd.h"

/* Appends plain to out, compressed if that makes it at most 0.9 of its size (part format 8.2); *compressed says which. */
NODISCARD int payload_append(struct zstd_context *zstd, struct bytes plain, struct buf *out, bool *compressed);

#endif
