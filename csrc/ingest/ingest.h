/*
 * ingest.h -- text formats -> batches of (raw series key, timestamp, value). Knows nothing of storage.
 * floor: ingest     uses: base labels.h     used by: storage, ffi
 *
 *   bytes --ingest_parse()--> struct ingest_batch --storage resolves raw keys by its cache--> rows
 *                                        \-- only for keys not seen before: ingest_key_labels()
 *
 * The raw key of a row is the text that names its series, unparsed, in two halves:
 *   prometheus   head = `name{a="b",...}` exactly as written, without white space around it; tail empty
 *   influx       head = `measurement,tag=v,...` as written; tail = the field key as written (escapes kept)
 * Equal bytes name the same series; different bytes may too (the storage finds out by labels). Rows of one line come
 * together and share `head` (same pointer), so that a reader can look the head up once per line.
 *
 * Bad lines are counted and the first INGEST_ERRORS_KEPT reported with number (1-based, counted over the stream) and
 * reason; the good ones of the same chunk are kept. NaN values: the stale marker passes where the format can write it,
 * every other NaN is dropped and counted. The last line needs no newline when `last` is set; else the bytes behind the
 * last newline are left (batch.consumed), and come again with the next chunk.
 *
 * Errors     ERR_FORMAT (unknown option value), ERR_MEMORY. Bad lines are no error.
 * Threads    one parser, one thread.
 */
#ifndef TSE_INGEST_H
#define TSE_INGEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "ingest/labels.h"

enum ingest_format { INGEST_PROMETHEUS = 0, INGEST_INFLUX = 1, INGEST_FORMATS = 2 };
enum { INGEST_ERRORS_KEPT = 100, INGEST_ERROR_TEXT_MAX = 160, INGEST_LINE_BYTES_MAX = 16 << 20, INGEST_BATCH_ROWS = 8192 };

struct ingest_row {
	struct bytes head;
	struct bytes tail;
	int64_t timestamp_ms;
	double value;          /* no NaN but the stale marker */
};

struct ingest_error {
	uint64_t line;
	char text[INGEST_ERROR_TEXT_MAX];
};

/* Options as victoria-metrics has them; zeroed = its defaults. */
struct ingest_options {
	enum ingest_format format;
	int64_t now_ms;                   /* for rows without a timestamp */
	int64_t default_timestamp_ms;     /* prometheus ?timestamp=; 0: now_ms */
	char influx_separator[16];        /* between measurement and field; "" means "_" (influx_no_separator for none) */
	bool influx_no_separator;
	bool influx_skip_single_field;    /* a line with one field named "value" keeps the measurement as the name */
	bool influx_skip_measurement;     /* name = field key */
	int64_t influx_precision_ns;      /* unit of timestamps in ns: 1, 1000, 1000000, ...; 0: told by size */
	struct bytes influx_db;           /* label db="..."; empty: none */
	const struct label *extra_labels; /* added to every series, replacing labels of that name */
	size_t extra_labels_count;
};

struct ingest_batch {
	struct ingest_row *rows;
	size_t rows_count;
	size_t consumed;        /* bytes of the chunk that are done with */
};

struct ingest_report {
	uint64_t lines;         /* seen, also empty ones and comments */
	uint64_t rejected;      /* bad lines */
	uint64_t nan;           /* values dropped for being NaN */
	struct ingest_error errors[INGEST_ERRORS_KEPT];
	size_t errors_count;
};

struct ingest_parser;

NODISCARD int ingest_parser_create(struct mem *mem, const struct ingest_options *options, struct ingest_parser **out);
void ingest_parser_delete(struct ingest_parser *parser);
/*
 * Parses lines of chunk from its start until INGEST_BATCH_ROWS rows are full (the line that fills it is finished) or
 * the chunk ends. Views in *batch are into the chunk and the parser, valid until the next call. Call again with the rest
 * (chunk + consumed) until consumed is 0 or the chunk is used up.
 */
NODISCARD int ingest_parse(struct ingest_parser *parser, struct bytes chunk, bool last, struct ingest_batch *batch);
const struct ingest_report *ingest_report(const struct ingest_parser *parser);
/*
 * The labels of a raw key, unescaped, metric name first as "__name__", the format's and the extra labels added; views
 * live in the arena. ERR_METRIC when the key cannot be parsed (rows of it are then rejected by the caller).
 */
NODISCARD int ingest_key_labels(const struct ingest_options *options, struct bytes head, struct bytes tail, struct arena *arena, struct labels *out);
/* A number that changes when the options would give the same raw key other labels: part of the caller's cache key. */
uint64_t ingest_options_hash(const struct ingest_options *options);
/* Folds a bad line found later (a key that cannot be parsed) into the report. */
void ingest_reject(struct ingest_parser *parser, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
