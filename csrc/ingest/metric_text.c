/*
 * metric_text.c -- `name{label="value",...}` <-> labels.
 * floor: ingest     uses: metric_text.h scan.h err.h     used by: storage
 *
 *   metric  = [ identifier ] [ "{" [ item *( "," item ) [ "," ] ] "}" ]        white space between any two of these
 *   item    = ( identifier | string ) "=" string
 *           | string                         the metric name; only as the first item, and without a name in front
 *   string  = '"' ( any byte but '"' '\' | '\\' | '\"' | '\n' ) '"'
 */
#include "ingest/metric_text.h"

#include <stdlib.h>

#include "base/err.h"
#include "ingest/scan.h"

static const struct bytes name_label = { .data = (const uint8_t *)"__name__", .len = 8 };

/* Reads one metric; start is for positions in messages. */
struct reader {
	const uint8_t *start;
	const uint8_t *p;
	const uint8_t *end;
	struct arena *arena;
};

static bool
is_letter(uint8_t c, bool colon)
{
	return (uint8_t)((c | 0x20) - 'a') < 26 || c == '_' || (colon && c == ':');
}

/* The end of the identifier at p; p when there is none. Colons are for metric names only. */
static const uint8_t *
identifier_end(const uint8_t *p, const uint8_t *end, bool colon)
{
	if (p == end || !is_letter(*p, colon))
		return p;
	while (p < end && (is_letter(*p, colon) || (uint8_t)(*p - '0') <= 9))
		p++;
	return p;
}

static bool
is_identifier(struct bytes text, bool colon)
{
	return text.len != 0 && identifier_end(text.data, text.data + text.len, colon) == text.data + text.len;
}

static int
fault(const struct reader *reader, const char *what)
{
	int shown = (int)(reader->end - reader->start < 200 ? reader->end - reader->start : 200);

	return ERR(ERR_METRIC, "metric %.*s: %s at byte %zu", shown, (const char *)reader->start, what,
	    (size_t)(reader->p - reader->start) + 1);
}

static void
skip_space(struct reader *reader)
{
	while (reader->p < reader->end && (*reader->p == ' ' || (*reader->p >= '\t' && *reader->p <= '\r')))
		reader->p++;
}

static bool
skip_byte(struct reader *reader, uint8_t c)
{
	if (reader->p == reader->end || *reader->p != c)
		return false;
	reader->p++;
	skip_space(reader);
	return true;
}

/* The escapes of [p, end), known to be complete, resolved into the arena. */
static int
unescape(struct reader *reader, const uint8_t *p, const uint8_t *end, struct bytes *out)
{
	uint8_t *data = arena_bytes(reader->arena, (size_t)(end - p)), *q = data;

	if (data == NULL)
		return ERR_MEMORY;
	while (p < end) {
		if (*p != '\\') {
			*q++ = *p++;
			continue;
		}
		if (p[1] != '\\' && p[1] != '"' && p[1] != 'n') {
			reader->p = p;
			return fault(reader, "unknown escape");
		}
		*q++ = p[1] == 'n' ? '\n' : p[1];
		p += 2;
	}
	*out = bytes_of(data, (size_t)(q - data));
	return 0;
}

/* p stands on the opening quote. */
static int
read_string(struct reader *reader, struct bytes *out)
{
	const uint8_t *start = reader->p + 1;
	const uint8_t *quote = scan_unescaped(start, reader->end, '"');

	if (quote == NULL)
		return fault(reader, "a string without closing quote");
	if (memchr(start, '\\', (size_t)(quote - start)) == NULL)
		*out = bytes_of(start, (size_t)(quote - start));
	else
		TRY(unescape(reader, start, quote, out));
	reader->p = quote + 1;
	skip_space(reader);
	return 0;
}

/* One item between the braces. */
static int
read_item(struct reader *reader, bool name_allowed, struct labels *out)
{
	struct label *label = &out->items[out->count];
	const uint8_t *behind;

	if (out->count == LABELS_MAX)
		return fault(reader, "too many labels");
	if (reader->p < reader->end && *reader->p == '"') {
		TRY(read_string(reader, &label->name));
		if (name_allowed && (reader->p == reader->end || *reader->p != '=')) {
			label->value = label->name;
			label->name = name_label;
			out->count++;
			return 0;
		}
	} else {
		behind = identifier_end(reader->p, reader->end, false);
		label->name = bytes_of(reader->p, (size_t)(behind - reader->p));
		reader->p = behind;
		skip_space(reader);
		if (label->name.len == 0)
			return fault(reader, "a label name expected");
	}
	if (!skip_byte(reader, '='))
		return fault(reader, "'=' expected");
	if (reader->p == reader->end || *reader->p != '"')
		return fault(reader, "'\"' expected");
	TRY(read_string(reader, &label->value));
	out->count++;
	return 0;
}

