/*
 * index.c -- writing: names found or created, days registered, staging sealed into the current generation.
 * floor: index     uses: index_private.h codec/hash.h     used by: storage
 *
 * Where a name is looked for, cheapest first:
 *   staging (a hash table) -> the filter ("certainly new") -> current generation -> previous generation
 *
 * Disk is read without the lock; index->changes tells afterwards whether "not found" still holds.
 */
#include "codec/hash.h"
#include "index/index_private.h"

/* -- Numbers ---------------------------------------------------------------------------------------------------------- */

uint64_t
index_last_seq(struct index *index)
{
	uint64_t seq;

	lock_take(&index->lock);
	seq = index->last_seq;
	lock_release(&index->lock);
	return seq;
}

/* Forgets runs that are durable by now. */
static void
settle_pending(struct index *index)
{
	while (index->pending_count > 0) {
		struct pending_run *run = &index->pending[index->pending_start];

		/* What a dropped generation held is of no use to anybody. */
		if (!run->generation->dropped && item_table_durable_seq(run->generation->table) < run->run)
			return;
		generation_release(run->generation);
		index->pending_start++;
		index->pending_count--;
	}
}

uint64_t
index_durable_seq(struct index *index)
{
	uint64_t seq;

	lock_take(&index->lock);
	settle_pending(index);
	seq = index->pending_count > 0 ? index->pending[index->pending_start].registration - 1 : index->sealed_seq;
	lock_release(&index->lock);
	return seq;
}

uint64_t
index_epoch(struct index *index)
{
	return index->epoch;
}

/* -- Runs ------------------------------------------------------------------------------------------------------------- */

static int
pending_reserve(struct index *index)
{
	struct pending_run *grown;
	size_t room;

	settle_pending(index);
	if (index->pending_start + index->pending_count < index->pending_room)
		return 0;
	if (index->pending_start > 0) {
		memmove(index->pending, index->pending + index->pending_start,
		    index->pending_count * sizeof(*index->pending));
		index->pending_start = 0;
		if (index->pending_count < index->pending_room)
			return 0;
	}
	room = index->pending_room == 0 ? 64 : index->pending_room * 2;
	grown = mem_realloc(index->env.mem, index->pending, room * sizeof(*grown));
	if (grown == NULL)
		return ERR_MEMORY;
	index->pending = grown;
	index->pending_room = room;
	return 0;
}

int
index_add_run_locked(struct index *index, struct generation *generation, const struct item_run *run)
{
	uint64_t seq;
	int rc;

	TRY(pending_reserve(index));
	rc = item_table_add_run(generation->table, run, &seq);
	if (rc == ERR_READONLY || rc == ERR_IO || rc == ERR_CORRUPTED)
		index->failed = true;
	if (rc != 0)
		return rc;
	index->pending[index->pending_start + index->pending_count++] = (struct pending_run){
		.generation = generation_hold(generation),
		.registration =
		    index->sealed_seq + 1, /* the first one that this run holds: not durable before the run */
		.run = seq,
	};
	return 0;
}

int
index_seal_locked(struct index *index)
{
	struct item_run run;

	if (staging_is_empty(&index->staging))
		return 0;
	TRY(staging_seal(&index->staging, &run));
	/* No items: a known series was staged for a day that could not be noted for want of memory. */
	if (run.count > 0)
		TRY(index_add_run_locked(index, index->current, &run));
	staging_reset(&index->staging);
	index->staging_due_tick_ms = INT64_MAX;
	index->sealed_seq = index->last_seq;
	index->changes++;
	if (index->flush_wanted) {
		index->flush_wanted = false;
		item_table_flush_request(index->current->table);
	}
	return 0;
}

/* -- Days ------------------------------------------------------------------------------------------------------------- */

struct day_load {
	struct index *index;
	struct u64set *ids;
	size_t id_at; /* where the id stands in an item */
	uint64_t batch[256];
	size_t batch_count;
};

static int
load_day_item(void *context, struct bytes item, bool *more)
{
	struct day_load *load = context;

	(void)more;
	if (item.len < load->id_at + 8)
		return ERR_CORRUPT(load->index->root, UINT64_MAX, "item of kind %u with %zu bytes", item.data[0],
		    item.len);
	load->batch[load->batch_count++] = get_u64(item.data + load->id_at);
	if (load->batch_count < ARRAY_LENGTH(load->batch))
		return 0;
	load->batch_count = 0;
	return u64set_add_many(load->ids, load->batch, ARRAY_LENGTH(load->batch));
}

