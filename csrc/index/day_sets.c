/*
 * day_sets.c -- see day_sets.h.
 * floor: index     uses: day_sets.h     used by: index
 */
#include "index/day_sets.h"

void
day_sets_init(struct day_sets *sets, struct mem *mem)
{
	*sets = (struct day_sets){ .mem = mem };
}

void
day_sets_clear(struct day_sets *sets)
{
	for (unsigned i = 0; i < DAY_SETS_BUCKETS; i++) {
		while (sets->buckets[i] != NULL) {
			struct day_set *set = sets->buckets[i];

			sets->buckets[i] = set->next;
			u64set_free(&set->ids);
			mem_free(sets->mem, set);
		}
	}
	sets->last = NULL;
	sets->count = 0;
}

static unsigned
bucket_of(struct tenant tenant, uint64_t date)
{
	uint64_t hash =
	    (date ^ (uint64_t)tenant.account << 40 ^ (uint64_t)tenant.project << 20) * UINT64_C(0x9E3779B97F4A7C15);

	return (unsigned)(hash >> 54);
}
_Static_assert(DAY_SETS_BUCKETS == 1 << 10, "bucket_of takes the ten highest bits");

static bool
is_set_of(const struct day_set *set, struct tenant tenant, uint64_t date)
{
	return set->date == date && set->tenant.account == tenant.account && set->tenant.project == tenant.project;
}

struct u64set *
day_sets_find(struct day_sets *sets, struct tenant tenant, uint64_t date)
{
	if (LIKELY(sets->last != NULL && is_set_of(sets->last, tenant, date)))
		return &sets->last->ids;
	for (struct day_set *set = sets->buckets[bucket_of(tenant, date)]; set != NULL; set = set->next) {
		if (is_set_of(set, tenant, date)) {
			sets->last = set;
			return &set->ids;
		}
	}
	return NULL;
}

int
day_sets_add(struct day_sets *sets, struct tenant tenant, uint64_t date, struct u64set **out)
{
	struct day_set *set;
	unsigned bucket = bucket_of(tenant, date);

	if (sets->count >= DAY_SETS_MAX)
		day_sets_clear(sets);
	set = mem_zalloc(sets->mem, sizeof(*set));
	if (set == NULL)
		return ERR_MEMORY;
	set->tenant = tenant;
	set->date = date;
	u64set_init(&set->ids, sets->mem);
	set->next = sets->buckets[bucket];
	sets->buckets[bucket] = set;
	sets->count++;
	*out = &set->ids;
	return 0;
}
