/*
 * storage.c -- a database's life: open, close, what all calls share.
 * floor: storage     uses: internal.h     used by: ffi
 *
 *   open    root (checks, locks, layout) -> index -> table -> threads
 *   close   shut the door, wait for those inside -> flush -> threads end -> table -> index -> locks
 *
 * The index is opened before the table: the table may ask it through its hooks from its first moment.
 */
#include "storage/internal.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/machine.h"

/*
 * STAGING_SERIES_MAX      registrations that wait before the writer seals them: 23 ms of it
 * STAGING_SERIES_STEPPED  without threads: a host that steps by hand is held for 3 ms at most
 * STAGING_SHARE_BYTES     of the memory limit for one series in it: 2000 of 32 MB
 * INDEX_MEM_SHARE         of the memory limit for in-memory index parts
 * MEMORY_SHARE            of the machine's memory, when no limit is given
 */
enum {
	STAGING_SERIES_MAX = 16384,
	STAGING_SERIES_STEPPED = 2048,
	STAGING_SERIES_MIN = 256,
	STAGING_SHARE_BYTES = 16384,
	INDEX_MEM_SHARE = 16,
	INDEX_MEM_BYTES_MAX = 32 << 20,
	MEMORY_SHARE = 4,
	LABELS_MAX_SANE = LABELS_MAX
};

/* Days of timestamps must fit a series_ref; far beyond what the format's names can say anyway. */
#define FUTURE_LIMIT_MS_MAX ((int64_t)(SERIES_DAYS_MAX / 4) * MS_PER_DAY)

void
storage_options_default(struct storage_options *options)
{
	*options = (struct storage_options){
		.layout = -1,
		.future_limit_ms = 2 * MS_PER_DAY,
		.threads = -1,
		.visible_ms = 1000,
		.durable_ms = 5000,
		.merge_fan = 15,
		.min_free_disk_bytes = 100000000,
		.log_target = LOG_TO_NOBODY,
		.labels_max = LABELS_KEPT_DEFAULT,
	};
}

/* -- The shell --------------------------------------------------------------------------------------------------------- */

void
storage_ref(struct storage *storage)
{
	atomic_fetch_add_explicit(&storage->refs, 1, memory_order_relaxed);
}

void
storage_unref(struct storage *storage)
{
	if (atomic_fetch_sub_explicit(&storage->refs, 1, memory_order_acq_rel) != 1)
		return;
	events_destroy(&storage->events);
	log_destroy(&storage->log);
	if (storage->io_owned)
		io_destroy(storage->io);
	if (storage->release != NULL)
		storage->release(storage->context);
	gate_destroy(&storage->calls);
	gate_destroy(&storage->cache_gate);
	gate_destroy(&storage->moment_gate);
	lock_destroy(&storage->selects_lock);
	lock_destroy(&storage->writers_lock);
	lock_destroy(&storage->snapshot_lock);
	lock_destroy(&storage->touch_lock);
	lock_destroy(&storage->jobs_lock);
	lock_destroy(&storage->steps.lock);
	cond_destroy(&storage->steps.work);
	cond_destroy(&storage->steps.progress);
	fork_guard_destroy(&storage->guard);
	free(storage);
}

static void
locks_init(struct storage *storage)
{
	gate_init(&storage->calls);
	gate_init(&storage->cache_gate);
	gate_init(&storage->moment_gate);
	lock_init(&storage->selects_lock);
	lock_init(&storage->writers_lock);
	lock_init(&storage->snapshot_lock);
	lock_init(&storage->touch_lock);
	lock_init(&storage->jobs_lock);
	lock_init(&storage->steps.lock);
	cond_init(&storage->steps.work);
	cond_init(&storage->steps.progress);
}

