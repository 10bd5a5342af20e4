/*
 * merge_memory.c -- see merge_memory.h.
 * floor: merge     uses: merge_memory.h merge_rows.h     used by: merge
 */
#include "merge/merge_memory.h"

#include "base/err.h"
#include "merge/merge_rows.h"

struct merge_memory {
	struct mem *mem;
	enum layout layout;
	int64_t dedup_interval_ms;
	enum dedup_keep dedup_keep;
	size_t rows, rows_room, series, series_room;
	bool overlap;            /* a block began before the row before it: its series must be sorted again */
	struct mem_part columns; /* series_count is set by finish */
	struct part_header header;
	struct part *part;
};

int
merge_memory_create(struct mem *mem, struct part *const *sources, size_t n, const struct part_writer_options *options,
    struct merge_memory **out)
{
	struct merge_memory *memory = mem_zalloc(mem, sizeof(*memory));
	uint64_t rows = 0, series = 0;

	if (memory == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < n; i++) {
		rows += sources[i]->header.rows;
		series += sources[i]->columns != NULL ? sources[i]->columns->series_count : sources[i]->header.blocks;
	}
	memory->mem = mem;
	memory->layout = options->layout;
	memory->dedup_interval_ms = options->dedup_interval_ms;
	memory->dedup_keep = options->dedup_keep;
	if (rows >= UINT32_MAX) {
		merge_memory_delete(memory);
		return ERR(ERR_LIMIT, "%llu rows do not fit one part in memory; merge them to disk",
		    (unsigned long long)rows);
	}
	memory->rows_room = rows;
	memory->series_room = series;
	memory->columns.series = mem_array(mem, series, sizeof(struct tsid));
	memory->columns.first_row = mem_array(mem, series + 1, sizeof(uint32_t));
	memory->columns.timestamps_ms = mem_array(mem, rows, sizeof(int64_t));
	memory->columns.values = mem_array(mem, rows, sizeof(double));
	if (memory->columns.series == NULL || memory->columns.first_row == NULL ||
	    memory->columns.timestamps_ms == NULL || memory->columns.values == NULL) {
		merge_memory_delete(memory);
		return ERR_MEMORY;
	}
	*out = memory;
	return 0;
}

static int
open_series(struct merge_memory *memory, const struct tsid *tsid)
{
	struct mem_part *columns = &memory->columns;

	if (memory->series > 0 && columns->series[memory->series - 1].metric_id == tsid->metric_id)
		return 0;
	/* The names of file parts bound the room; a name that counts too few blocks must not lead out of the arrays. */
	if (memory->series == memory->series_room)
		return ERR(ERR_CORRUPTED, "a source has more blocks than its name says");
	columns->series[memory->series] = *tsid;
	columns->first_row[memory->series] = (uint32_t)memory->rows;
	memory->series++;
	return 0;
}

int
merge_memory_add(struct merge_memory *memory, struct block *block, struct int64s_scratch *scratch)
{
	struct mem_part *columns = &memory->columns;
	size_t rows = block->header.rows;
	int64_t *timestamps_ms = columns->timestamps_ms + memory->rows;
	double *values = columns->values + memory->rows;

	TRY(open_series(memory, &block->header.tsid));
	if (rows > memory->rows_room - memory->rows)
		return ERR(ERR_CORRUPTED, "a source has more rows than its name says");
	if (block->state == BLOCK_RAW) {
		memcpy(timestamps_ms, block->timestamps_ms, rows * sizeof(int64_t));
		memcpy(values, block->values, rows * sizeof(double));
	} else {
		TRY(block_read(block, scratch, timestamps_ms, values));
	}
	if (memory->dedup_interval_ms > 0)
		rows = dedup_rows(memory->dedup_interval_ms, memory->dedup_keep, timestamps_ms, NULL, values, rows);
	if (columns->first_row[memory->series - 1] < memory->rows && timestamps_ms[0] < timestamps_ms[-1])
		memory->overlap = true;
	memory->rows += rows;
	return 0;
}

