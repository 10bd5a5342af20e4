/*
 * index_rows.h -- the items of the index, kinds 0 to 6: bytes <-> fields (index format 10).
 * floor: index     uses: part/tsid.h buf.h     used by: metric_name, index_staging, index, index_search, index_labels
 *
 *   kind
 *    0  00 | MN | 02 | TSID                                        name -> TSID
 *    1  01 | T | estr(key) | estr(value) | u64 id ...              global tag -> ids
 *    2  02 | T | u64 id | TSID                                     id -> TSID
 *    3  03 | T | u64 id | MN                                       id -> name
 *    4  04 | u64 id                                                deleted id (no tenant)
 *    5  05 | T | u64 date | u64 id                                 the id has rows on that day
 *    6  06 | T | u64 date | estr(key) | estr(value) | u64 id ...   the day's tag -> ids
 *
 * T is empty in the single layout, u32 account | u32 project in the cluster layout. MN is the stored name
 * (metric_name.h) and starts with T. estr escapes 00 01 02 as 00 30, 00 31, 00 32 and ends with 01.
 *
 * Invariants
 *  (1) Parsers never read outside the item; every malformed item is ERR_CORRUPTED.
 * Errors     ERR_CORRUPTED naming the table the item came from, ERR_MEMORY.
 * Threads    pure functions.
 */
#ifndef TSE_INDEX_ROWS_H
#define TSE_INDEX_ROWS_H

#include "base/buf.h"
#include "base/err.h"
#include "part/tsid.h"

enum index_kind {
	ROW_NAME_TO_TSID = 0,
	ROW_TAG_TO_IDS = 1,
	ROW_ID_TO_TSID = 2,
	ROW_ID_TO_NAME = 3,
	ROW_DELETED_ID = 4,
	ROW_DATE_TO_ID = 5,
	ROW_DATE_TAG_TO_IDS = 6
};

enum {
	ESTR_END = 0x01,
	NAME_END = 0x02,
	KEY_COMPOSITE = 0xFE,     /* first byte of the key of a composite row: FE varint(len(group)) group key */
	KEY_REVERSED_NAME = 0xFF, /* the whole key of a row of the reversed name */
	ROW_IDS_MAX = 64,         /* ids we write into one row (index format 7: recommended) */
	TENANT_BYTES_MAX = 8,
	ROW_HEAD_BYTES_MAX = 1 + TENANT_BYTES_MAX + 8 /* kind, tenant, date or id */
};

static inline size_t
tenant_bytes(enum layout layout)
{
	return layout == LAYOUT_CLUSTER ? 8 : 0;
}

static inline uint8_t *
tenant_put(uint8_t *p, enum layout layout, struct tenant tenant)
{
	if (layout == LAYOUT_SINGLE)
		return p;
	p = put_u32(p, tenant.account);
	return put_u32(p, tenant.project);
}

static inline struct tenant
tenant_get(const uint8_t *p, enum layout layout)
{
	if (layout == LAYOUT_SINGLE)
		return (struct tenant){ 0, 0 };
	return (struct tenant){ .account = get_u32(p), .project = get_u32(p + 4) };
}

static inline int
tenant_compare(struct tenant a, struct tenant b)
{
	if (a.account != b.account)
		return a.account < b.account ? -1 : 1;
	return (a.project > b.project) - (a.project < b.project);
}

/* Writes kind and tenant; returns the new end. */
static inline uint8_t *
row_put_head(uint8_t *p, enum index_kind kind, enum layout layout, struct tenant tenant)
{
	*p++ = (uint8_t)kind;
	return tenant_put(p, layout, tenant);
}

/* Appends the escaped bytes without the terminator. */
NODISCARD int estr_append_open(struct buf *out, struct bytes raw);
/* Appends the escaped bytes and the terminator. */
NODISCARD int estr_append(struct buf *out, struct bytes raw);
/* Most bytes that estr of n raw bytes takes. */
static inline size_t
estr_bytes_max(size_t n)
{
	return 2 * n + 1;
}
/* As estr_append into memory with room for estr_bytes_max(raw.len); returns the new end. */
uint8_t *estr_put(uint8_t *p, struct bytes raw);
/* The escaped string at p: *escaped without terminator, and the position behind the terminator; NULL when it does not end. */
const uint8_t *estr_split(const uint8_t *p, const uint8_t *end, struct bytes *escaped);
/* True when the escaped bytes hold an escape, that is, differ from the raw ones. */
bool estr_has_escapes(struct bytes escaped);
/* Writes the raw bytes (at most escaped.len) to p; returns the new end, NULL for an escape that does not exist. */
uint8_t *estr_decode(uint8_t *p, struct bytes escaped);

/* Appends the key of the composite row of (group, key), escaped and terminated (index format 10.2). */
NODISCARD int row_composite_key_append(struct buf *out, struct bytes group, struct bytes key);

/* Appends `kind T` (global) or `kind T date`: what every tag row of that scope starts with. date UINT64_MAX: global. */
#define ROW_GLOBAL UINT64_MAX
NODISCARD int row_tag_scope_append(struct buf *out, enum layout layout, struct tenant tenant, uint64_t date);

/* A tag row cut into its fields; views into the item. */
struct tag_row {
	struct bytes key;   /* escaped */
	struct bytes value; /* escaped */
	const uint8_t *ids; /* big-endian */
	size_t ids_count;   /* >= 1 */
};
/* item starts with a scope of scope_bytes (checked by the caller's seek). */
NODISCARD int row_parse_tag(struct bytes item, size_t scope_bytes, const char *where, struct tag_row *out);
/* Kind 0: name (with tenant) and TSID. */
NODISCARD int row_parse_name_to_tsid(struct bytes item, enum layout layout, const char *where, struct bytes *name,
    struct tsid *tsid);
/* Kind 2. */
NODISCARD int row_parse_id_to_tsid(struct bytes item, enum layout layout, const char *where, uint64_t *id,
    struct tsid *tsid);
/* Kind 3. */
NODISCARD int row_parse_id_to_name(struct bytes item, enum layout layout, const char *where, uint64_t *id,
    struct bytes *name);
/* Kind 4. */
NODISCARD int row_parse_deleted(struct bytes item, const char *where, uint64_t *id);
/* Kind 5. */
NODISCARD int row_parse_date(struct bytes item, enum layout layout, const char *where, uint64_t *date, uint64_t *id);

#endif
