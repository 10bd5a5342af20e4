/*
 * gate.c -- many may be inside together, or one alone.
 * floor: storage     uses: gate.h     used by: storage
 *
 * Both sides write first and read second with sequential consistency: whoever comes in sees `shut`, or whoever shuts
 * sees him `inside`.
 */
#include "storage/gate.h"

#include <stdatomic.h>

/* How long somebody at a shut gate may not notice that it stays shut. */
enum { CLOSING_LOOK_MS = 2 };

void
gate_init(struct gate *gate)
{
	atomic_init(&gate->inside, 0);
	atomic_init(&gate->shut, false);
	lock_init(&gate->lock);
	cond_init(&gate->changed);
}

void
gate_destroy(struct gate *gate)
{
	cond_destroy(&gate->changed);
	lock_destroy(&gate->lock);
}

bool
gate_try_enter(struct gate *gate)
{
	atomic_fetch_add(&gate->inside, 1);
	if (LIKELY(!atomic_load(&gate->shut)))
		return true;
	gate_leave(gate);
	return false;
}

void
gate_enter(struct gate *gate)
{
	while (UNLIKELY(!gate_try_enter(gate))) {
		lock_take(&gate->lock);
		while (atomic_load(&gate->shut))
			cond_wait(&gate->changed, &gate->lock);
		lock_release(&gate->lock);
	}
}

bool
gate_enter_unless(struct gate *gate, const _Atomic bool *closing)
{
	while (UNLIKELY(!gate_try_enter(gate))) {
		if (atomic_load(closing))
			return false;
		lock_take(&gate->lock);
		/* nobody tells that *closing was set */
		if (atomic_load(&gate->shut))
			(void)cond_wait_ms(&gate->changed, &gate->lock, CLOSING_LOOK_MS);
		lock_release(&gate->lock);
	}
	return true;
}

void
gate_leave(struct gate *gate)
{
	if (atomic_fetch_sub(&gate->inside, 1) == 1 && UNLIKELY(atomic_load(&gate->shut))) {
		lock_take(&gate->lock);
		cond_broadcast(&gate->changed);
		lock_release(&gate->lock);
	}
}

void
gate_shut(struct gate *gate)
{
	lock_take(&gate->lock);
	while (atomic_load(&gate->shut))
		cond_wait(&gate->changed, &gate->lock);
	atomic_store(&gate->shut, true);
	while (atomic_load(&gate->inside) != 0)
		cond_wait(&gate->changed, &gate->lock);
	lock_release(&gate->lock);
}

void
gate_open(struct gate *gate)
{
	lock_take(&gate->lock);
	atomic_store(&gate->shut, false);
	cond_broadcast(&gate->changed);
	lock_release(&gate->lock);
}