/* The shell holds the memory account itself, so it cannot be allocated from it. */
static int
shell_make(const struct storage_env *env, const struct storage_options *options, struct storage **out)
{
	struct storage *storage = calloc(1, sizeof(*storage));
	uint64_t limit = options->memory_limit_bytes;
	int rc = 0;

	if (storage == NULL) {
		if (env->release != NULL)
			env->release(env->context);
		return ERR(ERR_MEMORY, "the system has no memory to open a database");
	}
	storage->refs = 1;
	storage->options = *options;
	storage->options.path = NULL;
	fork_guard_init(&storage->guard);
	locks_init(storage);
	mem_init(&storage->mem, limit != 0 ? limit : machine_memory_bytes() / MEMORY_SHARE);
	clock_init_wall(&storage->wall);
	storage->clock = env->clock != NULL ? env->clock : &storage->wall;
	storage->release = env->release;
	storage->context = env->context;
	log_init(&storage->log, &storage->mem, storage->clock, options->log_target);
	events_init(&storage->events, &storage->mem, storage->clock);
	storage->generation = 1;
	storage->snapshot_counter = clock_now_ns(storage->clock);
	storage->io = env->io;
	if (storage->io == NULL) {
		rc = io_posix_create(&storage->mem, &storage->io);
		storage->io_owned = rc == 0;
	}
	if (rc != 0)
		storage_unref(storage);
	else
		*out = storage;
	return rc;
}

/* -- The inside ---------------------------------------------------------------------------------------------------------- */

static uint64_t
hook_last_seq(void *context)
{
	return index_last_seq(((struct storage *)context)->index);
}

static uint64_t
hook_durable_seq(void *context)
{
	return index_durable_seq(((struct storage *)context)->index);
}

static void
hook_flush_request(void *context)
{
	index_flush_request(((struct storage *)context)->index);
}

static int
hook_deleted_acquire(void *context, const struct u64set **out)
{
	return index_deleted(((struct storage *)context)->index, out);
}

static void
hook_deleted_release(void *context, const struct u64set *set)
{
	index_deleted_release(((struct storage *)context)->index, set);
}

/* Sealing takes some 300 bytes per series at once; it must fit into what writers leave free. */
static uint32_t
staging_series(const struct storage *storage)
{
	uint64_t by_memory = storage->mem.limit_bytes / STAGING_SHARE_BYTES;
	uint64_t most = storage->options.threads == 0 ? STAGING_SERIES_STEPPED : STAGING_SERIES_MAX;

	most = storage->mem.limit_bytes != 0 && by_memory < most ? by_memory : most;
	return most > STAGING_SERIES_MIN ? (uint32_t)most : STAGING_SERIES_MIN;
}

/* In-memory index parts of a generation; 0 leaves it to the index. */
static uint64_t
index_mem_bytes(const struct storage *storage)
{
	uint64_t share = storage->mem.limit_bytes / INDEX_MEM_SHARE;

	return share < INDEX_MEM_BYTES_MAX ? share : INDEX_MEM_BYTES_MAX;
}

static int
inside_open_index(struct storage *storage)
{
	const struct storage_options *options = &storage->options;
	struct index_env env = {
		.io = storage->io,
		.mem = &storage->mem,
		.clock = storage->clock,
		.log = &storage->log,
		.layout = storage->root.layout,
		.retention_ms = options->retention_ms,
		.visible_ms = options->visible_ms,
		.durable_ms = options->durable_ms,
		.staging_series_max = staging_series(storage),
		.mem_bytes_max = index_mem_bytes(storage),
		.read_only = options->read_only,
	};
	char *path = root_path(&storage->root, "indexdb");
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	env.root = path;
	rc = root_composite_from(&storage->root, &env.composite_from_ms);
	if (rc == 0)
		rc = index_open(&env, &storage->index);
	mem_free(&storage->mem, path);
	return rc;
}

