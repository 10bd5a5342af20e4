/*
 * item_join.c -- joining of tag rows.
 * floor: index     uses: item_join.h codec/varint.h     used by: item_merge
 *
 * Order: rows of one prefix arrive ascending, so their first ids ascend. A joined row starts with the smallest of them,
 * which is that of the first pending row; it comes out if it is not smaller than what came out before and not greater
 * than the last pending row, because the next one may be equal to that.
 */
#include "index/item_join.h"

#include <stdlib.h>

#include "codec/varint.h"
#include "index/item_block.h"

enum { KIND_TAG = 1, KIND_DATE_TAG = 6, DATE_BYTES = 8, ID_BYTES = 8, STRING_END = 1 };

void
item_join_init(struct item_join *join, struct mem *mem, uint8_t tenant_bytes, item_sink_fn *sink, void *context)
{
	*join = (struct item_join){ .tenant_bytes = tenant_bytes, .sink = sink, .context = context };
	buf_init(&join->rows, mem);
	buf_init(&join->row_lens, mem);
	buf_init(&join->prefix, mem);
	buf_init(&join->last, mem);
	buf_init(&join->out, mem);
}

void
item_join_free(struct item_join *join)
{
	buf_free(&join->rows);
	buf_free(&join->row_lens);
	buf_free(&join->prefix);
	buf_free(&join->last);
	buf_free(&join->out);
}

static bool
is_tag_row(struct bytes item)
{
	return item.len > 0 && (item.data[0] == KIND_TAG || item.data[0] == KIND_DATE_TAG);
}

size_t
item_row_prefix(struct bytes item, uint8_t tenant_bytes)
{
	size_t head = (size_t)1 + tenant_bytes;
	const uint8_t *end = item.data + item.len, *p;

	if (!is_tag_row(item))
		return 0;
	if (item.data[0] == KIND_DATE_TAG)
		head += DATE_BYTES;
	if (item.len < head)
		return 0;
	p = item.data + head;
	for (int string = 0; string < 2; string++) {
		p = p == end ? NULL : memchr(p, STRING_END, (size_t)(end - p));
		if (p == NULL)
			return 0;
		p++;
	}
	return p == end || (end - p) % ID_BYTES != 0 ? 0 : (size_t)(p - item.data);
}

/* -- Coming out ------------------------------------------------------------------------------------------------------- */

/* Puts a tag row and remembers it. */
static int
put_row(struct item_join *join, struct bytes row)
{
	buf_reset(&join->last);
	TRY(buf_append(&join->last, row.data, row.len));
	return join->sink(join->context, row);
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Rows arrive with ids ascending nearly always: then there is nothing to sort. */
static void
sort_ids(struct item_join *join)
{
	uint32_t kept = 0;

	for (uint32_t i = 1; i < join->ids_count; i++) {
		if (join->ids[i - 1] >= join->ids[i]) {
			qsort(join->ids, join->ids_count, sizeof(uint64_t), compare_ids);
			break;
		}
	}
	for (uint32_t i = 0; i < join->ids_count; i++) {
		if (i == 0 || join->ids[i] != join->ids[i - 1])
			join->ids[kept++] = join->ids[i];
	}
	join->ids_count = kept;
}

static int
build_row(struct item_join *join)
{
	uint8_t *p;

	sort_ids(join);
	buf_reset(&join->out);
	TRY(buf_reserve(&join->out, join->prefix.len + (size_t)join->ids_count * ID_BYTES));
	memcpy(join->out.data, join->prefix.data, join->prefix.len);
	p = join->out.data + join->prefix.len;
	for (uint32_t i = 0; i < join->ids_count; i++)
		p = put_u64(p, join->ids[i]);
	join->out.len = (size_t)(p - join->out.data);
	return 0;
}

static int
put_rows_as_they_came(struct item_join *join)
{
	const uint32_t *lens = (const uint32_t *)join->row_lens.data;
	const uint8_t *p = join->rows.data;

	for (size_t i = 0; i < join->row_lens.len / sizeof(uint32_t); i++) {
		TRY(put_row(join, bytes_of(p, lens[i])));
		p += lens[i];
	}
	return 0;
}

static int
put_joined(struct item_join *join)
{
	uint32_t last_len = ((const uint32_t *)join->row_lens.data)[join->row_lens.len / sizeof(uint32_t) - 1];
	struct bytes last_row = bytes_of(join->rows.data + join->rows.len - last_len, last_len);

	TRY(build_row(join));
	if (join->out.len > ITEM_BLOCK_BYTES_MAX || bytes_compare(buf_bytes(&join->out), last_row) > 0 ||
	    bytes_compare(buf_bytes(&join->last), buf_bytes(&join->out)) > 0)
		return put_rows_as_they_came(join);
	return put_row(join, buf_bytes(&join->out));
}

static int
flush(struct item_join *join)
{
	int rc = 0;

	if (join->row_lens.len == sizeof(uint32_t))
		rc = put_row(join, buf_bytes(&join->rows));
	else if (join->row_lens.len > 0)
		rc = put_joined(join);
	buf_reset(&join->rows);
	buf_reset(&join->row_lens);
	join->ids_count = 0;
	return rc;
}

/* -- Going in --------------------------------------------------------------------------------------------------------- */

static int
append_pending(struct item_join *join, struct bytes row, size_t prefix)
{
	uint32_t len = (uint32_t)row.len;

	TRY(buf_append(&join->rows, row.data, row.len));
	TRY(buf_append(&join->row_lens, &len, sizeof(len)));
	for (size_t at = prefix; at < row.len; at += ID_BYTES)
		join->ids[join->ids_count++] = get_u64(row.data + at);
	return join->ids_count >= ITEM_JOIN_IDS_MIN ? flush(join) : 0;
}

/* A row of the pending tag? The prefix ends behind a terminator, so what starts with it parses alike. */
static bool
continues_pending(const struct item_join *join, struct bytes item)
{
	size_t prefix = join->prefix.len;

	return join->row_lens.len > 0 && item.len > prefix && (item.len - prefix) % ID_BYTES == 0 &&
	    memcmp(item.data, join->prefix.data, prefix) == 0;
}

static int
add_row(struct item_join *join, struct bytes item)
{
	size_t prefix = continues_pending(join, item) ? join->prefix.len : 0;

	if (prefix == 0) {
		TRY(flush(join));
		prefix = item_row_prefix(item, join->tenant_bytes);
		if (prefix == 0)
			return put_row(join, item);
		buf_reset(&join->prefix);
		TRY(buf_append(&join->prefix, item.data, prefix));
	}
	if ((item.len - prefix) / ID_BYTES >= ITEM_JOIN_IDS_MIN) {
		TRY(flush(join));
		return put_row(join, item);
	}
	return append_pending(join, item, prefix);
}

int
item_join_add(struct item_join *join, struct bytes item)
{
	if (is_tag_row(item))
		return add_row(join, item);
	TRY(flush(join));
	return join->sink(join->context, item);
}

int
item_join_finish(struct item_join *join)
{
	return flush(join);
}
