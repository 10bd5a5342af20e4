/*
 * info.c -- looking in: parts, partitions, counters.
 * floor: table     uses: table_private.h     used by: storage (through table.h)
 */
#include "table/table_private.h"

#include <stdio.h>
#include <stdlib.h>

struct part_list {
	struct table_part_info *items;
	size_t count, room;
};

static int
info_compare(const void *left, const void *right)
{
	const struct table_part_info *a = left, *b = right;
	int order = strcmp(a->partition, b->partition);

	if (order == 0)
		order = (a->tier > b->tier) - (a->tier < b->tier);
	if (order == 0)
		order = strcmp(a->name, b->name);
	return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static void
info_fill(struct table_part_info *info, const struct partition *partition, const struct part *part)
{
	*info = (struct table_part_info){ .id = part->table.id,
		.tier = part->tier,
		.rows = part->header.rows,
		.blocks = part->header.blocks,
		.bytes = part->bytes,
		.min_ms = part->header.min_timestamp_ms,
		.max_ms = part->header.max_timestamp_ms,
		.created_ms = part->created_ms,
		.generation = part->generation,
		.fan_in = part->fan_in,
		.busy = part->table.busy != 0,
		.verified = part->sums != NULL || part->tier == PART_TIER_MEM,
		.damaged = part->table.damaged };
	memcpy(info->partition, partition->name, sizeof(info->partition));
	memcpy(info->policy, part->policy, sizeof(info->policy));
	if (part->name != NULL)
		memcpy(info->name, part->name, strnlen(part->name, sizeof(info->name) - 1));
}

static int
collect_parts(struct partition *partition, struct mem *mem, struct part_list *list)
{
	int rc = 0;

	lock_take(&partition->lock);
	if (list->count + partition->slots_count > list->room) {
		size_t room = (list->count + partition->slots_count) * 2;
		struct table_part_info *grown = mem_realloc(mem, list->items, room * sizeof(*grown));

		if (grown == NULL) {
			rc = ERR_MEMORY;
		} else {
			list->items = grown;
			list->room = room;
		}
	}
	for (size_t i = 0; i < partition->slots_count && rc == 0; i++)
		info_fill(&list->items[list->count++], partition, partition->slots[i].part);
	lock_release(&partition->lock);
	return rc;
}

int
table_parts(struct table *table, const char *partition, struct table_part_info **out, size_t *count)
{
	struct mem *mem = table->shared.env.mem;
	struct part_list list = { .items = mem_alloc(mem, 0) };
	struct partition **partitions;
	size_t n;
	int rc;

	if (list.items == NULL)
		return ERR_MEMORY;
	rc = table_list(table, &partitions, &n);
	if (rc == 0) {
		for (size_t i = 0; i < n && rc == 0; i++)
			if (partition == NULL || strcmp(partition, partitions[i]->name) == 0)
				rc = collect_parts(partitions[i], mem, &list);
		mem_free(mem, partitions);
	}
	if (rc != 0) {
		mem_free(mem, list.items);
		return rc;
	}
	qsort(list.items, list.count, sizeof(*list.items), info_compare);
	*out = list.items;
	*count = list.count;
	return 0;
}

/* Rows in shards and being converted; the partition's lock is held. */
static uint64_t
count_raw_rows(struct partition *partition)
{
	uint64_t rows = 0;

	for (struct raw_rows *raw = partition->converting; raw != NULL; raw = raw->next)
		rows += raw->count;
	for (unsigned i = 0; i < partition->shards_count; i++) {
		lock_take(&partition->shards[i].lock);
		rows += partition->shards[i].count;
		lock_release(&partition->shards[i].lock);
	}
	return rows;
}

int
table_partitions(struct table *table, struct table_partition_info **out, size_t *count)
{
	struct mem *mem = table->shared.env.mem;
	struct partition **partitions;
	struct table_partition_info *infos;

	TRY(table_list(table, &partitions, count));
	infos = mem_array(mem, *count, sizeof(*infos));
	for (size_t i = 0; i < *count && infos != NULL; i++) {
		struct partition *partition = partitions[i];
		struct table_partition_info *info = &infos[i];

		*info = (struct table_partition_info){ .min_ms = partition->min_ms,
			.max_ms = partition->max_ms,
			.read_only = partition->read_only || table->shared.options.read_only };
		memcpy(info->name, partition->name, sizeof(info->name));
		lock_take(&partition->lock);
		info->parts = partition->slots_count;
		info->raw_rows = count_raw_rows(partition);
		for (size_t k = 0; k < partition->slots_count; k++) {
			info->rows += partition->slots[k].part->header.rows;
			info->bytes += partition->slots[k].part->bytes;
		}
		lock_release(&partition->lock);
	}
	mem_free(mem, partitions);
	*out = infos;
	return infos == NULL ? ERR_MEMORY : 0;
}

static uint64_t
rows_added(const struct partition *partition)
{
	uint64_t rows = 0;

	for (unsigned i = 0; i < partition->shards_count; i++) {
		lock_take(&partition->shards[i].lock);
		rows += partition->shards[i].added;
		lock_release(&partition->shards[i].lock);
	}
	return rows;
}

static void
add_partition_stats(struct partition *partition, struct table_stats *out)
{
	lock_take(&partition->lock);
	out->raw_rows += count_raw_rows(partition);
	for (size_t i = 0; i < partition->slots_count; i++) {
		const struct part *part = partition->slots[i].part;
		enum part_tier tier = part->tier;

		*(tier == PART_TIER_MEM           ? &out->parts_mem
			: tier == PART_TIER_SMALL ? &out->parts_small
						  : &out->parts_big) += 1;
		*(tier == PART_TIER_MEM           ? &out->rows_mem
			: tier == PART_TIER_SMALL ? &out->rows_small
						  : &out->rows_big) += part->header.rows;
		*(tier == PART_TIER_MEM           ? &out->blocks_mem
			: tier == PART_TIER_SMALL ? &out->blocks_small
						  : &out->blocks_big) += part->header.blocks;
		*(tier == PART_TIER_MEM           ? &out->bytes_mem
			: tier == PART_TIER_SMALL ? &out->bytes_small
						  : &out->bytes_big) += part->bytes;
	}
	lock_release(&partition->lock);
	out->partitions++;
	out->partitions_read_only += partition->read_only;
}

void
table_stats(struct table *table, struct table_stats *out)
{
	const struct table_counters *from = &table->shared.counters;

	*out = (struct table_stats){ .rows_past = from->rows_past,
		.rows_future = from->rows_future,
		.merges_mem = from->merges_mem,
		.merges_small = from->merges_small,
		.merges_big = from->merges_big,
		.rows_merged_small = from->rows_merged_small,
		.rows_merged_big = from->rows_merged_big,
		.rows_deleted = from->rows_deleted,
		.rows_deduplicated = from->rows_deduplicated,
		.assisted_merges = from->assisted_merges,
		.active_merges = from->active_merges,
		.bytes_written = from->bytes_written,
		.flushes = from->flushes,
		.parts_damaged = from->parts_damaged,
		.partitions_dropped = from->partitions_dropped,
		.parts_dropped = from->parts_dropped,
		.no_space = table->shared.no_space };
	lock_take(&table->lock);
	for (size_t i = 0; i < table->partitions_count; i++) {
		add_partition_stats(table->partitions[i], out);
		out->rows_added += rows_added(table->partitions[i]);
	}
	for (size_t i = 0; i < table->dropped_count; i++)
		out->rows_added += rows_added(table->dropped[i]);
	lock_release(&table->lock);
}

void
table_trouble(const struct table *table, uint64_t *partitions_failed, uint64_t *parts_damaged)
{
	*partitions_failed = table->shared.counters.partitions_failed;
	*parts_damaged = table->shared.counters.parts_damaged;
}

bool
table_failed_next(struct table *table, char name[8], char *reason, size_t reason_bytes)
{
	bool found = false;

	lock_take(&table->lock);
	for (size_t i = 0; i < table->partitions_count && !found; i++) {
		struct partition *partition = table->partitions[i];

		lock_take(&partition->lock);
		found = partition->read_only && !partition->failure_told;
		if (found) {
			partition->failure_told = true;
			memcpy(name, partition->name, sizeof(partition->name));
			snprintf(reason, reason_bytes, "%s", partition->failure.message);
		}
		lock_release(&partition->lock);
	}
	lock_release(&table->lock);
	return found;
}

int
table_damaged_names(struct table *table, struct buf *out)
{
	struct table_shared *shared = &table->shared;
	int rc;

	lock_take(&shared->lock);
	rc = buf_append(out, shared->damaged_names.data, shared->damaged_names.len);
	lock_release(&shared->lock);
	return rc;
}
