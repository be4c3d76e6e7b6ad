/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: leaves and nodes have one encoding each; whatever bytes
 * are given to the decoders, they refuse them or yield sums that are right. */
#include "repo/base/bytes.h"
#include "repo/format/leaf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY_MAX (1u << 20)

/* The same numbers in each run, so that a failure can be seen again. */
static uint32_t number(void)
{
	static uint64_t state = 1;
	state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(state >> 33);
}

static void random_id(struct id *id)
{
	for (int i = 0; i < ID_SIZE; i++)
		id->b[i] = (uint8_t)(1 + number() % 255);
}

static uint32_t random_len(uint32_t left)
{
	uint32_t blocks = number() % 4 ? 16 : 256;
	uint32_t len = BLOCK_SIZE * (1 + number() % blocks);
	return len < left ? len : left;
}

static struct leaf *random_leaf(uint32_t span_len)
{
	struct leaf *leaf = calloc(1,
			sizeof(*leaf)
					+ LEAF_ENTRIES_MAX
							* sizeof(leaf->entries[0]));
	uint32_t offset = 0;
	leaf->span_len = span_len;
	while (offset < span_len) {
		struct leaf_entry *entry = &leaf->entries[leaf->count];
		entry->hole = leaf->count > 0 && !entry[-1].hole
				&& number() % 4 == 0;
		entry->offset = offset;
		entry->len = random_len(span_len - offset);
		if (!entry->hole)
			random_id(&entry->id);
		offset += entry->len;
		leaf->count++;
	}
	leaf->has_proof = number() % 2;
	if (leaf->has_proof)
		memset(leaf->proof, 0x5a, PROOF_SIZE);
	leaf_sum(leaf);
	return leaf;
}

/* The sums once more, in the plainest way. */
static void assert_leaf_holds(const struct leaf *leaf)
{
	uint32_t offset = 0, data = 0, clusters = 0;
	bool used[SPAN_SIZE / CLUSTER_SIZE] = { false };
	for (uint32_t i = 0; i < leaf->count; i++) {
		const struct leaf_entry *entry = &leaf->entries[i];
		assert_int_equal(entry->offset, offset);
		assert_true(entry->len > 0);
		assert_true(i == 0 || !entry->hole || !entry[-1].hole);
		assert_int_equal(entry->hole, id_is_zero(&entry->id));
		offset += entry->len;
		if (entry->hole)
			continue;
		assert_true(entry->len <= ENTRY_MAX);
		data += entry->len;
		for (uint32_t at = entry->offset; at < offset; at++)
			used[at / CLUSTER_SIZE] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(used); i++)
		clusters += used[i];
	assert_int_equal(offset, leaf->span_len);
	assert_int_equal(data, leaf->data_bytes);
	assert_int_equal(clusters, leaf->clusters);
	assert_true(data > 0);
}

static void test_leaf_round_trip(void **state)
{
	static uint8_t bytes[LEAF_SIZE_MAX], again[LEAF_SIZE_MAX];
	static const uint32_t lens[] = { 1, 4095, 4096, 4097, 65536, 1000000,
		SPAN_SIZE - 1, SPAN_SIZE };
	(void)state;
	for (int round = 0; round < 64; round++) {
		uint32_t span_len = lens[round % 8];
		struct leaf *leaf = random_leaf(span_len), *back;
		size_t len = leaf_encode(bytes, leaf);
		assert_true(len <= LEAF_SIZE_MAX);
		assert_int_equal(leaf_decode(&back, bytes, len, span_len), 0);
		assert_leaf_holds(back);
		assert_int_equal(back->count, leaf->count);
		assert_int_equal(back->has_proof, leaf->has_proof);
		assert_memory_equal(back->proof, leaf->proof, PROOF_SIZE);
		assert_int_equal(back->clusters, leaf->clusters);
		assert_int_equal(leaf_encode(again, back), len);
		assert_memory_equal(again, bytes, len);
		assert_int_equal(leaf_decode(&(struct leaf *){ NULL }, bytes,
						 len,
						 span_len == 1 ? 2
							       : span_len - 1),
				-EBADMSG);
		free(leaf);
		free(back);
	}
}

