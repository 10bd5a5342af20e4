/*
 * index_item_table.c -- the mergeset from the specs: loops that would be slow or clumsy through FFI.
 * floor: index     uses: item_table.h item_iter.h item_join.h     used by: spec/index
 *
 * Lists of items cross the border as one string: u32 big-endian length, then the bytes, for each.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/thread.h"
#include "codec/varint.h"
#include "index/item_iter.h"
#include "index/item_join.h"
#include "index/item_plan.h"
#include "index/item_table_inner.h"
#include "index/item_writer.h"

int tt_item_dump_views(struct mem *mem, struct item_view *const *views, size_t n, struct buf *out);
int tt_item_dump_table(struct item_table *table, struct mem *mem, struct buf *out);
int tt_item_dump_part(struct io *io, struct mem *mem, const char *path, const char *name, struct buf *out);
int tt_item_step_all(struct item_table *table, size_t most, size_t *units);
struct log *tt_item_log_create(struct mem *mem, const struct clock *clock);
void tt_item_log_delete(struct log *log);
int tt_item_block_round(struct mem *mem, struct bytes framed, int level, struct buf *header, struct buf *items,
    struct buf *lens, struct buf *out);
int tt_item_block_decode(struct mem *mem, struct bytes header, struct bytes items, struct bytes lens, struct buf *out);
int tt_item_join(struct mem *mem, struct bytes framed, uint8_t tenant_bytes, struct buf *out);
int tt_item_write_part(struct io *io, struct mem *mem, const char *directory, struct bytes framed, int level,
    struct item_part_name *name);
int tt_item_unzstd(struct mem *mem, struct bytes frame, struct buf *out);
int tt_item_zstd(struct mem *mem, struct bytes content, struct buf *out);
int tt_item_index_content(struct io *io, struct mem *mem, const char *part, struct buf *metaindex, struct buf *index);
int tt_item_add_framed(struct item_table *table, struct mem *mem, struct bytes framed, uint64_t *seq);
size_t tt_item_plan(const uint64_t *sizes, size_t n, size_t parts_max, double gain_min, size_t *start);
int tt_item_storm(struct item_table *table, struct mem *mem, unsigned rounds, uint64_t *looked_up);

/* -- Lists ------------------------------------------------------------------------------------------------------------ */

static int
put_framed(struct buf *out, struct bytes item)
{
	uint8_t head[4];

	put_u32(head, (uint32_t)item.len);
	TRY(buf_append(out, head, 4));
	return buf_append(out, item.data, item.len);
}

static bool
take_framed(struct bytes *framed, struct bytes *item)
{
	if (framed->len == 0)
		return false;
	*item = bytes_of(framed->data + 4, get_u32(framed->data));
	framed->data += 4 + item->len;
	framed->len -= 4 + item->len;
	return true;
}

static int
dump_cursor(struct item_cursor *cursor, struct buf *out)
{
	struct bytes item;
	bool found;

	TRY(item_cursor_seek(cursor, bytes_of("", 0)));
	for (;;) {
		TRY(item_cursor_next(cursor, &item, &found));
		if (!found)
			return 0;
		TRY(put_framed(out, item));
	}
}

int
tt_item_dump_views(struct mem *mem, struct item_view *const *views, size_t n, struct buf *out)
{
	struct item_cursor *cursor;
	int rc;

	TRY(item_cursor_create(mem, views, n, &cursor));
	rc = dump_cursor(cursor, out);
	item_cursor_delete(cursor);
	return rc;
}

int
tt_item_dump_table(struct item_table *table, struct mem *mem, struct buf *out)
{
	struct item_view *view;
	int rc;

	TRY(item_table_view(table, &view));
	rc = tt_item_dump_views(mem, &view, 1, out);
	item_view_release(view);
	return rc;
}

static int
dump_iter(struct item_part *part, struct mem *mem, struct buf *out)
{
	struct item_tree *tree;
	struct bytes item;
	int rc;

	TRY(item_tree_create(mem, &part, 1, false, &tree));
	rc = item_tree_start(tree);
	while (rc == 0 && item_tree_top(tree, &item)) {
		rc = put_framed(out, item);
		if (rc == 0)
			rc = item_tree_pop(tree);
	}
	item_tree_delete(tree);
	return rc;
}

