/*
 * write.c -- a stream of text -> rows: parse, find the series, hand over in batches.
 * floor: storage     uses: internal.h unpack.h     used by: ffi
 *
 *   bytes -> unpack -> whole lines -> ingest_parse (8192 rows) -> lines of one head -> series cache -> struct row -> table_add
 *
 * The cache is asked for LOOKAHEAD heads at a time: first all slots are prefetched, then all entries, then they are used,
 * because with many series each of those is a miss of some hundred nanoseconds that can overlap with the others.
 *
 * Invariants
 *  (1) A batch is looked up and added inside the cache gate: its numbers cannot be retired between the two.
 *  (2) Rows outside the window never create a series.
 */
#include "storage/internal.h"

#include <stdatomic.h>

#include "storage/unpack.h"

/*
 * LOOKAHEAD   misses in flight: as many as a core's line fill buffers take
 * MEMORY_ATTEMPTS   of a batch that runs out of memory, with room made in between
 * IDLE_WRITERS_MAX  kept between calls; each remembers some megabytes of heads at most
 * ROWS_SLACK  a batch may be longer than INGEST_BATCH_ROWS by the rest of its last line
 */
enum { LOOKAHEAD = 16, ROWS_SLACK = 1024, IDLE_WRITERS_MAX = 4, MEMORY_ATTEMPTS = 4 };

struct storage_writer {
	struct storage *storage;
	struct storage_write_options options; /* its texts are in `texts` */
	struct series_space space;
	struct arena texts;
	struct ingest_parser *parser;
	struct resolver resolver;
	struct unpack unpack;
	struct buf pending; /* an unfinished line */
	bool skipping;      /* the rest of a line that is too long */
	bool fresh_series;  /* the batch registered something */
	struct row *rows;
	size_t rows_count, rows_room;
	const struct ingest_row *at; /* the row of the batch that is being taken */
	struct storage_writer *next_idle;
	struct storage_write_report report;
	uint64_t nan_counted, rejected_counted; /* already in the storage's counters */
};

/* -- Life ---------------------------------------------------------------------------------------------------------------- */

static int
copy_bytes(struct arena *arena, struct bytes *bytes)
{
	uint8_t *copy;

	if (bytes->len == 0)
		return 0;
	copy = arena_copy(arena, bytes->data, bytes->len);
	if (copy == NULL)
		return ERR_MEMORY;
	bytes->data = copy;
	return 0;
}

static int
copy_options(struct storage_writer *writer, const struct storage_write_options *options)
{
	struct ingest_options *ingest = &writer->options.ingest;
	struct label *extra;

	writer->options = *options;
	TRY(copy_bytes(&writer->texts, &ingest->influx_db));
	if (ingest->extra_labels_count == 0)
		return 0;
	if (ingest->extra_labels_count > LABELS_MAX)
		return ERR(ERR_LIMIT, "%zu extra labels are more than %d", ingest->extra_labels_count, LABELS_MAX);
	extra = arena_alloc(&writer->texts, ingest->extra_labels_count * sizeof(*extra));
	if (extra == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < ingest->extra_labels_count; i++) {
		extra[i] = ingest->extra_labels[i];
		TRY(copy_bytes(&writer->texts, &extra[i].name));
		TRY(copy_bytes(&writer->texts, &extra[i].value));
	}
	ingest->extra_labels = extra;
	return 0;
}

/* Leaves the reference to the storage to the caller. */
static void
writer_delete(struct storage_writer *writer)
{
	struct mem *mem = &writer->storage->mem;

	ingest_parser_delete(writer->parser);
	resolver_free(&writer->resolver);
	unpack_free(&writer->unpack);
	buf_free(&writer->pending);
	arena_free(&writer->texts);
	mem_free(mem, writer->rows);
	mem_free(mem, writer);
}

