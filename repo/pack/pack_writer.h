/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Packs under way: one open pack of each kind takes the frames of all threads,
 * and a thread of the writer's own finishes the full ones while the others go
 * on.
 *
 *	open → closed (takes no more frames) → complete (all are written)
 *	     → finished (durable)
 *
 * Errors are sticky: after a failed write every later call fails with the same
 * error and text.
 *
 * Threading: all calls except pack_writer_free may run at once.
 */
#ifndef AMBERFS_PACK_PACK_WRITER_H
#define AMBERFS_PACK_PACK_WRITER_H

#include "index_feed.h"
#include "open_pack.h"
#include "pack_cache.h"

struct pack_writer;

/* Finished packs go into PACKS and FEED; both outlive the writer. TARGET is
 * copied. 0 or -ENOMEM. */
int pack_writer_new(struct pack_writer **out, const struct pack_target *target,
		struct pack_cache *packs, struct index_feed *feed);
/* Discards what is not finished. NULL allowed. */
void pack_writer_free(struct pack_writer *writer);

/* Encrypts FRAME, in its own box, and writes it into the open pack of KIND.
 * Waits while too many packs are unfinished. 0 or -errno. */
int pack_writer_put(struct pack_writer *writer, enum pack_kind kind,
		const struct packed_frame *frame);

/* Finishes all packs, data before tree: all frames put before are durable then.
 * 0 or -errno. */
int pack_writer_finish(struct pack_writer *writer);

/* 0, or the first error, with its text. */
int pack_writer_error(struct pack_writer *writer);

/* Makes ERR (and the thread's text) the writer's error unless it has one;
 * returns ERR. */
int pack_writer_fail(struct pack_writer *writer, int err);

/* Bytes of all finished packs. */
uint64_t pack_writer_stored_bytes(struct pack_writer *writer);

#endif
