/*
 * tag_filter.c -- see tag_filter.h: selectors become groups of compiled filters.
 * floor: index     uses: tag_filter.h     used by: index_search, storage
 */
#include "index/tag_filter.h"

static int
compile_filter(struct match *match, const struct selector_label *label, struct tag_filter *out)
{
	bool is_regexp = label->op == MATCH_REGEX || label->op == MATCH_NOT_REGEX;
	bool is_anything = is_regexp && label->value.len == 2 && memcmp(label->value.data, ".*", 2) == 0;

	*out = (struct tag_filter){
		.key = label->name,
		.text = label->value,
		.op = label->op,
		.negative = label->op == MATCH_NOT_EQUAL || label->op == MATCH_NOT_REGEX,
	};
	if (is_anything && out->negative) { /* k!~".*" is k="" */
		out->negative = false;
		TRY(tag_pattern_literal(&match->arena, bytes_of("", 0), &out->pattern));
	} else if (is_regexp) {
		TRY(tag_pattern_compile(match->mem, &match->arena, label->value, &out->pattern));
	} else {
		TRY(tag_pattern_literal(&match->arena, label->value, &out->pattern));
	}
	out->matches_empty = tag_pattern_matches(&out->pattern, bytes_of("", 0));
	return 0;
}

static bool
is_always_true(const struct selector_label *label)
{
	return label->op == MATCH_REGEX && label->value.len == 2 && memcmp(label->value.data, ".*", 2) == 0;
}

/* group->count grows with each filter compiled, so that match_delete frees what is there. */
static int
compile_group(struct match *match, const struct selector *selector, struct match_group *group)
{
	static const struct selector_label has_name = { .name = { (const uint8_t *)"", 0 },
		.value = { (const uint8_t *)"", 0 },
		.op = MATCH_NOT_EQUAL };

	group->filters = arena_alloc(&match->arena, (selector->count + 1) * sizeof(*group->filters));
	if (group->filters == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < selector->count; i++) {
		if (is_always_true(&selector->labels[i]))
			continue;
		TRY(compile_filter(match, &selector->labels[i], &group->filters[group->count]));
		group->count++;
	}
	if (group->count == 0) {
		TRY(compile_filter(match, &has_name, &group->filters[0]));
		group->count = 1;
	}
	return 0;
}

static int
compile_all(struct match *match, const struct bytes *selectors, size_t n, struct selector *room)
{
	match->groups = arena_alloc(&match->arena, n * sizeof(*match->groups));
	if (match->groups == NULL)
		return ERR_MEMORY;
	memset(match->groups, 0, n * sizeof(*match->groups));
	for (size_t i = 0; i < n; i++) {
		/* Filters outlive the caller's text. */
		uint8_t *text = arena_copy(&match->arena, selectors[i].data, selectors[i].len);

		if (text == NULL)
			return ERR_MEMORY;
		TRY(selector_parse(bytes_of(text, selectors[i].len), &match->arena, room));
		match->count++;
		TRY(compile_group(match, room, &match->groups[i]));
	}
	return 0;
}

int
match_parse(struct mem *mem, const struct bytes *selectors, size_t n, struct match **out)
{
	struct match *match;
	struct selector *room;
	int rc;

	if (n == 0 || n > MATCH_GROUPS_MAX)
		return ERR(ERR_MATCH, "%zu selectors: between 1 and %d are allowed", n, MATCH_GROUPS_MAX);
	match = mem_zalloc(mem, sizeof(*match));
	room = mem_alloc(mem, sizeof(*room));
	if (match == NULL || room == NULL) {
		mem_free(mem, match);
		mem_free(mem, room);
		return ERR_MEMORY;
	}
	match->mem = mem;
	arena_init(&match->arena, mem);
	rc = compile_all(match, selectors, n, room);
	mem_free(mem, room);
	if (rc != 0) {
		match_delete(match);
		return rc;
	}
	*out = match;
	return 0;
}

void
match_delete(struct match *match)
{
	if (match == NULL)
		return;
	for (size_t i = 0; i < match->count; i++) {
		for (size_t j = 0; j < match->groups[i].count; j++)
			tag_pattern_free(&match->groups[i].filters[j].pattern);
	}
	arena_free(&match->arena);
	mem_free(match->mem, match);
}

bool
tag_filter_matches_value(const struct tag_filter *filter, struct bytes value)
{
	return tag_pattern_matches(&filter->pattern, value);
}
