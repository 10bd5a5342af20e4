/*
 * hash.c -- xxHash by its header, CRC32C by the CPU or by a table.
 * floor: codec     uses: xxhash     used by: part, index, storage
 *
 * CRC32C has three ways to the same number: the SSE4.2 instruction, the ARMv8 one, and a small table for the few CPUs
 * without. Each call asks the CPU which it has, so one library runs everywhere.
 */
#include "codec/hash.h"

#include <xxhash.h>

#include "codec/hash_crc.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

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

/* -- CRC32C by a table ---------------------------------------------------------------------------------------------- */

uint32_t
hash_crc32c_portable(uint32_t crc, const void *data, size_t len)
{
	/* The sum of each number of four bits, by the Castagnoli polynomial 0x82F63B78 (bits reversed). */
	static const uint32_t sums[16] = { 0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3,
		0x61C69362, 0x7198540D, 0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB,
		0xE330A81A, 0xF36E6F75 };
	const uint8_t *p = data;

	crc = ~crc;
	for (; len > 0; len--, p++) {
		crc ^= *p;
		crc = (crc >> 4) ^ sums[crc & 15];
		crc = (crc >> 4) ^ sums[crc & 15];
	}
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

/* Written out: compilers disagree on where the intrinsics of <arm_acle.h> may be used without building all for +crc. */
static inline uint32_t
crc32c_word(uint32_t sum, uint64_t word)
{
	__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(sum) : "r"(word));
	return sum;
}

static inline uint32_t
crc32c_byte(uint32_t sum, uint32_t byte)
{
	__asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(sum) : "r"(byte));
	return sum;
}

static uint32_t
crc32c_cpu(uint32_t crc, const uint8_t *p, size_t len)
{
	uint32_t sum = ~crc;

	for (; len >= 8; len -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		sum = crc32c_word(sum, word);
	}
	for (; len > 0; len--, p++)
		sum = crc32c_byte(sum, *p);
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
