/*
 * internal.h -- the insides of an open storage, for the files of this floor.
 * floor: storage     uses: everything below     used by: storage/ only
 *
 *   shell   (refs > 0)        memory account, io, clock, log, events; outlives close while handles exist
 *   inside  (until close)     index, table, series cache, steps, jobs; touched only between storage_enter and storage_leave
 *
 * Calls that only add a row or a few take the cache gate alone; all others are between storage_enter and storage_leave.
 *
 * Locks, outermost first: snapshot_lock > cache_gate, moment_gate > locks of index > of table > leaf locks (steps, jobs,
 * selects, series cache, series map, events, log). A leaf lock is never held while index or table are called.
 */
#ifndef TSE_STORAGE_INTERNAL_H
#define TSE_STORAGE_INTERNAL_H

#include "base/err.h"
#include "storage/events.h"
#include "storage/fork_guard.h"
#include "storage/gate.h"
#include "storage/root.h"
#include "storage/series_cache.h"
#include "storage/series_map.h"
#include "storage/storage.h"

enum job_kind { JOB_FLUSH, JOB_MERGE, JOB_SNAPSHOT };
enum job_phase { JOB_PHASE_FLUSH, JOB_PHASE_MERGE, JOB_PHASE_LINK, JOB_PHASE_DONE };

/* Something asked for that takes many units: flush, then perhaps a merge or the links of a snapshot. */
struct job {
	struct job *next;
	uint64_t ticket;
	enum job_kind kind;
	enum job_phase phase;
	bool busy;   /* somebody advances it just now */
	bool waited; /* the waiter frees it; else an event ends it */
	bool all_partitions;
	char partition[8];
	char name[SNAPSHOT_NAME_MAX];
	uint64_t table_ticket, index_seq;
	uint64_t count;
	int code;
	struct err_saved error;
};

/* The scheduler: the pool and who waits for progress. */
struct steps {
	struct lock lock;
	struct cond work;     /* something became due, or stop */
	struct cond progress; /* a unit was done */
	struct thread *threads;
	unsigned threads_count;
	unsigned idle; /* threads that sleep without a deadline */
	bool watched;  /* one thread sleeps until the next deadline for all of them */
	bool stop;
	int64_t watch_until_ms; /* tick it sleeps to */
	unsigned waiters;
	_Atomic uint64_t wakes;
	_Atomic uint64_t turn;  /* index and table take turns */
	_Atomic uint64_t units; /* that did something, by anybody */
	/* trouble that was told already */
	int last_code;
	char last_message[256];
	uint64_t last_told_ns;
	_Atomic uint64_t damaged_told, failed_told;
	_Atomic bool index_full; /* the index met a full disk, as far as anybody knows */
	_Atomic int64_t retry_at_tick_ms;
};

struct storage {
	/* -- shell -- */
	_Atomic uint32_t refs;
	struct mem mem;
	struct io *io;
	bool io_owned;
	struct clock wall;
	const struct clock *clock;
	void (*release)(void *context);
	void *context;
	struct log log;
	struct events events;
	struct fork_guard guard;
	struct storage_options options; /* path: see root.path */
	struct root root;
	struct gate calls; /* shut by close, never opened again */
	_Atomic bool closing;
	struct lock selects_lock;
	struct storage_select *selects; /* live ones, let go by close */
	struct lock writers_lock;
	struct storage_writer *idle_writers; /* for the next text of the same options */
	unsigned idle_writers_count;

	/* -- inside -- */
	struct index *index;
	struct table *table;
	struct tsid_map map;
	struct series_cache cache;
	struct gate cache_gate;                  /* batches against a reset of cache and map */
	struct gate moment_gate;                 /* the start of a select against a delete */
	_Atomic uint64_t generation;             /* resets of the map: old numbers in handles are no good */
	_Atomic bool reclaiming;                 /* retired numbers wait for reclaim_ticket */
	uint64_t reclaim_ticket, reclaim_before; /* under jobs_lock */
	struct lock snapshot_lock;
	struct lock touch_lock;
	_Atomic bool touched; /* cache/ is gone */
	struct steps steps;
	struct lock jobs_lock;
	struct job *jobs;
	uint64_t jobs_last_ticket;
	_Atomic uint32_t jobs_open;
	uint64_t snapshot_counter;

	_Atomic uint64_t rows_past, rows_future, rows_nan, lines_rejected, rows_limit, labels_dropped, names_cut,
	    values_cut, queries, rows_selected;
};

/* -- storage.c ---------------------------------------------------------------------------------------------------------- */

/* Between these two index and table are there. */
NODISCARD int storage_enter(struct storage *storage);
void storage_leave(struct storage *storage);
void storage_ref(struct storage *storage);
void storage_unref(struct storage *storage);
/* Before the first change of rows or index: removes cache/, whose answers would be stale for a peer. */
NODISCARD int storage_touch(struct storage *storage);
NODISCARD int storage_check_tenant(const struct storage *storage, struct tenant tenant);

/* -- steps.c -------------------------------------------------------------------------------------------------------------- */

/* UNIT_US: a unit returns after about a millisecond, so that a host which steps by hand stays responsive. */
enum { UNIT_US = 1000 };

