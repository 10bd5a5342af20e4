/*
 * index_seal.c -- a staging becomes one sorted run of items.
 * floor: index     uses: index_seal.h     used by: index
 *
 *   kind 0   names, in the order of the numbers of their parts: (group, pair, pair ..., end)
 *   kind 1   for each tenant: rows of four lists merged     names      "" = group
 *   kind 2   series by id                                   pairs      key = value
 *   kind 3   series by id                                   combos     (group, key) = value
 *   kind 5   days by (date, id)                             reversed   FF = group backwards, when it has a dot
 *   kind 6   for each tenant and day: as kind 1
 *
 * Strings are sorted once, as distinct pairs and groups; everything else is sorted by their ranks. That works because an
 * estr is never a proper prefix of another, so comparing names bytewise and comparing the ranks of their parts is the same.
 */
#include "index/index_seal.h"

/* -- The run -------------------------------------------------------------------------------------------------------- */

/* Starts an item of n bytes; NULL with the last error set when memory is out. */
static inline uint8_t *
item_start(struct seal *seal, size_t n)
{
	struct staging *staging = seal->staging;

	if (UNLIKELY(seal->len + n > staging->data_room)) {
		size_t room = staging->data_room == 0 ? 1 << 16 : staging->data_room * 2;
		uint8_t *grown;

		while (room < seal->len + n)
			room *= 2;
		grown = mem_realloc(staging->mem, staging->data, room);
		if (grown == NULL)
			return NULL;
		staging->data = grown;
		staging->data_room = room;
	}
	if (UNLIKELY(seal->count + 2 > staging->offsets_room)) {
		size_t room = staging->offsets_room == 0 ? 1024 : staging->offsets_room * 2;
		uint32_t *grown = mem_realloc(staging->mem, staging->offsets, room * sizeof(*grown));

		if (grown == NULL)
			return NULL;
		staging->offsets = grown;
		staging->offsets_room = room;
	}
	if (UNLIKELY(seal->len + n > UINT32_MAX)) {
		(void)ERR(ERR_LIMIT, "registrations of more than 4 GiB in one seal");
		return NULL;
	}
	staging->offsets[seal->count++] = (uint32_t)seal->len;
	seal->len += n;
	return staging->data + seal->len - n;
}

#define ITEM_START(pointer, n)                     \
	do {                                       \
		(pointer) = item_start(seal, (n)); \
		if (UNLIKELY((pointer) == NULL))   \
			return err_code();         \
	} while (0)

static inline uint8_t *
put_bytes(uint8_t *p, struct bytes bytes)
{
	memcpy(p, bytes.data, bytes.len);
	return p + bytes.len;
}

/* -- Kind 0 --------------------------------------------------------------------------------------------------------- */

static unsigned
bits_of(uint64_t value)
{
	return value == 0 ? 1 : 64 - (unsigned)__builtin_clzll(value);
}

struct name_order {
	const struct seal *seal;
	unsigned group_bits, part_bits;
	const uint32_t *end_parts; /* by tenant rank: where the end of a name sorts among pairs */
};

/* Part i of a name: its group, its pairs as odd numbers, then the end. */
static uint64_t
name_part(const struct name_order *order, const struct staged_series *series, uint32_t i)
{
	const struct seal *seal = order->seal;

	if (i == 0)
		return seal->ranks[LIST_NAMES][series->group];
	if (i - 1 < series->tags_count)
		return 2 *
		    (uint64_t)seal->ranks[LIST_PAIRS]
					 [seal->staging->combos[seal->staging->tags[series->tags_start + i - 1]].pair] +
		    1;
	return i - 1 == series->tags_count ? order->end_parts[tenant_rank_of_group(seal, series->group)] : 0;
}

