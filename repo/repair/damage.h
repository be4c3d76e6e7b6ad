/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is damaged, and which parts of which snapshots it affects: one item for
 * each frame, each pack without a readable trailer, each tree node that can't
 * be read, and one for all chunks that are in no pack. Not thread-safe.
 */
#ifndef AMBERFS_REPAIR_DAMAGE_H
#define AMBERFS_REPAIR_DAMAGE_H

#include "repo/check/check.h"

enum damage_kind { DAMAGE_FRAME, DAMAGE_TRAILER, DAMAGE_CHUNKS, DAMAGE_NODE };

/* Bytes of a file. The snapshot outlives the range. */
struct damage_range {
	const struct snapshot *snap;
	const struct snapshot_file *file;
	uint64_t from, to;
	bool readable; /* another copy is stored */
};

struct damage_ranges {
	struct damage_range *items;
	size_t count, room;
};

struct damage {
	enum damage_kind kind;
	struct pack_id pack; /* of a frame or trailer */
	uint32_t frame;
	enum pack_kind holds; /* of a frame */
	char *cause;
	uint32_t chunks;    /* of a frame: how many, */
	uint32_t elsewhere; /* and how many had another copy */
	struct damage_ranges ranges;
};

struct damages {
	struct damage *items;
	size_t count, room;
	/* The ids of chunks in damaged frames, sorted by damages_find. */
	struct damage_mark {
		struct id id;
		size_t item;
	} * marks;
	size_t mark_count, mark_room;
};

void damages_clear(struct damages *damages);

/* Each: 0 or -ENOMEM; the same thing twice is one item. ERR's text is the
 * thread's. */
int damages_add_frame(struct damages *damages, const struct trailer *trailer,
		uint32_t frame, int err);
int damages_add_trailer(struct damages *damages, const struct pack_id *pack,
		int err);

/* Asks for each marked chunk whether a good copy is stored. */
int damages_find(struct damages *damages, struct pack_cache *packs);

/* A chunk of a file, which can be read (WHOLE) or not. 1 if it is in a damaged
 * frame (the range is noted there), 0, -ENOMEM. */
int damages_note_chunk(struct damages *damages, const struct tree_fault *fault,
		bool whole);
/* True if the chunk is in a damaged frame. */
bool damages_marked(const struct damages *damages, const struct id *id);
/* What else of a file can't be read: a node, or a chunk of no damaged frame. */
int damages_note_fault(struct damages *damages, const struct tree_fault *fault);

int damage_ranges_add(struct damage_ranges *ranges,
		const struct tree_fault *fault, bool readable);
/* Sorted, joined where they touch or overlap. */
void damage_ranges_join(struct damage_ranges *ranges);
uint64_t damage_ranges_bytes(const struct damage_ranges *ranges);

const char *damage_kind_name(enum damage_kind k);

#endif
