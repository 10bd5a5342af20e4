/*
 * parser.h -- the inside of struct ingest_parser; nobody outside of this floor includes it.
 * floor: ingest     uses: ingest.h head_memo.h     used by: ingest.c prometheus.c influx.c
 *
 * Each format gives three functions:
 *   _known    lines that the memo foretells, as many as there are, up to the first that is anything unusual
 *   _line     any one line, without its line end; a bad one is told by parser_reject
 *   _labels   the labels of a raw key
 *
 * Invariants
 *  (1) rows_cap >= INGEST_BATCH_ROWS + HEAD_MEMO_FIELDS_MAX: _known, which starts no line in a full batch, needs no growth.
 *  (2) When a line ends, its rows are all there or none is.
 * Threads    one parser, one thread.
 */
#ifndef TSE_PARSER_H
#define TSE_PARSER_H

#include "ingest/head_memo.h"
#include "ingest/ingest.h"

struct ingest_parser {
	struct mem *mem;
	enum ingest_format format;
	int64_t now_ms;
	int64_t default_timestamp_ms;
	int64_t precision_ns;
	bool skip_single_field;
	bool in_long_line; /* a line over the limit: its rest is skipped up to the newline */
	size_t labels_max; /* of one raw key, so that with name, db and extra labels LABELS_MAX holds them */
	struct ingest_row *rows;
	size_t rows_count;
	size_t rows_cap;
	struct head_memo memo;
	struct ingest_report report;
};

/* Reports the line counted last as bad. */
void parser_reject(struct ingest_parser *parser, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* As above: what is wrong, and the bytes that are. */
void parser_reject_bytes(struct ingest_parser *parser, const char *what, struct bytes bytes);
/* Room for one more row. */
NODISCARD int parser_grow(struct ingest_parser *parser);

static inline int
parser_reserve_row(struct ingest_parser *parser)
{
	return LIKELY(parser->rows_count < parser->rows_cap) ? 0 : parser_grow(parser);
}

/* Adds a label unless its value is empty, which is the same as no label. False: there are LABELS_MAX already. */
static inline bool
parser_add_label(struct labels *out, struct bytes name, struct bytes value)
{
	if (value.len == 0)
		return true;
	if (out->count == LABELS_MAX)
		return false;
	out->items[out->count++] = (struct label){ .name = name, .value = value };
	return true;
}

const uint8_t *prometheus_known(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
NODISCARD int prometheus_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
NODISCARD int prometheus_labels(const struct ingest_options *options, struct bytes head, struct arena *arena,
    struct labels *out);

const uint8_t *influx_known(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
NODISCARD int influx_line(struct ingest_parser *parser, const uint8_t *p, const uint8_t *end);
NODISCARD int influx_labels(const struct ingest_options *options, struct bytes head, struct bytes tail,
    struct arena *arena, struct labels *out);

#endif
