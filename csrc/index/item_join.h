/*
 * item_join.h -- joins tag rows of a sorted stream: many rows of one tag with few ids each become few with many.
 * floor: index     uses: item_block.h     used by: item_merge
 *
 *   ascending items --item_join_add()--> [pending rows of one tag] --> sink, ascending
 *
 *   row (index format 10):  01 | tenant | estr key | estr value | id, id ...
 *                           06 | tenant | date u64 | estr key | estr value | id, id ...        ids u64 big-endian
 *
 * The peer joins within each block it writes; here the stream is joined before it is cut into blocks, which gives the
 * same kind of rows (1 to 126 ids) without the two rows at each block's ends that stay apart.
 *
 * Invariants
 *  (1) The set of (row prefix, id) pairs that goes in comes out; every other item comes out as it went in.
 *  (2) What comes out is ascending. When joined ids would break the order (an id that occurs in several rows), the
 *      pending rows come out as they were.
 *  (3) A row that cannot be parsed is not touched.
 * Errors     ERR_MEMORY and those of the sink.
 * Threads    one at a time.
 */
#ifndef TSE_ITEM_JOIN_H
#define TSE_ITEM_JOIN_H

#include "base/buf.h"

enum {
	ITEM_JOIN_IDS_MIN = 64,                       /* a row with this many ids is left alone */
	ITEM_JOIN_IDS_MAX = 2 * ITEM_JOIN_IDS_MIN - 2 /* 63 pending and a row of 63 */
};

/* Takes an item; the bytes are valid for the call. */
typedef int item_sink_fn(void *context, struct bytes item);

struct item_join {
	uint8_t tenant_bytes; /* between kind and key: 0 single, 8 cluster */
	item_sink_fn *sink;
	void *context;
	/* rows of one prefix that wait for more */
	struct buf rows;     /* the rows as they came, back to back */
	struct buf row_lens; /* uint32_t each */
	struct buf prefix;
	uint64_t ids[ITEM_JOIN_IDS_MAX];
	uint32_t ids_count;
	/* the tag row that came out last: where joined ids could break the order */
	struct buf last;
	struct buf out;
};

void item_join_init(struct item_join *join, struct mem *mem, uint8_t tenant_bytes, item_sink_fn *sink, void *context);
void item_join_free(struct item_join *join);
NODISCARD int item_join_add(struct item_join *join, struct bytes item);
/* The end of the stream: what is pending comes out. */
NODISCARD int item_join_finish(struct item_join *join);

/* Bytes before the ids of a tag row; 0: not a tag row, or one that does not parse. */
size_t item_row_prefix(struct bytes item, uint8_t tenant_bytes);

#endif
