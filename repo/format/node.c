/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Encoding and strict decoding of leaves and nodes; see node.h.
 *
 * Each leaf and each node has exactly one encoding, and decoding accepts no
 * other, so equal content gives equal bytes and thus equal ids.
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

#define LEAF_HEAD 32
#define NODE_HEAD 16
#define CHILD_RECORD 48
#define HOLE_BIT 0x80000000u
#define ENTRY_DATA_MAX (1u << 20)

static_assert(LEAF_HEAD == 16 + PROOF_SIZE, "leaf head");
static_assert(CHILD_RECORD == 16 + ID_SIZE, "child record");
static_assert(LEAF_ENTRIES_MAX == SPAN_SIZE / BLOCK_SIZE, "leaf entries");
static_assert(LEAF_SIZE_MAX == 147488, "largest leaf");
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

/* --- leaves --- */

void leaf_sum(struct leaf *leaf)
{
	uint32_t beyond = 0; /* the first cluster not counted yet */
	leaf->data_bytes = 0;
	leaf->clusters = 0;
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *entry = &leaf->entries[i];
		if (entry->hole)
			continue;
		uint32_t first = entry->offset / CLUSTER_SIZE;
		uint32_t end = (entry->offset + entry->len - 1) / CLUSTER_SIZE
				+ 1;
		if (first < beyond)
			first = beyond;
		leaf->data_bytes += entry->len;
		leaf->clusters += end - first;
		beyond = end;
	}
}

size_t leaf_encode(uint8_t *out, const struct leaf *leaf)
{
	assert(leaf->count >= 1 && leaf->count <= LEAF_ENTRIES_MAX);
	memset(out, 0, LEAF_HEAD);
	put_le32(out + 4, leaf->span_len);
	put_le32(out + 8, leaf->count);
	put_le32(out + 12, leaf->data_bytes);
	if (leaf->has_proof)
		memcpy(out + 16, leaf->proof, PROOF_SIZE);
	uint8_t *p = out + LEAF_HEAD;
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *entry = &leaf->entries[i];
		put_le32(p, entry->hole ? entry->len | HOLE_BIT : entry->len);
		p += 4;
		if (entry->hole)
			continue;
		memcpy(p, entry->id.b, ID_SIZE);
		p += ID_SIZE;
	}
	return (size_t)(p - out);
}

/* The entry at P, of at most LEFT bytes. Returns its encoded size or 0. */
static size_t decode_entry(struct leaf_entry *entry, const uint8_t *p,
		size_t left)
{
	if (left < 4)
		return 0;
	uint32_t word = get_le32(p);
	entry->hole = (word & HOLE_BIT) != 0;
	entry->len = word & ~HOLE_BIT;
	if (entry->hole)
		return 4;
	if (left < 4 + ID_SIZE)
		return 0;
	memcpy(entry->id.b, p + 4, ID_SIZE);
	return 4 + ID_SIZE;
}

/* True if entry I may stand where it stands. */
static bool entry_fits(const struct leaf *leaf, uint32_t i, uint32_t offset)
{
	const struct leaf_entry *entry = &leaf->entries[i];
	bool ends_span = i == leaf->count - 1;
	if (entry->len == 0 || entry->len > leaf->span_len - offset)
		return false;
	if (entry->len % BLOCK_SIZE != 0 && !ends_span)
		return false;
	if (entry->hole)
		return i == 0 || !leaf->entries[i - 1].hole;
	return entry->len <= ENTRY_DATA_MAX && !id_is_zero(&entry->id);
}

static int decode_entries(struct leaf *leaf, const uint8_t *p, size_t left)
{
	uint32_t offset = 0;
	for (uint32_t i = 0; i < leaf->count; i++) {
		struct leaf_entry *entry = &leaf->entries[i];
		size_t used = decode_entry(entry, p, left);
		if (used == 0 || !entry_fits(leaf, i, offset))
			return -EBADMSG;
		entry->offset = offset;
		offset += entry->len;
		p += used;
		left -= used;
	}
	return left == 0 && offset == leaf->span_len ? 0 : -EBADMSG;
}

int leaf_decode(struct leaf **out, const void *data, size_t len,
		uint32_t span_len)
{
	static const char damaged[] = "a leaf of the tree is not valid";
	const uint8_t *p = data;
	*out = NULL;
	if (len < LEAF_HEAD + 4 || len > LEAF_SIZE_MAX || !bytes_are_zero(p, 4))
		return fail(-EBADMSG, damaged);
	uint32_t count = get_le32(p + 8);
	if (span_len == 0 || span_len > SPAN_SIZE || get_le32(p + 4) != span_len
			|| count == 0 || count > LEAF_ENTRIES_MAX
			|| len < LEAF_HEAD + 4 * (size_t)count)
		return fail(-EBADMSG, damaged);
	struct leaf *leaf = calloc(1,
			sizeof(*leaf) + count * sizeof(leaf->entries[0]));
	if (leaf == NULL)
		return fail_no_memory("reading a leaf of the tree");
	leaf->span_len = span_len;
	leaf->count = count;
	memcpy(leaf->proof, p + 16, PROOF_SIZE);
	leaf->has_proof = !bytes_are_zero(leaf->proof, PROOF_SIZE);
	int err = decode_entries(leaf, p + LEAF_HEAD, len - LEAF_HEAD);
	if (err == 0) {
		leaf_sum(leaf);
		/* A leaf without data would be a second form of "no leaf". */
		if (leaf->data_bytes == 0
				|| leaf->data_bytes != get_le32(p + 12))
			err = -EBADMSG;
	}
	if (err < 0) {
		free(leaf);
		return fail(err, damaged);
	}
	*out = leaf;
	return 0;
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
