/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A leaf of an image's tree: the chunks and holes of one span. Plain form,
 * hashed with the tree key to the id:
 *
 *	0	1	level 0
 *	1	3	zero
 *	4	4	span length in bytes, 1 … 16 MiB
 *	8	4	entry count
 *	12	4	data bytes
 *	16	16	proof over the span, zeros: none
 *	32	…	per entry u32: length, bit 31 set: a hole; a data
 *			entry goes on with 32 bytes of id
 *
 * At least one entry holds data.
 */
#ifndef AMBERFS_FORMAT_LEAF_H
#define AMBERFS_FORMAT_LEAF_H

#include "node.h"
#include "repo/crypto/seal.h"

/* A span's most entries: a chunk has at least 4 KiB (but at the end of a
 * span or before a hole), a hole at least a block. */
#define LEAF_ENTRIES_MAX 4096u
#define LEAF_SIZE_MAX (32 + LEAF_ENTRIES_MAX * 36)

struct leaf_entry {
	uint32_t offset; /* in the span, bytes */
	uint32_t len;	 /* bytes */
	bool hole;
	struct id id; /* zero for a hole */
};

struct leaf {
	uint32_t span_len;
	uint32_t data_bytes; /* sum of the data entries */
	uint32_t clusters;   /* derived: non-empty 64 KiB clusters */
	bool has_proof;
	uint8_t proof[PROOF_SIZE];
	uint32_t count;
	struct leaf_entry entries[];
};

/* Recomputes data_bytes and clusters from the entries. */
void leaf_sum(struct leaf *leaf);

/* Bytes written, at most LEAF_SIZE_MAX. The sums must be right and at least one
 * entry must hold data: what is all hole has no encoding. */
size_t leaf_encode(uint8_t *out, const struct leaf *leaf);

/* Strict: sums, order, lengths, adjacent holes, zeros. SPAN_LEN is what the
 * place in the tree asks for. 0, -EBADMSG, -ENOMEM, with a text. To be freed
 * with free(). */
int leaf_decode(struct leaf **out, const void *data, size_t len,
		uint32_t span_len);

#endif
