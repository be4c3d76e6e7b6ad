/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The forgeries over packs: leaves, nodes, trailers, frames. Those of JSON and
 * config are in forgeries_small.c. */
#include "forgeries.h"

#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"

#define HOLE 0x80000000u
#define TWO_CHUNKS (128 * KIB)

/* --- leaves --- */

struct entry {
	uint32_t word;
	const struct id *id; /* NULL: none follows */
};

/* OUT has room for LEAF_SIZE_MAX + 64. */
static size_t leaf_bytes(uint8_t *out, uint32_t span_len, uint32_t data_bytes,
		const struct entry *entries, uint32_t count)
{
	uint8_t *p = out + 32;
	memset(out, 0, 32);
	put_le32(out + 4, span_len);
	put_le32(out + 8, count);
	put_le32(out + 12, data_bytes);
	for (uint32_t i = 0; i < count; i++) {
		put_le32(p, entries[i].word);
		p += 4;
		if (entries[i].id == NULL)
			continue;
		memcpy(p, entries[i].id->b, ID_SIZE);
		p += ID_SIZE;
	}
	return (size_t)(p - out);
}

enum leaf_lie {
	LEAF_GOOD,
	LEAF_SPAN,
	LEAF_COUNT,
	LEAF_NONE,
	LEAF_SUM,
	LEAF_EMPTY_ENTRY,
	LEAF_LONG_ENTRY,
	LEAF_HOLES,
	LEAF_TAIL,
	LEAF_LEVEL,
	LEAF_CHUNK_LONGER,
	LEAF_CHUNK_SHORTER,
	LEAF_NO_CHUNK,
	LEAF_NODE_AS_CHUNK,
	LEAF_ZERO_ID,
	LEAF_SUMS_ABOVE,
	LEAF_SMALL_FOR_IMAGE,
};

/* Two chunks of 64 KiB. */
static void forge_leaf(struct forge *f, uint64_t lie)
{
	struct id a = forge_chunk(f, 64 * KIB, 'x');
	struct id longer = forge_chunk(f, 128 * KIB, 'y');
	struct id node = forge_node(f, (const uint8_t *)"no node", 7);
	struct id none = { { 1 } }, zero = { { 0 } };
	struct entry e[] = { { 64 * KIB, &a }, { 64 * KIB, &a } };
	uint8_t out[1024];
	size_t len;
	switch (lie) {
	case LEAF_EMPTY_ENTRY:
		e[1].word = 0;
		break;
	case LEAF_LONG_ENTRY:
		e[1].word = 0x7fffffff;
		break;
	case LEAF_HOLES:
		e[0] = e[1] = (struct entry){ 64 * KIB | HOLE, NULL };
		break;
	case LEAF_CHUNK_LONGER:
		e[1].word = 32 * KIB;
		break;
	case LEAF_CHUNK_SHORTER:
		e[1].id = &longer;
		break;
	case LEAF_NO_CHUNK:
		e[1].id = &none;
		break;
	case LEAF_NODE_AS_CHUNK:
		e[1].id = &node;
		break;
	case LEAF_ZERO_ID:
		e[1].id = &zero;
		break;
	default:
		break;
	}
	len = leaf_bytes(out, TWO_CHUNKS, TWO_CHUNKS, e, 2);
	if (lie == LEAF_SPAN)
		put_le32(out + 4, 2 * TWO_CHUNKS);
	if (lie == LEAF_COUNT)
		put_le32(out + 8, 4096);
	if (lie == LEAF_NONE)
		put_le32(out + 8, 0);
	if (lie == LEAF_SUM)
		put_le32(out + 12, 64 * KIB);
	if (lie == LEAF_LEVEL)
		out[0] = 1;
	struct id root = forge_node(f, out, len + (lie == LEAF_TAIL));
	uint64_t said = lie == LEAF_SUMS_ABOVE ? 64 * KIB : TWO_CHUNKS;
	uint64_t size = lie == LEAF_SMALL_FOR_IMAGE ? (uint64_t)1 << 40
						    : TWO_CHUNKS;
	forge_snapshot(f, &root, size, said, said / CLUSTER_SIZE);
}

/* A leaf's id that is a chunk's in a data pack. */
static void forge_chunk_as_root(struct forge *f, uint64_t unused)
{
	struct id a = forge_chunk(f, 64 * KIB, 'x');
	(void)unused;
	forge_snapshot(f, &a, TWO_CHUNKS, TWO_CHUNKS, 2);
}

