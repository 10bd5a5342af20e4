/*
 * base_misc.c -- what LuaJIT cannot call: variadic checks, threads, atomics.
 * Used by spec/base/memory_spec.lua and spec/base/system_spec.lua.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/thread.h"

int tt_err_long_message(void);
int tt_err_nested(void);
int tt_err_of_errno(int errno_value);
int tt_arena_random(struct mem *mem, uint64_t seed);
int tt_thread_facts(size_t *stack_bytes, int *blocked_signals, char *name);
int tt_cond_handshake(void);
int tt_cond_times_out(int64_t ms);
int tt_log_ring(struct mem *mem, int messages, uint64_t *lost, int *taken, char *first);
int64_t tt_clock_manual(int64_t start, int64_t later, uint64_t *ns, int64_t *tick);
int tt_clock_wall(void);
int tt_budget(void);
int tt_mem_threads(struct mem *mem);

int
tt_err_long_message(void)
{
	char text[4000];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return ERR(ERR_IO, "%s", text);
}

/* A message that quotes the one before, then a prefix, then tidying up that fails in between. */
int
tt_err_nested(void)
{
	struct err_saved saved;

	(void)ERR(ERR_CORRUPTED, "inner");
	(void)ERR(ERR_IO, "outer of %s", err_message());
	err_prefix(ERR_IO, "while testing: ");
	err_save(&saved);
	(void)ERR(ERR_MEMORY, "tidying failed");
	return err_restore(&saved);
}

int
tt_err_of_errno(int errno_value)
{
	return ERR_ERRNO(errno_value, "write", "/some/file");
}

/* Allocations of random sizes keep their bytes, alignment and accounting over resets. */
int
tt_arena_random(struct mem *mem, uint64_t seed)
{
	struct arena arena;
	uint8_t *blocks[500];
	size_t sizes[500], i, j, total;
	unsigned round;

	arena_init(&arena, mem);
	for (round = 0; round < 20; round++) {
		for (i = 0, total = 0; i < 500; i++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			sizes[i] = (seed >> 33) % ((seed >> 60) == 0 ? 100000 : 200);
			total += sizes[i];
			blocks[i] = i % 3 == 0 ? arena_alloc(&arena, sizes[i]) : arena_bytes(&arena, sizes[i]);
			if (blocks[i] == NULL || (i % 3 == 0 && ((uintptr_t)blocks[i] & 15) != 0))
				return ERR(ERR_BUG_CODE, "block %zu is missing or not aligned", i);
			memset(blocks[i], (int)(i & 0xFF), sizes[i]);
		}
		for (i = 0; i < 500; i++)
			for (j = 0; j < sizes[i]; j++)
				if (blocks[i][j] != (i & 0xFF))
					return ERR(ERR_BUG_CODE, "block %zu was overwritten", i);
		if (arena.used_bytes != total)
			return ERR(ERR_BUG_CODE, "%zu bytes counted, %zu handed out", arena.used_bytes, total);
		arena_reset(&arena);
		if (mem_live(mem) != 1)
			return ERR(ERR_BUG_CODE, "a reset keeps one chunk");
	}
	arena_free(&arena);
	return 0;
}

struct facts {
	size_t stack_bytes;
	int blocked_signals;
	struct lock until_named; /* held by the starter: a thread that has ended has no name any more */
};

static void *
find_facts(void *arg)
{
	struct facts *facts = arg;
	pthread_attr_t attributes;
	sigset_t set;
	void *start;
	int i;

	pthread_getattr_np(pthread_self(), &attributes);
	pthread_attr_getstack(&attributes, &start, &facts->stack_bytes);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	/* the two that nobody can block do not count */
	for (i = 1; i < 32; i++)
		facts->blocked_signals += i != SIGKILL && i != SIGSTOP && sigismember(&set, i) == 1;
	lock_take(&facts->until_named);
	lock_release(&facts->until_named);
	return NULL;
}

int
tt_thread_facts(size_t *stack_bytes, int *blocked_signals, char *name)
{
	struct facts facts = { .stack_bytes = 0 };
	struct thread thread = { .started = false };
	int rc;

	thread_join(&thread);
	lock_init(&facts.until_named);
	lock_take(&facts.until_named);
	rc = thread_start(&thread, find_facts, &facts, "a name longer than fifteen");
	if (rc == 0)
		pthread_getname_np(thread.id, name, 16);
	lock_release(&facts.until_named);
	thread_join(&thread);
	thread_join(&thread);
	lock_destroy(&facts.until_named);
	TRY(rc);
	*stack_bytes = facts.stack_bytes;
	*blocked_signals = facts.blocked_signals;
	return 0;
}

struct handshake {
	struct lock lock;
	struct cond cond;
	int turn;
};

static void *
answer(void *arg)
{
	struct handshake *shake = arg;
	int i;

	lock_take(&shake->lock);
	for (i = 0; i < 100; i++) {
		while (shake->turn != 1)
			cond_wait(&shake->cond, &shake->lock);
		shake->turn = 0;
		cond_signal(&shake->cond);
	}
	lock_release(&shake->lock);
	return NULL;
}