/* What the current generation holds on disk. */
static int
load_day_from_table(struct index *index, struct tenant tenant, uint64_t date, struct u64set *ids)
{
	struct day_load load = { .index = index, .ids = ids };
	uint8_t prefix[1 + TENANT_BYTES_MAX + 8];
	uint8_t *p =
	    row_put_head(prefix, date == DAY_GLOBAL ? ROW_ID_TO_TSID : ROW_DATE_TO_ID, index->env.layout, tenant);
	struct item_view *view = NULL;
	struct item_cursor *cursor = NULL;
	int rc;

	if (date != DAY_GLOBAL)
		p = put_u64(p, date);
	load.id_at = (size_t)(p - prefix);
	TRY_GOTO(out, item_table_view(index->current->table, &view));
	TRY_GOTO(out, item_cursor_create(index->env.mem, &view, 1, &cursor));
	TRY_GOTO(out, items_each(cursor, bytes_of(prefix, load.id_at), load_day_item, &load));
	rc = u64set_add_many(ids, load.batch, load.batch_count);
out:
	item_cursor_delete(cursor);
	item_view_release(view);
	return rc;
}

/* What is still staged: sets may have been forgotten since it was. */
static int
load_day_from_staging(struct index *index, struct tenant tenant, uint64_t date, struct u64set *ids)
{
	const struct staging *staging = &index->staging;
	size_t n = date == DAY_GLOBAL ? staging->series_count : staging->days_count;

	for (size_t i = 0; i < n; i++) {
		const struct staged_series *series = &staging->series[date == DAY_GLOBAL ? i : staging->days[i].series];

		if (tenant_compare(staging->groups[series->group].tenant, tenant) != 0)
			continue;
		if (date == DAY_GLOBAL ? series->global : staging->days[i].date == date)
			TRY(u64set_add(ids, series->tsid.metric_id));
	}
	return 0;
}

static int
day_set_of(struct index *index, struct tenant tenant, uint64_t date, struct u64set **out)
{
	int rc;

	*out = day_sets_find(&index->days, tenant, date);
	if (LIKELY(*out != NULL))
		return 0;
	TRY(day_sets_add(&index->days, tenant, date, out));
	rc = load_day_from_table(index, tenant, date, *out);
	if (rc == 0)
		rc = load_day_from_staging(index, tenant, date, *out);
	if (rc != 0)
		day_sets_clear(&index->days); /* a set that is there must be complete */
	return rc;
}

static struct tenant
tenant_of(const struct tsid *tsid)
{
	return (struct tenant){ .account = tsid->account, .project = tsid->project };
}

/* -- Staging ---------------------------------------------------------------------------------------------------------- */

static int
make_room_in_staging(struct index *index)
{
	const struct staging *staging = &index->staging;
	uint32_t max = index->env.staging_series_max;

	if (LIKELY((max == 0 || (staging->series_count < max && staging->days_count < max)) &&
		staging_name_bytes(staging) < STAGING_NAME_BYTES_MAX))
		return 0;
	return index_seal_locked(index);
}

static void
note_staged(struct index *index)
{
	index->last_seq++;
	if (index->staging_due_tick_ms == INT64_MAX)
		index->staging_due_tick_ms = clock_tick_ms(index->env.clock) + index->env.visible_ms;
}

/* The staged series of a name, put there when it is not: with its global items if the current generation lacks them. */
static int
stage_series(struct index *index, struct bytes stored_name, uint64_t hash, const struct tsid *tsid, bool global,
    const struct name_parts *parsed, struct staged_series **out)
{
	struct name_parts parts;

	*out = staging_find(&index->staging, stored_name, hash);
	/* The name of a series deleted meanwhile: one staging holds a name once, so the dead one goes out first. */
	if (UNLIKELY(*out != NULL && (*out)->tsid.metric_id != tsid->metric_id)) {
		TRY(index_seal_locked(index));
		*out = NULL;
	}
	if (*out != NULL) {
		(*out)->global |= global;
		return 0;
	}
	if (parsed == NULL) {
		TRY(name_parts_parse(stored_name, index->env.layout, &parts));
		parsed = &parts;
	}
	return staging_put(&index->staging, parsed, stored_name, hash, tsid, global, out);
}

/* The set of complete ids is kept true once it was read; before that there is nothing to keep. */
static int
note_complete(struct index *index, const struct tsid *tsid)
{
	struct u64set *complete =
	    index->previous_has_series ? day_sets_find(&index->days, tenant_of(tsid), DAY_GLOBAL) : NULL;

	return complete == NULL ? 0 : u64set_add(complete, tsid->metric_id);
}

