/*
 * item_tree.c -- many positions merged: a tree of losers with codes (see the drawing in item_iter.h).
 * floor: index     uses: item_iter.h     used by: item_merge item_cursor
 */
#include "base/err.h"
#include "codec/varint.h"
#include "index/item_iter.h"

/* 24 bits hold the share of any two items; the rest holds the next 5 bytes. */
#define OFFSET_MAX  UINT64_C(0xfffffe)
#define VALUE_BITS  40
#define VALUE_BYTES 5

/* The 5 bytes from `at` on, zeros behind the end. May read 8 bytes: items in memory have slack. */
static inline uint64_t
value_at(const uint8_t *data, uint32_t len, uint32_t at)
{
	uint32_t rest = len - at;
	uint64_t v;

	if (rest == 0)
		return 0;
	v = get_u64(data + at);
	if (rest < VALUE_BYTES)
		v &= ~UINT64_C(0) << (64 - 8 * rest);
	return v >> (64 - VALUE_BITS);
}

static inline uint64_t
code_of(const uint8_t *data, uint32_t len, uint32_t shared)
{
	return (OFFSET_MAX - shared) << VALUE_BITS | value_at(data, len, shared);
}

static inline uint32_t
shared_of(uint64_t code)
{
	return (uint32_t)(OFFSET_MAX - (code >> VALUE_BITS));
}

/* Both share the same with the last item, and the next 5 bytes too: the items tell. The loser's code is made anew. */
static uint32_t
play_items(struct item_tree_leaf *leaves, uint32_t a, uint32_t b)
{
	struct item_tree_leaf *x = &leaves[a], *y = &leaves[b];
	uint32_t shared = (uint32_t)item_common_prefix(x->data, x->len, y->data, y->len, shared_of(x->code));
	bool a_wins;

	if (shared == x->len || shared == y->len)
		a_wins = x->len < y->len || (x->len == y->len && a < b);
	else
		a_wins = x->data[shared] < y->data[shared];
	if (a_wins) {
		y->code = code_of(y->data, y->len, shared);
		return a;
	}
	x->code = code_of(x->data, x->len, shared);
	return b;
}

/* The same share, different next bytes: those decide, and tell how much more the loser shares with the winner. */
static inline void
recode_loser(struct item_tree_leaf *loser, const struct item_tree_leaf *winner)
{
	uint32_t same = (uint32_t)__builtin_clzll((loser->code ^ winner->code) << (64 - VALUE_BITS)) / 8;
	uint32_t shared = shared_of(loser->code) + same;

	/* Zeros behind an end look like bytes. */
	shared = shared > winner->len ? winner->len : shared;
	shared = shared > loser->len ? loser->len : shared;
	loser->code = code_of(loser->data, loser->len, shared);
}

/* The winner of two leaves; the loser's code is against it afterwards. */
static inline uint32_t
play(struct item_tree_leaf *leaves, uint32_t a, uint32_t b)
{
	uint64_t x = leaves[a].code, y = leaves[b].code;

	if (x == y && x != UINT64_MAX)
		return play_items(leaves, a, b);
	/* Different shares: the loser shares with the winner what it shared with the last item. */
	if ((x ^ y) >> VALUE_BITS == 0 && x != y)
		recode_loser(x < y ? &leaves[b] : &leaves[a], x < y ? &leaves[a] : &leaves[b]);
	return x < y || (x == y && a < b) ? a : b;
}

/* -- Life ------------------------------------------------------------------------------------------------------------- */

static int
create_arrays(struct item_tree *tree, size_t count)
{
	tree->iters = mem_array(tree->mem, count + 1, sizeof(*tree->iters));
	tree->leaves = mem_array(tree->mem, count + 1, sizeof(*tree->leaves));
	tree->losers = mem_array(tree->mem, count + 1, sizeof(*tree->losers));
	tree->play = mem_array(tree->mem, 2 * count + 1, sizeof(*tree->play));
	if (tree->iters == NULL || tree->leaves == NULL || tree->losers == NULL || tree->play == NULL)
		return ERR_MEMORY;
	tree->losers[0] = 0;
	tree->leaves[0].code = UINT64_MAX;
	return 0;
}

int
item_tree_create(struct mem *mem, struct item_part *const *parts, size_t count, bool cached, struct item_tree **out)
{
	struct item_tree *tree = mem_zalloc(mem, sizeof(*tree));
	int rc;

	if (tree == NULL)
		return ERR_MEMORY;
	tree->mem = mem;
	buf_init(&tree->last, mem);
	item_scratch_init(&tree->scratch, mem);
	rc = create_arrays(tree, count);
	if (rc != 0) {
		item_tree_delete(tree);
		return rc;
	}
	for (; tree->count < count; tree->count++)
		item_iter_init(&tree->iters[tree->count], parts[tree->count], &tree->scratch, cached);
	*out = tree;
	return 0;
}

