/*
 * merge_plan.h -- which parts to merge: the built-in policy as a pure function, and the form of any policy's answer.
 * floor: merge     uses: base.h     used by: table, later script
 *
 * The rule is VictoriaMetrics 1.72's (part format 14.4). It sees sizes, times and busy flags, decides, and touches nothing.
 * Threads    pure functions.
 */
#ifndef TSE_MERGE_PLAN_H
#define TSE_MERGE_PLAN_H

#include "base/base.h"

enum {
	MERGE_FAN_DEFAULT = 15,     /* parts in one merge */
	MERGE_PLAN_PARTS_MAX = 256, /* most parts a plan may name */
	MERGE_SMALL_PARTS_ASSIST = 256
};
#define MERGE_MULTIPLIER_MIN     1.7
#define MERGE_BIG_PART_BYTES_MAX INT64_C(1000000000000)

struct merge_candidate {
	uint64_t bytes;
	int64_t min_timestamp_ms;
	uint32_t id;
	bool busy;
};

struct merge_plan {
	uint32_t ids[MERGE_PLAN_PARTS_MAX];
	size_t count;   /* 0: nothing worth merging */
	uint64_t bytes; /* of the sources */
	double score;   /* bytes / largest source */
};

/* Picks from candidates (any order; may be reordered in place) a merge of at most fan parts and max_out_bytes. */
void merge_plan_pick(struct merge_candidate *candidates, size_t n, unsigned fan, uint64_t max_out_bytes,
    struct merge_plan *out);

#endif
