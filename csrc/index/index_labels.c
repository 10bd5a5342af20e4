/*
 * index_labels.c -- label names and values (index format 13.2), of everything or of the series that match.
 * floor: index     uses: index_search_private.h codec/hash.h     used by: storage
 *
 * Without a match the rows themselves are walked, from one key (or value) to the next by seeks; a row counts when one of
 * its ids is alive. With a match the names of the matching series are read. The metric name is listed as __name__ when
 * any series is there; artificial keys (FE..., FF) are not labels. Deleted series list nothing, in both ways.
 */
#include <stdlib.h>

#include "codec/hash.h"
#include "index/index_search_private.h"

/* -- Collecting ------------------------------------------------------------------------------------------------------------- */

struct collector {
	struct mem *mem;
	struct bytes_list list; /* distinct, unsorted until finished */
	size_t room;
	uint32_t *slots; /* number + 1, open addressing */
	size_t mask;
};

static void
collector_init(struct collector *collector, struct mem *mem)
{
	*collector = (struct collector){ .mem = mem };
	arena_init(&collector->list.arena, mem);
}

void
bytes_list_free(struct bytes_list *list)
{
	struct mem *mem = list->arena.mem;

	if (mem == NULL)
		return;
	mem_free(mem, list->items);
	arena_free(&list->arena);
	*list = (struct bytes_list){ 0 };
}

static void
collector_free(struct collector *collector)
{
	mem_free(collector->mem, collector->slots);
	collector->slots = NULL;
	bytes_list_free(&collector->list);
}

static int
collector_grow(struct collector *collector)
{
	size_t room = collector->room == 0 ? 64 : collector->room * 2;
	struct bytes *items = mem_realloc(collector->mem, collector->list.items, room * sizeof(*items));
	uint32_t *slots;

	if (items == NULL)
		return ERR_MEMORY;
	collector->list.items = items;
	slots = mem_zalloc(collector->mem, 2 * room * sizeof(*slots));
	if (slots == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < collector->list.count; i++) {
		size_t at = hash_xxh3(items[i].data, items[i].len) & (2 * room - 1);

		while (slots[at] != 0)
			at = (at + 1) & (2 * room - 1);
		slots[at] = (uint32_t)i + 1;
	}
	mem_free(collector->mem, collector->slots);
	collector->slots = slots;
	collector->mask = 2 * room - 1;
	collector->room = room;
	return 0;
}

static int
collect(struct collector *collector, struct bytes text)
{
	struct bytes_list *list = &collector->list;
	uint8_t *copy;
	size_t at;

	if (list->count == collector->room)
		TRY(collector_grow(collector));
	for (at = hash_xxh3(text.data, text.len) & collector->mask; collector->slots[at] != 0;
	     at = (at + 1) & collector->mask) {
		if (bytes_equal(list->items[collector->slots[at] - 1], text))
			return 0;
	}
	copy = arena_copy(&list->arena, text.data, text.len);
	if (copy == NULL)
		return ERR_MEMORY;
	list->items[list->count++] = bytes_of(copy, text.len);
	collector->slots[at] = (uint32_t)list->count;
	return 0;
}

static int
compare_bytes(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Sorts, cuts and hands over. */
static void
collector_finish(struct collector *collector, size_t limit, struct bytes_list *out)
{
	struct bytes_list *list = &collector->list;

	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), compare_bytes);
	if (limit != 0 && list->count > limit)
		list->count = limit;
	*out = *list;
	collector->list = (struct bytes_list){ 0 };
	collector_free(collector);
}

/* -- Walking rows ------------------------------------------------------------------------------------------------------------- */

static bool
row_is_alive(const struct search *search, const struct tag_row *row)
{
	for (size_t i = 0; i < row->ids_count; i++) {
		if (!moment_is_deleted(&search->moment, get_u64(row->ids + 8 * i)))
			return true;
	}
	return false;
}

/* The first row at or after search->scope that still starts with its first scope_bytes. */
static int
seek_row(struct search *search, size_t scope_bytes, struct tag_row *row, bool *found)
{
	struct bytes item;

	TRY(item_cursor_seek(search->rows, buf_bytes(&search->scope)));
	TRY(item_cursor_next(search->rows, &item, found));
	*found = *found && item.len >= scope_bytes && memcmp(item.data, search->scope.data, scope_bytes) == 0;
	return *found ? row_parse_tag(item, scope_bytes, search->index->root, row) : 0;
}

