/*
 * item_cursor.c -- searching views of item tables: one merged, ascending order over all their parts.
 * floor: index     uses: item_table_inner.h item_iter.h     used by: index
 */
#include "base/err.h"
#include "index/item_iter.h"
#include "index/item_table_inner.h"

struct item_cursor {
	struct mem *mem;
	struct item_tree *tree;
	bool taken; /* the top was handed out: the next call moves on first, so that its bytes stay valid until then */
};

int
item_cursor_create(struct mem *mem, struct item_view *const *views, size_t n, struct item_cursor **out)
{
	struct item_cursor *cursor;
	struct item_part **parts;
	size_t count = 0, room = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		room += views[i]->count;
	cursor = mem_zalloc(mem, sizeof(*cursor));
	parts = mem_array(mem, room, sizeof(*parts));
	if (cursor == NULL || parts == NULL) {
		mem_free(mem, cursor);
		mem_free(mem, parts);
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < views[i]->count; j++)
			parts[count++] = views[i]->parts[j];
	}
	cursor->mem = mem;
	rc = item_tree_create(mem, parts, count, true, &cursor->tree);
	mem_free(mem, parts);
	if (rc != 0) {
		mem_free(mem, cursor);
		return rc;
	}
	*out = cursor;
	return 0;
}

void
item_cursor_delete(struct item_cursor *cursor)
{
	if (cursor == NULL)
		return;
	item_tree_delete(cursor->tree);
	mem_free(cursor->mem, cursor);
}

int
item_cursor_seek(struct item_cursor *cursor, struct bytes key)
{
	cursor->taken = false;
	return item_tree_seek(cursor->tree, key);
}

int
item_cursor_next(struct item_cursor *cursor, struct bytes *item, bool *found)
{
	if (cursor->taken) {
		cursor->taken = false;
		TRY(item_tree_pop(cursor->tree));
	}
	*found = cursor->taken = item_tree_top(cursor->tree, item);
	return 0;
}

int
item_cursor_first_with_prefix(struct item_cursor *cursor, struct bytes prefix, struct bytes *item, bool *found)
{
	TRY(item_cursor_seek(cursor, prefix));
	TRY(item_cursor_next(cursor, item, found));
	*found = *found && item->len >= prefix.len && memcmp(item->data, prefix.data, prefix.len) == 0;
	return 0;
}
