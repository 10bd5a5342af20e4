/*
 * part.c -- opening, counting and closing parts.
 * floor: part     uses: part.h metaindex.h part_sums.h min_dedup.h mem_part.h     used by: merge, table, storage
 *
 * Opening reads the sidecar, metaindex.bin and the sizes of the other files: enough to search without another look,
 * and to notice a file that was cut or swapped. The data itself is checked when it is read.
 */
#include "part/part.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/err.h"
#include "part/mem_part.h"
#include "part/metaindex.h"
#include "part/min_dedup.h"

enum { MIN_DEDUP_FILE_BYTES_MAX = 256 };

/* A metaindex row stands for an index block of up to 64 KiB: a file of this size describes more than any disk holds. */
#define METAINDEX_FILE_BYTES_MAX (UINT64_C(1) << 30)

/* -- Counting and closing ------------------------------------------------------------------------------------------- */

void
part_ref(struct part *part)
{
	uint32_t before = atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);

	assert(before > 0);
	(void)before;
}

/* Frees a part that is complete or half made. */
static void
part_destroy(struct part *part)
{
	struct mem *mem = part->mem;

	io_close(part->timestamps);
	io_close(part->values);
	io_close(part->index);
	mem_part_free(mem, part->columns);
	mem_free(mem, part->metaindex);
	mem_free(mem, part->sums);
	mem_free(mem, part->path);
	mem_free(mem, part->own_name);
	mem_free(mem, part);
}

void
part_unref(struct part *part)
{
	uint32_t before;

	if (part == NULL)
		return;
	before = atomic_fetch_sub_explicit(&part->refs, 1, memory_order_acq_rel);
	assert(before > 0);
	if (before == 1)
		part_destroy(part);
}

/* -- Opening -------------------------------------------------------------------------------------------------------- */

/* A file of the part that must be there. */
static int
file_open(struct part *part, enum part_file which, struct io_file **file, uint64_t *bytes)
{
	char *path = mem_printf(part->mem, "%s/%s", part->path, part_file_name(which));
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_open_read(part->io, path, file);
	if (rc == ERR_NOTFOUND)
		rc = ERR_CORRUPT(path, UINT64_MAX, "the file is missing");
	if (rc == 0)
		rc = io_size(*file, bytes);
	if (rc == 0 && part->sums != NULL && *bytes != part->sums->bytes[which])
		rc = ERR_CORRUPT(path, UINT64_MAX, "has %" PRIu64 " bytes, %" PRIu64 " were written", *bytes,
		    part->sums->bytes[which]);
	mem_free(part->mem, path);
	return rc;
}

/* What the sidecar says of the part as a whole. */
static int
sums_take(struct part *part)
{
	const struct part_sums *sums = part->sums;
	const struct part_header *header = &part->header;

	if (sums == NULL)
		return 0;
	if (sums->header.rows != header->rows || sums->header.blocks != header->blocks ||
	    sums->header.min_timestamp_ms != header->min_timestamp_ms ||
	    sums->header.max_timestamp_ms != header->max_timestamp_ms)
		return ERR_CORRUPT(part->path, UINT64_MAX, "its name and its %s tell different rows, blocks or times",
		    PART_SUMS_FILE);
	part->generation = sums->generation;
	part->fan_in = sums->fan_in;
	part->created_ms = sums->created_ms;
	memcpy(part->policy, sums->policy, sizeof(part->policy));
	return 0;
}

static int
metaindex_open(struct part *part)
{
	struct io_file *file = NULL;
	struct buf frame;
	uint64_t bytes;
	int rc;

	buf_init(&frame, part->mem);
	TRY_GOTO(out, file_open(part, PART_FILE_METAINDEX, &file, &bytes));
	if (bytes > METAINDEX_FILE_BYTES_MAX) {
		rc = ERR_CORRUPT(io_path(file), UINT64_MAX, "has %" PRIu64 " bytes, no part needs as many", bytes);
		goto out;
	}
	TRY_GOTO(out, buf_reserve(&frame, bytes));
	TRY_GOTO(out, io_pread(file, frame.data, bytes, 0));
	frame.len = bytes;
	if (part->sums != NULL)
		TRY_GOTO(out,
		    part_sums_check(part->sums, PART_FILE_METAINDEX, io_path(file), 0, frame.data, frame.len));
	TRY_GOTO(out, metaindex_parse(part, io_path(file), buf_bytes(&frame)));
	part->bytes += bytes;
out:
	io_close(file);
	buf_free(&frame);
	return rc;
}

