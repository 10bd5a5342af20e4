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
	SLEEP_LINES = 1 << 20,     /* how long a useless memo rests: 16 times what it holds */
	MEMORY_SHARE = 16,         /* at most this part of a limited account */
	HITS_PER_HEAD_WORTH = 1    /* less hits than heads: keeping them cost more than it saved */
};

void
head_memo_init(struct head_memo *memo, struct mem *mem)
{
	*memo = (struct head_memo){ .mem = mem, .epoch = 1, .bytes_max = HEAD_MEMO_BYTES_MAX };
	arena_init(&memo->arena, mem);
	if (mem->limit_bytes != 0 && mem->limit_bytes / MEMORY_SHARE < memo->bytes_max)
		memo->bytes_max = mem->limit_bytes / MEMORY_SHARE;
}

static void
empty(struct head_memo *memo)
{
	if (memo->heads != NULL)
		memset(memo->heads, 0, HEAD_MEMO_HEADS_MAX * sizeof(struct head_entry *));
	memset(memo->shapes, 0, sizeof(memo->shapes));
	arena_reset(&memo->arena);
	memo->last = NULL;
	memo->heads_count = 0;
	memo->shapes_count = 0;
	memo->keys_count = 0;
	memo->hits = 0;
	memo->full = false;
	memo->epoch++;
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
	bool worth = memo->hits / HITS_PER_HEAD_WORTH >= memo->heads_count;

	if (!memo->full)
		return;
	empty(memo);
	if (!worth)
		memo->asleep = SLEEP_LINES;
}

struct head_entry *
head_memo_find(struct head_memo *memo, struct bytes head)
{
	struct head_entry *entry;
	uint64_t hash;

	if (memo->heads_count == 0)
		return NULL;
	hash = XXH3_64bits(head.data, head.len);
	for (entry = memo->heads[hash % HEAD_MEMO_HEADS_MAX]; entry != NULL; entry = entry->next)
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

static bool
take_buckets(struct head_memo *memo)
{
	struct err_saved saved;

	err_save(&saved);
	if (memo->bytes_max >= 2 * HEAD_MEMO_HEADS_MAX * sizeof(struct head_entry *))
		memo->heads = mem_zalloc(memo->mem, HEAD_MEMO_HEADS_MAX * sizeof(struct head_entry *));
	if (memo->heads != NULL)
		return true;
	err_restore(&saved);
	memo->full = true;
	return false;
}

struct head_entry *
head_memo_add(struct head_memo *memo, struct bytes head)
{
	struct head_entry *entry, **bucket;

	if (memo->asleep > 0) {
		memo->asleep--;
		return NULL;
	}
	if (memo->full || head.len > HEAD_MEMO_HEAD_BYTES_MAX)
		return NULL;
	if (memo->heads == NULL && !take_buckets(memo))
		return NULL;
	if (memo->heads_count == HEAD_MEMO_HEADS_MAX) {
		memo->full = true;
		return NULL;
	}
	entry = take(memo, sizeof(*entry) + head.len);
	if (entry == NULL)
		return NULL;
	*entry = (struct head_entry){ .hash = XXH3_64bits(head.data, head.len), .len = (uint32_t)head.len };
	memcpy(entry->text, head.data, head.len);
	bucket = &memo->heads[entry->hash % HEAD_MEMO_HEADS_MAX];
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
	if (memo->shapes_count == HEAD_MEMO_SHAPES_MAX || count > HEAD_MEMO_FIELDS_MAX || !is_plain(keys, count, stride))
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

static struct head_variant *
add_variant(struct head_memo *memo, struct head_entry *entry, const struct field_shape *shape, size_t count)
{
	struct head_variant *variant;

	if (count > HEAD_MEMO_KEYS_MAX - memo->keys_count) {
		memo->full = true;
		return NULL;
	}
	variant = take(memo, sizeof(*variant));
	if (variant == NULL)
		return NULL;
	*variant = (struct head_variant){ .next = entry->variants, .shape = shape, .key = memo->keys_count + 1 };
	memo->keys_count += (uint32_t)count;
	entry->variants = variant;
	return variant;
}

struct head_variant *
head_memo_variant(struct head_memo *memo, struct head_entry *entry, const struct bytes *keys, size_t count, size_t stride)
{
	const struct field_shape *shape = NULL;
	struct head_variant *variant, **link;
	int variants = 0;

	if (keys != NULL) {
		shape = find_or_add_shape(memo, keys, count, stride);
		if (shape == NULL)
			return NULL;
	}
	for (link = &entry->variants; (variant = *link) != NULL; link = &variant->next, variants++) {
		if (variant->shape != shape)
			continue;
		*link = variant->next;
		variant->next = entry->variants;
		entry->variants = variant;
		return variant;
	}
	return variants == HEAD_MEMO_VARIANTS_MAX ? NULL : add_variant(memo, entry, shape, count);
}
