/*
 * ingest_number.c -- random decimal texts against strtod, too many for a loop in Lua.
 * Compiled only into the test library.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/number.h"

enum { TEXT_BYTES = 2048 };

int64_t tt_number_check(uint64_t seed, uint64_t rounds, char *failed, size_t cap);

static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
	return z ^ z >> 31;
}

static double
double_of(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

/*
 * The exact decimal of the middle between two neighbouring doubles: m * 2^e with m of 54 bits, written digit by digit.
 * With e < 0 it is m * 5^-e / 10^-e, so that the digits are those of an integer.
 */
static int
write_middle(uint64_t bits, char *out)
{
	uint64_t m = 2 * ((bits & ((UINT64_C(1) << 52) - 1)) | (bits >> 52 == 0 ? 0 : UINT64_C(1) << 52)) + 1;
	int e = (int)(bits >> 52 == 0 ? 1 : bits >> 52) - 1023 - 52 - 1, n = 0, factor = e < 0 ? 5 : 2;
	unsigned char digits[1200]; /* lowest first */

	for (; m != 0; m /= 10)
		digits[n++] = (unsigned char)(m % 10);
	for (int i = 0; i < (e < 0 ? -e : e); i++) {
		int carry = 0;

		for (int j = 0; j < n; j++) {
			carry += digits[j] * factor;
			digits[j] = (unsigned char)(carry % 10);
			carry /= 10;
		}
		if (carry != 0)
			digits[n++] = (unsigned char)carry;
	}
	for (int i = 0; i < n; i++)
		out[i] = (char)('0' + digits[n - 1 - i]);
	return n + sprintf(out + n, "e%d", e < 0 ? e : 0);
}

/* The middle, or a text a little above or below it. */
static void
write_near_middle(uint64_t *state, char *out)
{
	uint64_t bits = next_random(state) & INT64_MAX;
	char exponent[16], *e;
	size_t n;

	if (next_random(state) % 4 == 0)
		bits &= (UINT64_C(3) << 52) - 1; /* subnormals and their neighbours */
	if (bits >> 52 >= 0x7FE)
		bits >>= 2;
	write_middle(bits, out);
	e = strchr(out, 'e');
	snprintf(exponent, sizeof(exponent), "%s", e);
	n = (size_t)(e - out);
	switch (next_random(state) % 4) {
	case 0: /* exactly */ break;
	case 1: /* more, by a digit far behind */
		n += (size_t)sprintf(out + n, ".%0*d1", (int)(next_random(state) % 500), 0);
		break;
	case 2: /* the same, with zeros behind the point */
		n += (size_t)sprintf(out + n, ".%0*d", (int)(1 + next_random(state) % 500), 0);
		break;
	default: /* cut after some digits: less, or by chance the same */
		if (n > 30) {
			size_t cut = 17 + next_random(state) % (n - 17);

			memset(out + cut, '0', n - cut);
		}
	}
	memcpy(out + n, exponent, strlen(exponent) + 1);
}

static void
write_text(uint64_t *state, char *out)
{
	uint64_t r = next_random(state);

	switch (next_random(state) % 8) {
	case 0: sprintf(out, "%.*g", (int)(next_random(state) % 25), double_of(r)); break;
	case 1:
		sprintf(out, "%llu.%llue%d", (unsigned long long)(r % 1000000), (unsigned long long)next_random(state),
		    (int)(next_random(state) % 700) - 350);
		break;
	case 2: sprintf(out, "%lld", (long long)r >> next_random(state) % 64); break;
	case 3:
		sprintf(out, "%s%llue%d", r % 2 == 0 ? "" : "+", (unsigned long long)next_random(state),
		    (int)(r % 680) - 345);
		break;
	case 4: /* subnormal and smallest normal numbers */
		r = (r & ~(UINT64_C(0x7FF) << 52)) | (next_random(state) % 3) << 52;
		sprintf(out, "%.*g", (int)(next_random(state) % 30), double_of(r));
		break;
	case 5:
		if (next_random(state) % 64 == 0) /* slow to write */
			write_near_middle(state, out);
		else
			sprintf(out, "%0*llu.%llu", (int)(r % 40), (unsigned long long)(r >> 40),
			    (unsigned long long)(r >> 20));
		break;
	case 6: sprintf(out, "%.*f", (int)(next_random(state) % 20), (double)(int64_t)r / 1e12); break;
	default: sprintf(out, "%d.%02d", (int)(r % 1000), (int)(r / 1000 % 100));
	}
}

/* How many of the texts are not read as strtod reads them; the first of those goes to failed. */
int64_t
tt_number_check(uint64_t seed, uint64_t rounds, char *failed, size_t cap)
{
	uint64_t state = seed;
	int64_t bad = 0;
	char text[TEXT_BYTES], *stop;

	for (uint64_t i = 0; i < rounds; i++) {
		double expected, got = 0;
		const uint8_t *behind;

		write_text(&state, text);
		if (strstr(text, "nan") != NULL)
			continue;
		expected = strtod(text, &stop);
		behind = number_parse_double((const uint8_t *)text, (const uint8_t *)text + strlen(text), &got);
		if (behind != (const uint8_t *)stop || memcmp(&expected, &got, sizeof(got)) != 0) {
			if (bad++ == 0)
				snprintf(failed, cap, "%s: %.17g, strtod %.17g", text, got, expected);
		}
	}
	return bad;
}
