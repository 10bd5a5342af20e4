/*
 * crash_journal.c -- recording and replaying.
 * floor: base     uses: crash_journal.h err.h     used by: io_crash.c
 */
#include "base/crash_journal.h"

#include "base/err.h"

/* Subsets of so many operations are chosen by the bits of the seed: a test can walk through all of them. */
enum { CHOSEN_BY_BITS_MAX = 16 };

void
crash_journal_init(struct crash_journal *journal, struct mem *mem)
{
	*journal = (struct crash_journal){ .mem = mem };
}

static void
op_release(struct crash_op *op)
{
	crash_blob_release(op->name);
	crash_blob_release(op->name2);
	crash_blob_release(op->data);
}

void
crash_journal_free(struct crash_journal *journal)
{
	size_t i;

	for (i = 0; i < journal->count; i++)
		op_release(&journal->ops[i]);
	if (journal->ops != NULL)
		mem_free(journal->mem, journal->ops);
	if (journal->uncertain != NULL)
		mem_free(journal->mem, journal->uncertain);
	crash_journal_init(journal, journal->mem);
}

static bool
changes_names(const struct crash_op *op)
{
	return op->kind == CRASH_OP_CREATE || op->kind == CRASH_OP_RENAME || op->kind == CRASH_OP_REMOVE;
}

/* fsync of a directory makes certain what touched it, a rename also by its other directory: both are one change. */
static void
make_certain(struct crash_journal *journal, uint64_t dir)
{
	size_t i, kept = 0;

	for (i = 0; i < journal->uncertain_count; i++) {
		struct crash_op *op = &journal->ops[journal->uncertain[i]];

		if (op->dir == dir || (op->kind == CRASH_OP_RENAME && op->dir2 == dir))
			op->certain_at = journal->count;
		else
			journal->uncertain[kept++] = journal->uncertain[i];
	}
	journal->uncertain_count = kept;
}

/* Room for one more element of an array that doubles. */
static int
room_for_one(struct mem *mem, void **array, size_t count, size_t *room, size_t size)
{
	size_t wanted = *room < 64 ? 64 : *room * 2;
	void *grown;

	if (count < *room)
		return 0;
	grown = mem_realloc(mem, *array, wanted * size);
	if (grown == NULL)
		return ERR_MEMORY;
	*array = grown;
	*room = wanted;
	return 0;
}

int
crash_journal_add(struct crash_journal *journal, struct crash_op op)
{
	void *ops = journal->ops, *uncertain = journal->uncertain;
	int rc;

	op.certain_at = SIZE_MAX;
	rc = room_for_one(journal->mem, &ops, journal->count, &journal->room, sizeof(*journal->ops));
	journal->ops = ops;
	if (rc == 0) {
		rc = room_for_one(journal->mem, &uncertain, journal->uncertain_count, &journal->uncertain_room,
		    sizeof(*journal->uncertain));
		journal->uncertain = uncertain;
	}
	if (rc != 0) {
		op_release(&op);
		return rc;
	}
	if (op.kind == CRASH_OP_FSYNC_DIR)
		make_certain(journal, op.dir);
	if (changes_names(&op))
		journal->uncertain[journal->uncertain_count++] = journal->count;
	journal->ops[journal->count++] = op;
	return 0;
}

static bool
is_uncertain(const struct crash_op *op, size_t k)
{
	return changes_names(op) && op->certain_at >= k;
}

size_t
crash_journal_uncertain(const struct crash_journal *journal, size_t k)
{
	size_t i, n = 0;

	for (i = 0; i < k && i < journal->count; i++)
		n += is_uncertain(&journal->ops[i], k);
	return n;
}

/* -- Replaying ------------------------------------------------------------------------------------------------------ */

