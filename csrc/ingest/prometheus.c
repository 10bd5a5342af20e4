/*
 * prometheus.c -- Prometheus text exposition format, as far as OpenMetrics lines too.
 * floor: ingest     uses: parser.h plain_labels.h number.h scan.h err.h     used by: ingest.c
 *
 *   [ # comment ]
 *   name [ {label="value",...} ] value [ timestamp ] [ # anything: exemplars, comments ]
 *   |---------- head ----------|
 *
 * White space is ' ' and '\t'. A name is any bytes up to '{' or white space, a label name any bytes up to '='; a label
 * without name does not count. In label values "\\", "\"" and "\n" are escapes, other backslashes stand for themselves.
 * A timestamp of less than 2^31 is in seconds (OpenMetrics), else in milliseconds; 0 is none.
 *
 * Differences from victoria-metrics 1.79.5, on purpose:
 *  (1) The quoted names of Prometheus 3 are read, as metric_text.h writes them: {"any name",...}, "any label"="value";
 *      and {__name__="any name",...}. There the first and last are bad lines and the quotes would be part of the label name.
 *  (2) `name 5 # {...} 1`, an exemplar behind a name without labels, is the series `name`; there it is `name 5 #{...}`.
 *  (3) "+5", ".5", "5." are numbers, as in Prometheus; there the line is bad.
 *  (4) A line may have 16 MiB; there a line over 256 KiB ends the whole request.
 */
#include <math.h>

#include "base/err.h"
#include "ingest/number.h"
#include "ingest/parser.h"
#include "ingest/plain_labels.h"
#include "ingest/scan.h"

static inline bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static inline const uint8_t *
skip_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* [p, end) without white space at its end. */
static struct bytes
trimmed(const uint8_t *p, const uint8_t *end)
{
	while (end > p && is_space(end[-1]))
		end--;
	return bytes_of(p, (size_t)(end - p));
}

/* -- Heads -------------------------------------------------------------------------------------------------------- */

/* Takes a head apart from the left. */
struct head_reader {
	const uint8_t *p;
	const uint8_t *end;
	struct bytes name; /* empty: none yet */
	bool in_braces;    /* p is between the braces */
	bool first;        /* no label read yet */
	const char *fault; /* what is wrong; NULL: nothing */
};

/* The name in front, and whether braces follow. */
static void
head_start(struct head_reader *reader, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *stop = scan_any4(p, end, '{', ' ', '\t', '{'), *brace = stop;

	*reader = (struct head_reader){ .p = p, .end = end, .first = true };
	if (stop < end && *stop != '{') {
		/* a brace behind white space belongs to the head, but not behind " #", where an exemplar starts */
		brace = memchr(stop, '{', (size_t)(end - stop));
		if (brace != NULL && memchr(stop, '#', (size_t)(brace - stop)) != NULL)
			brace = NULL;
	}
	if (brace == NULL || brace == end) {
		reader->name = bytes_of(p, (size_t)(stop - p));
		reader->p = stop;
		return;
	}
	reader->name = trimmed(p, brace);
	reader->p = brace + 1;
	reader->in_braces = true;
}

static bool
head_fault(struct head_reader *reader, const char *fault)
{
	reader->fault = fault;
	return false;
}

/* The string whose opening quote is at p, escapes kept; p moves behind it and white space. */
static bool
head_string(struct head_reader *reader, struct bytes *out)
{
	const uint8_t *start = reader->p + 1, *quote = scan_unescaped(start, reader->end, '"');

	if (quote == NULL)
		return head_fault(reader, "a string without closing quote");
	*out = bytes_of(start, (size_t)(quote - start));
	reader->p = skip_space(quote + 1, reader->end);
	return true;
}

/* A label name and the '=' behind it. A string alone in the first place, when there is no name, is the metric name. */
static bool
head_label_name(struct head_reader *reader, struct label *label, bool *quoted)
{
	const uint8_t *equals;

	*quoted = *reader->p == '"';
	if (!*quoted) {
		equals = memchr(reader->p, '=', (size_t)(reader->end - reader->p));
		if (equals == NULL)
			return head_fault(reader, "a label without '='");
		label->name = trimmed(reader->p, equals);
		reader->p = skip_space(equals + 1, reader->end);
		return true;
	}
	if (!head_string(reader, &label->name))
		return false;
	if (reader->first && reader->name.len == 0 && reader->p < reader->end &&
	    (*reader->p == ',' || *reader->p == '}')) {
		label->value = label->name;
		label->name = bytes_of("__name__", 8);
		*quoted = false;
		return true;
	}
	if (reader->p == reader->end || *reader->p != '=')
		return head_fault(reader, "a label without '='");
	reader->p = skip_space(reader->p + 1, reader->end);
	return true;
}

