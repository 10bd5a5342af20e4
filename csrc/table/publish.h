/*
 * publish.h -- the only place where parts appear and vanish.
 * floor: table     uses: partition.h base/txn.h     used by: partition, job, retention, recover
 *
 * A publish is a state machine: each step does at most one fsync (writing the transaction file has two).
 *
 * Errors     ERR_NOSPACE and ERR_MEMORY before anything was changed (committed is false: the output may be discarded);
 *            ERR_IO, or any error with committed true: the partition must become read-only, the output stays.
 * Threads    one publish, one thread at a time; partition->lock is taken inside.
 */
#ifndef TSE_PUBLISH_H
#define TSE_PUBLISH_H

#include "table/partition.h"

enum publish_state {
	PUBLISH_START,
	PUBLISH_SYNC_TMP,
	PUBLISH_COMMIT,
	PUBLISH_MOVE,
	PUBLISH_SYNC_SMALL,
	PUBLISH_SYNC_BIG,
	PUBLISH_SHOW,
	PUBLISH_FORGET,
	PUBLISH_DONE
};

struct publish {
	struct partition *partition;
	struct part **sources; /* borrowed; they are in the partition's slots */
	size_t sources_count;
	uint64_t id;               /* suffix of the output and name of the transaction */
	enum tree tree;            /* where the output goes */
	struct part_header header; /* rows 0: nothing is left, there is no output */
	uint64_t busy_after; /* the new part belongs to this job from the start (stages of a force merge); 0: idle */
	enum publish_state state;
	bool committed;
	bool changed[2];     /* directories of these trees were renamed */
	size_t moved;        /* sources that have been renamed, or need not be */
	size_t files;        /* sources on disk */
	struct part *result; /* after PUBLISH_SHOW: borrowed from the slots, NULL when nothing is left */
};

/* An in-memory part takes the place of raw rows. ERR_MEMORY: nothing happened; else raw is freed. */
NODISCARD int publish_raw_rows(struct partition *partition, struct raw_rows *raw, struct part *part);

/* *blocked: a snapshot reads the directories; call again later. After ERR_MEMORY the same step may be tried again. */
NODISCARD int publish_step(struct publish *publish, bool *done, bool *blocked);
/* After an error, or instead of going on. */
void publish_abort(struct publish *publish);

/*
 * A part vanishes with its rows (retention). Files are renamed into tmp/ first. *blocked as above. One fsync.
 * ERR_NOSPACE, ERR_MEMORY: nothing happened; any other error: the partition must become read-only.
 */
NODISCARD int publish_remove(struct partition *partition, struct part *part, bool *blocked);
/* Recovery: a part found on disk appears. */
NODISCARD int publish_found(struct partition *partition, struct part *part);

#endif
