/*
 * labels.h -- a list of labels, as they come from a text or a program; limits and their counters.
 * floor: ingest     uses: base     used by: ingest, index, storage
 *
 * Names and values are views into somebody's bytes (the input, or an arena of the producer). The name "__name__" or ""
 * is the metric name. Order is the order of arrival; nothing is sorted, deduplicated or cut here.
 */
#ifndef TSE_LABELS_H
#define TSE_LABELS_H

#include "base/base.h"

enum {
	LABELS_MAX = 1024,        /* more labels than this in one line is a broken line, not a series */
	LABELS_KEPT_DEFAULT = 30, /* maxLabelsPerTimeseries of the peer, __name__ counted */
	LABEL_NAME_BYTES_MAX = 256,
	LABEL_VALUE_BYTES_MAX = 16384
};

struct label {
	struct bytes name;
	struct bytes value;
};

struct labels {
	struct label items[LABELS_MAX];
	size_t count;
};

#endif
