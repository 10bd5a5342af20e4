/*
 * root.c -- the directory of a database.
 * floor: storage     uses: root.h index/index.h     used by: storage
 */
#include "storage/root.h"

#include <stdio.h>

#include "base/err.h"
#include "codec/varint.h"
#include "index/index.h"

enum { OPTIONS_BYTES_MAX = 4096, COMPOSITE_BYTES = 8 };

static const char OPTIONS_HEAD[] = "tsengine 1\n";

char *
root_path(const struct root *root, const char *tail)
{
	return mem_printf(root->mem, "%s/%s", root->path, tail);
}

/* Is <root>/<tail> there? */
static int
root_has(const struct root *root, const char *tail, bool *out)
{
	char *path = root_path(root, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_exists(root->io, path, out);
	mem_free(root->mem, path);
	return rc;
}

/* -- Is it a storage directory? --------------------------------------------------------------------------------------- */

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

/* A directory is a storage when it has data/, indexdb/ or tsengine/, or when it holds nothing but what may become one. */
static int
check_entries(const struct root *root)
{
	static const char *const makes_it_one[] = { "data", "indexdb", "tsengine", NULL };
	static const char *const harmless[] = { "flock.lock", "metadata", "snapshots", "cache", "tmp", "lost+found",
		NULL };
	struct io_list list;
	bool is_one = false, foreign = false;

	TRY(io_list(root->io, root->path, root->mem, &list));
	for (size_t i = 0; i < list.count; i++) {
		is_one = is_one || is_one_of(list.entries[i].name, makes_it_one);
		foreign = foreign ||
		    !(is_one_of(list.entries[i].name, makes_it_one) || is_one_of(list.entries[i].name, harmless));
	}
	io_list_free(&list);
	if (!is_one && foreign)
		return ERR(ERR_LAYOUT,
		    "%s is not a storage directory: it holds other files and neither data/ nor indexdb/", root->path);
	if (!is_one && root->read_only)
		return ERR(ERR_LAYOUT, "%s is not a storage directory: it has neither data/ nor indexdb/", root->path);
	return 0;
}

/* ERR_LAYOUT when a directory in <root>/<tree> holds parts.json. */
static int
check_tree(const struct root *root, const char *tree)
{
	char *path = root_path(root, tree);
	struct io_list list = { .mem = root->mem };
	bool there = false;
	int rc = 0;

	if (path == NULL)
		return ERR_MEMORY;
	TRY_GOTO(out, io_exists(root->io, path, &there));
	if (!there)
		goto out;
	TRY_GOTO(out, io_list(root->io, path, root->mem, &list));
	for (size_t i = 0; i < list.count; i++) {
		char *file = mem_printf(root->mem, "%s/%s/parts.json", path, list.entries[i].name);

		if (file == NULL) {
			rc = ERR_MEMORY;
			break;
		}
		there = false;
		if (list.entries[i].type == IO_TYPE_DIRECTORY || list.entries[i].type == IO_TYPE_SYMLINK)
			rc = io_exists(root->io, file, &there);
		if (rc == 0 && there)
			rc = ERR(ERR_LAYOUT,
			    "%s exists: the directory was written by VictoriaMetrics 1.90 or newer, whose files this "
			    "engine does not know",
			    file);
		mem_free(root->mem, file);
		if (rc != 0)
			break;
	}
	io_list_free(&list);
out:
	mem_free(root->mem, path);
	return rc;
}

static int
check_directory(const struct root *root)
{
	bool restoring;

	TRY(check_entries(root));
	TRY(root_has(root, "restore-in-progress", &restoring));
	if (restoring)
		return ERR(ERR_LAYOUT,
		    "%s/restore-in-progress exists: a restore is running or was interrupted; finish it first",
		    root->path);
	TRY(check_tree(root, "data/small"));
	TRY(check_tree(root, "data/big"));
	return check_tree(root, "indexdb");
}

/* -- Locks -------------------------------------------------------------------------------------------------------------- */

static int
lock_one(struct root *root, unsigned i, const char *tail)
{
	char *path = root_path(root, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_lock(root->io, path, root->read_only, !root->read_only, &root->locks[i]);
	/* a reader makes no lock file; a directory without one has no owner that could write into it */
	if (rc == ERR_NOTFOUND && root->read_only)
		rc = 0;
	mem_free(root->mem, path);
	return rc;
}

/* -- Layout ---------------------------------------------------------------------------------------------------------------- */

/* What <root>/tsengine/options says; *known false when it is not there. */
static int
options_read(const struct root *root, enum layout *layout, bool *known)
{
	char *path = root_path(root, "tsengine/options");
	struct buf text;
	int rc = 0;

	buf_init(&text, root->mem);
	*known = false;
	if (path == NULL)
		return ERR_MEMORY;
	TRY_GOTO(out, io_exists(root->io, path, known));
	if (!*known)
		goto out;
	TRY_GOTO(out, io_read_file(root->io, path, OPTIONS_BYTES_MAX, &text));
	TRY_GOTO(out, buf_append_u8(&text, 0));
	if (strncmp((char *)text.data, OPTIONS_HEAD, sizeof(OPTIONS_HEAD) - 1) != 0)
		rc = ERR(ERR_LAYOUT, "%s is not of a version that this engine knows", path);
	else if (strstr((char *)text.data, "\nlayout cluster\n") != NULL)
		*layout = LAYOUT_CLUSTER;
	else if (strstr((char *)text.data, "\nlayout single\n") != NULL)
		*layout = LAYOUT_SINGLE;
	else
		rc = ERR_CORRUPT(path, 0, "no line says the layout");
out:
	buf_free(&text);
	mem_free(root->mem, path);
	return rc;
}

static int
options_write(const struct root *root)
{
	char *directory = root_path(root, "tsengine");
	char *path = root_path(root, "tsengine/options");
	char text[64];
	int rc = ERR_MEMORY;

	if (directory == NULL || path == NULL)
		goto out;
	snprintf(text, sizeof(text), "%slayout %s\n", OPTIONS_HEAD,
	    root->layout == LAYOUT_CLUSTER ? "cluster" : "single");
	TRY_GOTO(out, io_mkdir_all(root->io, directory));
	TRY_GOTO(out, io_write_file_atomic(root->io, path, text, strlen(text), true));
out:
	mem_free(root->mem, path);
	mem_free(root->mem, directory);
	return rc;
}

/* The index tells it for sure, else our own file, else the caller's wish. */
static int
find_layout(struct root *root, int wanted)
{
	char *indexdb = root_path(root, "indexdb");
	bool there = false, known = false, in_file = false;
	enum layout found = LAYOUT_SINGLE, file = LAYOUT_SINGLE;
	int rc = ERR_MEMORY;

	if (indexdb == NULL)
		return ERR_MEMORY;
	TRY_GOTO(out, io_exists(root->io, indexdb, &there));
	if (there)
		TRY_GOTO(out, index_detect_layout(root->io, root->mem, indexdb, &found, &known));
	TRY_GOTO(out, options_read(root, &file, &in_file));
	if (!known && in_file) {
		found = file;
		known = true;
	}
	if (known && wanted >= 0 && (enum layout)wanted != found)
		rc = ERR(ERR_LAYOUT, "%s has the %s layout, not the %s layout that was asked for", root->path,
		    found == LAYOUT_CLUSTER ? "cluster" : "single", wanted == LAYOUT_CLUSTER ? "cluster" : "single");
	root->layout = known ? found : wanted == LAYOUT_CLUSTER ? LAYOUT_CLUSTER : LAYOUT_SINGLE;
	if (rc == 0 && !root->read_only && (!in_file || file != root->layout))
		rc = options_write(root);
out:
	mem_free(root->mem, indexdb);
	return rc;
}

/* -- Making ------------------------------------------------------------------------------------------------------------------ */

/* Before indexdb/ exists: a peer that finds an index without the file does not use composite rows for older data. */
static int
write_metadata(const struct root *root)
{
	static const uint8_t zero[COMPOSITE_BYTES];
	char *directory, *path;
	bool has_index, there;
	int rc = ERR_MEMORY;

	TRY(root_has(root, "indexdb", &has_index));
	TRY(root_has(root, "metadata/minTimestampForCompositeIndex", &there));
	if (has_index || there)
		return 0;
	directory = root_path(root, "metadata");
	path = root_path(root, "metadata/minTimestampForCompositeIndex");
	if (directory == NULL || path == NULL)
		goto out;
	TRY_GOTO(out, io_mkdir_all(root->io, directory));
	TRY_GOTO(out, io_write_file_atomic(root->io, path, zero, sizeof(zero), false));
out:
	mem_free(root->mem, path);
	mem_free(root->mem, directory);
	return rc;
}

static int
make_directory(const struct root *root, const char *tail)
{
	char *path = root_path(root, tail);
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_mkdir_all(root->io, path);
	mem_free(root->mem, path);
	return rc;
}

/* Takes both locks; between them data/ is made, where the second one stands. */
static int
take_locks(struct root *root)
{
	TRY(lock_one(root, 0, "flock.lock"));
	if (!root->read_only)
		TRY(make_directory(root, "data"));
	return lock_one(root, 1, "data/flock.lock");
}

int
root_composite_from(const struct root *root, int64_t *from_ms)
{
	char *path = root_path(root, "metadata/minTimestampForCompositeIndex");
	struct buf bytes;
	bool there = false;
	int rc;

	buf_init(&bytes, root->mem);
	if (path == NULL)
		return ERR_MEMORY;
	TRY_GOTO(out, io_exists(root->io, path, &there));
	/* an index that came without the file may be older than composite rows: then they are not used at all */
	*from_ms = INT64_MAX;
	if (!there)
		goto out;
	TRY_GOTO(out, io_read_file(root->io, path, COMPOSITE_BYTES, &bytes));
	if (bytes.len == COMPOSITE_BYTES)
		*from_ms = unzigzag64(get_u64(bytes.data));
	else
		rc = ERR_CORRUPT(path, 0, "it has %zu bytes instead of %d; delete the file to go on without it",
		    bytes.len, COMPOSITE_BYTES);
out:
	buf_free(&bytes);
	mem_free(root->mem, path);
	return rc;
}

/* The absolute path of what the caller named; made when it is missing and may be made. */
static int
find_path(struct root *root, const char *path)
{
	struct io_stat stat;
	struct buf real;
	int rc = io_stat(root->io, path, &stat);

	if (rc == ERR_NOTFOUND) {
		if (root->read_only)
			return ERR(ERR_NOTFOUND, "%s does not exist", path);
		TRY(io_mkdir_all(root->io, path));
	} else if (rc != 0) {
		return rc;
	} else if (stat.type != IO_TYPE_DIRECTORY) {
		return ERR(ERR_LAYOUT, "%s is not a directory", path);
	}
	buf_init(&real, root->mem);
	TRY_GOTO(out, io_real_path(root->io, path, &real));
	/* Transaction files hold absolute paths, one a line, "from -> to": neither we nor the peer could read such a one back. */
	if (strchr((const char *)real.data, '\n') != NULL || strstr((const char *)real.data, " -> ") != NULL) {
		rc = ERR(ERR_LAYOUT,
		    "the path of a storage directory may contain neither a line feed nor \" -> \": choose another");
		goto out;
	}
	root->path = mem_strdup(root->mem, (const char *)real.data);
	rc = root->path != NULL ? 0 : ERR_MEMORY;
out:
	buf_free(&real);
	return rc;
}

int
root_open(struct io *io, struct mem *mem, const char *path, int layout, bool read_only, struct root *out)
{
	int rc;

	*out = (struct root){ .io = io, .mem = mem, .read_only = read_only };
	TRY_GOTO(fail, find_path(out, path));
	TRY_GOTO(fail, check_directory(out));
	TRY_GOTO(fail, take_locks(out));
	TRY_GOTO(fail, find_layout(out, layout));
	if (!read_only)
		TRY_GOTO(fail, write_metadata(out));
	return 0;
fail:
	root_close(out);
	return rc;
}

void
root_close(struct root *root)
{
	struct err_saved saved;

	err_save(&saved);
	for (int i = 1; i >= 0; i--) {
		io_unlock(root->locks[i]);
		root->locks[i] = NULL;
	}
	mem_free(root->mem, root->path);
	root->path = NULL;
	(void)err_restore(&saved);
}
