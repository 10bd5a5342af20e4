/*
 * merge_shims.c -- merges driven from the specs: sources from blocks or rows, output on disk or in memory.
 * floor: tests     uses: table_env.h merge     used by: spec/merge
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "codec/decimal.h"
#include "merge/merge.h"
#include "merge/merge_plan.h"
#include "merge/merge_rows.h"
#include "table_env.h"

/* -- Parts of given blocks ---------------------------------------------------------------------------------------------- */

/* Rows of one block, before it is encoded. */
struct tt_merge_block {
	struct tsid tsid;
	const int64_t *timestamps_ms;
	const double *values;
	size_t rows;
	uint8_t precision_bits;
};

/* Renames tmp to the part's name under parent and opens it. */
static int
finish_part(struct tt_table_env *env, struct part_writer *writer, enum layout layout, const char *parent,
    const char *tmp, uint64_t suffix, struct part **out)
{
	struct part_header header;
	char name[PART_NAME_MAX], path[700];
	bool done = false;

	while (!done)
		TRY(part_writer_finish_step(writer, &done));
	part_writer_header(writer, &header);
	header.suffix = suffix;
	part_name_format(&header, name);
	snprintf(path, sizeof(path), "%s/%s", parent, name);
	TRY(io_rename(env->io, tmp, path));
	return part_open_file(env->io, &env->mem, layout, path, PART_TIER_SMALL, out);
}

/* A file part of these blocks, as the peer's own writer makes it of rows. */
int tt_merge_file_of_blocks(struct tt_table_env *env, int layout, const char *parent, uint64_t suffix, int64_t dedup_ms,
    int keep, const struct tt_merge_block *blocks, size_t n, struct part **out);
int
tt_merge_file_of_blocks(struct tt_table_env *env, int layout, const char *parent, uint64_t suffix, int64_t dedup_ms,
    int keep, const struct tt_merge_block *blocks, size_t n, struct part **out)
{
	struct part_writer_options options = { .layout = (enum layout)layout,
		.index_level = 1,
		.policy = "",
		.dedup_interval_ms = dedup_ms,
		.dedup_keep = (enum dedup_keep)keep };
	struct int64s_scratch scratch;
	struct part_writer *writer;
	struct block block;
	char tmp[600];
	int rc = 0;

	snprintf(tmp, sizeof(tmp), "%s/source-%llu", parent, (unsigned long long)suffix);
	TRY(part_writer_create(env->io, &env->mem, tmp, &options, &writer));
	int64s_scratch_init(&scratch, &env->mem);
	block_init(&block, &env->mem);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = block_reserve(&block, blocks[i].rows);
		if (rc != 0)
			break;
		memcpy(block.timestamps_ms, blocks[i].timestamps_ms, blocks[i].rows * sizeof(int64_t));
		memcpy(block.values, blocks[i].values, blocks[i].rows * sizeof(double));
		block.state = BLOCK_RAW;
		block.header = (struct block_header){ .tsid = blocks[i].tsid,
			.rows = (uint32_t)blocks[i].rows,
			.precision_bits = blocks[i].precision_bits,
			.min_timestamp_ms = blocks[i].timestamps_ms[0],
			.max_timestamp_ms = blocks[i].timestamps_ms[blocks[i].rows - 1] };
		rc = part_writer_add(writer, &block, &scratch);
	}
	if (rc == 0)
		rc = finish_part(env, writer, options.layout, parent, tmp, suffix, out);
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_writer_delete(writer, rc == 0);
	return rc;
}

/* A memory part of rows of the environment's series. */
int tt_merge_memory_of_rows(struct tt_table_env *env, int layout, const struct row *rows, size_t n, struct part **out);
int
tt_merge_memory_of_rows(struct tt_table_env *env, int layout, const struct row *rows, size_t n, struct part **out)
{
	return mem_part_create(&env->mem, (enum layout)layout, rows, n, &env->map, tt_table_tsid_get, out);
}

/* -- Merging ------------------------------------------------------------------------------------------------------------ */

struct tt_merge_spec {
	int layout;
	bool in_memory;
	int64_t dedup_ms, deadline_ms;
	int keep;
	uint64_t budget_us; /* 0: no end */
	uint64_t suffix;
};

/* Merges; *out is the opened result, NULL when nothing is left. *steps counts them. *damaged: index of the source at fault, or n. */
int tt_merge(struct tt_table_env *env, struct part **sources, size_t n, const struct tt_merge_spec *spec,
    const char *parent, struct part **out, struct merge_counts *counts, uint64_t *steps, size_t *damaged);
