/*
 * item_merge.c -- the merge of item parts as a state machine.
 * floor: index     uses: item_merge.h item_iter.h item_join.h     used by: item_job
 */
#include "index/item_merge.h"

#include "base/err.h"
#include "index/item_iter.h"
#include "index/item_join.h"

/* The clock is asked once per this many items: 32 of them take a few microseconds, a block that is closed among them 200. */
enum { ITEMS_PER_CHECK = 32 };

struct item_merge {
	struct mem *mem;
	struct item_tree *tree;
	struct item_join join;
	struct item_writer *writer; /* NULL: in memory */
	/* the in-memory part under construction */
	uint8_t *data;
	uint32_t *offsets;
	size_t data_bytes, data_room, count, count_room;
	bool started, popped, drained;
};

/* -- Sinks ------------------------------------------------------------------------------------------------------------ */

static int
sink_writer(void *context, struct bytes item)
{
	struct item_merge *merge = context;

	return item_writer_add(merge->writer, item);
}

/* Joining never makes more bytes or items than there were, so the room of the sources is enough. */
static int
sink_memory(void *context, struct bytes item)
{
	struct item_merge *merge = context;

	if (merge->count == merge->count_room || item.len > merge->data_room - merge->data_bytes)
		return ERR_BUG("merged items do not fit the room of their sources");
	merge->offsets[merge->count++] = (uint32_t)merge->data_bytes;
	memcpy(merge->data + merge->data_bytes, item.data, item.len);
	merge->data_bytes += item.len;
	return 0;
}

/* -- Life ------------------------------------------------------------------------------------------------------------- */

static int
create_room(struct item_merge *merge, struct item_part *const *parts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert(item_part_in_memory(parts[i]));
		merge->data_room += parts[i]->bytes;
		merge->count_room += parts[i]->items;
	}
	if (merge->data_room > UINT32_MAX || merge->count_room > UINT32_MAX)
		return ERR(ERR_LIMIT, "%zu bytes of items are too many for one part in memory", merge->data_room);
	merge->data = mem_alloc(merge->mem, merge->data_room + ITEM_SLACK_BYTES);
	merge->offsets = mem_array(merge->mem, merge->count_room + 1, sizeof(uint32_t));
	return merge->data == NULL || merge->offsets == NULL ? ERR_MEMORY : 0;
}

int
item_merge_create(const struct item_merge_options *options, struct item_part *const *parts, size_t count,
    struct item_merge **out)
{
	struct item_merge *merge = mem_zalloc(options->mem, sizeof(*merge));
	struct err_saved saved;
	int rc;

	if (merge == NULL)
		return ERR_MEMORY;
	merge->mem = options->mem;
	item_join_init(&merge->join, options->mem, options->tenant_bytes,
	    options->directory == NULL ? sink_memory : sink_writer, merge);
	rc = item_tree_create(options->mem, parts, count, false, &merge->tree);
	if (rc == 0 && options->directory == NULL)
		rc = create_room(merge, parts, count);
	if (rc == 0 && options->directory != NULL)
		rc = item_writer_create(options->io, options->mem, options->directory, options->level, &merge->writer);
	if (rc == 0) {
		*out = merge;
		return 0;
	}
	err_save(&saved);
	item_merge_delete(merge, false);
	return err_restore(&saved);
}

void
item_merge_delete(struct item_merge *merge, bool keep)
{
	if (merge == NULL)
		return;
	item_tree_delete(merge->tree);
	item_join_free(&merge->join);
	item_writer_delete(merge->writer, keep);
	mem_free(merge->mem, merge->data);
	mem_free(merge->mem, merge->offsets);
	mem_free(merge->mem, merge);
}

/* -- Steps ------------------------------------------------------------------------------------------------------------ */

static int
pull(struct item_merge *merge, const struct budget *budget)
{
	struct bytes item;
	uint32_t n = 0;

	if (!merge->started) {
		TRY(item_tree_start(merge->tree));
		merge->started = true;
	}
	while (item_tree_top(merge->tree, &item)) {
		if (!merge->popped || !item_tree_top_repeats(merge->tree))
			TRY(item_join_add(&merge->join, item));
		TRY(item_tree_pop(merge->tree));
		merge->popped = true;
		if (++n % ITEMS_PER_CHECK == 0 && budget_spent(budget))
			return 0;
	}
	TRY(item_join_finish(&merge->join));
	merge->drained = true;
	/* The fsyncs that follow take their time: no need to keep a block of every source meanwhile. */
	item_tree_delete(merge->tree);
	merge->tree = NULL;
	return 0;
}

int
item_merge_step(struct item_merge *merge, const struct budget *budget, bool *done)
{
	*done = false;
	if (!merge->drained) {
		TRY(pull(merge, budget));
		if (merge->drained && merge->writer == NULL)
			*done = true;
		return 0;
	}
	return item_writer_finish_step(merge->writer, done);
}

int
item_merge_take_part(struct item_merge *merge, struct item_part **out)
{
	uint8_t *data;
	uint32_t *offsets;

	assert(merge->drained && merge->writer == NULL);
	merge->offsets[merge->count] = (uint32_t)merge->data_bytes;
	memset(merge->data + merge->data_bytes, 0, ITEM_SLACK_BYTES);
	/* Joining saved room: give it back. A failure to shrink leaves the block as it is. */
	data = mem_realloc(merge->mem, merge->data, merge->data_bytes + ITEM_SLACK_BYTES);
	merge->data = data == NULL ? merge->data : data;
	offsets = mem_realloc(merge->mem, merge->offsets, (merge->count + 1) * sizeof(uint32_t));
	merge->offsets = offsets == NULL ? merge->offsets : offsets;
	data = merge->data;
	offsets = merge->offsets;
	merge->data = NULL;
	merge->offsets = NULL;
	return item_part_create_mem(merge->mem, data, offsets, merge->count, out);
}

void
item_merge_name(const struct item_merge *merge, struct item_part_name *out)
{
	item_writer_name(merge->writer, out);
}

uint64_t
item_merge_bytes(const struct item_merge *merge)
{
	return merge->writer == NULL ? 0 : item_writer_bytes(merge->writer);
}
