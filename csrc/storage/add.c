/*
 * add.c -- single rows and columns by metric text, and handles for fast appends.
 * floor: storage     uses: internal.h     used by: ffi
 *
 * A handle keeps the stored name and the last number, day and moment. When the index moved on (deletion, rotation) or the
 * numbers were reset, the name is registered again, so a handle stays good for as long as the database is open.
 */
#include "storage/internal.h"

#include <stdatomic.h>

/* The option hash of keys that come as metric texts from the API: no set of write options hashes to it but by accident of 2^-64. */
#define API_OPTIONS UINT64_C(0x7473656E67696E65)

/* Rows converted at a time; 24 KiB of stack. */
enum { COLUMN_ROWS = 1024 };

struct storage_series {
	struct storage *storage;
	struct tenant tenant;
	struct lock lock;
	struct series_ref ref;
	uint64_t generation; /* of ref.number; under the lock */
	struct buf name;
};

/* A row that would make a series or a day of it known: it must be in the window. */
static int
check_window(struct storage *storage, struct resolve_moment *moment, int64_t timestamp_ms)
{
	resolve_window(storage, moment);
	if (LIKELY(resolve_in_window(moment, timestamp_ms)))
		return 0;
	if (timestamp_ms < moment->min_ms)
		storage->rows_past++;
	else
		storage->rows_future++;
	return resolve_range_error(moment, timestamp_ms);
}

/* Negative timestamps give a day that no series is known for. */
static uint64_t
day_of(int64_t timestamp_ms)
{
	return (uint64_t)timestamp_ms / (uint64_t)MS_PER_DAY;
}

/* Is the number good for this moment and day? */
static inline bool
is_known(const struct series_ref *ref, const struct resolve_moment *moment, uint64_t day)
{
	return atomic_load_explicit(&ref->state, memory_order_acquire) == series_state(moment->stamp, day);
}

/* One row, inside the cache gate. */
static int
add_row(struct storage *storage, struct resolve_moment *moment, uint32_t number, int64_t timestamp_ms, double value)
{
	struct row row = { .series = number, .timestamp_ms = timestamp_ms, .value = value };
	bool in_range = true;

	TRY(table_add_one(storage->table, &row, &in_range));
	if (LIKELY(in_range))
		return 0;
	/* the table counted it */
	resolve_window(storage, moment);
	return resolve_range_error(moment, timestamp_ms);
}

/* -- By metric text ------------------------------------------------------------------------------------------------------- */

/* A key that is new, or known for another moment or day. Needs a resolver, which is too large for a stack. */
static int
find_slowly(struct storage *storage, const struct resolve_moment *moment, const struct series_key *key, uint64_t hash,
    uint64_t day, struct series_tail *tail, uint32_t *number)
{
	struct resolver *resolver = mem_alloc(&storage->mem, sizeof(*resolver));
	int rc;

	if (resolver == NULL)
		return ERR_MEMORY;
	resolver_init(resolver, storage);
	if (tail != NULL) {
		rc = resolve_again(resolver, moment, key, day, tail, number);
	} else {
		rc = resolve_new(resolver, moment, key, hash, day, &tail);
		if (rc == 0)
			*number = tail->ref.number;
	}
	resolver_free(resolver);
	mem_free(&storage->mem, resolver);
	steps_wake_for_index(storage);
	return rc;
}

static int
add_text(struct storage *storage, struct resolve_moment *moment, const struct series_key *key, int64_t timestamp_ms,
    double value)
{
	uint64_t hash = series_cache_hash(&key->space, key->head), day = day_of(timestamp_ms);
	struct series_entry *entry;
	struct series_tail *tail = NULL;
	uint32_t number;

	entry = series_cache_head(&storage->cache, hash, &key->space, key->head);
	if (entry != NULL)
		tail = series_cache_tail(&storage->cache, entry, hash, NULL, key->tail);
	if (LIKELY(tail != NULL && is_known(&tail->ref, moment, day))) {
		number = atomic_load_explicit(&tail->ref.number, memory_order_relaxed);
	} else {
		TRY(check_window(storage, moment, timestamp_ms));
		TRY(find_slowly(storage, moment, key, hash, day, tail, &number));
	}
	return add_row(storage, moment, number, timestamp_ms, value);
}

int
storage_add(struct storage *storage, struct tenant tenant, struct bytes metric, int64_t timestamp_ms, double value)
{
	struct series_key key = { .space = { .tenant = tenant, .options = API_OPTIONS }, .head = metric };
	struct resolve_moment moment;
	int rc;

	TRY(resolve_enter(storage, &moment));
	rc = storage_check_tenant(storage, tenant);
	if (UNLIKELY(rc == 0 && resolve_is_nan(value)))
		storage->rows_nan++;
	else if (rc == 0)
		rc = add_text(storage, &moment, &key, timestamp_ms, value);
	resolve_end(storage);
	return rc;
}

/* -- By handle ---------------------------------------------------------------------------------------------------------------- */

