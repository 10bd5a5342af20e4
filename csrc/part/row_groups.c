/*
 * row_groups.c -- runs of rows, and groups of runs.
 * floor: part     uses: row_groups.h tsid_order.h err.h     used by: mem_part.c
 */
#include "part/row_groups.h"

#include "base/err.h"
#include "part/tsid_order.h"

/* A table of that many numbers per run is still cheaper to clear than to hash. */
enum { DIRECT_NUMBERS_PER_RUN = 4, DIRECT_NUMBERS_MIN = 4096 };

void
row_groups_free(struct row_groups *groups)
{
	mem_free(groups->mem, groups->run_start);
	mem_free(groups->mem, groups->run_group);
	mem_free(groups->mem, groups->series);
	mem_free(groups->mem, groups->count);
	mem_free(groups->mem, groups->tsid);
	mem_free(groups->mem, groups->order);
}

static int
find_runs(struct row_groups *groups)
{
	const struct row *rows = groups->rows;
	size_t n = groups->rows_count, runs = 0;
	uint32_t previous = ~rows[0].series;
	uint32_t min = UINT32_MAX, max = 0;

	groups->run_start = mem_array(groups->mem, n + 1, sizeof(uint32_t));
	if (groups->run_start == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < n; i++) {
		uint32_t series = rows[i].series;

		/* always stored, kept only at a change: whether the series changes cannot be predicted */
		groups->run_start[runs] = (uint32_t)i;
		runs += series != previous;
		previous = series;
		min = series < min ? series : min;
		max = series > max ? series : max;
	}
	groups->run_start[runs] = (uint32_t)n;
	groups->runs_count = runs;
	groups->series_min = min;
	groups->series_max = max;
	return 0;
}

static inline void
group_run(struct row_groups *groups, size_t run, uint32_t group, uint32_t series)
{
	uint32_t rows = groups->run_start[run + 1] - groups->run_start[run];

	if (group == groups->groups_count) {
		groups->groups_count++;
		groups->series[group] = series;
		groups->count[group] = 0;
	}
	groups->run_group[run] = group;
	groups->count[group] += rows;
}

/* Series numbers lie close together: a table by number holds group + 1. */
static int
group_directly(struct row_groups *groups)
{
	size_t numbers = (size_t)(groups->series_max - groups->series_min) + 1;
	uint32_t *table = mem_zalloc(groups->mem, numbers * sizeof(uint32_t));

	if (table == NULL)
		return ERR_MEMORY;
	for (size_t run = 0; run < groups->runs_count; run++) {
		uint32_t series = groups->rows[groups->run_start[run]].series;
		uint32_t *slot = &table[series - groups->series_min];

		if (*slot == 0)
			*slot = (uint32_t)groups->groups_count + 1;
		group_run(groups, run, *slot - 1, series);
	}
	mem_free(groups->mem, table);
	return 0;
}

/* Series numbers are far apart: open addressing, at most half full. */
static int
group_by_hash(struct row_groups *groups)
{
	unsigned bits = 65 - (unsigned)__builtin_clzll(groups->runs_count);
	size_t mask = ((size_t)1 << bits) - 1;
	uint32_t *table = mem_zalloc(groups->mem, (mask + 1) * sizeof(uint32_t));

	if (table == NULL)
		return ERR_MEMORY;
	for (size_t run = 0; run < groups->runs_count; run++) {
		uint32_t series = groups->rows[groups->run_start[run]].series;
		/* Fibonacci hashing: dense numbers spread evenly */
		size_t slot = (size_t)((series * UINT64_C(0x9E3779B97F4A7C15)) >> (64 - bits));

		while (table[slot] != 0 && groups->series[table[slot] - 1] != series)
			slot = (slot + 1) & mask;
		if (table[slot] == 0)
			table[slot] = (uint32_t)groups->groups_count + 1;
		group_run(groups, run, table[slot] - 1, series);
	}
	mem_free(groups->mem, table);
	return 0;
}

int
row_groups_find(struct row_groups *groups, struct mem *mem, const struct row *rows, size_t n)
{
	size_t runs, numbers, most;

	*groups = (struct row_groups){ .mem = mem, .rows = rows, .rows_count = n };
	TRY(find_runs(groups));
	runs = groups->runs_count;
	numbers = (size_t)(groups->series_max - groups->series_min) + 1;
	most = runs < numbers ? runs : numbers; /* groups there can be */
	groups->run_group = mem_array(mem, runs, sizeof(uint32_t));
	groups->series = mem_array(mem, most, sizeof(uint32_t));
	groups->count = mem_array(mem, most, sizeof(uint32_t));
	if (groups->run_group == NULL || groups->series == NULL || groups->count == NULL)
		return ERR_MEMORY;
	if (numbers <= DIRECT_NUMBERS_MIN || numbers / DIRECT_NUMBERS_PER_RUN <= runs)
		return group_directly(groups);
	return group_by_hash(groups);
}

int
row_groups_order(struct row_groups *groups, const struct tsid_map *map, tsid_map_get_fn *get)
{
	size_t n = groups->groups_count;

	groups->tsid = mem_array(groups->mem, n, sizeof(*groups->tsid));
	groups->order = mem_array(groups->mem, n, sizeof(*groups->order));
	if (groups->tsid == NULL || groups->order == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < n; i++)
		groups->tsid[i] = get(map, groups->series[i]);
	return tsid_order(groups->mem, groups->tsid, n, groups->order);
}
