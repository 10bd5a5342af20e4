/*
 * head_memo.c -- the heads of lines seen before.
 * floor: ingest     uses: head_memo.h err.h xxhash     used by: prometheus.c influx.c
 *
 * Everything lives in one arena; emptying is one reset. The thread's last error is left as it was: that the memo got no
 * memory concerns nobody.
 */
#include "ingest/head_memo.h"

#include <xxhash.h>

#include "base/err.h"

enum {
	SLEEP_LINES = 1 << 20, /* how long a useless memo rests: 16 times what it holds */
	MEMORY_SHARE = 16,     /* at most this part of a limited account */
	BUCKETS_MIN = 64       /* most texts name few series; zeroing more would be the dearest part of a short one */
};

void
head_memo_init(struct head_memo *memo, struct mem *mem)
{
	*memo = (struct head_memo){ .mem = mem, .bytes_max = HEAD_MEMO_BYTES_MAX };
	arena_init(&memo->arena, mem);
	if (mem->limit_bytes != 0 && mem->limit_bytes / MEMORY_SHARE < memo->bytes_max)
		memo->bytes_max = mem->limit_bytes / MEMORY_SHARE;
}

static void
empty(struct head_memo *memo)
{
	if (memo->heads != NULL)
		memset(memo->heads, 0, memo->buckets_count * sizeof(struct head_entry *));
	memset(memo->shapes, 0, sizeof(memo->shapes));
	arena_reset(&memo->arena);
	memo->last = NULL;
	memo->newest_shape = NULL;
	memo->heads_count = 0;
	memo->shapes_count = 0;
	memo->hits = 0;
	memo->full = false;
}

void
head_memo_free(struct head_memo *memo)
{
	arena_free(&memo->arena);
	mem_free(memo->mem, memo->heads);
	memo->heads = NULL;
}

void
head_memo_begin(struct head_memo *memo)
{
	/* less hits than heads: keeping them cost more than it saved */
	bool worth = memo->hits >= memo->heads_count;

	if (!memo->full)
		return;
	empty(memo);
	if (!worth)
		memo->asleep = SLEEP_LINES;
}

struct head_entry *
head_memo_find(struct head_memo *memo, struct bytes head)
{
	uint64_t hash = XXH3_64bits(head.data, head.len);
	struct head_entry *entry;

	memo->missing_hash = hash;
	if (memo->heads_count == 0)
		return NULL;
	for (entry = memo->heads[hash & (memo->buckets_count - 1)]; entry != NULL; entry = entry->next)
		if (entry->hash == hash && entry->len == head.len && memcmp(entry->text, head.data, head.len) == 0)
			return entry;
	return NULL;
}

/* Room in the arena within the memo's limit; the last error stays as it was. */
static void *
take(struct head_memo *memo, size_t n)
{
	struct err_saved saved;
	void *p = NULL;

	/* most of the time there is room, alignment included, and nothing can fail */
	if (LIKELY((size_t)(memo->arena.end - memo->arena.next) >= n + 16 &&
		memo->arena.used_bytes + n <= memo->bytes_max))
		return arena_alloc(&memo->arena, n);
	if (memo->arena.used_bytes + n <= memo->bytes_max) {
		err_save(&saved);
		p = arena_alloc(&memo->arena, n);
		if (p == NULL)
			err_restore(&saved);
	}
	if (p == NULL)
		memo->full = true;
	return p;
}

/* Four times the buckets, entries moved. */
static bool
more_buckets(struct head_memo *memo)
{
	struct err_saved saved;
	uint32_t count = memo->buckets_count == 0 ? BUCKETS_MIN : memo->buckets_count * 4;
	struct head_entry **heads = NULL, *entry, *next;

	err_save(&saved);
	if (count * sizeof(heads[0]) <= memo->bytes_max / 2)
		heads = mem_zalloc(memo->mem, count * sizeof(heads[0]));
	if (heads == NULL) {
		err_restore(&saved);
		memo->full = true;
		return false;
	}
	for (uint32_t i = 0; i < memo->buckets_count; i++) {
		for (entry = memo->heads[i]; entry != NULL; entry = next) {
			next = entry->next;
			entry->next = heads[entry->hash & (count - 1)];
			heads[entry->hash & (count - 1)] = entry;
		}
	}
	mem_free(memo->mem, memo->heads);
	memo->heads = heads;
	memo->buckets_count = count;
	return true;
}

