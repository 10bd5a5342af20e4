/*
 * merge.c -- see merge.h.
 * floor: merge     uses: merge_heap.h merge_join.h merge_memory.h part_writer.h     used by: table
 *
 *   MERGE_OPEN    one source a round: its cursor, its first block, its place in the heap
 *   MERGE_BLOCKS  the loop of part format 11.2, one block a round
 *   MERGE_FINISH  the writer's finish, at most one fsync a step
 *   MERGE_DONE    merge_header, merge_take_part
 *   MERGE_FAILED  an error was returned: only merge_delete
 */
#include "merge/merge.h"

#include "base/err.h"
#include "merge/merge_heap.h"
#include "merge/merge_join.h"
#include "merge/merge_memory.h"

enum merge_state { MERGE_OPEN, MERGE_BLOCKS, MERGE_FINISH, MERGE_DONE, MERGE_FAILED };

/*
 * The clock is read after about this many rows: 4096 rows are some 0.1 ms of encoding. A block costs what BLOCK_WEIGHT
 * rows cost even if it has one row.
 */
enum { BUDGET_ROWS = 4096, BLOCK_WEIGHT = 16 };

struct merge {
	struct merge_options options;
	struct mem *mem;
	enum merge_state state;
	struct part **sources;
	size_t sources_count;
	struct block_stream *streams;
	size_t streams_open;
	struct block_stream **heap_items;
	struct merge_heap heap;
	struct merge_join join;
	struct int64s_scratch scratch;
	struct part_writer *writer;  /* output on disk */
	struct merge_memory *memory; /* output in memory */
	struct part *failed_source;
	struct merge_counts counts;
};

int
merge_index_level(struct part *const *sources, size_t n)
{
	/* Part format 10.2, the levels of 1.79.5: thin blocks have many headers, where speed counts more than bytes. */
	static const struct {
		uint64_t rows_per_block;
		int level;
	} levels[] = { { 10, -5 }, { 50, -2 }, { 200, -1 }, { 500, 1 }, { 1000, 2 }, { 2000, 3 }, { 4000, 4 } };
	uint64_t rows = 0, blocks = 0;

	for (size_t i = 0; i < n; i++) {
		rows += sources[i]->header.rows;
		blocks += sources[i]->header.blocks;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(levels); i++)
		if (blocks == 0 || rows / blocks <= levels[i].rows_per_block)
			return levels[i].level;
	return 5;
}

/* -- Life --------------------------------------------------------------------------------------------------------- */

static int
merge_create_output(struct merge *merge)
{
	const struct merge_options *options = &merge->options;

	if (options->directory != NULL)
		return part_writer_create(options->io, options->mem, options->directory, &options->writer,
		    &merge->writer);
	return merge_memory_create(options->mem, merge->sources, merge->sources_count, &options->writer,
	    &merge->memory);
}

int
merge_create(struct part *const *sources, size_t n, const struct merge_options *options, struct merge **out)
{
	struct merge *merge = mem_zalloc(options->mem, sizeof(*merge));
	int rc = ERR_MEMORY;

	assert(n > 0);
	if (merge == NULL)
		return ERR_MEMORY;
	merge->options = *options;
	merge->mem = options->mem;
	int64s_scratch_init(&merge->scratch, merge->mem);
	merge_join_init(&merge->join, merge->mem, &merge->scratch, options->retention_deadline_ms);
	merge->sources = mem_array(merge->mem, n, sizeof(struct part *));
	merge->streams = mem_zalloc(merge->mem, n * sizeof(struct block_stream));
	merge->heap_items = mem_array(merge->mem, n, sizeof(struct block_stream *));
	if (merge->sources == NULL || merge->streams == NULL || merge->heap_items == NULL)
		goto fail;
	merge_heap_init(&merge->heap, merge->heap_items);
	for (size_t i = 0; i < n; i++) {
		part_ref(sources[i]);
		merge->sources[merge->sources_count++] = sources[i];
		merge->counts.bytes_in += sources[i]->bytes;
	}
	TRY_GOTO(fail, merge_create_output(merge));
	*out = merge;
	return 0;
fail:
	merge_delete(merge, false);
	return rc;
}

void
merge_delete(struct merge *merge, bool keep)
{
	if (merge == NULL)
		return;
	part_writer_delete(merge->writer, keep && merge->state == MERGE_DONE);
	merge_memory_delete(merge->memory);
	for (size_t i = 0; i < merge->streams_open; i++)
		block_stream_close(&merge->streams[i]);
	for (size_t i = 0; i < merge->sources_count; i++)
		part_unref(merge->sources[i]);
	merge_join_free(&merge->join);
	int64s_scratch_free(&merge->scratch);
	mem_free(merge->mem, merge->sources);
	mem_free(merge->mem, merge->streams);
	mem_free(merge->mem, merge->heap_items);
	mem_free(merge->mem, merge);
}

/* -- One round of each state ------------------------------------------------------------------------------------------ */

static int
open_next_source(struct merge *merge)
{
	struct block_stream *stream = &merge->streams[merge->streams_open];
	int rc;

	rc = block_stream_open(stream, merge->mem, merge->sources[merge->streams_open]);
	merge->streams_open++;
	if (rc == 0)
		rc = merge_heap_add(&merge->heap, stream);
	if (rc == ERR_CORRUPTED)
		merge->failed_source = stream->part;
	if (rc == 0 && merge->streams_open == merge->sources_count)
		merge->state = MERGE_BLOCKS;
	return rc;
}