/* Registers the day of a known or new series, with the lock held. lacks_global: not known to be complete in the current generation. */
static int
register_day(struct index *index, struct bytes stored_name, uint64_t hash, const struct tsid *tsid, uint64_t date,
    bool lacks_global, const struct name_parts *parsed)
{
	struct staged_series *series;
	struct u64set *days;

	TRY(day_set_of(index, tenant_of(tsid), date, &days));
	if (LIKELY(u64set_has(days, tsid->metric_id)) && !lacks_global)
		return 0;
	TRY(make_room_in_staging(index));
	TRY(stage_series(index, stored_name, hash, tsid, lacks_global, parsed, &series));
	TRY(staging_reserve_day(&index->staging));
	note_staged(index);
	if (lacks_global)
		TRY(note_complete(index, tsid));
	if (u64set_has(days, tsid->metric_id))
		return 0;
	TRY(u64set_add(days, tsid->metric_id));
	staging_add_day(&index->staging, series, date);
	index->dates_registered++;
	return 0;
}

/* -- Looking names up ------------------------------------------------------------------------------------------------- */

int
generation_find_name(const struct moment *moment, unsigned which, struct bytes stored_name, struct tsid *tsid,
    bool *found)
{
	struct index *index = moment->index;
	struct item_cursor *cursor;
	struct buf key;
	int rc;

	*found = false;
	if (moment->views[which] == NULL)
		return 0;
	TRY(item_cursor_create(index->env.mem, &moment->views[which], 1, &cursor));
	buf_init(&key, index->env.mem);
	TRY_GOTO(out, buf_reserve(&key, stored_name.len + 2));
	TRY_GOTO(out, buf_append_u8(&key, ROW_NAME_TO_TSID));
	TRY_GOTO(out, buf_append(&key, stored_name.data, stored_name.len));
	TRY_GOTO(out, buf_append_u8(&key, NAME_END));
	TRY_GOTO(out, item_cursor_seek(cursor, buf_bytes(&key)));
	for (;;) {
		struct bytes item, name;
		struct tsid candidate;
		bool more;

		TRY_GOTO(out, item_cursor_next(cursor, &item, &more));
		if (!more || item.len < key.len || memcmp(item.data, key.data, key.len) != 0)
			break;
		TRY_GOTO(out, row_parse_name_to_tsid(item, index->env.layout, index->root, &name, &candidate));
		if (moment_is_deleted(moment, candidate.metric_id))
			continue;
		*tsid = candidate;
		*found = true;
		break;
	}
out:
	buf_free(&key);
	item_cursor_delete(cursor);
	return rc;
}

/* What reading the disk told about a name. */
struct lookup {
	struct tsid tsid;
	bool found, in_current;
};

static int
lookup_name(const struct moment *moment, struct bytes stored_name, struct lookup *out)
{
	TRY(generation_find_name(moment, 0, stored_name, &out->tsid, &out->found));
	out->in_current = out->found;
	if (!out->found)
		TRY(generation_find_name(moment, 1, stored_name, &out->tsid, &out->found));
	return 0;
}

/* -- The filter of names ---------------------------------------------------------------------------------------------- */

/* Names read for the filter with each lookup that found nothing: the cost of the filter is spread over those it will save. */
enum { FILTER_NAMES_PER_MISS = 256 };

struct filter_load {
	struct index *index;
	size_t names;
	uint64_t hashes[FILTER_NAMES_PER_MISS];
	struct buf *last;
};

static int
load_filter_item(void *context, struct bytes item, bool *more)
{
	struct filter_load *load = context;
	struct bytes name;
	struct tsid tsid;

	TRY(row_parse_name_to_tsid(item, load->index->env.layout, load->index->root, &name, &tsid));
	load->hashes[load->names++] = staging_name_hash(name);
	if (load->names < FILTER_NAMES_PER_MISS)
		return 0;
	*more = false;
	buf_reset(load->last);
	return buf_append(load->last, item.data, item.len);
}

static void
add_to_filter(struct index *index, uint64_t hash)
{
	if (index->filter_broken || name_filter_add(&index->filter, hash) == 0)
		return;
	name_filter_free(&index->filter); /* no memory: names are looked up on disk from now on */
	index->filter_broken = true;
	index->filter_complete = false;
}

