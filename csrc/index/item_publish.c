/*
 * item_publish.c -- parts of an item table appear and vanish on disk: nobody else renames anything there.
 * floor: index     uses: item_table_inner.h     used by: item_job
 *
 *   a merge                                     a crash behind this leaves
 *   tmp/N complete, all its fsyncs done         tmp/N: emptied by the next open
 *   rename tmp/N -> <part>                      either of the two
 *   fsync of the table's directory              <part> and all its sources: the same items twice, which a set does not mind
 *   rename <source> -> tmp/<source>, each       some sources, whole
 *   fsync of the table's directory              no source; without this fsync a disk that orders nothing could keep a
 *                                               source's name and lose its files
 *   delete tmp/<source>, each                   remains in tmp/
 *
 * A table is a set, so no transaction file is needed: at every moment each item is in a whole part that can be seen, and
 * no half part ever is. The peer opens each of these states too; it empties tmp/ as we do.
 */
#include "base/err.h"
#include "index/item_table_inner.h"

int
item_publish_rename(struct item_table *table, struct item_merge *merge, uint64_t suffix, uint64_t owner,
    struct item_part **out)
{
	struct mem *mem = table->env.mem;
	struct item_part_env env = { .io = table->env.io, .mem = mem, .cache = table->cache, .cache_owner = owner };
	struct item_part_name name;
	struct item_part *part = NULL;
	char text[ITEM_PART_NAME_MAX];
	char *from, *to;
	int rc;

	item_merge_name(merge, &name);
	name.suffix = suffix;
	item_part_name_format(&name, text);
	from = mem_printf(mem, "%s/%016llX", table->tmp_path, (unsigned long long)suffix);
	to = mem_printf(mem, "%s/%s", table->path, text);
	rc = from == NULL || to == NULL ? ERR_MEMORY : 0;
	/* Opened first: what cannot be read back must not be seen, and must not replace anything. */
	if (rc == 0)
		rc = item_part_open(&env, from, text, &part);
	if (rc == 0)
		rc = item_part_set_path(part, to);
	if (rc == 0)
		rc = io_rename(table->env.io, from, to);
	mem_free(mem, from);
	mem_free(mem, to);
	if (rc != 0) {
		item_part_unref(part);
		return rc;
	}
	*out = part;
	return 0;
}

static char *
retired_path(struct item_table *table, const struct item_part *part)
{
	return mem_printf(table->env.mem, "%s/%s", table->tmp_path, item_part_base_name(part));
}

int
item_publish_retire(struct item_table *table, struct item_part *part)
{
	char *to = retired_path(table, part);
	int rc = to == NULL ? ERR_MEMORY : io_rename(table->env.io, part->path, to);

	mem_free(table->env.mem, to);
	return rc;
}

int
item_publish_delete(struct item_table *table, struct item_part *part)
{
	char *path = retired_path(table, part);
	int rc = path == NULL ? ERR_MEMORY : io_remove_tree(table->env.io, path);

	mem_free(table->env.mem, path);
	return rc;
}
