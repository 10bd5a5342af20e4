/*
 * item_table_inner.h -- the insides of an item table, for the files that make it up.
 * floor: index     uses: item_table.h item_part.h item_merge.h     used by: item_table item_job item_recover item_snapshot item_cursor
 *
 *   item_table.c     open, add, view, statistics          item_recover.c    what an open finds on disk
 *   item_job.c       what is due, who does it             item_publish.c    parts appear and vanish on disk
 *   item_snapshot.c  hard links                           item_cursor.c     searching views
 *
 * Everything below is guarded by `lock` unless said otherwise. A job that is `running` belongs to the thread that runs
 * it; the thread touches the table only under the lock again. Disk and merging happen without the lock.
 */
#ifndef TSE_ITEM_TABLE_INNER_H
#define TSE_ITEM_TABLE_INNER_H

#include "base/buf.h"
#include "base/thread.h"
#include "index/item_merge.h"
#include "index/item_table.h"

#define ITEM_DIR_TMP "tmp"
#define ITEM_DIR_TXN "txn"
#define ITEM_FLAG    "converted-to-v1.28.0"
#define ITEM_LOCK    "flock.lock"

/* A moment of the table: an immutable, counted list. The table's newest one is replaced when parts come and go. */
struct item_view {
	_Atomic uint32_t refs;
	struct mem *mem;
	size_t count;
	struct item_part *parts[]; /* each held */
};

enum item_job_kind { ITEM_JOB_FLUSH, ITEM_JOB_MEMORY, ITEM_JOB_FILES, ITEM_JOB_KINDS };

/*
 *   IDLE -> MERGE -> PUBLISH (open, rename into place) -> SYNC (the table's directory) -> swap
 *             |                                             FLUSH: IDLE
 *             +-> swap (MEMORY): IDLE                       FILES: RETIRE (rename into tmp/) -> RETIRE_SYNC -> DELETE -> IDLE
 */
enum item_job_phase {
	ITEM_JOB_IDLE,
	ITEM_JOB_MERGE,
	ITEM_JOB_PUBLISH,
	ITEM_JOB_SYNC,
	ITEM_JOB_RETIRE,
	ITEM_JOB_RETIRE_SYNC,
	ITEM_JOB_DELETE
};

struct item_job {
	enum item_job_phase phase;
	bool running;
	bool cancel; /* MEMORY: its sources are wanted by a flush */
	struct item_merge *merge;
	struct item_part **sources; /* each held and busy until the swap */
	size_t count;
	struct item_part *result;
	uint64_t suffix; /* names the work directory and the part */
	size_t retired;  /* sources renamed into tmp/ */
	size_t deleted;  /* sources whose files are gone */
	bool force_last; /* the last merge of a forced one */
};

struct item_table {
	struct item_table_env env;
	char *path;
	char *tmp_path;
	struct io_lock_handle *lock_file;
	struct cache *cache;
	struct lock lock;
	struct item_view *view; /* the newest */
	uint64_t next_suffix;
	uint64_t next_owner; /* cache owners */
	uint64_t last_seq;
	uint64_t flush_seq; /* runs up to this one are due now */
	bool force_merge;
	bool read_only; /* sticky: why is in reason */
	char reason[256];
	bool no_space;
	uint32_t links_busy;        /* snapshots being made: no part may be renamed away */
	int64_t retry_tick_ms;      /* nothing is tried before: after ERR_MEMORY */
	int64_t files_tick_ms;      /* no merge of files before: there was no room for it */
	int64_t flushed_tick_ms;    /* the last flush began */
	int64_t busy_until_tick_ms; /* a bulk load is under way */
	uint64_t damaged_at_open;
	struct buf damaged_names; /* of those, one per line; complete once the table is open */
	struct item_job jobs[ITEM_JOB_KINDS];
	struct item_table_stats stats; /* the counters of it */
};

/* Bytes a part in memory takes. */
static inline uint64_t
item_part_mem_bytes(const struct item_part *part)
{
	return part->bytes + (part->items + 1) * sizeof(uint32_t) + ITEM_SLACK_BYTES;
}

/* -- item_table.c ------------------------------------------------------------------------------------------------------ */

/* Replaces the newest view: without the removed parts, with the added one (either may be none). Takes the lock's holder. */
NODISCARD int item_table_swap(struct item_table *table, struct item_part *const *removed, size_t removed_count,
    struct item_part *added);
/* From now on no runs are taken and nothing is written; the last error is the reason, unless there is one already. */
void item_table_set_read_only(struct item_table *table);

/* -- item_recover.c ---------------------------------------------------------------------------------------------------- */

/* Directory, transactions, tmp/, flag; then the parts into the first view. */
NODISCARD int item_recover(struct item_table *table);

/* -- item_publish.c ---------------------------------------------------------------------------------------------------- */

/* Opens tmp/<suffix> as a part and gives it its final name. Nothing is synced. */
NODISCARD int item_publish_rename(struct item_table *table, struct item_merge *merge, uint64_t suffix, uint64_t owner,
    struct item_part **out);
/* Renames a part into tmp/. */
NODISCARD int item_publish_retire(struct item_table *table, struct item_part *part);
/* Deletes what item_publish_retire left in tmp/. */
NODISCARD int item_publish_delete(struct item_table *table, struct item_part *part);

/* -- item_job.c --------------------------------------------------------------------------------------------------------- */

/* Frees what jobs hold: closing. */
void item_jobs_drop(struct item_table *table);

/* -- item_due.c --------------------------------------------------------------------------------------------------------- */

/* Why parts in memory go to disk. */
enum item_flush_due { ITEM_FLUSH_NOT_DUE, ITEM_FLUSH_PRESSURE, ITEM_FLUSH_DEADLINE };
enum item_flush_due item_due_flush(const struct item_table *table, int64_t now_ms);

/* Parts chosen for a job: an array of mem.h, not held; count 0 and NULL: nothing is due. */
struct item_choice {
	struct item_part **parts;
	size_t count;
	bool force_last;
};
NODISCARD int item_due_choose(const struct item_table *table, enum item_job_kind kind, int64_t now_ms,
    struct item_choice *out);

#endif