static void test_largest_leaf(void **state)
{
	static uint8_t bytes[LEAF_SIZE_MAX];
	struct leaf *leaf = calloc(1,
				    sizeof(*leaf)
						    + LEAF_ENTRIES_MAX
								    * sizeof(leaf->entries[0])),
		    *back;
	(void)state;
	leaf->span_len = SPAN_SIZE;
	leaf->count = LEAF_ENTRIES_MAX;
	for (uint32_t i = 0; i < leaf->count; i++) {
		leaf->entries[i].offset = i * BLOCK_SIZE;
		leaf->entries[i].len = BLOCK_SIZE;
		random_id(&leaf->entries[i].id);
	}
	leaf_sum(leaf);
	assert_int_equal(leaf_encode(bytes, leaf), LEAF_SIZE_MAX);
	assert_int_equal(leaf_decode(&back, bytes, LEAF_SIZE_MAX, SPAN_SIZE),
			0);
	assert_leaf_holds(back);
	free(leaf);
	free(back);
}

static void try_leaf(const uint8_t *bytes, size_t len, uint32_t span_len)
{
	static uint8_t again[LEAF_SIZE_MAX];
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct leaf *leaf;
	memcpy(copy, bytes, len);
	int err = leaf_decode(&leaf, copy, len, span_len);
	assert_true(err == 0 || err == -EBADMSG);
	if (err == 0) {
		assert_leaf_holds(leaf);
		assert_int_equal(leaf_encode(again, leaf), len);
		assert_memory_equal(again, copy, len);
	} else {
		assert_null(leaf);
	}
	free(leaf);
	free(copy);
}

static void test_leaf_damage(void **state)
{
	static uint8_t bytes[LEAF_SIZE_MAX];
	(void)state;
	for (int round = 0; round < 6; round++) {
		uint32_t span_len = 300000 + number() % 300000;
		struct leaf *leaf = random_leaf(span_len);
		size_t len = leaf_encode(bytes, leaf);
		for (size_t i = 0; i < len; i++) {
			uint8_t old = bytes[i];
			for (int bit = 0; bit < 8; bit++) {
				bytes[i] = (uint8_t)(old ^ (1u << bit));
				try_leaf(bytes, len, span_len);
			}
			bytes[i] = 0;
			try_leaf(bytes, len, span_len);
			bytes[i] = 0xff;
			try_leaf(bytes, len, span_len);
			bytes[i] = old;
			try_leaf(bytes, i, span_len);
		}
		try_leaf(bytes, len + 4, span_len);
		try_leaf(bytes, len, 0);
		try_leaf(bytes, len, SPAN_SIZE + 1);
		free(leaf);
	}
}

/* Writes a leaf by hand from lengths; a negative one is a hole. */
static int decode_lengths(uint32_t span_len, uint32_t data_bytes,
		const int *lens, uint32_t count)
{
	uint8_t bytes[32 + 8 * 36] = { 0 }, *p = bytes + 32;
	struct leaf *leaf;
	put_le32(bytes + 4, span_len);
	put_le32(bytes + 8, count);
	put_le32(bytes + 12, data_bytes);
	for (uint32_t i = 0; i < count; i++) {
		put_le32(p,
				lens[i] < 0 ? (uint32_t)-lens[i] | 1u << 31
					    : (uint32_t)lens[i]);
		p += 4;
		if (lens[i] >= 0) {
			memset(p, 0x11, ID_SIZE);
			p += ID_SIZE;
		}
	}
	int err = leaf_decode(&leaf, bytes, (size_t)(p - bytes), span_len);
	free(leaf);
	return err;
}