/* Sorts by parts from `from` on: as many as fit into one key, ties by the next ones. */
static void
sort_names(const struct name_order *order, struct sort_item *items, struct sort_item *room, size_t n, uint32_t from)
{
	uint32_t parts_max = (64 - (from == 0 ? order->group_bits : 0)) / order->part_bits + (from == 0);

	for (size_t i = 0; i < n; i++) {
		const struct staged_series *series = &order->seal->staging->series[items[i].index];
		uint64_t key = 0;

		for (uint32_t part = from; part < from + parts_max; part++)
			key = key << order->part_bits | name_part(order, series, part);
		items[i].key = key;
	}
	sort_items(items, room, n);
	for (size_t start = 0, i; start < n; start = i) {
		for (i = start + 1; i < n && items[i].key == items[start].key; i++)
			;
		/* Names differ, so a tie goes on behind these parts. */
		if (i - start > 1 && from < LABELS_MAX + 2)
			sort_names(order, items + start, room, i - start, from + parts_max);
	}
}

/* The end of a name is the separator 02: it sorts behind pairs that start with an escape (00) and before all others. */
static int
place_name_ends(struct seal *seal, uint32_t **out)
{
	size_t tenants = seal->staging->tenants_count;
	uint32_t *ends;

	SCRATCH(ends, tenants);
	for (size_t rank = 0; rank < tenants; rank++) {
		uint32_t at = seal->tenant_starts[LIST_PAIRS][rank];
		uint32_t stop = seal->tenant_starts[LIST_PAIRS][rank + 1];

		while (at < stop && seal->staging->pairs[seal->orders[LIST_PAIRS][at]].bytes.data[0] < NAME_END)
			at++;
		ends[rank] = 2 * at;
	}
	*out = ends;
	return 0;
}

static int
emit_names(struct seal *seal)
{
	struct staging *staging = seal->staging;
	struct name_order order = { .seal = seal,
		.group_bits = bits_of(staging->groups_count),
		.part_bits = bits_of(2 * staging->pairs_count + 1) };
	uint32_t *ends;
	size_t n = 0;

	TRY(place_name_ends(seal, &ends));
	order.end_parts = ends;
	for (size_t i = 0; i < staging->series_count; i++) {
		if (staging->series[i].global)
			seal->items[n++] = (struct sort_item){ .index = (uint32_t)i };
	}
	sort_names(&order, seal->items, seal->room, n, 0);
	for (size_t i = 0; i < n; i++) {
		const struct staged_series *series = &staging->series[seal->items[i].index];
		uint8_t *p;

		ITEM_START(p, 1 + series->name.len + 1 + tsid_bytes(staging->layout));
		*p++ = ROW_NAME_TO_TSID;
		p = put_bytes(p, series->name);
		*p++ = NAME_END;
		tsid_put(p, staging->layout, &series->tsid);
	}
	return 0;
}

/* -- Kinds 2, 3, 5 -------------------------------------------------------------------------------------------------- */

static int
emit_ids(struct seal *seal, enum index_kind kind)
{
	struct staging *staging = seal->staging;
	size_t head = 1 + seal->prefix_bytes + 8;

	for (size_t i = 0; i < staging->series_count; i++) {
		const struct staged_series *series = &staging->series[seal->series_order[i]];
		struct tenant tenant = staging->groups[series->group].tenant;
		uint8_t *p;

		if (!series->global)
			continue;
		ITEM_START(p, head + (kind == ROW_ID_TO_TSID ? tsid_bytes(staging->layout) : series->name.len));
		p = put_u64(row_put_head(p, kind, staging->layout, tenant), series->tsid.metric_id);
		if (kind == ROW_ID_TO_TSID)
			tsid_put(p, staging->layout, &series->tsid);
		else
			put_bytes(p, series->name);
	}
	return 0;
}

/* Sorts the days by (tenant, date, id) in place. */
static int
order_days(struct seal *seal)
{
	struct staging *staging = seal->staging;
	struct staged_day *days = staging->days, *copy;
	size_t n = staging->days_count;

	if (n == 0)
		return 0; /* days may not even have been allocated */
	SCRATCH(copy, n);
	for (size_t i = 0; i < n; i++)
		seal->items[i] =
		    (struct sort_item){ .key = staging->series[days[i].series].tsid.metric_id, .index = (uint32_t)i };
	sort_items(seal->items, seal->room, n);
	for (size_t i = 0; i < n; i++)
		seal->items[i].key = days[seal->items[i].index].date;
	sort_items(seal->items, seal->room, n);
	for (size_t i = 0; i < n; i++)
		seal->items[i].key =
		    tenant_rank_of_group(seal, staging->series[days[seal->items[i].index].series].group);
	sort_items(seal->items, seal->room, n);
	for (size_t i = 0; i < n; i++)
		copy[i] = days[seal->items[i].index];
	memcpy(days, copy, n * sizeof(*days));
	return 0;
}