static int
writer_make(struct storage *storage, const struct storage_write_options *options, struct storage_writer **out)
{
	struct storage_writer *writer;
	int rc;

	TRY(storage_check_tenant(storage, options->tenant));
	writer = mem_zalloc(&storage->mem, sizeof(*writer));
	if (writer == NULL)
		return ERR_MEMORY;
	writer->storage = storage;
	arena_init(&writer->texts, &storage->mem);
	resolver_init(&writer->resolver, storage);
	unpack_init(&writer->unpack, &storage->mem, options->unpack);
	buf_init(&writer->pending, &storage->mem);
	TRY_GOTO(fail, copy_options(writer, options));
	if (writer->options.ingest.now_ms == 0)
		writer->options.ingest.now_ms = clock_now_ms(storage->clock);
	writer->space.tenant = options->tenant;
	writer->space.options = ingest_options_hash(&writer->options.ingest);
	TRY_GOTO(fail, ingest_parser_create(&storage->mem, &writer->options.ingest, &writer->parser));
	*out = writer;
	return 0;
fail:
	writer_delete(writer);
	return rc;
}

/* -- Idle writers: what a parser has learnt is worth keeping between small texts ------------------------------ */

static bool
is_for(const struct storage_writer *writer, const struct storage_write_options *options)
{
	return writer->space.tenant.account == options->tenant.account &&
	    writer->space.tenant.project == options->tenant.project &&
	    writer->options.ingest.format == options->ingest.format &&
	    writer->options.ingest.influx_precision_ns == options->ingest.influx_precision_ns &&
	    writer->space.options == ingest_options_hash(&options->ingest);
}

/* An idle writer of these options, as good as new; NULL: there is none. */
static struct storage_writer *
take_idle(struct storage *storage, const struct storage_write_options *options)
{
	struct storage_writer **link, *writer;
	int64_t now_ms = options->ingest.now_ms != 0 ? options->ingest.now_ms : clock_now_ms(storage->clock);

	lock_take(&storage->writers_lock);
	for (link = &storage->idle_writers; *link != NULL && !is_for(*link, options); link = &(*link)->next_idle)
		continue;
	writer = *link;
	if (writer != NULL) {
		*link = writer->next_idle;
		storage->idle_writers_count--;
	}
	lock_release(&storage->writers_lock);
	if (writer == NULL)
		return NULL;
	ingest_parser_restart(writer->parser, now_ms, options->ingest.default_timestamp_ms);
	unpack_free(&writer->unpack);
	unpack_init(&writer->unpack, &storage->mem, options->unpack);
	buf_free(&writer->pending);
	writer->skipping = false;
	writer->nan_counted = writer->rejected_counted = 0;
	memset(&writer->report, 0, sizeof(writer->report));
	return writer;
}

/* Keeps the writer, unless there are enough. */
static bool
leave_idle(struct storage *storage, struct storage_writer *writer)
{
	bool kept;

	lock_take(&storage->writers_lock);
	kept = storage->idle_writers_count < IDLE_WRITERS_MAX;
	if (kept) {
		writer->next_idle = storage->idle_writers;
		storage->idle_writers = writer;
		storage->idle_writers_count++;
	}
	lock_release(&storage->writers_lock);
	return kept;
}

void
writers_free_idle(struct storage *storage)
{
	struct storage_writer *writer;

	lock_take(&storage->writers_lock);
	while ((writer = storage->idle_writers) != NULL) {
		storage->idle_writers = writer->next_idle;
		storage->idle_writers_count--;
		writer_delete(writer);
	}
	lock_release(&storage->writers_lock);
}

int
storage_writer_open(struct storage *storage, const struct storage_write_options *options, struct storage_writer **out)
{
	int rc;

	TRY(storage_enter(storage));
	*out = take_idle(storage, options);
	rc = *out != NULL ? 0 : writer_make(storage, options, out);
	if (rc == 0)
		storage_ref(storage);
	storage_leave(storage);
	return rc;
}

