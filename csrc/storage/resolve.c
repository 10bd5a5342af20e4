/*
 * resolve.c -- raw keys -> series numbers that the index knows of: the slow side of the series cache.
 * floor: storage     uses: internal.h     used by: add, write, steps
 *
 *   batch:   resolve_begin  [cache gate: many]  lookups, registrations, table_add  resolve_end
 *   reset:   cache over budget -> [cache gate: alone]  cache emptied, numbers retired, flush asked for
 *            -> when that flush is done no raw row holds a retired number -> chunks are freed
 *
 * Registration comes before the row: a crash may leave series without rows, never rows without a series.
 */
#include "storage/internal.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "codec/decimal.h"
#include "ingest/metric_text.h"

/*
 * CACHE_SHARE        of the memory limit for raw keys; CACHE_BYTES_MIN however small the limit is
 * CACHE_BYTES_KEPT   emptying a smaller cache would free nothing worth it
 * ROOM_SHARE         writers wait while less than this share of the limit is free
 * LAST_ROOM_SHARE    and are refused when less than this stays free
 * ROOM_WAIT_NS       longest wait for memory before a writer is refused
 */
enum {
	CACHE_SHARE = 8,
	CACHE_BYTES_MIN = 1 << 20,
	CACHE_BYTES_KEPT = 1 << 16,
	ROOM_SHARE = 8,
	LAST_ROOM_SHARE = 24,
	ROOM_WAIT_MS = 2
};
#define ROOM_WAIT_NS (UINT64_C(10) * 1000000000)

/* -- Life --------------------------------------------------------------------------------------------------------------- */

void
resolver_init(struct resolver *resolver, struct storage *storage)
{
	resolver->storage = storage;
	arena_init(&resolver->arena, &storage->mem);
	buf_init(&resolver->name, &storage->mem);
	resolver->cuts = (struct metric_name_cuts){ 0 };
	resolver->labels.count = 0;
}

void
resolver_free(struct resolver *resolver)
{
	buf_free(&resolver->name);
	arena_free(&resolver->arena);
}

bool
resolve_is_nan(double value)
{
	return value != value && !double_is_stale(value);
}

void
resolve_count_cuts(struct storage *storage, const struct metric_name_cuts *cuts)
{
	if (cuts->labels_dropped != 0)
		storage->labels_dropped += cuts->labels_dropped;
	if (cuts->names_cut != 0)
		storage->names_cut += cuts->names_cut;
	if (cuts->values_cut != 0)
		storage->values_cut += cuts->values_cut;
}

/* -- Names and numbers ------------------------------------------------------------------------------------------------------ */

int
resolve_name(struct resolver *resolver, const struct series_key *key)
{
	struct storage *storage = resolver->storage;
	struct metric_name_limits limits = {
		.labels_max = storage->options.labels_max,
		.name_bytes_max = LABEL_NAME_BYTES_MAX,
		.value_bytes_max = LABEL_VALUE_BYTES_MAX,
	};

	/* the peer adds the name of an influx field behind the labels it counts, that of a prometheus line before them */
	if (key->options != NULL && key->options->format == INGEST_INFLUX)
		limits.labels_max++;
	arena_reset(&resolver->arena);
	buf_reset(&resolver->name);
	resolver->cuts = (struct metric_name_cuts){ 0 };
	resolver->labels.count = 0;
	if (key->options != NULL)
		TRY(ingest_key_labels(key->options, key->head, key->tail, &resolver->arena, &resolver->labels));
	else
		TRY(metric_text_parse(key->head, &resolver->arena, &resolver->labels));
	return metric_name_from_labels(storage->root.layout, key->space.tenant, &resolver->labels, &limits,
	    &resolver->name, &resolver->cuts);
}

int
resolve_register(struct storage *storage, struct bytes name, uint64_t day, bool has_number, uint32_t *number)
{
	struct tsid tsid;
	bool created;
	int rc = index_register(storage->index, name, day, &tsid, &created);

	if (UNLIKELY(rc == ERR_NOSPACE))
		steps_note_full(storage);
	if (rc != 0)
		return rc;
	if (has_number && series_map_get(&storage->map, *number)->metric_id == tsid.metric_id)
		return 0;
	return series_map_add(&storage->map, &tsid, number);
}