static int
emit_days(struct seal *seal)
{
	struct staging *staging = seal->staging;

	for (size_t i = 0; i < staging->days_count; i++) {
		const struct staged_series *series = &staging->series[staging->days[i].series];
		uint8_t *p;

		ITEM_START(p, 1 + seal->prefix_bytes + 16);
		p = row_put_head(p, ROW_DATE_TO_ID, staging->layout, staging->groups[series->group].tenant);
		put_u64(put_u64(p, staging->days[i].date), series->tsid.metric_id);
	}
	return 0;
}

/* -- Kinds 1 and 6: postings ---------------------------------------------------------------------------------------- */

static int
init_postings(struct seal *seal)
{
	struct staging *staging = seal->staging;
	size_t sizes[3] = { staging->groups_count, staging->pairs_count, staging->combos_count };

	for (unsigned i = 0; i < 3; i++) {
		struct postings *postings = &seal->postings[i];

		SCRATCH(postings->counts, sizes[i]);
		SCRATCH(postings->starts, sizes[i]);
		SCRATCH(postings->active, sizes[i]);
		memset(postings->counts, 0, sizes[i] * sizeof(*postings->counts));
		postings->active_count = 0;
	}
	/* A set holds a series once, so all sets fit where the largest one does. */
	seal->ids_room = staging->series_count + 2 * staging->tags_count;
	SCRATCH(seal->ids, seal->ids_room);
	return 0;
}

static inline void
count_one(struct postings *postings, uint32_t number)
{
	if (postings->counts[number]++ == 0)
		postings->active[postings->active_count++] = number;
}

/* Puts the active numbers of a list into row order: by walking the whole order when most are active, else by sorting ranks. */
static void
order_active(struct seal *seal, enum row_list list, size_t tenant_rank)
{
	struct postings *postings = &seal->postings[list];
	const uint32_t *order = seal->orders[list];
	uint32_t first = seal->tenant_starts[list][tenant_rank], last = seal->tenant_starts[list][tenant_rank + 1];
	size_t n = 0;

	if (postings->active_count * 16 < last - first) {
		for (size_t i = 0; i < postings->active_count; i++)
			seal->items[i] = (struct sort_item){ .key = seal->ranks[list][postings->active[i]],
				.index = postings->active[i] };
		sort_items(seal->items, seal->room, postings->active_count);
		for (size_t i = 0; i < postings->active_count; i++)
			postings->active[i] = seal->items[i].index;
		return;
	}
	for (uint32_t i = first; i < last; i++) {
		if (postings->counts[order[i]] != 0)
			postings->active[n++] = order[i];
	}
	assert(n == postings->active_count);
}

static uint32_t
place_ids(struct postings *postings, uint32_t at)
{
	for (size_t i = 0; i < postings->active_count; i++) {
		uint32_t number = postings->active[i];

		postings->starts[number] = at;
		at += postings->counts[number];
	}
	return at;
}

