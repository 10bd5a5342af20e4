/*
 * force.c -- see force.h.
 * floor: table     uses: force.h     used by: table
 */
#include "table/force.h"

#include <stdlib.h>

enum { FORCES_KEPT = 64 }; /* finished ones whose outcome can still be asked for */

/* -- The list ----------------------------------------------------------------------------------------------------------- */

void
force_list_init(struct force_list *list, struct mem *mem)
{
	*list = (struct force_list){ .mem = mem };
}

static void
item_release_parts(struct force_item *item, struct mem *mem)
{
	for (size_t i = 0; i < item->parts_count; i++)
		part_unref(item->parts[i]);
	mem_free(mem, item->parts);
	item->parts = NULL;
	item->parts_count = 0;
}

static void
force_free(struct force_list *list, struct force *force)
{
	for (size_t i = 0; i < force->items_count; i++)
		item_release_parts(&force->items[i], list->mem);
	mem_free(list->mem, force->items);
	mem_free(list->mem, force);
}

void
force_list_free(struct force_list *list)
{
	while (list->first != NULL) {
		struct force *force = list->first;

		list->first = force->next;
		force_free(list, force);
	}
}

static bool
is_done(const struct force *force)
{
	return force->items_done == force->items_count;
}

static void
forget_old(struct force_list *list)
{
	size_t finished = 0;

	for (struct force *at = list->first; at != NULL; at = at->next)
		finished += is_done(at);
	for (struct force **at = &list->first; *at != NULL && finished > FORCES_KEPT;) {
		struct force *force = *at;

		if (!is_done(force)) {
			at = &force->next;
			continue;
		}
		*at = force->next;
		force_free(list, force);
		finished--;
	}
}

int
force_request(struct force_list *list, struct table_shared *shared, struct partition *const *partitions, size_t n,
    uint64_t *ticket)
{
	struct force *force = mem_zalloc(list->mem, sizeof(*force)), **last = &list->first;

	if (force == NULL)
		return ERR_MEMORY;
	force->items = mem_zalloc(list->mem, n * sizeof(*force->items));
	if (force->items == NULL) {
		mem_free(list->mem, force);
		return ERR_MEMORY;
	}
	force->epoch = shared->epoch++;
	force->items_count = n;
	for (size_t i = 0; i < n; i++) {
		force->items[i].force = force;
		force->items[i].partition = partitions[i];
	}
	force->ticket = *ticket = ++list->tickets;
	forget_old(list);
	while (*last != NULL)
		last = &(*last)->next;
	*last = force;
	return 0;
}

static const struct force_item *
first_stuck(const struct force *force, size_t *count)
{
	const struct force_item *first = NULL;

	*count = 0;
	for (size_t i = 0; i < force->items_count; i++) {
		const struct force_item *item = &force->items[i];

		if (item->state == FORCE_DONE || item->stuck.code == 0)
			continue;
		++*count;
		if (first == NULL)
			first = item;
	}
	return first;
}

int
force_check(const struct force_list *list, uint64_t ticket, bool *done, uint64_t *merges)
{
	const struct force_item *stuck;
	size_t stuck_count;

	for (struct force *force = list->first; force != NULL; force = force->next) {
		if (force->ticket != ticket)
			continue;
		stuck = first_stuck(force, &stuck_count);
		*done = force->items_done + stuck_count == force->items_count;
		*merges = force->merges;
		if (*done && force->failure.code != 0)
			return err_restore(&force->failure);
		return *done && stuck != NULL ? err_restore(&stuck->stuck) : 0;
	}
	return ERR(ERR_NOTFOUND, "there is no force merge %llu", (unsigned long long)ticket);
}

/* -- One item --------------------------------------------------------------------------------------------------------- */

/* The last error of the thread is the outcome when rc is not 0. */
static void
item_end(struct force_item *item, int rc)
{
	struct partition *partition = item->partition;

	lock_take(&partition->lock);
	/* A job that failed let go of its own parts before: another may have them by now. */
	for (size_t i = 0; i < item->parts_count; i++)
		if (item->parts[i]->table.busy == item->owner)
			job_own_parts(partition, &item->parts[i], 1, 0);
	partition->forced = partition->draining = false;
	partition_refresh(partition);
	lock_release(&partition->lock);
	item_release_parts(item, partition->shared->env.mem);
	item->state = FORCE_DONE;
	item->force->items_done++;
	if (rc != 0 && item->force->failure.code == 0)
		err_save(&item->force->failure);
}

static bool
item_begin(struct force_item *item)
{
	struct partition *partition = item->partition;
	bool mine;

	lock_take(&partition->lock);
	mine = !partition->forced;
	if (mine) {
		partition->forced = true; /* flushes go on until the raw rows are parts: they may be what makes room */
		partition->convert_wanted = item->force->epoch;
		item->state = FORCE_DRAIN;
	}
	lock_release(&partition->lock);
	return mine;
}

/* Nobody merges, publishes or removes a part; the partition's lock is held. */
static bool
is_still(const struct partition *partition)
{
	if (partition->jobs_active > 0 || partition->committing > 0)
		return false;
	for (size_t i = 0; i < partition->slots_count; i++)
		if (partition->slots[i].part->table.busy != 0)
			return false;
	return true;
}