void
series_ref_store(struct series_ref *ref, struct lock *lock, uint32_t number, uint64_t state)
{
	lock_take(lock);
	/* a batch that began before a deletion must not overwrite what was found after it */
	if (ref->state >> SERIES_DAY_BITS <= state >> SERIES_DAY_BITS) {
		atomic_store_explicit(&ref->number, number, memory_order_relaxed);
		atomic_store_explicit(&ref->state, state, memory_order_release);
	}
	lock_release(lock);
}

int
resolve_new(struct resolver *resolver, const struct resolve_moment *moment, const struct series_key *key, uint64_t hash,
    uint64_t day, struct series_tail **out)
{
	struct storage *storage = resolver->storage;
	uint32_t number = 0;

	TRY(resolve_name(resolver, key));
	TRY(resolve_register(storage, buf_bytes(&resolver->name), day, false, &number));
	resolve_count_cuts(storage, &resolver->cuts);
	return series_cache_insert(&storage->cache, hash, &key->space, key->head, key->tail, number,
	    series_state(moment->stamp, day), out);
}

int
resolve_again(struct resolver *resolver, const struct resolve_moment *moment, const struct series_key *key,
    uint64_t day, struct series_tail *tail, uint32_t *number)
{
	struct storage *storage = resolver->storage;
	uint64_t state = atomic_load_explicit(&tail->ref.state, memory_order_acquire);
	uint32_t found = atomic_load_explicit(&tail->ref.number, memory_order_relaxed);
	int rc = ERR_NOTFOUND;

	TRY(resolve_name(resolver, key));
	if (state >> SERIES_DAY_BITS == moment->stamp)
		rc = index_register_date(storage->index, series_map_get(&storage->map, found),
		    buf_bytes(&resolver->name), day);
	if (rc == ERR_NOTFOUND) /* another moment, or deleted since this batch began */
		rc = resolve_register(storage, buf_bytes(&resolver->name), day, true, &found);
	if (rc != 0)
		return rc;
	series_ref_store(&tail->ref, &storage->cache.lock, found, series_state(moment->stamp, day));
	*number = found;
	return 0;
}

/* -- Batches and resets ------------------------------------------------------------------------------------------------------ */

/* Read outside the gates too, while close lifts it. */
static uint64_t
limit_bytes(const struct storage *storage)
{
	return __atomic_load_n(&storage->mem.limit_bytes, __ATOMIC_RELAXED);
}

static uint64_t
cache_budget(const struct storage *storage)
{
	uint64_t budget = limit_bytes(storage) / CACHE_SHARE;

	return budget > CACHE_BYTES_MIN ? budget : CACHE_BYTES_MIN;
}

/* Forgets all raw keys and begins a new set of numbers, unless somebody did it meanwhile: the cache has at most `bytes`. */
static int
cache_reset(struct storage *storage, uint64_t bytes)
{
	uint64_t ticket, before;
	int rc = 0;

	gate_shut(&storage->cache_gate);
	if (storage->cache.bytes > bytes) {
		rc = series_cache_clear(&storage->cache);
		series_map_retire(&storage->map, &before);
		storage->generation++;
		table_flush_request(storage->table, &ticket);
		lock_take(&storage->jobs_lock);
		storage->reclaim_ticket = ticket;
		storage->reclaim_before = before;
		atomic_store(&storage->reclaiming, true);
		lock_release(&storage->jobs_lock);
	}
	gate_open(&storage->cache_gate);
	return rc;
}

void
resolve_reclaim(struct storage *storage)
{
	uint64_t ticket, before;
	bool done = false;
	int rc;

	lock_take(&storage->jobs_lock);
	ticket = storage->reclaim_ticket;
	before = storage->reclaim_before;
	lock_release(&storage->jobs_lock);
	rc = table_flush_check(storage->table, ticket, &done);
	if (rc == 0 && !done)
		return;
	/* rows that cannot be written keep their numbers until close */
	if (rc == 0) {
		/* a view taken before the rows became parts may still look their numbers up */
		gate_shut(&storage->moment_gate);
		series_map_reclaim(&storage->map, before);
		gate_open(&storage->moment_gate);
	}
	lock_take(&storage->jobs_lock);
	if (storage->reclaim_ticket == ticket)
		atomic_store(&storage->reclaiming, false);
	lock_release(&storage->jobs_lock);
}