NODISCARD int steps_start(struct storage *storage, unsigned threads);
void steps_stop(struct storage *storage);
/* One unit of what is due. *did false: nothing was, or others do it. Errors are told by log and events. */
void steps_unit(struct storage *storage, uint64_t budget_us, bool *did);
int64_t steps_next_tick_ms(struct storage *storage);
/* Events for partitions that became read-only and parts that were found damaged since the last call. */
void steps_tell_trouble(struct storage *storage);
/* Work may have become due earlier. A hook of the table: takes only a leaf lock. */
void steps_wake(void *storage);
/* After index registrations, which have no hook of their own. */
void steps_wake_for_index(struct storage *storage);
/* Somebody got ERR_NOSPACE: the index must be asked to try again. */
void steps_note_full(struct storage *storage);
/* Until a unit was done elsewhere, at most ms. */
void steps_wait_progress(struct storage *storage, int64_t ms);

/* -- jobs.c ---------------------------------------------------------------------------------------------------------------- */

/* Checks pending jobs; ends those that are done. */
void jobs_advance_all(struct storage *storage);
void jobs_free_all(struct storage *storage);
/* Runs until everything accepted is durable, helping. */
NODISCARD int jobs_flush_now(struct storage *storage);

/* -- resolve.c --------------------------------------------------------------------------------------------------------------- */

/* The moment of index and map, and the window rows must be in; read once per batch, inside the cache gate. */
struct resolve_moment {
	uint64_t stamp;
	int64_t min_ms, max_ms; /* after resolve_window */
};

/* What names a series before anybody has parsed it. */
struct series_key {
	struct series_space space;
	struct bytes head, tail;
	const struct ingest_options *options; /* NULL: head is a metric text of the API */
};

/* What is reused between new keys. */
struct resolver {
	struct storage *storage;
	struct arena arena;
	struct buf name; /* the stored name */
	struct metric_name_cuts cuts;
	struct labels labels;
};

void resolver_init(struct resolver *resolver, struct storage *storage);
void resolver_free(struct resolver *resolver);
/* Parses the key into resolver->name; ERR_METRIC. What limits cut is in resolver->cuts. */
NODISCARD int resolve_name(struct resolver *resolver, const struct series_key *key);
/* The index learns name and day; *number in: of the series so far (has_number), out: of today. */
NODISCARD int resolve_register(struct storage *storage, struct bytes name, uint64_t day, bool has_number,
    uint32_t *number);
/* A key that the cache does not have. */
NODISCARD int resolve_new(struct resolver *resolver, const struct resolve_moment *moment, const struct series_key *key,
    uint64_t hash, uint64_t day, struct series_tail **out);
/* A tail whose state is of another moment or day. */
NODISCARD int resolve_again(struct resolver *resolver, const struct resolve_moment *moment,
    const struct series_key *key, uint64_t day, struct series_tail *tail, uint32_t *number);
/* Stores what was found, unless somebody stored something newer; `lock` guards the ref's writers. */
void series_ref_store(struct series_ref *ref, struct lock *lock, uint32_t number, uint64_t state);
/* Makes room when the cache is over its budget, then enters the cache gate. Inside a call. */
NODISCARD int resolve_begin(struct storage *storage, struct resolve_moment *moment);
void resolve_end(struct storage *storage);
/*
 * All that adding a few rows needs, instead of storage_enter and resolve_begin: into the cache gate, which close shuts too.
 * Ends with resolve_end.
 */
NODISCARD int resolve_enter(struct storage *storage, struct resolve_moment *moment);
/* What the clock says is needed only by rows that are not of a known series and day. */
void resolve_window(struct storage *storage, struct resolve_moment *moment);
/* ERR_RANGE with the reason. */
int resolve_range_error(const struct resolve_moment *moment, int64_t timestamp_ms);
static inline bool
resolve_in_window(const struct resolve_moment *moment, int64_t timestamp_ms)
{
	return timestamp_ms >= moment->min_ms && timestamp_ms <= moment->max_ms;
}
/* Waits (and helps) while memory is nearly used up; ERR_MEMORY when it stays so. Not inside the cache gate. */
NODISCARD int resolve_make_room(struct storage *storage);
/* As above, also when memory does not look short: something has just failed for want of it. */
NODISCARD int resolve_make_room_now(struct storage *storage);
/* Frees retired series numbers once no raw row holds them. */
void resolve_reclaim(struct storage *storage);
/* A NaN that is not the stale marker: it must not be stored. */
bool resolve_is_nan(double value);
void resolve_count_cuts(struct storage *storage, const struct metric_name_cuts *cuts);

/* -- select.c, write.c, snapshot.c ---------------------------------------------------------------------------------------------------- */

void select_let_go_all(struct storage *storage);
void writers_free_idle(struct storage *storage);
/* Parses the selectors of a query; NULL in *match: all series. */
NODISCARD int query_parse(struct storage *storage, const struct storage_query *query, struct match **match);
/* The query's range as the index takes it: from 0 on. */
void query_range(const struct storage_query *query, int64_t *min_ms, int64_t *max_ms);

NODISCARD int snapshot_check_name(const char *name);
void snapshot_make_name(struct storage *storage, char *name);
NODISCARD int snapshot_link(struct storage *storage, const char *name);
/* Finishes what a crash left of creating or deleting one. */
NODISCARD int snapshot_recover(struct storage *storage);

#endif
