/*
 * crash_walk.h -- paths in a crash_tree.
 * floor: base     uses: crash_tree.h     used by: io_crash.c
 *
 * The working directory is the root. Symlinks are followed inside a path, and at its end when asked for.
 *
 * Errors     an errno, for the caller to turn into words: ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG.
 * Ownership  a walk points into the tree and into the path; both must stay as they are.
 */
#ifndef TSE_CRASH_WALK_H
#define TSE_CRASH_WALK_H

#include "base/crash_tree.h"

enum { CRASH_DEPTH_MAX = 64 };

/* Where a path leads: the directories walked through, the last name, and what it names. */
struct crash_walk {
	uint64_t dirs[CRASH_DEPTH_MAX]; /* dirs[0] is the root */
	const char *names[CRASH_DEPTH_MAX];
	size_t name_lens[CRASH_DEPTH_MAX];
	size_t depth; /* dirs[depth] holds the last name */
	const char *name;
	size_t name_len;         /* 0: the path is a directory reached by "/", "." or ".." */
	struct crash_node *node; /* NULL: nothing of that name */
	int symlinks;
};

/* Returns an errno. The last name need not exist: then walk->node is NULL. */
int crash_walk(const struct crash_tree *tree, const char *path, bool follow, struct crash_walk *walk);
/* As crash_walk, but what does not exist is ENOENT. */
int crash_walk_existing(const struct crash_tree *tree, const char *path, bool follow, struct crash_walk *walk);
/* Appends a path that leads to the node, "" for the root, "#<id>" when nothing does. */
NODISCARD int crash_tree_path(const struct crash_tree *tree, uint64_t id, struct buf *out);

#endif
