/*
 * index_search.c -- selectors to sets of metric ids to TSIDs (index format 12).
 * floor: index     uses: index_search_private.h index_sort.h     used by: storage
 *
 * A group is evaluated by sets: the first positive filter that does not match a missing label gives one, cheap filters
 * first; the others intersect or subtract. With an exact name in the group, the other filters read composite rows, which
 * hold the series of that name only. When few ids are left, their names are looked at instead of long rows.
 */
#include "index/index_search_private.h"
#include "index/index_sort.h"

enum {
	/* With at most this many ids left, looking at names (some microseconds each) beats scanning values of a key. */
	NAMES_MAX = 64,
	/* A literal filter is read completely only up to this many ids for each one left. */
	IDS_PER_ID_LEFT = 64,
	/* Literal filters whose rows hold fewer ids are good first sets; beyond, another one is tried. */
	FIRST_SET_GOOD = 4096
};

/* -- Opening -------------------------------------------------------------------------------------------------------------- */

static uint64_t
date_of(int64_t ms)
{
	return ms < 0 ? 0 : (uint64_t)ms / (uint64_t)MS_PER_DAY;
}

/* Whether the generation has a day of this tenant at or after min_date (index format 12.2). */
static int
has_days_from(const struct search *search, struct item_view *view, uint64_t min_date, bool *out)
{
	uint8_t key[ROW_HEAD_BYTES_MAX];
	uint8_t *head_end = row_put_head(key, ROW_DATE_TO_ID, search->index->env.layout, search->tenant);
	size_t head_bytes = (size_t)(head_end - key);
	struct item_cursor *cursor;
	struct bytes item;
	int rc;

	put_u64(head_end, min_date);
	TRY(item_cursor_create(search->index->env.mem, &view, 1, &cursor));
	rc = item_cursor_seek(cursor, bytes_of(key, head_bytes + 8));
	if (rc == 0)
		rc = item_cursor_next(cursor, &item, out);
	if (rc == 0 && *out)
		*out = item.len >= head_bytes && memcmp(item.data, key, head_bytes) == 0;
	item_cursor_delete(cursor);
	return rc;
}

static int
open_cursors(struct search *search, bool all_generations)
{
	struct item_view *views[2];
	size_t n = 0;

	for (unsigned i = 0; i < 2; i++) {
		bool consulted = all_generations;

		if (search->moment.views[i] == NULL)
			continue;
		if (!consulted)
			TRY(has_days_from(search, search->moment.views[i], search->min_date, &consulted));
		if (consulted)
			views[n++] = search->moment.views[i];
	}
	if (n == 0)
		return 0;
	TRY(item_cursor_create(search->index->env.mem, views, n, &search->rows));
	return moment_cursor(&search->moment, &search->ids);
}

int
search_open(struct index *index, struct tenant tenant, int64_t min_ms, int64_t max_ms, bool all_generations,
    struct search *out)
{
	int rc;

	*out = (struct search){ .index = index, .tenant = tenant };
	buf_init(&out->scope, index->env.mem);
	buf_init(&out->key, index->env.mem);
	buf_init(&out->value, index->env.mem);
	out->min_date = date_of(min_ms);
	out->max_date = date_of(max_ms); /* as 1.72: max_ms itself belongs to the range */
	out->global = max_ms < 0 || out->min_date > out->max_date || out->max_date - out->min_date > SEARCH_DAYS_MAX;
	out->may_use_composite = index->env.composite_from_ms <= 0 || min_ms >= index->env.composite_from_ms;
	TRY(moment_take(index, true, &out->moment));
	rc = open_cursors(out, all_generations);
	if (rc != 0)
		search_close(out);
	return rc;
}

void
search_close(struct search *search)
{
	item_cursor_delete(search->rows);
	item_cursor_delete(search->ids);
	if (search->moment.index != NULL)
		moment_release(&search->moment);
	buf_free(&search->scope);
	buf_free(&search->key);
	buf_free(&search->value);
	search->rows = search->ids = NULL;
}

/* -- One filter ------------------------------------------------------------------------------------------------------------ */

/* What a group looks like to its filters. */
struct group_plan {
	const struct match_group *group;
	const struct tag_filter *name; /* the exact name whose composite rows are used; NULL: plain rows */
	const struct tag_filter *order[MATCH_FILTERS_MAX];
	size_t count;
};

static int
append_filter_key(struct search *search, const struct group_plan *plan, const struct tag_filter *filter)
{
	buf_reset(&search->key);
	if (plan->name != NULL && filter->key.len > 0)
		return row_composite_key_append(&search->key, plan->name->pattern.or_values[0], filter->key);
	return estr_append(&search->key, filter->key);
}

