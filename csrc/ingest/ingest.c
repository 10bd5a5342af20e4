/*
 * ingest.c -- a parser's life, lines of a chunk, the report.
 * floor: ingest     uses: parser.h err.h xxhash     used by: storage, ffi
 */
#include "ingest/ingest.h"

#include <stdarg.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/err.h"
#include "ingest/parser.h"

enum { EXCERPT_BYTES = 60 };

static const struct {
	const uint8_t *(*known)(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
	int (*line)(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
} formats[INGEST_FORMATS] = {
	[INGEST_PROMETHEUS] = { prometheus_known, prometheus_line },
	[INGEST_INFLUX] = { influx_known, influx_line },
};

static int
check_options(const struct ingest_options *options)
{
	static const int64_t units_ns[] = { 0, 1, 1000, 1000000, 1000000000, INT64_C(60000000000),
		INT64_C(3600000000000) };

	if ((unsigned)options->format >= INGEST_FORMATS)
		return ERR(ERR_FORMAT, "unknown text format %d", (int)options->format);
	if (options->extra_labels_count > INGEST_EXTRA_LABELS_MAX)
		return ERR(ERR_FORMAT, "%zu extra labels are more than %d", options->extra_labels_count,
		    INGEST_EXTRA_LABELS_MAX);
	if (memchr(options->influx_separator, 0, sizeof(options->influx_separator)) == NULL)
		return ERR(ERR_FORMAT, "the separator of measurement and field has more than %zu bytes",
		    sizeof(options->influx_separator) - 1);
	for (size_t i = 0; i < ARRAY_LENGTH(units_ns); i++)
		if (options->influx_precision_ns == units_ns[i])
			return 0;
	return ERR(ERR_FORMAT, "a timestamp precision of %lld ns is unknown; it is one of ns, us, ms, s, m, h",
	    (long long)options->influx_precision_ns);
}

int
ingest_parser_create(struct mem *mem, const struct ingest_options *options, struct ingest_parser **out)
{
	struct ingest_parser *parser;

	TRY(check_options(options));
	parser = mem_zalloc(mem, sizeof(*parser));
	if (parser == NULL)
		return ERR_MEMORY;
	parser->mem = mem;
	parser->format = options->format;
	parser->precision_ns = options->influx_precision_ns;
	parser->skip_single_field = options->influx_skip_single_field;
	parser->labels_max = LABELS_MAX - 2 - options->extra_labels_count;
	parser->rows_cap = INGEST_BATCH_ROWS + HEAD_MEMO_FIELDS_MAX;
	parser->rows = mem_array(mem, parser->rows_cap, sizeof(parser->rows[0]));
	if (parser->rows == NULL) {
		mem_free(mem, parser);
		return ERR_MEMORY;
	}
	head_memo_init(&parser->memo, mem);
	ingest_parser_restart(parser, options->now_ms, options->default_timestamp_ms);
	*out = parser;
	return 0;
}

void
ingest_parser_restart(struct ingest_parser *parser, int64_t now_ms, int64_t default_timestamp_ms)
{
	parser->now_ms = now_ms;
	parser->default_timestamp_ms = default_timestamp_ms > 0 ? default_timestamp_ms : now_ms;
	parser->in_long_line = false;
	parser->report.lines = 0;
	parser->report.rejected = 0;
	parser->report.nan = 0;
	parser->report.errors_count = 0;
}

void
ingest_parser_delete(struct ingest_parser *parser)
{
	if (parser == NULL)
		return;
	head_memo_free(&parser->memo);
	mem_free(parser->mem, parser->rows);
	mem_free(parser->mem, parser);
}

int
parser_grow(struct ingest_parser *parser)
{
	size_t cap = parser->rows_cap * 2;
	struct ingest_row *rows = mem_realloc(parser->mem, parser->rows, cap * sizeof(rows[0]));

	if (rows == NULL)
		return ERR_MEMORY;
	parser->rows = rows;
	parser->rows_cap = cap;
	return 0;
}

void
ingest_reject_long_line(struct ingest_parser *parser)
{
	parser->report.lines++;
	parser_reject(parser, "a line of more than %d bytes", INGEST_LINE_BYTES_MAX);
}

/* The whole of one line is [p, end), without newline. */
static int
parse_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	if (UNLIKELY(end - p > INGEST_LINE_BYTES_MAX)) {
		ingest_reject_long_line(parser);
		return 0;
	}
	parser->report.lines++;
	if (p < end && end[-1] == '\r')
		end--;
	return formats[parser->format].line(parser, p, end);
}

/* Behind the newline that ends a line over the limit, which was reported when it was found to be one. */
static const uint8_t *
skip_long_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	const uint8_t *newline = p == end ? NULL : memchr(p, '\n', (size_t)(end - p));

	if (newline == NULL)
		return end;
	parser->in_long_line = false;
	return newline + 1;
}

