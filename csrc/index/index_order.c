/*
 * index_order.c -- the orders that a seal writes in: tenants, pairs, groups, combos, series.
 * floor: index     uses: index_seal.h     used by: index_seal.c
 *
 * Only keys, pairs and groups are sorted as strings, and only distinct ones; combos and series are sorted by numbers.
 */
#include "index/index_seal.h"

/* -- Ranks ---------------------------------------------------------------------------------------------------------- */

static uint32_t
tenant_rank_of_pair(const struct seal *seal, uint32_t pair)
{
	return seal->tenant_ranks[seal->staging->keys[seal->staging->pairs[pair].key].tenant_index];
}

static int
rank_tenants(struct seal *seal)
{
	struct staging *staging = seal->staging;
	size_t n = staging->tenants_count;

	SCRATCH(seal->tenant_ranks, n);
	SCRATCH(seal->tenant_order, n);
	for (size_t i = 0; i < n; i++)
		seal->items[i] = (struct sort_item){ .key = (uint64_t)staging->tenants[i].account << 32 |
			    staging->tenants[i].project,
			.index = (uint32_t)i };
	sort_items(seal->items, seal->room, n);
	for (size_t i = 0; i < n; i++) {
		seal->tenant_order[i] = seal->items[i].index;
		seal->tenant_ranks[seal->items[i].index] = (uint32_t)i;
	}
	return 0;
}

/* Keeps the order in seal->items (aux: tenant rank) as order of a list. */
static int
keep_order(struct seal *seal, enum row_list list, size_t n)
{
	size_t tenants = seal->staging->tenants_count;
	uint32_t *starts;
	size_t at = 0;

	SCRATCH(seal->orders[list], n);
	SCRATCH(starts, tenants + 1);
	for (size_t i = 0; i < n; i++)
		seal->orders[list][i] = seal->items[i].index;
	for (size_t rank = 0; rank <= tenants; rank++) {
		while (at < n && seal->items[at].aux < rank)
			at++;
		starts[rank] = (uint32_t)(rank == tenants ? n : at);
	}
	seal->tenant_starts[list] = starts;
	seal->order_counts[list] = n;
	return 0;
}

static int
rank_pairs(struct seal *seal)
{
	struct staging *staging = seal->staging;
	size_t keys = staging->keys_count, n = staging->pairs_count;
	struct bytes *strings;
	uint32_t *key_ranks;

	SCRATCH(key_ranks, keys);
	SCRATCH(seal->ranks[LIST_PAIRS], n);
	SCRATCH(strings, n > keys ? n : keys);
	for (size_t i = 0; i < keys; i++) {
		seal->items[i] = (struct sort_item){ .index = (uint32_t)i,
			.aux = seal->tenant_ranks[staging->keys[i].tenant_index] };
		strings[i] = staging->keys[i].bytes;
	}
	sort_strings(seal->items, seal->room, keys, strings);
	for (size_t i = 0; i < keys; i++)
		key_ranks[seal->items[i].index] = (uint32_t)i;

	for (size_t i = 0; i < n; i++) {
		seal->items[i] = (struct sort_item){ .index = (uint32_t)i, .aux = key_ranks[staging->pairs[i].key] };
		strings[i] = staging->pairs[i].bytes;
	}
	sort_strings(seal->items, seal->room, n, strings);
	for (size_t i = 0; i < n; i++) {
		seal->ranks[LIST_PAIRS][seal->items[i].index] = (uint32_t)i;
		seal->items[i].aux = tenant_rank_of_pair(seal, seal->items[i].index);
	}
	return keep_order(seal, LIST_PAIRS, n);
}

/* FE length group, escaped, and FF end reversed-group end: what the rows of a group start with. */
static int
make_group_heads(struct seal *seal, uint32_t group)
{
	struct staging *staging = seal->staging;
	struct bytes prefix = staging->groups[group].prefix;
	struct bytes escaped = bytes_of(prefix.data + seal->prefix_bytes, prefix.len - seal->prefix_bytes - 1);
	uint8_t length[1 + VARINT_BYTES_MAX];
	uint8_t *raw = arena_bytes(&staging->scratch, escaped.len + 1);
	uint8_t *head = arena_bytes(&staging->scratch, 2 * sizeof(length) + 1 + escaped.len);
	uint8_t *p, *raw_end;
	size_t raw_len;

	if (raw == NULL || head == NULL)
		return ERR_MEMORY;
	raw_end = estr_decode(raw, escaped);
	if (raw_end == NULL)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name holds an unknown escape");
	raw_len = (size_t)(raw_end - raw);
	length[0] = KEY_COMPOSITE;
	p = estr_put(head, bytes_of(length, (size_t)(put_uvarint(length + 1, raw_len) - length))) - 1;
	memcpy(p, escaped.data, escaped.len);
	seal->combo_heads[group] = bytes_of(head, (size_t)(p - head) + escaped.len);

	seal->reversed[group] = bytes_of(NULL, 0);
	if (raw_len == 0 || memchr(raw, '.', raw_len) == NULL)
		return 0;
	for (size_t i = 0; i < raw_len / 2; i++) {
		uint8_t c = raw[i];

		raw[i] = raw[raw_len - 1 - i];
		raw[raw_len - 1 - i] = c;
	}
	head = arena_bytes(&staging->scratch, 2 + estr_bytes_max(raw_len));
	if (head == NULL)
		return ERR_MEMORY;
	head[0] = KEY_REVERSED_NAME;
	head[1] = ESTR_END;
	seal->reversed[group] = bytes_of(head, (size_t)(estr_put(head + 2, bytes_of(raw, raw_len)) - head));
	return 0;
}

