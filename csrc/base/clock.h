/*
 * clock.h -- the only place that knows the time.
 * floor: base     uses: base.h     used by: everyone
 *
 * A clock is the machine's or a manual one (tests, replay). Two readings: now_ms is wall time, for timestamps, names
 * and retention; tick_ms never goes back, for deadlines. A manual clock gives the same number for both.
 * Work budgets are always real: clock_budget_ns() is the machine's monotonic time, under a manual clock too.
 *
 * Errors     none.
 * Threads    any; a manual clock may be advanced while others read it.
 */
#ifndef TSE_CLOCK_H
#define TSE_CLOCK_H

#include "base/base.h"

struct clock {
	bool manual;
	_Atomic int64_t manual_ms;
};

void clock_init_wall(struct clock *clock);
void clock_init_manual(struct clock *clock, int64_t now_ms);
void clock_set_manual(struct clock *clock, int64_t now_ms);
int64_t clock_now_ms(const struct clock *clock);  /* since 1970 UTC */
uint64_t clock_now_ns(const struct clock *clock); /* the same in nanoseconds: seeds suffix and metric id counters */
int64_t clock_tick_ms(const struct clock *clock);
uint64_t clock_budget_ns(void);

/* How long one step may go on: checked by every loop that can run longer than a fraction of a millisecond. */
struct budget {
	uint64_t until_ns; /* on clock_budget_ns(); UINT64_MAX: no end */
};

static inline struct budget
budget_unlimited(void)
{
	return (struct budget){ UINT64_MAX };
}
struct budget budget_of_us(uint64_t us);
bool budget_spent(const struct budget *budget);

#endif
