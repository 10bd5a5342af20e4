/*
 * ffi.c -- the public functions: arguments are checked and translated, everything else is storage's.
 * floor: ffi     uses: tsengine.h storage     used by: the Lua module, programs in C
 *
 * What is handed out beyond the life of a database (lists, arrays, clocks) is counted in an account of its own, `ffi_handed_out`;
 * it holds no state but the count.
 *
 * Errors     TSE_FORMAT for arguments that cannot be meant (NULL, negative sizes, unknown numbers); else what storage returns.
 * Threads    as tsengine.h says.
 */
#pragma GCC visibility push(default)
#include "ffi/tsengine.h"
#pragma GCC visibility pop

#include <stdatomic.h>

#include "base/err.h"
#include "ffi/ffi_inner.h"

#define TSE_VERSION_TEXT "0.1.0"
enum { ABI_VERSION = 1, SELECTORS_MAX = 1024 };

#define SAME_CODE(public_code, code) \
	_Static_assert((int)(public_code) == (int)(code), "a code of tsengine.h differs from err.h")
SAME_CODE(TSE_OK, ERR_NONE);
SAME_CODE(TSE_LOCKED, ERR_LOCKED);
SAME_CODE(TSE_LAYOUT, ERR_LAYOUT);
SAME_CODE(TSE_CORRUPT, ERR_CORRUPTED);
SAME_CODE(TSE_NOSPACE, ERR_NOSPACE);
SAME_CODE(TSE_IO, ERR_IO);
SAME_CODE(TSE_MEMORY, ERR_MEMORY);
SAME_CODE(TSE_READONLY, ERR_READONLY);
SAME_CODE(TSE_FORKED, ERR_FORKED);
SAME_CODE(TSE_LIMIT, ERR_LIMIT);
SAME_CODE(TSE_TIMEOUT, ERR_TIMEOUT);
SAME_CODE(TSE_RANGE, ERR_RANGE);
SAME_CODE(TSE_METRIC, ERR_METRIC);
SAME_CODE(TSE_MATCH, ERR_MATCH);
SAME_CODE(TSE_FORMAT, ERR_FORMAT);
SAME_CODE(TSE_POLICY, ERR_POLICY);
SAME_CODE(TSE_NOTFOUND, ERR_NOTFOUND);
SAME_CODE(TSE_BUG, ERR_BUG_CODE);

struct mem ffi_handed_out;

/* The public names are the storage's objects under another tag; ffi_inner.h has the database's. */
static struct storage_series *
inner_series(struct tse_series *series)
{
	return (struct storage_series *)series;
}
static struct storage_writer *
inner_writer(struct tse_writer *writer)
{
	return (struct storage_writer *)writer;
}
static struct storage_select *
inner_select(struct tse_select *select)
{
	return (struct storage_select *)select;
}

int
ffi_missing(const char *what)
{
	return ERR(ERR_FORMAT, "%s is NULL", what);
}

/* -- Library ---------------------------------------------------------------------------------------------------------------- */

uint32_t
tse_abi_version(void)
{
	return ABI_VERSION;
}

const char *
tse_version(void)
{
	return TSE_VERSION_TEXT;
}

const char *
tse_error_message(void)
{
	return err_message();
}

const char *
tse_error_word(int code)
{
	return err_word(code);
}

void
tse_free(void *p)
{
	mem_free(&ffi_handed_out, p);
}

/* -- Clocks -------------------------------------------------------------------------------------------------------------------- */

struct tse_clock {
	struct clock clock;
	_Atomic uint32_t refs;
};

struct tse_clock *
tse_clock_manual(int64_t now_ms)
{
	struct tse_clock *clock = mem_alloc(&ffi_handed_out, sizeof(*clock));

	if (clock == NULL)
		return NULL;
	clock_init_manual(&clock->clock, now_ms);
	atomic_init(&clock->refs, 1);
	return clock;
}

