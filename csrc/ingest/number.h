/*
 * number.h -- decimal text -> double or int64, exactly rounded, fast.
 * floor: ingest     uses: base.h     used by: ingest, index (selectors), storage
 *
 * Exact: the double nearest to the decimal number, ties to even, for every input (what strtod gives in the "C" locale).
 * Accepts what Prometheus text accepts: sign, digits, fraction, exponent ("5", "+5", ".5", "5.", "1e-7"), Inf, Infinity
 * and NaN in any case. Hex floats and underscores are refused. An exponent without digits does not belong to the number.
 *
 * Ways, fastest first: up to 2^53 with |exponent| <= 22 by one exact multiplication or division (Clinger 1990); up to 19
 * digits by a 128-bit product (Lemire 2021); more digits by two products that agree, or by comparing exact integers.
 * Threads    pure functions; no locale, no allocation.
 */
#ifndef TSE_NUMBER_H
#define TSE_NUMBER_H

#include "base/base.h"

/* Parses from p; returns the position behind the number or NULL. NaN comes out as the canonical NaN. */
const uint8_t *number_parse_double(const uint8_t *p, const uint8_t *end, double *out);
/* Digits with an optional sign; NULL when there is none or it does not fit. */
const uint8_t *number_parse_int64(const uint8_t *p, const uint8_t *end, int64_t *out);
/* As above without a sign. */
const uint8_t *number_parse_uint64(const uint8_t *p, const uint8_t *end, uint64_t *out);

#endif