void
storage_writer_free(struct storage_writer *writer)
{
	struct storage *storage;

	if (writer == NULL)
		return;
	storage = writer->storage;
	if (fork_guard_is_child(&storage->guard)) /* the pages are the parent's */
		return;
	/* inside, so that close cannot free the idle ones before this one is among them */
	if (gate_try_enter(&storage->calls)) {
		if (!leave_idle(storage, writer))
			writer_delete(writer);
		storage_leave(storage);
	} else {
		writer_delete(writer);
	}
	storage_unref(storage);
}

/* -- One line: rows that share a head ------------------------------------------------------------------------------------- */

static void
count_cuts(struct storage_writer *writer)
{
	const struct metric_name_cuts *cuts = &writer->resolver.cuts;

	writer->report.labels_dropped += cuts->labels_dropped;
	writer->report.names_cut += cuts->names_cut;
	writer->report.values_cut += cuts->values_cut;
}

/* The number for one row; *tail is what the cache had, and what it has now. */
static int
find_number(struct storage_writer *writer, const struct resolve_moment *moment, const struct series_key *key,
    uint64_t hash, uint64_t day, struct series_tail **tail, uint32_t *number)
{
	if (LIKELY(*tail != NULL)) {
		if (LIKELY(atomic_load_explicit(&(*tail)->ref.state, memory_order_acquire) ==
			series_state(moment->stamp, day))) {
			*number = atomic_load_explicit(&(*tail)->ref.number, memory_order_relaxed);
			return 0;
		}
		writer->fresh_series = true;
		return resolve_again(&writer->resolver, moment, key, day, *tail, number);
	}
	writer->fresh_series = true;
	TRY(resolve_new(&writer->resolver, moment, key, hash, day, tail));
	*number = atomic_load_explicit(&(*tail)->ref.number, memory_order_relaxed);
	count_cuts(writer);
	return 0;
}

static void
ignore_row(struct storage_writer *writer, bool past)
{
	if (past) {
		writer->report.past++;
		writer->storage->rows_past++;
	} else {
		writer->report.future++;
		writer->storage->rows_future++;
	}
}

/* What a row that has no series means for the batch: 0 go on without it. */
static int
refuse_row(struct storage_writer *writer, int code, bool *told)
{
	if (code == ERR_METRIC) {
		/* one bad line is one rejection, however many fields it has */
		if (!*told)
			ingest_reject(writer->parser, "%s", err_message());
		*told = true;
		return 0;
	}
	if (code == ERR_LIMIT) {
		writer->report.limit++;
		writer->storage->rows_limit++;
		return 0;
	}
	return code;
}

static int
take_line(struct storage_writer *writer, const struct resolve_moment *moment, const struct ingest_row *rows, size_t n,
    uint64_t hash)
{
	struct series_cache *cache = &writer->storage->cache;
	struct series_key key = {
		.space = writer->space,
		.head = rows[0].head,
		.options = &writer->options.ingest,
	};
	struct series_entry *entry = series_cache_head(cache, hash, &key.space, key.head);
	struct series_tail *expected = entry != NULL ? atomic_load_explicit(&entry->first, memory_order_acquire) : NULL;
	int64_t day_of_ms = -1; /* the rows of a line mostly have one time */
	uint64_t day = 0;
	bool told = false;

	for (size_t i = 0; i < n; i++) {
		int64_t timestamp_ms = rows[i].timestamp_ms;
		struct series_tail *tail = NULL;
		uint32_t number;
		int rc;

		writer->at = &rows[i];
		if (UNLIKELY(!resolve_in_window(moment, timestamp_ms))) {
			ignore_row(writer, timestamp_ms < moment->min_ms);
			continue;
		}
		key.tail = rows[i].tail;
		if (entry == NULL)
			entry = series_cache_head(cache, hash, &key.space, key.head);
		if (LIKELY(entry != NULL))
			tail = series_cache_tail(cache, entry, hash, expected, key.tail);
		if (timestamp_ms != day_of_ms) {
			day_of_ms = timestamp_ms;
			day = (uint64_t)timestamp_ms / (uint64_t)MS_PER_DAY;
		}
		rc = find_number(writer, moment, &key, hash, day, &tail, &number);
		if (UNLIKELY(rc != 0)) {
			TRY(refuse_row(writer, rc, &told));
			continue;
		}
		expected = atomic_load_explicit(&tail->next, memory_order_acquire);
		writer->rows[writer->rows_count++] =
		    (struct row){ .series = number, .timestamp_ms = timestamp_ms, .value = rows[i].value };
	}
	return 0;
}

