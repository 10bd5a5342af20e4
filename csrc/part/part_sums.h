/*
 * part_sums.h -- the sidecar tsengine.sums: what a part of ours must look like, byte for byte.
 * floor: part     uses: part.h     used by: part
 *
 *   OFFSET SIZE  (big endian)
 *   0      8     "tseSUMS1"
 *   8      4     bytes per chunk
 *   12     4     generation: depth of the tree of merges below this part
 *   16     4     parts it was merged from
 *   20     8     created, ms since 1970
 *   28     8     min_dedup_interval in ms
 *   36     32    name of the policy, filled with zeros
 *   68     32    rows, blocks, least and greatest timestamp
 *   100    32    sizes of timestamps.bin, values.bin, index.bin, metaindex.bin
 *   132    4*k   CRC32C of every chunk of those files, in that order; the last chunk of a file may be short
 *   132+4k 4     CRC32C of all the bytes before
 *
 * A chunk is what a reader has to read to trust a part of it: small enough for a query that wants one block, large
 * enough that the sums take a 4000th of the data.
 *
 * Errors     ERR_CORRUPTED names the sidecar, or the file and chunk that differ; ERR_LAYOUT for a later version.
 * Threads    immutable once loaded.
 */
#ifndef TSE_PART_SUMS_H
#define TSE_PART_SUMS_H

#include "part/part.h"

enum { PART_SUMS_CHUNK_BYTES = 16384 };
#define PART_SUMS_FILE "tsengine.sums"

enum part_file { PART_FILE_TIMESTAMPS, PART_FILE_VALUES, PART_FILE_INDEX, PART_FILE_METAINDEX, PART_FILE_COUNT };

/* "timestamps.bin" ... */
const char *part_file_name(enum part_file which);

struct part_sums {
	uint32_t chunk_bytes;
	uint32_t generation;
	uint32_t fan_in;
	int64_t created_ms;
	int64_t min_dedup_interval_ms;
	char policy[PART_POLICY_MAX]; /* terminated */
	struct part_header header;    /* without suffix */
	uint64_t bytes[PART_FILE_COUNT];
	const uint32_t *crcs[PART_FILE_COUNT]; /* into the memory behind this struct */
};

/* Reads <directory>/tsengine.sums; *out NULL when there is none. Freed by mem_free. */
NODISCARD int part_sums_load(struct io *io, struct mem *mem, const char *directory, struct part_sums **out);
/*
 * Compares data, which was read from [offset, offset + n) of the file, with the sums. offset begins a chunk; the range
 * ends with a chunk or with the file. path names the file in the error.
 */
NODISCARD int part_sums_check(const struct part_sums *sums, enum part_file which, const char *path, uint64_t offset,
    const void *data, size_t n);

/* The sums of one file while it is written. */
struct part_sums_run {
	struct buf crcs; /* uint32_t each, of the chunks that are full */
	uint32_t crc;    /* of the chunk that is not */
	uint32_t fill;
	uint64_t bytes;
};

void part_sums_run_init(struct part_sums_run *run, struct mem *mem);
void part_sums_run_free(struct part_sums_run *run);
NODISCARD int part_sums_run_add(struct part_sums_run *run, const void *data, size_t n);
/* Appends the sidecar's bytes to out. chunk_bytes, bytes and crcs of sums are not looked at: the runs tell. */
NODISCARD int part_sums_encode(const struct part_sums *sums, struct part_sums_run runs[PART_FILE_COUNT],
    struct buf *out);

#endif
