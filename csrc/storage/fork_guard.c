/*
 * fork_guard.c -- is this still the process that opened the database?
 * floor: storage     uses: fork_guard.h     used by: storage
 */
#include "storage/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

/* A whole page of any architecture we run on. */
enum { GUARD_BYTES = 65536 };

void
fork_guard_init(struct fork_guard *guard)
{
	void *page = mmap(NULL, GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	guard->owner = getpid();
	guard->page = NULL;
	if (page == MAP_FAILED)
		return;
#ifdef MADV_WIPEONFORK
	if (madvise(page, GUARD_BYTES, MADV_WIPEONFORK) == 0) {
		*(uint32_t *)page = 1;
		guard->page = page;
		return;
	}
#endif
	munmap(page, GUARD_BYTES);
}

void
fork_guard_destroy(struct fork_guard *guard)
{
	if (guard->page != NULL)
		munmap((void *)(uintptr_t)guard->page, GUARD_BYTES);
	guard->page = NULL;
}

bool
fork_guard_is_child_slowly(const struct fork_guard *guard)
{
	return getpid() != guard->owner;
}
