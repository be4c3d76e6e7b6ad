/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a tree's leaf or node. Input: level u8 (0: a leaf), the spans (or
 * a leaf's length) that its place demands u64, the plain form. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "repo/format/leaf.h"

static void check_leaf(const struct leaf *leaf, uint32_t span_len)
{
	uint64_t offset = 0, data = 0;
	bool clusters[SPAN_SIZE / CLUSTER_SIZE] = { false };
	uint32_t filled = 0;
	must(leaf->span_len == span_len);
	must(leaf->count >= 1 && leaf->count <= LEAF_ENTRIES_MAX);
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *entry = &leaf->entries[i];
		must(entry->offset == offset && entry->len >= 1);
		must(entry->hole == id_is_zero(&entry->id));
		must(!entry->hole || i == 0 || !leaf->entries[i - 1].hole);
		offset += entry->len;
		must(offset <= span_len);
		if (entry->hole)
			continue;
		must(entry->len <= 1u << 20);
		data += entry->len;
		for (uint64_t c = entry->offset / CLUSTER_SIZE;
				c * CLUSTER_SIZE < offset; c++)
			clusters[c] = true;
	}
	must(offset == span_len && data == leaf->data_bytes && data > 0);
	for (size_t i = 0; i < SPAN_SIZE / CLUSTER_SIZE; i++)
		filled += clusters[i];
	must(filled == leaf->clusters);
}

static void try_leaf(struct input *in, uint32_t span_len)
{
	static uint8_t again[LEAF_SIZE_MAX];
	struct leaf *leaf;
	if (!fuzz_accepted(leaf_decode(&leaf, in->at, in->left, span_len)))
		return;
	check_leaf(leaf, span_len);
	must(leaf_encode(again, leaf) == in->left);
	must(memcmp(again, in->at, in->left) == 0);
	free(leaf);
}

static void check_node(const struct node *node, uint8_t level, uint64_t spans)
{
	uint64_t per_slot = node_slot_spans(level);
	must(node->level == level && node->spans == spans);
	for (uint64_t slot = 0; slot < NODE_FANOUT; slot++) {
		const struct node_child *child = &node->children[slot];
		uint64_t left = slot * per_slot < spans
				? spans - slot * per_slot
				: 0;
		uint64_t below = left < per_slot ? left : per_slot;
		if (id_is_zero(&child->id)) {
			must(child->clusters == 0 && child->data_bytes == 0);
			continue;
		}
		must(child->clusters >= 1 && child->clusters <= below * 256);
		must(child->data_bytes >= 1);
		must(child->data_bytes <= below * SPAN_SIZE);
	}
}

static void try_node(struct input *in, uint8_t level, uint64_t spans)
{
	static uint8_t again[NODE_SIZE_MAX];
	struct node *node;
	if (!fuzz_accepted(node_decode(&node, in->at, in->left, level, spans)))
		return;
	check_node(node, level, spans);
	must(node_encode(again, node) == in->left);
	must(memcmp(again, in->at, in->left) == 0);
	free(node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t level = input_u8(&in);
	uint64_t spans = input_u64(&in);
	if (level == 0)
		try_leaf(&in, (uint32_t)spans);
	else
		try_node(&in, level, spans);
	return 0;
}
