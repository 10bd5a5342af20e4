/*
 * row_groups.h -- which rows belong to one series, found by counting.
 * floor: part     uses: mem_part.h tsid_order.h     used by: mem_part.c
 *
 *   rows      a7 a7 c2 a7 b1 ...     dense series number and time, in order of arrival
 *   runs      [a a] [c] [a] [b] ...  neighbours of one series
 *   groups    a: 3 rows  c: 1  b: 1  one per distinct number, in order of first appearance; then ordered by TSID
 *
 * Errors     ERR_MEMORY.
 * Threads    one.
 */
#ifndef TSE_ROW_GROUPS_H
#define TSE_ROW_GROUPS_H

#include "part/mem_part.h"

struct row_groups {
	struct mem *mem;
	const struct row *rows;
	size_t rows_count;
	uint32_t *run_start; /* runs_count + 1 */
	uint32_t *run_group; /* of each run */
	size_t runs_count;
	uint32_t series_min, series_max;
	uint32_t *series;         /* number of each group */
	uint32_t *count;          /* rows of each group */
	const struct tsid **tsid; /* of each group; the map's */
	uint32_t *order;          /* groups by TSID */
	size_t groups_count;
};

/* Fills everything but tsid and order. Freed by row_groups_free, also after a failure. */
NODISCARD int row_groups_find(struct row_groups *groups, struct mem *mem, const struct row *rows, size_t n);
/* Looks up the TSIDs and fills tsid and order. */
NODISCARD int row_groups_order(struct row_groups *groups, const struct tsid_map *map, tsid_map_get_fn *get);
void row_groups_free(struct row_groups *groups);

#endif