/* Reads the next names of both generations into the filter; names created meanwhile are added as they come. */
static int
extend_filter(struct index *index, const struct moment *moment)
{
	struct filter_load *load;
	struct item_cursor *cursor;
	struct bytes item;
	struct buf last;
	bool more = true;
	int rc = 0;

	load = mem_alloc(index->env.mem, sizeof(*load));
	if (load == NULL)
		return ERR_MEMORY;
	buf_init(&last, index->env.mem);
	load->index = index;
	load->names = 0;
	load->last = &last;
	rc = moment_cursor(moment, &cursor);
	if (rc == 0) {
		static const uint8_t first = ROW_NAME_TO_TSID;
		struct bytes from = bytes_of(&first, 1);

		lock_take(&index->lock);
		if (index->filter_next.len > 0)
			rc = buf_append(&last, index->filter_next.data, index->filter_next.len);
		lock_release(&index->lock);
		if (last.len > 0)
			from = buf_bytes(&last);
		if (rc == 0)
			rc = item_cursor_seek(cursor, from);
		while (rc == 0 && more) {
			bool found;

			rc = item_cursor_next(cursor, &item, &found);
			if (rc != 0 || !found || item.data[0] != ROW_NAME_TO_TSID)
				break;
			rc = load_filter_item(load, item, &more);
		}
		item_cursor_delete(cursor);
	}
	lock_take(&index->lock);
	for (size_t i = 0; i < load->names && rc == 0; i++)
		add_to_filter(index, load->hashes[i]);
	if (rc == 0 && !index->filter_broken) {
		index->filter_complete |= more;
		buf_reset(&index->filter_next);
		rc = buf_append(&index->filter_next, last.data, last.len);
	}
	lock_release(&index->lock);
	buf_free(&last);
	mem_free(index->env.mem, load);
	return rc;
}

static bool
is_certainly_new(const struct index *index, uint64_t hash)
{
	return index->filter_complete && !name_filter_may_have(&index->filter, hash);
}

/* -- Creating --------------------------------------------------------------------------------------------------------- */

static uint32_t
hash_of_value(struct name_tag tag, uint8_t *room)
{
	struct bytes escaped = bytes_of(tag.pair.data + tag.key_bytes + 1, tag.pair.len - tag.key_bytes - 2);
	uint8_t *end;

	if (LIKELY(!estr_has_escapes(escaped)))
		return (uint32_t)hash_xxh64(escaped.data, escaped.len);
	end = estr_decode(room, escaped);
	return end == NULL ? 0 : (uint32_t)hash_xxh64(room, (size_t)(end - room));
}

/* A TSID for a new name (index format 9); without the two tags their fields are 0. */
static int
make_tsid(struct index *index, const struct name_parts *parts, struct tsid *out)
{
	static _Thread_local uint8_t room[ITEM_BYTES_MAX];
	uint8_t *end = estr_decode(room, parts->group);

	if (end == NULL)
		return ERR_CORRUPT(index->root, UINT64_MAX, "series name holds an unknown escape");
	*out = (struct tsid){
		.account = parts->tenant.account,
		.project = parts->tenant.project,
		.metric_group_id = hash_xxh64(room, (size_t)(end - room)),
		.metric_id = index->last_metric_id + 1,
	};
	if (parts->tags_count > 0)
		out->job_id = hash_of_value(parts->tags[0], room);
	if (parts->tags_count > 1)
		out->instance_id = hash_of_value(parts->tags[1], room);
	return 0;
}

/* With the lock held. The id counts only when everything is staged. */
static int
create_series(struct index *index, struct bytes stored_name, uint64_t hash, uint64_t date, struct tsid *tsid)
{
	struct name_parts parts;

	TRY(make_room_in_staging(index));
	TRY(name_parts_parse(stored_name, index->env.layout, &parts));
	TRY(make_tsid(index, &parts, tsid));
	index->last_metric_id++;
	/* First: of a registration that fails half-way the name may stay staged, and must not count as certainly new then. */
	add_to_filter(index, hash);
	TRY(register_day(index, stored_name, hash, tsid, date, true, &parts));
	index->series_created++;
	return 0;
}

static int
check_writable(const struct index *index)
{
	if (UNLIKELY(index->env.read_only))
		return ERR(ERR_READONLY, "the directory is open read-only");
	if (UNLIKELY(index->failed))
		return ERR(ERR_READONLY,
		    "the index at %s takes no writes: one failed, or a part is damaged (see the log)", index->root);
	return 0;
}

static bool
staged_is_live(const struct index *index, const struct staged_series *series)
{
	return series != NULL && !u64set_has(&index->deleted->set, series->tsid.metric_id);
}

/* Reads the disk without the lock, which is held before and after. *again: something was sealed meanwhile, so look again. */
static int
lookup_unlocked(struct index *index, struct bytes stored_name, struct lookup *found, bool *again)
{
	uint64_t changes = index->changes;
	bool filter_grows = !index->filter_complete && !index->filter_broken;
	struct moment moment;
	int rc;

	lock_release(&index->lock);
	rc = moment_take(index, false, &moment);
	if (rc == 0) {
		rc = lookup_name(&moment, stored_name, found);
		if (rc == 0 && !found->found && filter_grows)
			rc = extend_filter(index, &moment);
		moment_release(&moment);
	}
	lock_take(&index->lock);
	*again = index->changes != changes;
	return rc;
}

