/*
 * index.h -- labels <-> TSID: two generations of item tables, registration of series and days, search.
 * floor: index     uses: item_table.h metric_name.h tag_filter.h part/tsid.h     used by: storage
 *
 *   index_register() --> staging (name table, postings, ids)  --seal--> sorted run --> item table of the current generation
 *
 * Registrations wait in a structured staging area and become one sorted run when it is full, when a search needs them, or
 * when they are due; so a search sees a series created a moment ago, and rows of low-cardinality tags are joined before
 * they are ever written.
 *
 * Invariants
 *  (1) A name has at most one live TSID made by us; TSIDs of known names come from the index, never recomputed.
 *  (2) All items of one registration go into one run, hence one flush: they are durable together.
 *  (3) Metric ids start at max(now in ns, greatest id in the directory) and never outrun the clock.
 *  (4) A deletion hides ids at once and is durable after the next index flush; deleted ids are never reused.
 * Errors     ERR_READONLY after a failed write or with a damaged index part; ERR_LIMIT; ERR_CORRUPTED; ERR_IO; ERR_MEMORY.
 * Threads    any.
 */
#ifndef TSE_INDEX_H
#define TSE_INDEX_H

#include "base/u64set.h"
#include "index/item_table.h"
#include "index/metric_name.h"
#include "index/tag_filter.h"
#include "part/tsid.h"

struct index;

struct index_env {
	struct io *io;
	struct mem *mem;
	const struct clock *clock;
	struct log *log;
	enum layout layout;
	const char *root;            /* <storage>/indexdb; made when missing */
	int64_t retention_ms;        /* rotation period (index format 2.2), rounded up to days; 0: no rotation */
	int64_t visible_ms;          /* staging is sealed this long after its first registration */
	int64_t durable_ms;          /* and on disk this long after */
	uint32_t staging_series_max; /* sealed by the writer at this many registrations: bounds the time of one seal */
	uint64_t mem_bytes_max;      /* in-memory index parts of a generation above this are flushed early; 0: 32 MiB */
	int64_t
	    composite_from_ms; /* composite rows are used for searches from this time on (index format 15.2); <= 0: always */
	bool read_only;
};

NODISCARD int index_open(const struct index_env *env, struct index **out);
void index_close(struct index *index); /* frees without flushing; NULL is fine */

/* The layout that the kind-2 items of an existing indexdb tell; *known false when there is none. */
NODISCARD int index_detect_layout(struct io *io, struct mem *mem, const char *root, enum layout *layout, bool *known);

/* -- Writing ------------------------------------------------------------------------------------------------------- */

/* The TSID of a stored name; *found false when no live one exists. Looks at staging and both generations. */
NODISCARD int index_find(struct index *index, struct bytes stored_name, struct tsid *tsid, bool *found);
/* As index_find, or creates it; date = day number of the row. Registers global items (when new or only in the previous generation) and the day's. *created: it was new. */
NODISCARD int index_register(struct index *index, struct bytes stored_name, uint64_t date, struct tsid *tsid,
    bool *created);
/* Makes sure that the day's items of a known series exist in the current generation (a set in memory answers nearly always). stored_name may be empty: then it is looked up.
 * ERR_NOTFOUND: the series was deleted meanwhile; register its name. */
NODISCARD int index_register_date(struct index *index, const struct tsid *tsid, struct bytes stored_name,
    uint64_t date);
/* Every registration so far has a number <= this; those with a number <= index_durable_seq() survive a crash. */
uint64_t index_last_seq(struct index *index);
uint64_t index_durable_seq(struct index *index);
/* Grows when caches of TSIDs by name must be thrown away (rotation, deletion, purge). */
uint64_t index_epoch(struct index *index);
/* Hides these series for ever, durable after index_flush. */
NODISCARD int index_delete(struct index *index, const uint64_t *metric_ids, size_t n);
/* The set of deleted ids now: counted, immutable; release with index_deleted_release. */
NODISCARD int index_deleted(struct index *index, const struct u64set **out);
void index_deleted_release(struct index *index, const struct u64set *set);

/* -- Background work ------------------------------------------------------------------------------------------------ */

void index_flush_request(struct index *index); /* everything registered so far becomes due */
int64_t index_next_tick_ms(struct index *index);
NODISCARD int index_step(struct index *index, const struct budget *budget, bool *did);
void index_retry(struct index *index);
bool index_is_read_only(struct index *index);
bool index_is_no_space(struct index *index);
void index_force_merge(struct index *index);
bool index_force_merging(struct index *index);

/* -- Search --------------------------------------------------------------------------------------------------------- */

struct tsid_list {
	struct tsid *items;
	size_t count, cap;
	struct mem *mem;
};
void tsid_list_free(struct tsid_list *list);

/* Live series of the tenant that match (NULL: all), per-day or global as index format 12.3 says for [min_ms, max_ms];
 * sorted by tsid, distinct metric ids. More than `limit` (0: none): ERR_LIMIT. */
NODISCARD int index_search(struct index *index, struct tenant tenant, const struct match *match, int64_t min_ms,
    int64_t max_ms, size_t limit, struct tsid_list *out);
/* Appends the stored name of a metric id; *found false when no generation has it. */
NODISCARD int index_name(struct index *index, struct tenant tenant, uint64_t metric_id, struct buf *out, bool *found);
/* Many names at once, ids ascending is fastest: calls visit in any order for those found. */
typedef int index_name_visit_fn(void *context, uint64_t metric_id, struct bytes stored_name);
NODISCARD int index_names(struct index *index, struct tenant tenant, const uint64_t *metric_ids, size_t n,
    index_name_visit_fn *visit, void *context);

/* A sorted list of distinct byte strings. */
struct bytes_list {
	struct bytes *items;
	size_t count;
	struct arena arena;
};
void bytes_list_free(struct bytes_list *list);
/* Label names ("__name__" for the name) or values of live series in range that match (NULL: all); limit 0: none. Sorted. */
NODISCARD int index_label_names(struct index *index, struct tenant tenant, const struct match *match, int64_t min_ms,
    int64_t max_ms, size_t limit, struct bytes_list *out);
NODISCARD int index_label_values(struct index *index, struct tenant tenant, struct bytes label,
    const struct match *match, int64_t min_ms, int64_t max_ms, size_t limit, struct bytes_list *out);

/* -- Snapshot, statistics --------------------------------------------------------------------------------------------- */

/* After a flush: hard links of both generations into directory/<generation>/ (directory is made). */
NODISCARD int index_snapshot(struct index *index, const char *directory);

struct index_stats {
	struct item_table_stats current, previous;
	uint64_t series_created, dates_registered, deleted_ids, staged_series, rotations;
	uint64_t missing_tsids, missing_names; /* ids without kind 2 or 3 met by searches */
};
void index_stats(struct index *index, struct index_stats *out);
/* Index parts that were damaged at open, one per line: series whose names stood there are in no answer. */
NODISCARD int index_damaged_names(struct index *index, struct buf *out);

#endif