int
tt_item_dump_part(struct io *io, struct mem *mem, const char *path, const char *name, struct buf *out)
{
	struct item_part_env env = { .io = io, .mem = mem, .cache_owner = 1 };
	struct item_part *part = NULL;
	int rc;

	TRY(cache_create(mem, 1 << 20, 1, &env.cache));
	rc = item_part_open(&env, path, name, &part);
	if (rc == 0)
		rc = dump_iter(part, mem, out);
	if (rc == 0 || part != NULL)
		item_part_unref(part);
	cache_destroy(env.cache);
	return rc;
}

/* -- Tables ----------------------------------------------------------------------------------------------------------- */

int
tt_item_step_all(struct item_table *table, size_t most, size_t *units)
{
	struct budget budget = budget_unlimited();
	bool did = true;

	for (*units = 0; did && *units < most; (*units)++)
		TRY(item_table_step(table, &budget, &did));
	return 0;
}

struct log *
tt_item_log_create(struct mem *mem, const struct clock *clock)
{
	struct log *log = mem_zalloc(mem, sizeof(*log));

	if (log != NULL)
		log_init(log, mem, clock, LOG_TO_RING);
	return log;
}

void
tt_item_log_delete(struct log *log)
{
	struct mem *mem = log->mem;

	log_destroy(log);
	mem_free(mem, log);
}

int
tt_item_add_framed(struct item_table *table, struct mem *mem, struct bytes framed, uint64_t *seq)
{
	struct buf data, offsets;
	struct bytes item;
	uint32_t at = 0;
	int rc = 0;

	buf_init(&data, mem);
	buf_init(&offsets, mem);
	while (rc == 0 && take_framed(&framed, &item)) {
		rc = buf_append(&offsets, &at, sizeof(at));
		if (rc == 0)
			rc = buf_append(&data, item.data, item.len);
		at = (uint32_t)data.len;
	}
	if (rc == 0)
		rc = buf_append(&offsets, &at, sizeof(at));
	if (rc == 0) {
		struct item_run run = { data.data, (const uint32_t *)offsets.data, offsets.len / sizeof(uint32_t) - 1 };

		rc = item_table_add_run(table, &run, seq);
	}
	buf_free(&data);
	buf_free(&offsets);
	return rc;
}

size_t
tt_item_plan(const uint64_t *sizes, size_t n, size_t parts_max, double gain_min, size_t *start)
{
	struct item_plan plan = item_plan_pick(sizes, n, parts_max, gain_min, UINT64_MAX);

	*start = plan.start;
	return plan.count;
}

/* -- Blocks ----------------------------------------------------------------------------------------------------------- */

int
tt_item_block_decode(struct mem *mem, struct bytes header, struct bytes items, struct bytes lens, struct buf *out)
{
	const uint8_t *p = header.data;
	struct item_block_header parsed;
	struct item_scratch scratch;
	struct buf room;
	uint32_t bytes;
	int rc;

	item_scratch_init(&scratch, mem);
	buf_init(&room, mem);
	rc = item_block_header_get(&p, header.data + header.len, &parsed);
	if (rc == 0)
		rc = item_block_decode_lens(&scratch, &parsed, lens, &bytes);
	if (rc == 0)
		rc = buf_reserve(&room, item_block_room(parsed.items_count, bytes));
	if (rc == 0)
		rc = item_block_decode_items(&scratch, &parsed, items, (struct item_block *)room.data);
	if (rc == 0) {
		const struct item_block *block = (const struct item_block *)room.data;

		assert(block->bytes == bytes);
		for (uint32_t i = 0; rc == 0 && i < block->count; i++)
			rc = put_framed(out, item_block_item(block, i));
	}
	buf_free(&room);
	item_scratch_free(&scratch);
	return rc;
}

