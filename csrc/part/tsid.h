/*
 * tsid.h -- the key of a series in data blocks (part format 4).
 * floor: part     uses: varint.h     used by: part, merge, table, index, storage
 *
 * Order: account, project, group, job, instance, metric_id, each unsigned: the bytewise order of the encoding. In the
 * single layout the tenant is 0:0 and not written. Two TSIDs are the same series if and only if metric_id is equal.
 */
#ifndef TSE_TSID_H
#define TSE_TSID_H

#include "codec/varint.h"

struct tsid {
	uint32_t account;
	uint32_t project;
	uint64_t metric_group_id;
	uint32_t job_id;
	uint32_t instance_id;
	uint64_t metric_id;
};

enum { TSID_BYTES_SINGLE = 24, TSID_BYTES_CLUSTER = 32 };

static inline size_t
tsid_bytes(enum layout layout)
{
	return layout == LAYOUT_CLUSTER ? TSID_BYTES_CLUSTER : TSID_BYTES_SINGLE;
}

static inline int
tsid_compare(const struct tsid *a, const struct tsid *b)
{
#define TSID_ORDER(field)         \
	if (a->field != b->field) \
	return a->field < b->field ? -1 : 1
	TSID_ORDER(account);
	TSID_ORDER(project);
	TSID_ORDER(metric_group_id);
	TSID_ORDER(job_id);
	TSID_ORDER(instance_id);
	TSID_ORDER(metric_id);
#undef TSID_ORDER
	return 0;
}

static inline uint8_t *
tsid_put(uint8_t *p, enum layout layout, const struct tsid *tsid)
{
	if (layout == LAYOUT_CLUSTER) {
		p = put_u32(p, tsid->account);
		p = put_u32(p, tsid->project);
	}
	p = put_u64(p, tsid->metric_group_id);
	p = put_u32(p, tsid->job_id);
	p = put_u32(p, tsid->instance_id);
	return put_u64(p, tsid->metric_id);
}

/* p holds tsid_bytes(layout) bytes. */
static inline const uint8_t *
tsid_get(const uint8_t *p, enum layout layout, struct tsid *tsid)
{
	tsid->account = tsid->project = 0;
	if (layout == LAYOUT_CLUSTER) {
		tsid->account = get_u32(p);
		tsid->project = get_u32(p + 4);
		p += 8;
	}
	tsid->metric_group_id = get_u64(p);
	tsid->job_id = get_u32(p + 8);
	tsid->instance_id = get_u32(p + 12);
	tsid->metric_id = get_u64(p + 16);
	return p + 24;
}

#endif
