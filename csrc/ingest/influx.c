/*
 * influx.c -- InfluxDB line protocol.
 * floor: ingest     uses: parser.h digits.h number.h scan.h err.h     used by: ingest.c
 *
 *   measurement[,tag=value...] field=value[,field=value...] [timestamp]
 *   |----- head -------------| |tail|
 *
 * A byte behind an odd number of backslashes has no meaning of its own; "\," "\=" "\ " "\\" stand for the byte behind the
 * backslash, any other backslash for itself. Between quotes ',' and ' ' have no meaning. Each field is a series named
 * measurement_field. Values: numbers; with suffix i int64, u uint64; t T true True TRUE are 1, f F false False FALSE 0;
 * a quoted string is the number written in it, else 0. Tags without name or value do not count.
 *
 * Differences from victoria-metrics 1.79.5, on purpose:
 *  (1) A value that is none of these makes the line a bad one; there it is stored as 0.
 *  (2) "+5", ".5", "5." are numbers; there they are refused or 0.
 *  (3) Timestamps that overflow when scaled are cut to the ends of int64; there they wrap around.
 *  (4) A line may have 16 MiB; there a line over 256 KiB ends the whole request.
 */
#include <math.h>

#include "base/err.h"
#include "ingest/digits.h"
#include "ingest/number.h"
#include "ingest/parser.h"
#include "ingest/scan.h"

static const int64_t ns_per_ms = 1000000;

/* a * b, or the end of int64 on its side. */
static int64_t
multiply_or_cut(int64_t a, int64_t b)
{
	int64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
	return product;
}

/* Milliseconds of a timestamp as written; 0 is none. */
static int64_t
timestamp_ms(const struct ingest_parser *parser, int64_t written)
{
	int64_t unit_ns = parser->precision_ns, unit_ms;

	if (unit_ns > ns_per_ms) {
		unit_ms = unit_ns / ns_per_ms;
		return written == 0 ? parser->now_ms - parser->now_ms % unit_ms : multiply_or_cut(written, unit_ms);
	}
	if (written == 0)
		return parser->now_ms;
	if (unit_ns != 0)
		return unit_ns == ns_per_ms ? written : written / (ns_per_ms / unit_ns);
	/* told by size: each unit covers the years 1973 to 5138 */
	if (written >= INT64_C(100000000000000000))
		return written / 1000000;
	if (written >= INT64_C(100000000000000))
		return written / 1000;
	if (written >= INT64_C(100000000000))
		return written;
	return multiply_or_cut(written, 1000);
}

/* -- Heads -------------------------------------------------------------------------------------------------------- */

static bool
has_measurement(struct bytes head)
{
	return head.len > 0 && head.data[0] != ',';
}

/* The next tag behind p, which is behind a ','. *p moves behind the ',' that ends it, or to end + 1 after the last. */
static bool
next_tag(const uint8_t **p, const uint8_t *end, struct label *tag)
{
	const uint8_t *comma = scan_unescaped(*p, end, ','), *stop = comma == NULL ? end : comma;
	const uint8_t *equals = scan_unescaped(*p, stop, '=');

	if (equals == NULL)
		return false;
	tag->name = bytes_of(*p, (size_t)(equals - *p));
	tag->value = bytes_of(equals + 1, (size_t)(stop - equals - 1));
	*p = stop + 1;
	return true;
}

/* NULL, or what is wrong with a head: each tag must have a '='. One pass, for every head not seen before comes through here. */
static const char *
head_fault(const struct ingest_parser *parser, struct bytes head)
{
	const uint8_t *end = head.data + head.len, *p = scan_unescaped(head.data, end, ',');
	bool equals = true;
	size_t tags = 0;

	while (p != NULL && p < end) {
		if (*p == ',') {
			if (!equals)
				return "a tag without '='";
			if (++tags > parser->labels_max)
				return "too many tags";
			equals = false;
		} else if (*p == '=') {
			equals = true;
		} else if (end - p <= 2) { /* a backslash and what it escapes */
			break;
		} else {
			p++;
		}
		p = scan_any4(p + 1, end, ',', '=', '\\', '\\');
	}
	return equals ? NULL : "a tag without '='";
}

