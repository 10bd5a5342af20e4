/*
 * buf.c -- a growable array of bytes.
 * floor: base     uses: buf.h err.h     used by: everyone
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"

/* The first growth: most bufs hold a name or a header. */
enum { BUF_BYTES_MIN = 64 };

void
buf_free(struct buf *buf)
{
	if (buf->data != NULL)
		mem_free(buf->mem, buf->data);
	buf->data = NULL;
	buf->len = 0;
	buf->cap = 0;
}

int
buf_reserve(struct buf *buf, size_t extra)
{
	size_t need, cap;
	uint8_t *data;

	if (LIKELY(buf->cap - buf->len >= extra))
		return 0;
	if (__builtin_add_overflow(buf->len, extra, &need))
		return ERR(ERR_MEMORY, "a buffer of %zu and %zu bytes overflows", buf->len, extra);
	cap = buf->cap < BUF_BYTES_MIN ? BUF_BYTES_MIN : buf->cap;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	data = mem_realloc(buf->mem, buf->data, cap);
	if (data == NULL)
		return ERR_MEMORY;
	buf->data = data;
	buf->cap = cap;
	return 0;
}

int
buf_append(struct buf *buf, const void *data, size_t n)
{
	if (n == 0)
		return 0;
	TRY(buf_reserve(buf, n));
	memcpy(buf->data + buf->len, data, n);
	buf->len += n;
	return 0;
}

int
buf_append_text(struct buf *buf, const char *text)
{
	return buf_append(buf, text, strlen(text));
}

int
buf_append_u8(struct buf *buf, uint8_t value)
{
	TRY(buf_reserve(buf, 1));
	buf->data[buf->len++] = value;
	return 0;
}

int
buf_printf(struct buf *buf, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0)
		return ERR_BUG("a text cannot be formatted: %s", fmt);
	/* vsnprintf ends with a zero, which needs room but is not content */
	TRY(buf_reserve(buf, (size_t)n + 1));
	va_start(args, fmt);
	vsnprintf((char *)buf->data + buf->len, (size_t)n + 1, fmt, args);
	va_end(args);
	buf->len += (size_t)n;
	return 0;
}
