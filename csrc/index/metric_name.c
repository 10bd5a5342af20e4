/*
 * metric_name.c -- see metric_name.h.
 * floor: index     uses: index_rows.h     used by: index, storage
 *
 * A few label names sort by fixed three-byte keys (index format 8.2), so that rows of one job or host lie together;
 * all other names sort by their own bytes.
 */
#include "index/metric_name.h"

#include "index/index_rows.h"

/* -- Canonical order ------------------------------------------------------------------------------------------------ */

struct special_key {
	const char *name; /* lower case; the same with an upper-case first letter has the same key */
	uint8_t sort[3];
};

/* Grouped by length of the name: most label names are told apart by their length alone. */
static const struct special_key special_keys[] = {
	{ "ns", { 0x00, 0x00, 0x01 } },
	{ "dc", { 0x00, 0x00, 0x09 } },
	{ "db", { 0x00, 0x00, 0x40 } },
	{ "env", { 0x00, 0x00, 0x0d } },
	{ "job", { 0x00, 0x00, 0x20 } },
	{ "pod", { 0x00, 0x01, 0x18 } },
	{ "type", { 0x00, 0x00, 0x30 } },
	{ "host", { 0x00, 0x01, 0x08 } },
	{ "node", { 0x00, 0x01, 0x20 } },
	{ "name", { 0x00, 0x01, 0x40 } },
	{ "model", { 0x00, 0x00, 0x28 } },
	{ "server", { 0x00, 0x01, 0x10 } },
	{ "device", { 0x00, 0x01, 0x28 } },
	{ "tenant", { 0x00, 0x01, 0x30 } },
	{ "client", { 0x00, 0x01, 0x38 } },
	{ "cluster", { 0x00, 0x00, 0x10 } },
	{ "service", { 0x00, 0x00, 0x18 } },
	{ "instance", { 0x00, 0x01, 0x00 } },
	{ "namespace", { 0x00, 0x00, 0x00 } },
	{ "datacenter", { 0x00, 0x00, 0x08 } },
	{ "sensorType", { 0x00, 0x00, 0x38 } }, /* only SensorType: special_sort_key() says why */
	{ "environment", { 0x00, 0x00, 0x0c } },
	{ "sensor_type", { 0x00, 0x00, 0x38 } },
	{ "measurement", { 0x00, 0x01, 0x48 } },
};

enum { SPECIAL_NAME_BYTES_MAX = 11 };

/* First row of special_keys for each length of name; [n + 1] ends it. */
static const uint8_t special_starts[SPECIAL_NAME_BYTES_MAX + 2] = { 0, 0, 0, 3, 6, 10, 11, 15, 17, 18, 19, 21, 24 };
_Static_assert(ARRAY_LENGTH(special_keys) == 24, "special_starts lists the rows by length");

static struct bytes
special_sort_key(struct bytes name)
{
	if (name.len == 0 || name.len > SPECIAL_NAME_BYTES_MAX)
		return name;
	for (unsigned i = special_starts[name.len]; i < special_starts[name.len + 1]; i++) {
		const char *special = special_keys[i].name;
		bool same_first = name.data[0] == (uint8_t)special[0];
		bool upper_first = name.data[0] == (uint8_t)(special[0] - 'a' + 'A');

		if (!same_first && !upper_first)
			continue;
		if (memcmp(name.data + 1, special + 1, name.len - 1) != 0)
			continue;
		/* sensor_type, Sensor_type and SensorType share a key, but there is no sensorType in the peer's table. */
		if (same_first && name.len == 10 && special[6] == 'T')
			continue;
		return bytes_of(special_keys[i].sort, 3);
	}
	return name;
}

struct sorted_tag {
	struct bytes sort;
	struct bytes name;  /* cut */
	struct bytes value; /* cut */
};

/* Stable: of equal sort keys the order of arrival stays, which decides what "the last wins" means. Lists are short and often sorted. */
static void
sort_tags(struct sorted_tag *tags, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct sorted_tag tag = tags[i];
		size_t j = i;

		while (j > 0 && bytes_compare(tag.sort, tags[j - 1].sort) < 0) {
			tags[j] = tags[j - 1];
			j--;
		}
		tags[j] = tag;
	}
}

/* -- Labels -> stored name ------------------------------------------------------------------------------------------ */

static struct bytes
cut(struct bytes bytes, size_t bytes_max, uint32_t *cuts)
{
	if (bytes.len > bytes_max) {
		bytes.len = bytes_max;
		*cuts += 1;
	}
	return bytes;
}

/* Rules 1 to 4 of index format 8.3: fills tags and group. */
static size_t
collect_tags(const struct labels *labels, const struct metric_name_limits *limits, struct metric_name_cuts *cuts,
    struct bytes *group, struct sorted_tag *tags)
{
	size_t kept = 0, n = 0;

