/*
 * crash_tree.c -- nodes, names and extents.
 * floor: base     uses: crash_tree.h err.h     used by: io_crash.c crash_journal.c
 */
#include "base/crash_tree.h"

#include "base/err.h"

/* -- Blobs ---------------------------------------------------------------------------------------------------------- */

int
crash_blob_new(struct mem *mem, const void *data, size_t len, struct crash_blob **out)
{
	struct crash_blob *blob = mem_alloc(mem, sizeof(*blob) + len + 1);

	if (blob == NULL)
		return ERR_MEMORY;
	blob->holders = 1;
	blob->mem = mem;
	blob->len = len;
	if (len > 0)
		memcpy(blob->data, data, len);
	blob->data[len] = 0;
	*out = blob;
	return 0;
}

struct crash_blob *
crash_blob_hold(struct crash_blob *blob)
{
	blob->holders++;
	return blob;
}

void
crash_blob_release(struct crash_blob *blob)
{
	if (blob != NULL && --blob->holders == 0)
		mem_free(blob->mem, blob);
}

/* -- Trees ---------------------------------------------------------------------------------------------------------- */

int
crash_tree_init(struct crash_tree *tree, struct mem *mem)
{
	struct crash_node *root;

	*tree = (struct crash_tree){ .mem = mem };
	return crash_tree_add(tree, 0, IO_TYPE_DIRECTORY, &root);
}

static void
node_free(struct mem *mem, struct crash_node *node)
{
	size_t i;

	for (i = 0; i < node->extents_count; i++)
		crash_blob_release(node->extents[i].blob);
	for (i = 0; i < node->entries_count; i++)
		crash_blob_release(node->entries[i].name);
	crash_blob_release(node->target);
	mem_free(mem, node->extents);
	mem_free(mem, node->entries);
	mem_free(mem, node);
}

void
crash_tree_free(struct crash_tree *tree)
{
	size_t i;

	for (i = 0; i < tree->count; i++)
		if (tree->nodes[i] != NULL)
			node_free(tree->mem, tree->nodes[i]);
	if (tree->nodes != NULL)
		mem_free(tree->mem, tree->nodes);
	*tree = (struct crash_tree){ .mem = tree->mem };
}

struct crash_node *
crash_tree_node(const struct crash_tree *tree, uint64_t id)
{
	return id < tree->count ? tree->nodes[id] : NULL;
}

int
crash_tree_add(struct crash_tree *tree, uint64_t id, enum io_type type, struct crash_node **out)
{
	struct crash_node *node;

	assert(crash_tree_node(tree, id) == NULL);
	if (id >= tree->room) {
		size_t room = tree->room == 0 ? 16 : tree->room;
		struct crash_node **nodes;

		while (room <= id)
			room *= 2;
		nodes = mem_realloc(tree->mem, tree->nodes, room * sizeof(struct crash_node *));
		if (nodes == NULL)
			return ERR_MEMORY;
		tree->nodes = nodes;
		tree->room = room;
	}
	node = mem_zalloc(tree->mem, sizeof(*node));
	if (node == NULL)
		return ERR_MEMORY;
	while (tree->count <= id)
		tree->nodes[tree->count++] = NULL;
	node->id = id;
	node->type = type;
	tree->nodes[id] = node;
	*out = node;
	return 0;
}

/* An array's copy of exactly count elements; none: NULL. */
static int
copy_array(struct mem *mem, const void *from, size_t count, size_t size, void **out)
{
	*out = NULL;
	if (count == 0)
		return 0;
	*out = mem_array(mem, count, size);
	if (*out == NULL)
		return ERR_MEMORY;
	memcpy(*out, from, count * size);
	return 0;
}

static int
node_copy(struct crash_tree *tree, const struct crash_node *from)
{
	struct crash_node *node;
	void *extents, *entries;
	size_t i;

	TRY(crash_tree_add(tree, from->id, from->type, &node));
	node->links = from->links;
	node->modified = from->modified;
	node->size = from->size;
	node->synced = from->synced;
	TRY(copy_array(tree->mem, from->extents, from->extents_count, sizeof(*from->extents), &extents));
	node->extents = extents;
	node->extents_count = node->extents_room = from->extents_count;
	for (i = 0; i < node->extents_count; i++)
		if (node->extents[i].blob != NULL)
			crash_blob_hold(node->extents[i].blob);
	TRY(copy_array(tree->mem, from->entries, from->entries_count, sizeof(*from->entries), &entries));
	node->entries = entries;
	node->entries_count = node->entries_room = from->entries_count;
	for (i = 0; i < node->entries_count; i++)
		crash_blob_hold(node->entries[i].name);
	if (from->target != NULL)
		node->target = crash_blob_hold(from->target);
	return 0;
}