/* Every part that is not damaged belongs to the item now; the partition's lock is held. */
static int
own_all_parts(struct force_item *item)
{
	struct partition *partition = item->partition;
	uint64_t bytes = 0, space;

	item->parts = mem_array(partition->shared->env.mem, partition->slots_count, sizeof(struct part *));
	if (item->parts == NULL)
		return ERR_MEMORY;
	for (size_t i = 0; i < partition->slots_count; i++) {
		struct part *part = partition->slots[i].part;

		if (part->table.damaged)
			continue;
		part_ref(part);
		item->parts[item->parts_count++] = part;
		bytes += table_shared_plan_bytes(partition->shared, part);
	}
	item->owner = ++partition->shared->job_ids;
	job_own_parts(partition, item->parts, item->parts_count, item->owner);
	TRY(table_shared_space(partition->shared, TREE_BIG, &space));
	if (bytes > space)
		return ERR(ERR_NOSPACE, "the parts of %s have %llu bytes, the disk has room for %llu", partition->name,
		    (unsigned long long)bytes, (unsigned long long)space);
	return 0;
}

static void
item_drain(struct force_item *item)
{
	struct partition *partition = item->partition;
	int rc = 0;

	if (partition->closed) {
		item_end(item, 0);
		return;
	}
	if (partition->read_only) {
		item_end(item, partition_read_only_error(partition));
		return;
	}
	if (partition_raw_epoch(partition) <= item->force->epoch)
		return; /* the conversion comes first, it has the highest priority */
	lock_take(&partition->lock);
	partition->draining = true;
	if (is_still(partition)) {
		item->state = FORCE_MERGE;
		partition->draining = false;
		rc = own_all_parts(item);
	}
	lock_release(&partition->lock);
	if (rc != 0 || (item->state == FORCE_MERGE && item->parts_count == 0))
		item_end(item, rc);
}

static int
by_bytes(const void *left, const void *right)
{
	const struct part *a = *(struct part *const *)left, *b = *(struct part *const *)right;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? -1 : 1;
	return (a->table.id > b->table.id) - (a->table.id < b->table.id);
}

static void
item_merge(struct force_item *item, struct job **out)
{
	struct partition *partition = item->partition;
	size_t fan = partition->shared->options.merge_fan, n = item->parts_count;
	bool last = n <= fan;
	int rc;

	if (!last) {
		qsort(item->parts, n, sizeof(*item->parts), by_bytes);
		n = n - fan + 1 < fan ? n - fan + 1 : fan;
	}
	lock_take(&partition->lock);
	rc = job_create(partition, JOB_BIG, item->parts, n, item->owner, out);
	lock_release(&partition->lock);
	if (rc != 0) {
		item_end(item, rc);
		return;
	}
	(*out)->force = item;
	(*out)->busy_after = last ? 0 : item->owner;
	item->job = *out;
}

void
force_job_paused(const struct job *job)
{
	job->force->stuck = job->stuck;
}

void
force_job_ended(struct job *job)
{
	struct force_item *item = job->force;
	size_t kept = 0;

	item->job = NULL;
	item->stuck.code = 0;
	if (job->rc != 0) {
		item_end(item, job->rc);
		return;
	}
	item->force->merges++;
	/* The merged parts are no longer in the partition. They were the first ones: nothing reordered them since. */
	for (size_t i = 0; i < item->parts_count; i++) {
		bool merged = i < job->publish.sources_count;

		if (merged)
			part_unref(item->parts[i]);
		else
			item->parts[kept++] = item->parts[i];
	}
	item->parts_count = kept;
	if (job->publish.result != NULL && job->busy_after != 0) {
		part_ref(job->publish.result);
		item->parts[item->parts_count++] = job->publish.result;
	}
	if (item->parts_count == 0)
		item_end(item, 0);
}

/* -- Progress --------------------------------------------------------------------------------------------------------- */

bool
force_can_start(const struct force_list *list)
{
	for (struct force *force = list->first; force != NULL; force = force->next)
		for (size_t i = 0; i < force->items_count; i++) {
			const struct force_item *item = &force->items[i];
			struct partition *partition = item->partition;

			if (item->state == FORCE_PENDING && !partition->forced)
				return true;
			if (item->state == FORCE_DRAIN &&
			    (partition->read_only || partition->closed ||
				((partition->jobs_active == 0 || !partition->draining) &&
				    partition_raw_epoch(partition) > force->epoch)))
				return true;
			if (item->state == FORCE_MERGE && item->job == NULL)
				return true;
		}
	return false;
}

void
force_start(struct force_list *list, struct job **out)
{
	*out = NULL;
	for (struct force *force = list->first; force != NULL; force = force->next)
		for (size_t i = 0; i < force->items_count && *out == NULL; i++) {
			struct force_item *item = &force->items[i];

			if (item->state == FORCE_PENDING && !item_begin(item))
				continue;
			if (item->state == FORCE_DRAIN)
				item_drain(item);
			if (item->state == FORCE_MERGE && item->job == NULL)
				item_merge(item, out);
		}
}
