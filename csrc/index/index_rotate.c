/*
 * index_rotate.c -- a new generation takes over: current becomes previous, the old previous one goes.
 * floor: index     uses: index_private.h     used by: index_step
 *
 * After a crash at any point the directory holds two or three generations; three are cut to the newest two by open.
 * Names and days are not copied: a series gets its items in the new generation when it gets its next row.
 */
#include "base/err.h"
#include "index/index_private.h"

/* A rotation is days apart; a minute later is soon enough. */
#define ROTATION_RETRY_MS (60 * MS_PER_SECOND)

int64_t
index_rotation_deadline_ms(int64_t now_ms, int64_t retention_ms)
{
	int64_t days = (retention_ms + MS_PER_DAY - 1) / MS_PER_DAY;
	int64_t period_ms, periods;

	/* A period beyond the range of the clock never ends. */
	if (now_ms < 0 || days > INT64_MAX / MS_PER_DAY / 4)
		return INT64_MAX;
	period_ms = days * MS_PER_DAY;
	periods = (now_ms + period_ms - 1) / period_ms;
	return periods * period_ms + 4 * 3600 * MS_PER_SECOND;
}

/*
 * One thread at a time: *name is the fresh generation's; false when another thread rotates or it is not time yet. A
 * rotation that failed is tried again under the same name: every open keeps the two greatest names only, so two remains of
 * failed attempts would cost the generations that hold the series.
 */
static bool
begin_rotation(struct index *index, uint64_t *name)
{
	bool begun = false;

	lock_take(&index->lock);
	if (!index->rotating && clock_now_ms(index->env.clock) >= index->rotate_at_ms) {
		begun = index->rotating = true;
		if (index->fresh_name <= index->current->name)
			index->fresh_name = clock_now_ns(index->env.clock);
		if (index->fresh_name <= index->current->name)
			index->fresh_name = index->current->name + 1;
		*name = index->fresh_name;
	}
	lock_release(&index->lock);
	return begun;
}

/* What a generation that could not be opened left behind; its error stays the last one. */
static void
remove_remains(struct index *index, uint64_t name)
{
	struct err_saved saved;
	char *path;

	err_save(&saved);
	path = mem_printf(index->env.mem, "%s/%016llX", index->root, (unsigned long long)name);
	/* A failure is no loss: the next attempt opens the same directory. */
	if (path != NULL && io_remove_tree(index->env.io, path) != 0)
		log_write(index->env.log, LOG_WARN, "cannot remove a half-made index generation: %s", err_message());
	mem_free(index->env.mem, path);
	(void)err_restore(&saved);
}

/* With the lock held; takes over fresh, gives back what is to be released without the lock. */
static struct generation *
shift_generations(struct index *index, struct generation *fresh)
{
	struct generation *gone = index->previous;

	index->previous = index->current;
	index->current = fresh;
	index->previous_has_series = true;
	day_sets_clear(&index->days);
	index->rotate_at_ms = index_rotation_deadline_ms(clock_now_ms(index->env.clock) + 1, index->env.retention_ms);
	index->rotations++;
	index->changes++;
	index->epoch++;
	if (gone != NULL)
		gone->dropped = true;
	return gone;
}

int
index_rotate(struct index *index)
{
	struct generation *fresh = NULL, *gone = NULL;
	uint64_t name;
	int rc;

	if (!begin_rotation(index, &name))
		return 0;
	rc = generation_open(&index->env, index->root, name, &fresh);
	if (rc != 0)
		remove_remains(index, name);
	lock_take(&index->lock);
	if (rc == 0) {
		rc = index_seal_locked(index);
		gone = fresh;
		if (rc == 0)
			gone = shift_generations(index, fresh);
		else
			fresh->dropped = true;
	}
	if (rc != 0) /* a full disk, say: the old generations go on, and it is tried again */
		index->rotate_at_ms = clock_now_ms(index->env.clock) + ROTATION_RETRY_MS;
	lock_release(&index->lock);
	generation_release(gone);
	/* Only now: the next attempt may use the name of the one that was just removed. */
	lock_take(&index->lock);
	index->rotating = false;
	lock_release(&index->lock);
	return rc;
}
