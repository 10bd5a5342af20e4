/*
 * txn.h -- transaction files: many parts are replaced by one, or by none, in a single step that survives a crash.
 * floor: base     uses: io.h log.h     used by: table/publish, table/recover, index/item_table
 *
 *   root                a partition's directory in one tree, or an index table's directory
 *     txn/<16 hex>      text: absolute paths of the parts to remove, one per line, then "<temporary> -> <final>" or "<temporary> -> "
 *     tmp/<16 hex>      the new part, complete and fsynced
 *     <part>            parts that are seen
 *
 * The paths in a file are those of the machine that wrote it. They are recognised by their last components: a root with
 * the tail "small/2026_11" owns .../small/2026_11/<part> and .../small/2026_11/tmp/<16 hex>; so a directory that was
 * moved or copied with a pending transaction opens. Anything else in a file is an error that names the file, and
 * nothing is done.
 *
 * Invariants
 *  (1) txn_write returning 0 is the commit point: from then on every crash ends in the new state.
 *  (2) A transaction may run any number of times, also after it was interrupted anywhere.
 *  (3) A part that vanishes is renamed into tmp/ first: nobody ever sees half a part.
 *  (4) The file goes away only after both the removals and the new name are durable.
 * Errors     ERR_CORRUPTED for a file that cannot be understood; ERR_IO, ERR_NOSPACE, ERR_MEMORY. After a failure of
 *            txn_run_file the disk is in between: the owner must stop writing until it is opened again.
 * Threads    one at a time for one root.
 */
#ifndef TSE_TXN_H
#define TSE_TXN_H

#include "base/io.h"
#include "base/log.h"

struct txn_root {
	const char *path; /* where it really is, e.g. "data/small/2026_11" */
	const char *tail; /* the components that identify it, e.g. "small/2026_11"; for an index table "<generation>" */
};

/* What a transaction may touch. */
struct txn_place {
	struct io *io;
	struct mem *mem;
	struct log *log; /* told about trash that could not be deleted; may be NULL */
	const struct txn_root *roots;
	size_t roots_count;
};

/* A part: roots[root].path/<name>. */
struct txn_part {
	size_t root;
	const char *name;
};

/* One transaction read back; the texts belong to it. */
struct txn {
	struct mem *mem;
	char *path; /* of the file */
	struct txn_part *removes;
	size_t removes_count;
	struct txn_part from; /* name is that in tmp/, 16 hex digits */
	struct txn_part to;   /* name NULL: the temporary part is deleted */
	char *text;           /* what the names point into */
};

struct txn_list {
	struct txn *items; /* ascending by file name, which is the order to apply them in */
	size_t count;
	struct mem *mem;
};

/*
 * Writes roots[root].path/txn/<id> durably. to.name NULL: nothing is left. On failure *pending tells whether the file
 * may be there all the same (its directory could not be fsynced): then the temporary part must not be deleted, and the
 * owner must stop writing until it is opened again. Otherwise nothing happened.
 */
NODISCARD int txn_write(const struct txn_place *place, size_t root, uint64_t id, const struct txn_part *removes,
    size_t removes_count, uint64_t from_id, size_t from_root, struct txn_part to, bool *pending);

/* Runs roots[root].path/txn/<id>: removals, new name, fsyncs, then the file itself and the trash are deleted. */
NODISCARD int txn_run_file(const struct txn_place *place, size_t root, uint64_t id);
/* Runs what is in roots[root].path/txn in ascending order; names ending in .tmp.<digits> are skipped. Missing: fine. */
NODISCARD int txn_run_dir(const struct txn_place *place, size_t root);

/* The parsed transactions of roots[root].path/txn, for those who may change nothing. Missing: an empty list. */
NODISCARD int txn_read_dir(const struct txn_place *place, size_t root, struct txn_list *out);
/* Reads and resolves one file given by path. */
NODISCARD int txn_read_file(const struct txn_place *place, const char *path, struct txn *out);
void txn_free(struct txn *txn);
void txn_list_free(struct txn_list *list);

/* Is this how io_write_file_atomic names unfinished files: <anything>.tmp.<digits>? Readers skip them. */
bool txn_is_unfinished(const char *name);

/*
 * One part vanishes without a transaction: renamed to roots[root].path/tmp/<id>.removed, the root fsynced, then deleted.
 * After the rename it counts as gone: what cannot be deleted then is logged, and deleted by the next open.
 */
NODISCARD int txn_remove_part(const struct txn_place *place, struct txn_part part, uint64_t id);
/* Makes tmp/ and txn/ of a root empty and present, durably: after the transactions ran, before parts are opened. */
NODISCARD int txn_reset_root(const struct txn_place *place, size_t root);

#endif