/* Counts and collects the ids of every row of these series (of one tenant, ids ascending). */
static void
prepare_postings(struct seal *seal, size_t tenant_rank, const uint32_t *set, size_t n)
{
	struct staging *staging = seal->staging;
	struct postings *names = &seal->postings[LIST_NAMES], *pairs = &seal->postings[LIST_PAIRS],
			*combos = &seal->postings[LIST_COMBOS];
	uint32_t at = 0;

	if (seal->prepared_count == n && n != 0 && memcmp(seal->prepared, set, n * sizeof(*set)) == 0)
		return;
	for (unsigned list = 0; list < 3; list++) {
		struct postings *postings = &seal->postings[list];

		for (size_t i = 0; i < postings->active_count; i++)
			postings->counts[postings->active[i]] = 0;
		postings->active_count = 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct staged_series *series = &staging->series[set[i]];

		count_one(names, series->group);
		for (uint32_t t = 0; t < series->tags_count; t++)
			count_one(combos, staging->tags[series->tags_start + t]);
	}
	/* Pairs from combos: one addition for each combo instead of one for each series. */
	for (size_t i = 0; i < combos->active_count; i++) {
		uint32_t pair = staging->combos[combos->active[i]].pair;

		if (pairs->counts[pair] == 0)
			pairs->active[pairs->active_count++] = pair;
		pairs->counts[pair] += combos->counts[combos->active[i]];
	}
	for (unsigned list = 0; list < 3; list++) {
		order_active(seal, list, tenant_rank);
		at = place_ids(&seal->postings[list], at);
	}
	assert(at <= seal->ids_room);
	for (size_t i = 0; i < n; i++) {
		const struct staged_series *series = &staging->series[set[i]];
		uint64_t id = __builtin_bswap64(series->tsid.metric_id);

		seal->ids[names->starts[series->group]++] = id;
		for (uint32_t t = 0; t < series->tags_count; t++) {
			uint32_t combo = staging->tags[series->tags_start + t];

			seal->ids[combos->starts[combo]++] = id;
			seal->ids[pairs->starts[staging->combos[combo].pair]++] = id;
		}
	}
	seal->prepared = set;
	seal->prepared_count = n;
}

/* -- Kinds 1 and 6: rows -------------------------------------------------------------------------------------------- */

struct row_head {
	struct bytes first, second; /* key and value, escaped and terminated, in two pieces */
	const uint64_t *ids;
	size_t ids_count;
};

/* The ids of one number stand in front of starts[] once they are all filled in. */
static void
row_head_at(const struct seal *seal, enum row_list list, uint32_t number, struct row_head *out)
{
	static const uint8_t empty_key = ESTR_END;
	const struct staging *staging = seal->staging;
	const struct postings *postings = &seal->postings[list == LIST_REVERSED ? LIST_NAMES : list];
	struct bytes prefix;

	switch (list) {
	case LIST_NAMES:
		prefix = staging->groups[number].prefix;
		out->first = bytes_of(&empty_key, 1);
		out->second = bytes_of(prefix.data + seal->prefix_bytes, prefix.len - seal->prefix_bytes);
		break;
	case LIST_PAIRS:
		out->first = staging->pairs[number].bytes;
		out->second = bytes_of(&empty_key, 0);
		break;
	case LIST_COMBOS:
		out->first = seal->combo_heads[staging->combos[number].group];
		out->second = staging->pairs[staging->combos[number].pair].bytes;
		break;
	default:
		out->first = seal->reversed[number];
		out->second = bytes_of(&empty_key, 0);
		break;
	}
	out->ids_count = postings->counts[number];
	out->ids = seal->ids + postings->starts[number] - out->ids_count;
}

static int
compare_heads(const struct row_head *a, const struct row_head *b)
{
	struct bytes x[2] = { a->first, a->second }, y[2] = { b->first, b->second };
	unsigned i = 0, j = 0;

	for (;;) {
		size_t n;
		int c;

		while (i < 2 && x[i].len == 0)
			i++;
		while (j < 2 && y[j].len == 0)
			j++;
		if (i == 2 || j == 2)
			return (j == 2) - (i == 2);
		n = x[i].len < y[j].len ? x[i].len : y[j].len;
		c = memcmp(x[i].data, y[j].data, n);
		if (c != 0)
			return c;
		x[i] = bytes_of(x[i].data + n, x[i].len - n);
		y[j] = bytes_of(y[j].data + n, y[j].len - n);
	}
}

/* Ids of a name that has one pair twice stand twice in a row's list: neighbours, as lists ascend. */
static size_t
drop_repeated_ids(uint64_t *to, const uint64_t *ids, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || to[kept - 1] != ids[i])
			to[kept++] = ids[i];
	}
	return kept;
}

