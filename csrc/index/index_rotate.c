/*
 * index_rotate.c -- a new generation takes over: current becomes previous, the old previous one goes.
 * floor: index     uses: index_private.h     used by: index_step
 *
 * After a crash at any point the directory holds two or three generations; three are cut to the newest two by open.
 * Names and days are not copied: a series gets its items in the new generation when it gets its next row.
 */
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

/* One thread at a time: *name is the fresh generation's; false when another thread rotates or it is not time yet. */
static bool
begin_rotation(struct index *index, uint64_t *name)
{
	bool begun = false;

	lock_take(&index->lock);
	if (!index->rotating && clock_now_ms(index->env.clock) >= index->rotate_at_ms) {
		begun = index->rotating = true;
		*name = clock_now_ns(index->env.clock);
		if (*name <= index->current->name)
			*name = index->current->name + 1;
	}
	lock_release(&index->lock);
	return begun;
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
	struct generation *fresh, *gone;
	uint64_t name;
	int rc;

	if (!begin_rotation(index, &name))
		return 0;
	rc = generation_open(&index->env, index->root, name, &fresh);
	lock_take(&index->lock);
	if (rc == 0) {
		rc = index_seal_locked(index);
		gone = fresh;
		if (rc == 0)
			gone = shift_generations(index, fresh);
		else
			fresh->dropped = true;
	} else {
		gone = NULL;
	}
	if (rc != 0) /* a full disk, say: the old generations go on, and it is tried again */
		index->rotate_at_ms = clock_now_ms(index->env.clock) + ROTATION_RETRY_MS;
	index->rotating = false;
	lock_release(&index->lock);
	generation_release(gone);
	return rc;
}
