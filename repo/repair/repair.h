/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finding what is damaged or missing and what it affects; restoring what
 * another repository has; cleaning up the records of damage.
 *
 * Nothing is ever made up: what can't be restored stays an error for its
 * readers until the source's next backup stores it again.
 */
#ifndef AMBERFS_REPAIR_REPAIR_H
#define AMBERFS_REPAIR_REPAIR_H

#include "damage.h"
#include "repo/snapshot/snapshot_list.h"

struct repair_options {
	unsigned jobs;
	bool read_data; /* read every frame first */
	bool dry_run;	/* only list */
};

/* A snapshot whose object can't be read. */
struct repair_unreadable {
	char *object, *cause;
	bool mended;
};

struct repair_result {
	struct damages damages;	   /* everything found */
	struct damage_ranges lost; /* that can't be read at the end */
	struct repair_unreadable *unreadable;
	size_t unreadable_count;
	struct check_counts counts;
	/* restored */
	uint64_t packs, chunks, bytes, trees;
	uint64_t records_removed;	/* of damage that is gone */
	uint64_t frames_left;		/* damaged ones that nothing needs */
	uint64_t packs_removed;		/* unneeded, unreadable trailers */
	bool whole;			/* every snapshot can be read */
	struct snapshot_list snapshots; /* that the ranges are of */
};

/* REPO and FROM (NULL: none) are attached. 0 if it ran to its end, whatever it
 * found. RES is filled in and to be cleared in any case. */
int repair_run(struct repository *repo, struct repository *from,
		const struct repair_options *options,
		struct repair_result *res);
void repair_result_clear(struct repair_result *res);

#endif
