/* fuzz_prometheus.c -- any bytes as Prometheus text; see fuzz_ingest.h for what must hold. */
#include "fuzz_ingest.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct label extra[] = { { { (const uint8_t *)"x", 1 }, { (const uint8_t *)"y", 1 } } };
	struct ingest_options options = { .format = INGEST_PROMETHEUS, .extra_labels = extra };

	if (size == 0)
		return 0;
	options.extra_labels_count = data[0] & 1;
	return fuzz_lines(&options, data[0], data + 1, size - 1);
}
