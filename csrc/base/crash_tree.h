/*
 * crash_tree.h -- a file system in memory whose copies share the bytes of their files.
 * floor: base     uses: io.h     used by: io_crash.c crash_journal.c
 *
 *   nodes[0] root      node: file       extents -> blobs (counted, immutable)      or zeros
 *   nodes[1] ...             directory  entries: name -> node id, sorted
 *                            symlink    target
 *
 * A node keeps its number in every copy of the tree, so that a journal of operations written against one tree can be
 * replayed on another. Nodes are never freed before their tree; a file without links and handles gives back its bytes
 * to the space account, not to memory.
 *
 * Errors     ERR_MEMORY.
 * Threads    one at a time for one tree; blobs may be shared by trees of several threads.
 */
#ifndef TSE_CRASH_TREE_H
#define TSE_CRASH_TREE_H

#include "base/io.h"

/* Immutable bytes, also of names and symlink targets (then terminated). */
struct crash_blob {
	_Atomic uint64_t holders;
	struct mem *mem;
	size_t len;
	uint8_t data[];
};

struct crash_extent {
	uint64_t start; /* in the file */
	uint64_t len;
	struct crash_blob *blob; /* its first len bytes; NULL: zeros */
};

struct crash_entry {
	struct crash_blob *name;
	uint64_t id;
};

struct crash_node {
	uint64_t id;
	enum io_type type;
	uint32_t links, handles; /* directory entries, open files */
	uint32_t lock_holders;
	bool lock_exclusive;
	int64_t modified; /* the number of the operation that did it */
	uint64_t size;    /* of a file */
	uint64_t synced;  /* its first bytes that a crash cannot take */
	struct crash_extent *extents;
	size_t extents_count, extents_room;
	struct crash_entry *entries; /* of a directory, sorted by name */
	size_t entries_count, entries_room;
	struct crash_blob *target; /* of a symlink */
};

struct crash_tree {
	struct mem *mem;
	struct crash_node **nodes;
	size_t count, room;
};

/* What happens to the bytes of a file behind `synced` in a crash. */
enum crash_data { CRASH_DATA_FULL, CRASH_DATA_LOST, CRASH_DATA_ZEROED, CRASH_DATA_HALF };

NODISCARD int crash_blob_new(struct mem *mem, const void *data, size_t len, struct crash_blob **out);
struct crash_blob *crash_blob_hold(struct crash_blob *blob);
void crash_blob_release(struct crash_blob *blob); /* NULL is fine */
static inline const char *
crash_blob_text(const struct crash_blob *blob)
{
	return (const char *)blob->data;
}

NODISCARD int crash_tree_init(struct crash_tree *tree, struct mem *mem); /* with a root */
void crash_tree_free(struct crash_tree *tree);                           /* legal on a zeroed one */
/* Handles and locks are not copied. */
NODISCARD int crash_tree_copy(const struct crash_tree *tree, struct crash_tree *out);
/* Adds a node with the given number (the next one, or one a journal names). */
NODISCARD int crash_tree_add(struct crash_tree *tree, uint64_t id, enum io_type type, struct crash_node **out);
struct crash_node *crash_tree_node(const struct crash_tree *tree, uint64_t id);
/* A number for everything that can be reached by names: equal trees give equal numbers. */
uint64_t crash_tree_fingerprint(const struct crash_tree *tree);

/* The entry with this name, or NULL. */
struct crash_entry *crash_node_find(const struct crash_node *node, const char *name, size_t len);
/* Sets name -> id, replacing; holds the name. */
NODISCARD int crash_node_set(struct crash_tree *tree, struct crash_node *node, struct crash_blob *name, uint64_t id);
/* Removes the name; missing is fine. */
void crash_node_remove(struct crash_tree *tree, struct crash_node *node, const char *name, size_t len);
/* A directory has one parent: removes every entry of the tree that leads to it. */
void crash_tree_unlink_everywhere(struct crash_tree *tree, uint64_t id);

/* Appends; holds the blob. */
NODISCARD int crash_node_write(struct crash_tree *tree, struct crash_node *node, struct crash_blob *blob);
void crash_node_truncate(struct crash_node *node);
/* n bytes that exist. */
void crash_node_read(const struct crash_node *node, void *data, size_t n, uint64_t offset);
/* Applies a crash to the unsynced bytes; what is left counts as synced. */
void crash_node_settle(struct crash_node *node, enum crash_data data);

#endif
