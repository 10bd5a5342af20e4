/*
 * regexp_simplify.c -- literals, alternatives, prefixes and shapes of a regexp, without an engine.
 * floor: index     uses: tag_pattern.h     used by: tag_pattern
 *
 * Two small readers go over the text. The first looks for a shape (literals and dots in a row). The second computes for
 * every piece a set of strings such that each match starts with one of them, and whether the set is the whole language:
 *
 *   a b     {x + y}        a|b   union        a?   {""} and a        a+   a, not exact        a* . [^x] \d   {""}, not exact
 *
 * Whatever is not plainly understood ends the reading: the regexp engine then decides, also about syntax errors.
 */
#include "index/tag_pattern.h"

enum { GROUP_DEPTH_MAX = 32, SHAPE_TOKENS_MAX = 4 };

/* -- Characters -------------------------------------------------------------------------------------------------------- */

/* Bytes of the character at p, 0 when it is not valid UTF-8 (the engine then refuses the pattern). */
static size_t
character_bytes(const uint8_t *p, const uint8_t *end)
{
	size_t n = *p < 0x80           ? 1
	    : *p >= 0xC2 && *p <= 0xDF ? 2
	    : *p >= 0xE0 && *p <= 0xEF ? 3
	    : *p >= 0xF0 && *p <= 0xF4 ? 4
				       : 0;

	if (n == 0 || (size_t)(end - p) < n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	}
	return n;
}