/* -- One batch -------------------------------------------------------------------------------------------------------------- */

static int
take_rows(struct storage_writer *writer, const struct resolve_moment *moment, const struct ingest_row *rows, size_t n)
{
	struct series_cache *cache = &writer->storage->cache;
	size_t next = 0;

	while (next < n) {
		size_t start[LOOKAHEAD + 1];
		uint64_t hash[LOOKAHEAD];
		size_t lines = 0;

		for (; next < n && lines < LOOKAHEAD; lines++) {
			struct bytes head = rows[next].head;

			start[lines] = next;
			hash[lines] = series_cache_hash(&writer->space, head);
			series_cache_prefetch(cache, hash[lines]);
			do
				next++;
			while (next < n && rows[next].head.data == head.data && rows[next].head.len == head.len);
		}
		start[lines] = next;
		for (size_t i = 0; i < lines; i++)
			series_cache_prefetch_entry(cache, hash[i]);
		for (size_t i = 0; i < lines; i++)
			TRY(take_line(writer, moment, rows + start[i], start[i + 1] - start[i], hash[i]));
	}
	return 0;
}

static int
rows_reserve(struct storage_writer *writer, size_t n)
{
	struct row *rows;
	size_t room = n > INGEST_BATCH_ROWS + ROWS_SLACK ? n : INGEST_BATCH_ROWS + ROWS_SLACK;

	if (n <= writer->rows_room)
		return 0;
	rows = mem_array(&writer->storage->mem, room, sizeof(*rows));
	if (rows == NULL)
		return ERR_MEMORY;
	mem_free(&writer->storage->mem, writer->rows);
	writer->rows = rows;
	writer->rows_room = room;
	return 0;
}

/* Rows from `at` on: *at is where it ended when something failed. What was found before is still added, in order. */
static int
add_rows(struct storage_writer *writer, const struct ingest_batch *batch, size_t *at)
{
	struct storage *storage = writer->storage;
	struct add_counts counts = { 0 };
	struct resolve_moment moment;
	struct err_saved saved;
	int rc, found;

	TRY(resolve_begin(storage, &moment));
	resolve_window(storage, &moment);
	writer->rows_count = 0;
	writer->fresh_series = false;
	found = take_rows(writer, &moment, batch->rows + *at, batch->rows_count - *at);
	*at = found == 0 ? batch->rows_count : (size_t)(writer->at - batch->rows);
	err_save(&saved);
	rc = writer->rows_count > 0 ? table_add(storage->table, writer->rows, writer->rows_count, &counts) : 0;
	resolve_end(storage);
	writer->report.accepted += counts.accepted;
	writer->report.past += counts.past;
	writer->report.future += counts.future;
	if (writer->fresh_series)
		steps_wake_for_index(storage);
	if (rc != 0) /* which of the rows were taken is in the counts; they must not be added again */
		*at = batch->rows_count;
	return found != 0 && rc == 0 ? err_restore(&saved) : rc;
}

/* When memory fails while series are looked up, room is made and the rest tried again. */
static int
add_batch(struct storage_writer *writer, const struct ingest_batch *batch)
{
	struct storage *storage = writer->storage;
	size_t at = 0;
	int rc = 0;

	TRY(rows_reserve(writer, batch->rows_count));
	TRY(storage_touch(storage));
	TRY(resolve_make_room(storage));
	for (int attempt = 0; attempt < MEMORY_ATTEMPTS && at < batch->rows_count; attempt++) {
		rc = add_rows(writer, batch, &at);
		if (rc != ERR_MEMORY || at == batch->rows_count)
			break;
		TRY(resolve_make_room_now(storage));
	}
	return rc;
}

