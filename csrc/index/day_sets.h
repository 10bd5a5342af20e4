/*
 * day_sets.h -- which (tenant, day, id) are registered in the current generation: the fast answer to "is it a new day?".
 * floor: index     uses: u64set.h     used by: index
 *
 * One set of ids for each tenant and day that was asked for, read from kind 5 items at the first question. The day
 * DAY_GLOBAL stands for the global items (kind 2) in the same way.
 *
 * Invariants
 *  (1) A set that is present is complete: what is on disk, in staging, and what was added since.
 *  (2) Above DAY_SETS_MAX sets all are forgotten; they can be read again.
 * Errors     ERR_MEMORY.
 * Threads    one at a time.
 */
#ifndef TSE_DAY_SETS_H
#define TSE_DAY_SETS_H

#include "base/err.h"
#include "base/u64set.h"

#define DAY_GLOBAL UINT64_MAX

enum {
	DAY_SETS_MAX = 4096, /* more than eleven years of one tenant, or 40 days of a hundred */
	DAY_SETS_BUCKETS = 1024
};

struct day_set {
	struct tenant tenant;
	uint64_t date;
	struct u64set ids;
	struct day_set *next;
};

struct day_sets {
	struct mem *mem;
	struct day_set *buckets[DAY_SETS_BUCKETS];
	struct day_set *last; /* the set of the last answer: rows of one batch nearly always want the same */
	size_t count;
};

void day_sets_init(struct day_sets *sets, struct mem *mem);
/* Forgets all sets; usable afterwards. */
void day_sets_clear(struct day_sets *sets);
/* NULL when the set was not read yet. */
struct u64set *day_sets_find(struct day_sets *sets, struct tenant tenant, uint64_t date);
/* A new, empty set in *out; the caller fills it or drops it with day_sets_clear. May forget all others. */
NODISCARD int day_sets_add(struct day_sets *sets, struct tenant tenant, uint64_t date, struct u64set **out);

#endif