/* -- Values ------------------------------------------------------------------------------------------------------- */

static bool
is_word(const uint8_t *p, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(p, word, n) == 0;
}

static bool
parse_bool(const uint8_t *p, size_t n, double *value)
{
	static const char *const words[][2] = {
		{ "f", "t" },
		{ "F", "T" },
		{ "false", "true" },
		{ "False", "True" },
		{ "FALSE", "TRUE" },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		for (int truth = 0; truth < 2; truth++) {
			if (is_word(p, n, words[i][truth])) {
				*value = truth;
				return true;
			}
		}
	}
	return false;
}

/* The whole of [p, end) is a field value. */
static bool
parse_value(const uint8_t *p, const uint8_t *end, double *value)
{
	int64_t integer;
	uint64_t natural;

	if (p == end)
		return false;
	if (*p == '"') {
		if (end - p < 2 || end[-1] != '"')
			return false;
		if (number_parse_double(p + 1, end - 1, value) != end - 1)
			*value = 0;
		return true;
	}
	if (end[-1] == 'i') {
		if (number_parse_int64(p, end - 1, &integer) != end - 1)
			return false;
		*value = (double)integer;
		return true;
	}
	if (end[-1] == 'u') {
		if (number_parse_uint64(p, end - 1, &natural) != end - 1)
			return false;
		*value = (double)natural;
		return true;
	}
	return number_parse_double(p, end, value) == end || parse_bool(p, (size_t)(end - p), value);
}

/* -- Any line ----------------------------------------------------------------------------------------------------- */

/* The ',' or ' ' that ends the field at p, or end. */
static const uint8_t *
field_end(const uint8_t *p, const uint8_t *end)
{
	bool quoted = false;

	for (; p < end; p++) {
		if (*p == '\\') {
			if (++p == end)
				return end;
		} else if (*p == '"') {
			quoted = !quoted;
		} else if (!quoted && (*p == ',' || *p == ' ')) {
			return p;
		}
	}
	return end;
}

/* Adds the row of the field [p, end); *bad when it is none. A NaN adds no row and sets *nan. */
static int
add_field(struct ingest_parser *parser, struct bytes head, const uint8_t *p, const uint8_t *end, bool *bad)
{
	const uint8_t *equals = scan_unescaped(p, end, '=');
	struct ingest_row *row;
	double value;

	*bad = true;
	if (equals == NULL || equals == p) {
		parser_reject_bytes(parser, equals == NULL ? "a field without '='" : "a field without name",
		    bytes_of(p, (size_t)(end - p)));
		return 0;
	}
	if (!parse_value(equals + 1, end, &value)) {
		parser_reject_bytes(parser, "not a field value", bytes_of(equals + 1, (size_t)(end - equals - 1)));
		return 0;
	}
	*bad = false;
	TRY(parser_reserve_row(parser));
	row = &parser->rows[parser->rows_count++];
	row->head = head;
	row->tail = bytes_of(p, (size_t)(equals - p));
	row->value = value;
	return 0;
}

/* All fields from p on; *next is the ' ' behind them or end. */
static int
add_fields(struct ingest_parser *parser, struct bytes head, const uint8_t *p, const uint8_t *end, const uint8_t **next,
    bool *bad)
{
	size_t fields;

	for (fields = 1;; fields++) {
		const uint8_t *stop = field_end(p, end);

		if (fields > INGEST_LINE_FIELDS_MAX) {
			*bad = true;
			parser_reject(parser, "more than %d fields", INGEST_LINE_FIELDS_MAX);
			return 0;
		}
		TRY(add_field(parser, head, p, stop, bad));
		if (*bad)
			return 0;
		if (stop == end || *stop == ' ') {
			*next = stop;
			return 0;
		}
		p = stop + 1;
	}
}

/* p is behind the fields: white space and a timestamp, or end. */
static bool
parse_timestamp(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end, int64_t *out)
{
	const uint8_t *start = p;
	int64_t written = 0;

	if (p < end) {
		while (p < end && *p == ' ')
			p++;
		if (p == end || *p == '+' || number_parse_int64(p, end, &written) != end) {
			parser_reject_bytes(parser, "not a timestamp", bytes_of(start + 1, (size_t)(end - start - 1)));
			return false;
		}
	}
	*out = timestamp_ms(parser, written);
	return true;
}