/* Ids of the literals of a filter; *over: more than cap. */
static int
literal_ids(struct search *search, const struct group_plan *plan, const struct tag_filter *filter, uint64_t cap,
    struct u64set *ids, bool *over)
{
	*over = false;
	for (size_t i = 0; i < filter->pattern.or_values_count && !*over; i++) {
		if (filter->pattern.or_values[i].len == 0)
			continue; /* a missing label: no row says so */
		TRY(append_filter_key(search, plan, filter));
		TRY(estr_append(&search->key, filter->pattern.or_values[i]));
		TRY(scan_exact(search, buf_bytes(&search->key), cap, ids, over));
	}
	return 0;
}

static int
matching_ids(struct search *search, const struct group_plan *plan, const struct tag_filter *filter, uint64_t cap,
    struct u64set *ids, bool *over)
{
	*over = false;
	if (filter->pattern.kind == PATTERN_LITERALS)
		return literal_ids(search, plan, filter, cap, ids, over);
	TRY(append_filter_key(search, plan, filter));
	return scan_pattern(search, buf_bytes(&search->key), &filter->pattern, ids, NULL);
}

/* Filters that need only the rows that match: set &= matching, or set -= matching. */
static int
apply_simple(struct search *search, const struct group_plan *plan, const struct tag_filter *filter, struct u64set *set,
    bool *over)
{
	uint64_t cap = u64set_count(set) > NAMES_MAX ? UINT64_MAX : u64set_count(set) * IDS_PER_ID_LEFT;
	struct u64set matching;
	int rc;

	u64set_init(&matching, search->index->env.mem);
	rc = matching_ids(search, plan, filter, cap, &matching, over);
	if (rc == 0 && !*over) {
		if (filter->negative)
			u64set_subtract(set, &matching);
		else
			u64set_intersect(set, &matching);
	}
	u64set_free(&matching);
	return rc;
}

/* Filters whose pattern matches a missing label (index format 12.4): positive ones drop "present and not matching",
 * negative ones keep just that. A key that is twice in a name counts as matching when one of its values does. */
static int
apply_matching_empty(struct search *search, const struct group_plan *plan, const struct tag_filter *filter,
    struct u64set *set)
{
	struct u64set matching, others;
	int rc;

	u64set_init(&matching, search->index->env.mem);
	u64set_init(&others, search->index->env.mem);
	rc = append_filter_key(search, plan, filter);
	if (rc == 0)
		rc = scan_pattern(search, buf_bytes(&search->key), &filter->pattern, &matching, &others);
	if (rc == 0) {
		u64set_subtract(&others, &matching);
		if (filter->negative)
			u64set_intersect(set, &others);
		else
			u64set_subtract(set, &others);
	}
	u64set_free(&matching);
	u64set_free(&others);
	return rc;
}

/* -- Filters on names --------------------------------------------------------------------------------------------------------- */

static bool
labels_match(const struct labels *labels, const struct tag_filter *filter)
{
	bool present = false, matches = false;

	for (size_t i = 0; i < labels->count; i++) {
		const struct label *label = &labels->items[i];
		/* metric_name_to_labels puts the name first, as __name__; a label of that name cannot be stored. */
		bool is_name = i == 0 && label->name.len == 8 && memcmp(label->name.data, "__name__", 8) == 0;

		if (filter->key.len == 0 ? !is_name : is_name || !bytes_equal(label->name, filter->key))
			continue;
		if (label->value.len == 0)
			continue;
		present = true;
		matches |= tag_filter_matches_value(filter, label->value);
	}
	if (filter->negative)
		return (present || !filter->matches_empty) && !matches;
	return matches || (!present && filter->matches_empty);
}

/* Keeps the ids whose names pass the filters from `first` on. Ids without a name go: nobody could read them. */
static int
apply_on_names(struct search *search, const struct group_plan *plan, size_t first, struct u64set *set)
{
	struct mem *mem = search->index->env.mem;
	struct labels *labels = mem_alloc(mem, sizeof(*labels));
	struct u64set kept;
	struct u64set_iter iter;
	struct id_finder finder;
	struct arena arena;
	uint64_t id;
	int rc = 0;

	if (labels == NULL)
		return ERR_MEMORY;
	arena_init(&arena, mem);
	u64set_init(&kept, mem);
	id_finder_init(&finder, search->ids, ROW_ID_TO_NAME, search->index->env.layout, search->tenant);
	u64set_iter_init(&iter, set);
	while (u64set_iter_next(&iter, &id, 1) == 1) {
		struct bytes item, name;
		struct tenant tenant;
		uint64_t id_of_item;
		bool found, passes;

		TRY_GOTO(out, id_finder_find(&finder, id, &item, &found));
		if (!found)
			continue;
		TRY_GOTO(out,
		    row_parse_id_to_name(item, search->index->env.layout, search->index->root, &id_of_item, &name));
		arena_reset(&arena);
		TRY_GOTO(out, metric_name_to_labels(search->index->env.layout, name, &arena, &tenant, labels));
		/* The exact name is in no order: composite rows stand for it, but not all filters so far read those. */
		passes = plan->name == NULL || labels_match(labels, plan->name);
		for (size_t i = first; i < plan->count && passes; i++)
			passes = labels_match(labels, plan->order[i]);
		if (passes)
			TRY_GOTO(out, u64set_add(&kept, id));
	}
	u64set_intersect(set, &kept);
out:
	u64set_free(&kept);
	arena_free(&arena);
	mem_free(mem, labels);
	return rc;
}

