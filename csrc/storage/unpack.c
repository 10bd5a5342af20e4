/*
 * unpack.c -- a stream that may be gzip or zstd -> plain bytes.
 * floor: storage     uses: unpack.h     used by: write
 */
#define ZSTD_STATIC_LINKING_ONLY /* the context with our allocator */

#include "storage/unpack.h"

#include <zlib.h>
#include <zstd.h>

#include "base/err.h"

/* Large enough that the cost of a piece does not show, small beside everything else a writer holds. */
enum { OUT_BYTES = 256 << 10, GZIP_WINDOW_BITS = 15 + 16, WINDOW_LOG_MAX = 27 };

static void *
zlib_alloc(void *context, unsigned n, unsigned size)
{
	return mem_array(context, n, size);
}

static void
zlib_free(void *context, void *p)
{
	mem_free(context, p);
}

static void *
zstd_alloc(void *context, size_t n)
{
	return mem_alloc(context, n);
}

static void
zstd_free(void *context, void *p)
{
	mem_free(context, p);
}

void
unpack_init(struct unpack *unpack, struct mem *mem, bool enabled)
{
	*unpack = (struct unpack){ .mem = mem, .kind = enabled ? UNPACK_UNKNOWN : UNPACK_PLAIN };
}

void
unpack_free(struct unpack *unpack)
{
	if (unpack->stream != NULL && unpack->kind == UNPACK_GZIP) {
		inflateEnd(unpack->stream);
		mem_free(unpack->mem, unpack->stream);
	} else if (unpack->stream != NULL) {
		ZSTD_freeDCtx(unpack->stream);
	}
	mem_free(unpack->mem, unpack->out);
	unpack->stream = NULL;
	unpack->out = NULL;
}

/* -- Telling the kind -------------------------------------------------------------------------------------------------- */

static int
start_gzip(struct unpack *unpack)
{
	z_stream *stream = mem_zalloc(unpack->mem, sizeof(*stream));

	if (stream == NULL)
		return ERR_MEMORY;
	stream->zalloc = zlib_alloc;
	stream->zfree = zlib_free;
	stream->opaque = unpack->mem;
	if (inflateInit2(stream, GZIP_WINDOW_BITS) != Z_OK) {
		mem_free(unpack->mem, stream);
		return ERR(ERR_MEMORY, "no memory to unpack gzip");
	}
	unpack->stream = stream;
	return 0;
}

