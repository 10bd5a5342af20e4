/*
 * min_dedup.h -- the text of the file min_dedup_interval (part format 2.2).
 * floor: part     uses: base.h     used by: part, part_writer
 *
 * Written as Go prints a duration: 0s, 500ms, 1.5s, 1m0s, 1h0m0s. Read: a plain number (seconds) or a row of numbers
 * with units ms s m h d w y.
 * Threads    pure functions.
 */
#ifndef TSE_MIN_DEDUP_H
#define TSE_MIN_DEDUP_H

#include "base/base.h"

#define MIN_DEDUP_FILE "min_dedup_interval"
enum { MIN_DEDUP_TEXT_MAX = 48 };

/* text[MIN_DEDUP_TEXT_MAX], terminated. interval_ms >= 0. */
void min_dedup_format(int64_t interval_ms, char *text);
/* false when it is no duration, or one of more than 2^53 ms. Fractions of a millisecond are cut off. */
bool min_dedup_parse(struct bytes text, int64_t *interval_ms);

#endif
