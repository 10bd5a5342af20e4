/*
 * month.h -- UTC calendar months: numbers, names, first and last millisecond.
 * floor: table     uses: base.h     used by: table
 *
 * A month's number counts from 1970_01 = 0. Partitions exist for MONTHS_MAX months, 400 years of them.
 *
 * Threads    pure functions.
 */
#ifndef TSE_MONTH_H
#define TSE_MONTH_H

#include "base/base.h"

enum { MONTHS_MAX = 4800, MONTH_NAME_MAX = 8 };

/* The month of a timestamp, or -1 when it lies outside the MONTHS_MAX months. */
int month_of_ms(int64_t timestamp_ms);
/* First and last millisecond. */
void month_bounds(int month, int64_t *min_ms, int64_t *max_ms);
/* "2026_11". */
void month_name(int month, char name[MONTH_NAME_MAX]);
/* -1 when the text is no month's name, or of a month outside the range. */
int month_parse(const char *name);

#endif