int
tt_item_block_round(struct mem *mem, struct bytes framed, int level, struct buf *header, struct buf *items,
    struct buf *lens, struct buf *out)
{
	struct item_block_header made;
	struct item_builder builder;
	struct bytes item;
	int rc = item_builder_init(&builder, mem);

	while (rc == 0 && take_framed(&framed, &item))
		rc = item_builder_add(&builder, item);
	if (rc == 0)
		rc = item_builder_encode(&builder, level, &made, items, lens);
	if (rc == 0)
		rc = item_block_header_put(header, &made);
	item_builder_free(&builder);
	return rc != 0 ? rc : tt_item_block_decode(mem, buf_bytes(header), buf_bytes(items), buf_bytes(lens), out);
}

int
tt_item_unzstd(struct mem *mem, struct bytes frame, struct buf *out)
{
	struct zstd_context zstd;
	int rc;

	zstd_context_init(&zstd, mem);
	rc = zstd_decompress(&zstd, frame, 1 << 20, out);
	zstd_context_free(&zstd);
	return rc;
}

int
tt_item_zstd(struct mem *mem, struct bytes content, struct buf *out)
{
	struct zstd_context zstd;
	int rc;

	zstd_context_init(&zstd, mem);
	rc = zstd_compress(&zstd, 1, content, out);
	zstd_context_free(&zstd);
	return rc;
}

static int
collect(void *context, struct bytes item)
{
	return put_framed(context, item);
}

int
tt_item_join(struct mem *mem, struct bytes framed, uint8_t tenant_bytes, struct buf *out)
{
	struct item_join join;
	struct bytes item;
	int rc = 0;

	item_join_init(&join, mem, tenant_bytes, collect, out);
	while (rc == 0 && take_framed(&framed, &item))
		rc = item_join_add(&join, item);
	if (rc == 0)
		rc = item_join_finish(&join);
	item_join_free(&join);
	return rc;
}

/* -- Parts ------------------------------------------------------------------------------------------------------------ */

int
tt_item_write_part(struct io *io, struct mem *mem, const char *directory, struct bytes framed, int level,
    struct item_part_name *name)
{
	struct item_writer *writer;
	struct bytes item;
	bool done = false;
	int rc;

	TRY(item_writer_create(io, mem, directory, level, &writer));
	rc = 0;
	while (rc == 0 && take_framed(&framed, &item))
		rc = item_writer_add(writer, item);
	while (rc == 0 && !done) {
		uint64_t fsyncs = io->fsyncs;

		rc = item_writer_finish_step(writer, &done);
		if (io->fsyncs > fsyncs + 1)
			rc = ERR_BUG("one step made %llu fsyncs", (unsigned long long)(io->fsyncs - fsyncs));
	}
	item_writer_name(writer, name);
	item_writer_delete(writer, rc == 0);
	return rc;
}

/* The decompressed contents of both index files; index.bin must hold one index block. */
int
tt_item_index_content(struct io *io, struct mem *mem, const char *part, struct buf *metaindex, struct buf *index)
{
	static const char *const files[] = { ITEM_FILE_METAINDEX, ITEM_FILE_INDEX };
	struct buf *outs[] = { metaindex, index };
	struct zstd_context zstd;
	int rc = 0;

	zstd_context_init(&zstd, mem);
	for (int i = 0; rc == 0 && i < 2; i++) {
		char *path = mem_printf(mem, "%s/%s", part, files[i]);
		struct buf raw;

		buf_init(&raw, mem);
		rc = path == NULL ? ERR_MEMORY : io_read_file(io, path, 1 << 20, &raw);
		if (rc == 0)
			rc = zstd_decompress(&zstd, buf_bytes(&raw), 1 << 20, outs[i]);
		buf_free(&raw);
		mem_free(mem, path);
	}
	zstd_context_free(&zstd);
	return rc;
}

/* -- Threads ---------------------------------------------------------------------------------------------------------- */

enum { STORM_RUN_ITEMS = 200 };

struct storm {
	struct item_table *table;
	struct mem *mem;
	unsigned rounds;
	_Atomic unsigned added; /* rounds whose items must be found */
	_Atomic bool stop;
	_Atomic uint64_t looked_up;
	_Atomic int rc;
};