static int
write_block(struct merge *merge, struct block *block)
{
	int rc;

	merge->counts.blocks_copied += block->state == BLOCK_ENCODED;
	if (merge->memory != NULL)
		rc = merge_memory_add(merge->memory, block, &merge->scratch);
	else
		rc = part_writer_add(merge->writer, block, &merge->scratch);
	if (rc == ERR_CORRUPTED) /* a block that is copied may have to be decoded for dedup */
		merge->failed_source = merge->join.pending_part;
	return rc;
}

static int
write_pending(struct merge *merge)
{
	if (merge->join.pending.state == BLOCK_EMPTY)
		return 0;
	TRY(write_block(merge, &merge->join.pending));
	merge->join.pending.state = BLOCK_EMPTY;
	return 0;
}

/* The current block of the stream meets the pending one. */
static int
join_block(struct merge *merge, struct block_stream *stream)
{
	struct merge_join *join = &merge->join;
	uint64_t dropped = join->rows_dropped;
	struct block *full;
	int rc;

	rc = merge_join_add(join, stream);
	if (rc == ERR_CORRUPTED)
		merge->failed_source = join->at_fault;
	if (rc != 0)
		return rc;
	merge->counts.blocks_joined++;
	merge->counts.rows_deleted += join->rows_dropped - dropped;
	for (;;) { /* once for blocks of our own size; more often only for larger foreign ones */
		TRY(merge_join_cut(join, &full));
		if (full == NULL)
			return 0;
		TRY(write_block(merge, full));
	}
}

static int
add_block(struct merge *merge, struct block_stream *stream)
{
	struct merge_join *join = &merge->join;
	const struct tsid *pending = &join->pending.header.tsid;

	merge->counts.rows_read += stream->rows;
	if (stream->max_timestamp_ms < merge->options.retention_deadline_ms ||
	    (merge->options.deleted != NULL && u64set_has(merge->options.deleted, stream->tsid.metric_id))) {
		merge->counts.rows_deleted += stream->rows;
		return 0;
	}
	if (join->pending.state == BLOCK_EMPTY)
		return merge_join_take(join, stream);
	if (pending->metric_id == stream->tsid.metric_id) {
		if (!merge_join_pending_full(join) || join->pending.header.max_timestamp_ms > stream->min_timestamp_ms)
			return join_block(merge, stream);
	} else if (tsid_compare(&stream->tsid, pending) < 0) {
		merge->failed_source = stream->part;
		return ERR_CORRUPT(stream->part->path == NULL ? "memory" : stream->part->path, UINT64_MAX,
		    "series out of order: metric id %llu", (unsigned long long)stream->tsid.metric_id);
	}
	TRY(write_pending(merge));
	return merge_join_take(join, stream);
}

static int
next_block(struct merge *merge, size_t *work)
{
	struct block_stream *stream = merge_heap_top(&merge->heap);
	int rc;

	if (stream == NULL) {
		TRY(write_pending(merge));
		merge->state = MERGE_FINISH;
		return 0;
	}
	*work += stream->rows + BLOCK_WEIGHT;
	TRY(add_block(merge, stream));
	rc = merge_heap_advance(&merge->heap);
	if (rc == ERR_CORRUPTED)
		merge->failed_source = merge->heap.failed->part;
	return rc;
}

static int
finish(struct merge *merge)
{
	bool done = true;
	struct part_header header;

	if (merge->memory != NULL) {
		TRY(merge_memory_finish(merge->memory));
	} else {
		part_writer_header(merge->writer, &header);
		if (header.rows > 0)
			TRY(part_writer_finish_step(merge->writer, &done));
		merge->counts.bytes_out = part_writer_bytes(merge->writer);
	}
	if (!done)
		return 0;
	merge_header(merge, &header);
	merge->counts.rows_written = header.rows;
	merge->counts.rows_deduplicated = merge->counts.rows_read - merge->counts.rows_deleted - header.rows;
	merge->state = MERGE_DONE;
	return 0;
}

static int
merge_work(struct merge *merge, const struct budget *budget)
{
	size_t work = 0;

	while (merge->state == MERGE_OPEN || merge->state == MERGE_BLOCKS) {
		if (merge->state == MERGE_OPEN) {
			TRY(open_next_source(merge));
			work += BUDGET_ROWS;
		} else {
			TRY(next_block(merge, &work));
		}
		if (work >= BUDGET_ROWS) {
			work = 0;
			if (budget_spent(budget))
				return 0;
		}
	}
	return finish(merge);
}

int
merge_step(struct merge *merge, const struct budget *budget, bool *done)
{
	uint64_t start_ns = clock_budget_ns();
	int rc = 0;

	assert(merge->state != MERGE_FAILED);
	if (merge->state == MERGE_FAILED)
		return ERR_BUG("a merge that failed was continued");
	if (merge->state != MERGE_DONE)
		rc = merge_work(merge, budget);
	if (rc != 0)
		merge->state = MERGE_FAILED;
	merge->counts.cpu_ns += clock_budget_ns() - start_ns;
	*done = merge->state == MERGE_DONE;
	return rc;
}

/* -- Results ---------------------------------------------------------------------------------------------------------- */

void
merge_header(const struct merge *merge, struct part_header *out)
{
	if (merge->memory != NULL)
		merge_memory_header(merge->memory, out);
	else
		part_writer_header(merge->writer, out);
}

struct part *
merge_take_part(struct merge *merge)
{
	assert(merge->state == MERGE_DONE && merge->memory != NULL);
	return merge_memory_take(merge->memory);
}

const struct merge_counts *
merge_counts(const struct merge *merge)
{
	return &merge->counts;
}

struct part *
merge_failed_source(const struct merge *merge)
{
	return merge->failed_source;
}
