/*
 * item_iter.c -- positions in one item part: windows, seeking.
 * floor: index     uses: item_iter.h     used by: item_tree item_merge item_cursor
 *
 * A seek looks at the window it stands in first: cursors of sorted keys stay there most of the time.
 */
#include "index/item_iter.h"

#include "base/err.h"

void
item_iter_init(struct item_iter *iter, struct item_part *part, struct item_scratch *scratch, bool cached)
{
	*iter = (struct item_iter){ .part = part, .scratch = scratch, .cached = cached };
	item_part_ref(part);
	buf_init(&iter->room, part->mem);
	if (item_part_in_memory(part)) {
		iter->data = part->data;
		iter->offsets = part->offsets;
		iter->count = iter->position = (uint32_t)part->items;
	}
}

static void
drop_block(struct item_iter *iter)
{
	cache_release(iter->part->cache, iter->block_entry);
	iter->block_entry = NULL;
	iter->data = NULL;
	iter->position = iter->count = 0;
}

static void
drop_index(struct item_iter *iter)
{
	cache_release(iter->part->cache, iter->index_entry);
	iter->index_entry = NULL;
	iter->index = NULL;
}

void
item_iter_free(struct item_iter *iter)
{
	if (iter->part == NULL)
		return;
	if (!item_part_in_memory(iter->part)) {
		drop_block(iter);
		drop_index(iter);
	}
	buf_free(&iter->room);
	item_part_unref(iter->part);
	iter->part = NULL;
}

/* -- Windows ---------------------------------------------------------------------------------------------------------- */

static int
load_index(struct item_iter *iter, size_t row)
{
	if (iter->index_entry != NULL && iter->row == row)
		return 0;
	drop_index(iter);
	iter->row = row;
	TRY(item_part_index_block(iter->part, row, iter->scratch, &iter->index_entry));
	iter->index = (const struct item_index_block *)iter->index_entry->data;
	return 0;
}

/* Block `header` of the loaded index block becomes the window, positioned at its first item. */
static int
load_block(struct item_iter *iter, uint32_t header)
{
	const struct item_block_header *h = &iter->index->headers[header];
	uint64_t number = iter->part->metaindex[iter->row].first_block + header;
	const struct item_block *block;

	drop_block(iter);
	iter->header = header;
	if (iter->cached) {
		TRY(item_part_block(iter->part, number, h, iter->scratch, &iter->block_entry));
		block = (const struct item_block *)iter->block_entry->data;
	} else {
		TRY(item_part_read_block(iter->part, number, h, iter->scratch, &iter->room));
		block = (const struct item_block *)iter->room.data;
	}
	iter->data = item_block_data(block);
	iter->offsets = block->offsets;
	iter->count = block->count;
	iter->position = 0;
	return 0;
}

int
item_iter_start(struct item_iter *iter)
{
	if (item_part_in_memory(iter->part)) {
		iter->position = 0;
		return 0;
	}
	TRY(load_index(iter, 0));
	return load_block(iter, 0);
}

int
item_iter_next_window(struct item_iter *iter)
{
	if (item_part_in_memory(iter->part))
		return 0;
	if (iter->index == NULL)
		return 0;
	if (iter->header + 1 < iter->index->count)
		return load_block(iter, iter->header + 1);
	if (iter->row + 1 == iter->part->metaindex_count) {
		drop_block(iter);
		return 0;
	}
	TRY(load_index(iter, iter->row + 1));
	return load_block(iter, 0);
}

/* -- Seeking ---------------------------------------------------------------------------------------------------------- */

static inline struct bytes
window_item(const struct item_iter *iter, uint32_t i)
{
	return bytes_of(iter->data + iter->offsets[i], iter->offsets[i + 1] - iter->offsets[i]);
}

/* First of [from, to) that is >= key, or to. */
static uint32_t
window_bound(const struct item_iter *iter, struct bytes key, uint32_t from, uint32_t to)
{
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (bytes_compare(window_item(iter, middle), key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* As window_bound over [from, count), cheap when the answer is near: steps of 1, 2, 4 ... then halves. */
static uint32_t
window_gallop(const struct item_iter *iter, struct bytes key, uint32_t from)
{
	uint32_t step = 1;

	while (from < iter->count) {
		uint32_t probe = iter->count - from <= step ? iter->count - 1 : from + step - 1;

		if (bytes_compare(window_item(iter, probe), key) >= 0)
			return window_bound(iter, key, from, probe);
		from = probe + 1;
		step *= 2;
	}
	return from;
}

/* The answer lies in the window when key is greater than its first item and not greater than its last. */
static bool
seek_in_window(struct item_iter *iter, struct bytes key)
{
	if (iter->data == NULL || iter->count == 0)
		return false;
	if (iter->position < iter->count && bytes_compare(window_item(iter, iter->position), key) < 0) {
		if (bytes_compare(window_item(iter, iter->count - 1), key) < 0)
			return false;
		iter->position = window_gallop(iter, key, iter->position + 1);
		return true;
	}
	if (bytes_compare(window_item(iter, 0), key) >= 0 || bytes_compare(window_item(iter, iter->count - 1), key) < 0)
		return false;
	iter->position = window_bound(iter, key, 1, iter->position < iter->count ? iter->position : iter->count);
	return true;
}

/* The last row whose first item is smaller than key, or the first row: equal items may lie in the block before. */
static size_t
find_row(const struct item_part *part, struct bytes key)
{
	size_t from = 0, to = part->metaindex_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (bytes_compare(part->metaindex[middle].first, key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from == 0 ? 0 : from - 1;
}

static uint32_t
find_header(const struct item_index_block *index, struct bytes key)
{
	uint32_t from = 0, to = index->count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (bytes_compare(index->headers[middle].first_item, key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from == 0 ? 0 : from - 1;
}

int
item_iter_seek(struct item_iter *iter, struct bytes key)
{
	struct item_part *part = iter->part;

	if (seek_in_window(iter, key))
		return 0;
	if (item_part_in_memory(part)) {
		iter->position = window_bound(iter, key, 0, iter->count);
		return 0;
	}
	if (bytes_compare(key, part->last) > 0) {
		drop_block(iter);
		return 0;
	}
	TRY(load_index(iter, find_row(part, key)));
	TRY(load_block(iter, find_header(iter->index, key)));
	iter->position = window_bound(iter, key, 0, iter->count);
	return item_iter_at_end(iter) ? item_iter_next_window(iter) : 0;
}
