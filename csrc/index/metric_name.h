/*
 * metric_name.h -- labels <-> the stored name of a series (index format 8).
 * floor: index     uses: ingest/labels.h     used by: index, storage
 *
 * The stored name is [tenant] estr(group) estr(key) estr(value) ...; tags in canonical order (index format 8.2).
 * Equal stored names are the same series.
 *
 * Errors     ERR_METRIC (no name and no label; too long for an index item), ERR_CORRUPTED (decoding).
 * Threads    pure functions.
 */
#ifndef TSE_METRIC_NAME_H
#define TSE_METRIC_NAME_H

#include "base/arena.h"
#include "base/buf.h"
#include "ingest/labels.h"

/* Kind 0 (1 + name + 1 + TSID of 32 bytes) is the longest item made of a name; an item has at most 65536 bytes. */
enum { METRIC_NAME_BYTES_MAX = 65536 - 34 };

struct metric_name_limits {
	size_t labels_max; /* LABELS_KEPT_DEFAULT */
	size_t name_bytes_max;
	size_t value_bytes_max;
};

/* What from_labels had to change, for counting by cause. */
struct metric_name_cuts {
	uint32_t labels_dropped;
	uint32_t names_cut;
	uint32_t values_cut;
};

/* Applies index format 8.3 (empty values dropped, limits, __name__ and "" are the group, canonical order, last of equal keys wins) and appends the stored name to out. */
NODISCARD int metric_name_from_labels(enum layout layout, struct tenant tenant, const struct labels *labels,
    const struct metric_name_limits *limits, struct buf *out, struct metric_name_cuts *cuts);
/* Labels of a stored name, "__name__" first (left out when empty), then in stored order; views into the arena. */
NODISCARD int metric_name_to_labels(enum layout layout, struct bytes stored, struct arena *arena, struct tenant *tenant,
    struct labels *out);

#endif