/* The most entries: chunks of 4 KiB and holes in turn. */
static struct id largest_leaf(struct forge *f)
{
	static struct entry e[LEAF_ENTRIES_MAX];
	static uint8_t out[LEAF_SIZE_MAX + 64];
	struct id a = forge_chunk(f, 4 * KIB, 'x');
	for (uint32_t i = 0; i < LEAF_ENTRIES_MAX; i++)
		e[i] = i % 2 ? (struct entry){ 4 * KIB | HOLE, NULL }
			     : (struct entry){ 4 * KIB, &a };
	size_t len = leaf_bytes(out, SPAN_SIZE, SPAN_SIZE / 2, e,
			LEAF_ENTRIES_MAX);
	return forge_node(f, out, len);
}

static void forge_largest_leaf(struct forge *f, uint64_t unused)
{
	struct id root = largest_leaf(f);
	(void)unused;
	forge_snapshot(f, &root, SPAN_SIZE, SPAN_SIZE / 2, 256);
}

/* --- nodes --- */

struct sums {
	uint64_t data_bytes;
	uint32_t clusters;
};

static size_t node_bytes(uint8_t *out, uint8_t level, uint64_t spans,
		unsigned count, const struct id *child, const struct sums *sums)
{
	uint8_t *p = out + 16;
	memset(out, 0, NODE_SIZE_MAX);
	out[0] = level;
	put_le16(out + 2, (uint16_t)count);
	put_le64(out + 8, spans);
	for (unsigned i = 0; i < count; i++, p += 48) {
		p[0] = (uint8_t)i;
		put_le32(p + 4, sums->clusters);
		put_le64(p + 8, sums->data_bytes);
		memcpy(p + 16, child->b, ID_SIZE);
	}
	return (size_t)(p - out);
}

enum node_lie {
	NODE_GOOD,
	NODE_SPANS,
	NODE_COUNT,
	NODE_SLOTS,
	NODE_SLOT_BEYOND,
	NODE_CLUSTERS,
	NODE_SUMS,
	NODE_LENGTH,
	NODE_LEVEL,
	NODE_NO_CHILD,
	NODE_ITSELF,
	NODE_ITSELF_HIGH,
};

/* Two spans of 16 MiB under one node. */
static void forge_node_lie(struct forge *f, uint64_t lie)
{
	uint8_t out[NODE_SIZE_MAX + 64] = { 0 };
	struct sums s = { SPAN_SIZE / 2, 256 };
	struct id leaf = largest_leaf(f), root = { { 7 } };
	bool itself = lie == NODE_ITSELF || lie == NODE_ITSELF_HIGH;
	uint8_t level = lie == NODE_ITSELF_HIGH ? 2 : 1;
	if (lie == NODE_NO_CHILD)
		memset(&leaf, 9, sizeof(leaf));
	size_t len = node_bytes(out, level, level == 2 ? 512 : 2, 2,
			itself ? &root : &leaf, &s);
	switch (lie) {
	case NODE_SPANS:
		put_le64(out + 8, UINT64_MAX);
		break;
	case NODE_COUNT:
		put_le16(out + 2, 257);
		break;
	case NODE_SLOTS:
		out[16 + 48] = 0;
		break;
	case NODE_SLOT_BEYOND:
		out[16 + 48] = 255;
		break;
	case NODE_CLUSTERS:
		put_le32(out + 20, UINT32_MAX);
		break;
	case NODE_SUMS:
		put_le64(out + 24, SPAN_SIZE / 2 - 4096);
		break;
	case NODE_LENGTH:
		len += 48;
		break;
	case NODE_LEVEL:
		out[0] = 3;
		break;
	default:
		break;
	}
	if (itself) /* ids of a pack are taken from its trailer */
		forge_simple_pack(f, PACK_TREE, &root, out, (uint32_t)len);
	else
		root = forge_node(f, out, len);
	forge_snapshot(f, &root, (level == 2 ? 512u : 2u) * (uint64_t)SPAN_SIZE,
			SPAN_SIZE, 512);
}

/* 128 TiB out of one leaf: all nodes of a level are the same one. With NUMBER
 * the leaf's chunk is missing. */
