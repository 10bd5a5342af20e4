/*
 * look.c -- what is stored and what happened: parts, partitions, counters, log, events.
 * floor: storage     uses: internal.h     used by: ffi
 */
#include "storage/internal.h"

int
storage_parts(struct storage *storage, const char *partition, struct table_part_info **out, size_t *count)
{
	int rc;

	TRY(storage_enter(storage));
	rc = table_parts(storage->table, partition, out, count);
	storage_leave(storage);
	return rc;
}

int
storage_partitions(struct storage *storage, struct table_partition_info **out, size_t *count)
{
	int rc;

	TRY(storage_enter(storage));
	rc = table_partitions(storage->table, out, count);
	storage_leave(storage);
	return rc;
}

void
storage_free(struct storage *storage, void *p)
{
	mem_free(&storage->mem, p);
}

int
storage_damaged(struct storage *storage, struct storage_texts *texts)
{
	struct buf names;
	size_t start = 0;
	int rc;

	TRY(storage_enter(storage));
	buf_init(&names, &storage->mem);
	rc = table_damaged_names(storage->table, &names);
	if (rc == 0)
		rc = index_damaged_names(storage->index, &names);
	for (size_t i = 0; i < names.len && rc == 0; i++) {
		if (names.data[i] != '\n')
			continue;
		rc = storage_texts_add(texts, bytes_of(names.data + start, i - start));
		start = i + 1;
	}
	buf_free(&names);
	storage_leave(storage);
	return rc;
}

/* The shell's own counters. */
static void
shell_stats(struct storage *storage, struct storage_stats *out)
{
	out->rows_nan = storage->rows_nan;
	out->lines_rejected = storage->lines_rejected;
	out->index_rows_limit = storage->rows_limit;
	out->labels_dropped = storage->labels_dropped;
	out->names_cut = storage->names_cut;
	out->values_cut = storage->values_cut;
	out->queries = storage->queries;
	out->rows_selected = storage->rows_selected;
	out->memory_used = mem_used(&storage->mem);
	out->memory_peak = storage->mem.peak_bytes;
	out->memory_limit = storage->mem.limit_bytes;
	out->live_allocations = mem_live(&storage->mem);
	out->open_files = storage->io->open_files;
	out->fsyncs = storage->io->fsyncs;
	out->bytes_read = storage->io->bytes_read;
	out->bytes_written = storage->io->bytes_written;
	lock_take(&storage->log.lock);
	out->log_lost = storage->log.lost;
	lock_release(&storage->log.lock);
	out->read_only = storage->options.read_only;
	out->layout = storage->root.layout;
}

int
storage_stats(struct storage *storage, struct storage_stats *out)
{
	memset(out, 0, sizeof(*out));
	TRY(storage_enter(storage));
	table_stats(storage->table, &out->table);
	index_stats(storage->index, &out->index);
	shell_stats(storage, out);
	out->table.rows_past += storage->rows_past;
	out->table.rows_future += storage->rows_future;
	out->series_cached = storage->cache.count;
	out->no_space = out->table.no_space || index_is_no_space(storage->index);
	out->read_only = out->read_only || index_is_read_only(storage->index);
	out->threads = (int)storage->steps.threads_count;
	if (io_free_space(storage->io, storage->root.path, &out->free_disk) != 0)
		out->free_disk = 0;
	storage_leave(storage);
	return 0;
}

bool
storage_log_take(struct storage *storage, struct log_entry *out)
{
	return !fork_guard_is_child(&storage->guard) && log_take(&storage->log, out);
}

bool
storage_event_take(struct storage *storage, struct storage_event *out)
{
	return !fork_guard_is_child(&storage->guard) && events_take(&storage->events, out);
}

int
storage_event_fd(struct storage *storage)
{
	return fork_guard_is_child(&storage->guard) ? -1 : events_fd(&storage->events);
}
