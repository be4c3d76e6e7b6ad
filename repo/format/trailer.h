/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pack's fixed parts and its trailer, the table of its frames and chunks.
 * Pack = header (32), frames, trailer box, footer (32). Byte tables in
 * FORMAT.md. The trailer's plain form:
 *
 *	0	4	frame count F
 *	4	4	chunk count C
 *	8	12 F	per frame: stored length u32 (box), plain length u32,
 *			chunks u16 - 1, compression u8 (0 none, 1 zstd), zero u8
 *	…	36 C	per chunk, in frame order: id 32, plain length u32
 */
#ifndef AMBERFS_FORMAT_TRAILER_H
#define AMBERFS_FORMAT_TRAILER_H

#include "repo/crypto/seal.h"

#define PACK_HEADER_SIZE 32
#define PACK_FOOTER_SIZE 32
#define PACK_CHECKSUM_SIZE 16 /* the last bytes of the footer */
#define PACK_ID_SIZE 16
#define PACK_SIZE_MAX (80u << 20)
#define PACK_FRAMES_MAX 65536u
#define PACK_CHUNKS_MAX 65536u
#define FRAME_PLAIN_MAX (1u << 20)
#define FRAME_CHUNKS_MAX 1024u /* a writer's; readers take any number */
#define TRAILER_SIZE_MAX                                                       \
	(8 + 12 * PACK_FRAMES_MAX + 36 * PACK_CHUNKS_MAX + SEAL_OVERHEAD)

/* No box, no frame and no chunk is empty, and a pack has at least one. */
#define TRAILER_BOX_MIN (8 + 12 + 36 + SEAL_OVERHEAD)

enum pack_kind { PACK_DATA = 1, PACK_TREE = 2 };
#define PACK_KINDS 3u /* size of an array by kind; 0 is none */

struct pack_id {
	uint8_t b[PACK_ID_SIZE];
};

/* A new id of a pack that the session (32 digits) writes: 8 random bytes, then
 * the first 8 of the session's id, so that prune sees whose a pack is. */
void pack_id_make(struct pack_id *out, const char *session);
bool pack_id_is_of(const struct pack_id *id, const char *session);

/* "packs/3f/3f…": 2 + 32 digits. */
#define PACK_NAME_SIZE 42
void pack_name(char out[PACK_NAME_SIZE], const struct pack_id *id);
/* From a full object name. 0 or -EINVAL. */
int pack_name_parse(struct pack_id *id, const char *name);

enum frame_compression { FRAME_STORED = 0, FRAME_ZSTD = 1 };

struct frame_entry {
	uint64_t offset;     /* of the box, in the pack */
	uint32_t stored_len; /* of the box */
	uint32_t plain_len;
	uint32_t first_chunk;
	uint32_t chunk_count;
	enum frame_compression compression;
};

struct chunk_entry {
	struct id id;
	uint32_t frame;
	uint32_t offset; /* in the frame's plain bytes */
	uint32_t len;
};

/* FRAMES and CHUNKS are arrays of their own from malloc. */
struct trailer {
	struct pack_id pack;
	enum pack_kind kind;
	uint32_t frame_count, chunk_count;
	struct frame_entry *frames;
	struct chunk_entry *chunks;
};

void pack_header_encode(uint8_t out[PACK_HEADER_SIZE], const uint8_t *repo_id,
		enum pack_kind kind, bool encrypted);
/* 0 or -EBADMSG with a text. */
int pack_header_decode(const uint8_t in[PACK_HEADER_SIZE],
		const uint8_t *repo_id, enum pack_kind *kind, bool *encrypted);

/* All but the checksum, which the writer appends. */
void pack_footer_encode(uint8_t out[PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE],
		uint32_t trailer_box_len);
/* The trailer box's length, or -EBADMSG. */
int64_t pack_footer_decode(const uint8_t in[PACK_FOOTER_SIZE]);

/* Associated data of frame FRAME's box, or of the trailer's (TRAILER_AD). */
#define TRAILER_AD UINT32_MAX
#define PACK_AD_SIZE (REPO_ID_SIZE + PACK_ID_SIZE + 8)
void pack_ad(uint8_t out[PACK_AD_SIZE], const uint8_t *repo_id,
		const struct pack_id *pack, enum pack_kind kind,
		uint32_t frame);

/* Plain form, malloc'ed. TRAILER must keep the bounds that trailer_decode checks;
 * offsets and first chunks are not stored but follow from the order.
 * 0 or -ENOMEM. */
int trailer_encode(const struct trailer *trailer, uint8_t **out, size_t *len);
/* From the plain form; FRAMES_END is the offset where the frames must end.
 * Checks every sum. 0, -EBADMSG, -ENOMEM. The result is to be freed. */
int trailer_decode(struct trailer **out, const struct pack_id *pack,
		enum pack_kind kind, const void *plain, size_t len,
		uint64_t frames_end);
void trailer_free(struct trailer *trailer); /* NULL allowed */

#endif