int
tt_merge(struct tt_table_env *env, struct part **sources, size_t n, const struct tt_merge_spec *spec,
    const char *parent, struct part **out, struct merge_counts *counts, uint64_t *steps, size_t *damaged)
{
	char tmp[600], name[PART_NAME_MAX], path[800];
	struct merge_options options = { .io = env->io,
		.mem = &env->mem,
		.deleted = &env->deleted,
		.retention_deadline_ms = spec->deadline_ms };
	struct part_header header;
	struct merge *merge;
	bool done = false;
	int rc = 0;

	*out = NULL;
	*steps = 0;
	*damaged = n;
	snprintf(tmp, sizeof(tmp), "%s/merge-%llu", parent, (unsigned long long)spec->suffix);
	options.directory = spec->in_memory ? NULL : tmp;
	options.writer = (struct part_writer_options){ .layout = (enum layout)spec->layout,
		.index_level = merge_index_level(sources, n),
		.dedup_interval_ms = spec->dedup_ms,
		.dedup_keep = (enum dedup_keep)spec->keep,
		.policy = "" };
	TRY(merge_create(sources, n, &options, &merge));
	for (; rc == 0 && !done; ++*steps) {
		struct budget budget = spec->budget_us == 0 ? budget_unlimited() : budget_of_us(spec->budget_us);

		rc = merge_step(merge, &budget, &done);
	}
	if (rc == ERR_CORRUPTED)
		for (size_t i = 0; i < n; i++)
			if (sources[i] == merge_failed_source(merge))
				*damaged = i;
	if (rc != 0) {
		merge_delete(merge, false);
		return rc;
	}
	*counts = *merge_counts(merge);
	merge_header(merge, &header);
	if (spec->in_memory)
		*out = merge_take_part(merge);
	merge_delete(merge, header.rows > 0);
	if (spec->in_memory || header.rows == 0)
		return 0;
	header.suffix = spec->suffix;
	part_name_format(&header, name);
	snprintf(path, sizeof(path), "%s/%s", parent, name);
	TRY(io_rename(env->io, tmp, path));
	return part_open_file(env->io, &env->mem, (enum layout)spec->layout, path, PART_TIER_SMALL, out);
}

/* The blocks of a file part: headers, and payloads in hex, each "ts val" into text + 2 * i * hex_room. */
int tt_merge_blocks(struct tt_table_env *env, struct part *part, struct block_header *headers, char *hex,
    size_t hex_room, size_t room, size_t *count);
int
tt_merge_blocks(struct tt_table_env *env, struct part *part, struct block_header *headers, char *hex, size_t hex_room,
    size_t room, size_t *count)
{
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc = 0;

	*count = 0;
	TRY(part_cursor_create(&env->mem, part, true, &cursor));
	block_init(&block, &env->mem);
	while (found && rc == 0) {
		struct bytes payloads[2];

		rc = part_cursor_next(cursor, &block, &found);
		if (rc != 0 || !found || *count == room)
			continue;
		headers[*count] = block.header;
		payloads[0] = block.timestamps_payload;
		payloads[1] = block.values_payload;
		for (int k = 0; k < 2; k++) {
			char *text = hex + (2 * *count + (size_t)k) * hex_room;

			text[0] = '\0';
			for (size_t i = 0; i < payloads[k].len && 2 * i + 2 < hex_room; i++)
				snprintf(text + 2 * i, 3, "%02x", payloads[k].data[i]);
		}
		++*count;
	}
	block_free(&block);
	part_cursor_delete(cursor);
	return rc;
}

/* Rows of a part, appended. */
int tt_merge_rows(struct tt_table_env *env, struct part *part, bool strict, struct tt_part_rows *rows);
int
tt_merge_rows(struct tt_table_env *env, struct part *part, bool strict, struct tt_part_rows *rows)
{
	return tt_table_read_part(env, part, strict, NULL, INT64_MIN, INT64_MAX, rows);
}

/* A part of the environment's memory set through the disk: for sources that must be files. */
int tt_merge_file_of_part(struct tt_table_env *env, struct part *part, const struct tt_merge_spec *spec,
    const char *parent, struct part **out);
int
tt_merge_file_of_part(struct tt_table_env *env, struct part *part, const struct tt_merge_spec *spec, const char *parent,
    struct part **out)
{
	struct merge_counts counts;
	uint64_t steps;
	size_t damaged;

	return tt_merge(env, &part, 1, spec, parent, out, &counts, &steps, &damaged);
}

void tt_merge_two_runs(const int64_t *a_times, const uint64_t *a_values, size_t a, const int64_t *b_times,
    const uint64_t *b_values, size_t b, int64_t *times, uint64_t *values);
void
tt_merge_two_runs(const int64_t *a_times, const uint64_t *a_values, size_t a, const int64_t *b_times,
    const uint64_t *b_values, size_t b, int64_t *times, uint64_t *values)
{
	merge_rows((struct rows_run){ a_times, (const row_value *)a_values, a },
	    (struct rows_run){ b_times, (const row_value *)b_values, b }, times, (row_value *)values);
}

int tt_merge_open(struct tt_table_env *env, int layout, const char *path, struct part **out);
int
tt_merge_open(struct tt_table_env *env, int layout, const char *path, struct part **out)
{
	return part_open_file(env->io, &env->mem, (enum layout)layout, path, PART_TIER_SMALL, out);
}