int64_t
tse_clock_now(const struct tse_clock *clock)
{
	return clock != NULL ? clock_now_ms(&clock->clock) : 0;
}

void
tse_clock_set(struct tse_clock *clock, int64_t now_ms)
{
	if (clock != NULL)
		clock_set_manual(&clock->clock, now_ms);
}

static void
clock_release(void *context)
{
	struct tse_clock *clock = context;

	if (clock != NULL && atomic_fetch_sub(&clock->refs, 1) == 1)
		mem_free(&ffi_handed_out, clock);
}

void
tse_clock_free(struct tse_clock *clock)
{
	clock_release(clock);
}

/* -- Life ------------------------------------------------------------------------------------------------------------------------ */

void
tse_options_default(struct tse_options *options)
{
	struct storage_options inner;

	if (options == NULL)
		return;
	storage_options_default(&inner);
	*options = (struct tse_options){
		.layout = inner.layout,
		.future_limit_ms = inner.future_limit_ms,
		.threads = inner.threads,
		.visible_ms = inner.visible_ms,
		.durable_ms = inner.durable_ms,
		.merge_fan = inner.merge_fan,
		.min_free_disk_bytes = inner.min_free_disk_bytes,
		.labels_max = inner.labels_max,
	};
}

static void
options_translate(const struct tse_options *o, struct storage_options *out)
{
	*out = (struct storage_options){
		.path = o->path,
		.layout = o->layout,
		.read_only = o->read_only != 0,
		.retention_ms = o->retention_ms,
		.future_limit_ms = o->future_limit_ms,
		.dedup_interval_ms = o->dedup_interval_ms,
		.dedup_keep = o->dedup_keep == 1 ? DEDUP_FIRST : DEDUP_LAST,
		.threads = o->threads,
		.visible_ms = o->visible_ms,
		.durable_ms = o->durable_ms,
		.shards = o->shards,
		.shard_rows = o->shard_rows,
		.merge_fan = o->merge_fan,
		.merge_workers = o->merge_workers,
		.memory_limit_bytes = o->memory_limit_bytes,
		.min_free_disk_bytes = o->min_free_disk_bytes,
		.tenant = { .account = o->account, .project = o->project },
		.log_target = (enum log_target)o->log_target,
		.labels_max = o->labels_max,
	};
}

int
tse_open(const struct tse_options *options, struct tse_db **out)
{
	struct storage_options inner;
	struct storage_env env = { .io = NULL };
	struct storage *storage = NULL;

	if (options == NULL || out == NULL)
		return ffi_missing("options or out");
	if (options->log_target < LOG_TO_NOBODY || options->log_target > LOG_TO_RING)
		return ERR(ERR_FORMAT, "log_target %d is not 0 (nobody), 1 (stderr) or 2 (kept)", options->log_target);
	if (options->dedup_keep != 0 && options->dedup_keep != 1)
		return ERR(ERR_FORMAT, "dedup_keep %d is neither 0 (last) nor 1 (first)", options->dedup_keep);
	options_translate(options, &inner);
	if (options->clock != NULL) {
		atomic_fetch_add(&options->clock->refs, 1);
		env.clock = &options->clock->clock;
		env.release = clock_release;
		env.context = options->clock;
	}
	TRY(storage_open(&env, &inner, &storage));
	*out = (struct tse_db *)storage;
	return 0;
}

int
tse_close(struct tse_db *db)
{
	return db != NULL ? storage_close(ffi_inner_db(db)) : 0;
}

void
tse_abandon(struct tse_db *db)
{
	if (db != NULL)
		storage_abandon(ffi_inner_db(db));
}

int64_t
tse_now_ms(const struct tse_db *db)
{
	return db != NULL ? storage_now_ms((const struct storage *)db) : 0;
}

int
tse_layout(const struct tse_db *db)
{
	return db != NULL ? (int)storage_layout((const struct storage *)db) : -1;
}

/* -- Rows in ------------------------------------------------------------------------------------------------------------------------ */

