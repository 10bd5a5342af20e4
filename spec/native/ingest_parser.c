/*
 * ingest_parser.c -- ingest seen from the specs: what a text becomes, written as lines that Lua can compare.
 * Compiled only into the test library.
 *
 *   R <TAB> canonical metric <TAB> timestamp_ms <TAB> value (%.17g)        a row
 *   E <TAB> line <TAB> reason                                              a bad line
 *   S <TAB> lines <TAB> rejected <TAB> nan                                 the end
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "ingest/ingest.h"
#include "ingest/metric_text.h"
#include "ingest/number.h"

struct tt_ingest_options {
	int format;
	int64_t now_ms;
	int64_t default_timestamp_ms;
	int64_t precision_ns;
	const char *separator; /* NULL: default; "": none */
	int skip_single_field;
	int skip_measurement;
	const char *db;
	const char *extra;  /* "name=value\nname=value" or NULL */
	size_t chunk_bytes; /* the text arrives in pieces of this size; 0: at once */
	int fresh_parser;   /* a new parser for every line: nothing is remembered */
	uint64_t fail_at;   /* the n-th allocation fails; 0: none */
	int fail_for_ever;
};

/* The result of the last tt_ingest_dump. */
struct tt_ingest_result {
	const char *text;
	size_t len;
	uint64_t live;  /* allocations left behind */
	uint64_t calls; /* allocations made */
	uint64_t rows;
};

/* What a dump works with. */
struct dump {
	struct mem mem;
	struct mem own; /* of the dump itself: never fails */
	struct ingest_options options;
	struct label extra[INGEST_EXTRA_LABELS_MAX];
	struct ingest_parser *parser;
	struct arena arena;
	struct buf out;
	struct labels labels;
	struct tt_ingest_result *result;
};

int tt_ingest_dump(const struct tt_ingest_options *in, const char *text, size_t len, struct tt_ingest_result *result);
void tt_ingest_free(struct tt_ingest_result *result);
uint64_t tt_ingest_hash(const struct tt_ingest_options *in);
int tt_ingest_try(const struct tt_ingest_options *in);
int tt_metric_text(const char *text, size_t len, char *out, size_t cap, size_t *labels_count);
int tt_number(const char *text, size_t len, double *out, size_t *used);

static void
set_options(struct dump *dump, const struct tt_ingest_options *in)
{
	struct ingest_options *o = &dump->options;

	*o = (struct ingest_options){
		.format = (enum ingest_format)in->format,
		.now_ms = in->now_ms,
		.default_timestamp_ms = in->default_timestamp_ms,
		.influx_precision_ns = in->precision_ns,
		.influx_skip_single_field = in->skip_single_field != 0,
		.influx_skip_measurement = in->skip_measurement != 0,
		.influx_no_separator = in->separator != NULL && in->separator[0] == '\0',
		.extra_labels = dump->extra,
	};
	if (in->separator != NULL)
		memcpy(o->influx_separator, in->separator, strnlen(in->separator, sizeof(o->influx_separator)));
	if (in->db != NULL)
		o->influx_db = bytes_of_text(in->db);
	for (const char *p = in->extra; p != NULL && *p != '\0';) {
		const char *equals = strchr(p, '='), *stop = strchr(p, '\n');

		stop = stop == NULL ? p + strlen(p) : stop;
		dump->extra[o->extra_labels_count++] = (struct label){ bytes_of(p, (size_t)(equals - p)),
			bytes_of(equals + 1, (size_t)(stop - equals - 1)) };
		p = *stop == '\n' ? stop + 1 : stop;
	}
}

/* Of equal names the last counts, as in the storage; "" is the metric name. */
static void
keep_last_of_equal(struct labels *labels)
{
	const struct bytes name = bytes_of("__name__", 8);
	size_t kept = 0;

	for (size_t i = 0; i < labels->count; i++) {
		struct bytes one = labels->items[i].name.len == 0 ? name : labels->items[i].name;
		bool again = false;

		for (size_t j = i + 1; j < labels->count; j++)
			again =
			    again || bytes_equal(one, labels->items[j].name.len == 0 ? name : labels->items[j].name);
		if (!again)
			labels->items[kept++] = labels->items[i];
	}
	labels->count = kept;
}

static int
dump_batch(struct dump *dump, const struct ingest_batch *batch)
{
	int rc;

	for (size_t i = 0; i < batch->rows_count; i++) {
		const struct ingest_row *row = &batch->rows[i];

		dump->result->rows++;
		arena_reset(&dump->arena);
		rc = ingest_key_labels(&dump->options, row->head, row->tail, &dump->arena, &dump->labels);
		if (rc == ERR_METRIC) {
			ingest_reject(dump->parser, "%s", err_message());
			continue;
		}
		if (rc != 0)
			return rc;
		keep_last_of_equal(&dump->labels);
		TRY(buf_append_text(&dump->out, "R\t"));
		TRY(metric_text_format(&dump->labels, &dump->out));
		TRY(buf_printf(&dump->out, "\t%" PRId64 "\t%.17g\n", row->timestamp_ms, row->value));
	}
	return 0;
}

static int
dump_report(struct dump *dump)
{
	const struct ingest_report *report = ingest_report(dump->parser);

	for (size_t i = 0; i < report->errors_count; i++)
		TRY(buf_printf(&dump->out, "E\t%" PRIu64 "\t%s\n", report->errors[i].line, report->errors[i].text));
	return buf_printf(&dump->out, "S\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", report->lines, report->rejected,
	    report->nan);
}

