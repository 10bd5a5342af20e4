/*
 * index_moment.c -- what a reader holds: both generations as they are now, and the deleted ids.
 * floor: index     uses: index_private.h     used by: index
 */
#include "index/index_private.h"

int
moment_take(struct index *index, bool seal, struct moment *out)
{
	int rc = 0;

	*out = (struct moment){ .index = index };
	lock_take(&index->lock);
	if (seal)
		rc = index_seal_locked(index);
	if (rc == 0) {
		out->generations[0] = generation_hold(index->current);
		out->generations[1] = generation_hold(index->previous);
		out->deleted = index->deleted;
		out->deleted->refs++;
	}
	lock_release(&index->lock);
	for (unsigned i = 0; i < 2 && rc == 0; i++) {
		if (out->generations[i] != NULL)
			rc = item_table_view(out->generations[i]->table, &out->views[i]);
	}
	if (rc != 0)
		moment_release(out);
	return rc;
}

void
moment_release(struct moment *moment)
{
	for (unsigned i = 0; i < 2; i++) {
		if (moment->views[i] != NULL)
			item_view_release(moment->views[i]);
		generation_release(moment->generations[i]);
	}
	if (moment->deleted != NULL)
		index_deleted_release(moment->index, &moment->deleted->set);
	*moment = (struct moment){ 0 };
}

int
moment_cursor(const struct moment *moment, struct item_cursor **out)
{
	struct item_view *views[2];
	size_t n = 0;

	for (unsigned i = 0; i < 2; i++) {
		if (moment->views[i] != NULL)
			views[n++] = moment->views[i];
	}
	return item_cursor_create(moment->index->env.mem, views, n, out);
}

int
items_each(struct item_cursor *cursor, struct bytes prefix, item_visit_fn *visit, void *context)
{
	bool more = true;

	TRY(item_cursor_seek(cursor, prefix));
	while (more) {
		struct bytes item;
		bool found;

		TRY(item_cursor_next(cursor, &item, &found));
		if (!found || item.len < prefix.len || memcmp(item.data, prefix.data, prefix.len) != 0)
			return 0;
		TRY(visit(context, item, &more));
	}
	return 0;
}

int
index_each_tenant(struct item_cursor *cursor, enum layout layout, tenant_visit_fn *visit, void *context)
{
	uint64_t next = 0; /* tenants as one number, account in the high half */

	if (layout == LAYOUT_SINGLE)
		return visit(context, (struct tenant){ 0, 0 });
	for (;;) {
		uint8_t key[1 + TENANT_BYTES_MAX] = { ROW_ID_TO_TSID };
		struct bytes item;
		bool found;
		uint64_t tenant;

		put_u64(key + 1, next);
		TRY(item_cursor_seek(cursor, bytes_of(key, sizeof(key))));
		TRY(item_cursor_next(cursor, &item, &found));
		if (!found || item.len < sizeof(key) || item.data[0] != ROW_ID_TO_TSID)
			return 0;
		tenant = get_u64(item.data + 1);
		TRY(visit(context,
		    (struct tenant){ .account = (uint32_t)(tenant >> 32), .project = (uint32_t)tenant }));
		if (tenant == UINT64_MAX)
			return 0;
		next = tenant + 1;
	}
}
