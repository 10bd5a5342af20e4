/*
 * item_plan.c -- the choice of merges.
 * floor: index     uses: item_plan.h     used by: item_job
 */
#include "index/item_plan.h"

/* Half of the most parts: a part is rewritten about once per eightfold growth of the table. */
#define GAIN_STEADY 7.5
/* Nobody adds: smaller gains buy faster searches. Below 1.7 a merge rewrites a large part for the sake of small ones. */
#define GAIN_QUIET  3.0
#define GAIN_IDLE   1.7

enum { QUIET_MS = 10000, IDLE_MS = 30000 };

struct item_plan
item_plan_pick(const uint64_t *sizes, size_t n, size_t parts_max, double gain_min, uint64_t bytes_max)
{
	struct item_plan best = { 0 };
	double best_gain = gain_min;

	for (size_t start = 0; start + 1 < n; start++) {
		uint64_t sum = sizes[start];

		for (size_t end = start + 1; end < n && end - start < parts_max; end++) {
			double gain;

			sum += sizes[end];
			if (sum > bytes_max)
				break;
			gain = sizes[end] == 0 ? (double)(end - start + 1) : (double)sum / (double)sizes[end];
			if (gain > best_gain || (gain == best_gain && (best.count == 0 || sum < best.bytes))) {
				best_gain = gain;
				best = (struct item_plan){ .start = start, .count = end - start + 1, .bytes = sum };
			}
		}
	}
	return best;
}

double
item_plan_file_gain(size_t file_parts, int64_t quiet_ms, bool busy)
{
	if (busy)
		return file_parts > ITEM_FILE_PARTS_BUSY ? GAIN_STEADY : 0;
	if (quiet_ms >= IDLE_MS)
		return GAIN_IDLE;
	return quiet_ms >= QUIET_MS || file_parts > ITEM_FILE_PARTS_BUSY ? GAIN_QUIET : GAIN_STEADY;
}

int64_t
item_plan_next_quiet_ms(int64_t quiet_ms)
{
	if (quiet_ms < QUIET_MS)
		return QUIET_MS;
	return quiet_ms < IDLE_MS ? IDLE_MS : INT64_MAX;
}

int
item_plan_level(uint64_t items)
{
	/* Measured on the items of 200 thousand series, bytes per series and cpu of the whole flush: -5: 130 and 1.58 us,
	 * -3: 97 and 1.53, -1: 56 and 1.51, 1: 53 and 1.65, 3: 53 and 1.91. Fresh parts are merged again soon. */
	return items <= UINT64_C(1) << 20 ? -1 : 1;
}