/* Text arrives in pieces; what a call leaves comes again with more behind it. */
static int
dump_stream(struct dump *dump, const char *text, size_t len, size_t chunk_bytes)
{
	struct ingest_batch batch;
	size_t done = 0, have = 0;

	do {
		have = chunk_bytes == 0 || len - have < chunk_bytes ? len : have + chunk_bytes;
		do {
			TRY(ingest_parse(dump->parser, bytes_of(text + done, have - done), have == len, &batch));
			TRY(dump_batch(dump, &batch));
			done += batch.consumed;
		} while (batch.consumed != 0 && done < have);
	} while (have < len);
	if (done != len)
		return buf_printf(&dump->out, "X\t%zu bytes left of %zu\n", len - done, len);
	return 0;
}

static int
dump_lines_apart(struct dump *dump, const char *text, size_t len)
{
	for (size_t done = 0; done < len;) {
		const char *newline = memchr(text + done, '\n', len - done);
		size_t n = newline == NULL ? len - done : (size_t)(newline - text) - done + 1;

		TRY(ingest_parser_create(&dump->mem, &dump->options, &dump->parser));
		TRY(dump_stream(dump, text + done, n, 0));
		TRY(dump_report(dump));
		ingest_parser_delete(dump->parser);
		dump->parser = NULL;
		done += n;
	}
	return 0;
}

static int
dump_all(struct dump *dump, const struct tt_ingest_options *in, const char *text, size_t len)
{
	if (in->fresh_parser)
		return dump_lines_apart(dump, text, len);
	TRY(ingest_parser_create(&dump->mem, &dump->options, &dump->parser));
	TRY(dump_stream(dump, text, len, in->chunk_bytes));
	return dump_report(dump);
}

int
tt_ingest_dump(const struct tt_ingest_options *in, const char *text, size_t len, struct tt_ingest_result *result)
{
	struct dump *dump = calloc(1, sizeof(*dump));
	int rc;

	*result = (struct tt_ingest_result){ 0 };
	dump->result = result;
	mem_init(&dump->mem, 0);
	mem_init(&dump->own, 0);
	dump->mem.fail_at = in->fail_at;
	dump->mem.fail_for_ever = in->fail_for_ever != 0;
	arena_init(&dump->arena, &dump->own);
	buf_init(&dump->out, &dump->own);
	set_options(dump, in);
	rc = dump_all(dump, in, text, len);
	ingest_parser_delete(dump->parser);
	result->live = mem_live(&dump->mem);
	result->calls = dump->mem.calls;
	result->len = dump->out.len;
	result->text = malloc(dump->out.len + 1);
	memcpy((void *)(uintptr_t)result->text, dump->out.len == 0 ? (const uint8_t *)"" : dump->out.data,
	    dump->out.len);
	buf_free(&dump->out);
	arena_free(&dump->arena);
	free(dump);
	return rc;
}

void
tt_ingest_free(struct tt_ingest_result *result)
{
	free((void *)(uintptr_t)result->text);
	result->text = NULL;
}

uint64_t
tt_ingest_hash(const struct tt_ingest_options *in)
{
	struct dump *dump = calloc(1, sizeof(*dump));
	uint64_t hash;

	set_options(dump, in);
	hash = ingest_options_hash(&dump->options);
	free(dump);
	return hash;
}

/* Does a parser take these options? */
int
tt_ingest_try(const struct tt_ingest_options *in)
{
	struct dump *dump = calloc(1, sizeof(*dump));
	struct ingest_parser *parser = NULL;
	int rc;

	mem_init(&dump->mem, 0);
	set_options(dump, in);
	rc = ingest_parser_create(&dump->mem, &dump->options, &parser);
	ingest_parser_delete(parser);
	if (mem_live(&dump->mem) != 0)
		rc = ERR_BUG("a parser leaks");
	free(dump);
	return rc;
}

/* The canonical text of a metric text, terminated. */
int
tt_metric_text(const char *text, size_t len, char *out, size_t cap, size_t *labels_count)
{
	struct mem mem;
	struct arena arena;
	struct buf buf;
	struct labels *labels = malloc(sizeof(*labels));
	int rc;

	mem_init(&mem, 0);
	arena_init(&arena, &mem);
	buf_init(&buf, &mem);
	TRY_GOTO(out, metric_text_parse(bytes_of(text, len), &arena, labels));
	*labels_count = labels->count;
	TRY_GOTO(out, metric_text_format(labels, &buf));
	if (buf.len >= cap) {
		rc = ERR(ERR_LIMIT, "the text has %zu bytes", buf.len);
		goto out;
	}
	memcpy(out, buf.data, buf.len);
	out[buf.len] = '\0';
out:
	arena_free(&arena);
	buf_free(&buf);
	free(labels);
	if (mem_live(&mem) != 0)
		rc = ERR_BUG("metric_text leaks");
	return rc;
}

int
tt_number(const char *text, size_t len, double *out, size_t *used)
{
	/* an exact copy: a read behind its end is seen by the address sanitizer */
	uint8_t *copy = malloc(len + (len == 0));
	const uint8_t *behind;

	memcpy(copy, text, len);
	behind = number_parse_double(copy, copy + len, out);
	*used = behind == NULL ? 0 : (size_t)(behind - copy);
	free(copy);
	return behind != NULL;
}
