/*
 * buf.h -- a growable array of bytes.
 * floor: base     uses: mem.h     used by: everyone
 *
 * data[0..len) is the content, cap the room. Growth doubles, so n appends cost O(n). buf_free is legal on a zeroed,
 * freed or live buf; the buf can be used again after buf_reset (keeps the room) or buf_free (gives it back).
 *
 * Errors     ERR_MEMORY from what grows.
 * Threads    one at a time.
 */
#ifndef TSE_BUF_H
#define TSE_BUF_H

#include "base/mem.h"

struct buf {
	uint8_t *data;
	size_t len;
	size_t cap;
	struct mem *mem;
};

static inline void
buf_init(struct buf *buf, struct mem *mem)
{
	*buf = (struct buf){ .mem = mem };
}

void buf_free(struct buf *buf);
static inline void
buf_reset(struct buf *buf)
{
	buf->len = 0;
}
/* Room for `extra` more bytes behind len. */
NODISCARD int buf_reserve(struct buf *buf, size_t extra);
NODISCARD int buf_append(struct buf *buf, const void *data, size_t n);
NODISCARD int buf_append_text(struct buf *buf, const char *text);
NODISCARD int buf_printf(struct buf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);
NODISCARD int buf_append_u8(struct buf *buf, uint8_t value);

static inline struct bytes
buf_bytes(const struct buf *buf)
{
	return bytes_of(buf->data, buf->len);
}

#endif
