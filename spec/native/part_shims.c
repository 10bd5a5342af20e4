/*
 * part_shims.c -- parts written, read, searched and damaged from the specs.
 * floor: tests     uses: part io_fault.h     used by: spec/part
 *
 * An environment is one account of memory and one disk that can be told to fail; closing it tells what was left over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/io_fault.h"
#include "codec/decimal.h"
#include "part/mem_part.h"
#include "part/min_dedup.h"
#include "part/part_search.h"
#include "part/part_sums.h"
#include "part/part_writer.h"
#include "part/tsid_order.h"

struct tt_part_env {
	struct mem mem;
	struct io *disk;
	struct io *io; /* the disk behind injected failures */
};

struct tt_part_env *tt_part_env_open(void);
struct tt_part_env *
tt_part_env_open(void)
{
	struct tt_part_env *env = calloc(1, sizeof(*env));

	mem_init(&env->mem, 0);
	if (io_posix_create(&env->mem, &env->disk) != 0 || io_fault_create(&env->mem, env->disk, &env->io) != 0)
		abort();
	return env;
}

/* What is left: open files * 1000000 + live allocations. */
uint64_t tt_part_env_close(struct tt_part_env *env);
uint64_t
tt_part_env_close(struct tt_part_env *env)
{
	uint64_t left = env->io->open_files * 1000000;

	io_destroy(env->io);
	io_destroy(env->disk);
	left += mem_live(&env->mem);
	free(env);
	return left;
}

/* From now on the n-th allocation, and the n-th call of the disk, fails once; 0: none. */
void tt_part_env_fail(struct tt_part_env *env, uint64_t allocation, uint64_t call);
void
tt_part_env_fail(struct tt_part_env *env, uint64_t allocation, uint64_t call)
{
	struct io_fault_plan plan = { .fail_at = call, .errno_value = EIO };

	env->mem.fail_at = allocation == 0 ? 0 : env->mem.calls + allocation;
	io_fault_plan(env->io, &plan);
}

uint64_t tt_part_env_live(struct tt_part_env *env);
uint64_t
tt_part_env_live(struct tt_part_env *env)
{
	return mem_live(&env->mem) + env->io->open_files * 1000000;
}

uint64_t tt_part_env_bytes_read(struct tt_part_env *env);
uint64_t
tt_part_env_bytes_read(struct tt_part_env *env)
{
	return env->io->bytes_read;
}

/* -- Memory parts --------------------------------------------------------------------------------------------------- */

struct tsid_map {
	const struct tsid *tsids;
	uint32_t first; /* the dense number of tsids[0] */
	uint32_t step;  /* from one series to the next */
};

static const struct tsid *
map_get(const struct tsid_map *map, uint32_t series)
{
	return &map->tsids[(series - map->first) / map->step];
}

int tt_part_build(struct tt_part_env *env, int layout, const struct row *rows, size_t n, const struct tsid *tsids,
    uint32_t first, uint32_t step, struct part **out);
int
tt_part_build(struct tt_part_env *env, int layout, const struct row *rows, size_t n, const struct tsid *tsids,
    uint32_t first, uint32_t step, struct part **out)
{
	struct tsid_map map = { .tsids = tsids, .first = first, .step = step };

	return mem_part_create(&env->mem, (enum layout)layout, rows, n, &map, map_get, out);
}

/* -- Writing -------------------------------------------------------------------------------------------------------- */

/* Finishes, renames the directory to the part's name under parent, and stores that path. */
static int
publish(struct tt_part_env *env, struct part_writer *writer, const char *parent, const char *directory, char *path,
    size_t path_bytes)
{
	struct part_header header;
	char name[PART_NAME_MAX];
	bool done = false;

	while (!done)
		TRY(part_writer_finish_step(writer, &done));
	part_writer_header(writer, &header);
	header.suffix = UINT64_C(0x18E9B86CE917F2F6);
	part_name_format(&header, name);
	snprintf(path, path_bytes, "%s/%s", parent, name);
	return io_rename(env->io, directory, path);
}

/* All blocks of a part through the writer. */
static int
copy_blocks(struct tt_part_env *env, struct part *from, struct part_writer *writer)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc;

	TRY(part_cursor_create(&env->mem, from, from->columns == NULL, &cursor));
	int64s_scratch_init(&scratch, &env->mem);
	block_init(&block, &env->mem);
	do {
		rc = part_cursor_next(cursor, &block, &found);
		if (rc == 0 && found)
			rc = part_writer_add(writer, &block, &scratch);
	} while (rc == 0 && found);
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

