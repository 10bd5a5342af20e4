/*
 * tag_pattern.h -- one value pattern: literals, a simple shape, or a regexp, whichever is cheapest.
 * floor: index     uses: base/regex.h arena.h     used by: tag_filter
 *
 *   literals    a   a|b|c   (a|b)c[12]       a sorted list, no regexp needed
 *   shape       L? D   L? D L   L? D L D     L a literal, D one of .* .+ .*? .+? ; here `.` matches a newline too,
 *                                            as the peer's shortcuts do (index format 12.4)
 *   regexp      everything else, RE2, anchored; `.` does not match a newline. The literal prefix is known all the same.
 *
 * Errors     ERR_MATCH, ERR_MEMORY.
 * Threads    immutable once compiled.
 */
#ifndef TSE_TAG_PATTERN_H
#define TSE_TAG_PATTERN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/regex.h"

enum { PATTERN_OR_VALUES_MAX = 1000 };

enum tag_pattern_kind { PATTERN_LITERALS, PATTERN_SHAPE, PATTERN_REGEX };

struct tag_pattern {
	enum tag_pattern_kind kind;
	struct bytes prefix;     /* every match starts with it */
	struct bytes *or_values; /* literals: complete values, sorted, distinct */
	size_t or_values_count;
	struct bytes middle;      /* shape: the literal behind the first D */
	size_t gap_min, tail_min; /* shape: fewest bytes of the first and of the second D */
	bool has_middle, has_tail;
	struct regex *regex; /* regexp */
};

/* The value itself as the only match. Values and lists live in the arena. */
NODISCARD int tag_pattern_literal(struct arena *arena, struct bytes value, struct tag_pattern *out);
NODISCARD int tag_pattern_compile(struct mem *mem, struct arena *arena, struct bytes text, struct tag_pattern *out);
void tag_pattern_free(struct tag_pattern *pattern);
bool tag_pattern_matches(const struct tag_pattern *pattern, struct bytes value);

/* What regexp_simplify found (regexp_simplify.c). */
struct simplified {
	bool is_shape;         /* then shape below holds all */
	bool is_exact;         /* the language is exactly `strings` */
	struct bytes *strings; /* every match starts with one of them; unsorted, may repeat; at least one */
	size_t strings_count;
	struct tag_pattern shape;
};
/* Never fails on syntax: what it does not understand is simply neither shape nor exact, with the empty string as prefix. */
NODISCARD int regexp_simplify(struct arena *arena, struct bytes text, struct simplified *out);

#endif