static void
storm_key(char *key, unsigned round, unsigned i)
{
	snprintf(key, 24, "k%05u-%08u", i, round);
}

static void *
storm_add(void *context)
{
	struct storm *storm = context;

	for (unsigned round = 0; round < storm->rounds && storm->rc == 0; round++) {
		struct buf framed;
		uint64_t seq;
		int rc = 0;

		buf_init(&framed, storm->mem);
		for (unsigned i = 0; rc == 0 && i < STORM_RUN_ITEMS; i++) {
			char key[24];

			storm_key(key, round, i);
			rc = put_framed(&framed, bytes_of_text(key));
		}
		if (rc == 0)
			rc = tt_item_add_framed(storm->table, storm->mem, buf_bytes(&framed), &seq);
		buf_free(&framed);
		if (rc != 0)
			storm->rc = rc;
		storm->added = round + 1;
	}
	return NULL;
}

static void *
storm_step(void *context)
{
	struct storm *storm = context;

	while (!storm->stop) {
		struct budget budget = budget_of_us(200);
		bool did;
		int rc = item_table_step(storm->table, &budget, &did);

		if (rc != 0)
			storm->rc = rc;
		if (!did)
			usleep(100);
	}
	return NULL;
}

/* Every item of a round that was added before the view was taken must be there. */
static int
storm_look(struct storm *storm, unsigned added, struct item_view *view, unsigned seed)
{
	struct item_cursor *cursor;
	int rc;

	TRY(item_cursor_create(storm->mem, &view, 1, &cursor));
	rc = 0;
	for (unsigned n = 0; rc == 0 && added > 0 && n < 50; n++) {
		struct bytes item;
		bool found;
		char key[24];

		seed = seed * 1103515245 + 12345;
		storm_key(key, (seed >> 8) % added, (seed >> 16) % STORM_RUN_ITEMS);
		rc = item_cursor_first_with_prefix(cursor, bytes_of_text(key), &item, &found);
		if (rc == 0 && (!found || !bytes_equal(item, bytes_of_text(key))))
			rc = ERR_BUG("%s was added and is not found", key);
		storm->looked_up++;
	}
	item_cursor_delete(cursor);
	return rc;
}

static void *
storm_search(void *context)
{
	struct storm *storm = context;
	unsigned seed = 1;

	while (!storm->stop && storm->rc == 0) {
		unsigned added = storm->added;
		struct item_view *view;
		int rc = item_table_view(storm->table, &view);

		if (rc == 0) {
			rc = storm_look(storm, added, view, ++seed);
			item_view_release(view);
		}
		(void)item_table_durable_seq(storm->table);
		(void)item_table_next_tick_ms(storm->table);
		if (rc != 0)
			storm->rc = rc;
	}
	return NULL;
}

/* Until everything is durable, or until a forced merge has ended; ten seconds at most. */
static void
storm_wait(struct item_table *table, bool merging)
{
	for (int i = 0; i < 10000; i++) {
		if (merging ? !item_table_force_merging(table)
			    : item_table_durable_seq(table) == item_table_last_seq(table))
			return;
		usleep(1000);
	}
}

int
tt_item_storm(struct item_table *table, struct mem *mem, unsigned rounds, uint64_t *looked_up)
{
	struct storm storm = { .table = table, .mem = mem, .rounds = rounds };
	void *(*const runs[])(void *) = { storm_add, storm_step, storm_step, storm_search, storm_search };
	struct thread threads[ARRAY_LENGTH(runs)] = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_LENGTH(runs); i++)
		rc = thread_start(&threads[i], runs[i], &storm, "storm");
	thread_join(&threads[0]);
	/* Flush, then merge all files, while the searches go on. */
	item_table_flush_request(table);
	storm_wait(table, false);
	item_table_force_merge(table);
	storm_wait(table, true);
	storm.stop = true;
	for (size_t i = 1; i < ARRAY_LENGTH(runs); i++)
		thread_join(&threads[i]);
	*looked_up = storm.looked_up;
	return rc != 0 ? rc : storm.rc;
}