static struct tenant
tenant_of(uint32_t account, uint32_t project)
{
	return (struct tenant){ .account = account, .project = project };
}

int
tse_add(struct tse_db *db, uint32_t account, uint32_t project, const char *metric, size_t metric_bytes,
    int64_t timestamp_ms, double value)
{
	if (db == NULL || metric == NULL)
		return ffi_missing("db or metric");
	return storage_add(ffi_inner_db(db), tenant_of(account, project), bytes_of(metric, metric_bytes), timestamp_ms,
	    value);
}

int
tse_series_open(struct tse_db *db, uint32_t account, uint32_t project, const char *metric, size_t metric_bytes,
    struct tse_series **out)
{
	struct storage_series *series = NULL;

	if (db == NULL || metric == NULL || out == NULL)
		return ffi_missing("db, metric or out");
	TRY(storage_series_open(ffi_inner_db(db), tenant_of(account, project), bytes_of(metric, metric_bytes),
	    &series));
	*out = (struct tse_series *)series;
	return 0;
}

int
tse_series_add(struct tse_series *series, int64_t timestamp_ms, double value)
{
	return series != NULL ? storage_series_add(inner_series(series), timestamp_ms, value) : ffi_missing("series");
}

int
tse_series_add_columns(struct tse_series *series, const int64_t *timestamps_ms, const double *values, size_t n,
    uint64_t *accepted)
{
	if (series == NULL || accepted == NULL)
		return ffi_missing("series or accepted");
	if (n > 0 && (timestamps_ms == NULL || values == NULL))
		return ffi_missing("timestamps or values");
	return storage_series_add_columns(inner_series(series), timestamps_ms, values, n, accepted);
}

void
tse_series_free(struct tse_series *series)
{
	storage_series_free(inner_series(series));
}

/* The pairs of extra labels, which the writer copies. */
static int
translate_labels(const struct tse_write_options *options, struct label **out)
{
	struct label *labels = mem_array(&ffi_handed_out, options->extra_labels_count + 1, sizeof(*labels));

	if (labels == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < options->extra_labels_count; i++) {
		const char *name = options->extra_labels[2 * i], *value = options->extra_labels[2 * i + 1];

		if (name == NULL || value == NULL) {
			mem_free(&ffi_handed_out, labels);
			return ffi_missing("the name or value of an extra label");
		}
		labels[i] = (struct label){ .name = bytes_of_text(name), .value = bytes_of_text(value) };
	}
	*out = labels;
	return 0;
}

static int
translate_write_options(const struct tse_write_options *o, struct storage_write_options *out)
{
	struct ingest_options *ingest = &out->ingest;

	*out = (struct storage_write_options){ .unpack = o->compression == 1,
		.tenant = tenant_of(o->account, o->project) };
	if (o->format < 0 || o->format >= INGEST_FORMATS)
		return ERR(ERR_FORMAT, "format %d is neither 0 (prometheus) nor 1 (influx)", o->format);
	if (o->compression != 0 && o->compression != 1)
		return ERR(ERR_FORMAT, "compression %d is neither 0 (plain) nor 1 (told by the first bytes)",
		    o->compression);
	if (o->extra_labels_count > 0 && o->extra_labels == NULL)
		return ffi_missing("extra_labels");
	if (o->extra_labels_count > INGEST_EXTRA_LABELS_MAX)
		return ERR(ERR_LIMIT, "%zu extra labels are more than %d", o->extra_labels_count,
		    INGEST_EXTRA_LABELS_MAX);
	if (o->influx_separator != NULL && strlen(o->influx_separator) >= sizeof(ingest->influx_separator))
		return ERR(ERR_FORMAT, "the separator is longer than %zu bytes", sizeof(ingest->influx_separator) - 1);
	ingest->format = (enum ingest_format)o->format;
	ingest->default_timestamp_ms = o->default_timestamp_ms;
	ingest->influx_no_separator = o->influx_separator != NULL && o->influx_separator[0] == '\0';
	if (o->influx_separator != NULL)
		memcpy(ingest->influx_separator, o->influx_separator, strlen(o->influx_separator) + 1);
	ingest->influx_skip_single_field = o->influx_skip_single_field != 0;
	ingest->influx_skip_measurement = o->influx_skip_measurement != 0;
	ingest->influx_precision_ns = o->influx_precision_ns;
	if (o->influx_db != NULL)
		ingest->influx_db = bytes_of_text(o->influx_db);
	ingest->extra_labels_count = o->extra_labels_count;
	return 0;
}