/* The next row behind the one of the last seek_row or next_row, likewise. */
static int
next_row(struct search *search, size_t scope_bytes, struct tag_row *row, bool *found)
{
	struct bytes item;

	TRY(item_cursor_next(search->rows, &item, found));
	*found = *found && item.len >= scope_bytes && memcmp(item.data, search->scope.data, scope_bytes) == 0;
	return *found ? row_parse_tag(item, scope_bytes, search->index->root, row) : 0;
}

/* Writes raw bytes of an escaped string to search->value. */
static int
decode_value(struct search *search, struct bytes escaped, struct bytes *out)
{
	uint8_t *end;

	buf_reset(&search->value);
	TRY(buf_reserve(&search->value, escaped.len + 1));
	end = estr_decode(search->value.data, escaped);
	if (end == NULL)
		return ERR_CORRUPT(search->index->root, UINT64_MAX, "tag row with an unknown escape");
	*out = bytes_of(search->value.data, (size_t)(end - search->value.data));
	return 0;
}

/* Puts scope and `escaped` with the byte behind its terminator into search->scope: the seek goes behind all its rows. */
static int
set_seek_behind(struct search *search, size_t scope_bytes, struct bytes escaped)
{
	/* escaped is a view of the last item and the scope a buffer of its own: no overlap */
	search->scope.len = scope_bytes;
	TRY(buf_append(&search->scope, escaped.data, escaped.len));
	return buf_append_u8(&search->scope, ESTR_END + 1);
}

static int
collect_key(struct search *search, struct collector *collector, struct bytes escaped)
{
	struct bytes name;

	if (escaped.len == 0)
		return collect(collector, bytes_of("__name__", 8));
	TRY(decode_value(search, escaped, &name));
	return collect(collector, name);
}

/* Every key of one scope that has a live row. */
static int
walk_keys(struct search *search, uint64_t date, struct collector *collector)
{
	size_t scope_bytes;
	struct tag_row row;
	bool found;

	buf_reset(&search->scope);
	TRY(row_tag_scope_append(&search->scope, search->index->env.layout, search->tenant, date));
	scope_bytes = search->scope.len;
	TRY(seek_row(search, scope_bytes, &row, &found));
	while (found) {
		bool artificial = row.key.len > 0 &&
		    (row.key.data[0] == KEY_COMPOSITE || (row.key.data[0] == KEY_REVERSED_NAME && row.key.len == 1));

		if (!artificial && !row_is_alive(search, &row)) {
			TRY(next_row(search, scope_bytes, &row, &found));
			continue;
		}
		if (!artificial)
			TRY(collect_key(search, collector, row.key));
		if (artificial && row.key.data[0] == KEY_COMPOSITE) {
			static const uint8_t behind_composites = KEY_COMPOSITE + 1;

			search->scope.len = scope_bytes;
			TRY(buf_append(&search->scope, &behind_composites, 1));
		} else {
			TRY(set_seek_behind(search, scope_bytes, row.key));
		}
		TRY(seek_row(search, scope_bytes, &row, &found));
	}
	return 0;
}

/* Every value of one key in one scope that has a live row. */
static int
walk_values(struct search *search, uint64_t date, struct bytes label, struct collector *collector)
{
	size_t scope_bytes, key_end;
	struct tag_row row;
	struct bytes value;
	bool found;

	buf_reset(&search->scope);
	TRY(row_tag_scope_append(&search->scope, search->index->env.layout, search->tenant, date));
	scope_bytes = search->scope.len;
	TRY(estr_append(&search->scope, label));
	key_end = search->scope.len;
	TRY(seek_row(search, scope_bytes, &row, &found));
	while (found && row.key.len == key_end - scope_bytes - 1 &&
	    memcmp(row.key.data, search->scope.data + scope_bytes, row.key.len) == 0) {
		if (row.value.len > 0 && !row_is_alive(search, &row)) {
			TRY(next_row(search, scope_bytes, &row, &found));
			continue;
		}
		if (row.value.len > 0) {
			TRY(decode_value(search, row.value, &value));
			TRY(collect(collector, value));
		}
		TRY(set_seek_behind(search, key_end, row.value));
		TRY(seek_row(search, scope_bytes, &row, &found));
	}
	return 0;
}

/* -- Reading names -------------------------------------------------------------------------------------------------------------- */

struct name_reader {
	struct search *search;
	struct collector *collector;
	struct arena arena;
	struct labels *labels;
	const struct bytes *label; /* whose values are wanted; NULL: names of labels */
};

