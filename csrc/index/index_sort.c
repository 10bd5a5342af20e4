/*
 * index_sort.c -- see index_sort.h.
 * floor: index     uses: index_sort.h codec/varint.h     used by: index
 */
#include "index/index_sort.h"

#include "codec/varint.h"

enum {
	INSERTION_MAX = 24, /* below this the histograms of a radix sort cost more than the moves they save */
	DIGITS = 8
};

static void
insertion_sort(struct sort_item *items, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct sort_item item = items[i];
		size_t j = i;

		while (j > 0 && item.key < items[j - 1].key) {
			items[j] = items[j - 1];
			j--;
		}
		items[j] = item;
	}
}

/* One histogram per byte of the key, in one pass; returns whether the keys ascend already. */
static bool
count_digits(const struct sort_item *items, size_t n, uint32_t counts[DIGITS][256])
{
	uint64_t last = 0;
	bool sorted = true;

	memset(counts, 0, sizeof(uint32_t) * DIGITS * 256);
	for (size_t i = 0; i < n; i++) {
		uint64_t key = items[i].key;

		sorted &= last <= key;
		last = key;
		for (unsigned digit = 0; digit < DIGITS; digit++)
			counts[digit][key >> (8 * digit) & 0xff]++;
	}
	return sorted;
}

/* Not inlined: its histograms would lie in every frame of the recursion below. */
__attribute__((noinline)) void
sort_items(struct sort_item *items, struct sort_item *room, size_t n)
{
	uint32_t counts[DIGITS][256];
	struct sort_item *from = items, *to = room;

	if (n <= INSERTION_MAX) {
		insertion_sort(items, n);
		return;
	}
	if (count_digits(items, n, counts))
		return;
	for (unsigned digit = 0; digit < DIGITS; digit++) {
		unsigned shift = 8 * digit;
		uint32_t *count = counts[digit];
		uint32_t at = 0;
		struct sort_item *swap;

		if (count[from[0].key >> shift & 0xff] == n)
			continue; /* all keys have the same digit here */
		for (unsigned value = 0; value < 256; value++) {
			uint32_t c = count[value];

			count[value] = at;
			at += c;
		}
		for (size_t i = 0; i < n; i++)
			to[count[from[i].key >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != items)
		memcpy(items, from, n * sizeof(*items));
}

static void sort_strings_from(struct sort_item *items, struct sort_item *room, size_t n, const struct bytes *strings,
    size_t skip);

static size_t
common_prefix(const struct sort_item *items, size_t n, const struct bytes *strings, size_t skip)
{
	struct bytes first = strings[items[0].index];
	size_t common = first.len;

	for (size_t i = 1; i < n && common > skip; i++) {
		struct bytes other = strings[items[i].index];
		size_t at = skip, max = other.len < common ? other.len : common;

		while (at + 8 <= max && memcmp(first.data + at, other.data + at, 8) == 0)
			at += 8;
		while (at < max && first.data[at] == other.data[at])
			at++;
		common = at;
	}
	return common < skip ? skip : common;
}

/* The next eight bytes as a number; behind the end come zeros, and sort_ties settles what that leaves open. */
static uint64_t
key_at(struct bytes string, size_t at)
{
	uint64_t key = 0;

	if (at + 8 <= string.len)
		return get_u64(string.data + at);
	for (size_t i = at; i < string.len; i++)
		key |= (uint64_t)string.data[i] << (56 - 8 * (i - at));
	return key;
}

static void
insertion_sort_strings(struct sort_item *items, size_t n, const struct bytes *strings)
{
	for (size_t i = 1; i < n; i++) {
		struct sort_item item = items[i];
		size_t j = i;

		while (j > 0 && bytes_compare(strings[item.index], strings[items[j - 1].index]) < 0) {
			items[j] = items[j - 1];
			j--;
		}
		items[j] = item;
	}
}

/* Runs of equal keys. Only strings that go on behind the key can be told apart by another round; where one ends inside it, memcmp decides. */
static void
sort_ties(struct sort_item *items, struct sort_item *room, size_t n, const struct bytes *strings, size_t at)
{
	for (size_t start = 0, i; start < n; start = i) {
		bool all_go_on = strings[items[start].index].len >= at + 8;

		for (i = start + 1; i < n && items[i].key == items[start].key; i++)
			all_go_on &= strings[items[i].index].len >= at + 8;
		if (i - start < 2)
			continue;
		if (all_go_on)
			sort_strings_from(items + start, room, i - start, strings, at + 8);
		else
			insertion_sort_strings(items + start, i - start, strings);
	}
}

static void
sort_strings_from(struct sort_item *items, struct sort_item *room, size_t n, const struct bytes *strings, size_t skip)
{
	size_t at;

	if (n <= INSERTION_MAX) {
		insertion_sort_strings(items, n, strings);
		return;
	}
	at = common_prefix(items, n, strings, skip);
	for (size_t i = 0; i < n; i++)
		items[i].key = key_at(strings[items[i].index], at);
	sort_items(items, room, n);
	sort_ties(items, room, n, strings, at);
}

void
sort_strings(struct sort_item *items, struct sort_item *room, size_t n, const struct bytes *strings)
{
	for (size_t i = 0; i < n; i++)
		items[i].key = items[i].aux;
	sort_items(items, room, n);
	for (size_t start = 0, i; start < n; start = i) {
		for (i = start + 1; i < n && items[i].aux == items[start].aux; i++)
			;
		sort_strings_from(items + start, room, i - start, strings, 0);
	}
}
