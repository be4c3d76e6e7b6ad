/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A pack's id and name, and its header and footer; see pack.h.
 *
 * What this file does not do: it reads no object, and knows nothing of the
 * checksum at a pack's end but its size.
 */
#include "pack.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "trailer.h"

static const uint8_t header_magic[8] = { 'A', 'M', 'B', 'R', 'P', 'A', 'C',
	'K' };
static const uint8_t footer_magic[8] = { 'A', 'M', 'B', 'R', 'T', 'A', 'I',
	'L' };

static_assert(PACK_HEADER_SIZE == 32, "pack header");
static_assert(PACK_FOOTER_SIZE == 4 + 4 + 8 + PACK_CHECKSUM_SIZE, "footer");
static_assert(PACK_AD_SIZE == 40, "associated data of a frame");
static_assert(PACK_SIZE_MAX == 83886080, "largest pack");

/* --- names --- */

/* The part of a pack's id that names its writer. */
#define WRITER_AT 8
#define WRITER_SIZE (PACK_ID_SIZE - WRITER_AT)

static int writer_of_session(uint8_t out[WRITER_SIZE], const char *session)
{
	char digits[2 * WRITER_SIZE + 1];
	if (strlen(session) < sizeof(digits) - 1)
		return -EINVAL;
	memcpy(digits, session, sizeof(digits) - 1);
	digits[sizeof(digits) - 1] = '\0';
	return hex_decode(out, WRITER_SIZE, digits);
}

void pack_id_make(struct pack_id *out, const char *session)
{
	seal_random(out->b, PACK_ID_SIZE);
	writer_of_session(out->b + WRITER_AT, session);
}

bool pack_id_is_of(const struct pack_id *id, const char *session)
{
	uint8_t writer[WRITER_SIZE];
	return writer_of_session(writer, session) == 0
			&& memcmp(writer, id->b + WRITER_AT, WRITER_SIZE) == 0;
}

void pack_name(char out[PACK_NAME_SIZE], const struct pack_id *id)
{
	char digits[2 * PACK_ID_SIZE + 1];
	hex_encode(digits, id->b, PACK_ID_SIZE);
	snprintf(out, PACK_NAME_SIZE, "packs/%.2s/%s", digits, digits);
}

int pack_name_parse(struct pack_id *id, const char *name)
{
	if (strlen(name) != PACK_NAME_SIZE - 1 || memcmp(name, "packs/", 6) != 0
			|| name[8] != '/' || memcmp(name + 6, name + 9, 2) != 0)
		return -EINVAL;
	return hex_decode(id->b, PACK_ID_SIZE, name + 9);
}

/* --- header and footer --- */

void pack_header_encode(uint8_t out[PACK_HEADER_SIZE], const uint8_t *repo_id,
		const struct pack_header *header)
{
	memset(out, 0, PACK_HEADER_SIZE);
	memcpy(out, header_magic, 8);
	out[8] = (uint8_t)header->version;
	out[9] = (uint8_t)header->kind;
	out[10] = header->encrypted ? 1 : 0;
	memcpy(out + 12, repo_id, REPO_ID_SIZE);
}

int pack_header_decode(const uint8_t in[PACK_HEADER_SIZE],
		const uint8_t *repo_id, struct pack_header *header)
{
	if (memcmp(in, header_magic, 8) != 0)
		return fail(-EBADMSG, "the pack's header is damaged");
	if (in[8] != PACK_VERSION && in[8] != PACK_VERSION_BARE)
		return fail(-EBADMSG, "pack version %u is unknown", in[8]);
	if ((in[9] != PACK_DATA && in[9] != PACK_TREE) || in[10] > 1
			|| in[11] != 0 || !bytes_are_zero(in + 28, 4))
		return fail(-EBADMSG, "the pack's header is damaged");
	if (memcmp(in + 12, repo_id, REPO_ID_SIZE) != 0)
		return fail(-EBADMSG, "the pack belongs to another repository");
	*header = (struct pack_header){ .version = in[8],
		.kind = in[9],
		.encrypted = in[10] == 1 };
	return 0;
}

void pack_footer_encode(uint8_t out[PACK_FOOTER_SIZE - PACK_CHECKSUM_SIZE],
		uint32_t trailer_box_len)
{
	put_le32(out, trailer_box_len);
	put_le32(out + 4, 0);
	memcpy(out + 8, footer_magic, 8);
}

int64_t pack_footer_decode(const uint8_t in[PACK_FOOTER_SIZE])
{
	uint32_t len = get_le32(in);
	if (memcmp(in + 8, footer_magic, 8) != 0 || !bytes_are_zero(in + 4, 4)
			|| len < TRAILER_BOX_MIN || len > TRAILER_SIZE_MAX)
		return fail(-EBADMSG, "the pack's footer is damaged");
	return len;
}

void pack_ad(uint8_t out[PACK_AD_SIZE], const uint8_t *repo_id,
		const struct pack_id *pack, enum pack_kind kind, uint32_t frame)
{
	memcpy(out, repo_id, REPO_ID_SIZE);
	memcpy(out + REPO_ID_SIZE, pack->b, PACK_ID_SIZE);
	put_le32(out + 32, frame);
	put_le32(out + 36, kind);
}
