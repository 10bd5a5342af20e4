/*
 * mem_part.c -- rows in any order -> columns by series.
 * floor: part     uses: mem_part.h row_groups.h err.h     used by: part, table, storage
 *
 *   groups    of rows by series (row_groups.h), ordered by TSID: each has its place in the columns
 *   columns   a a a | b | c      filled in one of two ways, both stable:
 *
 *     gathered    every series is one run: runs are taken in the order of their places, written from front to end
 *     copied      else: each run goes to the next free place of its series
 *
 * A third way was tried: rows first to the 64 KiB window of the columns that they belong to, then to their place in it.
 * It halves the cache misses of 10,000 series in turn, and loses as much to the page faults of its second array.
 *
 * No row is compared with another but to see whether a series is already in order of time, which it nearly always is.
 */
#include "part/mem_part.h"

#include "base/err.h"
#include "part/row_groups.h"

enum { PREFETCH_AHEAD = 8 }; /* what is gathered lies anywhere in memory: this many misses may overlap */

/* -- Places --------------------------------------------------------------------------------------------------------- */

/* Fills series and first_row. *shared: some groups have one metric id, so they are one series. */
static void
lay_out(const struct row_groups *groups, struct mem_part *columns, bool *shared)
{
	size_t series = 0;
	uint32_t row = 0;

	*shared = false;
	for (size_t i = 0; i < groups->groups_count; i++) {
		uint32_t group = groups->order[i];
		const struct tsid *tsid = groups->tsid[group];

		if (i + PREFETCH_AHEAD < groups->groups_count)
			__builtin_prefetch(groups->tsid[groups->order[i + PREFETCH_AHEAD]]);
		if (series > 0 && columns->series[series - 1].metric_id == tsid->metric_id) {
			*shared = true;
		} else {
			columns->series[series] = *tsid;
			columns->first_row[series++] = row;
		}
		row += groups->count[group];
	}
	columns->first_row[series] = row;
	columns->series_count = series;
}

/* count becomes where the group's next row goes; groups of one series get one place by renumbering their runs to the first. */
static void
place_groups(struct row_groups *groups, const struct mem_part *columns, bool shared)
{
	uint32_t row = 0, first_group = 0;
	size_t series = 0;

	for (size_t i = 0; i < groups->groups_count; i++) {
		uint32_t group = groups->order[i];
		uint32_t rows = groups->count[group];

		if (row == columns->first_row[series]) {
			first_group = group;
			series++;
		}
		groups->count[group] = row;
		groups->series[group] = first_group;
		row += rows;
	}
	for (size_t run = 0; shared && run < groups->runs_count; run++)
		groups->run_group[run] = groups->series[groups->run_group[run]];
}

/* -- Columns -------------------------------------------------------------------------------------------------------- */

static inline void
copy_rows(const struct row *row, uint32_t count, int64_t *timestamps, double *values)
{
	for (uint32_t i = 0; i < count; i++) {
		timestamps[i] = row[i].timestamp_ms;
		values[i] = row[i].value;
	}
}

/* Every group is the run of its number. */
static void
gather_runs(const struct row_groups *groups, struct mem_part *columns)
{
	uint32_t at = 0;

	for (size_t i = 0; i < groups->groups_count; i++) {
		uint32_t run = groups->order[i];
		uint32_t start = groups->run_start[run];
		uint32_t count = groups->run_start[run + 1] - start;

		if (i + PREFETCH_AHEAD < groups->groups_count)
			__builtin_prefetch(&groups->rows[groups->run_start[groups->order[i + PREFETCH_AHEAD]]]);
		copy_rows(&groups->rows[start], count, columns->timestamps_ms + at, columns->values + at);
		at += count;
	}
}

static void
copy_runs(struct row_groups *groups, struct mem_part *columns)
{
	for (size_t run = 0; run < groups->runs_count; run++) {
		uint32_t count = groups->run_start[run + 1] - groups->run_start[run];
		uint32_t *next = &groups->count[groups->run_group[run]];

		copy_rows(&groups->rows[groups->run_start[run]], count, columns->timestamps_ms + *next,
		    columns->values + *next);
		*next += count;
	}
}

/* -- Order of time -------------------------------------------------------------------------------------------------- */

static bool
is_in_time_order(const int64_t *timestamps, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (timestamps[i - 1] > timestamps[i])
			return false;
	}
	return true;
}

enum { SORTED_PIECE = 16 }; /* sorted by insertion before pieces are merged */

static void
sort_piece(int64_t *timestamps, double *values, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		int64_t timestamp = timestamps[i];
		double value = values[i];
		size_t at = i;

		for (; at > 0 && timestamps[at - 1] > timestamp; at--) {
			timestamps[at] = timestamps[at - 1];
			values[at] = values[at - 1];
		}
		timestamps[at] = timestamp;
		values[at] = value;
	}
}

/* Merges [0, middle) and [middle, n), stable. The spare arrays take the first half. */
static void
merge_halves(int64_t *timestamps, double *values, size_t middle, size_t n, int64_t *spare_timestamps,
    double *spare_values)
{
	size_t left = 0, right = middle, to = 0;

	if (timestamps[middle - 1] <= timestamps[middle])
		return;
	memcpy(spare_timestamps, timestamps, middle * sizeof(*timestamps));
	memcpy(spare_values, values, middle * sizeof(*values));
	while (left < middle && right < n) {
		bool take_right = timestamps[right] < spare_timestamps[left];

		timestamps[to] = take_right ? timestamps[right] : spare_timestamps[left];
		values[to++] = take_right ? values[right] : spare_values[left];
		right += take_right;
		left += !take_right;
	}
	memcpy(timestamps + to, spare_timestamps + left, (middle - left) * sizeof(*timestamps));
	memcpy(values + to, spare_values + left, (middle - left) * sizeof(*values));
}

