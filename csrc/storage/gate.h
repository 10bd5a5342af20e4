/*
 * gate.h -- many may be inside together, or one alone.
 * floor: storage     uses: base/thread.h     used by: series cache (batches against a reset), select against delete, calls against close
 *
 * Going in and out costs two atomic additions when nobody wants to be alone. Who wants to be alone shuts the gate, waits
 * until it is empty, and opens it again; those who come meanwhile wait. A waiting loner keeps newcomers out, so it
 * cannot starve. Not recursive: who is inside must not come in again while somebody shuts the gate.
 *
 * Errors     none.
 * Threads    any.
 */
#ifndef TSE_GATE_H
#define TSE_GATE_H

#include "base/thread.h"

struct gate {
	_Atomic uint32_t inside;
	_Atomic bool shut;
	struct lock lock;
	struct cond changed;
};

void gate_init(struct gate *gate);
void gate_destroy(struct gate *gate);
void gate_enter(struct gate *gate);
/* false when the gate is shut: for those who must not wait. */
bool gate_try_enter(struct gate *gate);
/* As gate_enter, but gives up (false) when *closing is set: for a gate that may stay shut for ever. */
bool gate_enter_unless(struct gate *gate, const _Atomic bool *closing);
void gate_leave(struct gate *gate);
/* Alone inside from here to gate_open. */
void gate_shut(struct gate *gate);
void gate_open(struct gate *gate);

#endif