/*
 * The next label, escapes kept. False: there is none; p is then behind the head, or fault is set. *quoted: the name was
 * written as a string, with escapes.
 */
static bool
head_next(struct head_reader *reader, struct label *label, bool *quoted)
{
	if (!reader->in_braces)
		return false;
	reader->p = skip_space(reader->p, reader->end);
	if (reader->p < reader->end && *reader->p == '}') {
		reader->in_braces = false;
		reader->p++;
		return false;
	}
	if (reader->p == reader->end)
		return head_fault(reader, "'}' expected");
	label->value.data = NULL;
	if (!head_label_name(reader, label, quoted))
		return false;
	if (label->value.data == NULL) {
		if (reader->p == reader->end || *reader->p != '"')
			return head_fault(reader, "'\"' expected");
		if (!head_string(reader, &label->value))
			return false;
	}
	reader->first = false;
	if (reader->p < reader->end && *reader->p == ',')
		reader->p++;
	else if (reader->p == reader->end || *reader->p != '}')
		return head_fault(reader, "',' or '}' expected");
	return true;
}

/* The position behind the head at p, or NULL with *fault. */
static const uint8_t *
head_end(const struct ingest_parser *parser, const uint8_t *p, const uint8_t *end, const char **fault)
{
	struct head_reader reader;
	struct label label;
	size_t labels = 0;
	bool named, quoted;

	head_start(&reader, p, end);
	named = reader.name.len != 0;
	if (named && reader.in_braces) {
		p = plain_labels_end(reader.p, end, &labels);
		if (p != NULL && labels <= parser->labels_max)
			return p;
		labels = 0;
	}
	while (head_next(&reader, &label, &quoted)) {
		if (labels++ == parser->labels_max) {
			*fault = "too many labels";
			return NULL;
		}
		named = named || (label.value.len != 0 && bytes_equal(label.name, bytes_of("__name__", 8)));
	}
	*fault = reader.fault != NULL ? reader.fault : named ? NULL : "no metric name";
	return *fault == NULL ? reader.p : NULL;
}

/* -- Any line ----------------------------------------------------------------------------------------------------- */

/* Milliseconds of a timestamp as written; false when it is none. */
static bool
parse_timestamp(const struct ingest_parser *parser, struct bytes text, int64_t *out)
{
	const uint8_t *end = text.data + text.len;
	double seconds_max = 2147483648.0, written;

	if (number_parse_double(text.data, end, &written) != end)
		return false;
	if (written >= -seconds_max && written < seconds_max)
		written *= 1000;
	if (!(written > -9.2e18 && written < 9.2e18)) /* also NaN */
		return false;
	*out = (int64_t)written;
	if (*out == 0)
		*out = parser->default_timestamp_ms;
	return true;
}

static int
add_row(struct ingest_parser *parser, struct bytes head, double value, int64_t timestamp)
{
	struct head_entry *entry = head_memo_find(&parser->memo, head);

	if (entry == NULL)
		entry = head_memo_add(&parser->memo, head);
	head_memo_follow(&parser->memo, entry);
	if (isnan(value)) {
		parser->report.nan++;
		return 0;
	}
	TRY(parser_reserve_row(parser));
	parser->rows[parser->rows_count++] = (struct ingest_row){
		.head = head,
		.timestamp_ms = timestamp,
		.value = value,
	};
	return 0;
}

int
prometheus_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *start, *stop, *behind;
	int64_t timestamp = parser->default_timestamp_ms;
	const char *fault;
	struct bytes head;
	double value;

	start = skip_space(p, end);
	if (start == end || *start == '#')
		return 0;
	p = head_end(parser, start, end, &fault);
	if (p == NULL) {
		parser_reject_bytes(parser, fault, bytes_of(start, (size_t)(end - start)));
		return 0;
	}
	head = bytes_of(start, (size_t)(p - start));
	p = skip_space(p, end);
	stop = p == end ? NULL : memchr(p, '#', (size_t)(end - p));
	end = stop == NULL ? end : stop;
	if (p == end) {
		parser_reject_bytes(parser, "no value", head);
		return 0;
	}
	behind = number_parse_double(p, end, &value);
	if (behind == NULL || (behind != end && !is_space(*behind))) {
		parser_reject_bytes(parser, "not a value", trimmed(p, end));
		return 0;
	}
	p = skip_space(behind, end);
	if (p != end && !parse_timestamp(parser, trimmed(p, end), &timestamp)) {
		parser_reject_bytes(parser, "not a timestamp", trimmed(p, end));
		return 0;
	}
	return add_row(parser, head, value, timestamp);
}