int
crash_tree_copy(const struct crash_tree *tree, struct crash_tree *out)
{
	size_t i;
	int rc = 0;

	*out = (struct crash_tree){ .mem = tree->mem };
	for (i = 0; i < tree->count && rc == 0; i++)
		if (tree->nodes[i] != NULL)
			rc = node_copy(out, tree->nodes[i]);
	if (rc != 0)
		crash_tree_free(out);
	return rc;
}

/* -- Names ---------------------------------------------------------------------------------------------------------- */

static int
compare_name(const struct crash_blob *name, const char *text, size_t len)
{
	return bytes_compare(bytes_of(name->data, name->len), bytes_of(text, len));
}

/* The index of the first entry that is not before the name. */
static size_t
entry_index(const struct crash_node *node, const char *name, size_t len)
{
	size_t from = 0, to = node->entries_count;

	while (from < to) {
		size_t middle = (from + to) / 2;

		if (compare_name(node->entries[middle].name, name, len) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct crash_entry *
crash_node_find(const struct crash_node *node, const char *name, size_t len)
{
	size_t at = entry_index(node, name, len);

	if (at == node->entries_count || compare_name(node->entries[at].name, name, len) != 0)
		return NULL;
	return &node->entries[at];
}

int
crash_node_set(struct crash_tree *tree, struct crash_node *node, struct crash_blob *name, uint64_t id)
{
	const char *text = crash_blob_text(name);
	size_t at;

	if (node->entries_count == node->entries_room) {
		size_t room = node->entries_room < 4 ? 4 : node->entries_room * 2;
		struct crash_entry *entries = mem_realloc(tree->mem, node->entries, room * sizeof(*entries));

		if (entries == NULL)
			return ERR_MEMORY;
		node->entries = entries;
		node->entries_room = room;
	}
	crash_node_remove(tree, node, text, name->len);
	crash_tree_node(tree, id)->links++;
	at = entry_index(node, text, name->len);
	memmove(&node->entries[at + 1], &node->entries[at], (node->entries_count - at) * sizeof(*node->entries));
	node->entries[at] = (struct crash_entry){ .name = crash_blob_hold(name), .id = id };
	node->entries_count++;
	return 0;
}

static void
remove_entry(struct crash_tree *tree, struct crash_node *node, struct crash_entry *entry)
{
	size_t at = (size_t)(entry - node->entries);

	crash_tree_node(tree, entry->id)->links--;
	crash_blob_release(entry->name);
	node->entries_count--;
	memmove(entry, entry + 1, (node->entries_count - at) * sizeof(*entry));
}

void
crash_node_remove(struct crash_tree *tree, struct crash_node *node, const char *name, size_t len)
{
	struct crash_entry *entry = crash_node_find(node, name, len);

	if (entry != NULL)
		remove_entry(tree, node, entry);
}

void
crash_tree_unlink_everywhere(struct crash_tree *tree, uint64_t id)
{
	size_t i, j;

	for (i = 0; i < tree->count && crash_tree_node(tree, id)->links > 0; i++) {
		struct crash_node *node = tree->nodes[i];

		for (j = node == NULL ? 0 : node->entries_count; j-- > 0;)
			if (node->entries[j].id == id)
				remove_entry(tree, node, &node->entries[j]);
	}
}

/* -- Bytes ---------------------------------------------------------------------------------------------------------- */

int
crash_node_write(struct crash_tree *tree, struct crash_node *node, struct crash_blob *blob)
{
	if (node->extents_count == node->extents_room) {
		size_t room = node->extents_room < 4 ? 4 : node->extents_room * 2;
		struct crash_extent *extents = mem_realloc(tree->mem, node->extents, room * sizeof(*extents));

		if (extents == NULL)
			return ERR_MEMORY;
		node->extents = extents;
		node->extents_room = room;
	}
	node->extents[node->extents_count++] =
	    (struct crash_extent){ .start = node->size, .len = blob->len, .blob = crash_blob_hold(blob) };
	node->size += blob->len;
	return 0;
}

/* Cuts the file at `size` bytes. */
static void
cut(struct crash_node *node, uint64_t size)
{
	while (node->extents_count > 0) {
		struct crash_extent *last = &node->extents[node->extents_count - 1];

		if (last->start < size) {
			if (last->start + last->len > size)
				last->len = size - last->start;
			break;
		}
		crash_blob_release(last->blob);
		node->extents_count--;
	}
	node->size = size;
}

void
crash_node_truncate(struct crash_node *node)
{
	cut(node, 0);
	node->synced = 0;
}

void
crash_node_read(const struct crash_node *node, void *data, size_t n, uint64_t offset)
{
	size_t from = 0, to = node->extents_count;
	uint8_t *out = data;

	assert(offset + n <= node->size);
	while (to - from > 1) {
		size_t middle = (from + to) / 2;

		if (node->extents[middle].start <= offset)
			from = middle;
		else
			to = middle;
	}
	for (; n > 0; from++) {
		const struct crash_extent *extent = &node->extents[from];
		uint64_t skip = offset - extent->start;
		size_t part = extent->len - skip < n ? (size_t)(extent->len - skip) : n;

		if (extent->blob == NULL)
			memset(out, 0, part);
		else
			memcpy(out, extent->blob->data + skip, part);
		out += part;
		offset += part;
		n -= part;
	}
}

/* The bytes behind `synced` become zeros. It is always a border of extents, so at least one of them is freed by the cut
 * and leaves room for the zeros. */
static void
zero_tail(struct crash_node *node)
{
	uint64_t size = node->size;

	if (size == node->synced)
		return;
	cut(node, node->synced);
	assert(node->extents_count < node->extents_room);
	node->extents[node->extents_count++] =
	    (struct crash_extent){ .start = node->synced, .len = size - node->synced };
	node->size = size;
}

void
crash_node_settle(struct crash_node *node, enum crash_data data)
{
	if (node->type == IO_TYPE_FILE) {
		if (data == CRASH_DATA_LOST)
			cut(node, node->synced);
		else if (data == CRASH_DATA_HALF)
			cut(node, node->synced + (node->size - node->synced) / 2);
		else if (data == CRASH_DATA_ZEROED)
			zero_tail(node);
		node->synced = node->size;
	}
}

/* -- Fingerprint ---------------------------------------------------------------------------------------------------- */

static uint64_t
hash_bytes(uint64_t hash, const void *data, size_t n)
{
	const uint8_t *p = data;
	size_t i;

	/* FNV-1a, eight bytes at a time: only equality within one run matters */
	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t word;

		memcpy(&word, p + i, 8);
		hash = (hash ^ word) * UINT64_C(0x100000001B3);
		hash ^= hash >> 29;
	}
	for (; i < n; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001B3);
	return hash ^ (hash >> 32);
}

static uint64_t
hash_node(const struct crash_tree *tree, const struct crash_node *node, uint64_t hash, int depth)
{
	static const uint8_t zeros[64];
	size_t i;

	hash = hash_bytes(hash, &node->type, sizeof(node->type));
	hash = hash_bytes(hash, &node->size, sizeof(node->size));
	for (i = 0; i < node->extents_count; i++) {
		const struct crash_extent *extent = &node->extents[i];
		uint64_t left;

		if (extent->blob != NULL) {
			hash = hash_bytes(hash, extent->blob->data, (size_t)extent->len);
			continue;
		}
		for (left = extent->len; left > 0; left -= left < sizeof(zeros) ? left : sizeof(zeros))
			hash = hash_bytes(hash, zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros));
	}
	if (node->target != NULL)
		hash = hash_bytes(hash, node->target->data, node->target->len);
	for (i = 0; i < node->entries_count && depth < 64; i++) {
		hash = hash_bytes(hash, node->entries[i].name->data, node->entries[i].name->len + 1);
		hash = hash_node(tree, crash_tree_node(tree, node->entries[i].id), hash, depth + 1);
	}
	return hash;
}

uint64_t
crash_tree_fingerprint(const struct crash_tree *tree)
{
	return hash_node(tree, tree->nodes[0], UINT64_C(0xCBF29CE484222325), 0);
}
