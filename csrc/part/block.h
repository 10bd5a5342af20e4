/*
 * block.h -- one block on its way between parts: encoded, decoded, or raw from memory.
 * floor: part     uses: block_header.h codec     used by: part, merge
 *
 *   BLOCK_ENCODED   payloads as stored, header complete (offsets of the source)
 *   BLOCK_DECODED   timestamps and mantissas (+ exponent), header.rows rows
 *   BLOCK_RAW       timestamps and doubles, as in-memory parts hold them
 *
 * Arrays belong to the block and hold up to `cap` rows; payload bytes are borrowed from the reader (valid until its
 * next read) or owned in `storage`.
 *
 * Errors     ERR_CORRUPTED names origin and the block's time and series; ERR_MEMORY.
 * Threads    one block, one thread.
 */
#ifndef TSE_BLOCK_H
#define TSE_BLOCK_H

#include "base/buf.h"
#include "codec/int64s.h"
#include "part/block_header.h"

enum block_state { BLOCK_EMPTY, BLOCK_ENCODED, BLOCK_DECODED, BLOCK_RAW };

struct block {
	struct block_header
	    header; /* tsid, rows, min/max timestamps and precision_bits are right in every state but EMPTY */
	enum block_state state;
	struct mem *mem;
	struct bytes timestamps_payload, values_payload; /* ENCODED */
	int64_t *timestamps_ms;                          /* DECODED, RAW */
	int64_t *mantissas;                              /* DECODED */
	double *values;                                  /* RAW */
	size_t cap;
	struct buf storage; /* payload copies */
	const char
	    *origin; /* ENCODED: path of the part it came from, for messages; lives as long as that part; or NULL */
};

void block_init(struct block *block, struct mem *mem);
void block_free(struct block *block);
void block_reset(struct block *block);
/* Room for rows in all three arrays. */
NODISCARD int block_reserve(struct block *block, size_t rows);
/* ENCODED -> DECODED: decodes, repairs lossy timestamps; checks first/last timestamps against the header. RAW -> DECODED. */
NODISCARD int block_decode(struct block *block, struct int64s_scratch *scratch);
/* ENCODED or DECODED -> doubles into values[header.rows] and timestamps[header.rows] (caller's memory). */
NODISCARD int block_read(struct block *block, struct int64s_scratch *scratch, int64_t *timestamps_ms, double *values);
/* Makes borrowed payloads the block's own. */
NODISCARD int block_own_payloads(struct block *block);
/* Dedup in place of timestamps and mantissas or values (whichever is not NULL); returns the rows left (part format 12). */
enum dedup_keep { DEDUP_LAST = 0, DEDUP_FIRST = 1 };
size_t dedup_rows(int64_t interval_ms, enum dedup_keep keep, int64_t *timestamps_ms, int64_t *mantissas, double *values,
    size_t n);

#endif
