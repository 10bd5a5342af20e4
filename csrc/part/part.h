/*
 * part.h -- an immutable, counted set of blocks: in memory or a directory of files (part format 2).
 * floor: part     uses: block_header.h io.h     used by: merge, table, storage
 *
 *   in memory   rows grouped by series, columns raw (int64 timestamps, doubles): part/mem_part.h
 *   on disk     <rows>_<blocks>_<min>_<max>_<suffix>/ {timestamps,values,index,metaindex}.bin, tsengine.sums
 *
 * Invariants
 *  (1) After part_open_file or mem_part_create returns, nothing in a part changes but refs and the fields of `table`.
 *  (2) refs > 0 while anybody can reach it; the last part_unref closes files and frees. Directories of merged parts are
 *      removed by their owner (table/trash), before or after: an open file stays readable.
 * Errors     ERR_CORRUPTED names part, file and offset; ERR_IO, ERR_MEMORY.
 * Threads    any number may read a part and call ref/unref.
 */
#ifndef TSE_PART_H
#define TSE_PART_H

#include "base/io.h"
#include "part/block_header.h"

enum part_tier { PART_TIER_MEM = 0, PART_TIER_SMALL = 1, PART_TIER_BIG = 2 };

/* What the directory name says (part format 2.1), also of in-memory parts. */
struct part_header {
	uint64_t rows;
	uint64_t blocks;
	int64_t min_timestamp_ms;
	int64_t max_timestamp_ms;
	uint64_t suffix;
};

enum { PART_NAME_MAX = 128, PART_POLICY_MAX = 32 };

/* "<rows>_<blocks>_<min>_<max>_<suffix>" into name[PART_NAME_MAX]. */
void part_name_format(const struct part_header *header, char *name);
/* ERR_CORRUPTED with the broken rule. The suffix need not be hex (then 0). */
NODISCARD int part_name_parse(const char *name, struct part_header *header);

struct mem_part;  /* mem_part.h */
struct part_sums; /* part_sums.h */

struct part {
	struct part_header header;
	enum part_tier tier;
	enum layout layout;
	uint64_t bytes; /* sum of the four .bin files; in memory: what the columns take */
	int64_t min_dedup_interval_ms;
	_Atomic uint32_t refs;
	struct mem *mem;
	/* files */
	struct io *io;
	char *path;       /* of the directory; NULL in memory */
	const char *name; /* last component of path; "" in memory */
	char *own_name;   /* what `name` points to; NULL in memory */
	struct io_file *timestamps, *values, *index;
	uint64_t timestamps_bytes, values_bytes, index_bytes;
	struct metaindex_row *metaindex; /* sorted by tsid */
	size_t metaindex_count;
	struct part_sums *sums; /* NULL: a foreign part, "unverified" */
	/* memory */
	struct mem_part *columns; /* NULL on disk */
	/* from the sidecar, or 0 and "" */
	uint32_t generation; /* merge depth */
	uint32_t fan_in;
	char policy[PART_POLICY_MAX];
	int64_t created_ms;
	/* owned by table/partition, guarded by its lock */
	struct {
		uint32_t id;                /* small integer of this open */
		uint64_t busy;              /* id of the merge that has it as a source; 0: idle */
		int64_t durable_by_tick_ms; /* in memory: earliest deadline of its rows */
		uint64_t index_seq;         /* in memory: index registrations that must be durable before its rows */
		bool damaged;               /* found while reading: excluded from merges */
	} table;
};

/* Opens the directory, reads metaindex.bin and the sidecar, checks sizes. *out has refs == 1. */
NODISCARD int part_open_file(struct io *io, struct mem *mem, enum layout layout, const char *path, enum part_tier tier,
    struct part **out);
/* The same for a directory that has another name for now: the result of a transaction that may not be run yet. */
NODISCARD int part_open_file_as(struct io *io, struct mem *mem, enum layout layout, const char *path, const char *name,
    enum part_tier tier, struct part **out);
void part_ref(struct part *part);
void part_unref(struct part *part); /* NULL is fine */

#endif
