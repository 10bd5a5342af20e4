/*
 * crash_walk.c -- from a path to a node, and back.
 * floor: base     uses: crash_walk.h     used by: io_crash.c
 */
#include "base/crash_walk.h"

#include <errno.h>
#include <inttypes.h>

enum { SYMLINKS_MAX = 40, PATH_BYTES_MAX = 4096 };

static int walk_path(const struct crash_tree *tree, const char *path, size_t len, bool follow, struct crash_walk *walk);

/* Goes on from the directory of a symlink with its target. */
static int
follow_symlink(const struct crash_tree *tree, bool follow_last, struct crash_walk *walk)
{
	const struct crash_blob *target = walk->node->target;

	if (++walk->symlinks > SYMLINKS_MAX)
		return ELOOP;
	return walk_path(tree, crash_blob_text(target), target->len, follow_last, walk);
}

/* Makes the last name a directory of the walk. */
static int
enter(struct crash_walk *walk)
{
	if (walk->name_len == 0)
		return 0;
	if (walk->node == NULL)
		return ENOENT;
	if (walk->node->type != IO_TYPE_DIRECTORY)
		return ENOTDIR;
	if (walk->depth + 1 == CRASH_DEPTH_MAX)
		return ENAMETOOLONG;
	walk->names[walk->depth] = walk->name;
	walk->name_lens[walk->depth] = walk->name_len;
	walk->dirs[++walk->depth] = walk->node->id;
	walk->name_len = 0;
	return 0;
}

static int
step(const struct crash_tree *tree, const char *name, size_t len, struct crash_walk *walk)
{
	struct crash_node *dir;
	struct crash_entry *entry;
	int failure;

	if (len == 0 || (len == 1 && name[0] == '.'))
		return 0;
	if (walk->name_len > 0 && walk->node != NULL && walk->node->type == IO_TYPE_SYMLINK) {
		walk->name_len = 0;
		failure = follow_symlink(tree, true, walk);
		if (failure != 0)
			return failure;
	}
	failure = enter(walk);
	if (failure != 0)
		return failure;
	if (len == 2 && name[0] == '.' && name[1] == '.') {
		walk->depth -= walk->depth > 0;
		walk->node = crash_tree_node(tree, walk->dirs[walk->depth]);
		return 0;
	}
	dir = crash_tree_node(tree, walk->dirs[walk->depth]);
	entry = crash_node_find(dir, name, len);
	walk->name = name;
	walk->name_len = len;
	walk->node = entry == NULL ? NULL : crash_tree_node(tree, entry->id);
	return 0;
}

/* Returns an errno. A symlink in the last place is followed when asked for. */
static int
walk_path(const struct crash_tree *tree, const char *path, size_t len, bool follow, struct crash_walk *walk)
{
	size_t at = 0;
	int failure = 0;

	if (len > 0 && path[0] == '/') {
		walk->depth = 0;
		walk->name_len = 0;
		walk->node = crash_tree_node(tree, 0);
	}
	while (at < len && failure == 0) {
		size_t n = 0;

		while (at + n < len && path[at + n] != '/')
			n++;
		failure = step(tree, path + at, n, walk);
		at += n + 1;
	}
	if (failure == 0 && follow && walk->name_len > 0 && walk->node != NULL && walk->node->type == IO_TYPE_SYMLINK) {
		walk->name_len = 0;
		failure = follow_symlink(tree, true, walk);
	}
	return failure;
}

int
crash_walk(const struct crash_tree *tree, const char *path, bool follow, struct crash_walk *walk)
{
	size_t len = strlen(path);

	memset(walk, 0, sizeof(*walk));
	walk->node = crash_tree_node(tree, 0);
	if (len == 0)
		return ENOENT;
	return len >= PATH_BYTES_MAX ? ENAMETOOLONG : walk_path(tree, path, len, follow, walk);
}

int
crash_walk_existing(const struct crash_tree *tree, const char *path, bool follow, struct crash_walk *walk)
{
	int failure = crash_walk(tree, path, follow, walk);

	return failure == 0 && walk->node == NULL ? ENOENT : failure;
}

/* The entry that leads to a node, and its directory. */
static const struct crash_entry *
find_parent(const struct crash_tree *tree, uint64_t id, uint64_t *dir)
{
	size_t i, j;

	for (i = 0; i < tree->count; i++) {
		const struct crash_node *node = tree->nodes[i];

		for (j = 0; node != NULL && j < node->entries_count; j++) {
			if (node->entries[j].id == id) {
				*dir = node->id;
				return &node->entries[j];
			}
		}
	}
	return NULL;
}

static int
append_path(const struct crash_tree *tree, uint64_t id, struct buf *out, int depth)
{
	const struct crash_entry *entry;
	uint64_t dir;

	if (id == 0)
		return 0;
	entry = find_parent(tree, id, &dir);
	if (entry == NULL || depth == CRASH_DEPTH_MAX)
		return buf_printf(out, "#%" PRIu64, id);
	TRY(append_path(tree, dir, out, depth + 1));
	return buf_printf(out, "/%s", (const char *)entry->name->data);
}

int
crash_tree_path(const struct crash_tree *tree, uint64_t id, struct buf *out)
{
	return append_path(tree, id, out, 0);
}
