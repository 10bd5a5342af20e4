/*
 * part_writer.c -- blocks -> the files of a part.
 * floor: part     uses: part_writer.h part_sums.h min_dedup.h codec io.h     used by: merge
 *
 *   add      payloads -> timestamps.bin, values.bin      headers -> index block -> (64 KiB) -> index.bin -> metaindex row
 *   finish   write everything out | fsync timestamps | values | index | metaindex | sums | min_dedup_interval | directory
 *            each "|" ends a step
 *
 * Writes go through a buffer per file; the sums of chunks are taken as bytes pass.
 */
#include "part/part_writer.h"

#include "base/err.h"
#include "codec/zstd.h"
#include "part/min_dedup.h"
#include "part/part_sums.h"

enum {
	WRITE_BYTES = 131072,        /* a system call for this much costs little beside copying it */
	FILES = PART_FILE_COUNT + 1, /* and the sidecar */
	FILE_SUMS = PART_FILE_COUNT
};

/* What the next finish step does. Stages up to FILES - 1 make the file of that number durable. */
enum { STAGE_MIN_DEDUP = FILES, STAGE_DIRECTORY, STAGE_DONE };

struct out_file {
	struct io_file *file;
	struct buf pending;
	struct part_sums_run sums;
};

struct part_writer {
	struct io *io;
	struct mem *mem;
	struct part_writer_options options;
	char policy[PART_POLICY_MAX];
	char *directory;
	struct out_file files[FILES];
	struct zstd_context zstd;
	struct buf timestamps_payload, values_payload; /* of the block being encoded */
	struct {
		struct buf numbers; /* timestamps_payload is theirs, exact; empty: it is not */
		uint8_t type;
	} encoded;
	struct buf previous_timestamps; /* payload of the block before (7.2) */
	uint64_t previous_offset;
	struct buf headers;       /* the open index block */
	struct metaindex_row row; /* its row, growing */
	struct buf rows;          /* metaindex rows of closed index blocks */
	struct part_header totals;
	struct tsid last_tsid; /* for invariant (1) */
	int64_t last_min_ms;
	bool flushed;
	bool failed; /* invariant (3) */
	int stage;
};

/* -- Files ---------------------------------------------------------------------------------------------------------- */

static int
file_create(struct part_writer *writer, int which)
{
	char *path = mem_printf(writer->mem, "%s/%s", writer->directory,
	    which == FILE_SUMS ? PART_SUMS_FILE : part_file_name(which));
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_create(writer->io, path, &writer->files[which].file);
	mem_free(writer->mem, path);
	return rc;
}

static int
file_flush(struct out_file *file)
{
	TRY(io_write(file->file, file->pending.data, file->pending.len));
	buf_reset(&file->pending);
	return 0;
}

static int
file_append(struct out_file *file, struct bytes data)
{
	TRY(part_sums_run_add(&file->sums, data.data, data.len));
	TRY(buf_append(&file->pending, data.data, data.len));
	return file->pending.len < WRITE_BYTES ? 0 : file_flush(file);
}

/* -- Index ---------------------------------------------------------------------------------------------------------- */

/* Compresses the open index block, if there is one, and adds its row to the metaindex. */
static int
index_block_close(struct part_writer *writer)
{
	struct out_file *index = &writer->files[PART_FILE_INDEX];
	struct metaindex_row *row = &writer->row;
	size_t row_bytes = metaindex_row_bytes(writer->options.layout);
	struct buf frame;
	int rc;

	if (row->headers == 0)
		return 0;
	buf_init(&frame, writer->mem);
	TRY_GOTO(out, zstd_compress(&writer->zstd, writer->options.index_level, buf_bytes(&writer->headers), &frame));
	row->index_offset = index->sums.bytes;
	row->index_bytes = (uint32_t)frame.len;
	TRY_GOTO(out, file_append(index, buf_bytes(&frame)));
	TRY_GOTO(out, buf_reserve(&writer->rows, row_bytes));
	metaindex_row_put(writer->rows.data + writer->rows.len, writer->options.layout, row);
	writer->rows.len += row_bytes;
	buf_reset(&writer->headers);
	row->headers = 0;
out:
	buf_free(&frame);
	return rc;
}