static void forge_bomb(struct forge *f, uint64_t number)
{
	static const unsigned counts[] = { 0, 256, 256, 128 };
	struct id chunk = forge_chunk(f, MIB, 'x'), at;
	struct entry e[16];
	uint8_t out[NODE_SIZE_MAX];
	struct sums s = { SPAN_SIZE, 256 };
	uint64_t spans = 1;
	if (number)
		memset(&chunk, 9, sizeof(chunk));
	for (unsigned i = 0; i < 16; i++)
		e[i] = (struct entry){ MIB, &chunk };
	at = forge_node(f, out, leaf_bytes(out, SPAN_SIZE, SPAN_SIZE, e, 16));
	for (uint8_t level = 1; level <= 3; level++) {
		spans *= counts[level];
		size_t len = node_bytes(out, level, spans, counts[level], &at,
				&s);
		at = forge_node(f, out, len);
		s.data_bytes *= counts[level];
		s.clusters *= counts[level];
	}
	forge_snapshot(f, &at, IMAGE_SIZE_MAX, s.data_bytes, s.clusters);
}

/* --- trailers --- */

/* A leaf over one chunk of a frame, and its snapshot. */
static void use_chunk(struct forge *f, const struct id *id, uint32_t len)
{
	struct entry e = { len, id };
	uint8_t out[128];
	struct id root = forge_node(f, out, leaf_bytes(out, len, len, &e, 1));
	forge_snapshot(f, &root, len, len, (len - 1) / CLUSTER_SIZE + 1);
}

enum trailer_lie {
	TRAILER_MOST,
	TRAILER_COUNTS,
	TRAILER_ZERO,
	TRAILER_BOX_LONG,
	TRAILER_BOX_WRAP,
	TRAILER_BOX_SHORT,
	TRAILER_PLAIN,
	TRAILER_CHUNK_ZERO,
	TRAILER_CHUNK_SUM,
	TRAILER_CHUNK_LONG,
	TRAILER_ID_ZERO,
	TRAILER_FRAME_CHUNKS,
	TRAILER_COMPRESSION,
	TRAILER_LENGTH,
	TRAILER_CHECKSUM,
};

static void forge_trailer_lie(struct forge *f, uint64_t lie)
{
	uint32_t n = 64 * KIB, box = n + SEAL_OVERHEAD;
	uint8_t *plain = forge_room(n);
	struct forged_box b[] = { { plain, n }, { plain, n } };
	struct forged_pack p = { .kind = PACK_DATA,
		.boxes = b,
		.box_count = 2 };
	struct id id, zero = { { 0 } };
	seal_id(f->repo->seal, ID_CHUNK, &id, plain, n);
	forge_trailer(&p, 2, 2);
	forge_frame_record(&p, 0, box, n, 1, FRAME_STORED);
	forge_frame_record(&p, 1, box, n, 1, FRAME_STORED);
	forge_chunk_record(&p, 0, &id, n);
	forge_chunk_record(&p, 1, lie == TRAILER_ID_ZERO ? &zero : &id,
			lie == TRAILER_CHUNK_ZERO		    ? 0
					: lie == TRAILER_CHUNK_SUM  ? n - 1
					: lie == TRAILER_CHUNK_LONG ? UINT32_MAX
								    : n);
	switch (lie) {
	case TRAILER_MOST:
		put_le32(p.trailer, 65536);
		put_le32(p.trailer + 4, 65536);
		break;
	case TRAILER_COUNTS:
		put_le32(p.trailer, UINT32_MAX);
		put_le32(p.trailer + 4, UINT32_MAX);
		break;
	case TRAILER_ZERO:
		memset(p.trailer, 0, 8);
		break;
	case TRAILER_BOX_LONG:
		put_le32(p.trailer + 8, 0x7fffffff);
		break;
	case TRAILER_BOX_WRAP:
		put_le32(p.trailer + 8, (uint32_t) - (int32_t)box);
		break;
	case TRAILER_BOX_SHORT:
		put_le32(p.trailer + 8, 40);
		break;
	case TRAILER_PLAIN:
		put_le32(p.trailer + 12, UINT32_MAX);
		break;
	case TRAILER_FRAME_CHUNKS:
		put_le16(p.trailer + 16, 65535);
		break;
	case TRAILER_COMPRESSION:
		p.trailer[18] = 2;
		break;
	case TRAILER_CHECKSUM:
		for (size_t at = p.trailer_len; at > 8 + 2 * 12;
				at -= FORGED_CHUNK_RECORD)
			put_le64(p.trailer + at - 8, 1);
		break;
	case TRAILER_LENGTH:
		p.trailer_len -= 36;
		break;
	default:
		break;
	}
	forge_put_pack(f, &p);
	use_chunk(f, &id, n);
	free(p.trailer);
	free(plain);
}