int
tse_writer_open(struct tse_db *db, const struct tse_write_options *options, struct tse_writer **out)
{
	struct storage_write_options inner;
	struct storage_writer *writer = NULL;
	struct label *labels = NULL;
	int rc;

	if (db == NULL || options == NULL || out == NULL)
		return ffi_missing("db, options or out");
	TRY(translate_write_options(options, &inner));
	TRY(translate_labels(options, &labels));
	inner.ingest.extra_labels = labels;
	rc = storage_writer_open(ffi_inner_db(db), &inner, &writer);
	mem_free(&ffi_handed_out, labels);
	if (rc == 0)
		*out = (struct tse_writer *)writer;
	return rc;
}

int
tse_writer_write(struct tse_writer *writer, const char *data, size_t n, int last)
{
	if (writer == NULL || (data == NULL && n > 0))
		return ffi_missing("writer or data");
	return storage_writer_write(inner_writer(writer), bytes_of(data != NULL ? data : "", n), last != 0);
}

void
tse_writer_report(const struct tse_writer *writer, struct tse_write_report *out)
{
	struct storage_write_report report;

	if (writer == NULL || out == NULL)
		return;
	storage_writer_report((const struct storage_writer *)writer, &report);
	*out = (struct tse_write_report){
		.accepted = report.accepted,
		.rejected = report.rejected,
		.ignored_past = report.past,
		.ignored_future = report.future,
		.ignored_nan = report.nan,
		.ignored_limit = report.limit,
		.lines = report.lines,
		.bytes = report.bytes,
		.errors_count = report.errors_count,
		.labels_dropped = report.labels_dropped,
		.names_cut = report.names_cut,
		.values_cut = report.values_cut,
	};
}

const char *
tse_writer_error(const struct tse_writer *writer, uint64_t i, uint64_t *line)
{
	struct storage_write_report report;
	uint64_t ignored;

	if (writer == NULL)
		return "";
	storage_writer_report((const struct storage_writer *)writer, &report);
	if (i >= report.errors_count)
		return "";
	return storage_writer_error((const struct storage_writer *)writer, (size_t)i, line != NULL ? line : &ignored);
}

void
tse_writer_free(struct tse_writer *writer)
{
	storage_writer_free(inner_writer(writer));
}

/* -- Answers -------------------------------------------------------------------------------------------------------------------------- */

/* *texts is a fresh array that inner->matches points to. */
static int
translate_query(const struct tse_query *query, struct bytes **texts, struct storage_query *inner)
{
	if (query->matches_count > SELECTORS_MAX)
		return ERR(ERR_LIMIT, "%zu selectors are more than %d", query->matches_count, SELECTORS_MAX);
	if (query->matches_count > 0 && (query->matches == NULL || query->match_lengths == NULL))
		return ffi_missing("matches or match_lengths");
	*texts = mem_array(&ffi_handed_out, query->matches_count + 1, sizeof(**texts));
	if (*texts == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < query->matches_count; i++) {
		if (query->matches[i] == NULL) {
			mem_free(&ffi_handed_out, *texts);
			return ffi_missing("a selector");
		}
		(*texts)[i] = bytes_of(query->matches[i], query->match_lengths[i]);
	}
	*inner = (struct storage_query){
		.matches = *texts,
		.matches_count = query->matches_count,
		.from_ms = query->from_ms,
		.to_ms = query->to_ms,
		.limit = query->limit,
		.tenant = tenant_of(query->account, query->project),
	};
	return 0;
}

