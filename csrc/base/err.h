/*
 * err.h -- error codes, and the last error of this thread with its place.
 * floor: base     uses: base.h     used by: everyone
 *
 * A failing function calls ERR(), which stores a message for the thread and returns the code. Messages say what was
 * wrong, where, and what to do; they carry no trailing newline. ERR_CORRUPT() is the only way to report bad bytes
 * from disk: it names file and offset and counts (err_corrupt_total); a breakpoint on err_corrupt_set finds them all.
 *
 * Errors     none of its own.
 * Threads    the last error is thread-local; the counters are atomic.
 */
#ifndef TSE_ERR_H
#define TSE_ERR_H

#include "base/base.h"

/* The same numbers and words stand in ffi/tsengine.h (TSE_LOCKED ...); ffi.c asserts that they agree. */
enum err_code {
	ERR_NONE = 0,
	ERR_LOCKED = 1,    /* another process or handle owns the directory */
	ERR_LAYOUT = 2,    /* not a storage directory, or of another layout or version */
	ERR_CORRUPTED = 3, /* damaged bytes on disk */
	ERR_NOSPACE = 4,   /* ENOSPC, EDQUOT, or below min_free_disk */
	ERR_IO = 5,        /* any other failed system call on a file */
	ERR_MEMORY = 6,    /* memory_limit or malloc */
	ERR_READONLY = 7,  /* the database or the partition refuses writes until reopened */
	ERR_FORKED = 8,    /* used in a child process that did not open it */
	ERR_LIMIT = 9,     /* a stated limit was exceeded */
	ERR_TIMEOUT = 10,
	ERR_RANGE = 11,  /* timestamp outside retention or future limit, number out of range */
	ERR_METRIC = 12, /* a metric name or label that cannot be stored or parsed */
	ERR_MATCH = 13,  /* a selector that cannot be parsed */
	ERR_FORMAT = 14, /* unknown or broken input format or option */
	ERR_POLICY = 15,
	ERR_NOTFOUND = 16,
	ERR_BUG_CODE = 17 /* a broken invariant: report it */
};

/* Stores code and message of this thread, returns code. Never fails; long messages are cut at 1023 bytes. */
int err_set(int code, const char *file, int line, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* As err_set with ERR_CORRUPTED, naming the damaged file and the offset in it (UINT64_MAX: unknown). */
int err_corrupt_set(const char *path, uint64_t offset, const char *file, int line, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* Turns errno of a failed call on a path into ERR_NOSPACE (ENOSPC, EDQUOT), ERR_MEMORY (ENOMEM) or ERR_IO. */
int err_errno_set(int errno_value, const char *what, const char *path, const char *file, int line);

int err_code(void);             /* code of the last error of this thread */
const char *err_message(void);  /* its message, without the code word; valid until the next error of this thread */
const char *err_place(void);    /* "file.c:123" of the last error */
const char *err_word(int code); /* "LOCKED", "LAYOUT", ... ; "BUG" for unknown codes */
/* Puts words before the message of the last error ("while opening part X: ..."); returns the code. */
int err_prefix(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The last error set aside while something is tidied up, so that the first error is the one told. */
struct err_saved {
	int code;
	char message[1024];
	char place[96];
};

void err_save(struct err_saved *saved);
int err_restore(const struct err_saved *saved); /* returns the code */

uint64_t err_corrupt_total(void);
uint64_t err_bug_total(void);

#define ERR(code, ...)                     err_set((code), __FILE__, __LINE__, __VA_ARGS__)
#define ERR_CORRUPT(path, offset, ...)     err_corrupt_set((path), (offset), __FILE__, __LINE__, __VA_ARGS__)
#define ERR_BUG(...)                       err_set(ERR_BUG_CODE, __FILE__, __LINE__, __VA_ARGS__)
#define ERR_ERRNO(errno_value, what, path) err_errno_set((errno_value), (what), (path), __FILE__, __LINE__)

#endif