static int
start_zstd(struct unpack *unpack)
{
	ZSTD_customMem memory = { .customAlloc = zstd_alloc, .customFree = zstd_free, .opaque = unpack->mem };

	unpack->stream = ZSTD_createDCtx_advanced(memory);
	if (unpack->stream == NULL)
		return ERR(ERR_MEMORY, "no memory to unpack zstd");
	(void)ZSTD_DCtx_setParameter(unpack->stream, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return 0;
}

static int
start(struct unpack *unpack, enum unpack_kind kind)
{
	if (kind != UNPACK_PLAIN) {
		unpack->out = mem_alloc(unpack->mem, OUT_BYTES);
		if (unpack->out == NULL)
			return ERR_MEMORY;
	}
	if (kind == UNPACK_GZIP)
		TRY(start_gzip(unpack));
	if (kind == UNPACK_ZSTD)
		TRY(start_zstd(unpack));
	unpack->kind = kind;
	return 0;
}

static enum unpack_kind
kind_of(const uint8_t *first, size_t n, bool last)
{
	static const uint8_t gzip[] = { 0x1f, 0x8b }, zstd[] = { 0x28, 0xb5, 0x2f, 0xfd };
	size_t gzip_n = n < sizeof(gzip) ? n : sizeof(gzip);
	size_t zstd_n = n < sizeof(zstd) ? n : sizeof(zstd);

	if (n >= sizeof(gzip) && memcmp(first, gzip, sizeof(gzip)) == 0)
		return UNPACK_GZIP;
	if (n >= sizeof(zstd) && memcmp(first, zstd, sizeof(zstd)) == 0)
		return UNPACK_ZSTD;
	if (!last && (memcmp(first, gzip, gzip_n) == 0 || memcmp(first, zstd, zstd_n) == 0))
		return UNPACK_UNKNOWN;
	return UNPACK_PLAIN;
}

/* -- Unpacking ------------------------------------------------------------------------------------------------------------ */

static int
feed_gzip(struct unpack *unpack, struct bytes data, unpack_sink_fn *sink, void *context)
{
	z_stream *stream = unpack->stream;
	int result = Z_OK;

	while (data.len > 0 || result == Z_OK) {
		unsigned step = data.len < (1u << 30) ? (unsigned)data.len : 1u << 30;
		size_t made;

		if (!unpack->in_frame && data.len == 0)
			break;
		unpack->in_frame = true;
		stream->next_in = (Bytef *)(uintptr_t)data.data;
		stream->avail_in = step;
		stream->next_out = unpack->out;
		stream->avail_out = OUT_BYTES;
		result = inflate(stream, Z_NO_FLUSH);
		if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
			return ERR(ERR_FORMAT, "the gzip data is broken: %s",
			    stream->msg != NULL ? stream->msg : "unknown reason");
		made = OUT_BYTES - stream->avail_out;
		data.data += step - stream->avail_in;
		data.len -= step - stream->avail_in;
		if (made > 0)
			TRY(sink(context, bytes_of(unpack->out, made)));
		if (result == Z_STREAM_END) {
			unpack->in_frame = false;
			(void)inflateReset(stream);
			result = Z_OK;
		} else if (made == 0 && data.len == 0) {
			break;
		}
	}
	return 0;
}

static int
feed_zstd(struct unpack *unpack, struct bytes data, unpack_sink_fn *sink, void *context)
{
	ZSTD_inBuffer in = { .src = data.data, .size = data.len };
	size_t made;

	do {
		ZSTD_outBuffer out = { .dst = unpack->out, .size = OUT_BYTES };
		size_t result = ZSTD_decompressStream(unpack->stream, &out, &in);

		if (ZSTD_isError(result))
			return ERR(ERR_FORMAT, "the zstd data is broken: %s", ZSTD_getErrorName(result));
		made = out.pos;
		unpack->in_frame = result != 0;
		if (made > 0)
			TRY(sink(context, bytes_of(unpack->out, made)));
	} while (in.pos < in.size || made == OUT_BYTES);
	return 0;
}

static int
feed_known(struct unpack *unpack, struct bytes data, unpack_sink_fn *sink, void *context)
{
	if (data.len == 0)
		return 0;
	if (unpack->kind == UNPACK_GZIP)
		return feed_gzip(unpack, data, sink, context);
	if (unpack->kind == UNPACK_ZSTD)
		return feed_zstd(unpack, data, sink, context);
	return sink(context, data);
}

int
unpack_feed(struct unpack *unpack, struct bytes data, bool last, unpack_sink_fn *sink, void *context)
{
	while (unpack->kind == UNPACK_UNKNOWN) {
		enum unpack_kind kind;

		while (unpack->first_bytes < sizeof(unpack->first) && data.len > 0) {
			unpack->first[unpack->first_bytes++] = *data.data++;
			data.len--;
		}
		kind =
		    kind_of(unpack->first, unpack->first_bytes, last || unpack->first_bytes == sizeof(unpack->first));
		if (kind == UNPACK_UNKNOWN)
			return 0;
		TRY(start(unpack, kind));
		TRY(feed_known(unpack, bytes_of(unpack->first, unpack->first_bytes), sink, context));
	}
	TRY(feed_known(unpack, data, sink, context));
	if (last && unpack->in_frame)
		return ERR(ERR_FORMAT, "the compressed data ends in the middle");
	return 0;
}
