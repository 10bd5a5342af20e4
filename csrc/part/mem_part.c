/*
 * mem_part.c -- rows in any order -> columns by series.
 * floor: part     uses: mem_part.h tsid_order.h err.h     used by: part, table, storage
 *
 *   rows      a7 a7 c2 a7 b1 ...        dense series number and time, in order of arrival
 *   runs      [a a] [c] [a] [b] ...     neighbours of one series; counted per series through a table of numbers
 *   columns   a a a | b | c             each run is copied to the next free place of its series: stable
 *
 * No row is compared with another but to see whether a series is already in order of time, which it nearly always is.
 */
#include "part/mem_part.h"

#include "base/err.h"
#include "part/tsid_order.h"

struct grouping {
	struct mem *mem;
	const struct row *rows;
	size_t rows_count;
	uint32_t *run_start;   /* runs_count + 1 */
	uint32_t *run_group;   /* of each run: number in order of first appearance */
	size_t runs_count;
	uint32_t series_min, series_max;
	/* one per distinct series number, in order of first appearance */
	uint32_t *group_series;
	uint32_t *group_rows;  /* how many rows; later where its next row goes */
	struct tsid *group_tsid;
	uint32_t *group_order; /* group numbers by TSID */
	size_t groups_count;
};

/* A table of that many numbers per run is still cheaper to clear than to hash. */
enum { DIRECT_NUMBERS_PER_RUN = 4, DIRECT_NUMBERS_MIN = 4096 };

static void
grouping_free(struct grouping *grouping)
{
	mem_free(grouping->mem, grouping->run_start);
	mem_free(grouping->mem, grouping->run_group);
	mem_free(grouping->mem, grouping->group_series);
	mem_free(grouping->mem, grouping->group_rows);
	mem_free(grouping->mem, grouping->group_tsid);
	mem_free(grouping->mem, grouping->group_order);
}

/* -- Runs and groups ------------------------------------------------------------------------------------------------ */

static int
find_runs(struct grouping *grouping)
{
	const struct row *rows = grouping->rows;
	size_t n = grouping->rows_count, runs = 0;
	uint32_t previous = ~rows[0].series;
	uint32_t min = UINT32_MAX, max = 0;

	grouping->run_start = mem_array(grouping->mem, n + 1, sizeof(uint32_t));
	if (grouping->run_start == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < n; i++) {
		uint32_t series = rows[i].series;

		/* always stored, kept only at a change: whether the series changes cannot be predicted */
		grouping->run_start[runs] = (uint32_t)i;
		runs += series != previous;
		previous = series;
		min = series < min ? series : min;
		max = series > max ? series : max;
	}
	grouping->run_start[runs] = (uint32_t)n;
	grouping->runs_count = runs;
	grouping->series_min = min;
	grouping->series_max = max;
	return 0;
}

static inline void
group_run(struct grouping *grouping, size_t run, uint32_t group, uint32_t series)
{
	uint32_t rows = grouping->run_start[run + 1] - grouping->run_start[run];

	if (group == grouping->groups_count) {
		grouping->groups_count++;
		grouping->group_series[group] = series;
		grouping->group_rows[group] = 0;
	}
	grouping->run_group[run] = group;
	grouping->group_rows[group] += rows;
}

/* Series numbers lie close together: a table by number holds group + 1. */
static int
group_directly(struct grouping *grouping)
{
	size_t numbers = (size_t)(grouping->series_max - grouping->series_min) + 1;
	uint32_t *table = mem_zalloc(grouping->mem, numbers * sizeof(uint32_t));

	if (table == NULL)
		return ERR_MEMORY;
	for (size_t run = 0; run < grouping->runs_count; run++) {
		uint32_t series = grouping->rows[grouping->run_start[run]].series;
		uint32_t *slot = &table[series - grouping->series_min];

		if (*slot == 0)
			*slot = (uint32_t)grouping->groups_count + 1;
		group_run(grouping, run, *slot - 1, series);
	}
	mem_free(grouping->mem, table);
	return 0;
}

/* Series numbers are far apart: open addressing, at most half full. */
static int
group_by_hash(struct grouping *grouping)
{
	unsigned bits = 65 - (unsigned)__builtin_clzll(grouping->runs_count);
	size_t mask = ((size_t)1 << bits) - 1;
	uint32_t *table = mem_zalloc(grouping->mem, (mask + 1) * sizeof(uint32_t));

	if (table == NULL)
		return ERR_MEMORY;
	for (size_t run = 0; run < grouping->runs_count; run++) {
		uint32_t series = grouping->rows[grouping->run_start[run]].series;
		/* Fibonacci hashing: dense numbers spread evenly */
		size_t slot = (size_t)((series * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - bits));

		while (table[slot] != 0 && grouping->group_series[table[slot] - 1] != series)
			slot = (slot + 1) & mask;
		if (table[slot] == 0)
			table[slot] = (uint32_t)grouping->groups_count + 1;
		group_run(grouping, run, table[slot] - 1, series);
	}
	mem_free(grouping->mem, table);
	return 0;
}

static int
find_groups(struct grouping *grouping)
{
	size_t runs = grouping->runs_count;
	size_t numbers = (size_t)(grouping->series_max - grouping->series_min) + 1;

	grouping->run_group = mem_array(grouping->mem, runs, sizeof(uint32_t));
	grouping->group_series = mem_array(grouping->mem, runs, sizeof(uint32_t));
	grouping->group_rows = mem_array(grouping->mem, runs, sizeof(uint32_t));
	if (grouping->run_group == NULL || grouping->group_series == NULL || grouping->group_rows == NULL)
		return ERR_MEMORY;
	if (numbers <= DIRECT_NUMBERS_MIN || numbers / DIRECT_NUMBERS_PER_RUN <= runs)
		return group_directly(grouping);
	return group_by_hash(grouping);
}

