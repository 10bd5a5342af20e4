/* fuzz_metric_text.c -- any bytes as a metric text: refused, or its canonical text is canonical and means the same. */
#include <stdlib.h>

#include "base/err.h"
#include "ingest/metric_text.h"

#define REQUIRE(condition)        \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct labels labels, again;
	struct mem mem;
	struct arena arena;
	struct buf first, second;
	uint8_t *text = malloc(size + (size == 0));
	const uint8_t *next;
	int rc;

	memcpy(text, data, size);
	mem_init(&mem, 0);
	arena_init(&arena, &mem);
	buf_init(&first, &mem);
	buf_init(&second, &mem);
	rc = metric_text_parse(bytes_of(text, size), &arena, &labels);
	REQUIRE(rc == 0 || rc == ERR_METRIC);
	if (rc == 0) {
		REQUIRE(metric_text_format(&labels, &first) == 0);
		REQUIRE(metric_text_parse(buf_bytes(&first), &arena, &again) == 0);
		/* an empty metric is written {} and is no label again; every other label comes back */
		REQUIRE(again.count == labels.count);
		for (size_t i = 0; i < labels.count; i++)
			REQUIRE(bytes_equal(labels.items[i].value, again.items[i].value));
		REQUIRE(metric_text_format(&again, &second) == 0);
		REQUIRE(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
	}
	rc = metric_text_parse_prefix(text, text + size, &arena, &labels, &next);
	REQUIRE(rc == ERR_METRIC || (rc == 0 && next >= text && next <= text + size));
	buf_free(&first);
	buf_free(&second);
	arena_free(&arena);
	REQUIRE(mem_live(&mem) == 0);
	free(text);
	return 0;
}
