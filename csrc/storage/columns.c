/*
 * columns.c -- rows of one series from many blocks -> two sorted columns.
 * floor: storage     uses: columns.h     used by: select
 */
#include "storage/columns.h"

#include "base/err.h"

void
columns_init(struct columns *columns, struct mem *mem)
{
	*columns = (struct columns){ .mem = mem };
}

void
columns_free(struct columns *columns)
{
	mem_free(columns->mem, columns->timestamps_ms);
	mem_free(columns->mem, columns->values);
	mem_free(columns->mem, columns->run_starts);
	mem_free(columns->mem, columns->other_timestamps_ms);
	mem_free(columns->mem, columns->other_values);
	columns_init(columns, columns->mem);
}

void
columns_reset(struct columns *columns)
{
	columns->count = 0;
	columns->runs_count = 0;
}

struct columns_mark
columns_mark(const struct columns *columns)
{
	return (struct columns_mark){ .count = columns->count, .runs_count = columns->runs_count };
}

void
columns_back_to(struct columns *columns, struct columns_mark mark)
{
	columns->count = mark.count;
	columns->runs_count = mark.runs_count;
}

/* -- Appending ---------------------------------------------------------------------------------------------------------- */

static int
reserve(struct columns *columns, size_t more)
{
	size_t room = columns->room * 2 > columns->count + more ? columns->room * 2 : columns->count + more;
	int64_t *timestamps_ms;
	double *values;

	if (columns->count + more <= columns->room)
		return 0;
	timestamps_ms = mem_realloc(columns->mem, columns->timestamps_ms, room * sizeof(*timestamps_ms));
	if (timestamps_ms == NULL)
		return ERR_MEMORY;
	columns->timestamps_ms = timestamps_ms;
	values = mem_realloc(columns->mem, columns->values, room * sizeof(*values));
	if (values == NULL)
		return ERR_MEMORY;
	columns->values = values;
	columns->room = room;
	return 0;
}

static int
run_begin(struct columns *columns, size_t start)
{
	if (columns->runs_count == columns->runs_room) {
		size_t room = columns->runs_room != 0 ? columns->runs_room * 2 : 16;
		size_t *starts = mem_realloc(columns->mem, columns->run_starts, room * sizeof(*starts));

		if (starts == NULL)
			return ERR_MEMORY;
		columns->run_starts = starts;
		columns->runs_room = room;
	}
	columns->run_starts[columns->runs_count++] = start;
	return 0;
}

/* First position in [0, n) whose timestamp is >= t. */
static size_t
lower_bound(const int64_t *timestamps_ms, size_t n, int64_t t)
{
	size_t low = 0;

	while (low < n) {
		size_t middle = low + (n - low) / 2;

		if (timestamps_ms[middle] < t)
			low = middle + 1;
		else
			n = middle;
	}
	return low;
}

/* Cuts the rows behind count down to the range; returns how many stay. */
static size_t
trim(struct columns *columns, size_t n, int64_t min_ms, int64_t max_ms)
{
	int64_t *timestamps_ms = columns->timestamps_ms + columns->count;
	double *values = columns->values + columns->count;
	size_t first = timestamps_ms[0] < min_ms ? lower_bound(timestamps_ms, n, min_ms) : 0;
	size_t end = timestamps_ms[n - 1] > max_ms ? lower_bound(timestamps_ms, n, max_ms + 1) : n;

	if (first >= end)
		return 0;
	if (first > 0) {
		memmove(timestamps_ms, timestamps_ms + first, (end - first) * sizeof(*timestamps_ms));
		memmove(values, values + first, (end - first) * sizeof(*values));
	}
	return end - first;
}

int
columns_append(struct columns *columns, struct block *block, struct int64s_scratch *scratch, int64_t min_ms,
    int64_t max_ms)
{
	size_t n = block->header.rows;

	TRY(reserve(columns, n));
	TRY(block_read(block, scratch, columns->timestamps_ms + columns->count, columns->values + columns->count));
	n = trim(columns, n, min_ms, max_ms);
	if (n == 0)
		return 0;
	if (columns->count == 0 || columns->timestamps_ms[columns->count] < columns->timestamps_ms[columns->count - 1])
		TRY(run_begin(columns, columns->count));
	columns->count += n;
	return 0;
}

/* -- Sorting ------------------------------------------------------------------------------------------------------------ */

static int
other_reserve(struct columns *columns)
{
	if (columns->other_room >= columns->room)
		return 0;
	mem_free(columns->mem, columns->other_timestamps_ms);
	mem_free(columns->mem, columns->other_values);
	columns->other_room = 0;
	columns->other_timestamps_ms = mem_array(columns->mem, columns->room, sizeof(int64_t));
	columns->other_values = mem_array(columns->mem, columns->room, sizeof(double));
	if (columns->other_timestamps_ms == NULL || columns->other_values == NULL)
		return ERR_MEMORY;
	columns->other_room = columns->room;
	return 0;
}

static size_t
run_end(const struct columns *columns, size_t run)
{
	return run + 1 < columns->runs_count ? columns->run_starts[run + 1] : columns->count;
}

static void
copy_rows(struct columns *columns, size_t to, size_t from, size_t n)
{
	memcpy(columns->other_timestamps_ms + to, columns->timestamps_ms + from, n * sizeof(int64_t));
	memcpy(columns->other_values + to, columns->values + from, n * sizeof(double));
}

/* Two neighbouring runs [a, b) [b, end) into the same place on the other side; the left one wins a draw. */
static void
merge_two(struct columns *columns, size_t a, size_t b, size_t end)
{
	const int64_t *t = columns->timestamps_ms;
	size_t to = a, left = a, right = b;

	while (left < b && right < end) {
		size_t from = t[right] < t[left] ? right++ : left++;

		columns->other_timestamps_ms[to] = t[from];
		columns->other_values[to] = columns->values[from];
		to++;
	}
	copy_rows(columns, to, left, b - left);
	copy_rows(columns, to + (b - left), right, end - right);
}

static void
swap_sides(struct columns *columns)
{
	int64_t *timestamps_ms = columns->timestamps_ms;
	double *values = columns->values;
	size_t room = columns->room;

	columns->timestamps_ms = columns->other_timestamps_ms;
	columns->values = columns->other_values;
	columns->room = columns->other_room;
	columns->other_timestamps_ms = timestamps_ms;
	columns->other_values = values;
	columns->other_room = room;
}

/* Halves the number of runs. */
static void
merge_pairs(struct columns *columns)
{
	size_t runs = columns->runs_count, kept = 0;

	for (size_t run = 0; run < runs; run += 2) {
		size_t start = columns->run_starts[run], middle = run_end(columns, run);

		if (run + 1 < runs)
			merge_two(columns, start, middle, run_end(columns, run + 1));
		else
			copy_rows(columns, start, start, middle - start);
	}
	for (size_t run = 0; run < runs; run += 2)
		columns->run_starts[kept++] = columns->run_starts[run];
	columns->runs_count = kept;
	swap_sides(columns);
}

int
columns_sort(struct columns *columns)
{
	if (columns->runs_count > 1)
		TRY(other_reserve(columns));
	while (columns->runs_count > 1)
		merge_pairs(columns);
	return 0;
}

void
columns_dedup(struct columns *columns, int64_t interval_ms, enum dedup_keep keep)
{
	if (interval_ms > 0 && columns->count > 0)
		columns->count =
		    dedup_rows(interval_ms, keep, columns->timestamps_ms, NULL, columns->values, columns->count);
}
