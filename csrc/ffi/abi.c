/*
 * abi.c -- offset and size of every field of every public struct, as the compiler laid them out.
 * floor: ffi     uses: tsengine.h     used by: the specs, which compare it with LuaJIT's own layout of the cdef
 *
 * A field that is missing here is found by the same spec: it counts the fields of the header.
 *
 * Threads    any: the text is made once.
 */
#pragma GCC visibility push(default)
#include "ffi/tsengine.h"
#pragma GCC visibility pop

#include <pthread.h>
#include <stdio.h>

struct abi_field {
	const char *name;
	size_t offset, bytes;
};

#define FIELD(type, field)                                                                        \
	{                                                                                         \
#type "." #field, offsetof(struct type, field), sizeof(((struct type *)0)->field) \
	}

static const struct abi_field FIELDS[] = {
	FIELD(tse_options, path),
	FIELD(tse_options, layout),
	FIELD(tse_options, read_only),
	FIELD(tse_options, retention_ms),
	FIELD(tse_options, future_limit_ms),
	FIELD(tse_options, dedup_interval_ms),
	FIELD(tse_options, dedup_keep),
	FIELD(tse_options, threads),
	FIELD(tse_options, visible_ms),
	FIELD(tse_options, durable_ms),
	FIELD(tse_options, shards),
	FIELD(tse_options, shard_rows),
	FIELD(tse_options, merge_fan),
	FIELD(tse_options, merge_workers),
	FIELD(tse_options, memory_limit_bytes),
	FIELD(tse_options, min_free_disk_bytes),
	FIELD(tse_options, account),
	FIELD(tse_options, project),
	FIELD(tse_options, clock),
	FIELD(tse_options, log_target),
	FIELD(tse_options, labels_max),
	FIELD(tse_options, reserved),
	FIELD(tse_query, matches),
	FIELD(tse_query, match_lengths),
	FIELD(tse_query, matches_count),
	FIELD(tse_query, from_ms),
	FIELD(tse_query, to_ms),
	FIELD(tse_query, limit),
	FIELD(tse_query, account),
	FIELD(tse_query, project),
	FIELD(tse_write_options, format),
	FIELD(tse_write_options, compression),
	FIELD(tse_write_options, account),
	FIELD(tse_write_options, project),
	FIELD(tse_write_options, default_timestamp_ms),
	FIELD(tse_write_options, influx_separator),
	FIELD(tse_write_options, influx_skip_single_field),
	FIELD(tse_write_options, influx_skip_measurement),
	FIELD(tse_write_options, influx_precision_ns),
	FIELD(tse_write_options, influx_db),
	FIELD(tse_write_options, extra_labels),
	FIELD(tse_write_options, extra_labels_count),
	FIELD(tse_write_report, accepted),
	FIELD(tse_write_report, rejected),
	FIELD(tse_write_report, ignored_past),
	FIELD(tse_write_report, ignored_future),
	FIELD(tse_write_report, ignored_nan),
	FIELD(tse_write_report, ignored_limit),
	FIELD(tse_write_report, lines),
	FIELD(tse_write_report, bytes),
	FIELD(tse_write_report, errors_count),
	FIELD(tse_write_report, labels_dropped),
	FIELD(tse_write_report, names_cut),
	FIELD(tse_write_report, values_cut),
	FIELD(tse_columns, metric),
	FIELD(tse_columns, metric_bytes),
	FIELD(tse_columns, timestamps),
	FIELD(tse_columns, values),
	FIELD(tse_columns, count),
	FIELD(tse_columns, labels),
	FIELD(tse_columns, label_bytes),
	FIELD(tse_columns, labels_count),
	FIELD(tse_list, data),
	FIELD(tse_list, offsets),
	FIELD(tse_list, count),
	FIELD(tse_list, owner),
	FIELD(tse_part_info, name),
	FIELD(tse_part_info, partition),
	FIELD(tse_part_info, policy),
	FIELD(tse_part_info, rows),
	FIELD(tse_part_info, blocks),
	FIELD(tse_part_info, bytes),
	FIELD(tse_part_info, min_ms),
	FIELD(tse_part_info, max_ms),
	FIELD(tse_part_info, created_ms),
	FIELD(tse_part_info, id),
	FIELD(tse_part_info, tier),
	FIELD(tse_part_info, generation),
	FIELD(tse_part_info, fan_in),
	FIELD(tse_part_info, busy),
	FIELD(tse_part_info, verified),
	FIELD(tse_part_info, damaged),
	FIELD(tse_part_info, reserved),
	FIELD(tse_partition_info, name),
	FIELD(tse_partition_info, min_ms),
	FIELD(tse_partition_info, max_ms),
	FIELD(tse_partition_info, parts),
	FIELD(tse_partition_info, rows),
	FIELD(tse_partition_info, bytes),
	FIELD(tse_partition_info, raw_rows),
	FIELD(tse_partition_info, read_only),
	FIELD(tse_partition_info, reserved),
	FIELD(tse_stats, rows_added),
	FIELD(tse_stats, rows_ignored_past),
	FIELD(tse_stats, rows_ignored_future),
	FIELD(tse_stats, rows_ignored_nan),
	FIELD(tse_stats, lines_rejected),
	FIELD(tse_stats, series_created),
	FIELD(tse_stats, series_cached_now),
	FIELD(tse_stats, series_deleted_now),
	FIELD(tse_stats, raw_rows_now),
	FIELD(tse_stats, parts_mem_now),
	FIELD(tse_stats, parts_small_now),
	FIELD(tse_stats, parts_big_now),
	FIELD(tse_stats, rows_mem_now),
	FIELD(tse_stats, rows_small_now),
	FIELD(tse_stats, rows_big_now),
	FIELD(tse_stats, blocks_mem_now),
	FIELD(tse_stats, blocks_small_now),
	FIELD(tse_stats, blocks_big_now),
	FIELD(tse_stats, bytes_mem_now),
	FIELD(tse_stats, bytes_small_now),
	FIELD(tse_stats, bytes_big_now),
	FIELD(tse_stats, merges_mem),
	FIELD(tse_stats, merges_small),
	FIELD(tse_stats, merges_big),
	FIELD(tse_stats, active_merges_now),
	FIELD(tse_stats, assisted_merges),
	FIELD(tse_stats, rows_merged_small),
	FIELD(tse_stats, rows_merged_big),
	FIELD(tse_stats, rows_deleted),
	FIELD(tse_stats, rows_deduplicated),
	FIELD(tse_stats, data_bytes_written),
	FIELD(tse_stats, flushes),
	FIELD(tse_stats, partitions_now),
	FIELD(tse_stats, partitions_read_only_now),
	FIELD(tse_stats, partitions_dropped),
	FIELD(tse_stats, parts_dropped),
	FIELD(tse_stats, parts_damaged_now),
	FIELD(tse_stats, index_items_mem_now),
	FIELD(tse_stats, index_items_file_now),
	FIELD(tse_stats, index_parts_mem_now),
	FIELD(tse_stats, index_parts_file_now),
	FIELD(tse_stats, index_blocks_now),
	FIELD(tse_stats, index_bytes_now),
	FIELD(tse_stats, index_bytes_written),
	FIELD(tse_stats, index_merges),
	FIELD(tse_stats, index_rotations),
	FIELD(tse_stats, dates_registered),
	FIELD(tse_stats, missing_tsids),
	FIELD(tse_stats, missing_names),
	FIELD(tse_stats, memory_used_now),
	FIELD(tse_stats, memory_peak),
	FIELD(tse_stats, memory_limit),
	FIELD(tse_stats, live_allocations_now),
	FIELD(tse_stats, open_files_now),
	FIELD(tse_stats, fsyncs),
	FIELD(tse_stats, bytes_read),
	FIELD(tse_stats, bytes_written),
	FIELD(tse_stats, free_disk_now),
	FIELD(tse_stats, queries),
	FIELD(tse_stats, rows_selected),
	FIELD(tse_stats, log_lost),
	FIELD(tse_stats, labels_dropped),
	FIELD(tse_stats, label_names_cut),
	FIELD(tse_stats, label_values_cut),
	FIELD(tse_stats, read_only),
	FIELD(tse_stats, no_space),
	FIELD(tse_stats, threads),
	FIELD(tse_stats, layout),
	FIELD(tse_log_entry, level),
	FIELD(tse_log_entry, reserved),
	FIELD(tse_log_entry, at_ms),
	FIELD(tse_log_entry, text),
	FIELD(tse_event, kind),
	FIELD(tse_event, partition),
	FIELD(tse_event, at_ms),
	FIELD(tse_event, ticket),
	FIELD(tse_event, count),
	FIELD(tse_event, code),
	FIELD(tse_event, reserved),
	FIELD(tse_event, reason),
};

enum { LINE_BYTES_MAX = 96, FIELDS_COUNT = sizeof(FIELDS) / sizeof(FIELDS[0]) };

static char text[FIELDS_COUNT * LINE_BYTES_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
make_text(void)
{
	size_t n = 0;

	for (size_t i = 0; i < FIELDS_COUNT; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s %zu %zu\n", FIELDS[i].name, FIELDS[i].offset,
		    FIELDS[i].bytes);
}

const char *
tse_abi_layout(void)
{
	pthread_once(&once, make_text);
	return text;
}