int tt_part_write(struct tt_part_env *env, struct part *from, const char *parent, int64_t dedup_ms, int dedup_keep,
    char *path, size_t path_bytes);
int
tt_part_write(struct tt_part_env *env, struct part *from, const char *parent, int64_t dedup_ms, int dedup_keep,
    char *path, size_t path_bytes)
{
	struct part_writer_options options = {
		.layout = from->layout,
		.index_level = 1,
		.dedup_interval_ms = dedup_ms,
		.dedup_keep = (enum dedup_keep)dedup_keep,
		.generation = 3,
		.fan_in = 2,
		.policy = "spec",
		.created_ms = 1700000000123,
	};
	struct part_writer *writer;
	char directory[512];
	int rc;

	snprintf(directory, sizeof(directory), "%s/writing", parent);
	TRY(part_writer_create(env->io, &env->mem, directory, &options, &writer));
	rc = copy_blocks(env, from, writer);
	if (rc == 0)
		rc = publish(env, writer, parent, directory, path, path_bytes);
	part_writer_delete(writer, rc == 0);
	return rc;
}

/* xorshift: a seed repeats what an unknown encoder chose. */
static uint64_t
random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A payload as no encoder of ours writes it: any type that can hold the array, at any level, now and then longer varints. */
static int
encode_foreign(struct zstd_context *zstd, uint64_t *random, const int64_t *a, size_t n, struct buf *out, uint8_t *type)
{
	bool second = n > 1 && random_next(random) % 2 == 0;
	int64_t previous = 0;
	struct buf plain;
	int rc = 0;

	buf_init(&plain, out->mem);
	for (size_t i = 1; rc == 0 && i < n; i++) {
		int64_t step = (int64_t)((uint64_t)a[i] - (uint64_t)a[i - 1]);
		int64_t stored = second && i > 1 ? (int64_t)((uint64_t)step - (uint64_t)previous) : step;
		uint8_t bytes[VARINT_BYTES_MAX + 1];
		uint8_t *end = put_varint(bytes, stored);

		if (end - bytes < VARINT_BYTES_MAX && random_next(random) % 16 == 0) {
			end[-1] |= 0x80; /* one empty group more: not minimal, but legal */
			*end++ = 0;
		}
		previous = step;
		rc = buf_append(&plain, bytes, (size_t)(end - bytes));
	}
	*type = second ? MARSHAL_DELTA2 : MARSHAL_DELTA;
	if (rc == 0 && (random_next(random) % 2 == 0 || plain.len > BLOCK_PAYLOAD_BYTES_MAX)) {
		*type = second ? MARSHAL_ZSTD_DELTA2 : MARSHAL_ZSTD_DELTA;
		rc = zstd_compress(zstd, (int)(random_next(random) % 12) - 5, buf_bytes(&plain), out);
	} else if (rc == 0) {
		rc = buf_append(out, plain.data, plain.len);
	}
	buf_free(&plain);
	return rc;
}

static int
add_foreign(struct part_writer *writer, struct block *block, struct zstd_context *zstd, uint64_t *random,
    const struct mem_part *columns, size_t series, uint32_t from, uint32_t rows, struct buf payloads[2],
    int64_t *mantissas)
{
	struct block_header *header = &block->header;
	const int64_t *timestamps = columns->timestamps_ms + from;

	block_reset(block);
	buf_reset(&payloads[0]);
	buf_reset(&payloads[1]);
	header->tsid = columns->series[series];
	header->rows = rows;
	header->min_timestamp_ms = timestamps[0];
	header->max_timestamp_ms = timestamps[rows - 1];
	header->precision_bits = 64;
	header->exponent = decimal_from_doubles(columns->values + from, rows, mantissas);
	header->first_value = mantissas[0];
	TRY(encode_foreign(zstd, random, timestamps, rows, &payloads[0], &header->timestamps_type));
	TRY(encode_foreign(zstd, random, mantissas, rows, &payloads[1], &header->values_type));
	block->timestamps_payload = buf_bytes(&payloads[0]);
	block->values_payload = buf_bytes(&payloads[1]);
	block->state = BLOCK_ENCODED;
	return part_writer_add(writer, block, NULL);
}

/* Blocks of up to 16384 rows in encodings that another writer might choose; no sidecar. */
int tt_part_write_foreign(struct tt_part_env *env, struct part *from, const char *parent, uint64_t seed, char *path,
    size_t path_bytes);