/* --- frames --- */

struct zstd {
	uint8_t *data;
	size_t len;
};

static void zstd_bytes(struct zstd *zstd, const void *data, size_t len)
{
	memcpy(zstd->data + zstd->len, data, len);
	zstd->len += len;
}

/* Type 0: SIZE bytes follow as they are (zeros here), 1: one byte SIZE times. */
static void zstd_block(struct zstd *zstd, unsigned type, uint32_t size,
		bool last)
{
	uint32_t head = (uint32_t)last | type << 1 | size << 3;
	uint8_t bytes[4] = { (uint8_t)head, (uint8_t)(head >> 8),
		(uint8_t)(head >> 16), 'x' };
	zstd_bytes(zstd, bytes, type == 1 ? 4 : 3);
	if (type == 0)
		zstd->len += size;
}

/* A header without the content's size. */
static void zstd_head(struct zstd *zstd, uint8_t flags, uint8_t window)
{
	uint8_t head[] = { 0x28, 0xb5, 0x2f, 0xfd, flags, window };
	zstd_bytes(zstd, head, sizeof(head));
}

#define WINDOW_1M (10 << 3)
#define BLOCK (128 * KIB)

enum frame_lie {
	FRAME_GOOD,
	FRAME_LESS,
	FRAME_MORE,
	FRAME_4G,
	FRAME_WINDOW,
	FRAME_CONTENT_SIZE,
	FRAME_EMPTY_BLOCKS,
	FRAME_SKIPPABLE,
	FRAME_TWO,
	FRAME_DICTIONARY,
	FRAME_LEGACY,
	FRAME_BAD_SUM,
	FRAME_OPEN_END,
};

/* What should decode to 512 KiB of "x". */
static void frame_form(struct zstd *zstd, uint64_t lie)
{
	static const uint8_t skip[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1,
		2, 3, 4 };
	static const uint8_t claims[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f };
	static const uint8_t dictionary[] = { 0x28, 0xb5, 0x2f, 0xfd, 0x01,
		WINDOW_1M, 77 };
	unsigned blocks = lie == FRAME_LESS ? 3
			: lie == FRAME_MORE ? 5
			: lie == FRAME_4G   ? 32768
					    : 4;
	if (lie == FRAME_SKIPPABLE)
		zstd_bytes(zstd, skip, sizeof(skip));
	if (lie == FRAME_CONTENT_SIZE)
		zstd_bytes(zstd, claims, sizeof(claims));
	else if (lie == FRAME_DICTIONARY)
		zstd_bytes(zstd, dictionary, sizeof(dictionary));
	else
		zstd_head(zstd, lie == FRAME_BAD_SUM ? 4 : 0,
				lie == FRAME_WINDOW ? 0xff : WINDOW_1M);
	if (lie == FRAME_LEGACY)
		zstd->data[0] = 0x25;
	for (unsigned i = 0; lie == FRAME_EMPTY_BLOCKS && i < 150000; i++)
		zstd_block(zstd, 0, 0, false);
	for (unsigned i = 0; i < blocks; i++)
		zstd_block(zstd, 1, BLOCK,
				i == blocks - 1 && lie != FRAME_OPEN_END);
	if (lie == FRAME_BAD_SUM)
		zstd_bytes(zstd, "\1\2\3\4", 4);
	if (lie == FRAME_TWO) {
		zstd_head(zstd, 0, WINDOW_1M);
		zstd_block(zstd, 1, 1, true);
	}
}

