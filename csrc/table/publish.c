/*
 * publish.c -- see publish.h.
 * floor: table     uses: publish.h     used by: partition, job, retention, recover
 *
 * The order on disk. "Old": the sources are seen after the next open; "new": the result is.
 *
 * A. From memory only: there is nothing to remove, so one rename publishes (8 fsyncs with those of the writer).
 *
 *   tmp/<id>/ complete, its 5 files and itself fsynced        old      (the merge)
 *   SYNC_TMP   fsync tmp/                                     old      or the rename could move a name that never was
 *   MOVE       rename tmp/<id> -> <part>                      old or new
 *   SYNC       fsync <tree>/<month>                           new
 *   SHOW       in memory: sources out, part in                         rows are durable from here on
 *
 * B. With sources on disk: a transaction makes many renames one.
 *
 *   SYNC_TMP   fsync tmp/                                     old
 *   COMMIT     txn/<id> written, fsynced, renamed, fsync txn/ old, then new  <-- the commit point
 *   MOVE       rename sources -> tmp/<id>.removed.<n>,        new      the transaction, run again, does the same
 *              rename tmp/<id> -> <part>
 *   SYNC       fsync small/<month>, fsync big/<month>         new      also without the transaction
 *   SHOW       in memory: sources out, part in
 *   FORGET     unlink txn/<id> (not fsynced: running it again is harmless), trash deletes tmp/<id>.removed.<n>
 *
 * The transaction stands in small/<month>/txn as soon as anything small is touched: the peer opens small parts before
 * it runs the transactions of the big tree, and would see sources that are about to vanish.
 * Directories are renamed before they are deleted: nobody ever opens half a part.
 * Open descriptors outlive all of this, so a view that holds a source goes on reading it.
 */
#include "table/publish.h"

#include <inttypes.h>

static uint32_t
next_part_id(struct table_shared *shared)
{
	return ++shared->part_ids;
}

/* -- Slots: the lock is held ------------------------------------------------------------------------------------------ */

static void
slot_put(struct partition *partition, struct part *part, uint64_t epoch)
{
	assert(partition->slots_count < partition->slots_room);
	part->table.id = next_part_id(partition->shared);
	partition->slots[partition->slots_count++] = (struct part_slot){ .part = part, .epoch = epoch };
}

/* The slot's reference becomes the caller's. */
static void
slot_take(struct partition *partition, const struct part *part)
{
	for (size_t i = 0; i < partition->slots_count; i++) {
		if (partition->slots[i].part != part)
			continue;
		memmove(&partition->slots[i], &partition->slots[i + 1],
		    (partition->slots_count - i - 1) * sizeof(partition->slots[0]));
		partition->slots_count--;
		return;
	}
	assert(!"a source is not in its partition");
}

int
publish_raw_rows(struct partition *partition, struct raw_rows *raw, struct part *part)
{
	struct table_shared *shared = partition->shared;
	int rc;

	lock_take(&partition->lock);
	rc = partition_reserve_slot(partition);
	if (rc == 0) {
		struct raw_rows **at = &partition->converting;

		while (*at != raw)
			at = &(*at)->next;
		*at = raw->next;
		slot_put(partition, part, raw->epoch);
		shared->memory_idle_bytes += part->bytes;
		partition_refresh(partition);
	}
	lock_release(&partition->lock);
	if (rc != 0)
		return rc;
	row_batch_unref(raw->batch);
	mem_free(shared->env.mem, raw);
	return 0;
}

int
publish_found(struct partition *partition, struct part *part)
{
	int rc;

	lock_take(&partition->lock);
	rc = partition_reserve_slot(partition);
	if (rc == 0) {
		slot_put(partition, part, UINT64_MAX);
		partition_refresh(partition);
	}
	lock_release(&partition->lock);
	return rc;
}

/* -- Directories ------------------------------------------------------------------------------------------------------ */

static enum tree
tree_of(const struct part *part)
{
	return part->tier == PART_TIER_BIG ? TREE_BIG : TREE_SMALL;
}

static bool
has_output(const struct publish *publish)
{
	return publish->header.rows > 0;
}

static char *
output_path(const struct publish *publish, bool final)
{
	const struct partition *partition = publish->partition;
	char name[PART_NAME_MAX];

	if (!final)
		return mem_printf(partition->shared->env.mem, "%s/tmp/%016" PRIX64, partition->path[publish->tree],
		    publish->id);
	part_name_format(&publish->header, name);
	return mem_printf(partition->shared->env.mem, "%s/%s", partition->path[publish->tree], name);
}

static char *
removed_path(const struct publish *publish, size_t source)
{
	return mem_printf(publish->partition->shared->env.mem, "%s/tmp/%016" PRIX64 ".removed.%zu",
	    publish->partition->path[tree_of(publish->sources[source])], publish->id, source);
}