/* Tells the memo of a good line. */
static void
learn(struct ingest_parser *parser, struct head_entry *entry, const struct ingest_row *rows, size_t count)
{
	if (entry == NULL)
		entry = head_memo_add(&parser->memo, rows[0].head);
	head_memo_shape(&parser->memo, entry, &rows[0].tail, count, sizeof(rows[0]));
	head_memo_follow(&parser->memo, entry);
}

/* The rows of a good line get what is known only at its end; NaN rows go. */
static void
finish_rows(struct ingest_parser *parser, size_t first, int64_t timestamp)
{
	struct ingest_row *rows = parser->rows;
	size_t kept = first, count = parser->rows_count - first;

	if (parser->skip_single_field && count == 1 && has_measurement(rows[first].head))
		rows[first].tail.len = 0;
	for (size_t i = first; i < first + count; i++) {
		if (UNLIKELY(isnan(rows[i].value))) {
			parser->report.nan++;
			continue;
		}
		rows[kept] = rows[i];
		rows[kept++].timestamp_ms = timestamp;
	}
	parser->rows_count = kept;
}

int
influx_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *space;
	struct head_entry *entry;
	struct bytes head;
	const char *fault;
	int64_t timestamp;
	size_t first = parser->rows_count;
	bool bad = false;
	int rc;

	if (p == end || *p == '#')
		return 0;
	space = scan_unescaped(p, end, ' ');
	if (space == NULL) {
		parser_reject_bytes(parser, "no fields", bytes_of(p, (size_t)(end - p)));
		return 0;
	}
	head = bytes_of(p, (size_t)(space - p));
	entry = head_memo_find(&parser->memo, head);
	fault = entry == NULL ? head_fault(parser, head) : NULL;
	if (fault != NULL) {
		parser_reject_bytes(parser, fault, head);
		return 0;
	}
	for (p = space; p < end && *p == ' ';)
		p++;
	rc = add_fields(parser, head, p, end, &p, &bad);
	if (rc != 0 || bad || !parse_timestamp(parser, p, end, &timestamp)) {
		parser->rows_count = first;
		return rc;
	}
	learn(parser, entry, &parser->rows[first], parser->rows_count - first);
	finish_rows(parser, first, timestamp);
	return 0;
}

/* -- Lines that the memo foretells -------------------------------------------------------------------------------- */

/* Does the text at p start with the key? */
static inline bool
key_matches(const struct field_key *key, const uint8_t *p, const uint8_t *end)
{
	if (LIKELY(key->len <= HEAD_MEMO_KEY_BYTES && end - p >= HEAD_MEMO_KEY_BYTES)) {
		uint64_t differ = 0;

		for (size_t i = 0; i < ARRAY_LENGTH(key->words); i++) {
			uint64_t word;

			memcpy(&word, p + 8 * i, sizeof(word));
			differ |= (word ^ key->words[i]) & key->masks[i];
		}
		return differ == 0;
	}
	return (size_t)(end - p) >= key->len && memcmp(p, key->text, key->len) == 0;
}

/* A plain number, i or u behind it or not; the position behind it, or NULL when it is anything else. */
static inline const uint8_t *
plain_value(const uint8_t *p, const uint8_t *end, double *value)
{
	const uint8_t *start = p, *digits;
	uint64_t w = 0;
	bool negative = p < end && *p == '-';

	p += negative;
	digits = p;
	p = digits_read(p, end, &w);
	if (p == end || p == digits || p - digits > 18)
		return NULL;
	if (*p == '.' || (*p | 0x20) == 'e')
		return number_parse_double(start, end, value);
	if (*p == 'i' || (*p == 'u' && !negative)) {
		*value = (double)(negative ? -(int64_t)w : (int64_t)w); /* -0i is 0 */
		return p + 1;
	}
	*value = negative ? -(double)w : (double)w;
	return p;
}