/* -- Lines that the memo foretells -------------------------------------------------------------------------------- */

/* The rest of a line behind its value: nothing, or a timestamp in plain digits. The start of the next line, or NULL. */
static inline const uint8_t *
plain_end(const struct ingest_parser *parser, const uint8_t *p, const uint8_t *end, int64_t *timestamp)
{
	const uint8_t *digits;
	uint64_t written;

	*timestamp = parser->default_timestamp_ms;
	if (p < end && is_space(*p)) {
		digits = skip_space(p, end);
		p = number_parse_uint64(digits, end, &written);
		/* from 10 digits on, of which 16 are exact in a double, it is a matter of milliseconds and fits */
		if (p == NULL || written < INT64_C(2147483648) || written > INT64_C(9007199254740992))
			return NULL;
		*timestamp = (int64_t)written;
	}
	if (end - p >= 2 && *p == '\r')
		p++;
	return p < end && *p == '\n' ? p + 1 : NULL;
}

const uint8_t *
prometheus_known(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	struct head_entry *entry;
	const uint8_t *next;
	int64_t timestamp;
	double value;

	while (parser->rows_count < INGEST_BATCH_ROWS && p < end) {
		if (*p == '#') {
			next = memchr(p, '\n', (size_t)(end - p));
			if (next == NULL || next - p > INGEST_LINE_BYTES_MAX)
				return p;
			parser->report.lines++;
			p = next + 1;
			continue;
		}
		entry = head_memo_guess(&parser->memo);
		if (entry == NULL || (size_t)(end - p) <= entry->len || !is_space(p[entry->len]) ||
		    memcmp(p, entry->text, entry->len) != 0)
			return p;
		next = number_parse_double(skip_space(p + entry->len, end), end, &value);
		next = next == NULL || isnan(value) ? NULL : plain_end(parser, next, end, &timestamp);
		if (next == NULL || next - p > INGEST_LINE_BYTES_MAX)
			return p;
		parser->rows[parser->rows_count++] = (struct ingest_row){
			.head = bytes_of(p, entry->len),
			.timestamp_ms = timestamp,
			.value = value,
		};
		parser->report.lines++;
		head_memo_follow(&parser->memo, entry);
		p = next;
	}
	return p;
}

/* -- Labels of a raw key ------------------------------------------------------------------------------------------- */

static int
unescape(struct bytes text, struct arena *arena, struct bytes *out)
{
	const uint8_t *p = text.data, *end = p + text.len;
	uint8_t *data, *q;

	*out = text;
	if (text.len == 0 || memchr(p, '\\', text.len) == NULL)
		return 0;
	data = q = arena_bytes(arena, text.len);
	if (data == NULL)
		return ERR_MEMORY;
	while (p < end) {
		if (*p == '\\' && end - p >= 2) {
			p++;
			if (*p != '\\' && *p != '"' && *p != 'n')
				*q++ = '\\';
			*q++ = *p == 'n' ? '\n' : *p;
			p++;
		} else {
			*q++ = *p++;
		}
	}
	*out = bytes_of(data, (size_t)(q - data));
	return 0;
}

int
prometheus_labels(const struct ingest_options *options, struct bytes head, struct arena *arena, struct labels *out)
{
	struct head_reader reader;
	struct label label;
	bool quoted, room;

	head_start(&reader, head.data, head.data + head.len);
	room = parser_add_label(out, bytes_of("__name__", 8), reader.name);
	while (head_next(&reader, &label, &quoted)) {
		if (quoted)
			TRY(unescape(label.name, arena, &label.name));
		TRY(unescape(label.value, arena, &label.value));
		/* nothing in front of the '=' is no label; the name "" would be the metric's */
		if (label.name.len != 0)
			room = room && parser_add_label(out, label.name, label.value);
	}
	if (reader.fault != NULL)
		return ERR(ERR_METRIC, "%s", reader.fault);
	for (size_t i = 0; i < options->extra_labels_count; i++)
		room = room && parser_add_label(out, options->extra_labels[i].name, options->extra_labels[i].value);
	return room ? 0 : ERR(ERR_METRIC, "more than %d labels", LABELS_MAX);
}