static int
rename_and_free(const struct partition *partition, char *from, char *to)
{
	int rc = from == NULL || to == NULL ? ERR_MEMORY : io_rename(partition->shared->env.io, from, to);

	mem_free(partition->shared->env.mem, from);
	mem_free(partition->shared->env.mem, to);
	return rc;
}

static int
sync_directory(const struct partition *partition, enum tree tree, const char *below)
{
	char *path = mem_printf(partition->shared->env.mem, "%s%s", partition->path[tree], below);
	int rc = path == NULL ? ERR_MEMORY : io_fsync_dir(partition->shared->env.io, path);

	mem_free(partition->shared->env.mem, path);
	return rc;
}

/* -- The steps ---------------------------------------------------------------------------------------------------------- */

static int
start(struct publish *publish, bool *blocked)
{
	struct partition *partition = publish->partition;
	int rc = 0;

	lock_take(&partition->lock);
	*blocked = partition->snapshots > 0;
	if (!*blocked)
		rc = partition_reserve_slot(partition);
	if (!*blocked && rc == 0) {
		partition->committing++;
		publish->state = has_output(publish) ? PUBLISH_SYNC_TMP : PUBLISH_COMMIT;
	}
	lock_release(&partition->lock);
	for (size_t i = 0; i < publish->sources_count; i++)
		publish->files += publish->sources[i]->tier != PART_TIER_MEM;
	return rc;
}

/* The tree whose txn/ the transaction stands in. */
static enum tree
txn_home(const struct publish *publish)
{
	for (size_t i = 0; i < publish->sources_count; i++)
		if (publish->sources[i]->tier == PART_TIER_SMALL)
			return TREE_SMALL;
	return publish->tree;
}

static char *
txn_path(const struct publish *publish)
{
	return mem_printf(publish->partition->shared->env.mem, "%s/txn/%016" PRIX64,
	    publish->partition->path[txn_home(publish)], publish->id);
}

/* The file was written but its directory was not synced, for want of memory: that is all that is left to do. */
static int
commit_again(struct publish *publish, bool *there)
{
	char *path = txn_path(publish);
	int rc = path == NULL ? ERR_MEMORY : io_exists(publish->partition->shared->env.io, path, there);

	mem_free(publish->partition->shared->env.mem, path);
	if (rc != 0 || !*there)
		return rc;
	return sync_directory(publish->partition, txn_home(publish), "/txn");
}

static int
commit(struct publish *publish)
{
	struct mem *mem = publish->partition->shared->env.mem;
	struct txn_part *removes, to = { .root = publish->tree, .name = NULL };
	struct txn_root roots[2];
	struct txn_place place;
	char name[PART_NAME_MAX];
	bool there = false;
	size_t n = 0;
	int rc;

	if (publish->committed)
		TRY(commit_again(publish, &there));
	if (there)
		return 0;
	removes = mem_array(mem, publish->files, sizeof(*removes));
	if (removes == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < publish->sources_count; i++) {
		const struct part *source = publish->sources[i];

		if (source->tier == PART_TIER_MEM)
			continue;
		removes[n++] = (struct txn_part){ .root = tree_of(source), .name = source->name };
	}
	partition_place(publish->partition, roots, &place);
	if (has_output(publish)) {
		part_name_format(&publish->header, name);
		to.name = name;
	}
	rc = txn_write(&place, txn_home(publish), publish->id, removes, n, publish->id, publish->tree, to,
	    &publish->committed);
	if (rc == 0)
		publish->committed = true;
	mem_free(mem, removes);
	return rc;
}

static int
move(struct publish *publish)
{
	for (; publish->moved < publish->sources_count; publish->moved++) {
		const struct part *source = publish->sources[publish->moved];

		if (source->tier == PART_TIER_MEM)
			continue;
		TRY(rename_and_free(publish->partition, mem_strdup(publish->partition->shared->env.mem, source->path),
		    removed_path(publish, publish->moved)));
		publish->changed[tree_of(source)] = true;
	}
	if (has_output(publish)) {
		TRY(rename_and_free(publish->partition, output_path(publish, false), output_path(publish, true)));
		publish->committed = true;
		publish->changed[publish->tree] = true;
	}
	return 0;
}

static int
show(struct publish *publish)
{
	struct partition *partition = publish->partition;
	struct table_shared *shared = partition->shared;
	struct part *part = NULL;

	if (has_output(publish)) {
		char *path = output_path(publish, true);
		int rc = path == NULL ? ERR_MEMORY
				      : part_open_file(shared->env.io, shared->env.mem, shared->options.layout, path,
					    publish->tree == TREE_BIG ? PART_TIER_BIG : PART_TIER_SMALL, &part);

		mem_free(shared->env.mem, path);
		TRY(rc);
		part->table.busy = publish->busy_after;
	}
	lock_take(&partition->lock);
	for (size_t i = 0; i < publish->sources_count; i++)
		slot_take(partition, publish->sources[i]);
	if (part != NULL)
		slot_put(partition, part, UINT64_MAX);
	partition_refresh(partition);
	partition_commit_end(partition);
	lock_release(&partition->lock);
	publish->result = part;
	for (size_t i = 0; i < publish->sources_count; i++)
		part_unref(publish->sources[i]); /* the slot's; the job has its own */
	return 0;
}