static void test_leaf_rules(void **state)
{
	(void)state;
#define DECODE(span, data, ...)                                                \
	decode_lengths(span, data, (const int[]){ __VA_ARGS__ },               \
			sizeof((const int[]){ __VA_ARGS__ }) / sizeof(int))
	assert_int_equal(DECODE(8192, 4096, 4096, -4096), 0);
	assert_int_equal(DECODE(8193, 4097, -4096, 4097), 0);
	assert_int_equal(DECODE(ENTRY_MAX, ENTRY_MAX, ENTRY_MAX), 0);
	assert_int_equal(DECODE(8192, 4095, 4096, -4096), -EBADMSG);
	assert_int_equal(DECODE(8192, 0, -8192), -EBADMSG);
	assert_int_equal(DECODE(12288, 4096, 4096, -4096, -4096), -EBADMSG);
	assert_int_equal(DECODE(8192, 8192, 8192, 0), -EBADMSG);
	assert_int_equal(DECODE(8192, 8192, 4095, 4097), -EBADMSG);
	assert_int_equal(DECODE(8192, 4096, 4096), -EBADMSG);
	assert_int_equal(DECODE(8192, 12288, 12288), -EBADMSG);
	assert_int_equal(DECODE(2 * ENTRY_MAX, ENTRY_MAX + 4096,
					 ENTRY_MAX + 4096, -(ENTRY_MAX - 4096)),
			-EBADMSG);
#undef DECODE
}

static void test_clusters_are_counted_once(void **state)
{
	struct leaf *leaf =
			calloc(1, sizeof(*leaf) + 3 * sizeof(leaf->entries[0]));
	(void)state;
	leaf->count = 3;
	leaf->entries[0] = (struct leaf_entry){ .offset = 0, .len = 4096 };
	leaf->entries[1] = (struct leaf_entry){ .offset = 4096,
		.len = 57344,
		.hole = true };
	leaf->entries[2] = (struct leaf_entry){ .offset = 61440, .len = 8192 };
	leaf_sum(leaf);
	assert_int_equal(leaf->clusters, 2);
	assert_int_equal(leaf->data_bytes, 12288);
	free(leaf);
}

/* --- nodes --- */

static struct node *random_node(uint8_t level, uint64_t spans)
{
	struct node *node = calloc(1, sizeof(*node));
	uint64_t per_slot = node_slot_spans(level);
	bool any = false;
	node->level = level;
	node->spans = spans;
	for (uint32_t slot = 0; slot < NODE_FANOUT; slot++) {
		struct node_child *child = &node->children[slot];
		if (slot * per_slot >= spans || (any && number() % 3 == 0))
			continue;
		any = true;
		random_id(&child->id);
		child->clusters = 1 + number() % 200;
		child->data_bytes = child->clusters * (uint64_t)BLOCK_SIZE
				+ number() % 1000;
	}
	return node;
}

static void test_node_round_trip(void **state)
{
	static uint8_t bytes[NODE_SIZE_MAX], again[NODE_SIZE_MAX];
	(void)state;
	for (int round = 0; round < 300; round++) {
		uint8_t level = (uint8_t)(1 + round % 3);
		uint64_t room = node_slot_spans(level) * NODE_FANOUT;
		uint64_t spans = 1 + number() % room;
		struct node *node = random_node(level, spans), *back;
		size_t len = node_encode(bytes, node);
		assert_int_equal(node_decode(&back, bytes, len, level, spans),
				0);
		for (uint32_t i = 0; i < NODE_FANOUT; i++) {
			assert_true(id_equal(&back->children[i].id,
					&node->children[i].id));
			assert_int_equal(back->children[i].clusters,
					node->children[i].clusters);
			assert_int_equal(back->children[i].data_bytes,
					node->children[i].data_bytes);
		}
		assert_int_equal(node_encode(again, back), len);
		assert_memory_equal(again, bytes, len);
		free(back);
		assert_int_equal(node_decode(&back, bytes, len, level,
						 spans + 1),
				-EBADMSG);
		assert_int_equal(node_decode(&back, bytes, len, level % 3 + 1,
						 spans),
				-EBADMSG);
		free(node);
	}
}

static void try_node(const uint8_t *bytes, size_t len, uint8_t level,
		uint64_t spans)
{
	static uint8_t again[NODE_SIZE_MAX];
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct node *node;
	memcpy(copy, bytes, len);
	int err = node_decode(&node, copy, len, level, spans);
	assert_true(err == 0 || err == -EBADMSG);
	if (err == 0) {
		assert_int_equal(node_encode(again, node), len);
		assert_memory_equal(again, copy, len);
	} else {
		assert_null(node);
	}
	free(node);
	free(copy);
}

