/*
 * select.c -- a query: which series, one moment of rows, then series after series as columns.
 * floor: storage     uses: internal.h columns.h names_chunk.h     used by: ffi
 *
 *   index_search -> tsids (sorted) ----------------------------+
 *   table_view_open -> parts of this moment -> a cursor each   |-> per series: blocks -> columns -> sorted, dedup -> caller
 *
 * One moment: rows are those of the view. A series made between search and view could have rows in the view that the
 * search did not list, while older rows of other series are there too; then both are taken again, the view first and with
 * all rows. Deletions wait at the moment gate meanwhile.
 *
 * Series with the same name and different ids (an index that lost one, or two writers) come as one: see names_chunk.h.
 * Memory: one series' columns, a cursor's windows per part, the tsids, names of one chunk.
 */
#include "storage/internal.h"

#include <stdlib.h>

#include "codec/int64s.h"
#include "ingest/metric_text.h"
#include "part/part_search.h"
#include "storage/columns.h"
#include "storage/names_chunk.h"

/* A part of the view and where this query is in it. */
struct select_source {
	struct part *part;          /* the view's reference */
	struct part_cursor *cursor; /* NULL: not begun */
	bool damaged;
};

struct storage_select {
	struct storage *storage;
	struct storage_select *previous, *next; /* in storage->selects */
	bool let_go;                            /* view and cursors are gone: the database is closed */
	struct tenant tenant;
	int64_t min_ms, max_ms;
	uint64_t limit, given;
	struct tsid_list tsids;
	size_t at;
	struct table_view view;
	struct select_source *sources;
	size_t sources_count;
	struct names_chunk names;
	struct int64s_scratch scratch;
	struct block block;
	struct columns columns;
	struct arena arena; /* labels of the present series */
	struct buf metric, partial;
	struct labels labels;
	const char **label_texts;
	size_t *label_bytes;
};

/* -- The moment ----------------------------------------------------------------------------------------------------------- */

void
query_range(const struct storage_query *query, int64_t *min_ms, int64_t *max_ms)
{
	*min_ms = query->from_ms > 0 ? query->from_ms : 0;
	*max_ms = query->to_ms;
}