/* A series whose blocks overlap (part format 11.4) is put in order: [first, middle) and [middle, end) are sorted. */
static int
merge_back(struct merge_memory *memory, size_t first, size_t middle, size_t end)
{
	struct mem_part *columns = &memory->columns;
	int64_t *timestamps_ms = mem_array(memory->mem, end - first, sizeof(int64_t));
	double *values = mem_array(memory->mem, end - first, sizeof(double));

	if (timestamps_ms != NULL && values != NULL) {
		merge_rows((struct rows_run){ columns->timestamps_ms + first, (row_value *)columns->values + first,
			       middle - first },
		    (struct rows_run){ columns->timestamps_ms + middle, (row_value *)columns->values + middle,
			end - middle },
		    timestamps_ms, (row_value *)values);
		memcpy(columns->timestamps_ms + first, timestamps_ms, (end - first) * sizeof(int64_t));
		memcpy(columns->values + first, values, (end - first) * sizeof(double));
	}
	mem_free(memory->mem, timestamps_ms);
	mem_free(memory->mem, values);
	return timestamps_ms == NULL || values == NULL ? ERR_MEMORY : 0;
}

static int
sort_overlapping(struct merge_memory *memory)
{
	const int64_t *timestamps_ms = memory->columns.timestamps_ms;

	for (size_t series = 0; series < memory->series; series++) {
		size_t first = memory->columns.first_row[series], end = memory->columns.first_row[series + 1];
		size_t at = first + 1;

		while (at < end) {
			size_t middle;

			while (at < end && timestamps_ms[at] >= timestamps_ms[at - 1])
				at++;
			if (at == end)
				break;
			middle = at++;
			while (at < end && timestamps_ms[at] >= timestamps_ms[at - 1])
				at++;
			TRY(merge_back(memory, first, middle, at));
		}
	}
	return 0;
}

static void
count(struct merge_memory *memory)
{
	const struct mem_part *columns = &memory->columns;
	struct part_header *header = &memory->header;

	*header =
	    (struct part_header){ .rows = memory->rows, .min_timestamp_ms = INT64_MAX, .max_timestamp_ms = INT64_MIN };
	for (size_t series = 0; series < memory->series; series++) {
		size_t first = columns->first_row[series], end = columns->first_row[series + 1];

		header->blocks += (end - first + BLOCK_ROWS_MAX - 1) / BLOCK_ROWS_MAX;
		if (columns->timestamps_ms[first] < header->min_timestamp_ms)
			header->min_timestamp_ms = columns->timestamps_ms[first];
		if (columns->timestamps_ms[end - 1] > header->max_timestamp_ms)
			header->max_timestamp_ms = columns->timestamps_ms[end - 1];
	}
}

int
merge_memory_finish(struct merge_memory *memory)
{
	if (memory->rows == 0)
		return 0;
	memory->columns.first_row[memory->series] = (uint32_t)memory->rows;
	memory->columns.series_count = memory->series;
	if (memory->overlap)
		TRY(sort_overlapping(memory));
	count(memory);
	return mem_part_adopt(memory->mem, memory->layout, &memory->header, &memory->columns, &memory->part);
}

void
merge_memory_header(const struct merge_memory *memory, struct part_header *out)
{
	*out = memory->header;
}

struct part *
merge_memory_take(struct merge_memory *memory)
{
	struct part *part = memory->part;

	memory->part = NULL;
	return part;
}

void
merge_memory_delete(struct merge_memory *memory)
{
	if (memory == NULL)
		return;
	part_unref(memory->part);
	mem_free(memory->mem, memory->columns.series);
	mem_free(memory->mem, memory->columns.first_row);
	mem_free(memory->mem, memory->columns.timestamps_ms);
	mem_free(memory->mem, memory->columns.values);
	mem_free(memory->mem, memory);
}
