/*
 * ffi_look.c -- the public functions that look in: parts, partitions, counters, log, events.
 * floor: ffi     uses: tsengine.h ffi_inner.h     used by: the Lua module, programs in C
 *
 * Only translation: the public structs hold plain arrays and fixed-width numbers, so that LuaJIT reads them as they are.
 *
 * Errors     TSE_FORMAT for NULL arguments; else what storage returns.
 * Threads    any.
 */
#pragma GCC visibility push(default)
#include "ffi/tsengine.h"
#pragma GCC visibility pop

#include <stdio.h>

#include "base/err.h"
#include "ffi/ffi_inner.h"

_Static_assert(sizeof(((struct tse_part_info *)0)->name) >= PART_NAME_MAX, "a part's name fits");
_Static_assert(sizeof(((struct tse_part_info *)0)->policy) >= PART_POLICY_MAX, "a policy's name fits");
_Static_assert(sizeof(((struct tse_log_entry *)0)->text) >= LOG_TEXT_MAX, "a log text fits");

/* -- Looking in ------------------------------------------------------------------------------------------------------------------------- */

static void
translate_part(const struct table_part_info *from, struct tse_part_info *to)
{
	memset(to, 0, sizeof(*to));
	snprintf(to->name, sizeof(to->name), "%s", from->name);
	snprintf(to->partition, sizeof(to->partition), "%s", from->partition);
	snprintf(to->policy, sizeof(to->policy), "%s", from->policy);
	to->rows = from->rows;
	to->blocks = from->blocks;
	to->bytes = from->bytes;
	to->min_ms = from->min_ms;
	to->max_ms = from->max_ms;
	to->created_ms = from->created_ms;
	to->id = from->id;
	to->tier = (int32_t)from->tier;
	to->generation = from->generation;
	to->fan_in = from->fan_in;
	to->busy = from->busy;
	to->verified = from->verified;
	to->damaged = from->damaged;
}

int
tse_parts(struct tse_db *db, const char *partition, struct tse_part_info **out, size_t *count)
{
	struct table_part_info *parts = NULL;
	struct tse_part_info *given;
	size_t n = 0;

	if (db == NULL || out == NULL || count == NULL)
		return ffi_missing("db, out or count");
	TRY(storage_parts(ffi_inner_db(db), partition, &parts, &n));
	given = mem_array(&ffi_handed_out, n + 1, sizeof(*given));
	for (size_t i = 0; given != NULL && i < n; i++)
		translate_part(&parts[i], &given[i]);
	storage_free(ffi_inner_db(db), parts);
	if (given == NULL)
		return ERR_MEMORY;
	*out = given;
	*count = n;
	return 0;
}

int
tse_partitions(struct tse_db *db, struct tse_partition_info **out, size_t *count)
{
	struct table_partition_info *partitions = NULL;
	struct tse_partition_info *given;
	size_t n = 0;

	if (db == NULL || out == NULL || count == NULL)
		return ffi_missing("db, out or count");
	TRY(storage_partitions(ffi_inner_db(db), &partitions, &n));
	given = mem_array(&ffi_handed_out, n + 1, sizeof(*given));
	for (size_t i = 0; given != NULL && i < n; i++) {
		const struct table_partition_info *from = &partitions[i];

		given[i] = (struct tse_partition_info){ .min_ms = from->min_ms,
			.max_ms = from->max_ms,
			.parts = from->parts,
			.rows = from->rows,
			.bytes = from->bytes,
			.raw_rows = from->raw_rows,
			.read_only = from->read_only };
		memcpy(given[i].name, from->name, sizeof(given[i].name));
	}
	storage_free(ffi_inner_db(db), partitions);
	if (given == NULL)
		return ERR_MEMORY;
	*out = given;
	*count = n;
	return 0;
}

int
tse_damaged(struct tse_db *db, struct tse_list *out)
{
	struct storage_texts texts;

	if (db == NULL || out == NULL)
		return ffi_missing("db or out");
	storage_texts_init(&texts, &ffi_handed_out);
	return ffi_list_end(storage_damaged(ffi_inner_db(db), &texts), &texts, out);
}

