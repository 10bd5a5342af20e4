/*
 * fuzz_ingest.h -- what must hold for any bytes given to a line parser; used by fuzz_prometheus.c and fuzz_influx.c.
 *
 * The first byte chooses options and where the rest is cut into two pieces. The rest is parsed twice by a parser that lives
 * on from input to input (the second time it remembers all heads), and in two pieces by one whose account is too small to
 * remember anything. All must give the same.
 */
#ifndef TSE_FUZZ_INGEST_H
#define TSE_FUZZ_INGEST_H

#include <math.h>
#include <stdlib.h>

#include "base/err.h"
#include "ingest/ingest.h"
#include "ingest/metric_text.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a parse gave, boiled down. */
struct outcome {
	uint64_t rows;
	uint64_t sum; /* over labels, timestamps and values of all rows in order */
	uint64_t lines, rejected, nan;
};

static inline void
mix(struct outcome *outcome, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < n; i++)
		outcome->sum = (outcome->sum ^ p[i]) * UINT64_C(0x100000001B3);
}

/* A row is inside of the text, its key can be taken apart, and its canonical text reads back as itself. */
static inline void
check_row(const struct ingest_options *options, const struct ingest_row *row, struct outcome *outcome)
{
	static struct labels labels, again;
	static struct mem mem;
	static struct arena arena = { .mem = &mem };
	static struct buf text = { .mem = &mem }, second = { .mem = &mem };
	int rc;

	arena_reset(&arena);
	buf_reset(&text);
	buf_reset(&second);
	rc = ingest_key_labels(options, row->head, row->tail, &arena, &labels);
	REQUIRE(rc == 0 || (rc == ERR_METRIC && options->influx_skip_measurement && options->influx_skip_single_field));
	if (rc == 0) {
		REQUIRE(labels.count > 0);
		REQUIRE(metric_text_format(&labels, &text) == 0);
		REQUIRE(metric_text_parse(buf_bytes(&text), &arena, &again) == 0);
		REQUIRE(metric_text_format(&again, &second) == 0);
		REQUIRE(bytes_equal(buf_bytes(&text), buf_bytes(&second)));
		mix(outcome, text.data, text.len);
	}
	REQUIRE(!isnan(row->value));
	mix(outcome, &row->timestamp_ms, sizeof(row->timestamp_ms));
	mix(outcome, &row->value, sizeof(row->value));
	outcome->rows++;
}

/* Parses text[done..end) as far as it goes; the new done. */
static inline size_t
parse_piece(struct ingest_parser *parser, const struct ingest_options *options, const uint8_t *text, size_t done,
    size_t end, bool last, struct outcome *outcome)
{
	struct ingest_batch batch;

	do {
		REQUIRE(ingest_parse(parser, bytes_of(text + done, end - done), last, &batch) == 0);
		REQUIRE(batch.consumed <= end - done);
		for (size_t i = 0; i < batch.rows_count; i++)
			check_row(options, &batch.rows[i], outcome);
		done += batch.consumed;
	} while (batch.consumed != 0 && done < end);
	return done;
}

static inline struct outcome
parse_text(struct ingest_parser *parser, const struct ingest_options *options, const uint8_t *text, size_t n,
    size_t cut)
{
	struct outcome outcome = { 0 };
	size_t done = 0;

	ingest_parser_restart(parser, options->now_ms, 0);
	if (cut > 0)
		done = parse_piece(parser, options, text, 0, cut, false, &outcome);
	REQUIRE(parse_piece(parser, options, text, done, n, true, &outcome) == n);
	outcome.lines = ingest_report(parser)->lines;
	outcome.rejected = ingest_report(parser)->rejected;
	outcome.nan = ingest_report(parser)->nan;
	return outcome;
}

/* Parsers by the options that shape them: two bits. */
static inline struct ingest_parser *
parser_of(const struct ingest_options *options, struct mem *mem, struct ingest_parser **kept)
{
	size_t which = (options->influx_skip_single_field ? 1 : 0) + (options->influx_precision_ns != 0 ? 2 : 0);

	if (kept[which] == NULL)
		REQUIRE(ingest_parser_create(mem, options, &kept[which]) == 0);
	return kept[which];
}

static inline int
fuzz_lines(struct ingest_options *options, uint8_t choice, const uint8_t *data, size_t size)
{
	static struct mem plenty, scarce = { .limit_bytes = 8 << 20 };
	static struct ingest_parser *remembering[4], *forgetful[4];
	/* an exact copy: reads behind its end are seen */
	uint8_t *text = malloc(size + (size == 0));
	struct outcome first, second, pieces;

	memcpy(text, data, size);
	options->now_ms = INT64_C(1700000000123);
	first = parse_text(parser_of(options, &plenty, remembering), options, text, size, 0);
	second = parse_text(parser_of(options, &plenty, remembering), options, text, size, 0);
	pieces = parse_text(parser_of(options, &scarce, forgetful), options, text, size, size * choice / 256);
	REQUIRE(memcmp(&first, &second, sizeof(first)) == 0);
	REQUIRE(memcmp(&first, &pieces, sizeof(first)) == 0);
	free(text);
	return 0;
}

#endif
