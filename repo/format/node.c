/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Encoding and strict decoding of a tree's nodes; see node.h.
 *
 * Each node has exactly one encoding, and decoding accepts no other, so equal
 * content gives equal bytes and thus equal ids.
 *
 * What this file does not do: it neither computes ids nor fetches children.
 * A child's counts are checked against what its place can hold, and again by
 * who loads the child.
 */
#include "node.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define NODE_HEAD 16
#define CHILD_RECORD 48

static_assert(CHILD_RECORD == 16 + ID_SIZE, "child record");
static_assert(NODE_SIZE_MAX == 12304, "largest node");
static_assert(SPAN_SIZE == 16777216 && BLOCK_SIZE == 4096
				&& CLUSTER_SIZE == 65536,
		"units of an image");
static_assert(IMAGE_SIZE_MAX / SPAN_SIZE <= (uint64_t)1 << 24,
		"the largest image fits a tree of level 3");
static_assert(IMAGE_SIZE_MAX / CLUSTER_SIZE <= UINT32_MAX, "cluster counts");

/* --- shape --- */

uint64_t node_span_count(uint64_t image_size)
{
	return image_size / SPAN_SIZE + (image_size % SPAN_SIZE != 0);
}

uint8_t node_tree_level(uint64_t spans)
{
	uint8_t level = 0;
	for (uint64_t room = 1; room < spans && level < NODE_LEVEL_MAX;
			room *= NODE_FANOUT)
		level++;
	return level;
}

uint64_t node_slot_spans(uint8_t level)
{
	assert(level >= 1 && level <= NODE_LEVEL_MAX);
	return (uint64_t)1 << (8 * (level - 1));
}

/* --- nodes --- */

size_t node_encode(uint8_t *out, const struct node *node)
{
	uint8_t *p = out + NODE_HEAD;
	uint16_t count = 0;
	assert(node->level >= 1 && node->level <= NODE_LEVEL_MAX);
	for (uint32_t slot = 0; slot < NODE_FANOUT; slot++) {
		const struct node_child *child = &node->children[slot];
		if (id_is_zero(&child->id))
			continue;
		memset(p, 0, 4);
		p[0] = (uint8_t)slot;
		put_le32(p + 4, child->clusters);
		put_le64(p + 8, child->data_bytes);
		memcpy(p + 16, child->id.b, ID_SIZE);
		p += CHILD_RECORD;
		count++;
	}
	assert(count >= 1);
	memset(out, 0, NODE_HEAD);
	out[0] = node->level;
	put_le16(out + 2, count);
	put_le64(out + 8, node->spans);
	return (size_t)(p - out);
}

/* True if so many spans can hold what the child claims. Data comes in whole
 * blocks, but for the image's last. */
static bool child_fits(const struct node_child *child, uint64_t spans)
{
	return !id_is_zero(&child->id) && child->clusters >= 1
			&& child->clusters <= spans * SPAN_CLUSTERS
			&& child->data_bytes
			<= (uint64_t)child->clusters * CLUSTER_SIZE
			&& child->data_bytes
			> (uint64_t)(child->clusters - 1) * BLOCK_SIZE;
}

static int decode_child(struct node *node, const uint8_t *p, int *last_slot)
{
	uint64_t per_slot = node_slot_spans(node->level);
	uint64_t before = p[0] * per_slot;
	struct node_child *child = &node->children[p[0]];
	if (p[0] <= *last_slot || !bytes_are_zero(p + 1, 3)
			|| before >= node->spans)
		return -EBADMSG;
	*last_slot = p[0];
	child->clusters = get_le32(p + 4);
	child->data_bytes = get_le64(p + 8);
	memcpy(child->id.b, p + 16, ID_SIZE);
	return child_fits(child, min_u64(per_slot, node->spans - before))
			? 0
			: -EBADMSG;
}

static bool node_head_fits(const uint8_t *p, size_t len, uint8_t level,
		uint64_t spans)
{
	if (len < NODE_HEAD || level < 1 || level > NODE_LEVEL_MAX || spans == 0
			|| spans > node_slot_spans(level) * NODE_FANOUT)
		return false;
	uint16_t count = get_le16(p + 2);
	return p[0] == level && p[1] == 0 && bytes_are_zero(p + 4, 4)
			&& get_le64(p + 8) == spans && count >= 1
			&& count <= NODE_FANOUT
			&& len == NODE_HEAD + CHILD_RECORD * (size_t)count;
}

int node_decode(struct node **out, const void *data, size_t len, uint8_t level,
		uint64_t spans)
{
	static const char damaged[] = "a node of the tree is not valid";
	const uint8_t *p = data;
	int last_slot = -1, err = 0;
	*out = NULL;
	if (!node_head_fits(p, len, level, spans))
		return fail(-EBADMSG, damaged);
	struct node *node = calloc(1, sizeof(*node));
	if (node == NULL)
		return fail_no_memory("reading a node of the tree");
	node->level = level;
	node->spans = spans;
	const uint8_t *end = p + len;
	for (p += NODE_HEAD; err == 0 && p < end; p += CHILD_RECORD)
		err = decode_child(node, p, &last_slot);
	if (err < 0) {
		free(node);
		return fail(err, damaged);
	}
	*out = node;
	return 0;
}
