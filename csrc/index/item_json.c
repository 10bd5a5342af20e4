/*
 * item_json.c -- metadata.json of an item part: written as the peer does, read strictly.
 * floor: index     uses: item_meta.h     used by: item_part item_writer
 *
 * The reader knows all of JSON but keeps four members; what it does not know is skipped, not trusted: nesting is
 * bounded, the text must end where the object ends.
 */
#include "index/item_meta.h"

#include <inttypes.h>

#include "base/err.h"

/* The peer writes a flat object; whoever adds members will not nest them deeper than this. */
enum { JSON_DEPTH_MAX = 16 };

struct json {
	const uint8_t *start, *p, *end;
};

/* -- Writing ---------------------------------------------------------------------------------------------------------- */

static int
put_hex(struct buf *out, struct bytes data)
{
	static const char digits[] = "0123456789abcdef";

	TRY(buf_reserve(out, data.len * 2));
	for (size_t i = 0; i < data.len; i++) {
		out->data[out->len++] = (uint8_t)digits[data.data[i] >> 4];
		out->data[out->len++] = (uint8_t)digits[data.data[i] & 15];
	}
	return 0;
}

int
item_metadata_put(struct buf *out, uint64_t items, uint64_t blocks, struct bytes first, struct bytes last)
{
	TRY(buf_printf(out, "{\n\t\"ItemsCount\": %" PRIu64 ",\n\t\"BlocksCount\": %" PRIu64 ",\n\t\"FirstItem\": \"",
	    items, blocks));
	TRY(put_hex(out, first));
	TRY(buf_append_text(out, "\",\n\t\"LastItem\": \""));
	TRY(put_hex(out, last));
	return buf_append_text(out, "\"\n}");
}

/* -- Reading ---------------------------------------------------------------------------------------------------------- */

static int
bad(const struct json *json, const char *what)
{
	return ERR(ERR_CORRUPTED, "byte %zu: %s", (size_t)(json->p - json->start), what);
}

static void
skip_space(struct json *json)
{
	while (json->p < json->end && (*json->p == ' ' || *json->p == '\t' || *json->p == '\n' || *json->p == '\r'))
		json->p++;
}

/* The next byte that is not white space, 0 at the end. */
static uint8_t
peek(struct json *json)
{
	skip_space(json);
	return json->p < json->end ? *json->p : 0;
}

static bool
take(struct json *json, uint8_t c)
{
	if (peek(json) != c)
		return false;
	json->p++;
	return true;
}

/* A string as it stands between the quotes, escapes not resolved: none of our members needs them. */
static int
get_string(struct json *json, struct bytes *out)
{
	const uint8_t *start;

	if (!take(json, '"'))
		return bad(json, "a string is expected");
	start = json->p;
	for (; json->p < json->end; json->p++) {
		if (*json->p == '"') {
			*out = bytes_of(start, (size_t)(json->p - start));
			json->p++;
			return 0;
		}
		if (*json->p < 0x20)
			break;
		if (*json->p == '\\' && ++json->p == json->end)
			break;
	}
	return bad(json, "a string does not end");
}

static int
get_number(struct json *json, uint64_t *out)
{
	const uint8_t *start;
	uint64_t value = 0;

	skip_space(json);
	start = json->p;
	for (; json->p < json->end && *json->p >= '0' && *json->p <= '9'; json->p++) {
		if (json->p - start == 19)
			return bad(json, "a count has too many digits");
		value = value * 10 + (uint64_t)(*json->p - '0');
	}
	if (json->p == start)
		return bad(json, "a count is expected");
	*out = value;
	return 0;
}

static int
hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int
get_hex(struct json *json, struct buf *out)
{
	struct bytes text;

	TRY(get_string(json, &text));
	if (text.len % 2 != 0)
		return bad(json, "an odd number of hex digits");
	TRY(buf_reserve(out, text.len / 2 + 1)); /* one more: a pointer even to no bytes */
	for (size_t i = 0; i < text.len; i += 2) {
		int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);

		if (high < 0 || low < 0)
			return bad(json, "not a hex digit");
		out->data[out->len++] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int skip_value(struct json *json, int depth);

static int
skip_members(struct json *json, int depth, bool object)
{
	uint8_t close = object ? '}' : ']';
	struct bytes key;

	json->p++;
	if (take(json, close))
		return 0;
	for (;;) {
		if (object) {
			TRY(get_string(json, &key));
			if (!take(json, ':'))
				return bad(json, "a colon is expected");
		}
		TRY(skip_value(json, depth + 1));
		if (take(json, close))
			return 0;
		if (!take(json, ','))
			return bad(json, "a comma is expected");
	}
}

/* Any value; words and numbers are skipped as runs of the bytes they consist of. */
static int
skip_value(struct json *json, int depth)
{
	uint8_t c = peek(json);
	struct bytes text;
	const uint8_t *start;

	if (depth > JSON_DEPTH_MAX)
		return bad(json, "nested too deeply");
	if (c == '"')
		return get_string(json, &text);
	if (c == '{' || c == '[')
		return skip_members(json, depth, c == '{');
	start = json->p;
	while (json->p < json->end &&
	    ((*json->p >= '0' && *json->p <= '9') || (*json->p >= 'a' && *json->p <= 'z') || *json->p == '-' ||
		*json->p == '+' || *json->p == '.' || *json->p == 'E'))
		json->p++;
	return json->p == start ? bad(json, "a value is expected") : 0;
}

enum { MEMBER_ITEMS = 1, MEMBER_BLOCKS = 2, MEMBER_FIRST = 4, MEMBER_LAST = 8, MEMBER_ALL = 15 };

static unsigned
member_of(struct bytes key)
{
	if (bytes_equal(key, bytes_of_text("ItemsCount")))
		return MEMBER_ITEMS;
	if (bytes_equal(key, bytes_of_text("BlocksCount")))
		return MEMBER_BLOCKS;
	if (bytes_equal(key, bytes_of_text("FirstItem")))
		return MEMBER_FIRST;
	if (bytes_equal(key, bytes_of_text("LastItem")))
		return MEMBER_LAST;
	return 0;
}

static int
get_member(struct json *json, struct item_metadata *metadata, unsigned *seen)
{
	struct bytes key;
	unsigned member;

	TRY(get_string(json, &key));
	if (!take(json, ':'))
		return bad(json, "a colon is expected");
	member = member_of(key);
	if ((*seen & member) != 0)
		return bad(json, "a member occurs twice");
	*seen |= member;
	switch (member) {
	case MEMBER_ITEMS: return get_number(json, &metadata->items);
	case MEMBER_BLOCKS: return get_number(json, &metadata->blocks);
	case MEMBER_FIRST: return get_hex(json, &metadata->first);
	case MEMBER_LAST: return get_hex(json, &metadata->last);
	default: return skip_value(json, 0);
	}
}

int
item_metadata_parse(struct bytes text, struct item_metadata *metadata)
{
	struct json json = { text.data, text.data, text.data + text.len };
	unsigned seen = 0;

	if (!take(&json, '{'))
		return bad(&json, "an object is expected");
	do {
		TRY(get_member(&json, metadata, &seen));
	} while (take(&json, ','));
	if (!take(&json, '}'))
		return bad(&json, "the object does not end");
	if (peek(&json) != 0 || json.p != json.end)
		return bad(&json, "something follows the object");
	if (seen != MEMBER_ALL)
		return bad(&json, "ItemsCount, BlocksCount, FirstItem or LastItem is missing");
	return 0;
}
