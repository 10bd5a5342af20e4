/*
 * index_seal.h -- the inside of a seal: orders of everything staged, made by index_order.c, written out by index_seal.c.
 * floor: index     uses: index_staging.h index_sort.h     used by: index_seal.c index_order.c
 */
#ifndef TSE_INDEX_SEAL_H
#define TSE_INDEX_SEAL_H

#include "index/index_sort.h"
#include "index/index_staging.h"

enum row_list { LIST_NAMES, LIST_PAIRS, LIST_COMBOS, LIST_REVERSED, LISTS };

/* The ids of every row of one list, for one set of series. */
struct postings {
	uint32_t *counts; /* by number of the thing; all zero between sets */
	uint32_t *starts; /* first id in seal.ids */
	uint32_t *active; /* numbers with ids, in row order */
	size_t active_count;
};

struct seal {
	struct staging *staging;
	size_t prefix_bytes; /* of a tenant */
	struct sort_item *items, *room;
	uint32_t *tenant_ranks, *tenant_order;
	uint32_t *ranks[3];             /* of groups (by prefix), pairs, combos: the inverse of orders */
	struct bytes *combo_heads;      /* by group: FE length group, escaped and open */
	struct bytes *reversed;         /* by group: FF end, reversed group, end; no data without a dot */
	uint32_t *orders[LISTS];        /* numbers in row order, tenants ascending */
	uint32_t *tenant_starts[LISTS]; /* by tenant rank, + 1 */
	size_t order_counts[LISTS];
	uint32_t *series_order;      /* by (tenant, metric id) */
	uint32_t *series_starts;     /* by tenant rank, + 1 */
	struct postings postings[3]; /* names, pairs, combos; reversed rows have the ids of names */
	uint64_t *ids;               /* big-endian, ready to copy */
	size_t ids_room;
	const uint32_t *prepared; /* the set of series that postings hold now */
	size_t prepared_count;
	size_t len, count; /* of the run */
};

/* Memory until the next seal. */
static inline void *
seal_scratch(struct seal *seal, size_t n, size_t element_bytes)
{
	return arena_alloc(&seal->staging->scratch, (n + 1) * element_bytes);
}

#define SCRATCH(pointer, n)                                              \
	do {                                                             \
		(pointer) = seal_scratch(seal, (n), sizeof(*(pointer))); \
		if ((pointer) == NULL)                                   \
			return ERR_MEMORY;                               \
	} while (0)

static inline uint32_t
tenant_rank_of_group(const struct seal *seal, uint32_t group)
{
	return seal->tenant_ranks[seal->staging->groups[group].tenant_index];
}

/* Fills ranks, orders, heads of rows and the order of series. */
NODISCARD int seal_order(struct seal *seal);

#endif