static int
register_locked(struct index *index, struct bytes stored_name, uint64_t date, struct tsid *tsid, bool *created)
{
	uint64_t hash = staging_name_hash(stored_name);

	*created = false;
	TRY(check_writable(index));
	for (;;) {
		const struct staged_series *series = staging_find(&index->staging, stored_name, hash);
		struct lookup found = { .found = false };
		bool again;

		if (staged_is_live(index, series)) {
			*tsid = series->tsid;
			return register_day(index, stored_name, hash, tsid, date, false, NULL);
		}
		if (!is_certainly_new(index, hash)) {
			TRY(lookup_unlocked(index, stored_name, &found, &again));
			if (again || staged_is_live(index, staging_find(&index->staging, stored_name, hash)))
				continue;
		}
		if (found.found) {
			*tsid = found.tsid;
			return register_day(index, stored_name, hash, tsid, date, !found.in_current, NULL);
		}
		*created = true;
		return create_series(index, stored_name, hash, date, tsid);
	}
}

int
index_register(struct index *index, struct bytes stored_name, uint64_t date, struct tsid *tsid, bool *created)
{
	int rc;

	lock_take(&index->lock);
	rc = register_locked(index, stored_name, date, tsid, created);
	lock_release(&index->lock);
	return rc;
}

int
index_find(struct index *index, struct bytes stored_name, struct tsid *tsid, bool *found)
{
	uint64_t hash = staging_name_hash(stored_name);
	const struct staged_series *series;
	struct lookup lookup = { .found = false };
	bool again = true;
	int rc = 0;

	*found = false;
	lock_take(&index->lock);
	while (again && rc == 0 && !*found) {
		again = false;
		series = staging_find(&index->staging, stored_name, hash);
		if (staged_is_live(index, series)) {
			*tsid = series->tsid;
			*found = true;
		} else if (!is_certainly_new(index, hash)) {
			rc = lookup_unlocked(index, stored_name, &lookup, &again);
			if (rc == 0 && lookup.found && !again) {
				*tsid = lookup.tsid;
				*found = true;
			}
		}
	}
	lock_release(&index->lock);
	return rc;
}

/* -- Days of known series --------------------------------------------------------------------------------------------- */

/* Whether the current generation lacks the global items of a series that was found before a rotation. */
static int
lacks_global_items(struct index *index, const struct tsid *tsid, bool *out)
{
	struct u64set *complete;

	*out = false;
	if (!index->previous_has_series)
		return 0;
	TRY(day_set_of(index, tenant_of(tsid), DAY_GLOBAL, &complete));
	if (u64set_has(complete, tsid->metric_id))
		return 0;
	*out = true;
	return 0;
}

/* With the lock held; the name is not empty. */
static int
register_new_day(struct index *index, const struct tsid *tsid, struct bytes stored_name, uint64_t date)
{
	bool lacks_global;

	if (u64set_has(&index->deleted->set, tsid->metric_id))
		return ERR(ERR_NOTFOUND, "series %016llx was deleted: its name must be registered anew",
		    (unsigned long long)tsid->metric_id);
	TRY(lacks_global_items(index, tsid, &lacks_global));
	return register_day(index, stored_name, staging_name_hash(stored_name), tsid, date, lacks_global, NULL);
}

int
index_register_date(struct index *index, const struct tsid *tsid, struct bytes stored_name, uint64_t date)
{
	struct u64set *days;
	struct buf name;
	bool found;
	int rc;

	lock_take(&index->lock);
	TRY_GOTO(out, check_writable(index));
	TRY_GOTO(out, day_set_of(index, tenant_of(tsid), date, &days));
	if (LIKELY(u64set_has(days, tsid->metric_id)))
		goto out;
	if (stored_name.len > 0) {
		rc = register_new_day(index, tsid, stored_name, date);
		goto out;
	}
	lock_release(&index->lock);
	buf_init(&name, index->env.mem);
	rc = index_name(index, tenant_of(tsid), tsid->metric_id, &name, &found);
	if (rc == 0 && !found)
		rc = ERR(ERR_NOTFOUND, "no name for metric id %016llx", (unsigned long long)tsid->metric_id);
	lock_take(&index->lock);
	if (rc == 0)
		rc = register_new_day(index, tsid, buf_bytes(&name), date);
	buf_free(&name);
out:
	lock_release(&index->lock);
	return rc;
}
