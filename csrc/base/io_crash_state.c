/*
 * io_crash_state.c -- states after a crash, the journal as a test sees it, and damage on purpose.
 * floor: base     uses: io_crash.h crash_io.h crash_walk.h err.h     used by: spec/crash, spec/fault, simulation
 */
#include "base/io_crash.h"

#include <errno.h>
#include <inttypes.h>

#include "base/crash_io.h"
#include "base/crash_walk.h"
#include "base/err.h"

/* -- States --------------------------------------------------------------------------------------------------------- */

int
crash_io_rebase(struct crash_io *io)
{
	struct crash_tree base;
	size_t i;

	for (i = 0; i < io->live.count; i++)
		if (io->live.nodes[i] != NULL)
			crash_node_settle(io->live.nodes[i], CRASH_DATA_FULL);
	TRY(crash_tree_copy(&io->live, &base));
	crash_tree_free(&io->base);
	io->base = base;
	crash_journal_free(&io->journal);
	return 0;
}

int
io_crash_checkpoint(struct io *io)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = crash_io_rebase(crash_io_of(io));
	lock_release(&crash_io_of(io)->lock);
	return rc;
}

int
io_crash_state(struct io *io, size_t k, const struct crash_choice *choice, struct io **out)
{
	struct crash_io *from = crash_io_of(io), *to;
	int rc;

	*out = NULL;
	TRY(crash_io_new(io->mem, &to));
	lock_take(&from->lock);
	rc = crash_journal_state(&from->journal, &from->base, k, choice, &to->live);
	to->free_bytes = from->free_bytes;
	lock_release(&from->lock);
	if (rc == 0)
		rc = crash_io_rebase(to);
	if (rc != 0) {
		io_destroy(&to->io);
		return rc;
	}
	*out = &to->io;
	return 0;
}

/* -- Looking in ----------------------------------------------------------------------------------------------------- */

size_t
io_crash_ops_count(struct io *io)
{
	return crash_io_of(io)->journal.count;
}

const struct crash_journal *
io_crash_journal(struct io *io)
{
	return &crash_io_of(io)->journal;
}

int
io_crash_describe(struct io *io, size_t index, struct buf *out)
{
	struct crash_io *crash = crash_io_of(io);
	const struct crash_op *op;
	int rc;

	buf_reset(out);
	if (index >= crash->journal.count)
		return ERR(ERR_RANGE, "there is no operation %zu, only %zu", index, crash->journal.count);
	op = &crash->journal.ops[index];
	rc = buf_printf(out, "%s", crash_op_word(op->kind));
	if (rc == 0 && op->name != NULL) {
		rc = buf_append_text(out, " ");
		if (rc == 0)
			rc = crash_tree_path(&crash->live, op->dir, out);
		if (rc == 0)
			rc = buf_printf(out, "/%s", crash_blob_text(op->name));
	}
	if (rc == 0 && op->name2 != NULL) {
		rc = buf_append_text(out, " -> ");
		if (rc == 0)
			rc = crash_tree_path(&crash->live, op->dir2, out);
		if (rc == 0)
			rc = buf_printf(out, "/%s", crash_blob_text(op->name2));
	}
	if (rc == 0 && op->name == NULL && op->kind != CRASH_OP_MARK) {
		rc = buf_append_text(out, " ");
		if (rc == 0)
			rc = crash_tree_path(&crash->live, op->kind == CRASH_OP_FSYNC_DIR ? op->dir : op->node, out);
	}
	if (rc == 0 && op->kind == CRASH_OP_WRITE)
		rc = buf_printf(out, " %zu bytes", op->data->len);
	if (rc == 0 && op->kind == CRASH_OP_MARK)
		rc = buf_printf(out, " %" PRIu64 " %s", op->number, op->data == NULL ? "" : crash_blob_text(op->data));
	return rc != 0 ? rc : buf_append_u8(out, 0);
}

size_t
io_crash_uncertain(struct io *io, size_t k)
{
	return crash_journal_uncertain(&crash_io_of(io)->journal, k);
}

uint64_t
io_crash_fingerprint(struct io *io)
{
	return crash_tree_fingerprint(&crash_io_of(io)->live);
}

int
io_crash_mark(struct io *io, uint64_t number, const char *text)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_op op = { .kind = CRASH_OP_MARK, .number = number };
	int rc;

	if (text != NULL)
		TRY(crash_blob_new(io->mem, text, strlen(text), &op.data));
	lock_take(&crash->lock);
	rc = crash_io_record(crash, op);
	lock_release(&crash->lock);
	return rc;
}

void
io_crash_last_mark(struct io *io, size_t k, const char *text, uint64_t *number, bool *found)
{
	const struct crash_journal *journal = &crash_io_of(io)->journal;
	size_t i = k < journal->count ? k : journal->count;

	*found = false;
	while (i-- > 0) {
		const struct crash_op *op = &journal->ops[i];

		if (op->kind != CRASH_OP_MARK)
			continue;
		if (text != NULL && (op->data == NULL || strcmp(crash_blob_text(op->data), text) != 0))
			continue;
		*number = op->number;
		*found = true;
		return;
	}
}

/* -- Damage --------------------------------------------------------------------------------------------------------- */

void
io_crash_set_free_space(struct io *io, uint64_t bytes)
{
	lock_take(&crash_io_of(io)->lock);
	crash_io_of(io)->free_bytes = bytes;
	lock_release(&crash_io_of(io)->lock);
}

int
io_crash_lose_unsynced(struct io *io, const char *path)
{
	struct crash_io *crash = crash_io_of(io);
	struct crash_walk walk;
	int failure, rc;

	lock_take(&crash->lock);
	failure = crash_walk_existing(&crash->live, path, true, &walk);
	rc = failure != 0 ? crash_io_failed(failure, "lose the unsynced bytes of", path)
			  : crash_io_record(crash, (struct crash_op){ .kind = CRASH_OP_LOSE, .node = walk.node->id });
	lock_release(&crash->lock);
	return rc;
}

static int
set_content_locked(struct crash_io *io, const char *path, const void *data, size_t n)
{
	struct crash_blob *blob;
	struct crash_walk walk;
	int failure = crash_walk_existing(&io->live, path, true, &walk), rc;

	if (failure != 0 || walk.node->type != IO_TYPE_FILE)
		return crash_io_failed(failure != 0 ? failure : EISDIR, "replace the content of", path);
	TRY(crash_blob_new(io->io.mem, data, n, &blob));
	crash_node_truncate(walk.node);
	rc = n == 0 ? 0 : crash_node_write(&io->live, walk.node, blob);
	crash_blob_release(blob);
	return rc != 0 ? rc : crash_io_rebase(io);
}

int
io_crash_set_content(struct io *io, const char *path, const void *data, size_t n)
{
	int rc;

	lock_take(&crash_io_of(io)->lock);
	rc = set_content_locked(crash_io_of(io), path, data, n);
	lock_release(&crash_io_of(io)->lock);
	return rc;
}
