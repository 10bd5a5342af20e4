/*
 * index_engine.c -- an index with an environment of its own, driven from the specs with flat buffers.
 * floor: test     uses: index/index.h     used by: the specs of index
 *
 * Lists come back as bytes: every string is a u32 length (native order) and its bytes; lists of lists put a u32 count first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/io.h"
#include "index/index.h"
#include "index/index_private.h"

struct tt_index {
	struct mem mem;
	struct clock clock;
	struct log log;
	struct io *io;
	struct index *index;
	enum layout layout;
	struct buf out;      /* the last answer */
	uint64_t longest_ns; /* of the registrations of tt_index_bench: one of them seals */
};

struct tt_index *tt_index_open(const char *root, int layout, bool read_only, double now_ms, double retention_ms,
    uint32_t staging_max);
int tt_index_close(struct tt_index *test, double *live_blocks, double *open_files);
int tt_index_register(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n,
    double date, uint64_t *id, bool *created);
int tt_index_find(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n, uint64_t *id,
    bool *found);
int tt_index_register_date(struct tt_index *test, uint32_t account, uint32_t project, uint64_t id, double date);
int tt_index_search(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors, size_t n,
    double min_ms, double max_ms, double limit);
int tt_index_label_names(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors,
    size_t n, double min_ms, double max_ms, double limit);
int tt_index_label_values(struct tt_index *test, uint32_t account, uint32_t project, const char *label,
    size_t label_bytes, const char *const *selectors, size_t n, double min_ms, double max_ms, double limit);
int tt_index_delete(struct tt_index *test, const uint64_t *ids, size_t n);
int tt_index_work(struct tt_index *test);
int tt_index_flush(struct tt_index *test);
int tt_index_force_merge(struct tt_index *test);
int tt_index_items(struct tt_index *test, int which);
double tt_index_stat(struct tt_index *test, const char *name);
void tt_index_set_clock(struct tt_index *test, double now_ms);
int tt_index_canonical(const char *labels, size_t n, int layout, uint32_t account, uint32_t project,
    struct tt_index *test, uint32_t *cuts);
int tt_index_decode(struct tt_index *test, const char *name, size_t n);
int tt_match_check(const char *selector, size_t n);
int tt_pattern(struct tt_index *test, const char *text, size_t n, const char *value, size_t value_bytes, bool *matches,
    int *kind);
const char *tt_index_out(struct tt_index *test, size_t *n);
int tt_index_snapshot(struct tt_index *test, const char *directory);
int tt_index_detect(const char *root, int *layout, bool *known);
void tt_index_fail_memory(struct tt_index *test, double after_calls);
int tt_index_add_raw(struct tt_index *test, const char *item, size_t n);
double tt_index_bench(struct tt_index *test, uint32_t from, uint32_t n, double date, int shape);

struct tt_index *
tt_index_open(const char *root, int layout, bool read_only, double now_ms, double retention_ms, uint32_t staging_max)
{
	struct tt_index *test = calloc(1, sizeof(*test));
	struct index_env env;

	mem_init(&test->mem, 0);
	clock_init_manual(&test->clock, (int64_t)now_ms);
	log_init(&test->log, &test->mem, &test->clock, LOG_TO_STDERR);
	buf_init(&test->out, &test->mem);
	test->layout = (enum layout)layout;
	if (io_posix_create(&test->mem, &test->io) != 0)
		return NULL;
	env = (struct index_env){
		.io = test->io,
		.mem = &test->mem,
		.clock = &test->clock,
		.log = &test->log,
		.layout = (enum layout)layout,
		.root = root,
		.retention_ms = (int64_t)retention_ms,
		.visible_ms = 1000,
		.durable_ms = 5000,
		.staging_series_max = staging_max,
		.read_only = read_only,
	};
	if (index_open(&env, &test->index) == 0)
		return test;
	(void)tt_index_close(test, NULL, NULL);
	return NULL;
}

int
tt_index_close(struct tt_index *test, double *live_blocks, double *open_files)
{
	index_close(test->index);
	buf_free(&test->out);
	if (open_files != NULL)
		*open_files = (double)test->io->open_files;
	io_destroy(test->io);
	log_destroy(&test->log);
	if (live_blocks != NULL)
		*live_blocks = (double)mem_live(&test->mem);
	free(test);
	return 0;
}