/* -- Groups -------------------------------------------------------------------------------------------------------------------- */

/* Cheap ones first; only positive filters that do not match a missing label can give the first set. */
static unsigned
filter_cost(const struct tag_filter *filter)
{
	unsigned cost;

	switch (filter->pattern.kind) {
	case PATTERN_LITERALS: cost = filter->pattern.or_values_count == 1 ? 0 : 1; break;
	case PATTERN_SHAPE: cost = filter->pattern.prefix.len > 0 ? 2 : 3; break;
	default: cost = filter->pattern.prefix.len > 0 ? 4 : 5; break;
	}
	if (filter->key.len == 0)
		cost += 6; /* names are shared by more series than other labels */
	if (filter->negative)
		cost += 12;
	if (filter->matches_empty)
		cost += 24;
	return cost;
}

static bool
can_be_first(const struct tag_filter *filter)
{
	return !filter->negative && !filter->matches_empty;
}

static bool
is_exact_name(const struct tag_filter *filter)
{
	return filter->key.len == 0 && can_be_first(filter) && filter->pattern.kind == PATTERN_LITERALS &&
	    filter->pattern.or_values_count == 1;
}

static void
plan_group(const struct search *search, const struct match_group *group, struct group_plan *plan)
{
	const struct tag_filter *name = NULL;
	bool other_first = false;

	*plan = (struct group_plan){ .group = group };
	for (size_t i = 0; i < group->count; i++) {
		if (is_exact_name(&group->filters[i]))
			name = &group->filters[i];
		other_first |= group->filters[i].key.len > 0 && can_be_first(&group->filters[i]);
	}
	if (name != NULL && other_first && search->may_use_composite)
		plan->name = name;
	for (size_t i = 0; i < group->count; i++) {
		const struct tag_filter *filter = &group->filters[i];
		size_t at = plan->count;

		if (filter == plan->name)
			continue; /* composite rows hold it already */
		while (at > 0 && filter_cost(plan->order[at - 1]) > filter_cost(filter)) {
			plan->order[at] = plan->order[at - 1];
			at--;
		}
		plan->order[at] = filter;
		plan->count++;
	}
}

/* The first set; *done: how many filters of the order it covers. */
static int
first_set(struct search *search, struct group_plan *plan, struct u64set *set, size_t *done)
{
	bool over = true;

	*done = 0;
	if (plan->count == 0 || !can_be_first(plan->order[0]))
		return scan_all(search, set);
	/* Of several literal filters one with few ids is wanted; the order becomes: that one, then the rest. */
	for (size_t i = 0; i < plan->count && can_be_first(plan->order[i]) &&
	     plan->order[i]->pattern.kind == PATTERN_LITERALS && over;
	     i++) {
		const struct tag_filter *filter = plan->order[i];

		if (i + 1 == plan->count && i == 0)
			break; /* the only filter: no need to try it first */
		u64set_free(set);
		TRY(literal_ids(search, plan, filter, FIRST_SET_GOOD, set, &over));
		if (!over) {
			memmove(plan->order + 1, plan->order, i * sizeof(*plan->order));
			plan->order[0] = filter;
		}
	}
	*done = 1;
	if (!over)
		return 0;
	u64set_free(set);
	return matching_ids(search, plan, plan->order[0], UINT64_MAX, set, &over);
}

static int
search_group(struct search *search, const struct match_group *group, struct u64set *set)
{
	struct group_plan plan;
	size_t done;

	plan_group(search, group, &plan);
	TRY(first_set(search, &plan, set, &done));
	for (; done < plan.count && u64set_count(set) > 0; done++) {
		const struct tag_filter *filter = plan.order[done];
		bool few = u64set_count(set) <= NAMES_MAX;
		bool over = few && (filter->pattern.kind != PATTERN_LITERALS || filter->matches_empty);

		if (!over && filter->matches_empty)
			TRY(apply_matching_empty(search, &plan, filter, set));
		else if (!over)
			TRY(apply_simple(search, &plan, filter, set, &over));
		if (over)
			return apply_on_names(search, &plan, done, set);
	}
	return 0;
}

