/*
 * tag_filter.h -- selectors: `cpu{host=~"web.+",dc!="x"}` -> filters, and what a filter means (index format 12.4).
 * floor: index     uses: base/regex.h     used by: index_search, storage
 *
 * A match is one or more groups (any of them), a group is filters (all of them). Regexps are anchored RE2; literals,
 * or-lists of literals and literal prefixes are taken out of the regexp, so that the engine is not needed for them.
 *
 * Errors     ERR_MATCH with position and reason.
 * Threads    immutable after parsing; any thread may match.
 */
#ifndef TSE_TAG_FILTER_H
#define TSE_TAG_FILTER_H

#include "base/arena.h"
#include "base/regex.h"

enum match_operator { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_REGEX, MATCH_NOT_REGEX };
enum { MATCH_GROUPS_MAX = 1024, MATCH_FILTERS_MAX = 256, MATCH_OR_VALUES_MAX = 1000 };

struct tag_filter {
	struct bytes key;              /* "" is the metric name */
	struct bytes text;             /* value or regexp as given */
	enum match_operator op;
	bool negative;
	bool matches_empty;            /* the positive form matches a missing label */
	/* compiled form of the positive pattern: */
	struct bytes prefix;           /* every match starts with it; for a literal it is the whole */
	struct bytes *or_values;       /* complete values, sorted, distinct; NULL: not such a pattern */
	size_t or_values_count;
	bool any_suffix, any_nonempty_suffix; /* prefix followed by .* or .+ */
	struct regex *regex;           /* NULL when the fields above decide alone */
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
void match_delete(struct match *match);
/* Does the *positive* pattern match this value (a missing label is empty)? */
bool tag_filter_matches_value(const struct tag_filter *filter, struct bytes value);

#endif