const char *
tt_index_out(struct tt_index *test, size_t *n)
{
	*n = test->out.len;
	return (const char *)test->out.data;
}

void
tt_index_set_clock(struct tt_index *test, double now_ms)
{
	clock_set_manual(&test->clock, (int64_t)now_ms);
}

/* -- Names ------------------------------------------------------------------------------------------------------------ */

static void
read_labels(const char *text, size_t n, struct labels *out)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + n;

	out->count = 0;
	while (p < end) {
		struct bytes parts[2];

		for (unsigned i = 0; i < 2; i++) {
			uint32_t len;

			memcpy(&len, p, 4);
			parts[i] = bytes_of(p + 4, len);
			p += 4 + len;
		}
		out->items[out->count++] = (struct label){ .name = parts[0], .value = parts[1] };
	}
}

static int
stored_name(struct tt_index *test, struct tenant tenant, const char *text, size_t n, struct buf *out)
{
	static const struct metric_name_limits limits = { LABELS_KEPT_DEFAULT, LABEL_NAME_BYTES_MAX,
		LABEL_VALUE_BYTES_MAX };
	static struct labels labels;
	struct metric_name_cuts cuts = { 0 };

	read_labels(text, n, &labels);
	return metric_name_from_labels(test->layout, tenant, &labels, &limits, out, &cuts);
}

int
tt_index_canonical(const char *labels, size_t n, int layout, uint32_t account, uint32_t project, struct tt_index *test,
    uint32_t *cuts)
{
	static const struct metric_name_limits limits = { LABELS_KEPT_DEFAULT, LABEL_NAME_BYTES_MAX,
		LABEL_VALUE_BYTES_MAX };
	static struct labels parsed;
	struct metric_name_cuts made = { 0 };
	int rc;

	buf_reset(&test->out);
	read_labels(labels, n, &parsed);
	rc = metric_name_from_labels((enum layout)layout, (struct tenant){ account, project }, &parsed, &limits,
	    &test->out, &made);
	cuts[0] = made.labels_dropped;
	cuts[1] = made.names_cut;
	cuts[2] = made.values_cut;
	return rc;
}

int
tt_index_register(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n, double date,
    uint64_t *id, bool *created)
{
	struct buf name;
	struct tsid tsid = { 0 };
	int rc;

	buf_init(&name, &test->mem);
	rc = stored_name(test, (struct tenant){ account, project }, labels, n, &name);
	if (rc == 0)
		rc = index_register(test->index, buf_bytes(&name), (uint64_t)date, &tsid, created);
	buf_free(&name);
	*id = tsid.metric_id;
	return rc;
}

int
tt_index_find(struct tt_index *test, uint32_t account, uint32_t project, const char *labels, size_t n, uint64_t *id,
    bool *found)
{
	struct buf name;
	struct tsid tsid = { 0 };
	int rc;

	buf_init(&name, &test->mem);
	rc = stored_name(test, (struct tenant){ account, project }, labels, n, &name);
	if (rc == 0)
		rc = index_find(test->index, buf_bytes(&name), &tsid, found);
	buf_free(&name);
	*id = tsid.metric_id;
	return rc;
}

/* Only id and tenant of the TSID are used: the name is looked up. */
int
tt_index_register_date(struct tt_index *test, uint32_t account, uint32_t project, uint64_t id, double date)
{
	struct buf name;
	struct tenant tenant = { account, project };
	struct tsid tsid = { 0 };
	bool found = false;
	int rc;

	buf_init(&name, &test->mem);
	rc = index_name(test->index, tenant, id, &name, &found);
	if (rc == 0 && found)
		rc = index_find(test->index, buf_bytes(&name), &tsid, &found);
	buf_free(&name);
	if (rc == 0 && found)
		rc = index_register_date(test->index, &tsid, bytes_of(NULL, 0), (uint64_t)date);
	return rc != 0 ? rc : found ? 0 : -1;
}

static int
put_text(struct buf *out, struct bytes text)
{
	uint32_t n = (uint32_t)text.len;

	TRY(buf_append(out, &n, 4));
	return buf_append(out, text.data, text.len);
}