static int
header_append(struct part_writer *writer, const struct block_header *header)
{
	struct metaindex_row *row = &writer->row;
	struct part_header *totals = &writer->totals;
	size_t header_bytes = block_header_bytes(writer->options.layout);

	TRY(buf_reserve(&writer->headers, header_bytes));
	block_header_put(writer->headers.data + writer->headers.len, writer->options.layout, header);
	writer->headers.len += header_bytes;
	if (row->headers++ == 0) {
		row->tsid = header->tsid;
		row->min_timestamp_ms = header->min_timestamp_ms;
		row->max_timestamp_ms = header->max_timestamp_ms;
	}
	if (header->min_timestamp_ms < row->min_timestamp_ms)
		row->min_timestamp_ms = header->min_timestamp_ms;
	if (header->max_timestamp_ms > row->max_timestamp_ms)
		row->max_timestamp_ms = header->max_timestamp_ms;
	if (totals->blocks++ == 0) {
		totals->min_timestamp_ms = header->min_timestamp_ms;
		totals->max_timestamp_ms = header->max_timestamp_ms;
	}
	if (header->min_timestamp_ms < totals->min_timestamp_ms)
		totals->min_timestamp_ms = header->min_timestamp_ms;
	if (header->max_timestamp_ms > totals->max_timestamp_ms)
		totals->max_timestamp_ms = header->max_timestamp_ms;
	totals->rows += header->rows;
	return writer->headers.len < INDEX_BLOCK_BYTES_CLOSE ? 0 : index_block_close(writer);
}

/* -- Blocks --------------------------------------------------------------------------------------------------------- */

/* Payloads and header of one block that is ready; only the offsets are still to be found. */
static int
block_write(struct part_writer *writer, struct block_header *header, struct bytes timestamps, struct bytes values)
{
	struct out_file *timestamps_file = &writer->files[PART_FILE_TIMESTAMPS];
	struct out_file *values_file = &writer->files[PART_FILE_VALUES];

	assert(writer->totals.blocks == 0 || tsid_compare(&writer->last_tsid, &header->tsid) < 0 ||
	    (tsid_compare(&writer->last_tsid, &header->tsid) == 0 && writer->last_min_ms <= header->min_timestamp_ms));
	writer->last_tsid = header->tsid;
	writer->last_min_ms = header->min_timestamp_ms;
	header->timestamps_bytes = (uint32_t)timestamps.len;
	header->values_bytes = (uint32_t)values.len;
	if (timestamps.len > 0 && bytes_equal(timestamps, buf_bytes(&writer->previous_timestamps))) {
		header->timestamps_offset = writer->previous_offset;
	} else {
		header->timestamps_offset = writer->previous_offset = timestamps_file->sums.bytes;
		TRY(file_append(timestamps_file, timestamps));
		/* an empty payload is remembered too: only the block right before may be shared */
		buf_reset(&writer->previous_timestamps);
		TRY(buf_append(&writer->previous_timestamps, timestamps.data, timestamps.len));
	}
	header->values_offset = values_file->sums.bytes;
	TRY(file_append(values_file, values));
	return header_append(writer, header);
}

/*
 * Encodes timestamps into writer->timestamps_payload. Series that are scraped together have the same ones: then the
 * payload of the block before is still right.
 */
static int
timestamps_encode(struct part_writer *writer, const int64_t *timestamps_ms, struct block_header *header,
    struct int64s_scratch *scratch)
{
	struct bytes numbers = bytes_of(timestamps_ms, header->rows * sizeof(*timestamps_ms));

	if (header->precision_bits == 64 && bytes_equal(numbers, buf_bytes(&writer->encoded.numbers))) {
		header->timestamps_type = writer->encoded.type;
		header->min_timestamp_ms = timestamps_ms[0];
		return 0;
	}
	buf_reset(&writer->encoded.numbers);
	buf_reset(&writer->timestamps_payload);
	TRY(int64s_encode(scratch, timestamps_ms, header->rows, header->precision_bits, &writer->timestamps_payload,
	    &header->timestamps_type, &header->min_timestamp_ms));
	/* constant steps are found as fast as they are compared */
	if (header->precision_bits < 64 || header->timestamps_type == MARSHAL_CONST ||
	    header->timestamps_type == MARSHAL_DELTA_CONST)
		return 0;
	writer->encoded.type = header->timestamps_type;
	return buf_append(&writer->encoded.numbers, numbers.data, numbers.len);
}

/* Encodes rows [from, from + count) of a decoded block as a block of its own. */
static int
slice_write(struct part_writer *writer, const struct block *block, size_t from, size_t count,
    struct int64s_scratch *scratch)
{
	struct block_header header = block->header;

