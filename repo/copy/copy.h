/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copying snapshots into a repository with other keys. Ids differ there, so
 * bytes are read through the one repository's images and cut, hashed and stored
 * by the other's writer; but only those that the previously copied snapshot
 * (the base) does not have already, as the ids of the first repository show:
 * chunk by chunk, or span by span where these have proofs, which the copy then
 * has as well.
 *
 * A copy has the same source, time, number and metadata, and names its origin;
 * by that a later run recognises it.
 *
 * Threading: all calls belong to one thread; copy_progress to any.
 */
#ifndef AMBERFS_COPY_COPY_H
#define AMBERFS_COPY_COPY_H

#include "copy_memo.h"
#include "repo/base/report.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_writer.h"

struct copy_options {
	unsigned workers;
	uint64_t bwlimit; /* bytes read per second; 0: no limit */
	bool adopt;	  /* also where TO has another history of that name */
	/* Times the bytes that FROM stores that a snapshot may say it holds; 0:
	 * any number. */
	unsigned max_expansion;
};

/* One run. The fields are for the files of this directory. */
struct copy {
	struct repository *from;
	struct session *reading;     /* in FROM; NULL: it can't be written */
	struct image_reader *reader; /* of FROM */
	struct snapshot_writer to;
	bool adopt;
	unsigned max_expansion;
	struct copy_memo *memo;
	/* The source under way, and its snapshots in both. */
	char *source;
	struct snapshot_list there, here;
	/* For the progress bar, bytes. */
	struct image_counts counts; /* of the file under way */
	uint64_t file_size;
	_Atomic uint64_t all_done, all_total;
	uint64_t read; /* finished files */
};

enum copy_status { COPY_DONE, COPY_THERE, COPY_FAILED };

struct copy_result {
	enum copy_status status;
	struct id id;  /* of the copy; zero: failed */
	uint64_t read; /* bytes read from FROM */
	uint64_t new_bytes, stored_bytes;
};

/* Both are attached and outlive the run. The same repository twice is
 * refused. On an error copy_end is still called. */
int copy_begin(struct copy *copy, struct repository *from,
		struct repository *repo, const struct copy_options *options);
void copy_end(struct copy *copy);

/* Copies SNAP of FROM, unless it is there already. Snapshots of one source
 * should come together, the oldest first. 0, or -errno with a text: FAILED. */
int copy_snapshot(struct copy *copy, const struct snapshot *snap,
		struct copy_result *out);

/* A progress_source; CTX is the struct copy. */
void copy_progress(void *ctx, struct progress_numbers *now);

/* --- what the files of this directory share --- */

/* The snapshots of the base in both repositories, both published; NULL both:
 * none. Borrowed from the lists. */
struct copy_base {
	const struct snapshot *from, *to;
	struct id *from_roots, *to_roots;
	uint32_t from_count, to_count;
};
/* Loads the lists of SOURCE unless they are there. */
int copy_base_load_source(struct copy *copy, const char *source);
/* Loads them again. */
int copy_base_reload_source(struct copy *copy, const char *source);
/* The snapshot of TO in SNAP's place, or NULL. */
const struct snapshot *copy_base_counterpart(const struct copy *copy,
		const struct snapshot *snap);
int copy_base_find(struct copy *copy, const struct snapshot *snap,
		struct copy_base *out);
void copy_base_leave(struct copy *copy, struct copy_base *base);
/* The newest snapshot in TO before SNAP's time: its id, or zero. */
struct id copy_base_predecessor(const struct copy *copy,
		const struct snapshot *snap);

/* Whether SNAP, of the source whose lists are loaded, may be put beside what TO
 * has of that name. 0, or -EPERM with a text. */
int copy_owner_check(const struct copy *copy, const struct snapshot *snap);

/* Whether SNAP does not say that it holds more data than is plausible. 0, -EFBIG
 * with a text, -errno. */
int copy_limit_check(const struct copy *copy, const struct snapshot *snap);

/* Stores file FILE in TO. */
int copy_file(struct copy *copy, const struct snapshot_file *file,
		const struct copy_base *base, struct tree_root *root);

#endif
