/*
 * merge_rows.h -- two sorted runs of rows of one series become one (part format 11.3, step 4).
 * floor: merge     uses: base.h     used by: merge_join
 *
 * The run that is being taken keeps the turn while its next row is not later than the other's; so of equal timestamps
 * those of the run that has the turn come first. Values are 8 bytes that are only moved: mantissas or doubles.
 *
 * Threads    pure functions.
 */
#ifndef TSE_MERGE_ROWS_H
#define TSE_MERGE_ROWS_H

#include "base/base.h"

/* The 8 bytes of a value, whatever they mean. */
typedef uint64_t __attribute__((may_alias)) row_value;

struct rows_run {
	const int64_t *timestamps_ms;
	const row_value *values;
	size_t count;
};

/* `first` has the turn at the start. The outputs hold both counts and do not overlap the inputs. */
void merge_rows(struct rows_run first, struct rows_run second, int64_t *timestamps_ms, row_value *values);

/* Rows at the start with a timestamp before the limit. */
size_t rows_before(const int64_t *timestamps_ms, size_t n, int64_t limit_ms);

#endif
