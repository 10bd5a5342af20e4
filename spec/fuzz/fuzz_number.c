/* fuzz_number.c -- any bytes as a number: what strtod reads of it is what we read, but for what we refuse. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

#include "ingest/number.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* strtod also takes white space in front, hex floats and "nan(...)": those are not compared. */
static int
is_comparable(const char *text)
{
	const char *p = text + (*text == '-' || *text == '+');

	return !isspace((unsigned char)*text) && !(p[0] == '0' && (p[1] | 0x20) == 'x') && (*p | 0x20) != 'n';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *stop;
	uint8_t *exact = malloc(size + (size == 0));
	double got = 0, expected;
	int64_t integer;
	uint64_t natural;
	const uint8_t *behind;

	memcpy(exact, data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	behind = number_parse_double(exact, exact + size, &got);
	REQUIRE(behind == NULL || (behind > exact && behind <= exact + size));
	if (is_comparable(text)) {
		expected = strtod(text, &stop);
		if (behind == NULL) {
			REQUIRE(stop == text);
		} else {
			REQUIRE(stop - text == behind - exact);
			REQUIRE(memcmp(&got, &expected, sizeof(got)) == 0);
		}
	}
	behind = number_parse_int64(exact, exact + size, &integer);
	REQUIRE(behind == NULL || (behind > exact && behind <= exact + size && integer == strtoll(text, NULL, 10)));
	behind = number_parse_uint64(exact, exact + size, &natural);
	REQUIRE(behind == NULL || (behind > exact && behind <= exact + size && natural == strtoull(text, NULL, 10)));
	free(text);
	free(exact);
	return 0;
}
