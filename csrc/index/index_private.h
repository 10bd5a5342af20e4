/*
 * index_private.h -- the inside of struct index, shared by the index_*.c files.
 * floor: index     uses: everything of index     used by: index_*.c
 *
 *   struct index --lock--> staging, filter, day sets, ids      what writers change
 *        |
 *        +-- current, previous: counted generations            a moment counts them and takes views
 *
 * Invariants
 *  (1) index->changes grows with every seal, rotation and deletion: who looked at the disk without the lock compares it
 *      before trusting what was not found.
 *  (2) A generation's table lives until its last count is given back; one that was rotated away then removes its files.
 * Threads    fields behind the lock as said; generations and deleted sets are counted and immutable as pointers.
 */
#ifndef TSE_INDEX_PRIVATE_H
#define TSE_INDEX_PRIVATE_H

#include "base/thread.h"
#include "index/day_sets.h"
#include "index/index.h"
#include "index/index_rows.h"
#include "index/index_staging.h"
#include "index/name_filter.h"

struct generation {
	struct item_table *table;
	uint64_t name;
	struct io *io;
	struct mem *mem;
	struct log *log;
	char *path;
	_Atomic uint32_t refs;
	_Atomic bool dropped; /* rotated away: its files go with the last reference */
};

/* Immutable; the set is first, so that index_deleted can hand out a pointer to it. */
struct deleted_set {
	struct u64set set;
	struct mem *mem;
	_Atomic uint32_t refs;
};

/* Registrations up to `registration` are durable once the table has made run `run` durable. */
struct pending_run {
	struct generation *generation; /* counted */
	uint64_t registration, run;
};

struct index {
	struct index_env env;
	char *root;
	struct lock lock;
	struct generation *current, *previous; /* either may be NULL when read-only */
	struct deleted_set *deleted;
	struct staging staging;
	int64_t staging_due_tick_ms; /* INT64_MAX: staging is empty */
	struct name_filter filter;
	bool filter_complete;   /* every name on disk is in the filter */
	bool filter_broken;     /* out of memory for it: names are looked up on disk */
	struct buf filter_next; /* where the reading of names goes on */
	struct day_sets days;
	bool previous_has_series; /* then a known series may lack global items in the current generation */
	uint64_t last_metric_id;
	uint64_t changes;
	uint64_t last_seq, sealed_seq;
	struct pending_run *pending;
	size_t pending_start, pending_count, pending_room;
	int64_t rotate_at_ms; /* wall clock; INT64_MAX: never */
	bool rotating;        /* a thread is at it */
	uint64_t
	    fresh_name; /* of the generation that the next rotation makes, once one was tried; not above current: none */
	bool flush_wanted; /* the next seal is to be flushed at once */
	bool failed;       /* a run could not be added: read-only until reopened */
	_Atomic uint64_t epoch;
	uint64_t series_created, dates_registered, rotations;
	_Atomic uint64_t missing_tsids, missing_names;
	_Atomic uint32_t table_turn; /* which table a step begins with */
};

/* Names above this many bytes seal a staging early: a run stays below about 32 MiB. */
enum { STAGING_NAME_BYTES_MAX = 4 << 20 };
/* In-memory parts of a generation above this are flushed early, unless index_env says otherwise. */
#define INDEX_MEM_BYTES_DEFAULT (UINT64_C(32) << 20)

/* -- Generations (index_open.c, index_rotate.c) ------------------------------------------------------------------------ */

NODISCARD int generation_open(const struct index_env *env, const char *root, uint64_t name, struct generation **out);
void generation_release(struct generation *generation); /* NULL is fine */
static inline struct generation *
generation_hold(struct generation *generation)
{
	if (generation != NULL)
		generation->refs++;
	return generation;
}
NODISCARD int index_rotate(struct index *index);
/* The wall clock of the next rotation after now (index format 2.2). */
int64_t index_rotation_deadline_ms(int64_t now_ms, int64_t retention_ms);
bool generation_is_empty(const struct generation *generation);
/* After a failed write, or with a damaged part. */
bool generation_is_read_only(const struct generation *generation);

/* -- A moment: both generations and the deleted ids (index_moment.c) ------------------------------------------------------ */

struct moment {
	struct index *index;
	struct generation *generations[2]; /* current, previous; NULL: none */
	struct item_view *views[2];
	struct deleted_set *deleted;
};

/* Staged registrations become a run first when `seal` (a search), so that the moment holds them. */
NODISCARD int moment_take(struct index *index, bool seal, struct moment *out);
void moment_release(struct moment *moment);
/* A cursor over all generations of the moment. */
NODISCARD int moment_cursor(const struct moment *moment, struct item_cursor **out);
static inline bool
moment_is_deleted(const struct moment *moment, uint64_t id)
{
	return u64set_count(&moment->deleted->set) != 0 && u64set_has(&moment->deleted->set, id);
}

/* Calls visit for items that start with prefix until it returns false in *more or fails. */
typedef int item_visit_fn(void *context, struct bytes item, bool *more);
NODISCARD int items_each(struct item_cursor *cursor, struct bytes prefix, item_visit_fn *visit, void *context);

/* Every tenant that has series, ascending: visit gets the tenant. */
typedef int tenant_visit_fn(void *context, struct tenant tenant);
NODISCARD int index_each_tenant(struct item_cursor *cursor, enum layout layout, tenant_visit_fn *visit, void *context);

/* -- Writing (index.c, index_seal_run.c) --------------------------------------------------------------------------------- */

/* With the lock held. Nothing staged: nothing done. */
NODISCARD int index_seal_locked(struct index *index);
/* With the lock held: adds a run to a generation and remembers that registrations up to index->last_seq wait for it. */
NODISCARD int index_add_run_locked(struct index *index, struct generation *generation, const struct item_run *run);
/* The first live TSID of a name in one generation. */
NODISCARD int generation_find_name(const struct moment *moment, unsigned which, struct bytes stored_name,
    struct tsid *tsid, bool *found);

#endif
