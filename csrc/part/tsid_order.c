/*
 * tsid_order.c -- sorting TSIDs by radix, most significant field first.
 * floor: part     uses: tsid_order.h     used by: row_groups.c
 *
 * A TSID is compared as four 64-bit keys: tenant, metric group, job and instance, metric id. All items are sorted by the
 * first key, then every run of equal ones by the next. Most keys tie or differ in few bits (one tenant, some hundred
 * metric names, ids from one counter), so a pass looks only at the highest bits that differ at all.
 */
#include "part/tsid_order.h"

#include "base/err.h"

enum {
	LEVELS = 4,
	INSERTION_MAX = 24, /* shorter runs are sorted by insertion: a radix pass begins with clearing its counters */
	RADIX_BITS_FEW = 8, /* so few items get few counters */
	ITEMS_FEW = 1024,
	RADIX_BITS_MANY = 11,
	COUNTERS = 1 << RADIX_BITS_MANY
};

struct item {
	uint64_t key;
	uint32_t index;
};

struct sorter {
	const struct tsid *const *tsids;
	struct item *items;
	struct item *spare;   /* as many */
	bool differs[LEVELS]; /* does any TSID differ from another in the key of this level? */
};

static uint64_t
key_of(const struct tsid *tsid, int level)
{
	switch (level) {
	case 0: return (uint64_t)tsid->account << 32 | tsid->project;
	case 1: return tsid->metric_group_id;
	case 2: return (uint64_t)tsid->job_id << 32 | tsid->instance_id;
	default: return tsid->metric_id;
	}
}

static void
insertion_sort(struct item *items, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct item item = items[i];
		size_t at = i;

		for (; at > 0 && items[at - 1].key > item.key; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/* A stable pass over `bits` bits from `shift` on. */
static void
radix_pass(const struct item *from, struct item *to, size_t n, unsigned shift, unsigned bits)
{
	uint32_t begin[COUNTERS];
	size_t radix = (size_t)1 << bits;
	uint32_t sum = 0;

	memset(begin, 0, radix * sizeof(*begin));
	for (size_t i = 0; i < n; i++)
		begin[(from[i].key >> shift) & (radix - 1)]++;
	for (size_t i = 0; i < radix; i++) {
		uint32_t count = begin[i];

		begin[i] = sum;
		sum += count;
	}
	for (size_t i = 0; i < n; i++)
		to[begin[(from[i].key >> shift) & (radix - 1)]++] = from[i];
}

/* Sorts items[from, from + n) by key: two passes over the highest bits that differ, then what still ties. */
static void
sort_keys(struct sorter *sorter, size_t from, size_t n)
{
	unsigned bits = n < ITEMS_FEW ? RADIX_BITS_FEW : RADIX_BITS_MANY, shift;
	struct item *items = sorter->items + from;
	uint64_t differ = 0;

	if (n <= INSERTION_MAX) {
		insertion_sort(items, n);
		return;
	}
	for (size_t i = 1; i < n; i++)
		differ |= items[i].key ^ items[0].key;
	if (differ == 0)
		return;
	shift = 64 - (unsigned)__builtin_clzll(differ);
	shift = shift > 2 * bits ? shift - 2 * bits : 0;
	radix_pass(items, sorter->spare, n, shift, bits);
	radix_pass(sorter->spare, items, n, shift + bits, bits); /* shift + bits < 64 */
	if (shift == 0)
		return;
	for (size_t i = 0; i < n;) {
		size_t end = i + 1;

		while (end < n && items[end].key >> shift == items[i].key >> shift)
			end++;
		if (end - i > 1)
			sort_keys(sorter, from + i, end - i);
		i = end;
	}
}

/* Sorts items[from, from + n), which tie in all levels before, by this level and those after. */
static void
sort_level(struct sorter *sorter, size_t from, size_t n, int level)
{
	struct item *items = sorter->items + from;

	while (level < LEVELS && !sorter->differs[level])
		level++;
	if (level == LEVELS)
		return;
	for (size_t i = 0; i < n; i++)
		items[i].key = key_of(sorter->tsids[items[i].index], level);
	sort_keys(sorter, from, n);
	for (size_t i = 0; i < n;) {
		size_t end = i + 1;

		while (end < n && items[end].key == items[i].key)
			end++;
		if (end - i > 1)
			sort_level(sorter, from + i, end - i, level + 1);
		i = end;
	}
}

/* Fills differs; true when the TSIDs are sorted as they are. */
static bool
look_through(struct sorter *sorter, size_t n)
{
	const struct tsid *const *tsids = sorter->tsids;
	uint64_t differ[LEVELS] = { 0 };
	bool sorted = true;

	for (size_t i = 1; i < n; i++) {
		for (int level = 0; level < LEVELS; level++)
			differ[level] |= key_of(tsids[i], level) ^ key_of(tsids[0], level);
		sorted = sorted && tsid_compare(tsids[i - 1], tsids[i]) <= 0;
	}
	for (int level = 0; level < LEVELS; level++)
		sorter->differs[level] = differ[level] != 0;
	return sorted;
}

int
tsid_order(struct mem *mem, const struct tsid *const *tsids, size_t n, uint32_t *order)
{
	struct sorter sorter = { .tsids = tsids };

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	if (look_through(&sorter, n))
		return 0;
	sorter.items = mem_array(mem, n * 2, sizeof(*sorter.items));
	if (sorter.items == NULL)
		return ERR_MEMORY;
	sorter.spare = sorter.items + n;
	for (size_t i = 0; i < n; i++)
		sorter.items[i].index = (uint32_t)i;
	sort_level(&sorter, 0, n, 0);
	for (size_t i = 0; i < n; i++)
		order[i] = sorter.items[i].index;
	mem_free(mem, sorter.items);
	return 0;
}
