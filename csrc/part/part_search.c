/*
 * part_search.c -- cursors: every block of a part in order, or those of chosen series.
 * floor: part     uses: part_search.h metaindex.h part_window.h codec/zstd.h     used by: merge, storage
 *
 *   metaindex (in memory) -> index block `row` (decompressed into `headers`) -> header `position` -> payloads by windows
 *
 * A seek only moves `row`; the index block is read when a header of it is asked for, so that a query whose time range
 * misses the whole index block reads nothing.
 */
#include "part/part_search.h"

#include <inttypes.h>

#include "base/err.h"
#include "part/metaindex.h"
#include "part/part_window.h"

/* Twice as many bytes hold the compressed headers at most: no two real headers of 81 bytes shrink to less. */
enum { INDEX_HEADERS_READ_MAX = INDEX_BLOCK_BYTES_READ_MAX / 2 };

/* What a merge reader adds up while it goes through the files (part format 5 to 7). */
struct strict_state {
	uint64_t rows, blocks;
	uint64_t index_end, timestamps_end, values_end;
	uint64_t previous_offset;
	uint32_t previous_bytes;
	bool any; /* a header was seen: the fields below hold the last one */
	struct tsid tsid;
	int64_t min_timestamp_ms;
};

struct part_cursor {
	struct mem *mem;
	struct part *part;
	bool strict;
	/* memory */
	size_t series;
	uint32_t next_row; /* of the columns; valid when it lies in the series */
	/* files */
	struct part_window index, timestamps, values;
	struct zstd_context zstd;
	size_t row;  /* index block */
	bool loaded; /* headers hold it */
	struct buf headers;
	size_t position, count; /* of headers */
	struct strict_state seen;
};

/* -- Life ----------------------------------------------------------------------------------------------------------- */

int
part_cursor_create(struct mem *mem, struct part *part, bool strict, struct part_cursor **out)
{
	struct part_cursor *cursor = mem_zalloc(mem, sizeof(*cursor));

	*out = NULL;
	if (cursor == NULL)
		return ERR_MEMORY;
	cursor->mem = mem;
	cursor->part = part;
	cursor->strict = strict;
	part_ref(part);
	part_window_init(&cursor->index, mem, part, PART_FILE_INDEX);
	part_window_init(&cursor->timestamps, mem, part, PART_FILE_TIMESTAMPS);
	part_window_init(&cursor->values, mem, part, PART_FILE_VALUES);
	zstd_context_init(&cursor->zstd, mem);
	buf_init(&cursor->headers, mem);
	*out = cursor;
	return 0;
}

void
part_cursor_delete(struct part_cursor *cursor)
{
	if (cursor == NULL)
		return;
	part_window_free(&cursor->index);
	part_window_free(&cursor->timestamps);
	part_window_free(&cursor->values);
	zstd_context_free(&cursor->zstd);
	buf_free(&cursor->headers);
	part_unref(cursor->part);
	mem_free(cursor->mem, cursor);
}

/* -- Memory parts --------------------------------------------------------------------------------------------------- */

/* Copies up to BLOCK_ROWS_MAX rows of the current series into the block. */
static int
columns_take(struct part_cursor *cursor, struct block *block)
{
	const struct mem_part *columns = cursor->part->columns;
	uint32_t first = cursor->next_row;
	uint32_t rows = columns->first_row[cursor->series + 1] - first;

	if (rows > BLOCK_ROWS_MAX)
		rows = BLOCK_ROWS_MAX;
	block_reset(block);
	TRY(block_reserve(block, rows));
	memcpy(block->timestamps_ms, columns->timestamps_ms + first, rows * sizeof(*block->timestamps_ms));
	memcpy(block->values, columns->values + first, rows * sizeof(*block->values));
	block->header.tsid = columns->series[cursor->series];
	block->header.rows = rows;
	block->header.min_timestamp_ms = columns->timestamps_ms[first];
	block->header.max_timestamp_ms = columns->timestamps_ms[first + rows - 1];
	block->header.precision_bits = 64;
	block->state = BLOCK_RAW;
	cursor->next_row = first + rows;
	return 0;
}

/* Moves over a series whose rows are all taken. false: there is none left. */
static bool
columns_settle(struct part_cursor *cursor)
{
	const struct mem_part *columns = cursor->part->columns;

	if (cursor->series < columns->series_count && cursor->next_row == columns->first_row[cursor->series + 1])
		cursor->series++;
	return cursor->series < columns->series_count;
}

