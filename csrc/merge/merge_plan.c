/*
 * merge_plan.c -- the built-in policy: which neighbours by size are worth one merge.
 * floor: merge     uses: merge_plan.h     used by: table
 *
 *   sizes, ascending   1 1 1 2 2 3 | 40 41 44 ...      a window slides over the sorted sizes; its score is
 *                      [ window  ]                     sum / largest: how many times the largest part's bytes
 *                                                      the merge turns into one part
 *
 * A window whose smallest part is much smaller than the largest (first * length < last) would rewrite the large part
 * for little; it is passed over. A score of half the fan is asked for, so that each row is rewritten about log(n) times.
 */
#include "merge/merge_plan.h"

#include <stdlib.h>

/* Ascending by size; of equal sizes the younger part first; the id makes the order total, so that a plan repeats. */
static int
candidate_compare(const void *left, const void *right)
{
	const struct merge_candidate *a = left, *b = right;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? -1 : 1;
	if (a->min_timestamp_ms != b->min_timestamp_ms)
		return a->min_timestamp_ms > b->min_timestamp_ms ? -1 : 1;
	return (a->id > b->id) - (a->id < b->id);
}

/* Moves the parts that may take part to the front, sorted; returns how many. */
static size_t
candidates_select(struct merge_candidate *candidates, size_t n, uint64_t max_out_bytes)
{
	uint64_t in_bytes_max = (uint64_t)((double)max_out_bytes / MERGE_MULTIPLIER_MIN);
	size_t idle = 0, kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!candidates[i].busy)
			candidates[idle++] = candidates[i];
	if (idle < 2)
		return 0;
	for (size_t i = 0; i < idle; i++)
		if (candidates[i].bytes <= in_bytes_max)
			candidates[kept++] = candidates[i];
	qsort(candidates, kept, sizeof(*candidates), candidate_compare);
	return kept;
}

/* true when the smallest part times the length reaches the largest one. */
static bool
window_is_level(uint64_t first_bytes, uint64_t last_bytes, size_t length)
{
	uint64_t product;

	return __builtin_mul_overflow(first_bytes, (uint64_t)length, &product) || product >= last_bytes;
}

void
merge_plan_pick(struct merge_candidate *candidates, size_t n, unsigned fan, uint64_t max_out_bytes,
    struct merge_plan *out)
{
	size_t fan_max = fan > MERGE_PLAN_PARTS_MAX ? MERGE_PLAN_PARTS_MAX : fan;
	size_t count, longest, shortest, best_start = 0, best_length = 0;
	double score_min = (double)fan_max / 2, best = 0;
	uint64_t best_bytes = 0;

	*out = (struct merge_plan){ .count = 0 };
	count = candidates_select(candidates, n, max_out_bytes);
	longest = count < fan_max ? count : fan_max;
	shortest = (longest + 1) / 2 > 2 ? (longest + 1) / 2 : 2;
	for (size_t length = shortest; length <= longest; length++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < length; i++)
			sum += candidates[i].bytes;
		for (size_t start = 0; start + length <= count; start++) {
			uint64_t last = candidates[start + length - 1].bytes;
			double score;

			if (start > 0)
				sum += last - candidates[start - 1].bytes;
			if (!window_is_level(candidates[start].bytes, last, length))
				continue;
			if (sum > max_out_bytes)
				break; /* later windows of this length are larger still */
			score = last == 0 ? (double)length : (double)sum / (double)last;
			if (score < best)
				continue;
			best = score;
			best_start = start;
			best_length = length;
			best_bytes = sum;
		}
	}
	if (score_min < MERGE_MULTIPLIER_MIN)
		score_min = MERGE_MULTIPLIER_MIN;
	if (best_length == 0 || best < score_min)
		return;
	for (size_t i = 0; i < best_length; i++)
		out->ids[i] = candidates[best_start + i].id;
	out->count = best_length;
	out->bytes = best_bytes;
	out->score = best;
}
