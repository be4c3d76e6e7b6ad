/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which 64 KiB clusters of an image are not empty, and the rank of each among
 * them: answered from the counts in the tree, by one descent to one leaf.
 *
 * Every node on the way is checked against what its parent says about it. So
 * the answers for two clusters never contradict each other, whatever a tree
 * claims: a count that is not the sum of what is below is -EBADMSG. Errors
 * otherwise: as image_pread. Threading: as all calls on an image.
 */
#ifndef AMBERFS_IMAGE_IMAGE_CLUSTERS_H
#define AMBERFS_IMAGE_IMAGE_CLUSTERS_H

#include "image.h"

/* The non-empty clusters of one span. */
struct span_clusters {
	uint64_t span;
	uint64_t before; /* non-empty ones in front of the span */
	uint32_t count;
	uint64_t map[SPAN_CLUSTERS / 64]; /* bit n: cluster n of the span */
};

/* Of the whole image, as its root says. */
uint64_t image_clusters_count(const struct image *image);

/* Those of span SPAN (below the number of spans). */
int image_clusters_at(struct image *image, uint64_t span,
		struct span_clusters *out);
/* Those of the span that has the image's non-empty cluster number NTH (from 0,
 * below the count). */
int image_clusters_with(struct image *image, uint64_t nth,
		struct span_clusters *out);

/* The image's non-empty cluster number NTH, which must be in CLUSTERS, and how
 * many consecutive ones start there within the span, at least 1. */
uint64_t image_clusters_run(const struct span_clusters *clusters, uint64_t nth,
		uint32_t *run);

#endif