static int
inside_open_table(struct storage *storage)
{
	const struct storage_options *o = &storage->options;
	struct table_options options = {
		.layout = storage->root.layout,
		.shards = o->shards,
		.shard_rows = o->shard_rows,
		.visible_ms = o->visible_ms,
		.durable_ms = o->durable_ms,
		.retention_ms = o->retention_ms,
		.future_limit_ms = o->future_limit_ms,
		.dedup_interval_ms = o->dedup_interval_ms,
		.dedup_keep = o->dedup_keep,
		.merge_fan = o->merge_fan,
		.merge_workers = o->merge_workers,
		.min_free_disk_bytes = o->min_free_disk_bytes,
		.read_only = o->read_only,
	};
	struct table_env env = {
		.io = storage->io,
		.mem = &storage->mem,
		.clock = storage->clock,
		.log = &storage->log,
		.tsids = &storage->map,
		.tsid_get = series_map_get,
		.hooks = {
			.context = storage,
			.index_last_seq = hook_last_seq,
			.index_durable_seq = hook_durable_seq,
			.index_flush_request = hook_flush_request,
			.deleted_acquire = hook_deleted_acquire,
			.deleted_release = hook_deleted_release,
			.wake = steps_wake,
		},
	};
	char *data = root_path(&storage->root, "data");
	char *side = root_path(&storage->root, "tsengine");
	int rc = ERR_MEMORY;

	env.data_path = data;
	env.side_path = side;
	if (data != NULL && side != NULL)
		rc = table_open(&env, &options, &storage->table);
	mem_free(&storage->mem, side);
	mem_free(&storage->mem, data);
	return rc;
}

/* Threads are stopped. In this order: the table asks the index while it lives. */
static void
inside_close(struct storage *storage)
{
	struct err_saved saved;

	err_save(&saved);
	select_let_go_all(storage);
	writers_free_idle(storage);
	jobs_free_all(storage);
	table_close(storage->table);
	storage->table = NULL;
	index_close(storage->index);
	storage->index = NULL;
	series_cache_destroy(&storage->cache);
	if (storage->map.mem != NULL)
		series_map_destroy(&storage->map);
	storage->map.mem = NULL;
	root_close(&storage->root);
	(void)err_restore(&saved);
}

static int
check_options(const struct storage_options *o)
{
	if (o->path == NULL || o->path[0] == '\0')
		return ERR(ERR_FORMAT, "no path was given");
	if (o->layout < -1 || o->layout > LAYOUT_CLUSTER)
		return ERR(ERR_FORMAT, "layout %d is neither 0 (single) nor 1 (cluster) nor -1 (as found)", o->layout);
	if (o->retention_ms < 0 || o->dedup_interval_ms < 0 || o->visible_ms < 0 || o->durable_ms < 0)
		return ERR(ERR_FORMAT,
		    "a negative duration was given: retention, dedup interval and flush times start at 0");
	if (o->future_limit_ms < 0 || o->future_limit_ms > FUTURE_LIMIT_MS_MAX)
		return ERR(ERR_FORMAT, "future limit %" PRId64 " ms is outside [0, %" PRId64 "]", o->future_limit_ms,
		    FUTURE_LIMIT_MS_MAX);
	if (o->threads < -1 || o->threads > 256)
		return ERR(ERR_FORMAT, "threads %d is outside [-1, 256]", o->threads);
	if (o->labels_max < 1 || o->labels_max > LABELS_MAX_SANE)
		return ERR(ERR_FORMAT, "labels_max %u is outside [1, %d]", o->labels_max, LABELS_MAX_SANE);
	if (o->dedup_keep != DEDUP_LAST && o->dedup_keep != DEDUP_FIRST)
		return ERR(ERR_FORMAT, "dedup_keep %d is neither 0 (last) nor 1 (first)", (int)o->dedup_keep);
	return 0;
}

static int
inside_open(struct storage *storage, const struct storage_options *options)
{
	unsigned threads = options->threads < 0 ? thread_cpus() : (unsigned)options->threads;

	TRY(root_open(storage->io, &storage->mem, options->path, options->layout, options->read_only, &storage->root));
	if (storage->root.layout == LAYOUT_SINGLE && (options->tenant.account != 0 || options->tenant.project != 0))
		return ERR(ERR_LAYOUT, "the single layout has no tenants but 0:0");
	series_map_init(&storage->map, &storage->mem);
	TRY(series_cache_init(&storage->cache, &storage->mem));
	TRY(inside_open_index(storage));
	TRY(inside_open_table(storage));
	if (!options->read_only)
		TRY(snapshot_recover(storage));
	steps_tell_trouble(storage);
	return steps_start(storage, options->read_only ? 0 : threads);
}