static bool
is_punctuation(uint8_t c)
{
	return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static bool
is_quantifier(const uint8_t *p, const uint8_t *end)
{
	return p < end && (*p == '*' || *p == '+' || *p == '?' || *p == '{');
}

/* The character behind a backslash that stands for one byte; -1: a class or something else. */
static int
escaped_byte(uint8_t c)
{
	switch (c) {
	case 't': return '\t';
	case 'n': return '\n';
	case 'r': return '\r';
	case 'f': return '\f';
	case 'v': return '\v';
	case 'a': return '\a';
	default: return is_punctuation(c) ? c : -1;
	}
}

/* A literal character at *p (plain or escaped) into text; false when there is none. */
static bool
read_literal(const uint8_t **p, const uint8_t *end, uint8_t text[4], size_t *text_bytes)
{
	const uint8_t *at = *p;
	int byte;

	if (*at == '\\') {
		byte = at + 1 < end ? escaped_byte(at[1]) : -1;
		if (byte < 0)
			return false;
		text[0] = (uint8_t)byte;
		*text_bytes = 1;
		*p = at + 2;
		return true;
	}
	if (memchr("()[{.*+?|^$", *at, 11) != NULL)
		return false;
	*text_bytes = character_bytes(at, end);
	if (*text_bytes == 0)
		return false;
	memcpy(text, at, *text_bytes);
	*p = at + *text_bytes;
	return true;
}

/* Behind "(" or "(?:"; NULL for groups that mean more. */
static const uint8_t *
skip_group_start(const uint8_t *p, const uint8_t *end)
{
	p++;
	if (p == end || *p != '?')
		return p;
	return end - p >= 2 && p[1] == ':' ? p + 2 : NULL;
}

/* -- Shapes ------------------------------------------------------------------------------------------------------------ */

struct shape_token {
	bool is_dots;
	size_t dots_min;
	uint8_t *text; /* literal: appended to in the arena's room of the whole pattern */
	size_t text_bytes;
};

struct shape_reader {
	const uint8_t *p, *end;
	uint8_t *room; /* as many bytes as the pattern has */
	struct shape_token tokens[SHAPE_TOKENS_MAX];
	unsigned count;
};

static bool
add_shape_literal(struct shape_reader *reader, const uint8_t *text, size_t n)
{
	struct shape_token *last = reader->count > 0 ? &reader->tokens[reader->count - 1] : NULL;

	if (last == NULL || last->is_dots) {
		if (reader->count == SHAPE_TOKENS_MAX)
			return false;
		last = &reader->tokens[reader->count++];
		*last = (struct shape_token){ .text = reader->room };
	}
	memcpy(reader->room, text, n);
	reader->room += n;
	last->text_bytes += n;
	return true;
}

/* `.*` `.+` and their lazy forms; a lone dot is no D. */
static bool
add_shape_dots(struct shape_reader *reader)
{
	const uint8_t *p = reader->p + 1;

	if (p == reader->end || (*p != '*' && *p != '+') || reader->count == SHAPE_TOKENS_MAX)
		return false;
	reader->tokens[reader->count++] = (struct shape_token){ .is_dots = true, .dots_min = *p == '+' };
	p++;
	if (p < reader->end && *p == '?')
		p++;
	reader->p = p;
	return !is_quantifier(p, reader->end);
}

/* Tokens up to the end or a closing parenthesis; false when it is no row of literals and dots. */
static bool
read_shape(struct shape_reader *reader, unsigned depth)
{
	uint8_t text[4];
	size_t n;

	while (reader->p < reader->end && *reader->p != ')') {
		uint8_t c = *reader->p;

		if (c == '(') {
			reader->p = skip_group_start(reader->p, reader->end);
			if (reader->p == NULL || depth == GROUP_DEPTH_MAX || !read_shape(reader, depth + 1))
				return false;
			if (reader->p == reader->end || is_quantifier(++reader->p, reader->end))
				return false;
			continue;
		}
		if (c == '.') {
			if (!add_shape_dots(reader))
				return false;
			continue;
		}
		if ((c == '^' && depth == 0 && reader->count == 0) ||
		    (c == '$' && depth == 0 && reader->p + 1 == reader->end)) {
			reader->p++;
			if (is_quantifier(reader->p, reader->end))
				return false;
			continue;
		}
		if (!read_literal(&reader->p, reader->end, text, &n) || is_quantifier(reader->p, reader->end) ||
		    !add_shape_literal(reader, text, n))
			return false;
	}
	return depth > 0 || reader->p == reader->end;
}

static bool
shape_of(const struct shape_reader *reader, struct tag_pattern *out)
{
	const struct shape_token *token = reader->tokens, *end = token + reader->count;

	*out = (struct tag_pattern){ .kind = PATTERN_SHAPE, .prefix = bytes_of("", 0), .middle = bytes_of("", 0) };
	if (token < end && !token->is_dots) {
		out->prefix = bytes_of(token->text, token->text_bytes);
		token++;
	}
	if (token == end || !token->is_dots)
		return false;
	out->gap_min = token->dots_min;
	token++;
	if (token == end)
		return true;
	if (token->is_dots)
		return false; /* .*.* has no shortcut */
	out->has_middle = true;
	out->middle = bytes_of(token->text, token->text_bytes);
	token++;
	if (token == end)
		return true;
	if (!token->is_dots)
		return false;
	out->has_tail = true;
	out->tail_min = token->dots_min;
	return token + 1 == end;
}

/* -- Sets of strings --------------------------------------------------------------------------------------------------- */

struct string_set {
	struct bytes *items;
	size_t count;
	bool exact;
};

struct set_reader {
	const uint8_t *p, *end;
	struct arena *arena;
	size_t bytes; /* made so far: patterns like (a|b)(a|b)(a|b)... must not fill the memory */
	bool failed;  /* not understood, or too large */
	int rc;
};

enum { SET_BYTES_MAX = 1 << 20 };

static struct bytes *
new_strings(struct set_reader *reader, size_t n)
{
	struct bytes *items;

	reader->bytes += n * sizeof(*items);
	if (n > PATTERN_OR_VALUES_MAX || reader->bytes > SET_BYTES_MAX) {
		reader->failed = true;
		return NULL;
	}
	items = arena_alloc(reader->arena, n * sizeof(*items));
	if (items == NULL) {
		reader->failed = true;
		reader->rc = ERR_MEMORY;
	}
	return items;
}

static struct string_set
set_of_text(struct set_reader *reader, const uint8_t *text, size_t n, bool exact)
{
	struct string_set set = { .items = new_strings(reader, 1), .count = 1, .exact = exact };
	uint8_t *copy;

	if (set.items == NULL)
		return (struct string_set){ .count = 0 };
	copy = arena_copy(reader->arena, text, n);
	if (copy == NULL) {
		reader->failed = true;
		reader->rc = ERR_MEMORY;
		return (struct string_set){ .count = 0 };
	}
	set.items[0] = bytes_of(copy, n);
	return set;
}

static struct string_set
set_union(struct set_reader *reader, struct string_set a, struct string_set b)
{
	struct string_set set = { .items = new_strings(reader, a.count + b.count),
		.count = a.count + b.count,
		.exact = a.exact && b.exact };

	if (set.items == NULL)
		return (struct string_set){ .count = 0 };
	memcpy(set.items, a.items, a.count * sizeof(*a.items));
	memcpy(set.items + a.count, b.items, b.count * sizeof(*b.items));
	return set;
}

/* Behind strings that are not the whole piece nothing is known; too large a product keeps the first part as prefixes. */
static struct string_set
set_concat(struct set_reader *reader, struct string_set a, struct string_set b)
{
	struct string_set set = { .count = a.count * b.count, .exact = b.exact };
	size_t at = 0;

	if (!a.exact)
		return a;
	if (set.count > PATTERN_OR_VALUES_MAX) {
		a.exact = false;
		return a;
	}
	set.items = new_strings(reader, set.count);
	for (size_t i = 0; i < a.count && !reader->failed; i++) {
		for (size_t j = 0; j < b.count && !reader->failed; j++) {
			size_t n = a.items[i].len + b.items[j].len;
			uint8_t *text = arena_bytes(reader->arena, n);

			reader->bytes += n;
			if (text == NULL || reader->bytes > SET_BYTES_MAX) {
				reader->failed = true;
				reader->rc = text == NULL ? ERR_MEMORY : reader->rc;
				break;
			}
			memcpy(text, a.items[i].data, a.items[i].len);
			memcpy(text + a.items[i].len, b.items[j].data, b.items[j].len);
			set.items[at++] = bytes_of(text, n);
		}
	}
	return reader->failed ? (struct string_set){ .count = 0 } : set;
}

static struct string_set
set_unknown(struct set_reader *reader)
{
	return set_of_text(reader, (const uint8_t *)"", 0, false);
}

static struct string_set
give_up(struct set_reader *reader)
{
	reader->failed = true;
	return (struct string_set){ .count = 0 };
}

/* [abc], [a-c], [.]: ASCII members and ranges only. */
static struct string_set
read_class(struct set_reader *reader)
{
	struct string_set set = { .count = 0 };
	const uint8_t *p = reader->p + 1, *end = reader->end;
	bool members[128] = { false };

	if (p < end && (*p == '^' || *p == ']'))
		return give_up(reader);
	while (p < end && *p != ']') {
		uint8_t low = *p++, high = low;

		if (low >= 0x80 || low == '\\' || low == '[')
			return give_up(reader);
		if (end - p >= 2 && p[0] == '-' && p[1] != ']') {
			high = p[1];
			p += 2;
			if (high >= 0x80 || high == '\\' || high == '[' || high < low)
				return give_up(reader);
		}
		for (unsigned c = low; c <= high; c++)
			members[c] = true;
	}
	if (p == end)
		return give_up(reader);
	reader->p = p + 1;
	for (unsigned c = 0; c < 128 && !reader->failed; c++) {
		uint8_t byte = (uint8_t)c;

		if (members[c]) {
			struct string_set one = set_of_text(reader, &byte, 1, true);

			set = set.count == 0 ? one : reader->failed ? one : set_union(reader, set, one);
		}
	}
	return set;
}

static struct string_set read_alternatives(struct set_reader *reader, unsigned depth);

static struct string_set
read_group(struct set_reader *reader, unsigned depth)
{
	struct string_set set;

	reader->p = skip_group_start(reader->p, reader->end);
	if (reader->p == NULL || depth == GROUP_DEPTH_MAX)
		return give_up(reader);
	set = read_alternatives(reader, depth + 1);
	if (reader->failed || reader->p == reader->end || *reader->p != ')')
		return give_up(reader);
	reader->p++;
	return set;
}

static struct string_set
read_atom(struct set_reader *reader, unsigned depth)
{
	uint8_t text[4];
	size_t n;

	switch (*reader->p) {
	case '(': return read_group(reader, depth);
	case '[': return read_class(reader);
	case '.': reader->p++; return set_unknown(reader);
	default:
		if (*reader->p == '\\' && reader->end - reader->p >= 2 && memchr("dDwWsS", reader->p[1], 6) != NULL) {
			reader->p += 2;
			return set_unknown(reader);
		}
		if (!read_literal(&reader->p, reader->end, text, &n))
			return give_up(reader);
		return set_of_text(reader, text, n, true);
	}
}

static struct string_set
read_repeated(struct set_reader *reader, unsigned depth)
{
	struct string_set set = read_atom(reader, depth);
	uint8_t c;

	if (reader->failed || !is_quantifier(reader->p, reader->end))
		return set;
	c = *reader->p++;
	if (c == '{')
		return give_up(reader);
	if (reader->p < reader->end && *reader->p == '?')
		reader->p++;
	if (is_quantifier(reader->p, reader->end))
		return give_up(reader);
	if (c == '*')
		return set_unknown(reader);
	if (c == '?')
		return set_union(reader, set, set_of_text(reader, (const uint8_t *)"", 0, true));
	set.exact = false;
	return set;
}

/* One alternative. Anchors mean nothing at the ends of the whole pattern, which is anchored anyway. */
static struct string_set
read_sequence(struct set_reader *reader, unsigned depth)
{
	struct string_set set = set_of_text(reader, (const uint8_t *)"", 0, true);
	bool first = true;

	while (!reader->failed && reader->p < reader->end && *reader->p != '|' && *reader->p != ')') {
		uint8_t c = *reader->p;

		if (c == '^' || c == '$') {
			bool last = reader->p + 1 == reader->end || reader->p[1] == '|';

			if (depth > 0 || (c == '^' ? !first : !last) || is_quantifier(reader->p + 1, reader->end))
				return give_up(reader);
			reader->p++;
			continue;
		}
		struct string_set next = read_repeated(reader, depth);

		if (!reader->failed)
			set = set_concat(reader, set, next);
		first = false;
	}
	return set;
}

static struct string_set
read_alternatives(struct set_reader *reader, unsigned depth)
{
	struct string_set set = read_sequence(reader, depth);

	while (!reader->failed && reader->p < reader->end && *reader->p == '|') {
		struct string_set next;

		reader->p++;
		next = read_sequence(reader, depth);
		if (!reader->failed)
			set = set_union(reader, set, next);
	}
	return set;
}

/* -- Both -------------------------------------------------------------------------------------------------------------- */

int
regexp_simplify(struct arena *arena, struct bytes text, struct simplified *out)
{
	struct shape_reader shape = { .p = text.data, .end = text.data + text.len };
	struct set_reader sets = { .p = text.data, .end = text.data + text.len, .arena = arena };
	struct string_set set;

	*out = (struct simplified){ .is_shape = false };
	shape.room = arena_bytes(arena, text.len + 4);
	if (shape.room == NULL)
		return ERR_MEMORY;
	if (read_shape(&shape, 0) && shape_of(&shape, &out->shape)) {
		out->is_shape = true;
		return 0;
	}
	set = read_alternatives(&sets, 0);
	if (sets.rc != 0)
		return sets.rc;
	if (sets.failed || sets.p != sets.end) { /* not understood, or a parenthesis too many */
		sets = (struct set_reader){ .p = text.data, .end = text.data, .arena = arena };
		set = set_unknown(&sets);
		if (sets.rc != 0)
			return sets.rc;
	}
	out->is_exact = set.exact;
	out->strings = set.items;
	out->strings_count = set.count;
	return 0;
}