void
item_tree_delete(struct item_tree *tree)
{
	if (tree == NULL)
		return;
	for (uint32_t i = 0; i < tree->count; i++)
		item_iter_free(&tree->iters[i]);
	item_scratch_free(&tree->scratch);
	buf_free(&tree->last);
	mem_free(tree->mem, tree->iters);
	mem_free(tree->mem, tree->leaves);
	mem_free(tree->mem, tree->losers);
	mem_free(tree->mem, tree->play);
	mem_free(tree->mem, tree);
}

/* -- Playing ---------------------------------------------------------------------------------------------------------- */

static void
load_leaf(struct item_tree *tree, uint32_t i)
{
	struct item_tree_leaf *leaf = &tree->leaves[i];
	struct bytes item;

	if (item_iter_at_end(&tree->iters[i])) {
		leaf->code = UINT64_MAX;
		return;
	}
	item = item_iter_item(&tree->iters[i]);
	leaf->data = item.data;
	leaf->len = (uint32_t)item.len;
}

/* The first tournament: all codes against the empty item. Leaf i is node count + i, its parent is node / 2. */
static void
play_all(struct item_tree *tree)
{
	uint32_t n = tree->count;
	uint32_t *winners = tree->play;

	for (uint32_t i = 0; i < n; i++) {
		load_leaf(tree, i);
		if (!item_iter_at_end(&tree->iters[i]))
			tree->leaves[i].code = code_of(tree->leaves[i].data, tree->leaves[i].len, 0);
		winners[n + i] = i;
	}
	for (uint32_t node = n; --node > 0;) {
		uint32_t a = winners[2 * node], b = winners[2 * node + 1];

		winners[node] = play(tree->leaves, a, b);
		tree->losers[node] = winners[node] == a ? b : a;
	}
	tree->losers[0] = n == 1 ? 0 : winners[1];
}

int
item_tree_start(struct item_tree *tree)
{
	for (uint32_t i = 0; i < tree->count; i++)
		TRY(item_iter_start(&tree->iters[i]));
	if (tree->count > 0)
		play_all(tree);
	return 0;
}

int
item_tree_seek(struct item_tree *tree, struct bytes key)
{
	for (uint32_t i = 0; i < tree->count; i++)
		TRY(item_iter_seek(&tree->iters[i], key));
	if (tree->count > 0)
		play_all(tree);
	return 0;
}

bool
item_tree_top_repeats(const struct item_tree *tree)
{
	const struct item_tree_leaf *leaf = &tree->leaves[tree->losers[0]];

	/* It shares all its bytes with the last item, and it is not smaller: the last item cannot be longer. */
	return shared_of(leaf->code) == leaf->len;
}

/* The next item of the winner's iterator; its code against the item that just came out. */
static int
advance(struct item_tree *tree, uint32_t winner)
{
	struct item_iter *iter = &tree->iters[winner];
	struct item_tree_leaf *leaf = &tree->leaves[winner];
	const uint8_t *before = leaf->data;
	uint32_t before_len = leaf->len, shared;

	iter->position++;
	if (UNLIKELY(item_iter_at_end(iter)) && !item_part_in_memory(iter->part)) {
		/* The block goes away under the item the others are coded against. */
		buf_reset(&tree->last);
		TRY(buf_append(&tree->last, before, before_len));
		before = tree->last.data;
		TRY(item_iter_next_window(iter));
	}
	load_leaf(tree, winner);
	if (leaf->code == UINT64_MAX)
		return 0;
	shared = (uint32_t)item_common_prefix(before, before_len, leaf->data, leaf->len, 0);
	leaf->code = code_of(leaf->data, leaf->len, shared);
	return 0;
}

int
item_tree_pop(struct item_tree *tree)
{
	uint32_t winner = tree->losers[0];
	uint32_t n = tree->count;

	assert(tree->leaves[winner].code != UINT64_MAX);
	TRY(advance(tree, winner));
	for (uint32_t node = (n + winner) / 2; node > 0; node /= 2) {
		uint32_t other = tree->losers[node];
		uint32_t best = play(tree->leaves, winner, other);

		if (best != winner) {
			tree->losers[node] = winner;
			winner = best;
		}
	}
	tree->losers[0] = winner;
	return 0;
}
