/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Restoring lost data from another repository. Nothing is stored before its id,
 * under the keys of the repository being repaired, has been compared with the
 * one wanted.
 *
 * From a byte copy (the same id and keys): whole packs, else chunks and nodes
 * by their ids. From one with other keys: the same bytes of the same file of
 * the same snapshot; lost nodes by writing the file's image again, which gives
 * the same tree.
 *
 * Not thread-safe. What the other repository can't give is no error.
 */
#ifndef AMBERFS_REPAIR_REPAIR_SNAPSHOT_H
#define AMBERFS_REPAIR_REPAIR_SNAPSHOT_H

#include "damage.h"
#include "repo/snapshot/snapshot_writer.h"

/* What of one file is lost: a chunk, or a leaf or node with all below. */
struct repair_fault {
	uint64_t offset, len;
	bool node;
	struct id id;
};

struct repair_snapshot {
	struct snapshot_writer *to;
	struct repository *from;
	struct session *reading;     /* in FROM; NULL: it can't be written */
	struct image_reader *reader; /* of FROM */
	struct frame_cache *frames;  /* of FROM */
	struct chunk_stream *stream;
	bool byte_copy;
	struct id_set *stored; /* ids repaired in this run */
	struct id_set *tried;  /* packs, ids filled up with zeros */
	/* The other repository's snapshot for SNAP; or NULL. */
	const struct snapshot *snap;
	struct snapshot *other;
	struct id *roots;
	/* counted */
	uint64_t packs, chunks, bytes, trees, snapshots;
};

/* WRITER and FROM outlive it. On an error repair_snapshot_end is still called. */
int repair_snapshot_begin(struct repair_snapshot *repair,
		struct snapshot_writer *writer, struct repository *from);
void repair_snapshot_end(struct repair_snapshot *repair);

/* True if this run has stored the chunk, though maybe not yet durably. */
bool repair_snapshot_has(const struct repair_snapshot *repair,
		const struct id *id);

/* Of a byte copy: replaces the damaged or missing pack by the copy's bytes, if
 * all of its frames are good there. 1 done, 0 not, -errno. */
int repair_from_copy_pack(struct repair_snapshot *repair,
		const struct pack_id *pack);
/* Of a byte copy: the same for a snapshot's object. */
int repair_from_copy_snapshot(struct repair_snapshot *repair,
		const char *object);

/* Returns how many of the COUNT faults of FILE were repaired, or -errno:
 * nothing more can be stored. *AGAIN: below a repaired node there may be
 * more. */
ssize_t repair_snapshot_file(struct repair_snapshot *repair,
		const struct snapshot *snap, const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count, bool *again);

/* What was stored is durable and can be found. */
int repair_snapshot_barrier(struct repair_snapshot *repair);

#endif
