/*
 * index_rows.c -- see index_rows.h.
 * floor: index     uses: index_rows.h     used by: index
 */
#include "index/index_rows.h"

/* -- Escaped strings ------------------------------------------------------------------------------------------------ */

uint8_t *
estr_put(uint8_t *p, struct bytes raw)
{
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = raw.data[i];

		if (UNLIKELY(c <= 2)) {
			*p++ = 0;
			c = (uint8_t)('0' + c);
		}
		*p++ = c;
	}
	*p++ = ESTR_END;
	return p;
}

int
estr_append(struct buf *out, struct bytes raw)
{
	TRY(buf_reserve(out, estr_bytes_max(raw.len)));
	out->len = (size_t)(estr_put(out->data + out->len, raw) - out->data);
	return 0;
}

int
estr_append_open(struct buf *out, struct bytes raw)
{
	TRY(estr_append(out, raw));
	out->len--;
	return 0;
}

const uint8_t *
estr_split(const uint8_t *p, const uint8_t *end, struct bytes *escaped)
{
	const uint8_t *stop = p < end ? memchr(p, ESTR_END, (size_t)(end - p)) : NULL;

	if (stop == NULL)
		return NULL;
	*escaped = bytes_of(p, (size_t)(stop - p));
	return stop + 1;
}

bool
estr_has_escapes(struct bytes escaped)
{
	return escaped.len > 0 && memchr(escaped.data, 0, escaped.len) != NULL;
}

uint8_t *
estr_decode(uint8_t *p, struct bytes escaped)
{
	for (size_t i = 0; i < escaped.len; i++) {
		uint8_t c = escaped.data[i];

		if (UNLIKELY(c == 0)) {
			if (++i == escaped.len || escaped.data[i] < '0' || escaped.data[i] > '2')
				return NULL;
			c = (uint8_t)(escaped.data[i] - '0');
		}
		*p++ = c;
	}
	return p;
}

int
row_composite_key_append(struct buf *out, struct bytes group, struct bytes key)
{
	uint8_t length[1 + VARINT_BYTES_MAX];
	uint8_t *p = length;

	*p++ = KEY_COMPOSITE;
	p = put_uvarint(p, group.len);
	TRY(estr_append_open(out, bytes_of(length, (size_t)(p - length))));
	TRY(estr_append_open(out, group));
	return estr_append(out, key);
}

int
row_tag_scope_append(struct buf *out, enum layout layout, struct tenant tenant, uint64_t date)
{
	uint8_t head[ROW_HEAD_BYTES_MAX];
	uint8_t *p = row_put_head(head, date == ROW_GLOBAL ? ROW_TAG_TO_IDS : ROW_DATE_TAG_TO_IDS, layout, tenant);

	if (date != ROW_GLOBAL)
		p = put_u64(p, date);
	return buf_append(out, head, (size_t)(p - head));
}

/* -- Parsing -------------------------------------------------------------------------------------------------------- */

int
row_parse_tag(struct bytes item, size_t scope_bytes, const char *where, struct tag_row *out)
{
	const uint8_t *end = item.data + item.len;
	const uint8_t *p;
	size_t rest;

	if (item.len < scope_bytes)
		return ERR_CORRUPT(where, UINT64_MAX, "tag row of %zu bytes is shorter than its head", item.len);
	p = estr_split(item.data + scope_bytes, end, &out->key);
	if (p != NULL)
		p = estr_split(p, end, &out->value);
	if (p == NULL)
		return ERR_CORRUPT(where, UINT64_MAX, "tag row of %zu bytes has no end of key or value", item.len);
	rest = (size_t)(end - p);
	if (rest == 0 || rest % 8 != 0)
		return ERR_CORRUPT(where, UINT64_MAX, "tag row with %zu bytes of metric ids", rest);
	out->ids = p;
	out->ids_count = rest / 8;
	return 0;
}

int
row_parse_name_to_tsid(struct bytes item, enum layout layout, const char *where, struct bytes *name, struct tsid *tsid)
{
	size_t tail = tsid_bytes(layout) + 1;

	if (item.len < 1 + tenant_bytes(layout) + 1 + tail || item.data[0] != ROW_NAME_TO_TSID)
		return ERR_CORRUPT(where, UINT64_MAX, "name row of %zu bytes", item.len);
	if (item.data[item.len - tail] != NAME_END)
		return ERR_CORRUPT(where, UINT64_MAX, "name row without separator before its TSID");
	*name = bytes_of(item.data + 1, item.len - 1 - tail);
	tsid_get(item.data + item.len - tail + 1, layout, tsid);
	if (layout == LAYOUT_CLUSTER &&
	    (tsid->account != get_u32(name->data) || tsid->project != get_u32(name->data + 4)))
		return ERR_CORRUPT(where, UINT64_MAX, "name row whose name and TSID have different tenants");
	return 0;
}

int
row_parse_id_to_tsid(struct bytes item, enum layout layout, const char *where, uint64_t *id, struct tsid *tsid)
{
	size_t head = 1 + tenant_bytes(layout);

	if (item.len != head + 8 + tsid_bytes(layout) || item.data[0] != ROW_ID_TO_TSID)
		return ERR_CORRUPT(where, UINT64_MAX, "id row of %zu bytes", item.len);
	*id = get_u64(item.data + head);
	tsid_get(item.data + head + 8, layout, tsid);
	if (tsid->metric_id != *id)
		return ERR_CORRUPT(where, UINT64_MAX, "id row of %016llx holds the TSID of %016llx",
		    (unsigned long long)*id, (unsigned long long)tsid->metric_id);
	if (layout == LAYOUT_CLUSTER &&
	    (tsid->account != get_u32(item.data + 1) || tsid->project != get_u32(item.data + 5)))
		return ERR_CORRUPT(where, UINT64_MAX, "id row whose key and TSID have different tenants");
	return 0;
}

int
row_parse_id_to_name(struct bytes item, enum layout layout, const char *where, uint64_t *id, struct bytes *name)
{
	size_t head = 1 + tenant_bytes(layout);

	if (item.len < head + 8 + tenant_bytes(layout) + 1 || item.data[0] != ROW_ID_TO_NAME)
		return ERR_CORRUPT(where, UINT64_MAX, "name row of %zu bytes", item.len);
	*id = get_u64(item.data + head);
	*name = bytes_of(item.data + head + 8, item.len - head - 8);
	if (layout == LAYOUT_CLUSTER && memcmp(item.data + 1, name->data, 8) != 0)
		return ERR_CORRUPT(where, UINT64_MAX, "name row whose key and name have different tenants");
	return 0;
}

int
row_parse_deleted(struct bytes item, const char *where, uint64_t *id)
{
	if (item.len != 9 || item.data[0] != ROW_DELETED_ID)
		return ERR_CORRUPT(where, UINT64_MAX, "deletion row of %zu bytes", item.len);
	*id = get_u64(item.data + 1);
	return 0;
}

int
row_parse_date(struct bytes item, enum layout layout, const char *where, uint64_t *date, uint64_t *id)
{
	size_t head = 1 + tenant_bytes(layout);

	if (item.len != head + 16 || item.data[0] != ROW_DATE_TO_ID)
		return ERR_CORRUPT(where, UINT64_MAX, "day row of %zu bytes", item.len);
	*date = get_u64(item.data + head);
	*id = get_u64(item.data + head + 8);
	return 0;
}