static void
columns_seek(struct part_cursor *cursor, const struct tsid *tsid)
{
	const struct mem_part *columns = cursor->part->columns;
	size_t low = cursor->series, high = columns->series_count;

	if (!columns_settle(cursor) || tsid_compare(&columns->series[cursor->series], tsid) >= 0)
		return;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (tsid_compare(&columns->series[middle], tsid) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	cursor->series = low;
	cursor->next_row = columns->first_row[low];
}

static int
columns_next_of(struct part_cursor *cursor, const struct tsid *tsid, int64_t min_ms, int64_t max_ms,
    struct block *block, bool *found)
{
	const struct mem_part *columns = cursor->part->columns;

	columns_seek(cursor, tsid);
	while (columns_settle(cursor) && columns->series[cursor->series].metric_id == tsid->metric_id) {
		uint32_t end = columns->first_row[cursor->series + 1];
		uint32_t last =
		    end - cursor->next_row > BLOCK_ROWS_MAX ? cursor->next_row + BLOCK_ROWS_MAX - 1 : end - 1;

		if (columns->timestamps_ms[cursor->next_row] > max_ms)
			return 0;
		if (columns->timestamps_ms[last] < min_ms) {
			cursor->next_row = last + 1;
			continue;
		}
		*found = true;
		return columns_take(cursor, block);
	}
	return 0;
}

/* -- Index blocks --------------------------------------------------------------------------------------------------- */

static const uint8_t *
header_at(const struct part_cursor *cursor, size_t position)
{
	return cursor->headers.data + position * block_header_bytes(cursor->part->layout);
}

static int
index_damaged(const struct part_cursor *cursor, const char *what)
{
	return ERR_CORRUPT(io_path(cursor->part->index), cursor->part->metaindex[cursor->row].index_offset,
	    "index block: %s", what);
}

/* The rules of a whole index block: its length, its first series, its order. */
static int
index_block_check(const struct part_cursor *cursor)
{
	const struct metaindex_row *row = &cursor->part->metaindex[cursor->row];
	size_t key_bytes = tsid_bytes(cursor->part->layout);
	uint8_t first[TSID_BYTES_CLUSTER];

	if (cursor->headers.len != row->headers * block_header_bytes(cursor->part->layout))
		return index_damaged(cursor, "it does not hold as many block headers as the metaindex says");
	tsid_put(first, cursor->part->layout, &row->tsid);
	if (memcmp(first, header_at(cursor, 0), key_bytes) != 0)
		return index_damaged(cursor, "its first series is not the one the metaindex says");
	for (size_t i = 1; i < row->headers; i++) {
		if (memcmp(header_at(cursor, i - 1), header_at(cursor, i), key_bytes) > 0)
			return index_damaged(cursor, "its block headers are not sorted");
	}
	return 0;
}

/* Reads index block `row`. */
static int
index_block_load(struct part_cursor *cursor)
{
	const struct metaindex_row *row = &cursor->part->metaindex[cursor->row];
	struct bytes frame;
	size_t limit;
	int rc;

	assert(!cursor->loaded);
	if (cursor->strict) {
		if (row->index_offset != cursor->seen.index_end)
			return index_damaged(cursor, "it does not begin where the one before ends");
		cursor->seen.index_end += row->index_bytes;
	}
	if (row->headers > INDEX_HEADERS_READ_MAX)
		return index_damaged(cursor, "the metaindex promises more block headers than can be in it");
	limit = (size_t)row->headers * block_header_bytes(cursor->part->layout);
	TRY(part_window_read(&cursor->index, row->index_offset, row->index_bytes, &frame));
	buf_reset(&cursor->headers);
	rc = zstd_decompress(&cursor->zstd, frame, limit, &cursor->headers);
	if (rc != 0)
		return rc == ERR_CORRUPTED ? index_damaged(cursor, err_message()) : rc;
	TRY(index_block_check(cursor));
	cursor->count = row->headers;
	cursor->position = 0;
	cursor->loaded = true;
	return 0;
}

static void
index_block_leave(struct part_cursor *cursor)
{
	cursor->row++;
	cursor->loaded = false;
}

/* Loads the index block of the next header; *found false: there is none left. */
static int
index_settle(struct part_cursor *cursor, bool *found)
{
	if (cursor->loaded && cursor->position == cursor->count)
		index_block_leave(cursor);
	*found = cursor->row < cursor->part->metaindex_count;
	if (!*found || cursor->loaded)
		return 0;
	return index_block_load(cursor);
}

/* Moves position forward to the first header of a series >= tsid, or to count. */
static void
position_seek(struct part_cursor *cursor, const struct tsid *tsid)
{
	size_t key_bytes = tsid_bytes(cursor->part->layout);
	size_t low = cursor->position, step = 1, high;
	uint8_t key[TSID_BYTES_CLUSTER];

	tsid_put(key, cursor->part->layout, tsid);
	/* seeks ascend and often hit the next series: gallop, then halve */
	while (low + step <= cursor->count && memcmp(header_at(cursor, low + step - 1), key, key_bytes) < 0) {
		low += step;
		step *= 2;
	}
	high = low + step - 1 < cursor->count ? low + step - 1 : cursor->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(header_at(cursor, middle), key, key_bytes) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	cursor->position = low;
}

/* -- Blocks of files ------------------------------------------------------------------------------------------------ */

static int
header_damaged(const struct part_cursor *cursor, const struct block_header *header, const char *what)
{
	return ERR_CORRUPT(io_path(cursor->part->index), cursor->part->metaindex[cursor->row].index_offset,
	    "block header %zu of the index block, metric id %016" PRIX64 ": %s", cursor->position,
	    header->tsid.metric_id, what);
}

/* What a merge reader asks of a header, beyond the header itself. */
static int
strict_check(struct part_cursor *cursor, const struct block_header *header)
{
	const struct part_header *name = &cursor->part->header;
	struct strict_state *seen = &cursor->seen;
	int order = seen->any ? tsid_compare(&seen->tsid, &header->tsid) : -1;

	if (order > 0 || (order == 0 && seen->min_timestamp_ms > header->min_timestamp_ms))
		return header_damaged(cursor, header, "it comes after a block that belongs behind it");
	if (header->min_timestamp_ms < name->min_timestamp_ms || header->max_timestamp_ms > name->max_timestamp_ms)
		return header_damaged(cursor, header, "its times lie outside those of the part's name");
	if (seen->blocks == name->blocks || header->rows > name->rows - seen->rows)
		return header_damaged(cursor, header, "more blocks or rows than the part's name says");
	if (header->values_offset != seen->values_end)
		return header_damaged(cursor, header, "its values do not begin where those before end");
	if (seen->previous_bytes > 0 && header->timestamps_offset == seen->previous_offset) {
		if (header->timestamps_bytes != seen->previous_bytes)
			return header_damaged(cursor, header,
			    "it shares timestamps with the block before, but not their size");
	} else {
		if (header->timestamps_offset != seen->timestamps_end)
			return header_damaged(cursor, header, "its timestamps do not begin where those before end");
		seen->timestamps_end += header->timestamps_bytes;
		seen->previous_offset = header->timestamps_offset;
		seen->previous_bytes = header->timestamps_bytes;
	}
	seen->values_end += header->values_bytes;
	seen->rows += header->rows;
	seen->blocks++;
	seen->any = true;
	seen->tsid = header->tsid;
	seen->min_timestamp_ms = header->min_timestamp_ms;
	return 0;
}

/* The header at `position`, checked. */
static int
header_get(struct part_cursor *cursor, struct block_header *header)
{
	if (block_header_get(header_at(cursor, cursor->position), cursor->part->layout, header) != 0)
		return header_damaged(cursor, header, err_message());
	return 0;
}

/* Reads the payloads of *header into the block and moves on. */
static int
block_take(struct part_cursor *cursor, const struct block_header *header, struct block *block)
{
	block_reset(block);
	TRY(part_window_read(&cursor->timestamps, header->timestamps_offset, header->timestamps_bytes,
	    &block->timestamps_payload));
	TRY(part_window_read(&cursor->values, header->values_offset, header->values_bytes, &block->values_payload));
	block->header = *header;
	block->origin = cursor->part->path;
	block->state = BLOCK_ENCODED;
	cursor->position++;
	return 0;
}

static int
file_next(struct part_cursor *cursor, struct block *block, bool *found)
{
	struct block_header header;

	TRY(index_settle(cursor, found));
	if (!*found)
		return 0;
	*found = false;
	TRY(header_get(cursor, &header));
	if (cursor->strict)
		TRY(strict_check(cursor, &header));
	TRY(block_take(cursor, &header, block));
	*found = true;
	return 0;
}

/* Moves to the index block that may begin the series. Positions inside it wait until it is loaded. */
static void
file_seek(struct part_cursor *cursor, const struct tsid *tsid)
{
	size_t row;

	if (cursor->row >= cursor->part->metaindex_count)
		return;
	row = metaindex_seek(cursor->part, cursor->row, tsid);
	if (row != cursor->row) {
		cursor->row = row;
		cursor->loaded = false;
	}
	if (cursor->loaded)
		position_seek(cursor, tsid);
}

/*
 * Brings index block and position to the first header of the series or behind it. *found false: the part has no more of
 * it, as far as the time range is concerned.
 */
static int
series_settle(struct part_cursor *cursor, const struct tsid *tsid, int64_t min_ms, int64_t max_ms, bool *found)
{
	const struct part *part = cursor->part;

	*found = false;
	for (;;) {
		const struct metaindex_row *row;

		if (cursor->loaded && cursor->position == cursor->count)
			index_block_leave(cursor);
		if (cursor->row >= part->metaindex_count)
			return 0;
		row = &part->metaindex[cursor->row];
		if (!cursor->loaded && tsid_compare(&row->tsid, tsid) > 0)
			return 0;
		if (!cursor->loaded && (row->min_timestamp_ms > max_ms || row->max_timestamp_ms < min_ms)) {
			/* nothing of the range in here; the next one counts if the series goes on in it */
			if (cursor->row + 1 == part->metaindex_count || tsid_compare(&row[1].tsid, tsid) > 0)
				return 0;
			index_block_leave(cursor);
			continue;
		}
		if (!cursor->loaded)
			TRY(index_block_load(cursor));
		position_seek(cursor, tsid);
		if (cursor->position < cursor->count) {
			*found = true;
			return 0;
		}
	}
}

static int
file_next_of(struct part_cursor *cursor, const struct tsid *tsid, int64_t min_ms, int64_t max_ms, struct block *block,
    bool *found)
{
	struct block_header header;
	const struct part *part = cursor->part;
	bool settled;

	/* several index blocks ahead: as after a seek */
	if (cursor->row + 1 < part->metaindex_count && tsid_compare(&part->metaindex[cursor->row + 1].tsid, tsid) < 0)
		file_seek(cursor, tsid);
	for (;;) {
		TRY(series_settle(cursor, tsid, min_ms, max_ms, &settled));
		if (!settled)
			return 0;
		TRY(header_get(cursor, &header));
		/* blocks of a series are sorted by their first timestamp: later ones begin later still */
		if (header.tsid.metric_id != tsid->metric_id || header.min_timestamp_ms > max_ms)
			return 0;
		if (header.max_timestamp_ms >= min_ms) {
			TRY(block_take(cursor, &header, block));
			*found = true;
			return 0;
		}
		cursor->position++;
	}
}

/* -- Both kinds ----------------------------------------------------------------------------------------------------- */

int
part_cursor_next(struct part_cursor *cursor, struct block *block, bool *found)
{
	*found = false;
	if (cursor->part->columns == NULL)
		return file_next(cursor, block, found);
	if (!columns_settle(cursor))
		return 0;
	TRY(columns_take(cursor, block));
	*found = true;
	return 0;
}

int
part_cursor_seek(struct part_cursor *cursor, const struct tsid *tsid)
{
	assert(!cursor->strict);
	if (cursor->part->columns != NULL)
		columns_seek(cursor, tsid);
	else
		file_seek(cursor, tsid);
	return 0;
}

int
part_cursor_next_of(struct part_cursor *cursor, const struct tsid *tsid, int64_t min_ms, int64_t max_ms,
    struct block *block, bool *found)
{
	assert(!cursor->strict);
	*found = false;
	if (cursor->part->columns != NULL)
		return columns_next_of(cursor, tsid, min_ms, max_ms, block, found);
	return file_next_of(cursor, tsid, min_ms, max_ms, block, found);
}

/* -- Verifying ------------------------------------------------------------------------------------------------------ */

enum { VERIFY_BYTES = 262144 }; /* at once; a multiple of every chunk size that part_sums.c writes */

/* Every byte of a file against its sums, also those that no header points at. */
static int
file_verify(struct mem *mem, const struct part *part, enum part_file which)
{
	struct part_window window;
	struct bytes data;
	int rc = 0;

	part_window_init(&window, mem, part, which);
	for (uint64_t offset = 0; rc == 0 && offset < window.file_bytes; offset += VERIFY_BYTES) {
		uint64_t rest = window.file_bytes - offset;

		rc = part_window_read(&window, offset, rest < VERIFY_BYTES ? (size_t)rest : VERIFY_BYTES, &data);
	}
	part_window_free(&window);
	return rc;
}

static int
blocks_verify(struct mem *mem, struct part *part)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc;

	TRY(part_cursor_create(mem, part, part->columns == NULL, &cursor));
	int64s_scratch_init(&scratch, mem);
	block_init(&block, mem);
	do {
		rc = part_cursor_next(cursor, &block, &found);
		if (rc == 0 && found)
			rc = block_decode(&block, &scratch);
	} while (rc == 0 && found);
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

int
part_verify(struct mem *mem, struct part *part)
{
	if (part->sums != NULL) {
		TRY(file_verify(mem, part, PART_FILE_TIMESTAMPS));
		TRY(file_verify(mem, part, PART_FILE_VALUES));
		TRY(file_verify(mem, part, PART_FILE_INDEX));
	}
	return blocks_verify(mem, part);
}
