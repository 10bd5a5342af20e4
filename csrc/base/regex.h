/*
 * regex.h -- anchored regular expressions in the syntax of Go and RE2.
 * floor: base     uses: mem.h     used by: index/tag_filter, ingest
 *
 * A pattern matches a whole text, as ^(?:pattern)$ does; `.` does not match a newline unless the pattern says (?s).
 * Matching takes time linear in the text. Patterns must be valid UTF-8. Texts may be any bytes: as in Go, every byte
 * that is not part of a valid sequence counts as one U+FFFD.
 *
 * Errors     ERR_MATCH with RE2's own words and the pattern; ERR_MEMORY. No C++ exception leaves.
 * Threads    a compiled pattern may be matched by any number of threads.
 */
#ifndef TSE_REGEX_H
#define TSE_REGEX_H

#include "base/mem.h"

struct regex;

/* Most bytes one pattern and its automata may take; a larger pattern is ERR_MATCH. */
#define REGEX_BYTES_MAX (8 << 20)

NODISCARD int regex_compile(struct mem *mem, struct bytes pattern, struct regex **out);
void regex_destroy(struct regex *regex); /* NULL is fine */
/* false with ERR_MEMORY as last error if the system has no memory to go on. */
bool regex_match(const struct regex *regex, struct bytes text);

#endif