/* The chunk ends within a line: it stays for the next one, unless it is too long already. */
static const uint8_t *
leave_rest(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end)
{
	if (end - p <= INGEST_LINE_BYTES_MAX)
		return p;
	ingest_reject_long_line(parser);
	parser->in_long_line = true;
	return end;
}

int
ingest_parse(struct ingest_parser *parser, struct bytes chunk, bool last, struct ingest_batch *batch)
{
	const uint8_t *p = chunk.data, *end = chunk.data + chunk.len, *newline;

	*batch = (struct ingest_batch){ 0 };
	parser->rows_count = 0;
	head_memo_begin(&parser->memo);
	if (parser->in_long_line)
		p = skip_long_line(parser, p, end);
	while (p < end && parser->rows_count < INGEST_BATCH_ROWS) {
		p = formats[parser->format].known(parser, p, end);
		if (p == end || parser->rows_count >= INGEST_BATCH_ROWS)
			break;
		newline = memchr(p, '\n', (size_t)(end - p));
		if (newline == NULL && !last) {
			p = leave_rest(parser, p, end);
			break;
		}
		TRY(parse_line(parser, p, newline == NULL ? end : newline));
		p = newline == NULL ? end : newline + 1;
	}
	batch->rows = parser->rows;
	batch->rows_count = parser->rows_count;
	batch->consumed = (size_t)(p - chunk.data);
	return 0;
}

int
ingest_key_labels(const struct ingest_options *options, struct bytes head, struct bytes tail, struct arena *arena,
    struct labels *out)
{
	out->count = 0;
	if (options->format == INGEST_INFLUX)
		return influx_labels(options, head, tail, arena, out);
	return prometheus_labels(options, head, arena, out);
}

static uint64_t
hash_bytes(uint64_t seed, struct bytes bytes)
{
	/* the length keeps "ab","c" apart from "a","bc" */
	return XXH3_64bits_withSeed(bytes.data, bytes.len, seed + bytes.len);
}

uint64_t
ingest_options_hash(const struct ingest_options *options)
{
	uint64_t hash = (uint64_t)options->format;

	if (options->format == INGEST_INFLUX) {
		hash |= (uint64_t)options->influx_no_separator << 8 | (uint64_t)options->influx_skip_single_field << 9 |
		    (uint64_t)options->influx_skip_measurement << 10;
		hash = hash_bytes(hash, bytes_of_text(options->influx_separator));
		hash = hash_bytes(hash, options->influx_db);
	}
	for (size_t i = 0; i < options->extra_labels_count; i++) {
		hash = hash_bytes(hash, options->extra_labels[i].name);
		hash = hash_bytes(hash, options->extra_labels[i].value);
	}
	return hash;
}

/* -- Report ------------------------------------------------------------------------------------------------------ */

const struct ingest_report *
ingest_report(const struct ingest_parser *parser)
{
	return &parser->report;
}

static void
reject(struct ingest_parser *parser, uint64_t line, const char *fmt, va_list args)
{
	struct ingest_report *report = &parser->report;
	struct ingest_error *error;

	report->rejected++;
	if (report->errors_count == INGEST_ERRORS_KEPT)
		return;
	error = &report->errors[report->errors_count++];
	error->line = line;
	vsnprintf(error->text, sizeof(error->text), fmt, args);
}

void
ingest_reject(struct ingest_parser *parser, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	reject(parser, 0, fmt, args);
	va_end(args);
}

void
parser_reject(struct ingest_parser *parser, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	reject(parser, parser->report.lines, fmt, args);
	va_end(args);
}

void
parser_reject_bytes(struct ingest_parser *parser, const char *what, struct bytes bytes)
{
	char excerpt[EXCERPT_BYTES + 4];
	size_t n = bytes.len < EXCERPT_BYTES ? bytes.len : EXCERPT_BYTES;

	/* a report is read on terminals: no byte of the input may command one */
	for (size_t i = 0; i < n; i++)
		excerpt[i] = bytes.data[i] < ' ' || bytes.data[i] == 0x7F ? '?' : (char)bytes.data[i];
	memcpy(excerpt + n, bytes.len > n ? "..." : "", bytes.len > n ? 4 : 1);
	parser_reject(parser, "%s: \"%s\"", what, excerpt);
}