/* Stable, since equal times keep their order of arrival. */
static int
sort_by_time(struct mem *mem, int64_t *timestamps, double *values, size_t n)
{
	int64_t *spare_timestamps;
	double *spare_values;

	if (n > SORTED_PIECE * 2) {
		spare_timestamps = mem_array(mem, n, sizeof(*timestamps) + sizeof(*values));
		if (spare_timestamps == NULL)
			return ERR_MEMORY;
		spare_values = (double *)(spare_timestamps + n);
		for (size_t i = 0; i < n; i += SORTED_PIECE)
			sort_piece(timestamps + i, values + i, n - i < SORTED_PIECE ? n - i : SORTED_PIECE);
		for (size_t width = SORTED_PIECE; width < n; width *= 2) {
			for (size_t i = 0; i + width < n; i += 2 * width)
				merge_halves(timestamps + i, values + i, width, n - i < 2 * width ? n - i : 2 * width,
				    spare_timestamps, spare_values);
		}
		mem_free(mem, spare_timestamps);
	} else {
		sort_piece(timestamps, values, n);
	}
	return 0;
}

/* Sorts each series by time where needed; fills the header. */
static int
finish_series(struct mem *mem, struct mem_part *columns, struct part_header *header)
{
	*header = (struct part_header){ .min_timestamp_ms = INT64_MAX, .max_timestamp_ms = INT64_MIN };
	for (size_t i = 0; i < columns->series_count; i++) {
		uint32_t first = columns->first_row[i];
		uint32_t rows = columns->first_row[i + 1] - first;
		int64_t *timestamps = columns->timestamps_ms + first;

		if (!is_in_time_order(timestamps, rows))
			TRY(sort_by_time(mem, timestamps, columns->values + first, rows));
		if (timestamps[0] < header->min_timestamp_ms)
			header->min_timestamp_ms = timestamps[0];
		if (timestamps[rows - 1] > header->max_timestamp_ms)
			header->max_timestamp_ms = timestamps[rows - 1];
		header->rows += rows;
		header->blocks += (rows + BLOCK_ROWS_MAX - 1) / BLOCK_ROWS_MAX;
	}
	return 0;
}

static int
columns_make(struct row_groups *groups, struct mem *mem, const struct row *rows, size_t n, const struct tsid_map *map,
    tsid_map_get_fn *get, struct mem_part *columns, struct part_header *header)
{
	bool shared;

	TRY(row_groups_find(groups, mem, rows, n));
	TRY(row_groups_order(groups, map, get));
	columns->series = mem_array(mem, groups->groups_count, sizeof(*columns->series));
	columns->first_row = mem_array(mem, groups->groups_count + 1, sizeof(*columns->first_row));
	columns->timestamps_ms = mem_array(mem, n, sizeof(*columns->timestamps_ms));
	columns->values = mem_array(mem, n, sizeof(*columns->values));
	if (columns->series == NULL || columns->first_row == NULL || columns->timestamps_ms == NULL ||
	    columns->values == NULL)
		return ERR_MEMORY;
	lay_out(groups, columns, &shared);
	if (groups->runs_count == groups->groups_count && !shared) {
		gather_runs(groups, columns);
	} else {
		place_groups(groups, columns, shared);
		copy_runs(groups, columns);
	}
	return finish_series(mem, columns, header);
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

int
mem_part_create(struct mem *mem, enum layout layout, const struct row *rows, size_t n, const struct tsid_map *map,
    tsid_map_get_fn *get, struct part **out)
{
	struct row_groups groups;
	struct mem_part columns = { 0 };
	struct part_header header;
	int rc;

	assert(n >= 1 && n < UINT32_MAX);
	*out = NULL;
	rc = columns_make(&groups, mem, rows, n, map, get, &columns, &header);
	row_groups_free(&groups);
	if (rc == 0)
		rc = mem_part_adopt(mem, layout, &header, &columns, out);
	/* after adoption there is nothing left in it */
	mem_free(mem, columns.series);
	mem_free(mem, columns.first_row);
	mem_free(mem, columns.timestamps_ms);
	mem_free(mem, columns.values);
	return rc;
}

int
mem_part_adopt(struct mem *mem, enum layout layout, const struct part_header *header, struct mem_part *columns,
    struct part **out)
{
	struct part *part = mem_zalloc(mem, sizeof(*part));
	struct mem_part *own = mem_alloc(mem, sizeof(*own));

	*out = NULL;
	if (part == NULL || own == NULL) {
		mem_free(mem, part);
		mem_free(mem, own);
		return ERR_MEMORY;
	}
	assert(columns->series_count > 0 && columns->first_row[columns->series_count] == header->rows);
	*own = *columns;
	columns->series = NULL;
	columns->first_row = NULL;
	columns->timestamps_ms = NULL;
	columns->values = NULL;
	part->header = *header;
	part->tier = PART_TIER_MEM;
	part->layout = layout;
	part->bytes = header->rows * (sizeof(*own->timestamps_ms) + sizeof(*own->values)) +
	    own->series_count * (sizeof(*own->series) + sizeof(*own->first_row));
	part->refs = 1;
	part->mem = mem;
	part->name = "";
	part->columns = own;
	*out = part;
	return 0;
}

void
mem_part_free(struct mem *mem, struct mem_part *columns)
{
	if (columns == NULL)
		return;
	mem_free(mem, columns->series);
	mem_free(mem, columns->first_row);
	mem_free(mem, columns->timestamps_ms);
	mem_free(mem, columns->values);
	mem_free(mem, columns);
}