int
query_parse(struct storage *storage, const struct storage_query *query, struct match **match)
{
	*match = NULL;
	TRY(storage_check_tenant(storage, query->tenant));
	if (query->matches_count == 0)
		return 0;
	return match_parse(&storage->mem, query->matches, query->matches_count, match);
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The metric ids of the series found, as a set. */
static int
wanted_make(struct storage_select *select, struct u64set *wanted)
{
	struct mem *mem = &select->storage->mem;
	uint64_t *ids = mem_array(mem, select->tsids.count + 1, sizeof(*ids));
	int rc;

	if (ids == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < select->tsids.count; i++)
		ids[i] = select->tsids.items[i].metric_id;
	qsort(ids, select->tsids.count, sizeof(*ids), compare_u64);
	rc = u64set_add_many(wanted, ids, select->tsids.count);
	mem_free(mem, ids);
	return rc;
}

static int
search(struct storage_select *select, const struct match *match)
{
	tsid_list_free(&select->tsids);
	select->tsids = (struct tsid_list){ .mem = &select->storage->mem };
	return index_search(select->storage->index, select->tenant, match, select->min_ms, select->max_ms, 0,
	    &select->tsids);
}

static int
view_wanted(struct storage_select *select)
{
	struct u64set wanted;
	int rc;

	u64set_init(&wanted, &select->storage->mem);
	rc = wanted_make(select, &wanted);
	if (rc == 0)
		rc = table_view_open(select->storage->table, select->min_ms, select->max_ms, &wanted, &select->view);
	u64set_free(&wanted);
	return rc;
}

/* Inside the moment gate. */
static int
take_moment_inside(struct storage_select *select, const struct match *match)
{
	struct storage *storage = select->storage;
	uint64_t seq;

	if (match != NULL) {
		seq = index_last_seq(storage->index);
		TRY(search(select, match));
		if (select->tsids.count == 0)
			return 0;
		TRY(view_wanted(select));
		if (index_last_seq(storage->index) == seq)
			return 0;
		table_view_close(&select->view);
		select->view = (struct table_view){ 0 };
	}
	TRY(table_view_open(storage->table, select->min_ms, select->max_ms, NULL, &select->view));
	return search(select, match);
}

static int
take_moment(struct storage_select *select, const struct match *match)
{
	int rc;

	gate_enter(&select->storage->moment_gate);
	rc = take_moment_inside(select, match);
	gate_leave(&select->storage->moment_gate);
	return rc;
}

/* -- Life ------------------------------------------------------------------------------------------------------------------- */

/* View, cursors and what else holds files or the index: gone. Columns stay for whoever still reads them. */
static void
let_go(struct storage_select *select)
{
	if (select->let_go)
		return;
	select->let_go = true;
	for (size_t i = 0; i < select->sources_count; i++)
		part_cursor_delete(select->sources[i].cursor);
	mem_free(&select->storage->mem, select->sources);
	select->sources = NULL;
	select->sources_count = 0;
	table_view_close(&select->view);
}

static void
unlink_locked(struct storage_select *select)
{
	struct storage *storage = select->storage;

	if (select->next != NULL)
		select->next->previous = select->previous;
	if (select->previous != NULL)
		select->previous->next = select->next;
	else if (storage->selects == select)
		storage->selects = select->next;
	select->next = select->previous = NULL;
}

static void
link_select(struct storage_select *select)
{
	struct storage *storage = select->storage;

	lock_take(&storage->selects_lock);
	select->next = storage->selects;
	if (select->next != NULL)
		select->next->previous = select;
	storage->selects = select;
	lock_release(&storage->selects_lock);
}

/* By close: nobody is inside a call any more. */
void
select_let_go_all(struct storage *storage)
{
	lock_take(&storage->selects_lock);
	while (storage->selects != NULL) {
		struct storage_select *select = storage->selects;

		unlink_locked(select);
		let_go(select);
	}
	lock_release(&storage->selects_lock);
}

/* Memory only; the select is let go and unlinked. */
static void
select_delete(struct storage_select *select)
{
	struct mem *mem = &select->storage->mem;

	tsid_list_free(&select->tsids);
	names_chunk_free(&select->names);
	int64s_scratch_free(&select->scratch);
	block_free(&select->block);
	columns_free(&select->columns);
	arena_free(&select->arena);
	buf_free(&select->metric);
	buf_free(&select->partial);
	mem_free(mem, select);
}

static struct storage_select *
select_make(struct storage *storage, const struct storage_query *query)
{
	struct storage_select *select = mem_zalloc(&storage->mem, sizeof(*select));

	if (select == NULL)
		return NULL;
	select->storage = storage;
	select->tenant = query->tenant;
	select->limit = query->limit;
	query_range(query, &select->min_ms, &select->max_ms);
	select->tsids.mem = &storage->mem;
	names_chunk_init(&select->names, &storage->mem);
	int64s_scratch_init(&select->scratch, &storage->mem);
	block_init(&select->block, &storage->mem);
	columns_init(&select->columns, &storage->mem);
	arena_init(&select->arena, &storage->mem);
	buf_init(&select->metric, &storage->mem);
	buf_init(&select->partial, &storage->mem);
	return select;
}

/* Parts by time, so that blocks of a series mostly arrive in order and need no sorting. */
static int
compare_sources(const void *a, const void *b)
{
	const struct part *x = ((const struct select_source *)a)->part, *y = ((const struct select_source *)b)->part;

	if (x->header.min_timestamp_ms != y->header.min_timestamp_ms)
		return x->header.min_timestamp_ms < y->header.min_timestamp_ms ? -1 : 1;
	if (x->header.suffix != y->header.suffix)
		return x->header.suffix < y->header.suffix ? -1 : 1;
	return (x->table.id > y->table.id) - (x->table.id < y->table.id);
}

static int
sources_make(struct storage_select *select)
{
	select->sources = mem_zalloc(&select->storage->mem, (select->view.count + 1) * sizeof(*select->sources));
	if (select->sources == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < select->view.count; i++) {
		struct part *part = select->view.parts[i];

		if (part->header.min_timestamp_ms <= select->max_ms && part->header.max_timestamp_ms >= select->min_ms)
			select->sources[select->sources_count++].part = part;
	}
	qsort(select->sources, select->sources_count, sizeof(*select->sources), compare_sources);
	return 0;
}

static int
select_open_inside(struct storage *storage, const struct storage_query *query, struct storage_select **out)
{
	struct storage_select *select;
	struct match *match;
	int rc;

	TRY(query_parse(storage, query, &match));
	select = select_make(storage, query);
	rc = select != NULL ? 0 : ERR_MEMORY;
	if (rc == 0 && select->min_ms <= select->max_ms)
		rc = take_moment(select, match);
	match_delete(match);
	if (rc == 0)
		rc = sources_make(select);
	if (rc == 0 && select->view.partial > 0)
		rc = table_damaged_names(storage->table, &select->partial);
	if (rc == 0)
		rc = index_damaged_names(storage->index, &select->partial);
	if (rc != 0) {
		if (select != NULL) {
			let_go(select);
			select_delete(select);
		}
		return rc;
	}
	storage->queries++;
	storage_ref(storage);
	link_select(select);
	*out = select;
	return 0;
}

int
storage_select_open(struct storage *storage, const struct storage_query *query, struct storage_select **out)
{
	int rc;

	TRY(storage_enter(storage));
	rc = select_open_inside(storage, query, out);
	storage_leave(storage);
	return rc;
}

void
storage_select_free(struct storage_select *select)
{
	struct storage *storage;
	bool inside;

	if (select == NULL)
		return;
	storage = select->storage;
	/* in a child the files and counts are the parent's */
	if (fork_guard_is_child(&storage->guard))
		return;
	inside = gate_try_enter(&storage->calls);
	lock_take(&storage->selects_lock);
	unlink_locked(select);
	/* a database that is being closed lets go of its selects under this lock, and of its parts only after that */
	if (!inside)
		let_go(select);
	lock_release(&storage->selects_lock);
	let_go(select);
	if (inside)
		storage_leave(storage);
	select_delete(select);
	storage_unref(storage);
}

/* -- Rows of a series --------------------------------------------------------------------------------------------------------- */

/* A part that cannot be read is left out, named in the answer, and kept out of merges. */
static int
source_damaged(struct storage_select *select, struct select_source *source)
{
	source->damaged = true;
	part_cursor_delete(source->cursor);
	source->cursor = NULL;
	log_write(&select->storage->log, LOG_ERROR, "a query leaves out a damaged part: %s", err_message());
	table_part_damaged(select->storage->table, source->part);
	steps_tell_trouble(select->storage);
	TRY(buf_append_text(&select->partial, source->part->name));
	return buf_append_u8(&select->partial, '\n');
}

/* Appends all blocks of the series that `cursor` yields. */
static int
read_blocks(struct storage_select *select, struct part_cursor *cursor, const struct tsid *tsid)
{
	for (;;) {
		bool found = false;

		TRY(part_cursor_next_of(cursor, tsid, select->min_ms, select->max_ms, &select->block, &found));
		if (!found)
			return 0;
		TRY(columns_append(&select->columns, &select->block, &select->scratch, select->min_ms, select->max_ms));
	}
}

/* The rows of one part; what was appended of a damaged part is taken back. */
static int
read_source(struct storage_select *select, struct select_source *source, const struct tsid *tsid)
{
	struct columns_mark mark = columns_mark(&select->columns);
	int rc = 0;

	if (source->damaged)
		return 0;
	if (source->cursor == NULL)
		rc = part_cursor_create(&select->storage->mem, source->part, false, &source->cursor);
	if (rc == 0)
		rc = part_cursor_seek(source->cursor, tsid);
	if (rc == 0)
		rc = read_blocks(select, source->cursor, tsid);
	if (rc != ERR_CORRUPTED)
		return rc;
	columns_back_to(&select->columns, mark);
	return source_damaged(select, source);
}

/* Another id of the same name: out of order, so with cursors of its own. */
static int
read_extra(struct storage_select *select, const struct tsid *tsid)
{
	for (size_t i = 0; i < select->sources_count; i++) {
		struct select_source once = { .part = select->sources[i].part, .damaged = select->sources[i].damaged };
		int rc = read_source(select, &once, tsid);

		part_cursor_delete(once.cursor);
		if (once.damaged)
			select->sources[i].damaged = true;
		TRY(rc);
	}
	return 0;
}

static int
read_series(struct storage_select *select, size_t at)
{
	const struct storage_options *options = &select->storage->options;

	columns_reset(&select->columns);
	for (size_t i = 0; i < select->sources_count; i++)
		TRY(read_source(select, &select->sources[i], &select->tsids.items[at]));
	for (size_t extra = names_chunk_same(&select->names, at); extra != SIZE_MAX;
	     extra = names_chunk_same(&select->names, extra))
		TRY(read_extra(select, &select->tsids.items[extra]));
	TRY(columns_sort(&select->columns));
	columns_dedup(&select->columns, options->dedup_interval_ms, options->dedup_keep);
	return 0;
}

/* -- The answer ------------------------------------------------------------------------------------------------------------------ */

static const char *
terminated_copy(struct arena *arena, struct bytes text)
{
	uint8_t *copy = arena_bytes(arena, text.len + 1);

	if (copy == NULL)
		return NULL;
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	copy[text.len] = 0;
	return (const char *)copy;
}

/* Canonical text and terminated labels of a stored name. */
static int
describe(struct storage_select *select, struct bytes name)
{
	struct tenant tenant;

	arena_reset(&select->arena);
	buf_reset(&select->metric);
	TRY(metric_name_to_labels(select->storage->root.layout, name, &select->arena, &tenant, &select->labels));
	TRY(metric_text_format(&select->labels, &select->metric));
	TRY(buf_append_u8(&select->metric, 0));
	select->label_texts = arena_alloc(&select->arena, select->labels.count * 2 * sizeof(*select->label_texts) + 1);
	select->label_bytes = arena_alloc(&select->arena, select->labels.count * 2 * sizeof(*select->label_bytes) + 1);
	if (select->label_texts == NULL || select->label_bytes == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < select->labels.count; i++) {
		const struct label *label = &select->labels.items[i];

		select->label_texts[2 * i] = terminated_copy(&select->arena, label->name);
		select->label_texts[2 * i + 1] = terminated_copy(&select->arena, label->value);
		if (select->label_texts[2 * i] == NULL || select->label_texts[2 * i + 1] == NULL)
			return ERR_MEMORY;
		select->label_bytes[2 * i] = label->name.len;
		select->label_bytes[2 * i + 1] = label->value.len;
	}
	return 0;
}

static void
fill(const struct storage_select *select, struct storage_columns *out)
{
	*out = (struct storage_columns){
		.metric = bytes_of(select->metric.data, select->metric.len - 1),
		.timestamps_ms = select->columns.timestamps_ms,
		.values = select->columns.values,
		.count = select->columns.count,
		.labels = select->label_texts,
		.label_bytes = select->label_bytes,
		.labels_count = select->labels.count,
	};
}

static int
next_inside(struct storage_select *select, struct storage_columns *out, bool *found)
{
	struct storage *storage = select->storage;

	*found = false;
	while (select->at < select->tsids.count && (select->limit == 0 || select->given < select->limit)) {
		size_t at = select->at;
		struct bytes name;

		TRY(names_chunk_load(&select->names, storage->index, select->tenant, &select->tsids, at));
		select->at++;
		if (!names_chunk_first(&select->names, at, &name))
			continue;
		TRY(read_series(select, at));
		if (select->columns.count == 0)
			continue;
		TRY(describe(select, name));
		fill(select, out);
		storage->rows_selected += select->columns.count;
		select->given++;
		*found = true;
		return 0;
	}
	return 0;
}

int
storage_select_next(struct storage_select *select, struct storage_columns *out, bool *found)
{
	int rc;

	TRY(storage_enter(select->storage));
	rc = next_inside(select, out, found);
	storage_leave(select->storage);
	return rc;
}

const char *
storage_select_partial(struct storage_select *select)
{
	if (buf_append_u8(&select->partial, 0) != 0)
		return "";
	select->partial.len--;
	return (const char *)select->partial.data;
}