/* The file's text against the sidecar: ours is written in one way only. */
static int
min_dedup_check(const struct part *part, const char *path, struct bytes text)
{
	int64_t expected_ms = part->sums->min_dedup_interval_ms;
	char expected[MIN_DEDUP_TEXT_MAX] = "";

	if (expected_ms < 0)
		return ERR_CORRUPT(path, UINT64_MAX, "%s tells a negative interval", PART_SUMS_FILE);
	if (expected_ms > 0)
		min_dedup_format(expected_ms, expected);
	if (!bytes_equal(text, bytes_of_text(expected)))
		return ERR_CORRUPT(path, UINT64_MAX, "says \"%.*s\", \"%s\" was written", (int)text.len,
		    (const char *)text.data, expected);
	return 0;
}

static int
min_dedup_open(struct part *part)
{
	char *path = mem_printf(part->mem, "%s/%s", part->path, MIN_DEDUP_FILE);
	struct buf text;
	bool there;
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	buf_init(&text, part->mem);
	rc = io_read_file(part->io, path, MIN_DEDUP_FILE_BYTES_MAX, &text);
	there = rc != ERR_NOTFOUND;
	if (!there)
		rc = 0;
	if (rc == 0 && part->sums != NULL)
		rc = min_dedup_check(part, path, buf_bytes(&text));
	if (rc == 0 && there && !min_dedup_parse(buf_bytes(&text), &part->min_dedup_interval_ms))
		rc = ERR_CORRUPT(path, UINT64_MAX, "\"%.*s\" is no duration", (int)text.len, (const char *)text.data);
	buf_free(&text);
	mem_free(part->mem, path);
	return rc;
}

static int
part_load(struct part *part)
{
	if (part_name_parse(part->name, &part->header) != 0)
		return ERR_CORRUPT(part->path, UINT64_MAX, "%s", err_message());
	TRY(part_sums_load(part->io, part->mem, part->path, &part->sums));
	TRY(sums_take(part));
	TRY(file_open(part, PART_FILE_TIMESTAMPS, &part->timestamps, &part->timestamps_bytes));
	TRY(file_open(part, PART_FILE_VALUES, &part->values, &part->values_bytes));
	TRY(file_open(part, PART_FILE_INDEX, &part->index, &part->index_bytes));
	part->bytes = part->timestamps_bytes + part->values_bytes + part->index_bytes;
	TRY(metaindex_open(part));
	return min_dedup_open(part);
}

int
part_open_file_as(struct io *io, struct mem *mem, enum layout layout, const char *path, const char *name,
    enum part_tier tier, struct part **out)
{
	struct part *part = mem_zalloc(mem, sizeof(*part));
	int rc;

	*out = NULL;
	if (part == NULL)
		return ERR_MEMORY;
	part->mem = mem;
	part->io = io;
	part->layout = layout;
	part->tier = tier;
	part->refs = 1;
	part->path = mem_strdup(mem, path);
	part->name = part->own_name = mem_strdup(mem, name);
	rc = part->path == NULL || part->name == NULL ? ERR_MEMORY : part_load(part);
	if (rc != 0) {
		part_destroy(part);
		return rc;
	}
	*out = part;
	return 0;
}

int
part_open_file(struct io *io, struct mem *mem, enum layout layout, const char *path, enum part_tier tier,
    struct part **out)
{
	const char *slash = strrchr(path, '/');

	return part_open_file_as(io, mem, layout, path, slash == NULL ? path : slash + 1, tier, out);
}
