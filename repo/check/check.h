/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking at all that is stored: what verify and repair share, and count. */
#ifndef AMBERFS_CHECK_CHECK_H
#define AMBERFS_CHECK_CHECK_H

#include "repo/base/report.h"
#include "repo/pack/id_set.h"
#include "repo/repository/repository.h"

struct check_counts {
	_Atomic uint64_t snapshots, files, leaves, chunks;
	_Atomic uint64_t bare_chunks; /* of CHUNKS: have no checksum */
	_Atomic uint64_t packs, frames;
	_Atomic uint64_t done, total; /* bytes, for the progress bar */
};

/* A progress_source; CTX is a struct check_counts. */
void check_packs_progress(void *ctx, struct progress_numbers *now);

/* --- packs --- */

/* Calls FN for each pack that is listed, on JOBS threads. 0, -ECANCELED, or
 * -errno of the listing. */
typedef void check_pack_fn(void *ctx, const char *name);
int check_packs_each(struct store *store, unsigned jobs,
		struct check_counts *counts, check_pack_fn *fn, void *ctx);

/* --- frames --- */

/* What checking frames needs; of one thread at a time. */
struct check_frames_buffers {
	struct frame_decoder *decoder;
	uint8_t *plain, *box;
	size_t plain_room, box_room;
};
int check_frames_init(struct check_frames_buffers *buffers);
void check_frames_clear(struct check_frames_buffers *buffers);

/* Reads, opens and decodes frame NUMBER, and hashes its chunks to the ids that
 * the trailer TRAILER gives them. 0, -EBADMSG, -ENOENT (the pack is gone), -EIO. */
int check_frames_one(struct repository *repo, const struct trailer *trailer,
		uint32_t number, struct check_frames_buffers *buffers);

/* --- trees --- */

/* A part of a file that can't be read. */
struct tree_fault {
	const struct snapshot *snap;
	const struct snapshot_file *file;
	uint64_t offset, len;
	const struct leaf_entry *chunk; /* NULL: a leaf or node, and with it
					   all below */
	int err;			/* the text is the thread's */
};

struct check_trees {
	struct repository *repo;
	struct check_counts *counts;
	/* Non-zero ends the check with it. */
	int (*fault)(void *ctx, const struct tree_fault *f);
	/* Called for each chunk of the leaves visited, WHOLE or not. True: the
	 * file is to be checked again in each snapshot. May be NULL. */
	bool (*chunk)(void *ctx, const struct tree_fault *at, bool whole);
	void *ctx;
	/* The rest belongs to check_trees.c. */
	struct image_reader *reader;
	struct id_set *sound; /* subtrees found sound */
	struct id_set *bad;   /* subtrees of this file that are not */
	uint64_t faults;      /* so far */
	uint64_t before[NODE_LEVEL_MAX + 1]; /* as a subtree was entered */
	const struct snapshot *snap;
	const struct snapshot_file *file;
};

/*
 * Each node can be read, and each chunk is listed, with the length that the
 * tree gives it, by the authenticated trailer of a pack that exists, outside of
 * frames known to be damaged. A subtree found sound is skipped when it is met
 * again; a bad one is checked again in each file. If the same file contains it
 * again, and CHUNK is NULL, its whole range is one fault. FAULT, CHUNK, REPO
 * and COUNTS are set before.
 */
int check_trees_begin(struct check_trees *check);
void check_trees_end(struct check_trees *check);
int check_trees_file(struct check_trees *check, const struct snapshot *snap,
		const struct snapshot_file *file);
int check_trees_snapshot(struct check_trees *check,
		const struct snapshot *snap);

#endif
