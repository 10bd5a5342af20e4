/*
 * thread.c -- threads, mutexes, conditions over pthreads.
 * floor: base     uses: thread.h machine.h err.h     used by: log.c, table, index, storage
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "base/machine.h"

/* Enough for every loop of the engine (buffers live in arenas); glibc's default of 8 MiB only costs address space. */
enum { STACK_BYTES = 1 << 20, NAME_BYTES = 16 };

int
thread_start(struct thread *thread, void *(*run)(void *), void *arg, const char *name)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int failed;

	thread->started = false;
	if (pthread_attr_init(&attributes) != 0)
		return ERR(ERR_MEMORY, "no memory for the attributes of thread %s", name);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	/* a thread inherits the mask of its maker: block around the call, so that no signal slips in at its start */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread->id, &attributes, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	if (failed != 0)
		return ERR_ERRNO(failed, "start thread", name);
	thread->started = true;
#ifdef __linux__
	{
		char cut[NAME_BYTES];

		snprintf(cut, sizeof(cut), "%s", name);
		pthread_setname_np(thread->id, cut);
	}
#endif
	return 0;
}

void
thread_join(struct thread *thread)
{
	if (!thread->started)
		return;
	pthread_join(thread->id, NULL);
	thread->started = false;
}

unsigned
thread_cpus(void)
{
	return machine_cpus();
}

void
lock_init(struct lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

void
lock_destroy(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void
cond_init(struct cond *cond)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&cond->cond, &attributes);
	pthread_condattr_destroy(&attributes);
}

void
cond_destroy(struct cond *cond)
{
	pthread_cond_destroy(&cond->cond);
}

void
cond_wait(struct cond *cond, struct lock *lock)
{
	pthread_cond_wait(&cond->cond, &lock->mutex);
}

bool
cond_wait_ms(struct cond *cond, struct lock *lock, int64_t ms)
{
	/* a year is as good as for ever, and cannot overflow time_t */
	const int64_t ms_max = 365 * MS_PER_DAY;
	struct timespec until;

	ms = ms < 0 ? 0 : ms > ms_max ? ms_max : ms;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return pthread_cond_timedwait(&cond->cond, &lock->mutex, &until) != ETIMEDOUT;
}

void
cond_signal(struct cond *cond)
{
	pthread_cond_signal(&cond->cond);
}

void
cond_broadcast(struct cond *cond)
{
	pthread_cond_broadcast(&cond->cond);
}
