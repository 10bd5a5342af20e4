/* fuzz_influx.c -- any bytes as InfluxDB lines; see fuzz_ingest.h for what must hold. */
#include "fuzz_ingest.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ingest_options options = { .format = INGEST_INFLUX };

	if (size == 0)
		return 0;
	options.influx_skip_single_field = (data[0] & 1) != 0;
	options.influx_skip_measurement = (data[0] & 2) != 0;
	options.influx_no_separator = (data[0] & 4) != 0;
	options.influx_precision_ns = (data[0] & 8) != 0 ? INT64_C(3600000000000) : 0;
	return fuzz_lines(&options, data[0], data + 1, size - 1);
}