/* -- Lines ------------------------------------------------------------------------------------------------------------------- */

/* Parses what it can of the chunk; *consumed is less than its length when a line is not finished. */
static int
parse_chunk(struct storage_writer *writer, struct bytes chunk, bool last, size_t *consumed)
{
	*consumed = 0;
	while (*consumed < chunk.len) {
		struct ingest_batch batch;

		TRY(ingest_parse(writer->parser, bytes_of(chunk.data + *consumed, chunk.len - *consumed), last,
		    &batch));
		*consumed += batch.consumed;
		if (batch.rows_count > 0)
			TRY(add_batch(writer, &batch));
		if (batch.consumed == 0)
			break;
	}
	return 0;
}

/* Completes the unfinished line with what follows it. */
static int
take_pending(struct storage_writer *writer, struct bytes *data, bool last)
{
	const uint8_t *newline = data->len > 0 ? memchr(data->data, '\n', data->len) : NULL;
	size_t n = newline != NULL ? (size_t)(newline - data->data) + 1 : data->len;
	size_t consumed;

	if (!writer->skipping && writer->pending.len + n > INGEST_LINE_BYTES_MAX) {
		ingest_reject_long_line(writer->parser);
		writer->skipping = true;
		buf_free(&writer->pending);
	}
	if (!writer->skipping)
		TRY(buf_append(&writer->pending, data->data, n));
	data->data += n;
	data->len -= n;
	if (newline == NULL && !last)
		return 0;
	if (!writer->skipping)
		TRY(parse_chunk(writer, buf_bytes(&writer->pending), last && data->len == 0, &consumed));
	writer->skipping = false;
	buf_reset(&writer->pending);
	return 0;
}

static int
take_plain(struct storage_writer *writer, struct bytes data, bool last)
{
	size_t consumed;

	writer->report.bytes += data.len;
	if (writer->pending.len > 0 || writer->skipping)
		TRY(take_pending(writer, &data, last));
	if (data.len == 0)
		return 0;
	TRY(parse_chunk(writer, data, last, &consumed));
	data.data += consumed;
	data.len -= consumed;
	return data.len > 0 ? take_pending(writer, &data, last) : 0;
}

static int
take_unpacked(void *context, struct bytes plain)
{
	return take_plain(context, plain, false);
}

/* Folds the parser's counters into the storage's. */
static void
count_report(struct storage_writer *writer)
{
	const struct ingest_report *report = ingest_report(writer->parser);

	writer->storage->rows_nan += report->nan - writer->nan_counted;
	writer->storage->lines_rejected += report->rejected - writer->rejected_counted;
	writer->nan_counted = report->nan;
	writer->rejected_counted = report->rejected;
}

int
storage_writer_write(struct storage_writer *writer, struct bytes data, bool last)
{
	int rc;

	TRY(storage_enter(writer->storage));
	if (writer->unpack.kind == UNPACK_PLAIN) {
		rc = take_plain(writer, data, last);
	} else {
		rc = unpack_feed(&writer->unpack, data, last, take_unpacked, writer);
		if (rc == 0 && last)
			rc = take_plain(writer, bytes_of("", 0), true);
	}
	/* half a line must not be glued to what the caller sends after an error */
	if (rc != 0)
		buf_reset(&writer->pending);
	count_report(writer);
	storage_leave(writer->storage);
	return rc;
}

/* -- The report ------------------------------------------------------------------------------------------------------------------ */

void
storage_writer_report(const struct storage_writer *writer, struct storage_write_report *out)
{
	const struct ingest_report *report = ingest_report(writer->parser);

	*out = writer->report;
	out->lines = report->lines;
	out->rejected = report->rejected;
	out->nan = report->nan;
	out->errors_count = report->errors_count;
}

const char *
storage_writer_error(const struct storage_writer *writer, size_t i, uint64_t *line)
{
	const struct ingest_report *report = ingest_report(writer->parser);

	*line = report->errors[i].line;
	return report->errors[i].text;
}
