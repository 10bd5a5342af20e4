/*
 * log.c -- messages to stderr, or into the ring until the host takes them.
 * floor: base     uses: log.h     used by: everyone
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void
log_init(struct log *log, struct mem *mem, const struct clock *clock, enum log_target target)
{
	*log = (struct log){ .target = target, .clock = clock, .mem = mem };
	lock_init(&log->lock);
}

void
log_destroy(struct log *log)
{
	mem_free(log->mem, log->ring);
	log->ring = NULL;
	log->head = log->tail = 0;
	lock_destroy(&log->lock);
}

static void
put_stderr(int level, const char *text)
{
	static const char *const names[] = { "info", "warning", "error" };

	/* one call, so that lines of several threads do not mix */
	fprintf(stderr, "tsengine: %s: %s\n",
	    names[level < LOG_INFO      ? LOG_INFO
		    : level > LOG_ERROR ? LOG_ERROR
					: level],
	    text);
}

/* With the lock held. */
static void
put_ring(struct log *log, int level, const char *text)
{
	struct log_entry *entry;

	if (log->ring == NULL) {
		log->ring = mem_array(log->mem, LOG_RING, sizeof(*log->ring));
		if (log->ring == NULL) {
			log->lost++;
			return;
		}
	}
	if (log->head - log->tail == LOG_RING) {
		log->tail++;
		log->lost++;
	}
	entry = &log->ring[log->head++ % LOG_RING];
	entry->level = level;
	entry->at_ms = clock_now_ms(log->clock);
	memcpy(entry->text, text, strlen(text) + 1);
}

void
log_write(struct log *log, int level, const char *fmt, ...)
{
	char text[LOG_TEXT_MAX];
	va_list args;

	if (log->target == LOG_TO_NOBODY)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (log->target == LOG_TO_STDERR) {
		put_stderr(level, text);
		return;
	}
	lock_take(&log->lock);
	put_ring(log, level, text);
	lock_release(&log->lock);
}

bool
log_take(struct log *log, struct log_entry *entry)
{
	bool found;

	lock_take(&log->lock);
	found = log->head != log->tail;
	if (found)
		*entry = log->ring[log->tail++ % LOG_RING];
	lock_release(&log->lock);
	return found;
}