/* Rows of the fields at p when they have this shape; the position behind them, or NULL. */
static inline const uint8_t *
plain_fields(const struct field_shape *shape, struct bytes head, const uint8_t *p, const uint8_t *end,
    struct ingest_row *rows)
{
	for (uint32_t i = 0; i < shape->count; i++) {
		const struct field_key *key = &shape->keys[i];

		if (i > 0 && (p == end || *p++ != ','))
			return NULL;
		if (!key_matches(key, p, end))
			return NULL;
		rows[i].head = head;
		rows[i].tail = bytes_of(p, key->len - 1);
		p = plain_value(p + key->len, end, &rows[i].value);
		if (p == NULL)
			return NULL;
	}
	return p;
}

/* The rest of a line: nothing, or one space and a plain timestamp; then the line end. The start of the next line, or NULL. */
static inline const uint8_t *
plain_end(const struct ingest_parser *parser, const uint8_t *p, const uint8_t *end, int64_t *timestamp)
{
	uint64_t written = 0;
	const uint8_t *digits;

	if (p < end && *p == ' ') {
		digits = ++p;
		p = digits_read(p, end, &written);
		if (p == digits || p - digits > 19 || written > INT64_MAX)
			return NULL;
	}
	if (end - p >= 2 && *p == '\r')
		p++;
	if (p == end || *p != '\n')
		return NULL;
	*timestamp = timestamp_ms(parser, (int64_t)written);
	return p + 1;
}

/*
 * The head at p, and its entry: the foretold one, or one found in the memo's table, or none. False: there is no head, or no
 * good one.
 */
static inline bool
find_head(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end, struct bytes *head,
    struct head_entry **entry)
{
	const uint8_t *space;

	*entry = head_memo_guess(&parser->memo);
	if (LIKELY(*entry != NULL && (size_t)(end - p) > (*entry)->len && p[(*entry)->len] == ' ' &&
		memcmp(p, (*entry)->text, (*entry)->len) == 0)) {
		*head = bytes_of(p, (*entry)->len);
		return true;
	}
	if (end - p > HEAD_MEMO_HEAD_BYTES_MAX)
		end = p + HEAD_MEMO_HEAD_BYTES_MAX;
	space = scan_unescaped(p, end, ' ');
	if (space == NULL)
		return false;
	*head = bytes_of(p, (size_t)(space - p));
	*entry = head_memo_find(&parser->memo, *head);
	/* without a ' ' in the line it is not this line's head that was found */
	return *entry != NULL || (memchr(p, '\n', head->len) == NULL && head_fault(parser, *head) == NULL);
}

/* The line at p, when its fields have the shape that is expected; the start of the next line, or NULL. */
static inline const uint8_t *
known_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	struct ingest_row *rows = &parser->rows[parser->rows_count];
	const struct field_shape *shape;
	struct head_entry *entry;
	struct bytes head;
	const uint8_t *next;
	int64_t timestamp;

	if (!find_head(parser, p, end, &head, &entry))
		return NULL;
	shape = entry != NULL && entry->shape != NULL ? entry->shape : parser->memo.newest_shape;
	next = shape == NULL ? NULL : plain_fields(shape, head, p + head.len + 1, end, rows);
	next = next == NULL ? NULL : plain_end(parser, next, end, &timestamp);
	if (next == NULL || next - p > INGEST_LINE_BYTES_MAX)
		return NULL;
	for (uint32_t i = 0; i < shape->count; i++)
		rows[i].timestamp_ms = timestamp;
	if (UNLIKELY(parser->skip_single_field) && shape->count == 1 && has_measurement(head))
		rows[0].tail.len = 0;
	parser->rows_count += shape->count;
	parser->report.lines++;
	if (UNLIKELY(entry == NULL))
		entry = head_memo_add(&parser->memo, head);
	if (entry != NULL)
		entry->shape = shape;
	head_memo_follow(&parser->memo, entry);
	return next;
}

const uint8_t *
influx_known(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *next;

	while (parser->rows_count < INGEST_BATCH_ROWS && p < end && *p != '#') {
		next = known_line(parser, p, end);
		if (next == NULL)
			break;
		p = next;
	}
	return p;
}

