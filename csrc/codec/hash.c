/*
 * hash.c -- xxHash by its header, CRC32C by the CPU or by tables.
 * floor: codec     uses: xxhash     used by: part, index, storage
 *
 * CRC32C has three ways to the same number: the SSE4.2 instruction, the ARMv8 one, and tables that take eight bytes a
 * turn. The choice is made once per call from what the CPU says, so one library runs everywhere.
 */
#include "codec/hash.h"

#include <pthread.h>
#include <xxhash.h>

#include "codec/hash_crc.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

/* The Castagnoli polynomial, bits reversed. */
#define CRC32C_POLYNOMIAL UINT32_C(0x82F63B78)

static uint32_t crc_table[8][256];
static pthread_once_t crc_table_once = PTHREAD_ONCE_INIT;

uint64_t
hash_xxh64(const void *data, size_t len)
{
	return XXH64(data, len, 0);
}

uint64_t
hash_xxh3(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

/* -- CRC32C by tables ----------------------------------------------------------------------------------------------- */

/* crc_table[k][b]: the sum of byte b followed by k zero bytes. */
static void
crc_table_fill(void)
{
	for (uint32_t byte = 0; byte < 256; byte++) {
		uint32_t crc = byte;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (CRC32C_POLYNOMIAL & (0 - (crc & 1)));
		crc_table[0][byte] = crc;
	}
	for (int k = 1; k < 8; k++) {
		for (uint32_t byte = 0; byte < 256; byte++)
			crc_table[k][byte] = (crc_table[k - 1][byte] >> 8) ^ crc_table[0][crc_table[k - 1][byte] & 0xff];
	}
}

uint32_t
hash_crc32c_portable(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *p = data;

	pthread_once(&crc_table_once, crc_table_fill);
	crc = ~crc;
	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		word ^= crc;
		crc = crc_table[7][word & 0xff] ^ crc_table[6][(word >> 8) & 0xff] ^ crc_table[5][(word >> 16) & 0xff] ^
		    crc_table[4][(word >> 24) & 0xff] ^ crc_table[3][(word >> 32) & 0xff] ^ crc_table[2][(word >> 40) & 0xff] ^
		    crc_table[1][(word >> 48) & 0xff] ^ crc_table[0][word >> 56];
	}
	for (; len > 0; len--, p++)
		crc = (crc >> 8) ^ crc_table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

/* -- CRC32C by the CPU ---------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t
crc32c_cpu(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t sum = (uint32_t)~crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		sum = _mm_crc32_u64(sum, word);
	}
	for (; len > 0; len--, p++)
		sum = _mm_crc32_u8((uint32_t)sum, *p);
	return ~(uint32_t)sum;
}

static bool
crc32c_cpu_has(void)
{
	return __builtin_cpu_supports("sse4.2");
}

#elif defined(__aarch64__)

/* HWCAP_CRC32 of the Linux arm64 ABI; spelled out because <asm/hwcap.h> is not everywhere. */
enum { ARM64_HWCAP_CRC32 = 1 << 7 };

__attribute__((target("+crc"))) static uint32_t
crc32c_cpu(uint32_t crc, const uint8_t *p, size_t len)
{
	uint32_t sum = ~crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		sum = __crc32cd(sum, word);
	}
	for (; len > 0; len--, p++)
		sum = __crc32cb(sum, *p);
	return ~sum;
}

static bool
crc32c_cpu_has(void)
{
	return (getauxval(AT_HWCAP) & ARM64_HWCAP_CRC32) != 0;
}

#else

static uint32_t
crc32c_cpu(uint32_t crc, const uint8_t *p, size_t len)
{
	return hash_crc32c_portable(crc, p, len);
}

static bool
crc32c_cpu_has(void)
{
	return false;
}

#endif

uint32_t
hash_crc32c(uint32_t crc, const void *data, size_t len)
{
	if (LIKELY(crc32c_cpu_has()))
		return crc32c_cpu(crc, data, len);
	return hash_crc32c_portable(crc, data, len);
}
