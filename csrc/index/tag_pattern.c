/*
 * tag_pattern.c -- see tag_pattern.h.
 * floor: index     uses: tag_pattern.h     used by: tag_filter
 */
#define _GNU_SOURCE 1 /* memmem */
#include "index/tag_pattern.h"

#include <stdlib.h>

static int
compare_values(const void *a, const void *b)
{
	return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void
set_literals(struct tag_pattern *pattern, struct bytes *values, size_t n)
{
	size_t kept = 0;

	qsort(values, n, sizeof(*values), compare_values);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || !bytes_equal(values[kept - 1], values[i]))
			values[kept++] = values[i];
	}
	pattern->kind = PATTERN_LITERALS;
	pattern->or_values = values;
	pattern->or_values_count = kept;
}

static struct bytes
common_prefix_of(const struct bytes *strings, size_t n)
{
	struct bytes prefix = strings[0];

	for (size_t i = 1; i < n; i++) {
		size_t at = 0;

		while (at < prefix.len && at < strings[i].len && prefix.data[at] == strings[i].data[at])
			at++;
		prefix.len = at;
	}
	return prefix;
}

int
tag_pattern_literal(struct arena *arena, struct bytes value, struct tag_pattern *out)
{
	struct bytes *values = arena_alloc(arena, sizeof(*values));

	if (values == NULL)
		return ERR_MEMORY;
	*values = value;
	*out = (struct tag_pattern){ .prefix = value };
	set_literals(out, values, 1);
	return 0;
}

int
tag_pattern_compile(struct mem *mem, struct arena *arena, struct bytes text, struct tag_pattern *out)
{
	struct simplified simplified;

	TRY(regexp_simplify(arena, text, &simplified));
	if (simplified.is_shape) {
		*out = simplified.shape;
		return 0;
	}
	*out = (struct tag_pattern){ .kind = PATTERN_REGEX,
		.prefix = common_prefix_of(simplified.strings, simplified.strings_count) };
	if (simplified.is_exact) {
		set_literals(out, simplified.strings, simplified.strings_count);
		return 0;
	}
	return regex_compile(mem, text, &out->regex);
}

void
tag_pattern_free(struct tag_pattern *pattern)
{
	regex_destroy(pattern->regex);
	pattern->regex = NULL;
}

static bool
is_literal_of(const struct tag_pattern *pattern, struct bytes value)
{
	size_t low = 0, high = pattern->or_values_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = bytes_compare(value, pattern->or_values[middle]);

		if (c == 0)
			return true;
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* rest is what follows the prefix. */
static bool
shape_matches(const struct tag_pattern *pattern, struct bytes rest)
{
	struct bytes middle = pattern->middle;

	if (!pattern->has_middle)
		return rest.len >= pattern->gap_min;
	if (rest.len < pattern->gap_min + middle.len + pattern->tail_min)
		return false;
	if (!pattern->has_tail)
		return memcmp(rest.data + rest.len - middle.len, middle.data, middle.len) == 0;
	return memmem(rest.data + pattern->gap_min, rest.len - pattern->gap_min - pattern->tail_min, middle.data,
		   middle.len) != NULL;
}

bool
tag_pattern_matches(const struct tag_pattern *pattern, struct bytes value)
{
	if (pattern->kind == PATTERN_LITERALS)
		return is_literal_of(pattern, value);
	if (value.len < pattern->prefix.len ||
	    (pattern->prefix.len > 0 && memcmp(value.data, pattern->prefix.data, pattern->prefix.len) != 0))
		return false;
	if (pattern->kind == PATTERN_SHAPE)
		return shape_matches(pattern,
		    bytes_of(value.data + pattern->prefix.len, value.len - pattern->prefix.len));
	return regex_match(pattern->regex, value);
}
