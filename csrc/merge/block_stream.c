/*
 * block_stream.c -- see block_stream.h.
 * floor: merge     uses: block_stream.h     used by: merge_heap, merge
 */
#include "merge/block_stream.h"

enum { PREFETCH_SERIES = 4, PREFETCH_ROWS = 8 };

int
block_stream_open(struct block_stream *stream, struct mem *mem, struct part *part)
{
	*stream = (struct block_stream){ .part = part };
	block_init(&stream->block, mem);
	if (part->columns != NULL)
		return 0;
	return part_cursor_create(mem, part, true, &stream->cursor);
}

void
block_stream_close(struct block_stream *stream)
{
	if (stream->part == NULL)
		return;
	block_free(&stream->block);
	part_cursor_delete(stream->cursor);
	*stream = (struct block_stream){ .part = NULL };
}

static bool
block_stream_next_in_memory(struct block_stream *stream)
{
	const struct mem_part *columns = stream->part->columns;
	uint32_t end, rows;

	while (stream->series < columns->series_count && stream->next_row == columns->first_row[stream->series + 1])
		stream->series++;
	if (stream->series == columns->series_count)
		return false;
	end = columns->first_row[stream->series + 1];
	rows = end - stream->next_row;
	if (rows > BLOCK_ROWS_MAX)
		rows = BLOCK_ROWS_MAX;
	stream->tsid = columns->series[stream->series];
	stream->timestamps_ms = columns->timestamps_ms + stream->next_row;
	stream->values = columns->values + stream->next_row;
	stream->min_timestamp_ms = stream->timestamps_ms[0];
	stream->max_timestamp_ms = stream->timestamps_ms[rows - 1];
	stream->rows = rows;
	stream->next_row += rows;
	/*
	 * With many short series and many sources, every block would wait for three cache lines that no hardware prefetcher
	 * follows. They are asked for now; the other sources have their turn before this one is read again.
	 */
	__builtin_prefetch(&columns->series[stream->series + PREFETCH_SERIES]);
	__builtin_prefetch(&columns->first_row[stream->series + PREFETCH_SERIES]);
	__builtin_prefetch(columns->timestamps_ms + stream->next_row + PREFETCH_ROWS);
	__builtin_prefetch(columns->values + stream->next_row + PREFETCH_ROWS);
	return true;
}

int
block_stream_next(struct block_stream *stream, bool *found)
{
	if (stream->cursor == NULL) {
		*found = block_stream_next_in_memory(stream);
		return 0;
	}
	TRY(part_cursor_next(stream->cursor, &stream->block, found));
	if (*found) {
		const struct block_header *header = &stream->block.header;

		stream->tsid = header->tsid;
		stream->min_timestamp_ms = header->min_timestamp_ms;
		stream->max_timestamp_ms = header->max_timestamp_ms;
		stream->rows = header->rows;
	}
	return 0;
}