/* -- Labels of a raw key ------------------------------------------------------------------------------------------- */

/* Appends text to q without its escapes; the position behind it. */
static uint8_t *
put_unescaped(uint8_t *q, struct bytes text)
{
	const uint8_t *p = text.data, *end = p + text.len;

	while (p < end) {
		if (*p == '\\' && end - p >= 2 && (p[1] == ' ' || p[1] == ',' || p[1] == '=' || p[1] == '\\'))
			p++;
		else if (*p == '\\' && end - p >= 2)
			*q++ = *p++;
		*q++ = *p++;
	}
	return q;
}

static int
unescape(struct bytes text, struct arena *arena, struct bytes *out)
{
	uint8_t *data;

	*out = text;
	if (text.len == 0 || memchr(text.data, '\\', text.len) == NULL)
		return 0;
	data = arena_bytes(arena, text.len);
	if (data == NULL)
		return ERR_MEMORY;
	*out = bytes_of(data, (size_t)(put_unescaped(data, text) - data));
	return 0;
}

/* The metric name: measurement, separator and field, as far as the options want them. */
static int
series_name(const struct ingest_options *options, struct bytes measurement, struct bytes field, struct arena *arena,
    struct bytes *out)
{
	size_t separator = options->influx_no_separator ? 0 : strlen(options->influx_separator);
	const char *separator_text = separator == 0 && !options->influx_no_separator ? "_" : options->influx_separator;
	uint8_t *data, *q;

	if (separator == 0 && !options->influx_no_separator)
		separator = 1;
	data = q = arena_bytes(arena, measurement.len + separator + field.len);
	if (data == NULL)
		return ERR_MEMORY;
	if (!options->influx_skip_measurement)
		q = put_unescaped(q, measurement);
	if (q != data && field.len != 0) {
		memcpy(q, separator_text, separator);
		q += separator;
	}
	q = put_unescaped(q, field);
	*out = bytes_of(data, (size_t)(q - data));
	return 0;
}

static bool
is_name(struct bytes label_name)
{
	return label_name.len == 0 || bytes_equal(label_name, bytes_of("__name__", 8));
}

/* Tags from p on, then db and the extra labels. They cannot replace the name of a series, which the peer adds last. */
static int
add_labels(const struct ingest_options *options, const uint8_t *p, const uint8_t *end, struct arena *arena,
    struct labels *out)
{
	const struct bytes db_label = bytes_of("db", 2);
	bool has_db = false, room = true, named = out->count > 0;
	struct label tag;

	while (p <= end) {
		if (!next_tag(&p, end, &tag))
			return ERR(ERR_METRIC, "a tag without '='");
		TRY(unescape(tag.name, arena, &tag.name));
		TRY(unescape(tag.value, arena, &tag.value));
		if (tag.value.len == 0 || tag.name.len == 0 || (named && is_name(tag.name)))
			continue;
		has_db = has_db || bytes_equal(tag.name, db_label);
		room = room && parser_add_label(out, tag.name, tag.value);
	}
	if (!has_db)
		room = room && parser_add_label(out, db_label, options->influx_db);
	for (size_t i = 0; i < options->extra_labels_count; i++)
		if (!named || !is_name(options->extra_labels[i].name))
			room = room &&
			    parser_add_label(out, options->extra_labels[i].name, options->extra_labels[i].value);
	if (out->count == 0)
		return ERR(ERR_METRIC, "the options leave neither name nor label");
	return room ? 0 : ERR(ERR_METRIC, "more than %d labels", LABELS_MAX);
}

int
influx_labels(const struct ingest_options *options, struct bytes head, struct bytes tail, struct arena *arena,
    struct labels *out)
{
	const uint8_t *end = head.data + head.len, *comma = scan_unescaped(head.data, end, ',');
	struct bytes measurement = bytes_of(head.data, comma == NULL ? head.len : (size_t)(comma - head.data)), name;

	TRY(series_name(options, measurement, tail, arena, &name));
	(void)parser_add_label(out, bytes_of("__name__", 8), name);
	return add_labels(options, comma == NULL ? end + 1 : comma + 1, end, arena, out);
}