	header.rows = (uint32_t)count;
	TRY(timestamps_encode(writer, block->timestamps_ms + from, &header, scratch));
	buf_reset(&writer->values_payload);
	header.max_timestamp_ms = block->timestamps_ms[from + count - 1];
	TRY(int64s_encode(scratch, block->mantissas + from, count, header.precision_bits, &writer->values_payload,
	    &header.values_type, &header.first_value));
	return block_write(writer, &header, buf_bytes(&writer->timestamps_payload), buf_bytes(&writer->values_payload));
}

static int
add(struct part_writer *writer, struct block *block, struct int64s_scratch *scratch)
{
	size_t rows;

	if (block->state == BLOCK_ENCODED && writer->options.dedup_interval_ms <= 0) {
		struct block_header header = block->header;

		return block_write(writer, &header, block->timestamps_payload, block->values_payload);
	}
	TRY(block_decode(block, scratch));
	rows = dedup_rows(writer->options.dedup_interval_ms, writer->options.dedup_keep, block->timestamps_ms,
	    block->mantissas, NULL, block->header.rows);
	block->header.rows = (uint32_t)rows;
	block->header.min_timestamp_ms = block->timestamps_ms[0];
	block->header.max_timestamp_ms = block->timestamps_ms[rows - 1];
	/* a foreign block may have up to 16384 rows; two of ours hold them and never exceed the limit of a payload */
	for (size_t from = 0; from < rows; from += BLOCK_ROWS_MAX)
		TRY(slice_write(writer, block, from, rows - from < BLOCK_ROWS_MAX ? rows - from : BLOCK_ROWS_MAX,
		    scratch));
	return 0;
}

int
part_writer_add(struct part_writer *writer, struct block *block, struct int64s_scratch *scratch)
{
	int rc;

	assert(block->state != BLOCK_EMPTY && block->header.rows > 0 && !writer->flushed);
	if (writer->failed)
		return ERR_BUG("the part writer of %s failed before and is used again", writer->directory);
	rc = add(writer, block, scratch);
	writer->failed = rc != 0;
	return rc;
}

/* -- Finishing ------------------------------------------------------------------------------------------------------ */

/* The sidecar's bytes, once all sums are known. */
static int
sums_write(struct part_writer *writer)
{
	struct part_sums_run runs[PART_FILE_COUNT];
	struct part_sums sums = {
		.generation = writer->options.generation,
		.fan_in = writer->options.fan_in,
		.created_ms = writer->options.created_ms,
		.min_dedup_interval_ms = writer->options.dedup_interval_ms > 0 ? writer->options.dedup_interval_ms : 0,
		.header = writer->totals,
	};

	memcpy(sums.policy, writer->policy, sizeof(sums.policy));
	for (int i = 0; i < PART_FILE_COUNT; i++)
		runs[i] = writer->files[i].sums;
	TRY(file_create(writer, FILE_SUMS));
	TRY(part_sums_encode(&sums, runs, &writer->files[FILE_SUMS].pending));
	return file_flush(&writer->files[FILE_SUMS]);
}

/* Hands all bytes of all files to the system. */
static int
flush_all(struct part_writer *writer)
{
	struct out_file *metaindex = &writer->files[PART_FILE_METAINDEX];

	TRY(index_block_close(writer));
	TRY(file_create(writer, PART_FILE_METAINDEX));
	TRY(zstd_compress(&writer->zstd, writer->options.index_level, buf_bytes(&writer->rows), &metaindex->pending));
	TRY(part_sums_run_add(&metaindex->sums, metaindex->pending.data, metaindex->pending.len));
	for (int i = 0; i < PART_FILE_COUNT; i++)
		TRY(file_flush(&writer->files[i]));
	return sums_write(writer);
}

static int
file_finish(struct out_file *file)
{
	struct io_file *closing = file->file;

	TRY(io_fsync(file->file));
	file->file = NULL; /* closing ends it, also when it fails */
	return io_close(closing);
}

static int
min_dedup_write(struct part_writer *writer)
{
	char text[MIN_DEDUP_TEXT_MAX];
	char *path;
	int rc;

	min_dedup_format(writer->options.dedup_interval_ms, text);
	path = mem_printf(writer->mem, "%s/%s", writer->directory, MIN_DEDUP_FILE);
	if (path == NULL)
		return ERR_MEMORY;
	rc = io_write_file_synced(writer->io, path, text, strlen(text));
	mem_free(writer->mem, path);
	return rc;
}

