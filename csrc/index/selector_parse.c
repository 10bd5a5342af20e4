/*
 * selector_parse.c -- `name{label="value",other=~"re.+"}`: Prometheus selectors as text -> names, operators, values.
 * floor: index     uses: tag_filter.h     used by: tag_filter
 *
 *   selector = [name] [ "{" [ item { "," item } [","] ] "}" ]        at least one of the two
 *   item     = string                                                the name, quoted
 *            | (identifier | string) ("=" | "!=" | "=~" | "!~") string
 *   string   = "..." or '...' with the escapes of Go, or `...` as it stands
 */
#include "index/tag_filter.h"

struct parser {
	struct bytes text;
	const uint8_t *p, *end;
	struct arena *arena;
};

static int
syntax_error(const struct parser *parser, const char *what)
{
	return ERR(ERR_MATCH, "%s at position %zu of selector '%.*s'", what,
	    (size_t)(parser->p - parser->text.data) + 1, (int)(parser->text.len > 200 ? 200 : parser->text.len),
	    (const char *)parser->text.data);
}

static void
skip_space(struct parser *parser)
{
	while (parser->p < parser->end &&
	    (*parser->p == ' ' || *parser->p == '\t' || *parser->p == '\n' || *parser->p == '\r'))
		parser->p++;
}

static bool
accept(struct parser *parser, uint8_t c)
{
	if (parser->p == parser->end || *parser->p != c)
		return false;
	parser->p++;
	return true;
}

/* -- Strings ------------------------------------------------------------------------------------------------------------ */

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint8_t *
put_utf8(uint8_t *out, uint32_t c)
{
	if (c < 0x80) {
		*out++ = (uint8_t)c;
	} else if (c < 0x800) {
		*out++ = (uint8_t)(0xC0 | c >> 6);
		*out++ = (uint8_t)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*out++ = (uint8_t)(0xE0 | c >> 12);
		*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
		*out++ = (uint8_t)(0x80 | (c & 0x3F));
	} else {
		*out++ = (uint8_t)(0xF0 | c >> 18);
		*out++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
		*out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
		*out++ = (uint8_t)(0x80 | (c & 0x3F));
	}
	return out;
}

/* Digits of base 8 or 16 at the position; the number, or an error. */
static int
read_digits(struct parser *parser, unsigned digits, unsigned base, uint32_t *out)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < digits; i++) {
		int digit = parser->p < parser->end ? hex_digit(*parser->p) : -1;

		if (digit < 0 || (unsigned)digit >= base)
			return syntax_error(parser, "a digit is missing in an escape");
		value = value * base + (uint32_t)digit;
		parser->p++;
	}
	*out = value;
	return 0;
}

/* The escape behind a backslash; at most four bytes come out of two or more. */
static int
read_escape(struct parser *parser, uint8_t quote, uint8_t **out)
{
	static const char names[] = "abfnrtv\\", bytes[] = "\a\b\f\n\r\t\v\\";
	const char *simple;
	uint32_t value = 0;
	uint8_t c;

	if (parser->p == parser->end)
		return syntax_error(parser, "the string does not end");
	c = *parser->p;
	simple = c == 0 ? NULL : strchr(names, c);
	if (simple != NULL || c == quote) {
		*(*out)++ = c == quote ? c : (uint8_t)bytes[simple - names];
		parser->p++;
		return 0;
	}
	if (c >= '0' && c <= '7') {
		TRY(read_digits(parser, 3, 8, &value));
		if (value > 255)
			return syntax_error(parser, "an octal escape above 377");
		*(*out)++ = (uint8_t)value;
		return 0;
	}
	if (c != 'x' && c != 'u' && c != 'U')
		return syntax_error(parser, "unknown escape in a string (a backslash itself is written \\\\)");
	parser->p++;
	TRY(read_digits(parser, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, &value));
	if (c == 'x') {
		*(*out)++ = (uint8_t)value;
		return 0;
	}
	if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))
		return syntax_error(parser, "an escape that is no character");
	*out = put_utf8(*out, value);
	return 0;
}

static bool
is_quote(const struct parser *parser)
{
	return parser->p < parser->end && (*parser->p == '"' || *parser->p == '\'' || *parser->p == '`');
}

