/*
 * index_staging.c -- see index_staging.h: the tables; index_seal.c turns them into items.
 * floor: index     uses: index_staging.h codec/hash.h     used by: index
 */
#include "index/index_staging.h"

#include "codec/hash.h"
#include "index/metric_name.h"

/* -- Names ---------------------------------------------------------------------------------------------------------- */

int
name_parts_parse(struct bytes stored_name, enum layout layout, struct name_parts *out)
{
	const uint8_t *p = stored_name.data;
	const uint8_t *end = p + stored_name.len;

	if (stored_name.len < tenant_bytes(layout) + 1)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name of %zu bytes", stored_name.len);
	/* Ours never are; a foreign one on disk may be, and its rows would not fit an item. */
	if (stored_name.len > METRIC_NAME_BYTES_MAX)
		return ERR(ERR_METRIC, "a series name of %zu bytes, at most %d can be registered", stored_name.len,
		    METRIC_NAME_BYTES_MAX);
	out->tenant = tenant_get(p, layout);
	p = estr_split(p + tenant_bytes(layout), end, &out->group);
	if (p == NULL)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name ends inside its group");
	out->prefix = bytes_of(stored_name.data, (size_t)(p - stored_name.data));
	out->tags_count = 0;
	while (p < end) {
		struct name_tag *tag = &out->tags[out->tags_count];
		struct bytes key, value;
		const uint8_t *start = p;

		if (out->tags_count == LABELS_MAX)
			return ERR_CORRUPT("indexdb", UINT64_MAX, "series name with more than %d labels", LABELS_MAX);
		p = estr_split(p, end, &key);
		if (p != NULL)
			p = estr_split(p, end, &value);
		if (p == NULL)
			return ERR_CORRUPT("indexdb", UINT64_MAX, "series name ends inside a label");
		tag->pair = bytes_of(start, (size_t)(p - start));
		tag->key_bytes = key.len;
		out->tags_count++;
	}
	return 0;
}

/* -- Slots ---------------------------------------------------------------------------------------------------------- */

enum { SLOTS_MIN = 256 };

static int
slots_grow(struct mem *mem, struct slot_table *table)
{
	size_t room = table->slots == NULL ? SLOTS_MIN : (table->mask + 1) * 2;
	struct slot *slots = mem_array(mem, room, sizeof(*slots));
	size_t old_room = table->slots == NULL ? 0 : table->mask + 1;

	if (slots == NULL)
		return ERR_MEMORY;
	memset(slots, 0, room * sizeof(*slots));
	/* The tag holds all the bits that place a slot: tables have far fewer than 2^32 slots. */
	for (size_t i = 0; i < old_room; i++) {
		size_t at;

		if (table->slots[i].number_plus_1 == 0)
			continue;
		for (at = table->slots[i].tag & (room - 1); slots[at].number_plus_1 != 0; at = (at + 1) & (room - 1))
			;
		slots[at] = table->slots[i];
	}
	mem_free(mem, table->slots);
	table->slots = slots;
	table->mask = room - 1;
	return 0;
}

/* Room for one more: at most half full, so that probes stay short. */
static inline int
slots_reserve(struct mem *mem, struct slot_table *table)
{
	if (LIKELY(table->slots != NULL && (table->used + 1) * 2 <= table->mask + 1))
		return 0;
	return slots_grow(mem, table);
}

static inline uint32_t
slot_tag(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}

static void
slots_put(struct slot_table *table, uint64_t hash, size_t number)
{
	uint32_t tag = slot_tag(hash);
	size_t at = tag & table->mask;

	while (table->slots[at].number_plus_1 != 0)
		at = (at + 1) & table->mask;
	table->slots[at] = (struct slot){ .tag = tag, .number_plus_1 = (uint32_t)number + 1 };
	table->used++;
}

/* The next number whose tag fits; *at starts as slot_tag(hash). */
static inline bool
slots_next(const struct slot_table *table, uint64_t hash, size_t *at, size_t *number)
{
	uint32_t tag = slot_tag(hash);

	if (UNLIKELY(table->slots == NULL))
		return false;
	for (;;) {
		struct slot slot = table->slots[(*at)++ & table->mask];

		if (slot.number_plus_1 == 0)
			return false;
		if (slot.tag == tag) {
			*number = slot.number_plus_1 - 1;
			return true;
		}
	}
}

static void
slots_reset(struct slot_table *table)
{
	if (table->used != 0)
		memset(table->slots, 0, (table->mask + 1) * sizeof(*table->slots));
	table->used = 0;
}

/* Room for `more` elements behind count in a plain array. */
static int
array_reserve(struct mem *mem, void **array, size_t count, size_t *room, size_t more, size_t element_bytes)
{
	size_t wanted = *room == 0 ? 256 : *room;
	void *grown;

	if (LIKELY(count + more <= *room))
		return 0;
	while (wanted < count + more)
		wanted *= 2;
	grown = mem_realloc(mem, *array, wanted * element_bytes);
	if (grown == NULL)
		return ERR_MEMORY;
	*array = grown;
	*room = wanted;
	return 0;
}

