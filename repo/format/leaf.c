/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Encoding and strict decoding of leaves; see leaf.h.
 *
 * Each leaf has exactly one encoding, and decoding accepts no other, so equal
 * content gives equal bytes and thus equal ids. It neither computes ids nor
 * reads chunks.
 */
#include "leaf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define LEAF_HEAD 32
#define HOLE_BIT 0x80000000u
#define ENTRY_DATA_MAX (1u << 20)

static_assert(LEAF_HEAD == 16 + PROOF_SIZE, "leaf head");
static_assert(LEAF_ENTRIES_MAX == SPAN_SIZE / BLOCK_SIZE, "leaf entries");
static_assert(LEAF_SIZE_MAX == 147488, "largest leaf");

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
