/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which packs to remove. A pure function of what the mark found. Doomed are
 *
 *	1 condemned packs: they go in any case, once what is live there is copied
 *	2 packs without a live chunk
 *	3 packs with damaged frames whose live chunks are all whole, there or
 *	  elsewhere
 *	4 those with the largest unused share, until no more is unused than allowed
 *	5 tiny packs of a kind, if there are so many that merging them is worth it
 *
 * as far as memory, space and the amount that may be rewritten allow. Left
 * alone are packs of living writers, young and unreadable ones, and those with
 * a live chunk that nobody has whole.
 */
#ifndef AMBERFS_PRUNE_PLAN_H
#define AMBERFS_PRUNE_PLAN_H

#include "stored.h"

/* A pack below a quarter of the pack size is tiny; this many are worth merging,
 * or fewer that together make a whole pack. */
#define PLAN_TINY_COUNT 16u

struct plan_limits {
	uint64_t pack_size;   /* of config */
	bool unused_is_share; /* else bytes */
	uint64_t unused_bytes;
	double unused_share;	 /* 0 … 1, of what will be left */
	uint64_t rewrite_bytes;	 /* at most, asked for */
	uint64_t space_bytes;	 /* at most, because of the disk */
	uint64_t rewrite_chunks; /* at most, because of memory */
};

struct plan {
	uint64_t doomed_packs, doomed_bytes;
	uint64_t condemned_packs; /* of the doomed: they were already */
	uint64_t rewrite_bytes, rewrite_chunks;
	uint64_t unused_bytes; /* that will be left, everywhere */
	bool cut_short;	       /* by space or memory: worth another
					   round after this one */
};

/* Sets doomed in the packs of STORED. */
int plan_make(struct stored *stored, const struct plan_limits *limits,
		struct plan *out);

#endif