static int
read_string(struct parser *parser, struct bytes *out)
{
	uint8_t quote = *parser->p++;
	const uint8_t *start = parser->p;
	const uint8_t *stop = start;
	uint8_t *copy, *at;

	while (stop < parser->end && *stop != quote && (*stop != '\\' || quote == '`'))
		stop++;
	if (stop < parser->end && *stop == quote) {
		*out = bytes_of(start, (size_t)(stop - start));
		parser->p = stop + 1;
		return 0;
	}
	copy = at = arena_bytes(parser->arena, (size_t)(parser->end - start) + 4);
	if (copy == NULL)
		return ERR_MEMORY;
	while (parser->p < parser->end && *parser->p != quote) {
		uint8_t c = *parser->p++;

		if (c == '\\' && quote != '`')
			TRY(read_escape(parser, quote, &at));
		else
			*at++ = c;
	}
	if (!accept(parser, quote))
		return syntax_error(parser, "the string does not end");
	*out = bytes_of(copy, (size_t)(at - copy));
	return 0;
}

/* -- Names and items ------------------------------------------------------------------------------------------------------ */

static bool
is_name_byte(uint8_t c)
{
	/* Dots and bytes of UTF-8 are taken as they stand: names from Graphite and others have them. */
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':' ||
	    c == '.' || c >= 0x80;
}

static bool
read_identifier(struct parser *parser, struct bytes *out)
{
	const uint8_t *start = parser->p;

	if (start == parser->end || !is_name_byte(*start) || (*start >= '0' && *start <= '9'))
		return false;
	while (parser->p < parser->end && is_name_byte(*parser->p))
		parser->p++;
	*out = bytes_of(start, (size_t)(parser->p - start));
	return true;
}

static int
read_operator(struct parser *parser, enum match_operator *out)
{
	if (accept(parser, '=')) {
		*out = accept(parser, '~') ? MATCH_REGEX : MATCH_EQUAL;
		return 0;
	}
	if (accept(parser, '!')) {
		if (accept(parser, '~'))
			*out = MATCH_NOT_REGEX;
		else if (accept(parser, '='))
			*out = MATCH_NOT_EQUAL;
		else
			return syntax_error(parser, "expected != or !~");
		return 0;
	}
	return syntax_error(parser, "expected one of = != =~ !~");
}

static int
add_label(struct parser *parser, struct selector *out, struct selector_label label)
{
	if (out->count == MATCH_FILTERS_MAX)
		return syntax_error(parser, "too many labels");
	if (label.name.len == 8 && memcmp(label.name.data, "__name__", 8) == 0)
		label.name.len = 0;
	out->labels[out->count++] = label;
	return 0;
}

static int
read_item(struct parser *parser, struct selector *out)
{
	struct selector_label label;
	bool quoted = is_quote(parser);

	if (quoted)
		TRY(read_string(parser, &label.name));
	else if (!read_identifier(parser, &label.name))
		return syntax_error(parser, "expected a label name");
	skip_space(parser);
	if (quoted && parser->p < parser->end && (*parser->p == ',' || *parser->p == '}'))
		return add_label(parser, out,
		    (struct selector_label){ .name = bytes_of("", 0), .value = label.name, .op = MATCH_EQUAL });
	TRY(read_operator(parser, &label.op));
	skip_space(parser);
	if (!is_quote(parser))
		return syntax_error(parser, "expected a quoted value");
	TRY(read_string(parser, &label.value));
	return add_label(parser, out, label);
}

static int
read_items(struct parser *parser, struct selector *out)
{
	for (;;) {
		skip_space(parser);
		if (accept(parser, '}'))
			return 0;
		TRY(read_item(parser, out));
		skip_space(parser);
		if (accept(parser, ','))
			continue;
		if (parser->p == parser->end || *parser->p != '}')
			return syntax_error(parser, "expected , or }");
	}
}

int
selector_parse(struct bytes text, struct arena *arena, struct selector *out)
{
	struct parser parser = { .text = text, .p = text.data, .end = text.data + text.len, .arena = arena };
	struct bytes name;
	bool something = false;

	out->count = 0;
	skip_space(&parser);
	if (read_identifier(&parser, &name)) {
		something = true;
		TRY(add_label(&parser, out,
		    (struct selector_label){ .name = bytes_of("", 0), .value = name, .op = MATCH_EQUAL }));
		skip_space(&parser);
	}
	if (accept(&parser, '{')) {
		something = true;
		TRY(read_items(&parser, out));
	}
	skip_space(&parser);
	if (!something)
		return syntax_error(&parser, "expected a name or {");
	if (parser.p != parser.end)
		return syntax_error(&parser, "unexpected text");
	return 0;
}
