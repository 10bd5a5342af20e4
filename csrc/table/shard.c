/*
 * shard.c -- see shard.h.
 * floor: table     uses: shard.h     used by: partition
 */
#include "table/shard.h"

#include "base/err.h"

enum { BATCH_ROWS_MIN = 1024, BATCH_GROWTH = 4 };

/* -- Batches ---------------------------------------------------------------------------------------------------------- */

static struct row_batch *
batch_take_spare(struct table_shared *shared)
{
	struct row_batch *batch = NULL;

	lock_take(&shared->lock);
	if (shared->spares_count > 0)
		batch = shared->spares[--shared->spares_count];
	lock_release(&shared->lock);
	return batch;
}

static struct row_batch *
batch_create(struct table_shared *shared, uint32_t cap)
{
	struct row_batch *batch = NULL;

	if (cap == shared->options.shard_rows)
		batch = batch_take_spare(shared);
	if (batch == NULL) {
		batch = mem_alloc(shared->env.mem, sizeof(*batch) + (size_t)cap * sizeof(struct row));
		if (batch == NULL)
			return NULL;
		batch->cap = cap;
		batch->shared = shared;
	}
	batch->refs = 1;
	return batch;
}

void
row_batch_ref(struct row_batch *batch)
{
	batch->refs++;
}

void
row_batch_unref(struct row_batch *batch)
{
	struct table_shared *shared;
	bool kept = false;

	if (batch == NULL || --batch->refs > 0)
		return;
	shared = batch->shared;
	if (batch->cap == shared->options.shard_rows) {
		lock_take(&shared->lock);
		if (shared->spares_count < SPARE_BATCHES_MAX) {
			shared->spares[shared->spares_count++] = batch;
			kept = true;
		}
		lock_release(&shared->lock);
	}
	if (!kept)
		mem_free(shared->env.mem, batch);
}

void
row_batch_free_spares(struct table_shared *shared)
{
	while (shared->spares_count > 0)
		mem_free(shared->env.mem, shared->spares[--shared->spares_count]);
}

/* -- Shards ----------------------------------------------------------------------------------------------------------- */

void
shard_init(struct shard *shard)
{
	*shard = (struct shard){ .batch = NULL };
	shard->due_tick_ms = INT64_MAX;
	shard->epoch = UINT64_MAX;
	lock_init(&shard->lock);
}

void
shard_destroy(struct shard *shard)
{
	row_batch_unref(shard->batch);
	shard->batch = NULL;
	lock_destroy(&shard->lock);
}

/* Room for at least one more row, unless the batch is as large as it may be. The lock is held. */
static int
shard_make_room(struct shard *shard, struct table_shared *shared, size_t rows)
{
	uint32_t cap_max = shared->options.shard_rows;
	uint64_t want = shard->batch == NULL ? BATCH_ROWS_MIN : (uint64_t)shard->batch->cap * BATCH_GROWTH;
	struct row_batch *batch;

	if (shard->batch != NULL && (shard->count < shard->batch->cap || shard->batch->cap >= cap_max))
		return 0;
	if (shard->batch == NULL && want < shard->expected)
		want = shard->expected;
	while (want < shard->count + rows && want < cap_max)
		want *= BATCH_GROWTH;
	batch = batch_create(shared, want < cap_max ? (uint32_t)want : cap_max);
	if (batch == NULL)
		return ERR_MEMORY;
	if (shard->batch != NULL)
		memcpy(batch->rows, shard->batch->rows, shard->count * sizeof(struct row));
	row_batch_unref(shard->batch);
	shard->batch = batch;
	return 0;
}

static void
shard_start(struct shard *shard, const struct table_shared *shared)
{
	int64_t now = clock_tick_ms(shared->env.clock);
	int64_t wait = shared->options.visible_ms < shared->options.durable_ms ? shared->options.visible_ms
									       : shared->options.durable_ms;

	shard->epoch = shared->epoch;
	shard->durable_by_tick_ms = tick_add(now, shared->options.durable_ms);
	shard->due_tick_ms = tick_add(now, wait);
}

int
shard_append(struct shard *shard, struct table_shared *shared, const struct row *rows, size_t n, size_t *taken,
    bool *started, bool *closed)
{
	size_t room;
	int rc;

	*taken = 0;
	*started = false;
	lock_take(&shard->lock);
	*closed = shard->closed;
	if (shard->closed) {
		lock_release(&shard->lock);
		return 0;
	}
	rc = shard_make_room(shard, shared, n);
	if (rc == 0) {
		room = shard->batch->cap - shard->count;
		*taken = n < room ? n : room;
		*started = shard->count == 0 && *taken > 0;
		if (*started)
			shard_start(shard, shared);
		memcpy(shard->batch->rows + shard->count, rows, *taken * sizeof(struct row));
		shard->count += (uint32_t)*taken;
		shard->added += *taken;
	}
	lock_release(&shard->lock);
	return rc;
}

bool
shard_detach(struct shard *shard, const struct table_shared *shared, bool only_full, struct raw_rows *out)
{
	bool any;

	lock_take(&shard->lock);
	any = shard->count > 0 && (!only_full || shard->count == shared->options.shard_rows);
	if (any) {
		out->batch = shard->batch;
		out->count = shard->count;
		out->durable_by_tick_ms = shard->durable_by_tick_ms;
		out->epoch = shard->epoch;
		shard->expected = shard->count;
		shard->batch = NULL;
		shard->count = 0;
		shard->due_tick_ms = INT64_MAX;
		shard->epoch = UINT64_MAX;
	}
	lock_release(&shard->lock);
	return any;
}