/* SplitMix64: the next number of a seeded sequence. */
static uint64_t
draw(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int
apply_create(struct crash_tree *tree, const struct crash_op *op, bool named)
{
	struct crash_node *dir = crash_tree_node(tree, op->dir), *node;

	if (op->is_new) {
		TRY(crash_tree_add(tree, op->node, op->type, &node));
		if (op->data != NULL)
			node->target = crash_blob_hold(op->data);
	}
	return named ? crash_node_set(tree, dir, op->name, op->node) : 0;
}

/* The old name goes when it still leads to the node; under the weak model it may never have been there. */
static int
apply_rename(struct crash_tree *tree, const struct crash_op *op)
{
	struct crash_node *from = crash_tree_node(tree, op->dir);
	struct crash_entry *entry = crash_node_find(from, crash_blob_text(op->name), op->name->len);

	if (op->type == IO_TYPE_DIRECTORY)
		crash_tree_unlink_everywhere(tree, op->node);
	else if (entry != NULL && entry->id == op->node)
		crash_node_remove(tree, from, crash_blob_text(op->name), op->name->len);
	return crash_node_set(tree, crash_tree_node(tree, op->dir2), op->name2, op->node);
}

static void
apply_remove(struct crash_tree *tree, const struct crash_op *op)
{
	struct crash_node *dir = crash_tree_node(tree, op->dir);
	struct crash_entry *entry = crash_node_find(dir, crash_blob_text(op->name), op->name->len);

	if (entry != NULL && entry->id == op->node)
		crash_node_remove(tree, dir, crash_blob_text(op->name), op->name->len);
}

static int
apply(struct crash_tree *tree, const struct crash_op *op, bool named)
{
	struct crash_node *node = crash_tree_node(tree, op->node);

	switch (op->kind) {
	case CRASH_OP_CREATE: return apply_create(tree, op, named);
	case CRASH_OP_RENAME: return named ? apply_rename(tree, op) : 0;
	case CRASH_OP_REMOVE:
		if (named)
			apply_remove(tree, op);
		return 0;
	case CRASH_OP_TRUNCATE: crash_node_truncate(node); return 0;
	case CRASH_OP_WRITE: return crash_node_write(tree, node, op->data);
	case CRASH_OP_FSYNC: node->synced = node->size; return 0;
	case CRASH_OP_LOSE: crash_node_settle(node, CRASH_DATA_ZEROED); return 0;
	case CRASH_OP_FSYNC_DIR:
	case CRASH_OP_MARK: return 0;
	}
	return 0;
}

int
crash_journal_apply(struct crash_tree *tree, const struct crash_op *op)
{
	return apply(tree, op, true);
}

int
crash_journal_state(const struct crash_journal *journal, const struct crash_tree *base, size_t k,
    const struct crash_choice *choice, struct crash_tree *out)
{
	bool weak = choice->model == CRASH_WEAK, by_bits = false;
	uint64_t random = choice->seed;
	size_t i, uncertain = 0;
	int rc = 0;

	if (weak)
		by_bits = crash_journal_uncertain(journal, k) <= CHOSEN_BY_BITS_MAX;
	TRY(crash_tree_copy(base, out));
	for (i = 0; i < k && i < journal->count && rc == 0; i++) {
		const struct crash_op *op = &journal->ops[i];
		bool named = true;

		if (weak && is_uncertain(op, k)) {
			named = by_bits ? (choice->seed >> uncertain) & 1 : draw(&random) & 1;
			uncertain++;
		}
		rc = apply(out, op, named);
	}
	if (rc != 0) {
		crash_tree_free(out);
		return rc;
	}
	for (i = 0; i < out->count; i++)
		if (out->nodes[i] != NULL)
			crash_node_settle(out->nodes[i], weak ? (enum crash_data)(draw(&random) & 3) : choice->data);
	return 0;
}

const char *
crash_op_word(enum crash_op_kind kind)
{
	static const char *const words[] = {
		[CRASH_OP_CREATE] = "create",
		[CRASH_OP_RENAME] = "rename",
		[CRASH_OP_REMOVE] = "remove",
		[CRASH_OP_TRUNCATE] = "truncate",
		[CRASH_OP_WRITE] = "write",
		[CRASH_OP_FSYNC] = "fsync",
		[CRASH_OP_FSYNC_DIR] = "fsync dir",
		[CRASH_OP_LOSE] = "lose",
		[CRASH_OP_MARK] = "mark",
	};

	return (size_t)kind < ARRAY_LENGTH(words) ? words[kind] : "unknown";
}
