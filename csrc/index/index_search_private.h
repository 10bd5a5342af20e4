/*
 * index_search_private.h -- what the searching files share: a search's scope, row scans, lookups by id.
 * floor: index     uses: index_private.h     used by: index_search index_rows_scan index_names index_labels
 *
 * A search is one moment, one tenant, and either the global rows or those of a range of days. Days are united: every
 * filter is evaluated over all days at once, which is the same because the labels of an id never change.
 */
#ifndef TSE_INDEX_SEARCH_PRIVATE_H
#define TSE_INDEX_SEARCH_PRIVATE_H

#include "index/index_private.h"

enum { SEARCH_DAYS_MAX = 40 }; /* a range of more days uses global rows (index format 12.3) */

struct search {
	struct index *index;
	struct moment moment;
	struct tenant tenant;
	bool global;
	bool may_use_composite;
	uint64_t min_date, max_date;
	struct item_cursor *rows; /* tag rows of the generations that are consulted; NULL: none is */
	struct item_cursor *ids;  /* kinds 2 and 3 of both generations */
	struct buf scope, key;    /* scratch of scans */
	struct buf value;
};

/* all_generations: label listings; else only those with days at or after min (index format 12.2). */
NODISCARD int search_open(struct index *index, struct tenant tenant, int64_t min_ms, int64_t max_ms,
    bool all_generations, struct search *out);
void search_close(struct search *search); /* safe on a half-open one */

/* The scopes of a search: date ROW_GLOBAL, or each day. for (date = search_first_date(s); search_has_date(s, date); date = ...) */
static inline uint64_t
search_first_date(const struct search *search)
{
	return search->global ? ROW_GLOBAL : search->min_date;
}
static inline uint64_t
search_next_date(const struct search *search, uint64_t date)
{
	return search->global || date == search->max_date ? ROW_GLOBAL - 1 : date + 1;
}
static inline bool
search_has_date(uint64_t date)
{
	return date != ROW_GLOBAL - 1;
}

/* -- index_rows_scan.c --------------------------------------------------------------------------------------------------- */

/* Ids of all rows of the scopes that start with key and value (both escaped, in search->key). More than cap: *over. */
NODISCARD int scan_exact(struct search *search, struct bytes key_and_value, uint64_t cap, struct u64set *ids,
    bool *over);
/* Ids of the rows of an escaped, terminated key: whose value matches the pattern, and whose does not; either may be NULL.
 * Rows of empty values count as missing labels. With no use for the others, only rows with the pattern's prefix are read. */
NODISCARD int scan_pattern(struct search *search, struct bytes key, const struct tag_pattern *pattern,
    struct u64set *matching, struct u64set *others);
/* All ids of the scopes: the rows of the key "". */
NODISCARD int scan_all(struct search *search, struct u64set *ids);

/* -- index_names.c --------------------------------------------------------------------------------------------------------- */

/* Finds items `kind T id` for ascending ids with few seeks. */
struct id_finder {
	struct item_cursor *cursor;
	uint8_t key[1 + TENANT_BYTES_MAX + 8];
	size_t head_bytes;
	bool placed, at_end;
	uint64_t at_id;    /* of item */
	struct bytes item; /* what the cursor gave last */
};

void id_finder_init(struct id_finder *finder, struct item_cursor *cursor, enum index_kind kind, enum layout layout,
    struct tenant tenant);
/* The first item of the id, valid until the next call. */
NODISCARD int id_finder_find(struct id_finder *finder, uint64_t id, struct bytes *item, bool *found);

/* -- index_search.c ---------------------------------------------------------------------------------------------------------- */

/* Live ids that match (NULL: all). */
NODISCARD int search_ids(struct search *search, const struct match *match, struct u64set *out);

#endif