static int
emit_row(struct seal *seal, struct bytes scope, const struct row_head *head)
{
	size_t head_bytes = scope.len + head->first.len + head->second.len;
	size_t row_max = ROW_IDS_MAX, count = head->ids_count;
	const uint64_t *ids = head->ids;

	assert(head_bytes + 8 <= ITEM_BYTES_MAX); /* METRIC_NAME_BYTES_MAX sees to it */
	if (UNLIKELY((ITEM_BYTES_MAX - head_bytes) / 8 < row_max))
		row_max = (ITEM_BYTES_MAX - head_bytes) / 8;
	if (UNLIKELY(seal->staging->repeated_tags) && count > 1) {
		uint64_t *distinct;

		SCRATCH(distinct, count);
		count = drop_repeated_ids(distinct, ids, count);
		ids = distinct;
	}
	while (count > 0) {
		size_t n = count < row_max ? count : row_max;
		uint8_t *p;

		ITEM_START(p, head_bytes + 8 * n);
		p = put_bytes(put_bytes(put_bytes(p, scope), head->first), head->second);
		memcpy(p, ids, 8 * n);
		ids += n;
		count -= n;
	}
	return 0;
}

struct row_source {
	enum row_list list;
	const uint32_t *numbers;
	size_t at, count;
	struct row_head head;
};

/* The next number of a source that has ids; reversed rows are listed for all groups, whether they have any in this set or not. */
static bool
source_load(const struct seal *seal, struct row_source *source)
{
	for (; source->at < source->count; source->at++) {
		row_head_at(seal, source->list, source->numbers[source->at], &source->head);
		if (source->head.ids_count != 0)
			return true;
	}
	return false;
}

static int
emit_tag_rows(struct seal *seal, size_t tenant_rank, uint64_t date, const uint32_t *set, size_t n)
{
	struct staging *staging = seal->staging;
	struct row_source sources[LISTS];
	uint8_t scope_bytes[ROW_HEAD_BYTES_MAX];
	uint8_t *p;
	struct bytes scope;
	unsigned live = 0;

	if (n == 0)
		return 0;
	prepare_postings(seal, tenant_rank, set, n);
	p = row_put_head(scope_bytes, date == ROW_GLOBAL ? ROW_TAG_TO_IDS : ROW_DATE_TAG_TO_IDS, staging->layout,
	    staging->tenants[seal->tenant_order[tenant_rank]]);
	if (date != ROW_GLOBAL)
		p = put_u64(p, date);
	scope = bytes_of(scope_bytes, (size_t)(p - scope_bytes));
	for (unsigned list = 0; list < LISTS; list++) {
		struct row_source *source = &sources[live];

		*source = (struct row_source){ .list = list };
		if (list == LIST_REVERSED) {
			source->numbers = seal->orders[list] + seal->tenant_starts[list][tenant_rank];
			source->count =
			    seal->tenant_starts[list][tenant_rank + 1] - seal->tenant_starts[list][tenant_rank];
		} else {
			source->numbers = seal->postings[list].active;
			source->count = seal->postings[list].active_count;
		}
		live += source_load(seal, source);
	}
	while (live > 0) {
		unsigned best = 0;

		for (unsigned i = 1; i < live; i++) {
			const struct row_head *a = &sources[i].head, *b = &sources[best].head;

			if (a->first.data[0] < b->first.data[0] ||
			    (a->first.data[0] == b->first.data[0] && compare_heads(a, b) < 0))
				best = i;
		}
		TRY(emit_row(seal, scope, &sources[best].head));
		sources[best].at++;
		if (!source_load(seal, &sources[best]))
			sources[best] = sources[--live];
	}
	return 0;
}

