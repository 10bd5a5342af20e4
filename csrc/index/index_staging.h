/*
 * index_staging.h -- registrations that are not items yet: names, tags and days in tables of numbers.
 * floor: index     uses: index_rows.h arena.h item_table.h     used by: index
 *
 *   stored name --> series --> tags: numbers of (group, pair)        pair = estr(key) estr(value) of one tenant
 *                      |
 *                      +----> days: (date, series)
 *
 *   staging_seal(): names, pairs and groups are sorted once; rows of kinds 1 and 6 come out of the same order, with up
 *   to 64 ids each, because the tags of all staged series are counted before the first row is written.
 *
 * Invariants
 *  (1) A name is staged once; a series has its global items written if any registration asked for them.
 *  (2) A failed call stages nothing that a seal would write (at most unused pairs).
 *  (3) The run of a seal holds all items of every staged registration, sorted.
 * Errors     ERR_MEMORY; ERR_CORRUPTED for a name that does not parse.
 * Ownership  the run of a seal lives in the staging until the next reset.
 * Threads    one at a time.
 */
#ifndef TSE_INDEX_STAGING_H
#define TSE_INDEX_STAGING_H

#include "base/arena.h"
#include "index/index_rows.h"
#include "index/item_table.h"
#include "ingest/labels.h"

/* A stored name cut into its parts; views into it, everything still escaped. */
struct name_parts {
	struct tenant tenant;
	struct bytes prefix; /* tenant and group with its terminator */
	struct bytes group;  /* without terminator */
	size_t tags_count;
	struct name_tag {
		struct bytes pair; /* key, terminator, value, terminator */
		size_t key_bytes;  /* without terminator */
	} tags[LABELS_MAX];
};
NODISCARD int name_parts_parse(struct bytes stored_name, enum layout layout, struct name_parts *out);

struct staged_series {
	struct tsid tsid;
	struct bytes name;
	uint32_t group;
	uint32_t tags_start, tags_count; /* in staging->tags: numbers of combos */
	bool global;                     /* kinds 0 to 3 are to be written */
};

struct staged_group {
	struct bytes prefix; /* tenant and estr(group) */
	struct tenant tenant;
	uint32_t tenant_index;
};

struct staged_pair {
	struct bytes bytes;
	uint32_t key; /* number of (tenant, key) */
};

struct staged_combo { /* a pair under a group: one composite row */
	uint32_t group, pair;
};

struct staged_key {
	struct bytes bytes; /* escaped, terminated */
	uint32_t tenant_index;
};

struct staged_day {
	uint64_t date;
	uint32_t series;
};

/* Open addressing: number + 1 of the thing, and 32 bits of its hash so that most misses end here. */
struct slot_table {
	struct slot {
		uint32_t tag;
		uint32_t number_plus_1;
	} * slots;
	size_t mask, used;
};

struct staging {
	struct mem *mem;
	enum layout layout;
	struct arena arena; /* copies of names */
	struct slot_table series_slots, group_slots, pair_slots, combo_slots, key_slots, tenant_slots;
	struct staged_series *series;
	struct staged_group *groups;
	struct staged_pair *pairs;
	struct staged_combo *combos;
	struct staged_key *keys;
	struct tenant *tenants;
	uint32_t *tags;
	struct staged_day *days;
	size_t series_count, series_room, groups_count, groups_room, pairs_count, pairs_room, combos_count, combos_room;
	size_t keys_count, keys_room, tenants_count, tenants_room, tags_count, tags_room, days_count, days_room;
	bool
	    odd_keys; /* a label name starts with FE or FF (or is empty): its rows may fall between those of artificial keys */
	bool repeated_tags; /* a name has one pair twice: its id would stand twice in a row */
	/* The output of a seal, kept for the next one. */
	struct arena scratch;
	uint8_t *data;
	size_t data_room;
	uint32_t *offsets;
	size_t offsets_room;
};

void staging_init(struct staging *staging, struct mem *mem, enum layout layout);
void staging_free(struct staging *staging);
/* Forgets everything staged, keeps the tables' room. */
void staging_reset(struct staging *staging);
static inline bool
staging_is_empty(const struct staging *staging)
{
	return staging->days_count == 0 && staging->series_count == 0;
}
/* Bytes of names and tables: the measure for sealing early when names are long. */
static inline size_t
staging_name_bytes(const struct staging *staging)
{
	return staging->arena.used_bytes;
}

/* The hash that the two calls below want. */
uint64_t staging_name_hash(struct bytes stored_name);
/* NULL when the name is not staged. Valid until the next staging_put. */
struct staged_series *staging_find(struct staging *staging, struct bytes stored_name, uint64_t hash);
/* Stages a name that staging_find does not know. */
NODISCARD int staging_put(struct staging *staging, const struct name_parts *parts, struct bytes stored_name,
    uint64_t hash, const struct tsid *tsid, bool global, struct staged_series **out);
/* Makes room, so that staging_add_day cannot fail. */
NODISCARD int staging_reserve_day(struct staging *staging);
void staging_add_day(struct staging *staging, const struct staged_series *series, uint64_t date);

/* All items of everything staged, as one sorted run; none when only known series without a day are staged. */
NODISCARD int staging_seal(struct staging *staging, struct item_run *out);

#endif
