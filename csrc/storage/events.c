/*
 * events.c -- what happened in the background, for the host to fetch.
 * floor: storage     uses: events.h     used by: storage
 *
 * The descriptor is an eventfd: no file of a database, so it does not go through io.h.
 */
#include "storage/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

void
events_init(struct events *events, struct mem *mem, const struct clock *clock)
{
	memset(events, 0, sizeof(*events));
	events->mem = mem;
	events->clock = clock;
	events->fd = -1;
	lock_init(&events->lock);
}

void
events_destroy(struct events *events)
{
	mem_free(events->mem, events->ring);
	if (events->fd >= 0)
		close(events->fd);
	events->fd = -1;
	lock_destroy(&events->lock);
}

static void
fd_raise(struct events *events)
{
	uint64_t one = 1;

	/* a counter that is full is readable all the same */
	if (events->fd >= 0 && write(events->fd, &one, sizeof(one)) < 0)
		return;
}

static void
fd_lower(struct events *events)
{
	uint64_t count;

	if (events->fd >= 0 && read(events->fd, &count, sizeof(count)) < 0)
		return;
}

void
events_put(struct events *events, const char *kind, const char *partition, uint64_t ticket, uint64_t count, int code,
    const char *reason)
{
	struct storage_event *event;

	lock_take(&events->lock);
	if (events->ring == NULL)
		events->ring = mem_array(events->mem, EVENTS_RING, sizeof(*events->ring));
	if (events->ring == NULL) {
		events->lost++;
		goto out;
	}
	if (events->head - events->tail == EVENTS_RING) {
		events->tail++;
		events->lost++;
	}
	event = &events->ring[events->head++ % EVENTS_RING];
	memset(event, 0, sizeof(*event));
	snprintf(event->kind, sizeof(event->kind), "%s", kind);
	snprintf(event->partition, sizeof(event->partition), "%s", partition);
	snprintf(event->reason, sizeof(event->reason), "%s", reason);
	event->at_ms = clock_now_ms(events->clock);
	event->ticket = ticket;
	event->count = count;
	event->code = code;
	fd_raise(events);
out:
	lock_release(&events->lock);
}

bool
events_take(struct events *events, struct storage_event *out)
{
	bool found = true;

	lock_take(&events->lock);
	if (events->lost != 0) {
		memset(out, 0, sizeof(*out));
		snprintf(out->kind, sizeof(out->kind), "lost");
		snprintf(out->reason, sizeof(out->reason), "%" PRIu64 " older events were not fetched in time",
		    events->lost);
		out->at_ms = clock_now_ms(events->clock);
		out->count = events->lost;
		events->lost = 0;
	} else if (events->tail < events->head) {
		*out = events->ring[events->tail++ % EVENTS_RING];
	} else {
		found = false;
	}
	if (events->tail == events->head && events->lost == 0)
		fd_lower(events);
	lock_release(&events->lock);
	return found;
}

int
events_fd(struct events *events)
{
	int fd;

	lock_take(&events->lock);
	if (events->fd < 0) {
		events->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (events->tail < events->head || events->lost != 0)
			fd_raise(events);
	}
	fd = events->fd;
	lock_release(&events->lock);
	return fd;
}