static int
put_labels(struct tt_index *test, struct bytes stored)
{
	static struct labels labels;
	struct arena arena;
	struct tenant tenant;
	uint32_t n;
	int rc;

	arena_init(&arena, &test->mem);
	rc = metric_name_to_labels(test->layout, stored, &arena, &tenant, &labels);
	n = (uint32_t)labels.count;
	if (rc == 0)
		rc = buf_append(&test->out, &n, 4);
	for (size_t i = 0; i < labels.count && rc == 0; i++) {
		rc = put_text(&test->out, labels.items[i].name);
		if (rc == 0)
			rc = put_text(&test->out, labels.items[i].value);
	}
	arena_free(&arena);
	return rc;
}

int
tt_index_decode(struct tt_index *test, const char *name, size_t n)
{
	buf_reset(&test->out);
	return put_labels(test, bytes_of(name, n));
}

/* -- Searching ---------------------------------------------------------------------------------------------------------- */

static int
parse_match(struct tt_index *test, const char *const *selectors, size_t n, struct match **out)
{
	struct bytes texts[64];

	*out = NULL;
	if (n == 0)
		return 0;
	for (size_t i = 0; i < n && i < 64; i++)
		texts[i] = bytes_of_text(selectors[i]);
	return match_parse(&test->mem, texts, n, out);
}

static int
visit_name(void *context, uint64_t metric_id, struct bytes name)
{
	struct tt_index *test = context;

	TRY(buf_append(&test->out, &metric_id, 8));
	return put_labels(test, name);
}

/* Out: for each series its id (u64), the number of labels (u32), names and values. */
int
tt_index_search(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors, size_t n,
    double min_ms, double max_ms, double limit)
{
	struct tsid_list list = { 0 };
	struct tenant tenant = { account, project };
	struct match *match;
	uint64_t *ids = NULL;
	int rc;

	buf_reset(&test->out);
	TRY(parse_match(test, selectors, n, &match));
	rc = index_search(test->index, tenant, match, (int64_t)min_ms, (int64_t)max_ms, (size_t)limit, &list);
	match_delete(match);
	if (rc != 0)
		return rc;
	ids = malloc((list.count + 1) * sizeof(*ids));
	for (size_t i = 0; i < list.count; i++) {
		ids[i] = list.items[i].metric_id;
		if (i > 0 && tsid_compare(&list.items[i - 1], &list.items[i]) >= 0)
			rc = ERR_BUG("series %zu of a search is not in order", i);
	}
	if (rc == 0)
		rc = index_names(test->index, tenant, ids, list.count, visit_name, test);
	free(ids);
	tsid_list_free(&list);
	return rc;
}

static int
put_list(struct tt_index *test, struct bytes_list *list)
{
	int rc = 0;

	for (size_t i = 0; i < list->count && rc == 0; i++)
		rc = put_text(&test->out, list->items[i]);
	bytes_list_free(list);
	return rc;
}

int
tt_index_label_names(struct tt_index *test, uint32_t account, uint32_t project, const char *const *selectors, size_t n,
    double min_ms, double max_ms, double limit)
{
	struct bytes_list list;
	struct match *match;
	int rc;

	buf_reset(&test->out);
	TRY(parse_match(test, selectors, n, &match));
	rc = index_label_names(test->index, (struct tenant){ account, project }, match, (int64_t)min_ms,
	    (int64_t)max_ms, (size_t)limit, &list);
	match_delete(match);
	return rc != 0 ? rc : put_list(test, &list);
}

int
tt_index_label_values(struct tt_index *test, uint32_t account, uint32_t project, const char *label, size_t label_bytes,
    const char *const *selectors, size_t n, double min_ms, double max_ms, double limit)
{
	struct bytes_list list;
	struct match *match;
	int rc;

	buf_reset(&test->out);
	TRY(parse_match(test, selectors, n, &match));
	rc = index_label_values(test->index, (struct tenant){ account, project }, bytes_of(label, label_bytes), match,
	    (int64_t)min_ms, (int64_t)max_ms, (size_t)limit, &list);
	match_delete(match);
	return rc != 0 ? rc : put_list(test, &list);
}