static void test_node_damage(void **state)
{
	static uint8_t bytes[NODE_SIZE_MAX];
	static const uint64_t spans[] = { 7, 300, 70000 };
	(void)state;
	for (uint8_t level = 1; level <= 3; level++) {
		struct node *node = random_node(level, spans[level - 1]);
		size_t len = node_encode(bytes, node);
		for (size_t i = 0; i < len; i++) {
			uint8_t old = bytes[i];
			for (int v = 0; v < 256; v += v < 8 ? 1 : 31) {
				bytes[i] = (uint8_t)v;
				try_node(bytes, len, level, node->spans);
			}
			bytes[i] = old;
			try_node(bytes, i, level, node->spans);
		}
		try_node(bytes, len, 0, node->spans);
		try_node(bytes, len, 4, node->spans);
		try_node(bytes, len, 255, node->spans);
		try_node(bytes, len, level, 0);
		free(node);
	}
}

static int decode_one_child(uint8_t slot, uint32_t clusters, uint64_t data,
		uint64_t spans)
{
	uint8_t bytes[16 + 48] = { 1, 0, 1, 0 };
	struct node *node;
	put_le64(bytes + 8, spans);
	bytes[16] = slot;
	put_le32(bytes + 20, clusters);
	put_le64(bytes + 24, data);
	memset(bytes + 32, 0x22, ID_SIZE);
	int err = node_decode(&node, bytes, sizeof(bytes), 1, spans);
	free(node);
	return err;
}

static void test_node_rules(void **state)
{
	(void)state;
	assert_int_equal(decode_one_child(0, 1, 1, 1), 0);
	assert_int_equal(decode_one_child(0, 1, CLUSTER_SIZE, 1), 0);
	assert_int_equal(decode_one_child(9, 256, SPAN_SIZE, 10), 0);
	assert_int_equal(decode_one_child(255, 2, 4097, 256), 0);
	assert_int_equal(decode_one_child(10, 1, 1, 10), -EBADMSG);
	assert_int_equal(decode_one_child(0, 257, SPAN_SIZE, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 256, SPAN_SIZE + 1, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 1, CLUSTER_SIZE + 1, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 2, 4096, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 0, 0, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 0, 1, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, 1, 0, 1), -EBADMSG);
	assert_int_equal(decode_one_child(0, UINT32_MAX, UINT64_MAX, 256),
			-EBADMSG);
}

static void test_shape(void **state)
{
	(void)state;
	assert_int_equal(node_span_count(0), 0);
	assert_int_equal(node_span_count(1), 1);
	assert_int_equal(node_span_count(SPAN_SIZE), 1);
	assert_int_equal(node_span_count(SPAN_SIZE + 1), 2);
	assert_int_equal(node_span_count(UINT64_MAX), (uint64_t)1 << 40);
	assert_int_equal(node_tree_level(0), 0);
	assert_int_equal(node_tree_level(1), 0);
	assert_int_equal(node_tree_level(2), 1);
	assert_int_equal(node_tree_level(256), 1);
	assert_int_equal(node_tree_level(257), 2);
	assert_int_equal(node_tree_level(65536), 2);
	assert_int_equal(node_tree_level(65537), 3);
	assert_int_equal(node_tree_level(node_span_count(IMAGE_SIZE_MAX)), 3);
	assert_int_equal(node_slot_spans(1), 1);
	assert_int_equal(node_slot_spans(2), 256);
	assert_int_equal(node_slot_spans(3), 65536);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf_round_trip),
		cmocka_unit_test(test_largest_leaf),
		cmocka_unit_test(test_leaf_damage),
		cmocka_unit_test(test_leaf_rules),
		cmocka_unit_test(test_clusters_are_counted_once),
		cmocka_unit_test(test_node_round_trip),
		cmocka_unit_test(test_node_damage),
		cmocka_unit_test(test_node_rules),
		cmocka_unit_test(test_shape),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