int
metric_text_parse_prefix(const uint8_t *p, const uint8_t *end, struct arena *arena, struct labels *out,
    const uint8_t **next)
{
	struct reader reader = { .start = p, .p = p, .end = end, .arena = arena };
	const uint8_t *behind;
	bool named, first;

	out->count = 0;
	skip_space(&reader);
	behind = identifier_end(reader.p, end, true);
	named = behind != reader.p;
	if (named)
		out->items[out->count++] =
		    (struct label){ .name = name_label, .value = bytes_of(reader.p, (size_t)(behind - reader.p)) };
	reader.p = behind;
	*next = behind;
	skip_space(&reader);
	if (reader.p == end || *reader.p != '{') {
		if (!named)
			return fault(&reader, "a name or '{' expected");
		return 0;
	}
	reader.p++;
	skip_space(&reader);
	for (first = true; reader.p == end || *reader.p != '}'; first = false) {
		TRY(read_item(&reader, first && !named, out));
		if (!skip_byte(&reader, ',') && (reader.p == end || *reader.p != '}'))
			return fault(&reader, "',' or '}' expected");
	}
	*next = reader.p + 1;
	return 0;
}

int
metric_text_parse(struct bytes text, struct arena *arena, struct labels *out)
{
	struct reader reader = { .start = text.data, .end = text.data + text.len };

	TRY(metric_text_parse_prefix(text.data, reader.end, arena, out, &reader.p));
	skip_space(&reader);
	if (reader.p != reader.end)
		return fault(&reader, "more text than a metric");
	return 0;
}

/* -- Writing ------------------------------------------------------------------------------------------------------ */

static bool
is_name_label(const struct label *label)
{
	return label->name.len == 0 || bytes_equal(label->name, name_label);
}

/* The metric name first, whatever it is written as; then by bytes, and equal names by value, so that the text is one. */
static int
compare_labels(const void *left, const void *right)
{
	const struct label *a = left, *b = right;
	bool a_name = is_name_label(a), b_name = is_name_label(b);
	int order;

	if (a_name || b_name)
		return a_name == b_name ? bytes_compare(a->value, b->value) : b_name - a_name;
	order = bytes_compare(a->name, b->name);
	return order != 0 ? order : bytes_compare(a->value, b->value);
}

/* `out` must have room for 2 * text.len + 2 bytes more. */
static void
put_string(struct buf *out, struct bytes text)
{
	uint8_t *q = out->data + out->len;

	*q++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (c == '\\' || c == '"' || c == '\n') {
			*q++ = '\\';
			c = c == '\n' ? 'n' : c;
		}
		*q++ = c;
	}
	*q++ = '"';
	out->len = (size_t)(q - out->data);
}

static void
put_bytes(struct buf *out, const void *data, size_t n)
{
	if (n != 0)
		memcpy(out->data + out->len, data, n);
	out->len += n;
}

int
metric_text_format(struct labels *labels, struct buf *out)
{
	size_t room = 2, first = 0;
	const struct label *label = labels->items;

	for (size_t i = 0; i < labels->count; i++)
		room += 2 * (labels->items[i].name.len + labels->items[i].value.len) + sizeof("__name__=\"\"\"\",");
	TRY(buf_reserve(out, room));
	qsort(labels->items, labels->count, sizeof(labels->items[0]), compare_labels);
	if (labels->count > 0 && is_name_label(label) && is_identifier(label->value, true)) {
		put_bytes(out, label->value.data, label->value.len);
		first = 1;
	}
	if (first == 1 && labels->count == 1)
		return 0;
	put_bytes(out, "{", 1);
	for (size_t i = first; i < labels->count; i++) {
		label = &labels->items[i];
		if (i > first)
			put_bytes(out, ",", 1);
		if (is_name_label(label))
			put_bytes(out, name_label.data, name_label.len);
		else if (is_identifier(label->name, false))
			put_bytes(out, label->name.data, label->name.len);
		else
			put_string(out, label->name);
		put_bytes(out, "=", 1);
		put_string(out, label->value);
	}
	put_bytes(out, "}", 1);
	return 0;
}