	*group = bytes_of("", 0);
	for (size_t i = 0; i < labels->count; i++) {
		const struct label *label = &labels->items[i];
		struct bytes name = label->name;

		if (label->value.len == 0)
			continue;
		if (kept == limits->labels_max) {
			cuts->labels_dropped++;
			continue;
		}
		kept++;
		if (name.len == 0 || (name.len == 8 && memcmp(name.data, "__name__", 8) == 0)) {
			*group = cut(label->value, limits->value_bytes_max, &cuts->values_cut);
			continue;
		}
		name = cut(name, limits->name_bytes_max, &cuts->names_cut);
		tags[n++] = (struct sorted_tag){
			.sort = special_sort_key(name),
			.name = name,
			.value = cut(label->value, limits->value_bytes_max, &cuts->values_cut),
		};
	}
	return n;
}

/* Of neighbours with one name the last wins (index format 8.2); returns how many are left. */
static size_t
drop_repeated_tags(struct sorted_tag *tags, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && bytes_equal(tags[kept - 1].name, tags[i].name))
			tags[kept - 1] = tags[i];
		else
			tags[kept++] = tags[i];
	}
	return kept;
}

int
metric_name_from_labels(enum layout layout, struct tenant tenant, const struct labels *labels,
    const struct metric_name_limits *limits, struct buf *out, struct metric_name_cuts *cuts)
{
	struct sorted_tag tags[LABELS_MAX];
	struct bytes group;
	size_t start = out->len;
	size_t n, bytes_max;
	uint8_t *p;

	assert(labels->count <= LABELS_MAX);
	n = collect_tags(labels, limits, cuts, &group, tags);
	if (n == 0 && group.len == 0)
		return ERR(ERR_METRIC, "a series needs a name or a label with a value");
	sort_tags(tags, n);
	n = drop_repeated_tags(tags, n);

	bytes_max = tenant_bytes(layout) + estr_bytes_max(group.len);
	for (size_t i = 0; i < n; i++)
		bytes_max += estr_bytes_max(tags[i].name.len) + estr_bytes_max(tags[i].value.len);
	TRY(buf_reserve(out, bytes_max));
	p = tenant_put(out->data + out->len, layout, tenant);
	p = estr_put(p, group);
	for (size_t i = 0; i < n; i++) {
		p = estr_put(p, tags[i].name);
		p = estr_put(p, tags[i].value);
	}
	if ((size_t)(p - out->data) - start > METRIC_NAME_BYTES_MAX)
		return ERR(ERR_METRIC, "the name and labels of a series take %zu bytes, more than %d",
		    (size_t)(p - out->data) - start, METRIC_NAME_BYTES_MAX);
	out->len = (size_t)(p - out->data);
	return 0;
}

/* -- Stored name -> labels ------------------------------------------------------------------------------------------ */

static int
decode_estr(const uint8_t **p, const uint8_t *end, struct arena *arena, struct bytes *out)
{
	struct bytes escaped;
	uint8_t *raw, *raw_end;

	*p = estr_split(*p, end, &escaped);
	if (*p == NULL)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name ends inside a string");
	if (!estr_has_escapes(escaped)) {
		raw = arena_copy(arena, escaped.data, escaped.len);
		if (raw == NULL)
			return ERR_MEMORY;
		*out = bytes_of(raw, escaped.len);
		return 0;
	}
	raw = arena_bytes(arena, escaped.len);
	if (raw == NULL)
		return ERR_MEMORY;
	raw_end = estr_decode(raw, escaped);
	if (raw_end == NULL)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name holds an unknown escape");
	*out = bytes_of(raw, (size_t)(raw_end - raw));
	return 0;
}

int
metric_name_to_labels(enum layout layout, struct bytes stored, struct arena *arena, struct tenant *tenant,
    struct labels *out)
{
	const uint8_t *p = stored.data;
	const uint8_t *end = p + stored.len;
	struct label label;

	out->count = 0;
	if (stored.len < tenant_bytes(layout) + 1)
		return ERR_CORRUPT("indexdb", UINT64_MAX, "series name of %zu bytes", stored.len);
	*tenant = tenant_get(p, layout);
	p += tenant_bytes(layout);
	label.name = bytes_of("__name__", 8);
	TRY(decode_estr(&p, end, arena, &label.value));
	if (label.value.len > 0)
		out->items[out->count++] = label;
	while (p < end) {
		if (out->count == LABELS_MAX)
			return ERR_CORRUPT("indexdb", UINT64_MAX, "series name with more than %d labels", LABELS_MAX);
		TRY(decode_estr(&p, end, arena, &label.name));
		TRY(decode_estr(&p, end, arena, &label.value));
		out->items[out->count++] = label;
	}
	return 0;
}