static void
translate_table_stats(const struct table_stats *from, struct tse_stats *to)
{
	to->rows_added = from->rows_added;
	to->rows_ignored_past = from->rows_past;
	to->rows_ignored_future = from->rows_future;
	to->raw_rows_now = from->raw_rows;
	to->parts_mem_now = from->parts_mem;
	to->parts_small_now = from->parts_small;
	to->parts_big_now = from->parts_big;
	to->rows_mem_now = from->rows_mem;
	to->rows_small_now = from->rows_small;
	to->rows_big_now = from->rows_big;
	to->blocks_mem_now = from->blocks_mem;
	to->blocks_small_now = from->blocks_small;
	to->blocks_big_now = from->blocks_big;
	to->bytes_mem_now = from->bytes_mem;
	to->bytes_small_now = from->bytes_small;
	to->bytes_big_now = from->bytes_big;
	to->merges_mem = from->merges_mem;
	to->merges_small = from->merges_small;
	to->merges_big = from->merges_big;
	to->active_merges_now = from->active_merges;
	to->assisted_merges = from->assisted_merges;
	to->rows_merged_small = from->rows_merged_small;
	to->rows_merged_big = from->rows_merged_big;
	to->rows_deleted = from->rows_deleted;
	to->rows_deduplicated = from->rows_deduplicated;
	to->data_bytes_written = from->bytes_written;
	to->flushes = from->flushes;
	to->partitions_now = from->partitions;
	to->partitions_read_only_now = from->partitions_read_only;
	to->partitions_dropped = from->partitions_dropped;
	to->parts_dropped = from->parts_dropped;
	to->parts_damaged_now = from->parts_damaged;
}

static void
translate_index_stats(const struct index_stats *from, struct tse_stats *to)
{
	const struct item_table_stats *current = &from->current, *previous = &from->previous;

	to->series_created = from->series_created;
	to->series_deleted_now = from->deleted_ids;
	to->index_items_mem_now = current->mem_items + previous->mem_items;
	to->index_items_file_now = current->file_items + previous->file_items;
	to->index_parts_mem_now = current->mem_parts + previous->mem_parts;
	to->index_parts_file_now = current->file_parts + previous->file_parts;
	to->index_blocks_now = current->blocks + previous->blocks;
	to->index_bytes_now = current->file_bytes + previous->file_bytes;
	to->index_bytes_written = current->bytes_written + previous->bytes_written;
	to->index_merges = current->merges + previous->merges;
	to->index_rotations = from->rotations;
	to->dates_registered = from->dates_registered;
	to->missing_tsids = from->missing_tsids;
	to->missing_names = from->missing_names;
}

void
tse_stats(struct tse_db *db, struct tse_stats *out)
{
	struct storage_stats stats;

	if (out == NULL)
		return;
	memset(out, 0, sizeof(*out));
	if (db == NULL || storage_stats(ffi_inner_db(db), &stats) != 0)
		return;
	translate_table_stats(&stats.table, out);
	translate_index_stats(&stats.index, out);
	out->rows_ignored_nan = stats.rows_nan;
	out->lines_rejected = stats.lines_rejected;
	out->series_cached_now = stats.series_cached;
	out->memory_used_now = stats.memory_used;
	out->memory_peak = stats.memory_peak;
	out->memory_limit = stats.memory_limit;
	out->live_allocations_now = stats.live_allocations;
	out->open_files_now = stats.open_files;
	out->fsyncs = stats.fsyncs;
	out->bytes_read = stats.bytes_read;
	out->bytes_written = stats.bytes_written;
	out->free_disk_now = stats.free_disk;
	out->queries = stats.queries;
	out->rows_selected = stats.rows_selected;
	out->log_lost = stats.log_lost;
	out->labels_dropped = stats.labels_dropped;
	out->label_names_cut = stats.names_cut;
	out->label_values_cut = stats.values_cut;
	out->read_only = stats.read_only;
	out->no_space = stats.no_space;
	out->threads = stats.threads;
	out->layout = (int32_t)stats.layout;
}

int
tse_log_take(struct tse_db *db, struct tse_log_entry *out)
{
	struct log_entry entry;

	if (db == NULL || out == NULL || !storage_log_take(ffi_inner_db(db), &entry))
		return 0;
	*out = (struct tse_log_entry){ .level = entry.level, .at_ms = entry.at_ms };
	memcpy(out->text, entry.text, sizeof(entry.text));
	return 1;
}

int
tse_event_take(struct tse_db *db, struct tse_event *out)
{
	struct storage_event event;

	if (db == NULL || out == NULL || !storage_event_take(ffi_inner_db(db), &event))
		return 0;
	*out = (struct tse_event){ .at_ms = event.at_ms,
		.ticket = event.ticket,
		.count = event.count,
		.code = event.code };
	memcpy(out->kind, event.kind, sizeof(out->kind));
	memcpy(out->partition, event.partition, sizeof(out->partition));
	memcpy(out->reason, event.reason, sizeof(out->reason));
	return 1;
}

int
tse_event_fd(struct tse_db *db)
{
	return db != NULL ? storage_event_fd(ffi_inner_db(db)) : -1;
}
