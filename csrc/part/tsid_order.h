/*
 * tsid_order.h -- sorting TSIDs by radix.
 * floor: part     uses: tsid.h mem.h     used by: row_groups.c
 *
 * Errors     ERR_MEMORY.
 * Threads    pure.
 */
#ifndef TSE_TSID_ORDER_H
#define TSE_TSID_ORDER_H

#include "base/mem.h"
#include "part/tsid.h"

/* order[0..n) becomes the numbers 0..n-1 in the order of the TSIDs pointed at; equal ones in any order. */
NODISCARD int tsid_order(struct mem *mem, const struct tsid *const *tsids, size_t n, uint32_t *order);

#endif