static void forge_frame_lie(struct forge *f, uint64_t lie)
{
	uint32_t n = 512 * KIB;
	uint8_t *plain = forge_room(n);
	struct zstd z = { .data = forge_room(n) };
	struct forged_pack p = { .kind = PACK_DATA, .box_count = 1 };
	struct id id;
	memset(plain, 'x', n);
	seal_id(f->repo->seal, ID_CHUNK, &id, plain, n);
	frame_form(&z, lie);
	struct forged_box box = { z.data, z.len };
	p.boxes = &box;
	forge_trailer(&p, 1, 1);
	forge_frame_record(&p, 0, (uint32_t)z.len + SEAL_OVERHEAD, n, 1,
			FRAME_ZSTD);
	forge_chunk_record(&p, 0, &id, n);
	forge_put_pack(f, &p);
	use_chunk(f, &id, n);
	free(p.trailer);
	free(z.data);
	free(plain);
}

/* --- many chunks --- */

#define COLLIDING 65536u

/* NUMBER packs of 65536 chunks each whose ids begin alike, as nobody could
 * make them with right ids; a leaf uses the first 4096. */
static void forge_collisions(struct forge *f, uint64_t number)
{
	static struct entry e[LEAF_ENTRIES_MAX];
	static struct id ids[LEAF_ENTRIES_MAX];
	static uint8_t out[LEAF_SIZE_MAX + 64];
	struct zstd z = { .data = forge_room(256) };
	struct forged_box boxes[256];
	struct id id = { { 5 } };
	zstd_head(&z, 0, WINDOW_1M);
	for (unsigned i = 0; i < 8; i++)
		zstd_block(&z, 1, BLOCK, i == 7);
	for (uint64_t pack = 0; pack < number; pack++) {
		struct forged_pack p = { .kind = PACK_DATA,
			.boxes = boxes,
			.box_count = 256 };
		forge_trailer(&p, 256, COLLIDING);
		for (uint32_t i = 0; i < 256; i++) {
			boxes[i] = (struct forged_box){ z.data, z.len };
			forge_frame_record(&p, i,
					(uint32_t)z.len + SEAL_OVERHEAD, MIB,
					256, FRAME_ZSTD);
		}
		for (uint32_t i = 0; i < COLLIDING; i++) {
			put_le32(id.b + 12, i);
			put_le32(id.b + 28, (uint32_t)pack);
			forge_chunk_record(&p, i, &id, 4096);
		}
		forge_put_pack(f, &p);
		free(p.trailer);
	}
	for (uint32_t i = 0; i < LEAF_ENTRIES_MAX; i++) {
		put_le32(id.b + 12, COLLIDING - 1 - i);
		put_le32(id.b + 28, 0);
		ids[i] = id;
		e[i] = (struct entry){ 4096, &ids[i] };
	}
	id = forge_node(f, out,
			leaf_bytes(out, SPAN_SIZE, SPAN_SIZE, e,
					LEAF_ENTRIES_MAX));
	forge_snapshot(f, &id, SPAN_SIZE, SPAN_SIZE, 256);
	free(z.data);
}