static int
series_make(struct storage *storage, struct tenant tenant, struct bytes metric, struct storage_series **out)
{
	struct series_key key = { .space = { .tenant = tenant, .options = API_OPTIONS }, .head = metric };
	struct resolver *resolver = mem_alloc(&storage->mem, sizeof(*resolver));
	struct storage_series *series = mem_zalloc(&storage->mem, sizeof(*series));
	int rc = ERR_MEMORY;

	if (resolver == NULL || series == NULL)
		goto fail_early;
	resolver_init(resolver, storage);
	TRY_GOTO(fail, resolve_name(resolver, &key));
	resolve_count_cuts(storage, &resolver->cuts);
	series->name = resolver->name;
	buf_init(&resolver->name, &storage->mem);
	series->storage = storage;
	series->tenant = tenant;
	lock_init(&series->lock);
	storage_ref(storage);
	*out = series;
	series = NULL;
fail:
	resolver_free(resolver);
fail_early:
	mem_free(&storage->mem, resolver);
	mem_free(&storage->mem, series);
	return rc;
}

int
storage_series_open(struct storage *storage, struct tenant tenant, struct bytes metric, struct storage_series **out)
{
	int rc;

	TRY(storage_enter(storage));
	TRY_GOTO(out, storage_check_tenant(storage, tenant));
	rc = series_make(storage, tenant, metric, out);
out:
	storage_leave(storage);
	return rc;
}

void
storage_series_free(struct storage_series *series)
{
	struct storage *storage;

	if (series == NULL)
		return;
	storage = series->storage;
	buf_free(&series->name);
	lock_destroy(&series->lock);
	mem_free(&storage->mem, series);
	storage_unref(storage);
}

static int
series_number_slowly(struct storage_series *series, const struct resolve_moment *moment, uint64_t day, uint32_t *number)
{
	struct storage *storage = series->storage;
	uint64_t generation = atomic_load(&storage->generation); /* cannot change inside the cache gate */
	uint64_t state = series_state(moment->stamp, day);
	int rc;

	lock_take(&series->lock);
	*number = series->ref.number;
	rc = resolve_register(storage, buf_bytes(&series->name), day, series->generation == generation, number);
	if (rc == 0 && series->ref.state >> SERIES_DAY_BITS <= moment->stamp) {
		atomic_store_explicit(&series->ref.number, *number, memory_order_relaxed);
		atomic_store_explicit(&series->ref.state, state, memory_order_release);
		series->generation = generation;
	}
	lock_release(&series->lock);
	steps_wake_for_index(storage);
	return rc;
}

/* The number of the series for rows of this day, inside the cache gate. */
static inline int
series_number(struct storage_series *series, const struct resolve_moment *moment, uint64_t day, uint32_t *number)
{
	if (LIKELY(is_known(&series->ref, moment, day))) {
		*number = atomic_load_explicit(&series->ref.number, memory_order_relaxed);
		return 0;
	}
	return series_number_slowly(series, moment, day, number);
}

static int
series_add_row(struct storage_series *series, struct resolve_moment *moment, int64_t timestamp_ms, double value)
{
	uint64_t day = day_of(timestamp_ms);
	uint32_t number;

	if (UNLIKELY(!is_known(&series->ref, moment, day)))
		TRY(check_window(series->storage, moment, timestamp_ms));
	TRY(series_number(series, moment, day, &number));
	return add_row(series->storage, moment, number, timestamp_ms, value);
}

int
storage_series_add(struct storage_series *series, int64_t timestamp_ms, double value)
{
	struct storage *storage = series->storage;
	struct resolve_moment moment;
	int rc = 0;

	TRY(resolve_enter(storage, &moment));
	if (UNLIKELY(resolve_is_nan(value)))
		storage->rows_nan++;
	else
		rc = series_add_row(series, &moment, timestamp_ms, value);
	resolve_end(storage);
	return rc;
}

/* At most COLUMN_ROWS rows, inside the cache gate. */
static int
add_chunk(struct storage_series *series, const struct resolve_moment *moment, const int64_t *timestamps_ms,
    const double *values, size_t n, struct add_counts *counts)
{
	struct row rows[COLUMN_ROWS];
	uint64_t day = UINT64_MAX, past = 0, future = 0, nan = 0;
	uint32_t number = 0;
	size_t kept = 0;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		if (UNLIKELY(!resolve_in_window(moment, timestamps_ms[i]))) {
			past += timestamps_ms[i] < moment->min_ms;
			future += timestamps_ms[i] > moment->max_ms;
			continue;
		}
		if (UNLIKELY(resolve_is_nan(values[i]))) {
			nan++;
			continue;
		}
		if (day_of(timestamps_ms[i]) != day) {
			day = day_of(timestamps_ms[i]);
			rc = series_number(series, moment, day, &number);
			if (rc != 0)
				break;
		}
		rows[kept++] = (struct row){ .series = number, .timestamp_ms = timestamps_ms[i], .value = values[i] };
	}
	series->storage->rows_past += past;
	series->storage->rows_future += future;
	series->storage->rows_nan += nan;
	if (rc == 0 && kept > 0)
		rc = table_add(series->storage->table, rows, kept, counts);
	return rc;
}

int
storage_series_add_columns(struct storage_series *series, const int64_t *timestamps_ms, const double *values, size_t n,
    uint64_t *accepted)
{
	struct storage *storage = series->storage;
	struct add_counts counts = { 0 };
	struct resolve_moment moment;
	int rc = 0;

	*accepted = 0;
	for (size_t done = 0; done < n && rc == 0; done += COLUMN_ROWS) {
		size_t rest = n - done;

		rc = resolve_enter(storage, &moment);
		if (rc != 0)
			break;
		resolve_window(storage, &moment);
		rc = add_chunk(series, &moment, timestamps_ms + done, values + done,
		    rest < COLUMN_ROWS ? rest : COLUMN_ROWS, &counts);
		resolve_end(storage);
	}
	*accepted = counts.accepted;
	return rc;
}
