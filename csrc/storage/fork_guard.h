/*
 * fork_guard.h -- is this still the process that opened the database?
 * floor: storage     uses: base.h     used by: storage
 *
 * A page that the kernel wipes in a child (MADV_WIPEONFORK) answers with one load; asking for the process id is a system
 * call of its own in today's C library, too much for every row. Kernels without it: the process id is asked.
 *
 * Errors     none: without a page the slow way works.
 * Threads    any.
 */
#ifndef TSE_FORK_GUARD_H
#define TSE_FORK_GUARD_H

#include <sys/types.h>

#include "base/base.h"

struct fork_guard {
	const volatile uint32_t *page; /* holds 1 in the process that made it, 0 in a child; NULL: none */
	pid_t owner;
};

void fork_guard_init(struct fork_guard *guard);
void fork_guard_destroy(struct fork_guard *guard);
bool fork_guard_is_child_slowly(const struct fork_guard *guard);

static inline bool
fork_guard_is_child(const struct fork_guard *guard)
{
	return guard->page != NULL ? *guard->page == 0 : fork_guard_is_child_slowly(guard);
}

#endif
