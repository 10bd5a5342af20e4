/*
 * merge_rows.c -- see merge_rows.h.
 * floor: merge     uses: merge_rows.h     used by: merge_join
 *
 * Interleaved runs are taken without a branch on the data: which run has the turn is a number that indexes two
 * pointers (a mispredicted branch per row would cost more than the rest of the row). Long stretches of one run are
 * found by doubling steps and copied at once.
 */
#include "merge/merge_rows.h"

enum {
	STRETCH_MIN = 16 /* rows of one run in a row that make a copy cheaper than taking them one by one */
};

/* Rows at the start of t[0..n) that are <= limit, by doubling and halving; t[0] <= limit is known. */
static size_t
stretch_length(const int64_t *t, size_t n, int64_t limit_ms)
{
	size_t low = 1, high = 2;

	while (high < n && t[high - 1] <= limit_ms) {
		low = high;
		high *= 2;
	}
	if (high > n)
		high = n;
	while (low < high) { /* t[low - 1] <= limit; the answer is in [low, high] */
		size_t middle = low + (high - low + 1) / 2;

		if (t[middle - 1] <= limit_ms)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

size_t
rows_before(const int64_t *timestamps_ms, size_t n, int64_t limit_ms)
{
	if (n == 0 || timestamps_ms[0] >= limit_ms)
		return 0;
	return stretch_length(timestamps_ms, n, limit_ms - 1);
}

/* Takes `n` rows, n <= the count of either run, so neither can run out. Returns whose turn it is. */
static unsigned
take_interleaved(struct rows_run run[2], unsigned turn, size_t n, int64_t *timestamps_ms, row_value *values)
{
	size_t at[2] = { 0, 0 };

	for (size_t i = 0; i < n; i++) {
		int64_t mine = run[turn].timestamps_ms[at[turn]];
		int64_t theirs = run[turn ^ 1].timestamps_ms[at[turn ^ 1]];

		turn ^= (unsigned)(mine > theirs);
		timestamps_ms[i] = mine > theirs ? theirs : mine;
		values[i] = run[turn].values[at[turn]];
		at[turn]++;
	}
	for (unsigned k = 0; k < 2; k++) {
		run[k].timestamps_ms += at[k];
		run[k].values += at[k];
		run[k].count -= at[k];
	}
	return turn;
}

static void
take_stretch(struct rows_run *run, size_t n, int64_t *timestamps_ms, row_value *values)
{
	memcpy(timestamps_ms, run->timestamps_ms, n * sizeof(*timestamps_ms));
	memcpy(values, run->values, n * sizeof(*values));
	run->timestamps_ms += n;
	run->values += n;
	run->count -= n;
}

void
merge_rows(struct rows_run first, struct rows_run second, int64_t *timestamps_ms, row_value *values)
{
	struct rows_run run[2] = { first, second };
	unsigned turn = 0;
	size_t out = 0;

	while (run[0].count > 0 && run[1].count > 0) {
		struct rows_run *mine = &run[turn], *theirs = &run[turn ^ 1];
		size_t n;

		if (mine->timestamps_ms[0] > theirs->timestamps_ms[0]) {
			turn ^= 1;
			continue;
		}
		if (mine->count >= STRETCH_MIN && mine->timestamps_ms[STRETCH_MIN - 1] <= theirs->timestamps_ms[0]) {
			n = stretch_length(mine->timestamps_ms, mine->count, theirs->timestamps_ms[0]);
			take_stretch(mine, n, timestamps_ms + out, values + out);
		} else {
			n = mine->count < theirs->count ? mine->count : theirs->count;
			if (n > STRETCH_MIN)
				n = STRETCH_MIN; /* then look again for a stretch */
			turn = take_interleaved(run, turn, n, timestamps_ms + out, values + out);
		}
		out += n;
	}
	for (unsigned k = 0; k < 2; k++)
		if (run[k].count > 0)
			take_stretch(&run[k], run[k].count, timestamps_ms + out, values + out);
}
