/*
 * mem_part.h -- an in-memory part: the rows of one flush or merge, grouped by series, columns raw.
 * floor: part     uses: part.h     used by: part (search, stream), table, storage
 *
 *   series[0..n)   sorted by tsid;   rows of series i are [first_row[i], first_row[i+1]) of both columns,
 *   timestamps[]   sorted inside a series (stable: equal times keep their order of arrival),
 *   values[]       doubles as given (stale marker allowed, no other NaN); converted to decimals when they go to disk.
 *
 * Nothing is compressed here: most in-memory parts live a few seconds. header.blocks counts ceil(rows/8192) per series.
 *
 * Errors     ERR_MEMORY.
 * Threads    immutable once made.
 */
#ifndef TSE_MEM_PART_H
#define TSE_MEM_PART_H

#include "part/part.h"

struct mem_part {
	size_t series_count;
	struct tsid *series;
	uint32_t *first_row; /* series_count + 1 */
	int64_t *timestamps_ms;
	double *values;
};

/* A row as shards hold it: series is a dense number that `tsids` resolves. */
struct row {
	uint32_t series;
	uint32_t reserved;
	int64_t timestamp_ms;
	double value;
};

/* Resolves dense series numbers. Stable while rows with them exist. */
struct tsid_map;
typedef const struct tsid *tsid_map_get_fn(const struct tsid_map *map, uint32_t series);

/*
 * Groups rows[0..n), 1 <= n < 2^32, by series (counting, no comparison of rows), orders series by TSID and rows by
 * time, and makes a part with refs == 1 from them. Linear in n but for the sort of the distinct series. rows is left
 * as it is. Two dense numbers with the same metric id become one series.
 */
NODISCARD int mem_part_create(struct mem *mem, enum layout layout, const struct row *rows, size_t n,
    const struct tsid_map *map, tsid_map_get_fn *get, struct part **out);

/*
 * A memory part from ready columns, with refs == 1. series, first_row, timestamps_ms and values are blocks of mem, each
 * its own, possibly larger than needed; on success they are the part's and the pointers in *columns are NULL, on failure
 * nothing has changed. header: rows, blocks and times; the suffix is not looked at.
 */
NODISCARD int mem_part_adopt(struct mem *mem, enum layout layout, const struct part_header *header,
    struct mem_part *columns, struct part **out);
/* Frees the columns and the struct; NULL is fine. For part.c. */
void mem_part_free(struct mem *mem, struct mem_part *columns);

#endif
