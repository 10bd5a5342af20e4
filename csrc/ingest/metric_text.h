/*
 * metric_text.h -- `name{label="value",...}` <-> labels: what db:add and db:series take and select returns.
 * floor: ingest     uses: labels.h arena.h     used by: ingest/prometheus, storage
 *
 * Reading takes Prometheus syntax: name or not, labels in any order, \\ \" \n escapes, a quoted string first for a name
 * that is no identifier ({"my name",a="b"}), quoted label names, white space, a trailing comma.
 * Writing is canonical: labels sorted by bytes, \\ \" \n escaped, name in front when it is an identifier
 * ([a-zA-Z_:][a-zA-Z0-9_:]*), else as __name__="..."; label names that are no identifiers ([a-zA-Z_][a-zA-Z0-9_]*)
 * in quotes; no name and no labels is {}.
 *
 * Errors     ERR_METRIC with the position of the fault.
 * Threads    pure functions.
 */
#ifndef TSE_METRIC_TEXT_H
#define TSE_METRIC_TEXT_H

#include "base/arena.h"
#include "base/buf.h"
#include "ingest/labels.h"

/* Parses the whole text; views into text or arena. */
NODISCARD int metric_text_parse(struct bytes text, struct arena *arena, struct labels *out);
/* As above from p on; *next is the position behind the metric (for lines that go on). */
NODISCARD int metric_text_parse_prefix(const uint8_t *p, const uint8_t *end, struct arena *arena, struct labels *out,
    const uint8_t **next);
/* Appends the canonical text; sorts labels->items in place, name first. Of equal names all are written. */
NODISCARD int metric_text_format(struct labels *labels, struct buf *out);

#endif