int
tse_select_open(struct tse_db *db, const struct tse_query *query, struct tse_select **out)
{
	struct storage_query inner;
	struct storage_select *select = NULL;
	struct bytes *texts;
	int rc;

	if (db == NULL || query == NULL || out == NULL)
		return ffi_missing("db, query or out");
	TRY(translate_query(query, &texts, &inner));
	rc = storage_select_open(ffi_inner_db(db), &inner, &select);
	mem_free(&ffi_handed_out, texts);
	if (rc == 0)
		*out = (struct tse_select *)select;
	return rc;
}

int
tse_select_next(struct tse_select *select, struct tse_columns *out, int *found)
{
	struct storage_columns columns;
	bool any = false;

	if (select == NULL || out == NULL || found == NULL)
		return ffi_missing("select, out or found");
	TRY(storage_select_next(inner_select(select), &columns, &any));
	*found = any;
	if (!any)
		return 0;
	*out = (struct tse_columns){
		.metric = (const char *)columns.metric.data,
		.metric_bytes = columns.metric.len,
		.timestamps = columns.timestamps_ms,
		.values = columns.values,
		.count = columns.count,
		.labels = columns.labels,
		.label_bytes = columns.label_bytes,
		.labels_count = columns.labels_count,
	};
	return 0;
}

const char *
tse_select_partial(struct tse_select *select)
{
	return select != NULL ? storage_select_partial(inner_select(select)) : "";
}

void
tse_select_free(struct tse_select *select)
{
	storage_select_free(inner_select(select));
}

/* -- Lists ------------------------------------------------------------------------------------------------------------------------------ */

/* Gives the texts to the caller as a list. */
static int
list_give(struct storage_texts *texts, struct tse_list *out)
{
	struct storage_texts *owner = mem_alloc(&ffi_handed_out, sizeof(*owner));

	if (owner == NULL) {
		storage_texts_free(texts);
		return ERR_MEMORY;
	}
	*owner = *texts;
	*out = (struct tse_list){ .data = (const char *)owner->data.data,
		.offsets = owner->offsets,
		.count = owner->count,
		.owner = owner };
	return 0;
}

/* As list_give, or frees the texts of a call that failed. */
int
ffi_list_end(int rc, struct storage_texts *texts, struct tse_list *out)
{
	if (rc == 0)
		return list_give(texts, out);
	storage_texts_free(texts);
	return rc;
}

void
tse_list_free(struct tse_list *list)
{
	if (list == NULL || list->owner == NULL)
		return;
	storage_texts_free(list->owner);
	mem_free(&ffi_handed_out, list->owner);
	*list = (struct tse_list){ 0 };
}

typedef int list_fn(struct storage *storage, const struct storage_query *query, struct storage_texts *texts);

static int
list_query(struct tse_db *db, const struct tse_query *query, list_fn *ask, struct tse_list *out)
{
	struct storage_query inner;
	struct storage_texts texts;
	struct bytes *selectors;
	int rc;

	if (db == NULL || query == NULL || out == NULL)
		return ffi_missing("db, query or out");
	TRY(translate_query(query, &selectors, &inner));
	storage_texts_init(&texts, &ffi_handed_out);
	rc = ask(ffi_inner_db(db), &inner, &texts);
	mem_free(&ffi_handed_out, selectors);
	return ffi_list_end(rc, &texts, out);
}

int
tse_series_names(struct tse_db *db, const struct tse_query *query, struct tse_list *out)
{
	return list_query(db, query, storage_series_names, out);
}

int
tse_label_names(struct tse_db *db, const struct tse_query *query, struct tse_list *out)
{
	return list_query(db, query, storage_label_names, out);
}

