/*
 * base.h -- the few types and macros that every file uses.
 * floor: base     uses: nothing     used by: everyone
 *
 * Invariants
 *  (1) A function that can fail returns int: 0 or one of the codes of err.h, with the message in err_message().
 *  (2) Results leave through out-parameters, last in the list, untouched or safely closable on failure.
 * Threads    macros and plain types only.
 */
#ifndef TSE_BASE_H
#define TSE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
/* Return at once with the code of a failed call. Use it only where nothing has to be released. */
#define TRY(call)             do { int rc_ = (call); if (rc_ != 0) return rc_; } while (0)
/* As TRY, for functions with one exit: needs a local `int rc`. */
#define TRY_GOTO(label, call) do { rc = (call); if (rc != 0) goto label; } while (0)
/* clang-format on */

#define NODISCARD             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define LIKELY(x)             __builtin_expect(!!(x), 1)
#define UNLIKELY(x)           __builtin_expect(!!(x), 0)
#define ARRAY_LENGTH(a)       (sizeof(a) / sizeof((a)[0]))

/* Bytes that somebody else owns; not terminated, any byte may occur. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

static inline struct bytes
bytes_of(const void *data, size_t len)
{
	return (struct bytes){ .data = data, .len = len };
}

static inline struct bytes
bytes_of_text(const char *text)
{
	return (struct bytes){ .data = (const uint8_t *)text, .len = strlen(text) };
}

static inline bool
bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Unsigned bytewise order; a proper prefix sorts first. */
static inline int
bytes_compare(struct bytes a, struct bytes b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n == 0 ? 0 : memcmp(a.data, b.data, n);

	if (c != 0)
		return c;
	return (a.len > b.len) - (a.len < b.len);
}

/* Which flavour of VictoriaMetrics wrote the directory: with "cluster" every key starts with a tenant. */
enum layout { LAYOUT_SINGLE = 0, LAYOUT_CLUSTER = 1 };

struct tenant {
	uint32_t account;
	uint32_t project;
};

#define MS_PER_SECOND INT64_C(1000)
#define MS_PER_DAY    INT64_C(86400000)

#endif
