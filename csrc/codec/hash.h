/*
 * hash.h -- xxHash64 as the format uses it, XXH3 for our own tables, CRC32C for sums.
 * floor: codec     uses: xxhash     used by: part, index, storage
 * Threads    pure functions.
 */
#ifndef TSE_HASH_H
#define TSE_HASH_H

#include "base/base.h"

/* xxHash64, seed 0: metric group, job and instance ids (index format 9). */
uint64_t hash_xxh64(const void *data, size_t len);
/* XXH3 64 bit: for tables in memory only, never written. */
uint64_t hash_xxh3(const void *data, size_t len);
/* CRC32C (Castagnoli) continued from crc (0 to start); SSE4.2 or ARM CRC where the CPU has it. */
uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len);

#endif
