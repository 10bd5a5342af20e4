/*
 * log.h -- messages for the operator, kept until somebody collects them.
 * floor: base     uses: mem.h thread.h clock.h     used by: everyone
 *
 * The core never calls into the host: a message is either written to stderr at once or put into a ring of LOG_RING
 * messages, from which the host takes it between calls (log_take). A full ring drops the oldest and counts it.
 *
 * Errors     none: logging never fails, at worst a message is lost and counted.
 * Threads    any.
 */
#ifndef TSE_LOG_H
#define TSE_LOG_H

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"

enum log_level { LOG_INFO = 0, LOG_WARN = 1, LOG_ERROR = 2 };
enum { LOG_RING = 256, LOG_TEXT_MAX = 1024 };

enum log_target { LOG_TO_NOBODY, LOG_TO_STDERR, LOG_TO_RING };

struct log_entry {
	int level;
	int64_t at_ms;
	char text[LOG_TEXT_MAX];
};

struct log {
	struct lock lock;
	enum log_target target;
	const struct clock *clock;
	struct mem *mem;
	struct log_entry *ring; /* LOG_RING entries, allocated with the first message */
	uint64_t head, tail;    /* messages put, messages taken */
	uint64_t lost;
};

void log_init(struct log *log, struct mem *mem, const struct clock *clock, enum log_target target);
void log_destroy(struct log *log);
void log_write(struct log *log, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Copies the oldest message into *entry; false when there is none. */
bool log_take(struct log *log, struct log_entry *entry);

#endif