struct head_entry *
head_memo_add(struct head_memo *memo, struct bytes head)
{
	struct head_entry *entry, **bucket;

	assert(memo->missing_hash == XXH3_64bits(head.data, head.len));
	if (memo->asleep > 0) {
		memo->asleep--;
		return NULL;
	}
	if (memo->full || head.len > HEAD_MEMO_HEAD_BYTES_MAX)
		return NULL;
	if (memo->heads_count == HEAD_MEMO_HEADS_MAX) {
		memo->full = true;
		return NULL;
	}
	if (memo->heads_count == memo->buckets_count && !more_buckets(memo))
		return NULL;
	entry = take(memo, sizeof(*entry) + head.len);
	if (entry == NULL)
		return NULL;
	*entry = (struct head_entry){ .hash = memo->missing_hash, .len = (uint32_t)head.len };
	memcpy(entry->text, head.data, head.len);
	bucket = &memo->heads[entry->hash & (memo->buckets_count - 1)];
	entry->next = *bucket;
	*bucket = entry;
	memo->heads_count++;
	return entry;
}

/* -- Shapes ------------------------------------------------------------------------------------------------------ */

static inline const struct bytes *
key_at(const struct bytes *keys, size_t i, size_t stride)
{
	return (const void *)((const uint8_t *)keys + i * stride);
}

static bool
shape_matches(const struct field_shape *shape, const struct bytes *keys, size_t count, size_t stride)
{
	if (shape->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!bytes_equal(*key_at(keys, i, stride), bytes_of(shape->keys[i].text, shape->keys[i].len - 1)))
			return false;
	return true;
}

/* A quote in a key changes what the bytes behind it mean, so that a line is not told by its beginning. */
static bool
is_plain(const struct bytes *keys, size_t count, size_t stride)
{
	for (size_t i = 0; i < count; i++)
		if (memchr(key_at(keys, i, stride)->data, '"', key_at(keys, i, stride)->len) != NULL)
			return false;
	return true;
}

static bool
fill_key(struct head_memo *memo, struct field_key *key, struct bytes name)
{
	uint8_t *text = take(memo, name.len + 1);
	size_t n = name.len + 1;

	if (text == NULL)
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '=';
	*key = (struct field_key){ .text = text, .len = (uint32_t)n };
	n = n < HEAD_MEMO_KEY_BYTES ? n : HEAD_MEMO_KEY_BYTES;
	memcpy(key->words, text, n);
	memset(key->masks, 0xFF, n);
	return true;
}

static const struct field_shape *
find_or_add_shape(struct head_memo *memo, const struct bytes *keys, size_t count, size_t stride)
{
	struct field_shape *shape, **bucket;
	uint64_t hash = count;

	for (size_t i = 0; i < count; i++)
		hash = XXH3_64bits_withSeed(key_at(keys, i, stride)->data, key_at(keys, i, stride)->len, hash);
	bucket = &memo->shapes[hash % ARRAY_LENGTH(memo->shapes)];
	for (shape = *bucket; shape != NULL; shape = shape->next)
		if (shape->hash == hash && shape_matches(shape, keys, count, stride))
			return shape;
	if (memo->shapes_count == HEAD_MEMO_SHAPES_MAX || count > HEAD_MEMO_FIELDS_MAX ||
	    !is_plain(keys, count, stride))
		return NULL;
	shape = take(memo, sizeof(*shape) + count * sizeof(shape->keys[0]));
	if (shape == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (!fill_key(memo, &shape->keys[i], *key_at(keys, i, stride)))
			return NULL;
	shape->hash = hash;
	shape->count = (uint32_t)count;
	shape->next = *bucket;
	*bucket = shape;
	memo->shapes_count++;
	return shape;
}

void
head_memo_shape(struct head_memo *memo, struct head_entry *entry, const struct bytes *keys, size_t count, size_t stride)
{
	const struct field_shape *shape = entry != NULL ? entry->shape : NULL;

	if (shape == NULL || !shape_matches(shape, keys, count, stride))
		shape = find_or_add_shape(memo, keys, count, stride);
	if (shape != NULL)
		memo->newest_shape = shape;
	if (entry != NULL)
		entry->shape = shape;
}