/* Nothing here can do harm by failing. */
static void
forget(struct publish *publish)
{
	struct table_shared *shared = publish->partition->shared;

	if (publish->files > 0) {
		char *path = txn_path(publish);

		if (path != NULL && io_unlink(shared->env.io, path) != 0)
			log_write(shared->env.log, LOG_WARN, "a finished transaction stays until the next open: %s",
			    err_message());
		mem_free(shared->env.mem, path);
	}
	for (size_t i = 0; i < publish->sources_count; i++)
		if (publish->sources[i]->tier != PART_TIER_MEM)
			trash_add(&shared->trash, removed_path(publish, i));
}

static int
step(struct publish *publish, bool *blocked)
{
	switch (publish->state) {
	case PUBLISH_START: return start(publish, blocked);
	case PUBLISH_SYNC_TMP:
		TRY(sync_directory(publish->partition, publish->tree, "/tmp"));
		publish->state = PUBLISH_COMMIT;
		return 0;
	case PUBLISH_COMMIT:
		if (publish->files > 0)
			TRY(commit(publish));
		publish->state = PUBLISH_MOVE;
		return 0;
	case PUBLISH_MOVE:
		TRY(move(publish));
		publish->state = PUBLISH_SYNC_SMALL;
		return 0;
	case PUBLISH_SYNC_SMALL:
	case PUBLISH_SYNC_BIG: {
		enum tree tree = publish->state == PUBLISH_SYNC_SMALL ? TREE_SMALL : TREE_BIG;

		if (publish->changed[tree])
			TRY(sync_directory(publish->partition, tree, ""));
		publish->state = tree == TREE_SMALL ? PUBLISH_SYNC_BIG : PUBLISH_SHOW;
		return 0;
	}
	case PUBLISH_SHOW:
		TRY(show(publish));
		publish->state = PUBLISH_FORGET;
		return 0;
	case PUBLISH_FORGET:
		forget(publish);
		publish->state = PUBLISH_DONE;
		return 0;
	case PUBLISH_DONE: break;
	}
	return 0;
}

int
publish_step(struct publish *publish, bool *done, bool *blocked)
{
	*blocked = false;
	TRY(step(publish, blocked));
	*done = publish->state == PUBLISH_DONE;
	return 0;
}

void
publish_abort(struct publish *publish)
{
	if (publish->state == PUBLISH_START || publish->state == PUBLISH_FORGET || publish->state == PUBLISH_DONE)
		return;
	lock_take(&publish->partition->lock);
	partition_commit_end(publish->partition);
	lock_release(&publish->partition->lock);
	publish->state = PUBLISH_DONE;
}

/* -- Removal ---------------------------------------------------------------------------------------------------------- */

/* The part has left its place: from here on a failure is none that could be tried again. */
static int
sync_removal(const struct partition *partition, enum tree tree, const struct part *part)
{
	int rc = io_fsync_dir(partition->shared->env.io, partition->path[tree]);

	if (rc == ERR_NOSPACE || rc == ERR_MEMORY)
		rc = ERR(ERR_IO, "%s was removed, but its directory could not be synced", part->name);
	return rc;
}

int
publish_remove(struct partition *partition, struct part *part, bool *blocked)
{
	struct table_shared *shared = partition->shared;
	char *trash = NULL;
	uint64_t id = 0;
	int rc = 0;

	lock_take(&partition->lock);
	*blocked = partition->snapshots > 0;
	if (!*blocked) {
		partition->committing++;
		id = partition_next_suffix(partition);
	}
	lock_release(&partition->lock);
	if (*blocked)
		return 0;
	if (part->tier != PART_TIER_MEM) {
		enum tree tree = tree_of(part);

		trash = mem_printf(shared->env.mem, "%s/tmp/%016" PRIX64 ".removed", partition->path[tree], id);
		rc = trash == NULL ? ERR_MEMORY : io_rename(shared->env.io, part->path, trash);
		if (rc == 0)
			rc = sync_removal(partition, tree, part);
	}
	lock_take(&partition->lock);
	partition_commit_end(partition);
	if (rc == 0) {
		if (part->tier == PART_TIER_MEM && part->table.busy == 0)
			shared->memory_idle_bytes -= part->bytes;
		slot_take(partition, part);
		partition_refresh(partition);
	}
	lock_release(&partition->lock);
	if (rc == 0) {
		part_unref(part);
		trash_add(&shared->trash, trash);
	} else {
		mem_free(shared->env.mem, trash);
	}
	return rc;
}