static size_t
fill_group_items(struct seal *seal, const struct bytes *strings, bool skip_without)
{
	size_t n = 0;

	for (uint32_t i = 0; i < seal->staging->groups_count; i++) {
		if (skip_without && strings[i].data == NULL)
			continue;
		seal->items[n++] = (struct sort_item){ .index = i, .aux = tenant_rank_of_group(seal, i) };
	}
	return n;
}

/* Names, then reversed names, then combos: three orders of the groups. */
static int
rank_groups(struct seal *seal)
{
	struct staging *staging = seal->staging;
	size_t n = staging->groups_count, combos = staging->combos_count;
	struct bytes *strings;
	uint32_t *head_ranks;

	SCRATCH(seal->ranks[LIST_NAMES], n);
	SCRATCH(seal->combo_heads, n);
	SCRATCH(seal->reversed, n);
	SCRATCH(seal->ranks[LIST_COMBOS], combos);
	SCRATCH(strings, n);
	SCRATCH(head_ranks, n);
	for (uint32_t i = 0; i < n; i++) {
		TRY(make_group_heads(seal, i));
		strings[i] = staging->groups[i].prefix;
	}
	sort_strings(seal->items, seal->room, fill_group_items(seal, strings, false), strings);
	for (size_t i = 0; i < n; i++)
		seal->ranks[LIST_NAMES][seal->items[i].index] = (uint32_t)i;
	TRY(keep_order(seal, LIST_NAMES, n));

	n = fill_group_items(seal, seal->reversed, true);
	sort_strings(seal->items, seal->room, n, seal->reversed);
	TRY(keep_order(seal, LIST_REVERSED, n));

	n = fill_group_items(seal, seal->combo_heads, false);
	sort_strings(seal->items, seal->room, n, seal->combo_heads);
	for (size_t i = 0; i < n; i++)
		head_ranks[seal->items[i].index] = (uint32_t)i;
	for (size_t i = 0; i < combos; i++) {
		struct staged_combo combo = staging->combos[i];

		seal->items[i] = (struct sort_item){ .key = (uint64_t)head_ranks[combo.group] << 32 |
			    seal->ranks[LIST_PAIRS][combo.pair],
			.index = (uint32_t)i };
	}
	sort_items(seal->items, seal->room, combos);
	for (size_t i = 0; i < combos; i++) {
		seal->ranks[LIST_COMBOS][seal->items[i].index] = (uint32_t)i;
		seal->items[i].aux = tenant_rank_of_group(seal, staging->combos[seal->items[i].index].group);
	}
	return keep_order(seal, LIST_COMBOS, combos);
}

static int
order_series(struct seal *seal)
{
	struct staging *staging = seal->staging;
	size_t n = staging->series_count, tenants = staging->tenants_count, at = 0;

	SCRATCH(seal->series_order, n);
	SCRATCH(seal->series_starts, tenants + 1);
	for (size_t i = 0; i < n; i++)
		seal->items[i] = (struct sort_item){ .key = staging->series[i].tsid.metric_id,
			.index = (uint32_t)i,
			.aux = tenant_rank_of_group(seal, staging->series[i].group) };
	sort_items(seal->items, seal->room, n);
	if (tenants > 1) {
		for (size_t i = 0; i < n; i++)
			seal->items[i].key = seal->items[i].aux;
		sort_items(seal->items, seal->room, n);
	}
	for (size_t i = 0; i < n; i++)
		seal->series_order[i] = seal->items[i].index;
	for (size_t rank = 0; rank <= tenants; rank++) {
		while (at < n && seal->items[at].aux < rank)
			at++;
		seal->series_starts[rank] = (uint32_t)(rank == tenants ? n : at);
	}
	return 0;
}

int
seal_order(struct seal *seal)
{
	TRY(rank_tenants(seal));
	TRY(rank_pairs(seal));
	TRY(rank_groups(seal));
	return order_series(seal);
}
