/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree of an image, and its nodes. A leaf (level 0, leaf.h) maps one span;
 * a node of level n > 0 has up to 256 children of level n - 1. All-hole
 * children and all-hole images have no node: their id is zero. Plain form,
 * hashed with the tree key to the id:
 *
 *	0	1	level 1 … 3
 *	1	1	zero
 *	2	2	child count 1 … 256 (all-hole ones not counted)
 *	4	4	zero
 *	8	8	spans covered
 *	16	48 n	per child, ascending slots: slot u8, zero u8 u8 u8,
 *			clusters u32, data bytes u64, id 32
 */
#ifndef AMBERFS_FORMAT_NODE_H
#define AMBERFS_FORMAT_NODE_H

#include "repo/crypto/seal.h"

#define BLOCK_SIZE 4096u
#define SPAN_SIZE (16u << 20)
#define CLUSTER_SIZE 65536u
#define SPAN_CLUSTERS (SPAN_SIZE / CLUSTER_SIZE)
#define NODE_FANOUT 256u
#define NODE_LEVEL_MAX 3u /* 256^3 spans = 256 TiB */
#define IMAGE_SIZE_MAX ((uint64_t)1 << 47)
#define NODE_SIZE_MAX (16 + 48 * NODE_FANOUT)

struct node_child {
	struct id id; /* zero: all hole */
	uint64_t data_bytes;
	uint32_t clusters;
};

struct node {
	uint8_t level;
	uint64_t spans;
	struct node_child children[NODE_FANOUT]; /* by slot */
};

/* What a tree, or a part of one, sums up to. */
struct tree_root {
	struct id id;  /* zero: all hole or empty */
	uint8_t level; /* of the root node; 0: a single leaf */
	uint64_t data_bytes;
	uint32_t clusters;
};

/* Spans of an image; levels above the leaves that so many spans need. */
uint64_t node_span_count(uint64_t image_size);
uint8_t node_tree_level(uint64_t spans);
/* Spans below one slot of a node of LEVEL 1 … 3: 256^(level-1). */
uint64_t node_slot_spans(uint8_t level);

/* Bytes written, at most NODE_SIZE_MAX. At least one child must hold data: what
 * is all hole has no encoding. */
size_t node_encode(uint8_t *out, const struct node *node);

/* Strict: order, counts, zeros. LEVEL and SPANS are what the place in the tree
 * asks for. 0, -EBADMSG, -ENOMEM, with a text. To be freed with free(). */
int node_decode(struct node **out, const void *data, size_t len, uint8_t level,
		uint64_t spans);

#endif
