/*
 * head_memo.h -- the heads of lines seen before, so that the next line with one of them need not be taken apart again.
 * floor: ingest     uses: base arena.h     used by: prometheus.c influx.c
 *
 * Sources send the same series round after round in the same order. The memo keeps, for each head that was found good,
 * the head that followed it: the guess for the next line, which one comparison of bytes confirms. A wrong guess costs a
 * look into a hash table.
 *
 *   last ---> [head A] --successor--> [head B] --successor--> [head C] ...       guess for the next line: last->successor
 *                                        |
 *                                      shape: "usage_user=" "usage_system=" ...
 *
 * A *shape* is the list of field keys of an Influx line; shapes are shared by heads. An entry has that of its newest line.
 *
 * Invariants
 *  (1) Entries and shapes stay where they are until head_memo_begin().
 *  (2) The memo is a help only: without memory, or when more heads come than it holds, lines are parsed all the same.
 * Errors     none: what cannot be kept is not kept.
 * Threads    one at a time.
 */
#ifndef TSE_HEAD_MEMO_H
#define TSE_HEAD_MEMO_H

#include "base/arena.h"

enum {
	HEAD_MEMO_BYTES_MAX = 16 << 20, /* about 65536 heads of 150 bytes with their keys */
	HEAD_MEMO_HEADS_MAX = 65536,
	HEAD_MEMO_HEAD_BYTES_MAX = 4096, /* longer heads are rare and would push out many */
	HEAD_MEMO_SHAPES_MAX = 1024,
	HEAD_MEMO_FIELDS_MAX = 256,
	HEAD_MEMO_KEY_BYTES = 32 /* keys up to here, '=' included, are compared by words */
};

/* A field key and the '=' behind it. */
struct field_key {
	uint64_t words[HEAD_MEMO_KEY_BYTES / 8]; /* the text, zeros behind it */
	uint64_t masks[HEAD_MEMO_KEY_BYTES / 8]; /* ones where there is text */
	const uint8_t *text;
	uint32_t len;
};

struct field_shape {
	struct field_shape *next; /* in its bucket */
	uint64_t hash;
	uint32_t count;
	struct field_key keys[];
};

struct head_entry {
	struct head_entry *next;         /* in its bucket */
	struct head_entry *successor;    /* the head of the line after this one's, last time */
	const struct field_shape *shape; /* of the newest line; NULL: none, or not kept */
	uint64_t hash;
	uint32_t len;
	uint8_t text[];
};

struct head_memo {
	struct mem *mem;
	struct arena arena;
	struct head_entry **heads; /* buckets_count of them, a power of two; as many as heads, or some more */
	struct field_shape *shapes[64];
	struct head_entry *last;                /* of the newest line; NULL after a line that is not in the memo */
	const struct field_shape *newest_shape; /* of any line: the guess for heads not seen before */
	uint32_t buckets_count;
	uint32_t heads_count;
	uint32_t shapes_count;
	uint64_t bytes_max;
	uint64_t missing_hash; /* of the head that was looked for last: add needs it again */
	uint64_t hits;         /* lines found since the memo was emptied */
	uint64_t asleep;       /* lines to let pass before it is worth trying again */
	bool full;
};

void head_memo_init(struct head_memo *memo, struct mem *mem);
void head_memo_free(struct head_memo *memo);
/* Before a batch: empties a full memo, or puts it to sleep when it was filled by heads that did not come again. */
void head_memo_begin(struct head_memo *memo);
/* The entry of a head; NULL when there is none. */
struct head_entry *head_memo_find(struct head_memo *memo, struct bytes head);
/* Keeps a good head, the one that head_memo_find() just did not find; NULL when it cannot be kept. */
struct head_entry *head_memo_add(struct head_memo *memo, struct bytes head);
/*
 * A line had these field keys: their shape becomes the newest one, and that of the entry unless it is NULL. keys is `count`
 * of them apart by `stride` bytes, so that it may point at ingest_row.tail.
 */
void head_memo_shape(struct head_memo *memo, struct head_entry *entry, const struct bytes *keys, size_t count,
    size_t stride);

/* What the next line's head will probably be; NULL when nothing is known. */
static inline struct head_entry *
head_memo_guess(const struct head_memo *memo)
{
	return memo->last == NULL ? NULL : memo->last->successor;
}

/* The line just parsed had this head; NULL: one that is not in the memo. */
static inline void
head_memo_follow(struct head_memo *memo, struct head_entry *entry)
{
	if (memo->last != NULL && memo->last->successor != entry && entry != NULL)
		memo->last->successor = entry;
	memo->last = entry;
	memo->hits += entry != NULL;
}

#endif