/* -- Memory ---------------------------------------------------------------------------------------------------------------------- */

static bool
is_short(struct storage *storage, unsigned share)
{
	uint64_t limit = limit_bytes(storage);

	return limit != 0 && mem_used(&storage->mem) > limit - limit / share;
}

/* Until memory is not short; all: until everything is written, short or not. */
static int
make_room(struct storage *storage, bool all)
{
	uint64_t until_ns = clock_budget_ns() + ROOM_WAIT_NS;
	uint64_t ticket;
	bool done = false;

	index_flush_request(storage->index);
	table_flush_request(storage->table, &ticket);
	steps_wake(storage);
	while ((all || is_short(storage, ROOM_SHARE)) && !done && clock_budget_ns() < until_ns) {
		bool did;

		steps_unit(storage, UNIT_US, &did);
		if (!did)
			steps_wait_progress(storage, ROOM_WAIT_MS);
		if (table_flush_check(storage->table, ticket, &done) != 0)
			break;
	}
	if (is_short(storage, LAST_ROOM_SHARE))
		writers_free_idle(storage);
	if (is_short(storage, LAST_ROOM_SHARE))
		TRY(cache_reset(storage, CACHE_BYTES_KEPT));
	if (is_short(storage, LAST_ROOM_SHARE))
		return ERR(ERR_MEMORY,
		    "the memory limit is used up by what cannot be written or freed now: no rows are taken until there "
		    "is room");
	return 0;
}

int
resolve_make_room(struct storage *storage)
{
	return LIKELY(!is_short(storage, ROOM_SHARE)) ? 0 : make_room(storage, false);
}

int
resolve_make_room_now(struct storage *storage)
{
	return make_room(storage, true);
}

/* -- Going in -------------------------------------------------------------------------------------------------------- */

/* Both only grow, so equal sums mean that neither changed. */
static uint64_t
stamp_of(struct storage *storage)
{
	return index_epoch(storage->index) + atomic_load_explicit(&storage->generation, memory_order_acquire);
}

int
resolve_begin(struct storage *storage, struct resolve_moment *moment)
{
	if (UNLIKELY(atomic_load_explicit(&storage->cache.bytes, memory_order_relaxed) > cache_budget(storage)))
		TRY(cache_reset(storage, cache_budget(storage)));
	gate_enter(&storage->cache_gate);
	moment->stamp = stamp_of(storage);
	return 0;
}

/* What a call does before its first row; inside storage_enter. */
static int
prepare(struct storage *storage)
{
	TRY(storage_touch(storage));
	TRY(resolve_make_room(storage));
	return storage->cache.bytes > cache_budget(storage) ? cache_reset(storage, cache_budget(storage)) : 0;
}

static int
prepare_slowly(struct storage *storage)
{
	int rc;

	TRY(storage_enter(storage));
	rc = prepare(storage);
	storage_leave(storage);
	return rc;
}

int
resolve_enter(struct storage *storage, struct resolve_moment *moment)
{
	if (UNLIKELY(fork_guard_is_child(&storage->guard) ||
		!atomic_load_explicit(&storage->touched, memory_order_acquire) || is_short(storage, ROOM_SHARE) ||
		atomic_load_explicit(&storage->cache.bytes, memory_order_relaxed) > cache_budget(storage)))
		TRY(prepare_slowly(storage));
	if (UNLIKELY(!gate_enter_unless(&storage->cache_gate, &storage->closing)))
		return ERR(ERR_NOTFOUND, "the database is closed");
	moment->stamp = stamp_of(storage);
	return 0;
}

void
resolve_window(struct storage *storage, struct resolve_moment *moment)
{
	table_window(storage->table, &moment->min_ms, &moment->max_ms);
}

int
resolve_range_error(const struct resolve_moment *moment, int64_t timestamp_ms)
{
	if (timestamp_ms < moment->min_ms)
		return ERR(ERR_RANGE, "timestamp %" PRId64 " is before %" PRId64 ", where retention begins",
		    timestamp_ms, moment->min_ms);
	return ERR(ERR_RANGE, "timestamp %" PRId64 " is after %" PRId64 ", the limit for the future", timestamp_ms,
	    moment->max_ms);
}

void
resolve_end(struct storage *storage)
{
	gate_leave(&storage->cache_gate);
}
