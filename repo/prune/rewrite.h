/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Copying what is live out of doomed packs into new ones, in the order of the
 * newest snapshots, so that these stay fast to read.
 *
 * Memory: 36 bytes per chunk to copy (the mark's live ids are free by then; a
 * round copies no more chunks than fit into the memory allowed, but at least a
 * pack's), and per thread a batch, a frame and an
 * encoder.
 */
#ifndef AMBERFS_PRUNE_REWRITE_H
#define AMBERFS_PRUNE_REWRITE_H

#include "mark.h"
#include "repo/pack/chunk_stream.h"

#define REWRITE_CHUNK_COST 36u

struct rewrite {
	struct repository *repo; /* given, as all up to jobs */
	struct mark *mark;
	const char *own_id;
	unsigned jobs;
	/* Found: */
	_Atomic uint64_t failed;      /* chunks that could not be copied */
	uint64_t written_bytes;	      /* of packs */
	_Atomic uint64_t done, total; /* plain bytes; for a progress bar */
	/* Own: */
	struct chunk_sink *sink;
	struct chunk_stream *stream; /* of rewrite_unseen */
};

/* Copies what mark found live in the doomed packs of mark->stored, durably.
 * Packs of which something could not be copied are marked spared; a warning
 * says why. -ENOSPC, -EDQUOT: all that have live chunks are spared, and the
 * text says why. Else 0 or -errno. */
int rewrite_doomed(struct rewrite *rewrite);

/* Marks again what is new since mark_live, and copies out what of it is in no
 * uncondemned pack, durably. To be called after index_reconcile. As
 * mark_unseen, or -errno of reading and writing. */
int rewrite_unseen(struct rewrite *rewrite);

void rewrite_clear(struct rewrite *rewrite);

#endif
