/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pack's id, name and fixed parts. Pack = header (32 bytes), frames, trailer
 * box (trailer.h), footer (32 bytes). Byte tables in FORMAT.md.
 */
#ifndef AMBERFS_FORMAT_PACK_H
#define AMBERFS_FORMAT_PACK_H

#include "repo/crypto/seal.h"

#define PACK_HEADER_SIZE 32
#define PACK_FOOTER_SIZE 32
#define PACK_CHECKSUM_SIZE 16 /* the last bytes of the footer */
#define PACK_ID_SIZE 16
#define PACK_SIZE_MAX (80u << 20)

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

/* Packs of version 1 have no checksums of chunks in their trailer; they are read
 * like the others, and no longer written. */
#define PACK_VERSION 2u
#define PACK_VERSION_BARE 1u

struct pack_header {
	unsigned version;
	enum pack_kind kind;
	bool encrypted;
};
void pack_header_encode(uint8_t out[PACK_HEADER_SIZE], const uint8_t *repo_id,
		const struct pack_header *header);
/* 0 or -EBADMSG with a text. */
int pack_header_decode(const uint8_t in[PACK_HEADER_SIZE],
		const uint8_t *repo_id, struct pack_header *header);

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

#endif
