/*
 * index_names.c -- from metric ids to stored names (kind 3) and TSIDs (kind 2).
 * floor: index     uses: index_search_private.h     used by: index_search, storage
 */
#include "index/index_search_private.h"

/* Items the finder walks over before it seeks: ids asked for are often neighbours. */
enum { WALK_MAX = 8 };

void
id_finder_init(struct id_finder *finder, struct item_cursor *cursor, enum index_kind kind, enum layout layout,
    struct tenant tenant)
{
	*finder = (struct id_finder){ .cursor = cursor };
	finder->head_bytes = (size_t)(row_put_head(finder->key, kind, layout, tenant) - finder->key);
}

static int
finder_next(struct id_finder *finder)
{
	bool found;

	TRY(item_cursor_next(finder->cursor, &finder->item, &found));
	finder->at_end = !found || finder->item.len < finder->head_bytes + 8 ||
	    memcmp(finder->item.data, finder->key, finder->head_bytes) != 0;
	if (!finder->at_end)
		finder->at_id = get_u64(finder->item.data + finder->head_bytes);
	return 0;
}

int
id_finder_find(struct id_finder *finder, uint64_t id, struct bytes *item, bool *found)
{
	/* Where the finder stands tells about ids from here on only. */
	bool ahead = finder->placed && !finder->at_end && finder->at_id <= id;

	for (unsigned i = 0; i < WALK_MAX && ahead && finder->at_id < id; i++) {
		TRY(finder_next(finder));
		ahead = !finder->at_end;
		if (finder->at_end || finder->at_id > id) { /* passed it: it is not there */
			*found = false;
			return 0;
		}
	}
	if (!ahead || finder->at_id != id) {
		put_u64(finder->key + finder->head_bytes, id);
		TRY(item_cursor_seek(finder->cursor, bytes_of(finder->key, finder->head_bytes + 8)));
		finder->placed = true;
		TRY(finder_next(finder));
	}
	*found = !finder->at_end && finder->at_id == id;
	*item = finder->item;
	return 0;
}

/* Visits the names that one moment holds; ids without one are moved to the front of missing, *missing_count of them. */
static int
visit_names(const struct moment *moment, struct tenant tenant, const uint64_t *ids, size_t n,
    index_name_visit_fn *visit, void *context, uint64_t *missing, size_t *missing_count)
{
	struct index *index = moment->index;
	struct item_cursor *cursor;
	struct id_finder finder;
	int rc = 0;

	*missing_count = 0;
	TRY(moment_cursor(moment, &cursor));
	id_finder_init(&finder, cursor, ROW_ID_TO_NAME, index->env.layout, tenant);
	for (size_t i = 0; i < n; i++) {
		struct bytes item, name;
		uint64_t id;
		bool found;

		TRY_GOTO(out, id_finder_find(&finder, ids[i], &item, &found));
		if (!found) {
			missing[(*missing_count)++] = ids[i];
			continue;
		}
		TRY_GOTO(out, row_parse_id_to_name(item, index->env.layout, index->root, &id, &name));
		TRY_GOTO(out, visit(context, id, name));
	}
out:
	item_cursor_delete(cursor);
	return rc;
}

int
index_names(struct index *index, struct tenant tenant, const uint64_t *metric_ids, size_t n, index_name_visit_fn *visit,
    void *context)
{
	uint64_t *missing = mem_array(index->env.mem, n, sizeof(*missing));
	size_t missing_count = n;
	int rc = 0;

	if (missing == NULL)
		return ERR_MEMORY;
	/* Ids that a search gave are on disk or sealed already; only when some are not found, what is staged is sealed for them. */
	for (unsigned seal = 0; seal < 2 && rc == 0 && missing_count > 0; seal++) {
		struct moment moment;

		rc = moment_take(index, seal == 1, &moment);
		if (rc != 0)
			break;
		rc = visit_names(&moment, tenant, seal == 0 ? metric_ids : missing, missing_count, visit, context,
		    missing, &missing_count);
		moment_release(&moment);
	}
	if (rc == 0)
		index->missing_names += missing_count;
	mem_free(index->env.mem, missing);
	return rc;
}

struct name_copy {
	struct buf *out;
	bool *found;
};

static int
copy_name(void *context, uint64_t metric_id, struct bytes stored_name)
{
	struct name_copy *copy = context;

	(void)metric_id;
	*copy->found = true;
	return buf_append(copy->out, stored_name.data, stored_name.len);
}

int
index_name(struct index *index, struct tenant tenant, uint64_t metric_id, struct buf *out, bool *found)
{
	struct name_copy copy = { .out = out, .found = found };

	*found = false;
	return index_names(index, tenant, &metric_id, 1, copy_name, &copy);
}
