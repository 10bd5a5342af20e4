/*
 * number.h -- decimal text -> double or int64, exactly rounded, fast.
 * floor: ingest     uses: base.h     used by: ingest, index (selectors), storage
 *
 * Exact: equal to strtod with round-to-nearest for every input (fast path for up to 19 digits and small exponents,
 * Eisel-Lemire style tables or strtod otherwise). Accepts what Prometheus text accepts: sign, digits, fraction, exponent,
 * [+-]Inf, [+-]Infinity, NaN in any case; hex floats and underscores are refused.
 * Threads    pure functions; no locale.
 */
#ifndef TSE_NUMBER_H
#define TSE_NUMBER_H

#include "base/base.h"

/* Parses from p; returns the position behind the number or NULL. NaN comes out as the canonical NaN. */
const uint8_t *number_parse_double(const uint8_t *p, const uint8_t *end, double *out);
/* Digits with an optional sign; NULL when there is none or it does not fit. */
const uint8_t *number_parse_int64(const uint8_t *p, const uint8_t *end, int64_t *out);

#endif