#define RESERVE(staging, name, more)                                                                               \
	array_reserve((staging)->mem, (void **)&(staging)->name, (staging)->name##_count, &(staging)->name##_room, \
	    (more), sizeof(*(staging)->name))

/* -- Life ----------------------------------------------------------------------------------------------------------- */

void
staging_init(struct staging *staging, struct mem *mem, enum layout layout)
{
	*staging = (struct staging){ .mem = mem, .layout = layout };
	arena_init(&staging->arena, mem);
	arena_init(&staging->scratch, mem);
}

void
staging_free(struct staging *staging)
{
	struct mem *mem = staging->mem;

	if (mem == NULL)
		return;
	mem_free(mem, staging->series_slots.slots);
	mem_free(mem, staging->group_slots.slots);
	mem_free(mem, staging->pair_slots.slots);
	mem_free(mem, staging->combo_slots.slots);
	mem_free(mem, staging->key_slots.slots);
	mem_free(mem, staging->tenant_slots.slots);
	mem_free(mem, staging->series);
	mem_free(mem, staging->groups);
	mem_free(mem, staging->pairs);
	mem_free(mem, staging->combos);
	mem_free(mem, staging->keys);
	mem_free(mem, staging->tenants);
	mem_free(mem, staging->tags);
	mem_free(mem, staging->days);
	mem_free(mem, staging->data);
	mem_free(mem, staging->offsets);
	arena_free(&staging->arena);
	arena_free(&staging->scratch);
	*staging = (struct staging){ 0 };
}

void
staging_reset(struct staging *staging)
{
	slots_reset(&staging->series_slots);
	slots_reset(&staging->group_slots);
	slots_reset(&staging->pair_slots);
	slots_reset(&staging->combo_slots);
	slots_reset(&staging->key_slots);
	slots_reset(&staging->tenant_slots);
	staging->series_count = staging->groups_count = staging->pairs_count = staging->combos_count = 0;
	staging->keys_count = staging->tenants_count = staging->tags_count = staging->days_count = 0;
	staging->odd_keys = staging->repeated_tags = false;
	arena_reset(&staging->arena);
	arena_reset(&staging->scratch);
}

/* -- Finding -------------------------------------------------------------------------------------------------------- */

uint64_t
staging_name_hash(struct bytes stored_name)
{
	return hash_xxh3(stored_name.data, stored_name.len);
}

struct staged_series *
staging_find(struct staging *staging, struct bytes stored_name, uint64_t hash)
{
	size_t at = slot_tag(hash), number;

	while (slots_next(&staging->series_slots, hash, &at, &number)) {
		if (bytes_equal(staging->series[number].name, stored_name))
			return &staging->series[number];
	}
	return NULL;
}

/* -- Staging -------------------------------------------------------------------------------------------------------- */

/* Two numbers into one hash; the multiplier is 2^64 / golden ratio, made odd. */
static inline uint64_t
hash_with(uint64_t hash, uint64_t number)
{
	uint64_t mixed = (hash ^ (number + 1) * UINT64_C(0x9E3779B97F4A7C15)) * UINT64_C(0x9E3779B97F4A7C15);

	return mixed ^ mixed >> 29;
}

static int
put_tenant(struct staging *staging, struct tenant tenant, uint32_t *out)
{
	uint64_t hash = hash_with(tenant.account, tenant.project);
	size_t at = slot_tag(hash), number;

	while (slots_next(&staging->tenant_slots, hash, &at, &number)) {
		if (tenant_compare(staging->tenants[number], tenant) == 0) {
			*out = (uint32_t)number;
			return 0;
		}
	}
	TRY(slots_reserve(staging->mem, &staging->tenant_slots));
	TRY(RESERVE(staging, tenants, 1));
	*out = (uint32_t)staging->tenants_count;
	staging->tenants[staging->tenants_count] = tenant;
	slots_put(&staging->tenant_slots, hash, staging->tenants_count++);
	return 0;
}

/* prefix must live as long as the staging. */
static int
put_group(struct staging *staging, struct tenant tenant, struct bytes prefix, uint32_t *out)
{
	uint64_t hash = hash_xxh3(prefix.data, prefix.len);
	size_t at = slot_tag(hash), number;
	uint32_t tenant_index;

	while (slots_next(&staging->group_slots, hash, &at, &number)) {
		if (bytes_equal(staging->groups[number].prefix, prefix)) {
			*out = (uint32_t)number;
			return 0;
		}
	}
	TRY(put_tenant(staging, tenant, &tenant_index));
	TRY(slots_reserve(staging->mem, &staging->group_slots));
	TRY(RESERVE(staging, groups, 1));
	*out = (uint32_t)staging->groups_count;
	staging->groups[staging->groups_count] =
	    (struct staged_group){ .prefix = prefix, .tenant = tenant, .tenant_index = tenant_index };
	slots_put(&staging->group_slots, hash, staging->groups_count++);
	return 0;
}