int
tse_label_values(struct tse_db *db, const char *label, size_t label_bytes, const struct tse_query *query,
    struct tse_list *out)
{
	struct storage_query inner;
	struct storage_texts texts;
	struct bytes *selectors;
	int rc;

	if (db == NULL || label == NULL || query == NULL || out == NULL)
		return ffi_missing("db, label, query or out");
	TRY(translate_query(query, &selectors, &inner));
	storage_texts_init(&texts, &ffi_handed_out);
	rc = storage_label_values(ffi_inner_db(db), bytes_of(label, label_bytes), &inner, &texts);
	mem_free(&ffi_handed_out, selectors);
	return ffi_list_end(rc, &texts, out);
}

int
tse_delete_series(struct tse_db *db, const struct tse_query *query, uint64_t *series)
{
	struct storage_query inner;
	struct bytes *selectors;
	int rc;

	if (db == NULL || query == NULL || series == NULL)
		return ffi_missing("db, query or series");
	TRY(translate_query(query, &selectors, &inner));
	rc = storage_delete(ffi_inner_db(db), &inner, series);
	mem_free(&ffi_handed_out, selectors);
	return rc;
}

/* -- Work asked for ------------------------------------------------------------------------------------------------------------------- */

int
tse_flush(struct tse_db *db, int wait, uint64_t *ticket)
{
	uint64_t ignored;

	if (db == NULL || (wait == 0 && ticket == NULL))
		return ffi_missing("db or ticket");
	return storage_flush(ffi_inner_db(db), wait != 0, ticket != NULL ? ticket : &ignored);
}

int
tse_force_merge(struct tse_db *db, const char *partition, int wait, uint64_t *ticket, uint64_t *merges)
{
	uint64_t ignored_ticket, ignored_merges;

	if (db == NULL || (wait == 0 && ticket == NULL))
		return ffi_missing("db or ticket");
	return storage_force_merge(ffi_inner_db(db), partition, wait != 0, ticket != NULL ? ticket : &ignored_ticket,
	    merges != NULL ? merges : &ignored_merges);
}

static int
snapshot(struct tse_db *db, const char *name, bool wait, uint64_t *ticket, struct tse_list *out)
{
	struct storage_texts texts;
	int rc;

	if (db == NULL || out == NULL)
		return ffi_missing("db or the list");
	storage_texts_init(&texts, &ffi_handed_out);
	rc = storage_snapshot(ffi_inner_db(db), name, wait, ticket, &texts);
	return ffi_list_end(rc, &texts, out);
}

int
tse_snapshot_create(struct tse_db *db, const char *name, struct tse_list *name_and_path)
{
	uint64_t ignored;

	return snapshot(db, name, true, &ignored, name_and_path);
}

int
tse_snapshot_start(struct tse_db *db, const char *name, uint64_t *ticket, struct tse_list *name_and_path)
{
	return ticket != NULL ? snapshot(db, name, false, ticket, name_and_path) : ffi_missing("ticket");
}

int
tse_snapshots(struct tse_db *db, struct tse_list *out)
{
	struct storage_texts texts;

	if (db == NULL || out == NULL)
		return ffi_missing("db or out");
	storage_texts_init(&texts, &ffi_handed_out);
	return ffi_list_end(storage_snapshots(ffi_inner_db(db), &texts), &texts, out);
}

int
tse_snapshot_delete(struct tse_db *db, const char *name)
{
	if (db == NULL || name == NULL)
		return ffi_missing("db or name");
	return storage_snapshot_delete(ffi_inner_db(db), name);
}

int
tse_step(struct tse_db *db, uint64_t budget_us, uint64_t *did, int64_t *next_ms)
{
	uint64_t ignored_did;
	int64_t ignored_next;

	if (db == NULL)
		return ffi_missing("db");
	return storage_step(ffi_inner_db(db), budget_us, did != NULL ? did : &ignored_did,
	    next_ms != NULL ? next_ms : &ignored_next);
}