int
search_ids(struct search *search, const struct match *match, struct u64set *out)
{
	struct u64set set;
	int rc = 0;

	if (search->rows == NULL)
		return 0;
	if (match == NULL) {
		TRY(scan_all(search, out));
		u64set_subtract(out, &search->moment.deleted->set);
		return 0;
	}
	for (size_t i = 0; i < match->count && rc == 0; i++) {
		u64set_init(&set, search->index->env.mem);
		rc = search_group(search, &match->groups[i], &set);
		if (rc == 0)
			rc = u64set_union(out, &set);
		u64set_free(&set);
	}
	u64set_subtract(out, &search->moment.deleted->set);
	return rc;
}

/* -- TSIDs ----------------------------------------------------------------------------------------------------------------------- */

void
tsid_list_free(struct tsid_list *list)
{
	if (list->mem != NULL)
		mem_free(list->mem, list->items);
	*list = (struct tsid_list){ 0 };
}

/* Metric ids ascend already; the stable sorts below put (job, instance), then the group above them. */
static int
sort_tsids(struct tsid_list *list)
{
	size_t n = list->count;
	struct sort_item *items, *room;
	struct tsid *sorted;
	int rc = 0;

	if (n < 2)
		return 0;
	items = mem_array(list->mem, n, sizeof(*items));
	room = mem_array(list->mem, n, sizeof(*room));
	sorted = mem_array(list->mem, n, sizeof(*sorted));
	if (items == NULL || room == NULL || sorted == NULL) {
		mem_free(list->mem, sorted);
		rc = ERR_MEMORY;
		goto out;
	}
	for (size_t i = 0; i < n; i++)
		items[i] =
		    (struct sort_item){ .key = (uint64_t)list->items[i].job_id << 32 | list->items[i].instance_id,
			    .index = (uint32_t)i };
	sort_items(items, room, n);
	for (size_t i = 0; i < n; i++)
		items[i].key = list->items[items[i].index].metric_group_id;
	sort_items(items, room, n);
	for (size_t i = 0; i < n; i++)
		sorted[i] = list->items[items[i].index];
	mem_free(list->mem, list->items);
	list->items = sorted;
	list->cap = n;
out:
	mem_free(list->mem, items);
	mem_free(list->mem, room);
	return rc;
}

static int
resolve_tsids(struct search *search, const struct u64set *ids, struct tsid_list *out)
{
	struct id_finder finder;
	struct u64set_iter iter;
	uint64_t batch[256];
	size_t n;

	*out = (struct tsid_list){ .mem = search->index->env.mem, .cap = u64set_count(ids) };
	if (out->cap == 0)
		return 0;
	if (out->cap > UINT32_MAX)
		return ERR(ERR_LIMIT, "%zu series in one search", out->cap);
	out->items = mem_array(out->mem, out->cap, sizeof(*out->items));
	if (out->items == NULL)
		return ERR_MEMORY;
	id_finder_init(&finder, search->ids, ROW_ID_TO_TSID, search->index->env.layout, search->tenant);
	u64set_iter_init(&iter, ids);
	while ((n = u64set_iter_next(&iter, batch, ARRAY_LENGTH(batch))) > 0) {
		for (size_t i = 0; i < n; i++) {
			struct bytes item;
			uint64_t id;
			bool found;

			TRY(id_finder_find(&finder, batch[i], &item, &found));
			if (!found) {
				search->index->missing_tsids++;
				continue;
			}
			TRY(row_parse_id_to_tsid(item, search->index->env.layout, search->index->root, &id,
			    &out->items[out->count]));
			out->count++;
		}
	}
	return sort_tsids(out);
}

int
index_search(struct index *index, struct tenant tenant, const struct match *match, int64_t min_ms, int64_t max_ms,
    size_t limit, struct tsid_list *out)
{
	struct search search;
	struct tsid_list list = { 0 };
	struct u64set ids;
	int rc;

	TRY(search_open(index, tenant, min_ms, max_ms, false, &search));
	u64set_init(&ids, index->env.mem);
	rc = search_ids(&search, match, &ids);
	if (rc == 0 && limit != 0 && u64set_count(&ids) > limit)
		rc = ERR(ERR_LIMIT, "%llu series match, more than the limit of %zu",
		    (unsigned long long)u64set_count(&ids), limit);
	if (rc == 0)
		rc = resolve_tsids(&search, &ids, &list);
	u64set_free(&ids);
	search_close(&search);
	if (rc == 0)
		*out = list;
	else
		tsid_list_free(&list);
	return rc;
}
