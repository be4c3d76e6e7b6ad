/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One run of `amberfs backup`: the session, the sink and the sums, shared by
 * all sources of the run; lanes, each with workers of its own, so that several
 * sources can be backed up at once; and the making of one snapshot.
 *
 * Threading: a run begins and ends in one thread. A lane, with the snapshot it
 * is at, belongs to one thread at a time; different lanes work at once.
 */
#ifndef AMBERFS_INGEST_BACKUP_BACKUP_RUN_H
#define AMBERFS_INGEST_BACKUP_BACKUP_RUN_H

#include "backup_options.h"
#include "ingest/source/file_source.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/thread_safety.h"
#include "repo/snapshot/snapshot_writer.h"

enum backup_status { BACKUP_DONE, BACKUP_PARTLY, BACKUP_FAILED };

#define BACKUP_LANES_MAX 64u

struct backup_lane {
	struct backup_run *run;
	struct image_writer *writer; /* the run's storing's */
	unsigned workers;	     /* its threads */
	unsigned row;		     /* of the report, of the source it is at */
	uint64_t read;		     /* bytes, of finished images */
	/* The image under way. Set under the run's mutex; the workers count. */
	struct image_counts counts;
	uint64_t image_size;
};

struct backup_run {
	const struct backup_options *options;
	struct repository *repo;
	struct snapshot_writer storing;
	struct backup_lane *lanes;
	unsigned lane_count;
	bool of_domains; /* the rows, else of one set of files */

	/* Held from the barrier to the commit. Before mutex. */
	pthread_mutex_t commit_mutex;
	pthread_mutex_t mutex;
	uint64_t all_done GUARDED_BY(mutex); /* bytes, finished images; all */
	uint64_t all_total GUARDED_BY(mutex);
	/* sums of finished images, bytes */
	uint64_t read GUARDED_BY(mutex);
	uint64_t holes GUARDED_BY(mutex);
	uint64_t unchanged GUARDED_BY(mutex);
	uint64_t same GUARDED_BY(mutex);
	/* The report's rows; null: not reached */
	json_t *snapshots GUARDED_BY(mutex);
	unsigned done GUARDED_BY(mutex);
	unsigned partly GUARDED_BY(mutex);
	unsigned failed GUARDED_BY(mutex);
	/* .err != 0: the run can't go on */
	struct error_copy broken GUARDED_BY(mutex);
};

/* Opens the repository, registers the session. On an error backup_run_end is
 * still called. */
int backup_run_begin(struct backup_run *run, const char *repository,
		const struct backup_options *options);
/* Starts COUNT (1 to BACKUP_LANES_MAX) lanes for ROWS sources. The threads that
 * were asked for are divided among them; each has at least one. */
int backup_run_add_lanes(struct backup_run *run, unsigned count, unsigned rows);
/* Gives the index what is left and ends the session. Half-built: allowed. */
void backup_run_end(struct backup_run *run);

/* Notes ERR if the failure is not the source's but the run's: the repository
 * can't be written, or somebody interrupted. True if the run can't go on. */
bool backup_run_broken(struct backup_run *run, int err);

/* For the progress bar: what all lanes together have done. */
void backup_run_progress(void *run, struct progress_numbers *now);

/* --- one snapshot --- */

/* What became of one disk, for the report. */
enum disk_mode {
	DISK_FULL,	  /* all of it was read, but holes */
	DISK_INCREMENTAL, /* only what was known to have changed */
	DISK_UNCHANGED,	  /* taken over unread */
	DISK_SKIPPED,	  /* not in the snapshot */
};
struct disk_outcome {
	char *target;
	enum disk_mode mode;
	char *why;     /* of this mode, for people; or NULL */
	uint64_t read; /* bytes */
};

struct backup_snapshot {
	struct backup_lane *lane;
	struct backup_run *run; /* the lane's */
	struct snapshot *snap;
	struct snapshot *base; /* the source's last one, published; or NULL */
	struct id *roots;      /* of it, which the session stands on */
	uint32_t root_count;
	struct chunk_sink_stats before;
	uint64_t read_before;
	bool partly;
	struct disk_outcome *disks;
	unsigned disk_count;
	double frozen_seconds; /* < 0: it was not */
};

/* SOURCE is the raw name. */
int backup_snapshot_begin(struct backup_snapshot *snapshot,
		struct backup_lane *lane, const char *source,
		enum snapshot_kind kind);

/* Forgets what has been put into it so far, for another try. */
void backup_snapshot_restart(struct backup_snapshot *snapshot);

/* What is to be stored as a file of the snapshot. */
struct backup_file {
	const char *name; /* raw, wanted */
	enum file_kind kind;
	uint32_t mode;
	int64_t mtime_ns;
	const char *source_path, *format, *target; /* raw, or NULL */
	const char *reading;			   /* or NULL */
	const struct file_identity *identities;
	uint32_t identity_count;
	const char *checkpoint; /* or NULL */
	/* What the source's SAME speaks of: a record of a snapshot whose roots
	 * the session stands on. NULL: that of the last snapshot. */
	const struct snapshot_file *base;
};

/* True, and the file is in the snapshot, if the base has it and all of its
 * identities are valid and unchanged. */
int backup_snapshot_reuse(struct backup_snapshot *snapshot,
		const struct backup_file *file, bool *taken);
/* Reads and stores. */
int backup_snapshot_store(struct backup_snapshot *snapshot,
		const struct backup_file *file,
		const struct image_source *source);
/* A small file from memory. */
int backup_snapshot_store_bytes(struct backup_snapshot *snapshot,
		const struct backup_file *file, const void *bytes, size_t len);
int backup_snapshot_store_text(struct backup_snapshot *snapshot,
		const struct backup_file *file, const char *text);
/* Notes what is not in the snapshot, and why: WHAT, or the disk TARGET. */
int backup_snapshot_lacks(struct backup_snapshot *snapshot, const char *what,
		const char *reason);
int backup_snapshot_skip(struct backup_snapshot *snapshot, const char *target,
		const char *reason);

/*
 * Says how the disk TARGET was backed up, and why so (WHY NULL: nothing to
 * explain; copied). Without it a disk that was stored counts as full, one that
 * was taken over as unchanged, one that was skipped as skipped: which these
 * functions note by themselves, as what was read.
 */
int backup_snapshot_note_disk(struct backup_snapshot *snapshot,
		const char *target, enum disk_mode mode, const char *why);

/* Everything durable, then the snapshot object. */
int backup_snapshot_commit(struct backup_snapshot *snapshot);
/* Frees; sets the lane's row of the report: ERR 0 done (or partly), else failed
 * with the thread's error text. */
void backup_snapshot_end(struct backup_snapshot *snapshot, const char *source,
		int err);

#endif