static int
emit_global_rows(struct seal *seal)
{
	struct staging *staging = seal->staging;
	uint32_t *set;

	SCRATCH(set, staging->series_count);
	for (size_t rank = 0; rank < staging->tenants_count; rank++) {
		size_t n = 0;

		for (uint32_t i = seal->series_starts[rank]; i < seal->series_starts[rank + 1]; i++) {
			if (staging->series[seal->series_order[i]].global)
				set[n++] = seal->series_order[i];
		}
		TRY(emit_tag_rows(seal, rank, ROW_GLOBAL, set, n));
		set += n;
	}
	return 0;
}

static int
emit_day_rows(struct seal *seal)
{
	struct staging *staging = seal->staging;
	uint32_t *set;

	SCRATCH(set, staging->days_count);
	for (size_t i = 0; i < staging->days_count;) {
		uint64_t date = staging->days[i].date;
		uint32_t rank = tenant_rank_of_group(seal, staging->series[staging->days[i].series].group);
		size_t n = 0;

		for (; i < staging->days_count && staging->days[i].date == date; i++) {
			if (tenant_rank_of_group(seal, staging->series[staging->days[i].series].group) != rank)
				break;
			if (n == 0 || set[n - 1] != staging->days[i].series)
				set[n++] = staging->days[i].series;
		}
		TRY(emit_tag_rows(seal, rank, date, set, n));
		set += n;
	}
	return 0;
}

/* -- Sealing -------------------------------------------------------------------------------------------------------- */

/* Label names that look like artificial keys may give rows of equal key and value from two lists: rare enough to sort the whole run. */
static int
sort_run(struct seal *seal)
{
	struct staging *staging = seal->staging;
	struct bytes *strings;
	uint8_t *data;
	uint32_t *offsets;
	size_t at = 0;

	SCRATCH(strings, seal->count);
	SCRATCH(data, seal->len);
	SCRATCH(offsets, seal->count);
	SCRATCH(seal->items, seal->count);
	SCRATCH(seal->room, seal->count);
	for (size_t i = 0; i < seal->count; i++) {
		strings[i] =
		    bytes_of(staging->data + staging->offsets[i], staging->offsets[i + 1] - staging->offsets[i]);
		seal->items[i] = (struct sort_item){ .index = (uint32_t)i, .aux = strings[i].data[0] };
	}
	sort_strings(seal->items, seal->room, seal->count, strings);
	for (size_t i = 0; i < seal->count; i++) {
		struct bytes item = strings[seal->items[i].index];

		offsets[i] = (uint32_t)at;
		memcpy(data + at, item.data, item.len);
		at += item.len;
	}
	memcpy(staging->data, data, seal->len);
	memcpy(staging->offsets, offsets, seal->count * sizeof(*offsets));
	return 0;
}

static int
emit_all(struct seal *seal)
{
	TRY(emit_names(seal));
	TRY(init_postings(seal));
	TRY(emit_global_rows(seal));
	TRY(emit_ids(seal, ROW_ID_TO_TSID));
	TRY(emit_ids(seal, ROW_ID_TO_NAME));
	TRY(order_days(seal));
	TRY(emit_days(seal));
	return emit_day_rows(seal);
}

int
staging_seal(struct staging *staging, struct item_run *out)
{
	struct seal seal_of_staging = { .staging = staging, .prefix_bytes = tenant_bytes(staging->layout) };
	struct seal *seal = &seal_of_staging;
	size_t counts[] = { staging->series_count, staging->groups_count, staging->pairs_count, staging->combos_count,
		staging->keys_count, staging->tenants_count, staging->days_count };
	size_t most = 0;

	arena_reset(&staging->scratch);
	for (unsigned i = 0; i < ARRAY_LENGTH(counts); i++)
		most = counts[i] > most ? counts[i] : most;
	SCRATCH(seal->items, most);
	SCRATCH(seal->room, most);
	TRY(seal_order(seal));
	TRY(emit_all(seal));
	*out = (struct item_run){ .count = 0 };
	if (seal->count == 0)
		return 0;
	staging->offsets[seal->count] = (uint32_t)seal->len;
	if (staging->odd_keys)
		TRY(sort_run(seal));
	*out = (struct item_run){ .data = staging->data, .offsets = staging->offsets, .count = seal->count };
	return 0;
}
