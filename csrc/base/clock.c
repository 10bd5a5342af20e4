/*
 * clock.c -- the machine's clock and the manual one.
 * floor: base     uses: clock.h     used by: everyone
 */
#include "base/clock.h"

#include <time.h>

static uint64_t
read_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void
clock_init_wall(struct clock *clock)
{
	clock->manual = false;
	clock->manual_ms = 0;
}

void
clock_init_manual(struct clock *clock, int64_t now_ms)
{
	clock->manual = true;
	clock->manual_ms = now_ms;
}

void
clock_set_manual(struct clock *clock, int64_t now_ms)
{
	assert(clock->manual);
	clock->manual_ms = now_ms;
}

int64_t
clock_now_ms(const struct clock *clock)
{
	return clock->manual ? clock->manual_ms : (int64_t)(read_ns(CLOCK_REALTIME) / 1000000);
}

uint64_t
clock_now_ns(const struct clock *clock)
{
	return clock->manual ? (uint64_t)clock->manual_ms * 1000000 : read_ns(CLOCK_REALTIME);
}

int64_t
clock_tick_ms(const struct clock *clock)
{
	return clock->manual ? clock->manual_ms : (int64_t)(read_ns(CLOCK_MONOTONIC) / 1000000);
}

uint64_t
clock_budget_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

struct budget
budget_of_us(uint64_t us)
{
	uint64_t now_ns = clock_budget_ns();

	/* a budget of centuries would wrap */
	if (us > (UINT64_MAX - now_ns) / 1000)
		return budget_unlimited();
	return (struct budget){ .until_ns = now_ns + us * 1000 };
}

bool
budget_spent(const struct budget *budget)
{
	return budget->until_ns != UINT64_MAX && clock_budget_ns() >= budget->until_ns;
}