const struct forgery forgeries[] = {
	{ "leaf-good", "whole", forge_leaf, LEAF_GOOD },
	{ "leaf-span", "refused", forge_leaf, LEAF_SPAN },
	{ "leaf-count", "refused", forge_leaf, LEAF_COUNT },
	{ "leaf-no-entries", "refused", forge_leaf, LEAF_NONE },
	{ "leaf-sum", "refused", forge_leaf, LEAF_SUM },
	{ "leaf-empty-entry", "refused", forge_leaf, LEAF_EMPTY_ENTRY },
	{ "leaf-long-entry", "refused", forge_leaf, LEAF_LONG_ENTRY },
	{ "leaf-holes", "refused", forge_leaf, LEAF_HOLES },
	{ "leaf-tail", "refused", forge_leaf, LEAF_TAIL },
	{ "leaf-level", "refused", forge_leaf, LEAF_LEVEL },
	{ "leaf-chunk-longer", "refused", forge_leaf, LEAF_CHUNK_LONGER },
	{ "leaf-chunk-shorter", "refused", forge_leaf, LEAF_CHUNK_SHORTER },
	{ "leaf-chunk-missing", "refused", forge_leaf, LEAF_NO_CHUNK },
	{ "leaf-node-as-chunk", "refused", forge_leaf, LEAF_NODE_AS_CHUNK },
	{ "leaf-zero-id", "refused", forge_leaf, LEAF_ZERO_ID },
	{ "leaf-sums-above", "refused", forge_leaf, LEAF_SUMS_ABOVE },
	{ "leaf-small", "refused-large", forge_leaf, LEAF_SMALL_FOR_IMAGE },
	{ "leaf-chunk-as-root", "refused", forge_chunk_as_root, 0 },
	{ "leaf-largest", "whole", forge_largest_leaf, 0 },
	{ "node-good", "whole", forge_node_lie, NODE_GOOD },
	{ "node-spans", "refused", forge_node_lie, NODE_SPANS },
	{ "node-count", "refused", forge_node_lie, NODE_COUNT },
	{ "node-slots", "refused", forge_node_lie, NODE_SLOTS },
	{ "node-slot-beyond", "refused", forge_node_lie, NODE_SLOT_BEYOND },
	{ "node-clusters", "refused", forge_node_lie, NODE_CLUSTERS },
	{ "node-sums", "refused", forge_node_lie, NODE_SUMS },
	{ "node-length", "refused", forge_node_lie, NODE_LENGTH },
	{ "node-level", "refused", forge_node_lie, NODE_LEVEL },
	{ "node-no-child", "refused", forge_node_lie, NODE_NO_CHILD },
	{ "node-itself", "refused", forge_node_lie, NODE_ITSELF },
	{ "node-itself-high", "refused", forge_node_lie, NODE_ITSELF_HIGH },
	{ "node-bomb", "whole-large", forge_bomb, 0 },
	{ "node-bomb-missing", "refused-large", forge_bomb, 1 },
	{ "trailer-most", "refused", forge_trailer_lie, TRAILER_MOST },
	{ "trailer-counts", "refused", forge_trailer_lie, TRAILER_COUNTS },
	{ "trailer-zero", "refused", forge_trailer_lie, TRAILER_ZERO },
	{ "trailer-box-long", "refused", forge_trailer_lie, TRAILER_BOX_LONG },
	{ "trailer-box-wrap", "refused", forge_trailer_lie, TRAILER_BOX_WRAP },
	{ "trailer-box-short", "refused", forge_trailer_lie,
			TRAILER_BOX_SHORT },
	{ "trailer-plain", "refused", forge_trailer_lie, TRAILER_PLAIN },
	{ "trailer-chunk-zero", "refused", forge_trailer_lie,
			TRAILER_CHUNK_ZERO },
	{ "trailer-chunk-sum", "refused", forge_trailer_lie,
			TRAILER_CHUNK_SUM },
	{ "trailer-chunk-long", "refused", forge_trailer_lie,
			TRAILER_CHUNK_LONG },
	{ "trailer-id-zero", "refused", forge_trailer_lie, TRAILER_ID_ZERO },
	{ "trailer-frame-chunks", "refused", forge_trailer_lie,
			TRAILER_FRAME_CHUNKS },
	{ "trailer-compression", "refused", forge_trailer_lie,
			TRAILER_COMPRESSION },
	{ "trailer-length", "refused", forge_trailer_lie, TRAILER_LENGTH },
	{ "trailer-checksum", "refused", forge_trailer_lie, TRAILER_CHECKSUM },
	{ "trailer-collisions", "refused", forge_collisions, 1 },
	{ "trailer-collisions-2", "refused", forge_collisions, 2 },
	{ "frame-good", "whole", forge_frame_lie, FRAME_GOOD },
	{ "frame-less", "refused", forge_frame_lie, FRAME_LESS },
	{ "frame-more", "refused", forge_frame_lie, FRAME_MORE },
	{ "frame-4g", "refused", forge_frame_lie, FRAME_4G },
	{ "frame-window", "refused", forge_frame_lie, FRAME_WINDOW },
	{ "frame-content-size", "refused", forge_frame_lie,
			FRAME_CONTENT_SIZE },
	{ "frame-empty-blocks", "whole", forge_frame_lie, FRAME_EMPTY_BLOCKS },
	{ "frame-skippable", "refused", forge_frame_lie, FRAME_SKIPPABLE },
	{ "frame-two", "refused", forge_frame_lie, FRAME_TWO },
	{ "frame-dictionary", "refused", forge_frame_lie, FRAME_DICTIONARY },
	{ "frame-legacy", "refused", forge_frame_lie, FRAME_LEGACY },
	{ "frame-bad-sum", "refused", forge_frame_lie, FRAME_BAD_SUM },
	{ "frame-open-end", "refused", forge_frame_lie, FRAME_OPEN_END },
	FORGERIES_SMALL{ NULL, NULL, NULL, 0 },
};