/* -- Order ---------------------------------------------------------------------------------------------------------- */

enum { PREFETCH_AHEAD = 8 }; /* TSIDs lie anywhere in memory: this many misses may overlap */

static int
order_groups(struct grouping *grouping, const struct tsid_map *map, tsid_map_get_fn *get)
{
	size_t n = grouping->groups_count;

	grouping->group_tsid = mem_array(grouping->mem, n, sizeof(struct tsid));
	grouping->group_order = mem_array(grouping->mem, n, sizeof(uint32_t));
	if (grouping->group_tsid == NULL || grouping->group_order == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			__builtin_prefetch(get(map, grouping->group_series[i + PREFETCH_AHEAD]));
		grouping->group_tsid[i] = *get(map, grouping->group_series[i]);
	}
	return tsid_order(grouping->mem, grouping->group_tsid, n, grouping->group_order);
}

/* Fills series and first_row; group_rows becomes the place of the group's first row. Groups of one metric id are one series,
 * and then share that place: *shared. */
static void
lay_out(struct grouping *grouping, struct mem_part *columns, bool *shared)
{
	size_t series = 0;
	uint32_t row = 0;

	*shared = false;
	for (size_t i = 0; i < grouping->groups_count; i++) {
		uint32_t group = grouping->group_order[i];
		const struct tsid *tsid = &grouping->group_tsid[group];

		if (series > 0 && columns->series[series - 1].metric_id == tsid->metric_id) {
			*shared = true;
		} else {
			columns->series[series] = *tsid;
			columns->first_row[series++] = row;
		}
		row += grouping->group_rows[group];
	}
	columns->first_row[series] = row;
	columns->series_count = series;
}

/* Where the next row of each group goes; groups of one series get one place by renumbering their runs to the first of them. */
static void
place_groups(struct grouping *grouping, const struct mem_part *columns, bool shared)
{
	uint32_t row = 0, first_group = 0;
	size_t series = 0;

	for (size_t i = 0; i < grouping->groups_count; i++) {
		uint32_t group = grouping->group_order[i];
		uint32_t rows = grouping->group_rows[group];

		if (row == columns->first_row[series]) {
			first_group = group;
			series++;
		}
		grouping->group_rows[group] = row;
		grouping->group_series[group] = first_group;
		row += rows;
	}
	for (size_t run = 0; shared && run < grouping->runs_count; run++)
		grouping->run_group[run] = grouping->group_series[grouping->run_group[run]];
}

/* -- Columns -------------------------------------------------------------------------------------------------------- */

static void
copy_runs(struct grouping *grouping, struct mem_part *columns)
{
	for (size_t run = 0; run < grouping->runs_count; run++) {
		const struct row *row = &grouping->rows[grouping->run_start[run]];
		uint32_t count = grouping->run_start[run + 1] - grouping->run_start[run];
		uint32_t *next = &grouping->group_rows[grouping->run_group[run]];
		int64_t *timestamps = columns->timestamps_ms + *next;
		double *values = columns->values + *next;

		for (uint32_t i = 0; i < count; i++) {
			timestamps[i] = row[i].timestamp_ms;
			values[i] = row[i].value;
		}
		*next += count;
	}
}

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
merge_halves(int64_t *timestamps, double *values, size_t middle, size_t n, int64_t *spare_timestamps, double *spare_values)
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
				merge_halves(timestamps + i, values + i, width, n - i < 2 * width ? n - i : 2 * width, spare_timestamps,
				    spare_values);
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
columns_make(struct grouping *grouping, const struct tsid_map *map, tsid_map_get_fn *get, struct mem_part *columns,
    struct part_header *header)
{
	struct mem *mem = grouping->mem;
	bool shared;

	TRY(find_runs(grouping));
	TRY(find_groups(grouping));
	TRY(order_groups(grouping, map, get));
	columns->series = mem_array(mem, grouping->groups_count, sizeof(*columns->series));
	columns->first_row = mem_array(mem, grouping->groups_count + 1, sizeof(*columns->first_row));
	columns->timestamps_ms = mem_array(mem, grouping->rows_count, sizeof(*columns->timestamps_ms));
	columns->values = mem_array(mem, grouping->rows_count, sizeof(*columns->values));
	if (columns->series == NULL || columns->first_row == NULL || columns->timestamps_ms == NULL || columns->values == NULL)
		return ERR_MEMORY;
	lay_out(grouping, columns, &shared);
	place_groups(grouping, columns, shared);
	copy_runs(grouping, columns);
	return finish_series(mem, columns, header);
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

int
mem_part_create(struct mem *mem, enum layout layout, const struct row *rows, size_t n, const struct tsid_map *map,
    tsid_map_get_fn *get, struct part **out)
{
	struct grouping grouping = { .mem = mem, .rows = rows, .rows_count = n };
	struct mem_part columns = {0};
	struct part_header header;
	int rc;

	assert(n >= 1 && n < UINT32_MAX);
	*out = NULL;
	rc = columns_make(&grouping, map, get, &columns, &header);
	grouping_free(&grouping);
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
mem_part_adopt(struct mem *mem, enum layout layout, const struct part_header *header, struct mem_part *columns, struct part **out)
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