static bool
is_metric_name(const struct labels *labels, size_t i)
{
	return i == 0 && labels->items[0].name.len == 8 && memcmp(labels->items[0].name.data, "__name__", 8) == 0;
}

static int
collect_from_labels(struct name_reader *reader)
{
	const struct labels *labels = reader->labels;

	if (reader->label == NULL)
		TRY(collect(reader->collector, bytes_of("__name__", 8)));
	for (size_t i = 0; i < labels->count; i++) {
		const struct label *label = &labels->items[i];
		bool is_name = is_metric_name(labels, i);

		if (label->value.len == 0 || (reader->label == NULL && is_name))
			continue;
		if (reader->label == NULL)
			TRY(collect(reader->collector, label->name));
		else if (reader->label->len == 0 ? is_name : !is_name && bytes_equal(label->name, *reader->label))
			TRY(collect(reader->collector, label->value));
	}
	return 0;
}

static int
collect_from_names(struct name_reader *reader, const struct u64set *ids)
{
	struct search *search = reader->search;
	enum layout layout = search->index->env.layout;
	struct id_finder finder;
	struct u64set_iter iter;
	uint64_t id;

	id_finder_init(&finder, search->ids, ROW_ID_TO_NAME, layout, search->tenant);
	u64set_iter_init(&iter, ids);
	while (u64set_iter_next(&iter, &id, 1) == 1) {
		struct bytes item, name;
		struct tenant tenant;
		bool found;

		TRY(id_finder_find(&finder, id, &item, &found));
		if (!found) {
			search->index->missing_names++;
			continue;
		}
		TRY(row_parse_id_to_name(item, layout, search->index->root, &id, &name));
		arena_reset(&reader->arena);
		TRY(metric_name_to_labels(layout, name, &reader->arena, &tenant, reader->labels));
		TRY(collect_from_labels(reader));
	}
	return 0;
}

static int
collect_matching(struct search *search, const struct match *match, const struct bytes *label,
    struct collector *collector)
{
	struct mem *mem = search->index->env.mem;
	struct name_reader reader = { .search = search, .collector = collector, .label = label };
	struct u64set ids;
	int rc;

	reader.labels = mem_alloc(mem, sizeof(*reader.labels));
	if (reader.labels == NULL)
		return ERR_MEMORY;
	arena_init(&reader.arena, mem);
	u64set_init(&ids, mem);
	rc = search_ids(search, match, &ids);
	if (rc == 0 && u64set_count(&ids) > 0)
		rc = collect_from_names(&reader, &ids);
	u64set_free(&ids);
	arena_free(&reader.arena);
	mem_free(mem, reader.labels);
	return rc;
}

static int
collect_all(struct search *search, const struct bytes *label, struct collector *collector)
{
	if (search->rows == NULL)
		return 0;
	for (uint64_t date = search_first_date(search); search_has_date(date); date = search_next_date(search, date)) {
		if (label == NULL)
			TRY(walk_keys(search, date, collector));
		else
			TRY(walk_values(search, date, *label, collector));
	}
	return 0;
}

/* label NULL: names of labels. */
static int
list_labels(struct index *index, struct tenant tenant, const struct bytes *label, const struct match *match,
    int64_t min_ms, int64_t max_ms, size_t limit, struct bytes_list *out)
{
	struct collector collector;
	struct search search;
	int rc;

	TRY(search_open(index, tenant, min_ms, max_ms, match == NULL, &search));
	/* The first day of all stands for "no range given" (index format 12.3). */
	search.global |= search.max_date == 0;
	collector_init(&collector, index->env.mem);
	rc = match == NULL ? collect_all(&search, label, &collector)
			   : collect_matching(&search, match, label, &collector);
	search_close(&search);
	if (rc == 0)
		collector_finish(&collector, limit, out);
	else
		collector_free(&collector);
	return rc;
}

int
index_label_names(struct index *index, struct tenant tenant, const struct match *match, int64_t min_ms, int64_t max_ms,
    size_t limit, struct bytes_list *out)
{
	return list_labels(index, tenant, NULL, match, min_ms, max_ms, limit, out);
}

int
index_label_values(struct index *index, struct tenant tenant, struct bytes label, const struct match *match,
    int64_t min_ms, int64_t max_ms, size_t limit, struct bytes_list *out)
{
	if (label.len == 8 && memcmp(label.data, "__name__", 8) == 0)
		label = bytes_of("", 0);
	return list_labels(index, tenant, &label, match, min_ms, max_ms, limit, out);
}
