/*
 * thread.h -- threads, mutexes, conditions.
 * floor: base     uses: err.h     used by: table, index, storage
 *
 * Engine threads block all signals (the host's handlers stay on the host's threads) and have 1 MiB of stack.
 * Locks are not recursive. Order of locks: storage > index > table > partition > shard; never upward.
 *
 * Errors     ERR_MEMORY or ERR_IO from thread_start.
 */
#ifndef TSE_THREAD_H
#define TSE_THREAD_H

#include <pthread.h>

#include "base/base.h"

struct thread {
	pthread_t id;
	bool started;
};

NODISCARD int thread_start(struct thread *thread, void *(*run)(void *), void *arg, const char *name);
void thread_join(struct thread *thread); /* legal on one that was not started */
unsigned thread_cpus(void);              /* usable CPUs: affinity and cgroup quota, at least 1 */

struct lock {
	pthread_mutex_t mutex;
};

void lock_init(struct lock *lock);
void lock_destroy(struct lock *lock);
static inline void
lock_take(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
}
static inline void
lock_release(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

struct cond {
	pthread_cond_t cond; /* on the monotonic clock */
};

void cond_init(struct cond *cond);
void cond_destroy(struct cond *cond);
void cond_wait(struct cond *cond, struct lock *lock);
/* Waits at most ms; false when the time is up. */
bool cond_wait_ms(struct cond *cond, struct lock *lock, int64_t ms);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

#endif