int
tt_match_check(const char *selector, size_t n)
{
	struct mem mem;
	struct match *match;
	struct bytes text = bytes_of(selector, n);
	int rc;

	mem_init(&mem, 0);
	rc = match_parse(&mem, &text, 1, &match);
	if (rc == 0)
		match_delete(match);
	return mem_live(&mem) != 0 ? -1 : rc;
}

/* Out: prefix, then the literals. */
int
tt_pattern(struct tt_index *test, const char *text, size_t n, const char *value, size_t value_bytes, bool *matches,
    int *kind)
{
	struct tag_pattern pattern;
	struct arena arena;
	int rc;

	buf_reset(&test->out);
	arena_init(&arena, &test->mem);
	rc = tag_pattern_compile(&test->mem, &arena, bytes_of(text, n), &pattern);
	if (rc == 0) {
		*matches = tag_pattern_matches(&pattern, bytes_of(value, value_bytes));
		*kind = (int)pattern.kind;
		rc = put_text(&test->out, pattern.prefix);
		for (size_t i = 0; i < pattern.or_values_count && rc == 0; i++)
			rc = put_text(&test->out, pattern.or_values[i]);
		tag_pattern_free(&pattern);
	}
	arena_free(&arena);
	return rc;
}

/* -- Work --------------------------------------------------------------------------------------------------------------- */

int
tt_index_delete(struct tt_index *test, const uint64_t *ids, size_t n)
{
	return index_delete(test->index, ids, n);
}

int
tt_index_work(struct tt_index *test)
{
	struct budget budget = budget_unlimited();
	bool did = true;

	while (did)
		TRY(index_step(test->index, &budget, &did));
	return 0;
}

int
tt_index_flush(struct tt_index *test)
{
	index_flush_request(test->index);
	TRY(tt_index_work(test));
	if (index_durable_seq(test->index) != index_last_seq(test->index))
		return ERR_BUG("after a flush %llu of %llu registrations are durable",
		    (unsigned long long)index_durable_seq(test->index),
		    (unsigned long long)index_last_seq(test->index));
	return 0;
}

int
tt_index_force_merge(struct tt_index *test)
{
	TRY(tt_index_flush(test));
	index_force_merge(test->index);
	TRY(tt_index_work(test));
	return index_force_merging(test->index) ? ERR_BUG("a forced merge does not end") : 0;
}

int
tt_index_snapshot(struct tt_index *test, const char *directory)
{
	return index_snapshot(test->index, directory);
}

int
tt_index_detect(const char *root, int *layout, bool *known)
{
	struct mem mem;
	struct io *io;
	enum layout found = LAYOUT_SINGLE;
	int rc;

	mem_init(&mem, 0);
	TRY(io_posix_create(&mem, &io));
	rc = index_detect_layout(io, &mem, root, &found, known);
	*layout = (int)found;
	if (rc == 0 && io->open_files != 0)
		rc = ERR_BUG("%llu open files", (unsigned long long)io->open_files);
	io_destroy(io);
	return rc == 0 && mem_live(&mem) != 0 ? ERR_BUG("%llu live blocks", (unsigned long long)mem_live(&mem)) : rc;
}

/* Out: all items of one generation (0 current, 1 previous), sealed first. */
int
tt_index_items(struct tt_index *test, int which)
{
	struct moment moment;
	struct item_cursor *cursor;
	struct bytes item;
	bool found = true;
	int rc;

	buf_reset(&test->out);
	TRY(moment_take(test->index, true, &moment));
	rc = item_cursor_create(&test->mem, &moment.views[which], 1, &cursor);
	if (rc == 0)
		rc = item_cursor_seek(cursor, bytes_of("", 0));
	while (rc == 0) {
		rc = item_cursor_next(cursor, &item, &found);
		if (rc != 0 || !found)
			break;
		rc = put_text(&test->out, item);
	}
	item_cursor_delete(cursor);
	moment_release(&moment);
	return rc;
}

