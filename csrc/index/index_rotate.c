/*
 * index_rotate.c -- a new generation takes over: current becomes previous, the old previous one goes.
 * floor: index     uses: index_private.h     used by: index_step
 *
 * After a crash at any point the directory holds two or three generations; three are cut to the newest two by open.
 * Names and days are not copied: a series gets its items in the new generation when it gets its next row.
 */
#include "index/index_private.h"

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

int
index_rotate(struct index *index)
{
	struct generation *fresh, *gone;
	uint64_t name = clock_now_ns(index->env.clock);
	int rc;

	lock_take(&index->lock);
	if (name <= index->current->name)
		name = index->current->name + 1;
	lock_release(&index->lock);
	TRY(generation_open(&index->env, index->root, name, &fresh));

	lock_take(&index->lock);
	rc = index_seal_locked(index);
	/* Two threads may have come here at once: the second one finds the deadline moved. */
	if (rc != 0 || clock_now_ms(index->env.clock) < index->rotate_at_ms) {
		lock_release(&index->lock);
		fresh->dropped = true;
		generation_release(fresh);
		return rc;
	}
	gone = index->previous;
	index->previous = index->current;
	index->current = fresh;
	index->previous_has_series = true;
	day_sets_clear(&index->days);
	index->rotate_at_ms = index_rotation_deadline_ms(clock_now_ms(index->env.clock) + 1, index->env.retention_ms);
	index->rotations++;
	index->changes++;
	index->epoch++;
	lock_release(&index->lock);
	if (gone != NULL)
		gone->dropped = true;
	generation_release(gone);
	return 0;
}
