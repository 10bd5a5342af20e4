/*
 * fuzz_part_name.c -- any text as the name of a part and as a dedup interval: refused, or the same after writing it again.
 */
#include <stdlib.h>

#include "base/err.h"
#include "part/min_dedup.h"
#include "part/part.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), name[PART_NAME_MAX], interval[MIN_DEDUP_TEXT_MAX];
	struct part_header header, again;
	int64_t ms, ms_again;

	memcpy(text, data, size);
	text[size] = 0;
	if (part_name_parse(text, &header) == 0) {
		REQUIRE(header.rows > 0 && header.blocks > 0 && header.blocks <= header.rows);
		REQUIRE(header.min_timestamp_ms <= header.max_timestamp_ms);
		part_name_format(&header, name);
		REQUIRE(part_name_parse(name, &again) == 0);
		REQUIRE(memcmp(&header, &again, sizeof(header)) == 0);
	}
	if (min_dedup_parse(bytes_of(data, size), &ms)) {
		REQUIRE(ms >= 0);
		min_dedup_format(ms, interval);
		REQUIRE(min_dedup_parse(bytes_of_text(interval), &ms_again) && ms_again == ms);
	}
	free(text);
	return 0;
}
