/*
 * hash_crc.h -- the portable CRC32C, seen here so that a spec can compare it with the CPU's.
 * floor: codec     uses: base.h     used by: hash.c
 */
#ifndef TSE_HASH_CRC_H
#define TSE_HASH_CRC_H

#include "base/base.h"

/* As hash_crc32c, by a table. */
uint32_t hash_crc32c_portable(uint32_t crc, const void *data, size_t len);

#endif
