/*
 * regex_re2.h -- the narrow gate between C and RE2. Only regex.c passes through it.
 * floor: base     uses: nothing: C and C++ both read it     used by: regex.c regex_re2.cc
 *
 * Errors     a negative result; words are put into the caller's array. No C++ exception leaves.
 * Threads    re2_gate_match may be called by any number of threads.
 */
#ifndef TSE_REGEX_RE2_H
#define TSE_REGEX_RE2_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { RE2_GATE_BAD_PATTERN = -1, RE2_GATE_NO_MEMORY = -2 };

/* 0 with a compiled pattern in *out, or one of the codes; `words` then holds RE2's message (terminated). */
int re2_gate_open(const char *pattern, size_t len, size_t max_bytes, void **out, char *words, size_t words_bytes);
void re2_gate_close(void *re2);
/* 1, 0, or RE2_GATE_NO_MEMORY. The text must be valid UTF-8. */
int re2_gate_match(const void *re2, const char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif
