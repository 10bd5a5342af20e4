/*
 * txn.c -- transaction files: write, read, run.
 * floor: base     uses: txn.h err.h     used by: table/publish, table/recover, index/item_table
 *
 * The order on disk. Every arrow is a call; what a power cut leaves stands to the right. "Old" means that the sources
 * are seen after the next open, "new" that the result is.
 *
 *   tmp/<id>/ complete, its files and itself fsynced, tmp/ fsynced        old    (made by the caller)
 *   txn_write      create txn/<id>.tmp.<n>, write, fsync, close           old    the name is skipped by every reader
 *                  rename to txn/<id>                                     old or new
 *                  fsync txn/                                             new    <-- the commit point
 *   txn_run_file   rename each source to tmp/<id>.removed.<n>             new    the file makes up for what is missing
 *                  rename tmp/<id> to its final name                      new
 *                  fsync every root that was touched                      new    without the file as well
 *                  unlink txn/<id>                                        new    not fsynced: running it again is harmless
 *                  delete tmp/<id>.removed.*                              new    tmp/ is emptied by every open
 *
 * Why the roots are fsynced before the file goes: on a file system that orders nothing, the unlink could become durable
 * alone, and the sources would come back beside the result.
 * Why the temporary part is not deleted when fsync of txn/ fails: the file may be durable. Running it later would
 * remove the sources, and their rows would be nowhere.
 */
#include "base/txn.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/err.h"

enum { HEX_DIGITS = 16, ROOTS_MAX = 32 };

/* Some 200,000 sources; a force merge of everything has thousands. */
#define TXN_BYTES_MAX (UINT64_C(64) << 20)

/* -- Paths ---------------------------------------------------------------------------------------------------------- */

static char *
in_root(const struct txn_place *place, size_t root, const char *between, const char *name)
{
	assert(root < place->roots_count);
	return mem_printf(place->mem, "%s/%s%s", place->roots[root].path, between, name);
}

static bool
is_hex_name(const char *name)
{
	return strspn(name, "0123456789abcdefABCDEF") == HEX_DIGITS && name[HEX_DIGITS] == '\0';
}

static bool
is_part_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
	    strcmp(name, "tmp") != 0 && strcmp(name, "txn") != 0 && strcmp(name, "snapshots") != 0;
}

bool
txn_is_unfinished(const char *name)
{
	size_t n = strlen(name), digits = 0;

	while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
		digits++;
	return digits > 0 && n - digits >= 5 && memcmp(name + n - digits - 5, ".tmp.", 5) == 0;
}

/* Absolute, without empty, "." and ".." components. */
static bool
is_clean(const char *path)
{
	const char *at = path;

	if (path[0] != '/')
		return false;
	while (*at == '/') {
		size_t n = strcspn(++at, "/");

		if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
			return false;
		at += n;
	}
	return true;
}

/* What follows "/<tail>/" when the path ends in it and one component (two for tmp/<hex>), else NULL. */
static const char *
behind_tail(const char *path, const char *tail, int components)
{
	const char *cut = path + strlen(path);
	size_t tail_bytes = strlen(tail);

	while (components-- > 0) {
		do {
			if (cut == path)
				return NULL;
			cut--;
		} while (*cut != '/');
	}
	if ((size_t)(cut - path) < tail_bytes + 1 || cut[-(ptrdiff_t)tail_bytes - 1] != '/')
		return NULL;
	return memcmp(cut - tail_bytes, tail, tail_bytes) == 0 ? cut + 1 : NULL;
}

/* Which part of which root a path of a transaction file means. temporary: it must be tmp/<hex>, else a part's name. */
static int
resolve(const struct txn_place *place, const char *path, bool temporary, const char *file, struct txn_part *out)
{
	size_t i;

	if (is_clean(path)) {
		for (i = 0; i < place->roots_count; i++) {
			const char *name = behind_tail(path, place->roots[i].tail, temporary ? 2 : 1);

			if (name == NULL)
				continue;
			if (temporary) {
				if (strncmp(name, "tmp/", 4) != 0 || !is_hex_name(name + 4))
					continue;
				name += 4;
			} else if (!is_part_name(name)) {
				continue;
			}
			*out = (struct txn_part){ .root = i, .name = name };
			return 0;
		}
	}
	return ERR_CORRUPT(file, UINT64_MAX, "the transaction names %.300s, which is not a %s of the directory %s",
	    path, temporary ? "temporary part" : "part", place->roots[0].tail);
}

/* -- Reading -------------------------------------------------------------------------------------------------------- */

void
txn_free(struct txn *txn)
{
	if (txn->mem == NULL)
		return;
	mem_free(txn->mem, txn->removes);
	mem_free(txn->mem, txn->text);
	mem_free(txn->mem, txn->path);
	*txn = (struct txn){ .mem = NULL };
}

static int
parse_last_line(const struct txn_place *place, char *line, struct txn *txn)
{
	char *arrow = strstr(line, " -> ");

	if (arrow == NULL || strstr(arrow + 4, " -> ") != NULL)
		return ERR_CORRUPT(txn->path, UINT64_MAX,
		    "the last line of the transaction is not \"from -> to\": %.300s", line);
	*arrow = '\0';
	TRY(resolve(place, line, true, txn->path, &txn->from));
	if (arrow[4] == '\0')
		return 0; /* nothing is left: to.name stays NULL */
	return resolve(place, arrow + 4, false, txn->path, &txn->to);
}

/* Splits text[0..len) at its newlines in place. */
static int
parse(const struct txn_place *place, char *text, size_t len, struct txn *txn)
{
	size_t lines = 1, i;
	char *line = text;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	text[len] = '\0';
	if (len == 0 || strlen(text) != len)
		return ERR_CORRUPT(txn->path, UINT64_MAX, "the transaction is %s", len == 0 ? "empty" : "not a text");
	for (i = 0; i < len; i++)
		lines += text[i] == '\n';
	txn->removes = mem_array(place->mem, lines, sizeof(*txn->removes));
	if (txn->removes == NULL)
		return ERR_MEMORY;
	for (i = 0; i + 1 < lines; i++) {
		char *end = strchr(line, '\n');

		*end = '\0';
		TRY(resolve(place, line, false, txn->path, &txn->removes[txn->removes_count]));
		txn->removes_count++;
		line = end + 1;
	}
	return parse_last_line(place, line, txn);
}

int
txn_read_file(const struct txn_place *place, const char *path, struct txn *out)
{
	struct buf content;
	size_t len;
	int rc;

	*out = (struct txn){ .mem = place->mem };
	buf_init(&content, place->mem);
	TRY_GOTO(out, io_read_file(place->io, path, TXN_BYTES_MAX, &content));
	len = content.len;
	TRY_GOTO(out, buf_append_u8(&content, 0));
	out->path = mem_strdup(place->mem, path);
	out->text = mem_alloc(place->mem, content.len);
	if (out->path == NULL || out->text == NULL) {
		rc = ERR_MEMORY;
		goto out;
	}
	memcpy(out->text, content.data, content.len);
	rc = parse(place, out->text, len, out);
out:
	buf_free(&content);
	if (rc != 0)
		txn_free(out);
	return rc;
}

void
txn_list_free(struct txn_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		txn_free(&list->items[i]);
	if (list->items != NULL)
		mem_free(list->mem, list->items);
	*list = (struct txn_list){ .mem = list->mem };
}

/* The names in txn/, sorted; missing: none. */
static int
list_files(const struct txn_place *place, size_t root, struct io_list *out)
{
	char *directory = in_root(place, root, "txn", "");
	int rc;

	*out = (struct io_list){ .mem = place->mem };
	if (directory == NULL)
		return ERR_MEMORY;
	rc = io_list(place->io, directory, place->mem, out);
	mem_free(place->mem, directory);
	return rc == ERR_NOTFOUND ? 0 : rc;
}

int
txn_read_dir(const struct txn_place *place, size_t root, struct txn_list *out)
{
	struct io_list list;
	size_t i;
	int rc = 0;

	*out = (struct txn_list){ .mem = place->mem };
	TRY(list_files(place, root, &list));
	if (list.count > 0) {
		out->items = mem_array(place->mem, list.count, sizeof(*out->items));
		rc = out->items == NULL ? ERR_MEMORY : 0;
	}
	for (i = 0; i < list.count && rc == 0; i++) {
		char *path;

		if (txn_is_unfinished(list.entries[i].name))
			continue;
		path = in_root(place, root, "txn/", list.entries[i].name);
		rc = path == NULL ? ERR_MEMORY : txn_read_file(place, path, &out->items[out->count]);
		out->count += rc == 0;
		mem_free(place->mem, path);
	}
	io_list_free(&list);
	if (rc != 0)
		txn_list_free(out);
	return rc;
}

/* -- Writing -------------------------------------------------------------------------------------------------------- */

static int
append_path(const struct txn_place *place, size_t root, const char *between, const char *name, struct buf *text)
{
	struct buf absolute;
	int rc;

	assert(root < place->roots_count);
	buf_init(&absolute, place->mem);
	rc = io_absolute_path(place->io, place->roots[root].path, &absolute);
	if (rc == 0)
		rc = buf_printf(text, "%s/%s%s", (const char *)absolute.data, between, name);
	buf_free(&absolute);
	return rc;
}

static int
build_text(const struct txn_place *place, const struct txn_part *removes, size_t removes_count, uint64_t from_id,
    size_t from_root, struct txn_part to, struct buf *text)
{
	char from_name[HEX_DIGITS + 1];
	size_t i;

	for (i = 0; i < removes_count; i++) {
		assert(is_part_name(removes[i].name));
		/* run again, such a transaction would remove its own result */
		if (to.name != NULL && removes[i].root == to.root && strcmp(removes[i].name, to.name) == 0)
			return ERR_BUG("the part %s cannot replace itself", to.name);
		TRY(append_path(place, removes[i].root, "", removes[i].name, text));
		TRY(buf_append_u8(text, '\n'));
	}
	snprintf(from_name, sizeof(from_name), "%016" PRIX64, from_id);
	TRY(append_path(place, from_root, "tmp/", from_name, text));
	TRY(buf_append_text(text, " -> "));
	if (to.name != NULL) {
		assert(is_part_name(to.name));
		TRY(append_path(place, to.root, "", to.name, text));
	}
	return buf_append_u8(text, '\n');
}

static char *
file_path(const struct txn_place *place, size_t root, uint64_t id)
{
	return mem_printf(place->mem, "%s/txn/%016" PRIX64, place->roots[root].path, id);
}

int
txn_write(const struct txn_place *place, size_t root, uint64_t id, const struct txn_part *removes, size_t removes_count,
    uint64_t from_id, size_t from_root, struct txn_part to, bool *pending)
{
	struct err_saved saved;
	struct buf text;
	char *path = file_path(place, root, id);
	bool exists = true;
	int rc;

	*pending = false;
	if (path == NULL)
		return ERR_MEMORY;
	buf_init(&text, place->mem);
	rc = build_text(place, removes, removes_count, from_id, from_root, to, &text);
	/* an old file of this name would make "may it be there?" unanswerable below */
	if (rc == 0)
		rc = io_exists(place->io, path, &exists);
	if (rc == 0 && exists)
		rc = ERR_BUG("the transaction %s exists already", path);
	if (rc == 0) {
		rc = io_write_file_atomic(place->io, path, text.data, text.len, true);
		if (rc != 0) {
			err_save(&saved);
			if (io_exists(place->io, path, &exists) != 0)
				exists = true;
			*pending = exists;
			rc = err_restore(&saved);
		}
	}
	buf_free(&text);
	mem_free(place->mem, path);
	return rc;
}

/* -- Running -------------------------------------------------------------------------------------------------------- */

/* rename for two strings that may be NULL for want of memory; frees both. */
static int
rename_and_free(const struct txn_place *place, char *from, char *to)
{
	int rc = from == NULL || to == NULL ? ERR_MEMORY : io_rename(place->io, from, to);

	mem_free(place->mem, from);
	mem_free(place->mem, to);
	return rc;
}

static int
exists_and_free(const struct txn_place *place, char *path, bool *exists)
{
	int rc = path == NULL ? ERR_MEMORY : io_exists(place->io, path, exists);

	mem_free(place->mem, path);
	return rc;
}

/* tmp/ may be missing in a copied directory. */
static int
make_directory(const struct txn_place *place, size_t root, const char *name)
{
	char *path = in_root(place, root, name, "");
	bool exists;
	int rc;

	if (path == NULL)
		return ERR_MEMORY;
	rc = io_exists(place->io, path, &exists);
	if (rc == 0 && !exists)
		rc = io_mkdir_synced(place->io, path);
	mem_free(place->mem, path);
	return rc;
}

/* Moves a part to tmp/<trash>; absent is fine. Trash of that name can only be left from an interrupted run: it goes. */
static int
move_to_trash(const struct txn_place *place, struct txn_part part, const char *trash)
{
	char *target;
	bool exists;
	int rc;

	TRY(exists_and_free(place, in_root(place, part.root, "", part.name), &exists));
	if (!exists)
		return 0;
	TRY(make_directory(place, part.root, "tmp"));
	target = in_root(place, part.root, "tmp/", trash);
	rc = target == NULL ? ERR_MEMORY : io_remove_tree(place->io, target);
	if (rc == 0)
		return rename_and_free(place, in_root(place, part.root, "", part.name), target);
	mem_free(place->mem, target);
	return rc;
}

/* What is in tmp/ counts as gone, so a failure is told but changes nothing. */
static void
delete_trash(const struct txn_place *place, size_t root, const char *trash)
{
	char *path = in_root(place, root, "tmp/", trash);

	if ((path == NULL || io_remove_tree(place->io, path) != 0) && place->log != NULL)
		log_write(place->log, LOG_WARN, "what was removed stays in %s/tmp until the next open: %s",
		    place->roots[root].path, err_message());
	mem_free(place->mem, path);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* The trash of the n-th source: the same name however often the transaction runs. */
static char *
trash_name(const struct txn_place *place, const struct txn *txn, size_t n)
{
	return mem_printf(place->mem, "%s.removed.%zu", base_name(txn->path), n);
}

static int
move_sources(const struct txn_place *place, const struct txn *txn)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < txn->removes_count && rc == 0; i++) {
		char *trash = trash_name(place, txn, i);

		rc = trash == NULL ? ERR_MEMORY : move_to_trash(place, txn->removes[i], trash);
		mem_free(place->mem, trash);
	}
	return rc;
}

static int
move_result(const struct txn_place *place, const struct txn *txn)
{
	bool exists;

	if (txn->to.name == NULL)
		return 0;
	TRY(exists_and_free(place, in_root(place, txn->from.root, "tmp/", txn->from.name), &exists));
	if (!exists)
		return 0; /* an earlier run did it */
	return rename_and_free(place, in_root(place, txn->from.root, "tmp/", txn->from.name),
	    in_root(place, txn->to.root, "", txn->to.name));
}

static int
fsync_roots(const struct txn_place *place, const struct txn *txn)
{
	bool touched[ROOTS_MAX] = { false };
	size_t i;

	assert(place->roots_count <= ROOTS_MAX);
	for (i = 0; i < txn->removes_count; i++)
		touched[txn->removes[i].root] = true;
	if (txn->to.name != NULL)
		touched[txn->to.root] = true;
	for (i = 0; i < place->roots_count; i++)
		if (touched[i])
			TRY(io_fsync_dir(place->io, place->roots[i].path));
	return 0;
}

static void
delete_all_trash(const struct txn_place *place, const struct txn *txn)
{
	size_t i;

	for (i = 0; i < txn->removes_count; i++) {
		char *trash = trash_name(place, txn, i);

		if (trash != NULL)
			delete_trash(place, txn->removes[i].root, trash);
		mem_free(place->mem, trash);
	}
	if (txn->to.name == NULL)
		delete_trash(place, txn->from.root, txn->from.name);
}

static int
run_path(const struct txn_place *place, const char *path)
{
	struct txn txn;
	int rc;

	TRY(txn_read_file(place, path, &txn));
	rc = move_sources(place, &txn);
	if (rc == 0)
		rc = move_result(place, &txn);
	if (rc == 0)
		rc = fsync_roots(place, &txn);
	if (rc == 0)
		rc = io_unlink(place->io, path);
	if (rc == 0)
		delete_all_trash(place, &txn);
	else
		err_prefix(rc, "while running the transaction %s: ", path);
	txn_free(&txn);
	return rc;
}

int
txn_run_file(const struct txn_place *place, size_t root, uint64_t id)
{
	char *path = file_path(place, root, id);
	int rc = path == NULL ? ERR_MEMORY : run_path(place, path);

	mem_free(place->mem, path);
	return rc;
}

int
txn_run_dir(const struct txn_place *place, size_t root)
{
	struct io_list list;
	size_t i;
	int rc = 0;

	TRY(list_files(place, root, &list));
	for (i = 0; i < list.count && rc == 0; i++) {
		char *path;

		if (txn_is_unfinished(list.entries[i].name))
			continue;
		path = in_root(place, root, "txn/", list.entries[i].name);
		rc = path == NULL ? ERR_MEMORY : run_path(place, path);
		mem_free(place->mem, path);
	}
	io_list_free(&list);
	return rc;
}

/* -- Without a file ------------------------------------------------------------------------------------------------- */

int
txn_remove_part(const struct txn_place *place, struct txn_part part, uint64_t id)
{
	char trash[HEX_DIGITS + sizeof(".removed")];

	assert(is_part_name(part.name));
	snprintf(trash, sizeof(trash), "%016" PRIX64 ".removed", id);
	TRY(move_to_trash(place, part, trash));
	TRY(io_fsync_dir(place->io, place->roots[part.root].path));
	delete_trash(place, part.root, trash);
	return 0;
}

static int
empty_directory(const struct txn_place *place, size_t root, const char *name)
{
	char *directory = in_root(place, root, name, "");
	struct io_list list;
	size_t i;
	int rc;

	if (directory == NULL)
		return ERR_MEMORY;
	rc = io_list(place->io, directory, place->mem, &list);
	if (rc == ERR_NOTFOUND)
		rc = make_directory(place, root, name);
	for (i = 0; i < list.count && rc == 0; i++) {
		char *child = mem_printf(place->mem, "%s/%s", directory, list.entries[i].name);

		rc = child == NULL ? ERR_MEMORY : io_remove_tree(place->io, child);
		mem_free(place->mem, child);
	}
	io_list_free(&list);
	mem_free(place->mem, directory);
	return rc;
}

int
txn_reset_root(const struct txn_place *place, size_t root)
{
	/* transactions before what they name: a file that outlived its temporary part would be harmless, but not the reverse */
	TRY(empty_directory(place, root, "txn"));
	return empty_directory(place, root, "tmp");
}
