/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Storing images in a repository: the session, the sink and the workers that
 * backup, copy and repair share, and the durable steps at the end of a snapshot.
 * Threading: beginning, adding writers and ending belong to one thread. In
 * between each writer belongs to the thread that uses it, and these may
 * call the rest; a barrier and the commit after it by one thread at a time.
 */
#ifndef AMBERFS_SNAPSHOT_SNAPSHOT_WRITER_H
#define AMBERFS_SNAPSHOT_SNAPSHOT_WRITER_H

#include "repo/base/throttle.h"
#include "repo/image/image_writer.h"
#include "repo/session/session.h"

struct snapshot_writer_options {
	const char *activity; /* of the session; may be NULL */
	unsigned workers;     /* of the first writer; 0: it is not made */
	int level;	      /* zstd's; 0: the repository's */
	uint64_t bwlimit;     /* bytes read per second; 0: no limit */
	/* What changed in memory before it was stored fails only the snapshots
	 * that are being made (snapshot_writer_losses). */
	bool outlive_losses;
};

struct snapshot_writer {
	struct repository *repo;
	struct session *session;
	struct chunk_sink *sink;
	struct image_reader *reader; /* of the repository written to */
	struct image_writer *writer; /* the first */
	struct image_writer **more;  /* those of snapshot_writer_add_writer */
	unsigned more_count;
	struct throttle *throttle;
	bool given_up; /* open frames are not worth storing */
};

/* Registers a session of kind backup, then starts the workers. On an error
 * snapshot_writer_end is still called. REPO is attached and outlives WRITER. */
int snapshot_writer_begin(struct snapshot_writer *writer,
		struct repository *repo,
		const struct snapshot_writer_options *options);
/* Gives the index what is left and ends the session. Half-built: allowed. */
void snapshot_writer_end(struct snapshot_writer *writer);

/* Another writer with WORKERS threads, so that another thread can store images
 * at the same time; ends with WRITER. */
int snapshot_writer_add_writer(struct snapshot_writer *writer, unsigned workers,
		struct image_writer **out);

/* Everything put by any thread is durable, and the session is still there. 0;
 * -ECANCELED when interrupted; -ESTALE; -errno. */
int snapshot_writer_barrier(struct snapshot_writer *writer);

/* Changes whenever chunks were dropped that had changed in memory. A snapshot
 * may be committed only if that is the number, after the barrier, that it was when
 * it began. */
uint64_t snapshot_writer_losses(const struct snapshot_writer *writer);

/* snapshot_commit or snapshot_commit_at. */
typedef int snapshot_writer_commit_fn(struct repository *r,
		struct snapshot *snap);

/* After the barrier: the snapshot (the one commit point), and the session once
 * more, else the snapshot is withdrawn. Errors as COMMIT's, and -ESTALE. */
int snapshot_writer_commit(struct snapshot_writer *writer,
		struct snapshot *snap, snapshot_writer_commit_fn *commit);

/* Removes the snapshot that was just committed, because of ERR (with its text),
 * which it returns. */
int snapshot_writer_withdraw(struct snapshot_writer *writer,
		const struct snapshot *snap, int err);

/* True if nothing is known to be damaged, or every chunk of the image is
 * stored undamaged: then it may be taken over unread. */
bool snapshot_writer_is_whole(struct snapshot_writer *writer,
		const struct tree_root *root, uint64_t size);

/* True if ERR is not a failure of a single snapshot: nothing more can be
 * stored, or it was interrupted. */
bool snapshot_writer_broken(struct snapshot_writer *writer, int err);

#endif
