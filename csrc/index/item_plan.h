/*
 * item_plan.h -- which parts of an item table to merge, and how hard to compress: pure functions of numbers.
 * floor: index     uses: base.h     used by: item_job
 *
 * A merge of parts a <= b <= .. <= z costs the sum of their bytes and spares later merges as much as the parts are alike:
 * its gain is sum / z. Equal parts give a gain of their number; a small part beside a huge one gives 1 and is left alone.
 *
 * Threads    pure functions.
 */
#ifndef TSE_ITEM_PLAN_H
#define TSE_ITEM_PLAN_H

#include "base/base.h"

enum {
	ITEM_MERGE_PARTS_MAX = 15, /* file parts at a time: each costs descriptors and a decoded block */
	/* Runs in memory before they are merged there: a search touches all of them, but a merge costs as much as writing
	 * them (1.2 us of cpu per new series), and runs of bulk loads are written soon anyway. */
	ITEM_MEM_PARTS_MIN = 32,
	ITEM_MEM_PARTS_MAX = 40,
	ITEM_FILE_PARTS_BUSY = 48 /* file parts that a bulk load may leave before it has to pay for merges */
};

struct item_plan {
	size_t start; /* in the sorted sizes */
	size_t count; /* 0: nothing worth merging */
	uint64_t bytes;
};

/* The window of 2..parts_max neighbours of the ascending sizes with the greatest gain, if that is at least gain_min and
 * the sum at most bytes_max. Of equal gains the one of fewer bytes. */
struct item_plan item_plan_pick(const uint64_t *sizes, size_t n, size_t parts_max, double gain_min, uint64_t bytes_max);

/* What a file merge must gain now. quiet_ms: since the last flush; busy: a bulk load is under way. 0: no merge. */
double item_plan_file_gain(size_t file_parts, int64_t quiet_ms, bool busy);
/* When, after the last flush, a smaller gain will do; INT64_MAX: it will not change any more. */
int64_t item_plan_next_quiet_ms(int64_t quiet_ms);

/* zstd level for a merge of so many items: large parts live long and are read often. */
int item_plan_level(uint64_t items);

#endif
