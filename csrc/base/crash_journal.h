/*
 * crash_journal.h -- the operations that changed a file system, and what a crash before any of them may leave.
 * floor: base     uses: crash_tree.h     used by: io_crash.c
 *
 * A state is the tree from which the journal starts, with operations 0..k-1 applied under one of two models:
 *
 *   ordered   what ext4, XFS and btrfs do: names change in order, so all k operations are seen. A crash that loses the
 *             last names shows the same state as an earlier k.
 *   weak      what POSIX promises: an operation on names is certain only when one of its directories was fsynced after
 *             it; of the others any subset is seen. A rename is one operation: both of its names or none.
 *
 * In both, bytes that were not fsynced are full, lost, zeroed or half there.
 *
 * Errors     ERR_MEMORY.
 * Threads    one at a time.
 */
#ifndef TSE_CRASH_JOURNAL_H
#define TSE_CRASH_JOURNAL_H

#include "base/crash_tree.h"

enum crash_op_kind {
	CRASH_OP_CREATE, /* a file, a directory, a symlink or one more name of a file: dir/name -> node */
	CRASH_OP_RENAME, /* dir/name -> dir2/name2 */
	CRASH_OP_REMOVE, /* dir/name */
	CRASH_OP_TRUNCATE,
	CRASH_OP_WRITE,
	CRASH_OP_FSYNC,
	CRASH_OP_FSYNC_DIR, /* dir */
	CRASH_OP_LOSE,      /* a failed fsync threw away the unsynced bytes */
	CRASH_OP_MARK,      /* the test's: number and text */
};

struct crash_op {
	enum crash_op_kind kind;
	enum io_type type; /* CREATE: of the node */
	bool is_new;       /* CREATE: the node is made by it, not another name */
	uint64_t node, dir, dir2;
	struct crash_blob *name, *name2;
	struct crash_blob *data; /* WRITE: bytes; CREATE: target of a symlink; MARK: text */
	uint64_t number;         /* MARK */
	size_t certain_at;       /* names: the operation that made it certain; SIZE_MAX: none yet */
};

struct crash_journal {
	struct mem *mem;
	struct crash_op *ops;
	size_t count, room;
	size_t *uncertain; /* operations on names that no fsync covers yet, ascending */
	size_t uncertain_count, uncertain_room;
};

enum crash_model { CRASH_ORDERED, CRASH_WEAK };

struct crash_choice {
	enum crash_model model;
	enum crash_data data; /* ordered: of all files */
	uint64_t
	    seed; /* weak: bit i keeps the i-th uncertain operation when there are at most 16, else drawn; data drawn */
};

void crash_journal_init(struct crash_journal *journal, struct mem *mem);
void crash_journal_free(struct crash_journal *journal);
/* Takes over the blobs of op, also on failure. */
NODISCARD int crash_journal_add(struct crash_journal *journal, struct crash_op op);
/* Does an operation to a tree, as if nothing were lost. */
NODISCARD int crash_journal_apply(struct crash_tree *tree, const struct crash_op *op);
/* Operations on names among the first k that are uncertain before operation k. */
size_t crash_journal_uncertain(const struct crash_journal *journal, size_t k);
/* The tree that a crash before operation k leaves; everything in it counts as durable. */
NODISCARD int crash_journal_state(const struct crash_journal *journal, const struct crash_tree *base, size_t k,
    const struct crash_choice *choice, struct crash_tree *out);
/* The kind in words: "create", "rename", ... */
const char *crash_op_word(enum crash_op_kind kind);

#endif