int
tt_part_write_foreign(struct tt_part_env *env, struct part *from, const char *parent, uint64_t seed, char *path,
    size_t path_bytes)
{
	struct part_writer_options options = { .layout = from->layout, .index_level = -5, .policy = "" };
	const struct mem_part *columns = from->columns;
	int64_t *mantissas = malloc(BLOCK_ROWS_READ_MAX * sizeof(*mantissas));
	uint64_t random = seed * 2 + 1;
	struct part_writer *writer;
	struct zstd_context zstd;
	struct buf payloads[2];
	struct block block;
	char directory[512], sums[640];
	int rc;

	snprintf(directory, sizeof(directory), "%s/writing", parent);
	block_init(&block, &env->mem);
	zstd_context_init(&zstd, &env->mem);
	buf_init(&payloads[0], &env->mem);
	buf_init(&payloads[1], &env->mem);
	rc = part_writer_create(env->io, &env->mem, directory, &options, &writer);
	for (size_t i = 0; rc == 0 && i < columns->series_count; i++) {
		for (uint32_t at = columns->first_row[i]; rc == 0 && at < columns->first_row[i + 1];) {
			uint32_t rest = columns->first_row[i + 1] - at;
			uint32_t rows = random_next(&random) % 2 == 0 ? BLOCK_ROWS_READ_MAX
								      : 1 + (uint32_t)(random_next(&random) % 900);

			rows = rows < rest ? rows : rest;
			rc = add_foreign(writer, &block, &zstd, &random, columns, i, at, rows, payloads, mantissas);
			at += rows;
		}
	}
	if (rc == 0)
		rc = publish(env, writer, parent, directory, path, path_bytes);
	part_writer_delete(writer, rc == 0);
	buf_free(&payloads[0]);
	buf_free(&payloads[1]);
	zstd_context_free(&zstd);
	block_free(&block);
	free(mantissas);
	snprintf(sums, sizeof(sums), "%s/%s", path, PART_SUMS_FILE);
	return rc == 0 ? io_unlink(env->io, sums) : rc;
}

/* -- Reading -------------------------------------------------------------------------------------------------------- */

int tt_part_open(struct tt_part_env *env, int layout, const char *path, struct part **out);
int
tt_part_open(struct tt_part_env *env, int layout, const char *path, struct part **out)
{
	return part_open_file(env->io, &env->mem, (enum layout)layout, path, PART_TIER_SMALL, out);
}

int tt_part_verify(struct tt_part_env *env, struct part *part);
int
tt_part_verify(struct tt_part_env *env, struct part *part)
{
	return part_verify(&env->mem, part);
}

/* Opens, verifies and closes. */
int tt_part_check(struct tt_part_env *env, int layout, const char *path);
int
tt_part_check(struct tt_part_env *env, int layout, const char *path)
{
	struct part *part;
	int rc;

	TRY(tt_part_open(env, layout, path, &part));
	rc = part_verify(&env->mem, part);
	part_unref(part);
	return rc;
}

struct tt_part_info {
	uint64_t rows, blocks;
	int64_t min_ms, max_ms;
	uint64_t suffix, bytes;
	int64_t min_dedup_interval_ms;
	uint32_t generation, fan_in;
	int64_t created_ms;
	bool verified;
	char policy[32];
};

void tt_part_info(const struct part *part, struct tt_part_info *info);
void
tt_part_info(const struct part *part, struct tt_part_info *info)
{
	*info = (struct tt_part_info){
		.rows = part->header.rows,
		.blocks = part->header.blocks,
		.min_ms = part->header.min_timestamp_ms,
		.max_ms = part->header.max_timestamp_ms,
		.suffix = part->header.suffix,
		.bytes = part->bytes,
		.min_dedup_interval_ms = part->min_dedup_interval_ms,
		.generation = part->generation,
		.fan_in = part->fan_in,
		.created_ms = part->created_ms,
		.verified = part->sums != NULL,
	};
	memcpy(info->policy, part->policy, sizeof(info->policy));
}

/* Rows of blocks, one after another; values as bits. */
struct tt_part_rows {
	size_t count, cap;
	uint64_t *metric_id;
	int64_t *timestamp_ms;
	uint64_t *bits;
	size_t blocks;
};

static int
rows_add(struct tt_part_rows *rows, struct block *block, struct int64s_scratch *scratch)
{
	size_t n = block->header.rows;

	if (rows->cap - rows->count < n)
		return ERR(ERR_LIMIT, "more than the %zu rows that the spec expects", rows->cap);
	TRY(block_read(block, scratch, rows->timestamp_ms + rows->count, (double *)(rows->bits + rows->count)));
	for (size_t i = 0; i < n; i++)
		rows->metric_id[rows->count + i] = block->header.tsid.metric_id;
	rows->count += n;
	rows->blocks++;
	return 0;
}