static int
put_key(struct staging *staging, uint32_t tenant_index, struct bytes key, uint32_t *out)
{
	uint64_t hash = hash_with(hash_xxh3(key.data, key.len), tenant_index);
	size_t at = slot_tag(hash), number;

	while (slots_next(&staging->key_slots, hash, &at, &number)) {
		struct staged_key *staged = &staging->keys[number];

		if (staged->tenant_index == tenant_index && bytes_equal(staged->bytes, key)) {
			*out = (uint32_t)number;
			return 0;
		}
	}
	TRY(slots_reserve(staging->mem, &staging->key_slots));
	TRY(RESERVE(staging, keys, 1));
	*out = (uint32_t)staging->keys_count;
	staging->keys[staging->keys_count] = (struct staged_key){ .bytes = key, .tenant_index = tenant_index };
	slots_put(&staging->key_slots, hash, staging->keys_count++);
	if (key.data[0] >= KEY_COMPOSITE || key.data[0] == ESTR_END)
		staging->odd_keys = true;
	return 0;
}

static int
put_pair(struct staging *staging, uint32_t tenant_index, const struct name_tag *tag, uint64_t pair_hash, uint32_t *out)
{
	uint64_t hash = hash_with(pair_hash, tenant_index);
	size_t at = slot_tag(hash), number;
	uint32_t key;

	while (slots_next(&staging->pair_slots, hash, &at, &number)) {
		struct staged_pair *pair = &staging->pairs[number];

		if (staging->keys[pair->key].tenant_index == tenant_index && bytes_equal(pair->bytes, tag->pair)) {
			*out = (uint32_t)number;
			return 0;
		}
	}
	TRY(put_key(staging, tenant_index, bytes_of(tag->pair.data, tag->key_bytes + 1), &key));
	TRY(slots_reserve(staging->mem, &staging->pair_slots));
	TRY(RESERVE(staging, pairs, 1));
	*out = (uint32_t)staging->pairs_count;
	staging->pairs[staging->pairs_count] = (struct staged_pair){ .bytes = tag->pair, .key = key };
	slots_put(&staging->pair_slots, hash, staging->pairs_count++);
	return 0;
}

/* The pair under the group: known ones, nearly all of them, are found by this one probe. */
static int
put_combo(struct staging *staging, uint32_t group, const struct name_tag *tag, uint32_t *out)
{
	uint64_t pair_hash = hash_xxh3(tag->pair.data, tag->pair.len);
	uint64_t hash = hash_with(pair_hash, (uint64_t)group << 32);
	size_t at = slot_tag(hash), number;
	uint32_t pair;

	while (slots_next(&staging->combo_slots, hash, &at, &number)) {
		struct staged_combo *combo = &staging->combos[number];

		if (combo->group == group && bytes_equal(staging->pairs[combo->pair].bytes, tag->pair)) {
			*out = (uint32_t)number;
			return 0;
		}
	}
	TRY(put_pair(staging, staging->groups[group].tenant_index, tag, pair_hash, &pair));
	TRY(slots_reserve(staging->mem, &staging->combo_slots));
	TRY(RESERVE(staging, combos, 1));
	*out = (uint32_t)staging->combos_count;
	staging->combos[staging->combos_count] = (struct staged_combo){ .group = group, .pair = pair };
	slots_put(&staging->combo_slots, hash, staging->combos_count++);
	return 0;
}

int
staging_put(struct staging *staging, const struct name_parts *parts, struct bytes stored_name, uint64_t hash,
    const struct tsid *tsid, bool global, struct staged_series **out)
{
	uint8_t *copy;
	struct staged_series series = { .tsid = *tsid, .global = global };

	TRY(slots_reserve(staging->mem, &staging->series_slots));
	TRY(RESERVE(staging, series, 1));
	TRY(RESERVE(staging, tags, parts->tags_count));
	copy = arena_copy(&staging->arena, stored_name.data, stored_name.len);
	if (copy == NULL)
		return ERR_MEMORY;
	series.name = bytes_of(copy, stored_name.len);
	TRY(put_group(staging, parts->tenant, bytes_of(copy, parts->prefix.len), &series.group));
	series.tags_start = (uint32_t)staging->tags_count;
	series.tags_count = (uint32_t)parts->tags_count;
	for (size_t i = 0; i < parts->tags_count; i++) {
		struct name_tag tag = parts->tags[i];

		tag.pair.data =
		    copy + (tag.pair.data - stored_name.data); /* pairs live in the arena, not in the caller's name */
		TRY(put_combo(staging, series.group, &tag, &staging->tags[series.tags_start + i]));
		for (size_t j = 0; j < i; j++)
			staging->repeated_tags |=
			    staging->tags[series.tags_start + j] == staging->tags[series.tags_start + i];
	}
	staging->tags_count += parts->tags_count;
	staging->series[staging->series_count] = series;
	*out = &staging->series[staging->series_count];
	slots_put(&staging->series_slots, hash, staging->series_count++);
	return 0;
}

int
staging_reserve_day(struct staging *staging)
{
	return RESERVE(staging, days, 1);
}

void
staging_add_day(struct staging *staging, const struct staged_series *series, uint64_t date)
{
	assert(staging->days_count < staging->days_room);
	staging->days[staging->days_count++] =
	    (struct staged_day){ .date = date, .series = (uint32_t)(series - staging->series) };
}
