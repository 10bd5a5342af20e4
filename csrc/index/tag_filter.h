/*
 * tag_filter.h -- selectors: `cpu{host=~"web.+",dc!="x"}` -> filters, and what a filter means (index format 12.4).
 * floor: index     uses: tag_pattern.h     used by: index_search, storage
 *
 * A match is one or more groups (any of them), a group is filters (all of them). Regexps are anchored RE2; literals,
 * or-lists of literals and literal prefixes are taken out of the regexp, so that the engine is not needed for them.
 *
 * Parsing settles three rules: `k=~".*"` is left out, `k!~".*"` becomes `k=""`, and a group that has no filter (left)
 * becomes `__name__!=""`.
 *
 * Errors     ERR_MATCH with position and reason.
 * Threads    immutable after parsing; any thread may match.
 */
#ifndef TSE_TAG_FILTER_H
#define TSE_TAG_FILTER_H

#include "base/arena.h"
#include "index/tag_pattern.h"

enum match_operator { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_REGEX, MATCH_NOT_REGEX };
enum { MATCH_GROUPS_MAX = 1024, MATCH_FILTERS_MAX = 256 };

struct tag_filter {
	struct bytes key;       /* "" is the metric name */
	struct bytes text;      /* value or regexp as given */
	enum match_operator op; /* as given */
	bool negative;
	bool matches_empty;         /* the positive pattern matches a missing label */
	struct tag_pattern pattern; /* the positive pattern */
};

struct match_group {
	struct tag_filter *filters;
	size_t count;
};

struct match {
	struct arena arena;
	struct mem *mem;
	struct match_group *groups;
	size_t count;
};

/* Parses n selectors into one match. */
NODISCARD int match_parse(struct mem *mem, const struct bytes *selectors, size_t n, struct match **out);
void match_delete(struct match *match); /* NULL is fine */
/* Does the *positive* pattern match this value (a missing label is empty)? */
bool tag_filter_matches_value(const struct tag_filter *filter, struct bytes value);

/* One label as a selector has it, before patterns are compiled (selector_parse.c). */
struct selector_label {
	struct bytes name; /* "" is the metric name */
	struct bytes value;
	enum match_operator op;
};

struct selector {
	struct selector_label labels[MATCH_FILTERS_MAX];
	size_t count;
};
/* Names and values without escapes are views into text, others live in the arena. */
NODISCARD int selector_parse(struct bytes text, struct arena *arena, struct selector *out);

#endif