/* Everything in part order. decode_first: by way of decoded blocks, as a merge reads them. */
int tt_part_rows(struct tt_part_env *env, struct part *part, bool strict, bool decode_first, struct tt_part_rows *rows);
int
tt_part_rows(struct tt_part_env *env, struct part *part, bool strict, bool decode_first, struct tt_part_rows *rows)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc;

	rows->count = rows->blocks = 0;
	TRY(part_cursor_create(&env->mem, part, strict, &cursor));
	int64s_scratch_init(&scratch, &env->mem);
	block_init(&block, &env->mem);
	do {
		rc = part_cursor_next(cursor, &block, &found);
		if (rc == 0 && found && decode_first && block.state == BLOCK_ENCODED)
			rc = block_own_payloads(&block);
		if (rc == 0 && found && decode_first)
			rc = block_decode(&block, &scratch);
		if (rc == 0 && found)
			rc = rows_add(rows, &block, &scratch);
	} while (rc == 0 && found);
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

/* The blocks of tsids[0..n), which ascend, that meet the time range. */
int tt_part_query(struct tt_part_env *env, struct part *part, const struct tsid *tsids, size_t n, int64_t min_ms,
    int64_t max_ms, struct tt_part_rows *rows);
int
tt_part_query(struct tt_part_env *env, struct part *part, const struct tsid *tsids, size_t n, int64_t min_ms,
    int64_t max_ms, struct tt_part_rows *rows)
{
	struct int64s_scratch scratch;
	struct part_cursor *cursor;
	struct block block;
	int rc;

	rows->count = rows->blocks = 0;
	TRY(part_cursor_create(&env->mem, part, false, &cursor));
	int64s_scratch_init(&scratch, &env->mem);
	block_init(&block, &env->mem);
	rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		bool found = true;

		rc = part_cursor_seek(cursor, &tsids[i]);
		while (rc == 0 && found) {
			rc = part_cursor_next_of(cursor, &tsids[i], min_ms, max_ms, &block, &found);
			if (rc == 0 && found)
				rc = rows_add(rows, &block, &scratch);
		}
	}
	block_free(&block);
	int64s_scratch_free(&scratch);
	part_cursor_delete(cursor);
	return rc;
}

/* The header of every block, in part order; at most cap. */
int tt_part_headers(struct tt_part_env *env, struct part *part, struct block_header *headers, size_t cap,
    size_t *count);
int
tt_part_headers(struct tt_part_env *env, struct part *part, struct block_header *headers, size_t cap, size_t *count)
{
	struct part_cursor *cursor;
	struct block block;
	bool found = true;
	int rc;

	*count = 0;
	TRY(part_cursor_create(&env->mem, part, true, &cursor));
	block_init(&block, &env->mem);
	do {
		rc = part_cursor_next(cursor, &block, &found);
		if (rc == 0 && found && *count < cap)
			headers[(*count)++] = block.header;
	} while (rc == 0 && found);
	block_free(&block);
	part_cursor_delete(cursor);
	return rc;
}

uint64_t tt_part_metaindex_count(const struct part *part);
uint64_t
tt_part_metaindex_count(const struct part *part)
{
	return part->metaindex_count;
}

/* -- Small things --------------------------------------------------------------------------------------------------- */

int tt_part_order(const struct tsid *tsids, size_t n, uint32_t *order);
int
tt_part_order(const struct tsid *tsids, size_t n, uint32_t *order)
{
	const struct tsid **pointers = malloc((n + 1) * sizeof(*pointers));
	struct mem mem;
	int rc;

	mem_init(&mem, 0);
	for (size_t i = 0; i < n; i++)
		pointers[i] = &tsids[i];
	rc = tsid_order(&mem, pointers, n, order);
	free(pointers);
	return rc != 0 ? rc : mem_live(&mem) != 0;
}

int tt_part_tsid_compare(const struct tsid *a, const struct tsid *b);
int
tt_part_tsid_compare(const struct tsid *a, const struct tsid *b)
{
	return tsid_compare(a, b);
}

int64_t tt_part_min_dedup_parse(const char *text);
int64_t
tt_part_min_dedup_parse(const char *text)
{
	int64_t interval_ms;

	return min_dedup_parse(bytes_of_text(text), &interval_ms) ? interval_ms : -1;
}
