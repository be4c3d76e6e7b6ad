/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One run of `amberfs backup`: the session, the sink and the sums, shared by
 * all sources of the run; lanes, each with its own workers, so that several
 * sources can be backed up at once; and how one snapshot is made.
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
	unsigned workers;	     /* its threads; by share_mutex */
	bool over;     /* it takes no source any more; by it too */
	unsigned row;  /* of the report, for the current source */
	uint64_t read; /* bytes, of finished images */
	/* The current image. Set under the run's mutex; counted by the
	 * workers. */
	struct image_counts counts;
	uint64_t image_size;
};

struct backup_run {
	const struct backup_options *options;
	struct repository *repo;
	struct snapshot_writer storing;
	struct backup_lane *lanes;
	unsigned lane_count;
	/* That a lane may come to have while it reads a source: what each source
	 * must be opened for. */
	unsigned workers_max;
	bool of_domains; /* the rows are of domains, else of one set of files */

	/* Held while a lane's workers are given to others. Before those of image
	 * writers and sinks. */
	pthread_mutex_t share_mutex;
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
/* Starts COUNT (1 to BACKUP_LANES_MAX) lanes for ROWS sources. The threads of
 * --jobs are divided among them; each gets at least one. */
int backup_run_add_lanes(struct backup_run *run, unsigned count, unsigned rows);
/* LANE has no source left: its threads end, and lanes that are still at work
 * get as many more, also for the image that they are at. */
void backup_run_leave(struct backup_lane *lane);
/* Adds what is left to the index and ends the session. RUN may be
 * half-built. */
void backup_run_end(struct backup_run *run);

/* Notes ERR if it affects the whole run and not only one source: the repository
 * can't be written, or the user interrupted. True if the run can't go on. */
bool backup_run_broken(struct backup_run *run, int err);

/* For the progress bar: the bytes that all lanes have done. */
void backup_run_progress(void *run, struct progress_numbers *now);

/* --- one snapshot --- */

/* The outcome of one disk, for the report. */
enum disk_mode {
	DISK_FULL,	  /* all of it was read, except holes */
	DISK_INCREMENTAL, /* only what was known to have changed */
	DISK_UNCHANGED,	  /* taken over unread */
	DISK_SKIPPED,	  /* not in the snapshot */
};
struct disk_outcome {
	char *target;
	enum disk_mode mode;
	char *why;     /* the reason for this mode, for people; or NULL */
	uint64_t read; /* bytes */
};

struct backup_snapshot {
	struct backup_lane *lane;
	struct backup_run *run; /* the lane's */
	struct snapshot *snap;
	struct snapshot *base; /* the source's last one, published; or NULL */
	struct id *roots;      /* its roots, published by the session */
	uint32_t root_count;
	int64_t owner_time; /* of the last snapshot whose owner was compared */
	struct chunk_sink_stats before;
	uint64_t read_before;
	uint64_t losses_before; /* snapshot_writer_losses */
	bool partly;
	struct disk_outcome *disks;
	unsigned disk_count;
	double frozen_seconds; /* < 0: it was not */
	char *not_frozen;      /* the guest agent failed: how; or NULL */
};

/* What is to be backed up. SOURCE is the raw name; UUID the domain's, NULL for
 * files. -EEXIST: the source belongs to another (source_owner.h). */
struct backup_subject {
	const char *source;
	enum snapshot_kind kind;
	const char *uuid;
};
int backup_snapshot_begin(struct backup_snapshot *snapshot,
		struct backup_lane *lane, const struct backup_subject *subject);

/* Drops what has been put into it so far, for another try. */
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
	/* What the source's SAME refers to: a record of a snapshot whose roots
	 * the session has published. NULL: that of the last snapshot. */
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
/* Records what is not in the snapshot, and why: WHAT, or the disk TARGET. What is
 * missing makes the snapshot incomplete and the backup partly done. */
int backup_snapshot_lacks(struct backup_snapshot *snapshot, const char *what,
		enum skipped_kind kind, const char *reason);
int backup_snapshot_skip(struct backup_snapshot *snapshot, const char *target,
		enum skipped_kind kind, const char *reason);

/*
 * Sets how the disk TARGET was backed up, and why (copied; NULL: nothing to
 * explain). Without this call the functions above note by themselves that a
 * stored disk is full, one taken over is unchanged and one skipped is skipped,
 * and how much was read.
 */
int backup_snapshot_note_disk(struct backup_snapshot *snapshot,
		const char *target, enum disk_mode mode, const char *why);

/* Some chunk changed in memory since it began, so it can't be committed, whatever
 * else succeeds. */
bool backup_snapshot_lost(const struct backup_snapshot *snapshot);

/* Makes everything durable, then writes the snapshot object. -EEXIST: meanwhile
 * the source came to belong to another; -EIO: as above. */
int backup_snapshot_commit(struct backup_snapshot *snapshot);
/* Frees it and sets the lane's row of the report: done (or partly) if ERR is 0,
 * else failed with the thread's error text. */
void backup_snapshot_end(struct backup_snapshot *snapshot, const char *source,
		int err);

#endif
