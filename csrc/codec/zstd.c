/*
 * zstd.c -- one-shot frames over reused, counted zstd contexts.
 * floor: codec     uses: zstd.h err.h libzstd     used by: codec, part, index
 *
 * Contexts are made with the first frame: a cursor that only meets constant blocks never pays for one.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "codec/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

#include "base/err.h"

static void *
counted_alloc(void *opaque, size_t n)
{
	return mem_alloc(opaque, n);
}

static void
counted_free(void *opaque, void *p)
{
	mem_free(opaque, p);
}

static ZSTD_customMem
counted(struct mem *mem)
{
	return (ZSTD_customMem){ .customAlloc = counted_alloc, .customFree = counted_free, .opaque = mem };
}

void
zstd_context_init(struct zstd_context *context, struct mem *mem)
{
	*context = (struct zstd_context){ .mem = mem };
}

void
zstd_context_free(struct zstd_context *context)
{
	ZSTD_freeCCtx(context->compressor);
	ZSTD_freeCCtx(context->entropy_compressor);
	ZSTD_freeDCtx(context->decompressor);
	context->compressor = NULL;
	context->entropy_compressor = NULL;
	context->decompressor = NULL;
}

/* -- Compression ---------------------------------------------------------------------------------------------------- */

/* A fast level of such a step passes over nearly all matches. */
enum { LEVEL_ENTROPY = -1000 };

static int
set(ZSTD_CCtx *compressor, ZSTD_cParameter parameter, int value)
{
	size_t n = ZSTD_CCtx_setParameter(compressor, parameter, value);

	return ZSTD_isError(n)
	    ? ERR_BUG("zstd refuses parameter %d = %d: %s", (int)parameter, value, ZSTD_getErrorName(n))
	    : 0;
}

static int
compressor_make(struct zstd_context *context, void **out)
{
	ZSTD_CCtx *compressor = ZSTD_createCCtx_advanced(counted(context->mem));

	if (compressor == NULL)
		return ERR(ERR_MEMORY, "no memory for a zstd compressor");
	*out = compressor;
	return set(compressor, ZSTD_c_checksumFlag, 1);
}

static int
compress(ZSTD_CCtx *compressor, struct bytes in, struct buf *out)
{
	size_t n;

	TRY(buf_reserve(out, ZSTD_compressBound(in.len)));
	n = ZSTD_compress2(compressor, out->data + out->len, out->cap - out->len, in.data, in.len);
	if (ZSTD_isError(n)) {
		if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
			return ERR(ERR_MEMORY, "no memory for zstd to compress %zu bytes", in.len);
		return ERR_BUG("zstd cannot compress %zu bytes: %s", in.len, ZSTD_getErrorName(n));
	}
	out->len += n;
	return 0;
}

int
zstd_compress(struct zstd_context *context, int level, struct bytes in, struct buf *out)
{
	if (context->compressor == NULL)
		TRY(compressor_make(context, &context->compressor));
	TRY(set(context->compressor, ZSTD_c_compressionLevel, level));
	return compress(context->compressor, in, out);
}

int
zstd_compress_entropy(struct zstd_context *context, struct bytes in, struct buf *out)
{
	if (context->entropy_compressor == NULL) {
		TRY(compressor_make(context, &context->entropy_compressor));
		TRY(set(context->entropy_compressor, ZSTD_c_compressionLevel, LEVEL_ENTROPY));
		/* fast levels leave literals as they are unless told otherwise */
		TRY(set(context->entropy_compressor, ZSTD_c_literalCompressionMode, ZSTD_ps_enable));
	}
	return compress(context->entropy_compressor, in, out);
}

/* -- Decompression -------------------------------------------------------------------------------------------------- */

/* Room to ask for when the frames do not tell: doubled until the content fits. */
enum { UNKNOWN_CONTENT_BYTES = 4096 };

/* The sum of the content sizes of all frames, 0 when one of them does not tell or is damaged. Never more than limit + 1. */
static size_t
content_bytes(struct bytes in, size_t limit)
{
	unsigned long long total = ZSTD_findDecompressedSize(in.data, in.len);

	if (total == ZSTD_CONTENTSIZE_UNKNOWN || total == ZSTD_CONTENTSIZE_ERROR)
		return 0;
	return total > limit ? limit + 1 : (size_t)total;
}

static int
decompress_error(size_t n, size_t len)
{
	if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return ERR(ERR_MEMORY, "no memory for zstd to decompress %zu bytes", len);
	return ERR(ERR_CORRUPTED, "a zstd frame of %zu bytes cannot be decompressed: %s", len, ZSTD_getErrorName(n));
}

int
zstd_decompress(struct zstd_context *context, struct bytes in, size_t limit, struct buf *out)
{
	size_t room, n;

	if (context->decompressor == NULL) {
		context->decompressor = ZSTD_createDCtx_advanced(counted(context->mem));
		if (context->decompressor == NULL)
			return ERR(ERR_MEMORY, "no memory for a zstd decompressor");
	}
	if (in.len == 0)
		return ERR(ERR_CORRUPTED, "a zstd frame has no bytes");
	room = content_bytes(in, limit);
	if (room > limit)
		return ERR(ERR_CORRUPTED, "a zstd frame promises more than the %zu bytes that may be there", limit);
	/* A promise is not believed beyond what real content could need: 0 may be unknown or truly empty. */
	if (room == 0)
		room = limit < UNKNOWN_CONTENT_BYTES ? limit : UNKNOWN_CONTENT_BYTES;
	for (;;) {
		TRY(buf_reserve(out, room + 1)); /* one more: a pointer even to no bytes */
		n = ZSTD_decompressDCtx(context->decompressor, out->data + out->len, room, in.data, in.len);
		if (!ZSTD_isError(n))
			break;
		if (ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall)
			return decompress_error(n, in.len);
		if (room == limit)
			return ERR(ERR_CORRUPTED, "a zstd frame holds more than the %zu bytes that may be there",
			    limit);
		room = room > limit / 2 ? limit : room * 2;
	}
	out->len += n;
	return 0;
}
