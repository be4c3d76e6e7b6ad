/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Freeing what nothing needs any more, while backups, mounts and readers run:
 * FORMAT.md, section 12, has the rules; the files of this directory the parts.
 * Memory: see mark.h and rewrite.h.
 */
#ifndef AMBERFS_PRUNE_PRUNE_H
#define AMBERFS_PRUNE_PRUNE_H

#include "peers.h"

struct prune_options {
	bool dry_run;	      /* writes nothing but its session */
	bool all;	      /* also where there is no snapshot at all */
	bool unused_is_share; /* which of the next two */
	double unused_share;  /* 0 … 1 of what is left */
	uint64_t unused_bytes;
	uint64_t max_rewrite; /* bytes; UINT64_MAX: any */
	double wait;	      /* seconds for each others' answers */
	uint64_t memory;      /* bytes for live ids */
	unsigned jobs;	      /* threads that copy */
};

/* A session that keeps condemned packs from being deleted. */
struct prune_waiting {
	struct peer peer;
	bool answered; /* then it holds PACKS, else all wait for it */
	uint64_t packs, bytes;
};

struct prune_count {
	uint64_t packs, bytes;
};

/* Bytes are those of whole packs, but for live and unused parts of them. */
struct prune_result {
	uint64_t snapshots, live_chunks;
	uint64_t missing_chunks; /* needed, but in no pack that is whole */
	uint64_t unreadable_packs;
	uint64_t failed_chunks; /* could not be copied */
	struct prune_count before, after, deleted;
	struct prune_count condemned;		    /* that are left */
	uint64_t rewritten_chunks, rewritten_bytes; /* live ones of doomed */
	uint64_t written_bytes;			    /* of packs made for that */
	uint64_t unused_bytes; /* that are left in packs that stay */
	unsigned rounds, slices;
	uint64_t memory_bytes; /* the most that ids took at once */
	struct prune_waiting *waiting;
	size_t waiting_count;
};

/* One prune. 0 if it ran to its end, also if something waits for others; else
 * -errno with a text, and the repository is in a state from which the next run
 * goes on. A dry run fills OUT as a real one would if nobody else were at work;
 * written_bytes stays 0. OUT is to be cleared in either case. */
int prune_run(struct repository *repo, const struct prune_options *options,
		struct prune_result *out);
void prune_result_clear(struct prune_result *res);

#endif