/* One step. Stages without work were passed over before. */
static int
finish_step(struct part_writer *writer)
{
	if (!writer->flushed) {
		TRY(flush_all(writer));
		writer->flushed = true;
		return 0;
	}
	if (writer->stage < FILES)
		TRY(file_finish(&writer->files[writer->stage]));
	else if (writer->stage == STAGE_MIN_DEDUP)
		TRY(min_dedup_write(writer));
	else
		TRY(io_fsync_dir(writer->io, writer->directory));
	writer->stage++;
	if (writer->stage == STAGE_MIN_DEDUP && writer->options.dedup_interval_ms <= 0)
		writer->stage++;
	return 0;
}

int
part_writer_finish_step(struct part_writer *writer, bool *done)
{
	*done = false;
	if (writer->failed)
		return ERR_BUG("the part writer of %s failed before and is used again", writer->directory);
	if (writer->totals.rows == 0)
		writer->stage = STAGE_DONE; /* nothing to keep: the caller deletes the directory */
	if (writer->stage != STAGE_DONE) {
		int rc = finish_step(writer);

		writer->failed = rc != 0;
		TRY(rc);
	}
	*done = writer->stage == STAGE_DONE;
	return 0;
}

void
part_writer_header(const struct part_writer *writer, struct part_header *out)
{
	*out = writer->totals;
}

uint64_t
part_writer_bytes(const struct part_writer *writer)
{
	uint64_t bytes = 0;

	for (int i = 0; i < PART_FILE_COUNT; i++)
		bytes += writer->files[i].sums.bytes;
	return bytes;
}

/* -- Life ----------------------------------------------------------------------------------------------------------- */

static void
writer_init(struct part_writer *writer, struct io *io, struct mem *mem, const struct part_writer_options *options)
{
	writer->io = io;
	writer->mem = mem;
	writer->options = *options;
	if (options->policy != NULL)
		memcpy(writer->policy, options->policy, strnlen(options->policy, PART_POLICY_MAX - 1));
	writer->options.policy = writer->policy;
	zstd_context_init(&writer->zstd, mem);
	buf_init(&writer->timestamps_payload, mem);
	buf_init(&writer->values_payload, mem);
	buf_init(&writer->encoded.numbers, mem);
	buf_init(&writer->previous_timestamps, mem);
	buf_init(&writer->headers, mem);
	buf_init(&writer->rows, mem);
	for (int i = 0; i < FILES; i++) {
		buf_init(&writer->files[i].pending, mem);
		part_sums_run_init(&writer->files[i].sums, mem);
	}
}

int
part_writer_create(struct io *io, struct mem *mem, const char *directory, const struct part_writer_options *options,
    struct part_writer **out)
{
	struct part_writer *writer = mem_zalloc(mem, sizeof(*writer));
	int rc;

	*out = NULL;
	if (writer == NULL)
		return ERR_MEMORY;
	writer_init(writer, io, mem, options);
	rc = ERR_MEMORY;
	writer->directory = mem_strdup(mem, directory);
	if (writer->directory == NULL)
		goto fail;
	rc = io_mkdir(io, directory);
	if (rc != 0) {
		/* a directory that was there before is not ours to remove */
		part_writer_delete(writer, true);
		return rc;
	}
	TRY_GOTO(fail, file_create(writer, PART_FILE_TIMESTAMPS));
	TRY_GOTO(fail, file_create(writer, PART_FILE_VALUES));
	TRY_GOTO(fail, file_create(writer, PART_FILE_INDEX));
	*out = writer;
	return 0;
fail:
	part_writer_delete(writer, false);
	return rc;
}

void
part_writer_delete(struct part_writer *writer, bool keep)
{
	struct err_saved saved;
	struct mem *mem;

	if (writer == NULL)
		return;
	mem = writer->mem;
	/* tidying up must not hide why the caller gave up */
	err_save(&saved);
	for (int i = 0; i < FILES; i++) {
		io_close(writer->files[i].file);
		buf_free(&writer->files[i].pending);
		part_sums_run_free(&writer->files[i].sums);
	}
	if (!keep && writer->directory != NULL)
		(void)!io_remove_tree(writer->io,
		    writer->directory); /* best effort: what stays in tmp/ goes with the next open */
	err_restore(&saved);
	zstd_context_free(&writer->zstd);
	buf_free(&writer->timestamps_payload);
	buf_free(&writer->values_payload);
	buf_free(&writer->encoded.numbers);
	buf_free(&writer->previous_timestamps);
	buf_free(&writer->headers);
	buf_free(&writer->rows);
	mem_free(mem, writer->directory);
	mem_free(mem, writer);
}