int
storage_open(const struct storage_env *env, const struct storage_options *options, struct storage **out)
{
	struct storage *storage = NULL;
	struct err_saved saved;
	int rc = check_options(options);

	if (rc != 0) {
		if (env->release != NULL)
			env->release(env->context);
		return rc;
	}
	TRY(shell_make(env, options, &storage));
	rc = inside_open(storage, options);
	if (rc != 0) {
		err_save(&saved);
		steps_stop(storage);
		inside_close(storage);
		storage_unref(storage);
		return err_restore(&saved);
	}
	*out = storage;
	return 0;
}

/* -- Calls ---------------------------------------------------------------------------------------------------------------- */

int
storage_enter(struct storage *storage)
{
	if (UNLIKELY(fork_guard_is_child(&storage->guard)))
		return ERR(ERR_FORKED, "the database was opened by another process (%ld): open it anew in this one",
		    (long)storage->guard.owner);
	if (UNLIKELY(!gate_try_enter(&storage->calls)))
		return ERR(ERR_NOTFOUND, "the database is closed");
	return 0;
}

void
storage_leave(struct storage *storage)
{
	gate_leave(&storage->calls);
}

/*
 * In a child, nothing can be freed safely: another thread of the parent may have been in the middle of changing it at the
 * fork, and an unfinished merge would remove the parent's files. The pages stay until the child ends or execs.
 */
static int
leave_to_parent(struct storage *storage)
{
	return ERR(ERR_FORKED, "the database was opened by process %ld and stays its own: nothing was flushed",
	    (long)storage->guard.owner);
}

static int
close_flush(struct storage *storage)
{
	if (storage->options.read_only)
		return 0;
	/* what was accepted under the limit must not be lost to it; no other thread allocates any more */
	__atomic_store_n(&storage->mem.limit_bytes, 0, __ATOMIC_RELAXED);
	return jobs_flush_now(storage);
}

static int
end(struct storage *storage, bool flush)
{
	int rc = 0;

	if (fork_guard_is_child(&storage->guard))
		return leave_to_parent(storage);
	atomic_store(&storage->closing, true);
	gate_shut(&storage->calls);
	gate_shut(&storage->cache_gate);
	steps_stop(storage);
	if (flush)
		rc = close_flush(storage);
	inside_close(storage);
	storage_unref(storage);
	return rc;
}

int
storage_close(struct storage *storage)
{
	return end(storage, true);
}

void
storage_abandon(struct storage *storage)
{
	(void)end(storage, false);
}

int64_t
storage_now_ms(const struct storage *storage)
{
	return clock_now_ms(storage->clock);
}

enum layout
storage_layout(const struct storage *storage)
{
	return storage->root.layout;
}

int
storage_check_tenant(const struct storage *storage, struct tenant tenant)
{
	if (storage->root.layout == LAYOUT_SINGLE && (tenant.account != 0 || tenant.project != 0))
		return ERR(ERR_LAYOUT, "tenant %u:%u was given, but the single layout has none but 0:0", tenant.account,
		    tenant.project);
	return 0;
}

int
storage_touch(struct storage *storage)
{
	char *path;
	bool there = false;
	int rc = 0;

	if (LIKELY(atomic_load_explicit(&storage->touched, memory_order_acquire)))
		return 0;
	if (storage->options.read_only)
		return ERR(ERR_READONLY, "the database was opened read-only");
	lock_take(&storage->touch_lock);
	path = root_path(&storage->root, "cache");
	rc = path != NULL ? io_exists(storage->io, path, &there) : ERR_MEMORY;
	if (rc == 0 && there)
		rc = io_remove_tree(storage->io, path);
	if (rc == 0 && there)
		rc = io_fsync_dir(storage->io, storage->root.path);
	mem_free(&storage->mem, path);
	if (rc == 0)
		atomic_store_explicit(&storage->touched, true, memory_order_release);
	lock_release(&storage->touch_lock);
	return rc;
}
