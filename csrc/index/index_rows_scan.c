/*
 * index_rows_scan.c -- from tag rows to sets of ids.
 * floor: index     uses: index_search_private.h     used by: index_search
 */
#include "index/index_search_private.h"

enum {
	IDS_BATCH = 256,
	/* Rows of one value that do not match before the scan seeks behind the value: a seek costs about this many rows. */
	ROWS_BEFORE_SEEK = 16
};

static int
add_row_ids(struct u64set *set, const struct tag_row *row)
{
	uint64_t ids[IDS_BATCH];

	for (size_t start = 0; start < row->ids_count; start += IDS_BATCH) {
		size_t n = row->ids_count - start < IDS_BATCH ? row->ids_count - start : IDS_BATCH;
		bool ascending = true;

		for (size_t i = 0; i < n; i++) {
			ids[i] = get_u64(row->ids + 8 * (start + i));
			ascending &= i == 0 || ids[i - 1] <= ids[i];
		}
		if (ascending) {
			TRY(u64set_add_many(set, ids, n));
			continue;
		}
		for (size_t i = 0; i < n; i++) /* rows need not be sorted in foreign directories */
			TRY(u64set_add(set, ids[i]));
	}
	return 0;
}

/* -- One key and value --------------------------------------------------------------------------------------------------- */

struct exact_scan {
	struct search *search;
	struct u64set *ids;
	uint64_t cap;
	size_t scope_bytes;
	bool over;
};

static int
visit_exact(void *context, struct bytes item, bool *more)
{
	struct exact_scan *scan = context;
	struct tag_row row;

	TRY(row_parse_tag(item, scan->scope_bytes, scan->search->index->root, &row));
	TRY(add_row_ids(scan->ids, &row));
	scan->over = u64set_count(scan->ids) > scan->cap;
	*more = !scan->over;
	return 0;
}

int
scan_exact(struct search *search, struct bytes key_and_value, uint64_t cap, struct u64set *ids, bool *over)
{
	struct exact_scan scan = { .search = search, .ids = ids, .cap = cap };

	for (uint64_t date = search_first_date(search); search_has_date(date) && !scan.over;
	     date = search_next_date(search, date)) {
		buf_reset(&search->scope);
		TRY(row_tag_scope_append(&search->scope, search->index->env.layout, search->tenant, date));
		scan.scope_bytes = search->scope.len;
		TRY(buf_append(&search->scope, key_and_value.data, key_and_value.len));
		TRY(items_each(search->rows, buf_bytes(&search->scope), visit_exact, &scan));
	}
	*over = scan.over;
	return 0;
}

int
scan_all(struct search *search, struct u64set *ids)
{
	static const uint8_t empty_key = ESTR_END;
	bool over;

	return scan_exact(search, bytes_of(&empty_key, 1), UINT64_MAX, ids, &over);
}

/* -- All values of a key -------------------------------------------------------------------------------------------------- */

struct pattern_scan {
	struct search *search;
	const struct tag_pattern *pattern;
	struct u64set *matching, *others;
	size_t scope_bytes;
	struct buf last_value; /* escaped; the answer for it is kept, as a value has many rows */
	struct buf raw;
	bool any_value, last_matches;
	unsigned rows_in_vain; /* rows of this value in a row that nobody wanted */
};

/* Whether the value of this row matches; the rows of one value are neighbours. */
static int
value_matches(struct pattern_scan *scan, struct bytes escaped)
{
	struct bytes raw = escaped;

	if (scan->any_value && bytes_equal(buf_bytes(&scan->last_value), escaped))
		return 0;
	buf_reset(&scan->last_value);
	TRY(buf_append(&scan->last_value, escaped.data, escaped.len));
	scan->any_value = true;
	scan->rows_in_vain = 0;
	if (estr_has_escapes(escaped)) {
		uint8_t *end;

		buf_reset(&scan->raw);
		TRY(buf_reserve(&scan->raw, escaped.len));
		end = estr_decode(scan->raw.data, escaped);
		if (end == NULL)
			return ERR_CORRUPT(scan->search->index->root, UINT64_MAX,
			    "tag row with an unknown escape in its value");
		raw = bytes_of(scan->raw.data, (size_t)(end - scan->raw.data));
	}
	scan->last_matches = tag_pattern_matches(scan->pattern, raw);
	return 0;
}

/* One row; *skip_value asks to go on behind all rows of its value. */
static int
visit_pattern(struct pattern_scan *scan, struct bytes item, bool *skip_value)
{
	struct tag_row row;
	struct u64set *set;

	TRY(row_parse_tag(item, scan->scope_bytes, scan->search->index->root, &row));
	TRY(value_matches(scan, row.value));
	set = row.value.len == 0 ? NULL : scan->last_matches ? scan->matching : scan->others;
	if (set != NULL)
		return add_row_ids(set, &row);
	*skip_value = ++scan->rows_in_vain >= ROWS_BEFORE_SEEK;
	return 0;
}

/* All rows that start with prefix, which is scope, key and perhaps the start of the values. */
static int
scan_prefix(struct pattern_scan *scan, struct buf *prefix, size_t key_end)
{
	struct item_cursor *cursor = scan->search->rows;

	TRY(item_cursor_seek(cursor, buf_bytes(prefix)));
	for (;;) {
		struct bytes item;
		bool found, skip_value = false;

		TRY(item_cursor_next(cursor, &item, &found));
		if (!found || item.len < prefix->len || memcmp(item.data, prefix->data, prefix->len) != 0)
			return 0;
		TRY(visit_pattern(scan, item, &skip_value));
		if (skip_value) {
			size_t prefix_bytes = prefix->len;
			int rc;

			/* key, value, 02: behind all rows that end the value with 01 */
			prefix->len = key_end;
			TRY(buf_append(prefix, scan->last_value.data, scan->last_value.len));
			TRY(buf_append_u8(prefix, ESTR_END + 1));
			rc = item_cursor_seek(cursor, buf_bytes(prefix));
			prefix->len = prefix_bytes; /* last_value starts with what stood there */
			TRY(rc);
		}
	}
}

int
scan_pattern(struct search *search, struct bytes key, const struct tag_pattern *pattern, struct u64set *matching,
    struct u64set *others)
{
	struct pattern_scan scan = { .search = search, .pattern = pattern, .matching = matching, .others = others };
	struct buf prefix;
	int rc = 0;

	buf_init(&scan.last_value, search->index->env.mem);
	buf_init(&scan.raw, search->index->env.mem);
	buf_init(&prefix, search->index->env.mem);
	for (uint64_t date = search_first_date(search); search_has_date(date); date = search_next_date(search, date)) {
		size_t key_end;

		buf_reset(&prefix);
		scan.any_value = false;
		TRY_GOTO(out, row_tag_scope_append(&prefix, search->index->env.layout, search->tenant, date));
		scan.scope_bytes = prefix.len;
		TRY_GOTO(out, buf_append(&prefix, key.data, key.len));
		key_end = prefix.len;
		if (others == NULL && pattern->kind != PATTERN_LITERALS)
			TRY_GOTO(out, estr_append_open(&prefix, pattern->prefix));
		TRY_GOTO(out, scan_prefix(&scan, &prefix, key_end));
	}
out:
	buf_free(&prefix);
	buf_free(&scan.raw);
	buf_free(&scan.last_value);
	return rc;
}
