/*
 * item_iter.h -- a position in one item part, and many of them merged.
 * floor: index     uses: item_part.h     used by: item_merge item_cursor
 *
 *   item_iter    one part: a window of items in memory (a whole in-memory part, or one block) and a position in it
 *   item_tree    k iterators in order: a tree of losers. Each candidate carries a code that tells where it first differs
 *                from the item that came out last, and by what; most comparisons are one of two integers, and the long
 *                common prefixes of an index are read once per item instead of once per comparison.
 *
 *      code = (OFFSET_MAX - bytes shared with the last item) << 40 | next 5 bytes      smaller comes first
 *
 *      Two candidates a, b with codes against the same item: the one that shares more with it is smaller. With the same
 *      share the next bytes decide; only when these are equal too, the items are compared, from that byte on.
 *      The loser's code then is made against the winner, because the winner comes out first.
 *
 * Invariants
 *  (1) item_tree_top is the smallest of all positions; among equal ones the iterator of the smallest number.
 *  (2) The bytes of the top are valid until item_tree_pop.
 * Errors     ERR_CORRUPTED, ERR_IO, ERR_MEMORY from loading blocks; after one, only seek, start or free are legal.
 * Ownership  iterators hold their part.
 * Threads    one thread at a time.
 */
#ifndef TSE_ITEM_ITER_H
#define TSE_ITEM_ITER_H

#include "index/item_part.h"

struct item_iter {
	struct item_part *part;
	struct item_scratch *scratch; /* shared by the iterators of one thread */
	bool cached;                  /* blocks through the cache (searches) or past it (merges) */
	/* the window */
	const uint8_t *data;
	const uint32_t *offsets;
	uint32_t position, count; /* position == count: at the end of the part */
	/* on disk */
	size_t row;
	uint32_t header; /* block within the index block */
	const struct item_index_block *index;
	struct cache_entry *index_entry, *block_entry;
	struct buf room; /* the block when not cached */
};

/* Takes a reference of the part. Positioned at the end. */
void item_iter_init(struct item_iter *iter, struct item_part *part, struct item_scratch *scratch, bool cached);
void item_iter_free(struct item_iter *iter);
NODISCARD int item_iter_start(struct item_iter *iter);
/* To the first item >= key. */
NODISCARD int item_iter_seek(struct item_iter *iter, struct bytes key);
/* To the next block's first item: what item_iter_next does at the end of a window. */
NODISCARD int item_iter_next_window(struct item_iter *iter);

static inline bool
item_iter_at_end(const struct item_iter *iter)
{
	return iter->position == iter->count;
}

static inline struct bytes
item_iter_item(const struct item_iter *iter)
{
	uint32_t start = iter->offsets[iter->position];

	return bytes_of(iter->data + start, iter->offsets[iter->position + 1] - start);
}

struct item_tree_leaf {
	const uint8_t *data;
	uint32_t len;
	uint64_t code; /* UINT64_MAX: at its end */
};

struct item_tree {
	struct mem *mem;
	struct item_iter *iters; /* count */
	struct item_tree_leaf *leaves;
	uint32_t *losers; /* [0]: the winner, [1..count): inner nodes */
	uint32_t *play;   /* working space of the first tournament */
	uint32_t count;
	struct item_scratch scratch;
	struct buf last; /* copy of an item whose block is left */
};

/* Iterators over parts, each held; call item_tree_start or item_tree_seek before reading. */
NODISCARD int item_tree_create(struct mem *mem, struct item_part *const *parts, size_t count, bool cached,
    struct item_tree **out);
void item_tree_delete(struct item_tree *tree); /* NULL is fine */
NODISCARD int item_tree_start(struct item_tree *tree);
NODISCARD int item_tree_seek(struct item_tree *tree, struct bytes key);
/* false: no more items. */
static inline bool
item_tree_top(const struct item_tree *tree, struct bytes *item)
{
	const struct item_tree_leaf *leaf = &tree->leaves[tree->losers[0]];

	if (tree->count == 0 || leaf->code == UINT64_MAX)
		return false;
	*item = bytes_of(leaf->data, leaf->len);
	return true;
}
/* Is the top equal to the item that was popped last? Only between pops, not after start or seek. */
bool item_tree_top_repeats(const struct item_tree *tree);
/* Moves on. There must be a top. */
NODISCARD int item_tree_pop(struct item_tree *tree);

#endif
