/*
 * err.c -- the thread's last error.
 * floor: base     uses: err.h     used by: everyone
 *
 * Texts are formatted beside the old message and copied over it afterwards: a message may quote err_message().
 */
#include "base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct err_saved last_error;

enum { MESSAGE_BYTES = sizeof(last_error.message) };

static _Atomic uint64_t corrupt_total;
static _Atomic uint64_t bug_total;

static void
remember(int code, const char *file, int line, const char *text)
{
	const char *slash = strrchr(file, '/');

	assert(code != ERR_NONE);
	last_error.code = code;
	memcpy(last_error.message, text, strlen(text) + 1);
	snprintf(last_error.place, sizeof(last_error.place), "%s:%d", slash == NULL ? file : slash + 1, line);
	if (code == ERR_BUG_CODE)
		bug_total++;
}

int
err_set(int code, const char *file, int line, const char *fmt, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	remember(code, file, line, text);
	return code;
}

int
err_corrupt_set(const char *path, uint64_t offset, const char *file, int line, const char *fmt, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;
	int n;

	if (offset == UINT64_MAX)
		n = snprintf(text, sizeof(text), "%s: ", path);
	else
		n = snprintf(text, sizeof(text), "%s at offset %" PRIu64 ": ", path, offset);
	if (n > 0 && n < (int)sizeof(text)) {
		va_start(args, fmt);
		vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, args);
		va_end(args);
	}
	corrupt_total++;
	remember(ERR_CORRUPTED, file, line, text);
	return ERR_CORRUPTED;
}

/* strerror_r of GNU and of POSIX differ in their result; %m is the same everywhere the engine runs. */
int
err_errno_set(int errno_value, const char *what, const char *path, const char *file, int line)
{
	char text[MESSAGE_BYTES];
	int code = ERR_IO;

	if (errno_value == ENOSPC || errno_value == EDQUOT)
		code = ERR_NOSPACE;
	else if (errno_value == ENOMEM)
		code = ERR_MEMORY;
	errno = errno_value;
	snprintf(text, sizeof(text), "cannot %s %s: %m", what, path);
	remember(code, file, line, text);
	return code;
}

int
err_code(void)
{
	return last_error.code;
}

const char *
err_message(void)
{
	return last_error.message;
}

const char *
err_place(void)
{
	return last_error.place;
}

const char *
err_word(int code)
{
	static const char *const words[] = {
		[ERR_NONE] = "NONE",
		[ERR_LOCKED] = "LOCKED",
		[ERR_LAYOUT] = "LAYOUT",
		[ERR_CORRUPTED] = "CORRUPT",
		[ERR_NOSPACE] = "NOSPACE",
		[ERR_IO] = "IO",
		[ERR_MEMORY] = "MEMORY",
		[ERR_READONLY] = "READONLY",
		[ERR_FORKED] = "FORKED",
		[ERR_LIMIT] = "LIMIT",
		[ERR_TIMEOUT] = "TIMEOUT",
		[ERR_RANGE] = "RANGE",
		[ERR_METRIC] = "METRIC",
		[ERR_MATCH] = "MATCH",
		[ERR_FORMAT] = "FORMAT",
		[ERR_POLICY] = "POLICY",
		[ERR_NOTFOUND] = "NOTFOUND",
		[ERR_BUG_CODE] = "BUG",
	};

	if (code < 0 || (size_t)code >= ARRAY_LENGTH(words))
		return "BUG";
	return words[code];
}

int
err_prefix(int code, const char *fmt, ...)
{
	char text[MESSAGE_BYTES];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n >= 0 && n < (int)sizeof(text))
		snprintf(text + n, sizeof(text) - (size_t)n, "%s", last_error.message);
	memcpy(last_error.message, text, strlen(text) + 1);
	return code;
}

void
err_save(struct err_saved *saved)
{
	*saved = last_error;
}

int
err_restore(const struct err_saved *saved)
{
	last_error = *saved;
	return saved->code;
}

uint64_t
err_corrupt_total(void)
{
	return corrupt_total;
}

uint64_t
err_bug_total(void)
{
	return bug_total;
}
