/*
 * series_cache.h -- raw series keys -> dense series numbers, without parsing and without locks for those who read.
 * floor: storage     uses: codec/hash base gate     used by: resolve, write, add
 *
 *   table of slots (open addressing)            one allocation per new head
 *   [hash | ->entry] ------------------------>  entry: space, head bytes --> tail "usage_user"   number, day, epoch
 *   [hash | ->tail ]  (17th and later tails)                              -> tail "usage_system" number, day, epoch
 *                                                                         -> ... in order of first sight
 *
 * A line's head is looked up once; its tails nearly always come in the order in which they were first seen, so each costs
 * one comparison with its successor. Heads with more than SERIES_TAILS_WALKED tails also have the later ones in the table,
 * so that a head with very many tails in any order stays linear.
 *
 * Entries are never freed singly: when the cache outgrows its budget it is emptied as a whole (series_cache_clear), with
 * nobody inside its gate.
 *
 * Invariants
 *  (1) What a reader can reach is complete: pointers are published with release order, after the bytes they lead to.
 *  (2) A tail's `state` names the moment (stamp) and day for which its number is registered; any other state means: ask.
 * Errors     ERR_MEMORY.
 * Threads    find: any, inside the gate. insert: any, inside the gate, takes the lock. clear: alone in the gate.
 */
#ifndef TSE_SERIES_CACHE_H
#define TSE_SERIES_CACHE_H

#include "base/arena.h"
#include "base/thread.h"

enum { SERIES_TAILS_WALKED = 16 };

/* Raw keys of different tenants, or parsed under different options, never meet. */
struct series_space {
	struct tenant tenant;
	uint64_t options;
};

/*
 * A resolved series: its number and for when it holds.
 *   state = stamp << SERIES_DAY_BITS | day,  0: never resolved
 * One load answers "this series is known to the index of this moment, on this day".
 */
enum { SERIES_DAY_BITS = 22 };
#define SERIES_DAYS_MAX (UINT64_C(1) << SERIES_DAY_BITS)

struct series_ref {
	_Atomic uint64_t state;
	_Atomic uint32_t number;
};

static inline uint64_t
series_state(uint64_t stamp, uint64_t day)
{
	return stamp << SERIES_DAY_BITS | day;
}

struct series_entry;

struct series_tail {
	struct series_ref ref;
	uint32_t text_bytes;
	_Atomic(struct series_tail *) next;
	struct series_entry *entry;
	uint8_t text[];
};

struct series_entry {
	struct series_space space;
	_Atomic(struct series_tail *) first;
	struct series_tail *last; /* under the lock */
	_Atomic uint32_t tails_count;
	uint32_t head_bytes;
	uint8_t head[];
};

struct series_slot {
	_Atomic uint64_t hash;
	_Atomic uintptr_t target; /* entry, or tail with the lowest bit set; 0: empty */
};

struct series_table {
	struct series_table *older; /* readers may still be in it until the next clear */
	uint64_t mask;
	uint64_t used;
	struct series_slot slots[];
};

struct series_cache {
	struct mem *mem;
	struct lock lock;
	struct arena arena;
	_Atomic(struct series_table *) table;
	_Atomic uint64_t bytes;
	_Atomic uint64_t count; /* tails */
};

NODISCARD int series_cache_init(struct series_cache *cache, struct mem *mem);
void series_cache_destroy(struct series_cache *cache);
/* Forgets everything; nobody is inside. */
NODISCARD int series_cache_clear(struct series_cache *cache);

uint64_t series_cache_hash(const struct series_space *space, struct bytes head);
/* Asks the processor for the slot, and (second) for the entry that it seems to name. */
void series_cache_prefetch(struct series_cache *cache, uint64_t hash);
void series_cache_prefetch_entry(struct series_cache *cache, uint64_t hash);
/* NULL: not there. */
struct series_entry *series_cache_head(struct series_cache *cache, uint64_t hash, const struct series_space *space,
    struct bytes head);
/* hint: the tail that is expected, or NULL. */
struct series_tail *series_cache_tail(struct series_cache *cache, struct series_entry *entry, uint64_t hash,
    struct series_tail *hint, struct bytes text);
/* Adds what is missing of (head, tail); if somebody else was faster, *out is his. */
NODISCARD int series_cache_insert(struct series_cache *cache, uint64_t hash, const struct series_space *space,
    struct bytes head, struct bytes text, uint32_t number, uint64_t state, struct series_tail **out);

#endif
