/*
 * ingest.h -- text formats -> batches of (raw series key, timestamp, value). Knows nothing of storage.
 * floor: ingest     uses: base labels.h     used by: storage, ffi
 *
 *   bytes --ingest_parse()--> struct ingest_batch --storage resolves raw keys by its cache--> rows
 *                                        \-- only for keys not seen before: ingest_key_labels()
 *
 * The raw key of a row is the text that names its series, unparsed, in two halves:
 *   prometheus   head = `name{a="b",...}` exactly as written, without white space around it; tail empty
 *   influx       head = `measurement,tag=v,...` as written; tail = the field key as written (escapes kept), empty for the
 *                only field of a line when influx_skip_single_field makes the measurement the name
 * Equal bytes name the same series; different bytes may too (the storage finds out by labels). Rows of one line come
 * together and share `head` (same pointer), so that a reader can look the head up once per line.
 *
 * Bad lines are counted and the first INGEST_ERRORS_KEPT reported with number (1-based, counted over the stream) and
 * reason; the good ones of the same chunk are kept, and no row of a bad line. NaN values are dropped and counted (no text
 * format can write the stale marker). The last line needs no newline when `last` is set; else the bytes behind the last
 * newline are left (batch.consumed), and come again with the next chunk. A line over INGEST_LINE_BYTES_MAX is a bad line
 * and is consumed as it comes, so that a stream without newlines needs bounded memory.
 *
 * What a line means follows victoria-metrics 1.79.5, tried line by line (spec/compat/ingest_peer_spec.lua), but for what
 * prometheus.c and influx.c list under "Differences".
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
enum {
	INGEST_ERRORS_KEPT = 100,
	INGEST_ERROR_TEXT_MAX = 160,
	INGEST_LINE_BYTES_MAX = 16 << 20,
	INGEST_BATCH_ROWS = 8192,
	INGEST_LINE_FIELDS_MAX = 65536, /* a line of the peer's 256 KiB cannot have more */
	INGEST_EXTRA_LABELS_MAX = 64
};

struct ingest_row {
	struct bytes head;
	struct bytes tail;
	int64_t timestamp_ms;
	double value; /* never a NaN */
};

struct ingest_error {
	uint64_t line; /* 0: not of one line */
	char text[INGEST_ERROR_TEXT_MAX];
};

/* Options as victoria-metrics has them; zeroed = its defaults. */
struct ingest_options {
	enum ingest_format format;
	int64_t now_ms;               /* for rows without a timestamp */
	int64_t default_timestamp_ms; /* prometheus ?timestamp=; 0 or less: now_ms */
	char influx_separator[16];    /* between measurement and field; "" means "_" (influx_no_separator for none) */
	bool influx_no_separator;
	bool influx_skip_single_field; /* a line with one field keeps the measurement as the name */
	bool influx_skip_measurement;  /* name = field key */
	int64_t influx_precision_ns;   /* unit of timestamps in ns: 1, 1000, 1e6, 1e9, 60e9, 3600e9; 0: told by size */
	struct bytes influx_db;        /* label db="..." for lines without such a tag; empty: none */
	const struct label *extra_labels; /* added to every series; the last of equal names counts, so they replace */
	size_t extra_labels_count;
};

struct ingest_batch {
	struct ingest_row *rows;
	size_t rows_count;
	size_t consumed; /* bytes of the chunk that are done with */
};

struct ingest_report {
	uint64_t lines;    /* seen, also empty ones and comments */
	uint64_t rejected; /* bad lines */
	uint64_t nan;      /* values dropped for being NaN */
	struct ingest_error errors[INGEST_ERRORS_KEPT];
	size_t errors_count;
};

struct ingest_parser;

/* Keeps no view into options. */
NODISCARD int ingest_parser_create(struct mem *mem, const struct ingest_options *options, struct ingest_parser **out);
void ingest_parser_delete(struct ingest_parser *parser); /* NULL is fine */
/* A new stream with the options of before but for these: line numbers and report start again, what was learnt is kept. */
void ingest_parser_restart(struct ingest_parser *parser, int64_t now_ms, int64_t default_timestamp_ms);
/*
 * Parses lines of chunk from its start until INGEST_BATCH_ROWS rows are full (the line that fills it is finished) or
 * the chunk ends. Views in *batch are into the chunk and the parser, valid until the next call. Call again with the rest
 * (chunk + consumed) until consumed is 0 or the chunk is used up.
 */
NODISCARD int ingest_parse(struct ingest_parser *parser, struct bytes chunk, bool last, struct ingest_batch *batch);
const struct ingest_report *ingest_report(const struct ingest_parser *parser);
/*
 * The labels of a raw key, unescaped, metric name first as "__name__", the format's and the extra labels added in the
 * peer's order, labels without value left out; views live in head, tail, options and arena. ERR_METRIC when the key
 * cannot be parsed (never for a key that ingest_parse gave under the same options), or when influx_skip_measurement and
 * influx_skip_single_field together leave no label at all.
 */
NODISCARD int ingest_key_labels(const struct ingest_options *options, struct bytes head, struct bytes tail,
    struct arena *arena, struct labels *out);
/* A number that changes when the options would give the same raw key other labels: part of the caller's cache key. */
uint64_t ingest_options_hash(const struct ingest_options *options);
/* Counts a line that the caller did not hand over because it is too long, so that the lines behind keep their numbers. */
void ingest_reject_long_line(struct ingest_parser *parser);
/* Folds a fault found later into the report, as a bad line of unknown number. */
void ingest_reject(struct ingest_parser *parser, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