double
tt_index_stat(struct tt_index *test, const char *name)
{
	struct index_stats stats;

	index_stats(test->index, &stats);
	if (strcmp(name, "series_created") == 0)
		return (double)stats.series_created;
	if (strcmp(name, "dates_registered") == 0)
		return (double)stats.dates_registered;
	if (strcmp(name, "deleted_ids") == 0)
		return (double)stats.deleted_ids;
	if (strcmp(name, "rotations") == 0)
		return (double)stats.rotations;
	if (strcmp(name, "missing_names") == 0)
		return (double)stats.missing_names;
	if (strcmp(name, "missing_tsids") == 0)
		return (double)stats.missing_tsids;
	if (strcmp(name, "file_parts") == 0)
		return (double)(stats.current.file_parts + stats.previous.file_parts);
	if (strcmp(name, "read_only") == 0)
		return index_is_read_only(test->index);
	if (strcmp(name, "filter_complete") == 0)
		return test->index->filter_complete;
	if (strcmp(name, "durable_seq") == 0)
		return (double)index_durable_seq(test->index);
	if (strcmp(name, "last_seq") == 0)
		return (double)index_last_seq(test->index);
	if (strcmp(name, "epoch") == 0)
		return (double)index_epoch(test->index);
	if (strcmp(name, "next_tick_ms") == 0)
		return (double)index_next_tick_ms(test->index);
	if (strcmp(name, "longest_us") == 0)
		return (double)test->longest_ns / 1000;
	if (strcmp(name, "mem_used") == 0)
		return (double)mem_used(&test->mem);
	return -1;
}

/* Puts any bytes as an item into the current generation, as a damaged or foreign writer could. */
int
tt_index_add_raw(struct tt_index *test, const char *item, size_t n)
{
	uint32_t offsets[2] = { 0, (uint32_t)n };
	struct item_run run = { .data = (const uint8_t *)item, .offsets = offsets, .count = 1 };
	uint64_t seq;

	return item_table_add_run(test->index->current->table, &run, &seq);
}

/* The allocation after so many more fails; < 0: none does. */
void
tt_index_fail_memory(struct tt_index *test, double after_calls)
{
	test->mem.fail_at = after_calls < 0 ? 0 : test->mem.calls + 1 + (uint64_t)after_calls;
}

/* Time of this thread on the processor: other programs on the machine do not count. */
static uint64_t
thread_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Registers n series made from numbers, name and five labels; nanoseconds of processor time for registering and sealing. */
double
tt_index_bench(struct tt_index *test, uint32_t from, uint32_t n, double date, int shape)
{
	struct buf name;
	uint64_t start, total = 0;

	buf_init(&name, &test->mem);
	for (uint32_t i = from; i < from + n; i++) {
		char values[5][32];
		struct labels *labels = malloc(sizeof(*labels));
		static const char *const keys[5] = { "instance", "job", "region", "rack", "service" };
		static const struct metric_name_limits limits = { LABELS_KEPT_DEFAULT, LABEL_NAME_BYTES_MAX,
			LABEL_VALUE_BYTES_MAX };
		struct metric_name_cuts cuts = { 0 };
		struct tsid tsid;
		bool created;

		snprintf(values[0], 32, "host_%u", shape == 0 ? i : i / 100);
		snprintf(values[1], 32, "job_%u", i % 10);
		snprintf(values[2], 32, "region-%u", i % 7);
		snprintf(values[3], 32, "rack%u", shape == 0 ? i % 100 : i);
		snprintf(values[4], 32, "service_%u", i % 20);
		labels->items[0] = (struct label){ bytes_of("__name__", 8), bytes_of("cpu_usage_total", 15) };
		for (unsigned j = 0; j < 5; j++)
			labels->items[j + 1] = (struct label){ bytes_of_text(keys[j]), bytes_of_text(values[j]) };
		labels->count = 6;
		buf_reset(&name);
		start = thread_cpu_ns();
		if (metric_name_from_labels(test->layout, (struct tenant){ 0, 0 }, labels, &limits, &name, &cuts) != 0)
			return -1;
		if (index_register(test->index, buf_bytes(&name), (uint64_t)date, &tsid, &created) != 0)
			return -1;
		start = thread_cpu_ns() - start;
		total += start;
		if (start > test->longest_ns)
			test->longest_ns = start;
		free(labels);
	}
	buf_free(&name);
	return (double)total;
}