int
tt_cond_handshake(void)
{
	struct handshake shake = { .turn = 0 };
	struct thread thread;
	int i, rc = 0;

	lock_init(&shake.lock);
	cond_init(&shake.cond);
	TRY(thread_start(&thread, answer, &shake, "answer"));
	lock_take(&shake.lock);
	for (i = 0; i < 100; i++) {
		shake.turn = 1;
		cond_broadcast(&shake.cond);
		while (shake.turn != 0)
			if (!cond_wait_ms(&shake.cond, &shake.lock, 10000))
				rc = ERR(ERR_TIMEOUT, "no answer");
	}
	lock_release(&shake.lock);
	thread_join(&thread);
	cond_destroy(&shake.cond);
	lock_destroy(&shake.lock);
	return rc;
}

int
tt_cond_times_out(int64_t ms)
{
	struct lock lock;
	struct cond cond;
	bool woken;

	lock_init(&lock);
	cond_init(&cond);
	lock_take(&lock);
	woken = cond_wait_ms(&cond, &lock, ms);
	lock_release(&lock);
	cond_destroy(&cond);
	lock_destroy(&lock);
	return woken;
}

int
tt_log_ring(struct mem *mem, int messages, uint64_t *lost, int *taken, char *first)
{
	struct log_entry entry;
	struct clock clock;
	struct log log;
	int i;

	clock_init_manual(&clock, 1000);
	log_init(&log, mem, &clock, LOG_TO_RING);
	first[0] = '\0';
	*taken = 0;
	for (i = 0; i < messages; i++)
		log_write(&log, LOG_WARN, "message %d", i);
	while (log_take(&log, &entry)) {
		if ((*taken)++ == 0)
			memcpy(first, entry.text, strlen(entry.text) + 1);
		if (entry.level != LOG_WARN || entry.at_ms != 1000)
			return ERR(ERR_BUG_CODE, "level or time are wrong");
	}
	*lost = log.lost;
	log_destroy(&log);
	log_init(&log, mem, &clock, LOG_TO_NOBODY);
	log_write(&log, LOG_ERROR, "to nobody");
	log_destroy(&log);
	return 0;
}

int64_t
tt_clock_manual(int64_t start, int64_t later, uint64_t *ns, int64_t *tick)
{
	struct clock clock;

	clock_init_manual(&clock, start);
	clock_set_manual(&clock, later);
	*ns = clock_now_ns(&clock);
	*tick = clock_tick_ms(&clock);
	return clock_now_ms(&clock);
}

int
tt_clock_wall(void)
{
	struct clock clock;
	int64_t tick;

	clock_init_wall(&clock);
	tick = clock_tick_ms(&clock);
	return clock_now_ms(&clock) > INT64_C(1600000000000) && clock_tick_ms(&clock) >= tick &&
	    clock_now_ns(&clock) / 1000000 - (uint64_t)clock_now_ms(&clock) + 1000 < 2000;
}

/* A budget ends when it is used up, under any clock; the unlimited one never does. */
int
tt_budget(void)
{
	uint64_t started = clock_budget_ns();
	struct budget none = budget_of_us(0), little = budget_of_us(2000), huge = budget_of_us(UINT64_MAX),
		      end = budget_unlimited();

	if (!budget_spent(&none) || budget_spent(&huge) || budget_spent(&end))
		return ERR(ERR_BUG_CODE, "a budget is wrong at its start");
	while (!budget_spent(&little))
		if (clock_budget_ns() - started > UINT64_C(5000000000))
			return ERR(ERR_BUG_CODE, "a budget of 2 ms does not end");
	return clock_budget_ns() - started >= 2000000 ? 0 : ERR(ERR_BUG_CODE, "a budget of 2 ms ended early");
}

static void *
allocate_much(void *arg)
{
	void *blocks[64] = { NULL };
	struct mem *mem = arg;
	unsigned i;

	for (i = 0; i < 20000; i++) {
		void *grown = mem_realloc(mem, blocks[i % 64], (i * 37) % 3000);

		if (grown != NULL)
			blocks[i % 64] = grown;
	}
	for (i = 0; i < 64; i++)
		mem_free(mem, blocks[i]);
	return NULL;
}

/* The account is exact when four threads use it, and never passes its limit. */
int
tt_mem_threads(struct mem *mem)
{
	struct thread threads[4];
	unsigned i;

	for (i = 0; i < 4; i++)
		TRY(thread_start(&threads[i], allocate_much, mem, "memory"));
	for (i = 0; i < 4; i++)
		thread_join(&threads[i]);
	if (mem_used(mem) != 0 || mem_live(mem) != 0)
		return ERR(ERR_BUG_CODE, "%llu bytes are left", (unsigned long long)mem_used(mem));
	if (mem->limit_bytes != 0 && mem->peak_bytes > mem->limit_bytes)
		return ERR(ERR_BUG_CODE, "the peak is over the limit");
	return 0;
}
