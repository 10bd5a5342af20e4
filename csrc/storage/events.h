/*
 * events.h -- what happened in the background, for the host to fetch; and a descriptor that is readable meanwhile.
 * floor: storage     uses: base/thread.h     used by: storage
 *
 * A ring of EVENTS_RING events: a full ring drops the oldest, and the next one fetched is a "lost" event with their number.
 *
 * Errors     none: events are lost and counted, never fail.
 * Threads    any.
 */
#ifndef TSE_EVENTS_H
#define TSE_EVENTS_H

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "storage/storage.h"

enum { EVENTS_RING = 256 };

struct events {
	struct lock lock;
	struct mem *mem;
	const struct clock *clock;
	struct storage_event *ring; /* EVENTS_RING of them, made with the first event */
	uint64_t head, tail, lost;
	int fd; /* -1: nobody asked for one, or the system has none */
};

void events_init(struct events *events, struct mem *mem, const struct clock *clock);
void events_destroy(struct events *events);
void events_put(struct events *events, const char *kind, const char *partition, uint64_t ticket, uint64_t count,
    int code, const char *reason);
bool events_take(struct events *events, struct storage_event *out);
/* Made at the first call; -1 when the system gives none. */
int events_fd(struct events *events);

#endif
