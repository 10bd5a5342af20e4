/*
 * names.c -- which series, labels and label values there are; deleting series.
 * floor: storage     uses: internal.h     used by: ffi
 *
 * Names come from the index alone: a series is listed when it matches and is registered in the range, whether or not it has
 * rows there, as the peer does.
 */
#include "storage/internal.h"

#include <stdlib.h>

#include "ingest/metric_text.h"

/* Canonical names on their way into a list. */
struct name_collector {
	struct storage *storage;
	struct storage_texts texts;
	struct arena arena;
	struct buf canonical;
	struct labels labels;
};

static int
collect_name(void *context, uint64_t metric_id, struct bytes stored)
{
	struct name_collector *collector = context;
	struct tenant tenant;

	(void)metric_id;
	arena_reset(&collector->arena);
	buf_reset(&collector->canonical);
	TRY(metric_name_to_labels(collector->storage->root.layout, stored, &collector->arena, &tenant,
	    &collector->labels));
	TRY(metric_text_format(&collector->labels, &collector->canonical));
	return storage_texts_add(&collector->texts, buf_bytes(&collector->canonical));
}

static int
compare_texts(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

/* Sorted and distinct, at most limit (0: all), from one list into another. */
static int
sort_texts(const struct storage_texts *from, uint64_t limit, struct storage_texts *to)
{
	struct bytes *items = mem_array(from->mem, from->count + 1, sizeof(*items));
	uint64_t given = 0;
	int rc = 0;

	if (items == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < from->count; i++)
		items[i] = bytes_of(from->data.data + from->offsets[i], from->offsets[i + 1] - from->offsets[i] - 1);
	qsort(items, from->count, sizeof(*items), compare_texts);
	for (size_t i = 0; i < from->count && rc == 0 && (limit == 0 || given < limit); i++) {
		if (i > 0 && bytes_equal(items[i - 1], items[i]))
			continue;
		rc = storage_texts_add(to, items[i]);
		given++;
	}
	mem_free(from->mem, items);
	return rc;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The metric ids that match, ascending; *ids is to be freed. */
static int
matching_ids(struct storage *storage, const struct storage_query *query, const struct match *match, int64_t min_ms,
    int64_t max_ms, uint64_t **ids, size_t *n)
{
	struct tsid_list tsids = { .mem = &storage->mem };
	int rc = index_search(storage->index, query->tenant, match, min_ms, max_ms, 0, &tsids);

	if (rc == 0) {
		*ids = mem_array(&storage->mem, tsids.count + 1, sizeof(**ids));
		rc = *ids != NULL ? 0 : ERR_MEMORY;
	}
	if (rc == 0) {
		for (size_t i = 0; i < tsids.count; i++)
			(*ids)[i] = tsids.items[i].metric_id;
		*n = tsids.count;
		qsort(*ids, *n, sizeof(**ids), compare_u64);
	}
	tsid_list_free(&tsids);
	return rc;
}

static int
series_names_inside(struct storage *storage, const struct storage_query *query, const struct match *match,
    struct storage_texts *texts)
{
	struct name_collector *collector = mem_alloc(&storage->mem, sizeof(*collector));
	int64_t min_ms, max_ms;
	uint64_t *ids = NULL;
	size_t n = 0;
	int rc;

	if (collector == NULL)
		return ERR_MEMORY;
	collector->storage = storage;
	storage_texts_init(&collector->texts, &storage->mem);
	arena_init(&collector->arena, &storage->mem);
	buf_init(&collector->canonical, &storage->mem);
	query_range(query, &min_ms, &max_ms);
	TRY_GOTO(out, matching_ids(storage, query, match, min_ms, max_ms, &ids, &n));
	TRY_GOTO(out, index_names(storage->index, query->tenant, ids, n, collect_name, collector));
	rc = sort_texts(&collector->texts, query->limit, texts);
out:
	mem_free(&storage->mem, ids);
	storage_texts_free(&collector->texts);
	arena_free(&collector->arena);
	buf_free(&collector->canonical);
	mem_free(&storage->mem, collector);
	return rc;
}

static bool
is_empty_range(const struct storage_query *query)
{
	int64_t min_ms, max_ms;

	query_range(query, &min_ms, &max_ms);
	return min_ms > max_ms;
}

int
storage_series_names(struct storage *storage, const struct storage_query *query, struct storage_texts *texts)
{
	struct match *match = NULL;
	int rc;

	TRY(storage_enter(storage));
	rc = query_parse(storage, query, &match);
	if (rc == 0 && !is_empty_range(query))
		rc = series_names_inside(storage, query, match, texts);
	match_delete(match);
	storage_leave(storage);
	return rc;
}

static int
copy_list(const struct bytes_list *list, struct storage_texts *texts)
{
	for (size_t i = 0; i < list->count; i++)
		TRY(storage_texts_add(texts, list->items[i]));
	return 0;
}

/* label NULL: the names of labels, else the values of this one. */
static int
labels_or_values(struct storage *storage, const struct bytes *label, const struct storage_query *query,
    struct storage_texts *texts)
{
	struct match *match = NULL;
	struct bytes_list list = { 0 };
	int64_t min_ms, max_ms;
	int rc;

	TRY(storage_enter(storage));
	arena_init(&list.arena, &storage->mem);
	query_range(query, &min_ms, &max_ms);
	TRY_GOTO(out, query_parse(storage, query, &match));
	if (is_empty_range(query))
		goto out;
	if (label == NULL)
		rc = index_label_names(storage->index, query->tenant, match, min_ms, max_ms, query->limit, &list);
	else
		rc = index_label_values(storage->index, query->tenant, *label, match, min_ms, max_ms, query->limit,
		    &list);
	if (rc == 0)
		rc = copy_list(&list, texts);
out:
	bytes_list_free(&list);
	match_delete(match);
	storage_leave(storage);
	return rc;
}

int
storage_label_names(struct storage *storage, const struct storage_query *query, struct storage_texts *texts)
{
	return labels_or_values(storage, NULL, query, texts);
}

int
storage_label_values(struct storage *storage, struct bytes label, const struct storage_query *query,
    struct storage_texts *texts)
{
	return labels_or_values(storage, &label, query, texts);
}

/* -- Deleting ------------------------------------------------------------------------------------------------------------- */

static int
delete_inside(struct storage *storage, const struct storage_query *query, const struct match *match, uint64_t *series)
{
	uint64_t *ids = NULL;
	size_t n = 0;
	int rc;

	/* alone: no select begins between the search and the deletion, and none sees half of it */
	gate_shut(&storage->moment_gate);
	rc = matching_ids(storage, query, match, 0, INT64_MAX, &ids, &n);
	if (rc == 0 && n > 0)
		rc = index_delete(storage->index, ids, n);
	gate_open(&storage->moment_gate);
	mem_free(&storage->mem, ids);
	if (rc == 0)
		*series = n;
	return rc;
}

int
storage_delete(struct storage *storage, const struct storage_query *query, uint64_t *series)
{
	struct match *match = NULL;
	int rc;

	TRY(storage_enter(storage));
	TRY_GOTO(out, storage_touch(storage));
	TRY_GOTO(out, query_parse(storage, query, &match));
	rc = delete_inside(storage, query, match, series);
	steps_wake_for_index(storage);
out:
	match_delete(match);
	storage_leave(storage);
	return rc;
}
