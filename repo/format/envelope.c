/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small sealed objects: a header of 12 bytes and a box; see envelope.h.
 *
 * What this file does not do: it doesn't look at payloads, and it reads and
 * writes no objects.
 */
#include "envelope.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

static const uint8_t magic[4] = { 'A', 'M', 'B', '1' };

static_assert(ENVELOPE_HEADER_SIZE == 12, "envelope header");
static_assert(ENVELOPE_PAYLOAD_MAX == 8388608, "largest payload");
static_assert(ENVELOPE_HEADER_SIZE + SEAL_OVERHEAD == 52, "envelope");

static enum seal_kind seal_kind(enum envelope_kind kind)
{
	return kind == ENVELOPE_SNAPSHOT ? SEAL_SNAPSHOT : SEAL_META;
}

static void encode_header(uint8_t out[ENVELOPE_HEADER_SIZE],
		enum envelope_kind kind, bool encrypted, uint32_t len)
{
	memcpy(out, magic, 4);
	out[4] = (uint8_t)kind;
	out[5] = encrypted ? 1 : 0;
	out[6] = out[7] = 0;
	put_le32(out + 8, len);
}

/* Associated data: repository, header and name, so that no object can replace
 * another. */
struct binding {
	uint8_t ad[REPO_ID_SIZE + ENVELOPE_HEADER_SIZE + ENVELOPE_NAME_MAX];
	size_t len;
};

static void bind_to(struct binding *binding, const uint8_t *repo_id,
		const uint8_t *header, const char *name)
{
	size_t name_len = strlen(name), at = REPO_ID_SIZE;
	memcpy(binding->ad, repo_id, REPO_ID_SIZE);
	memcpy(binding->ad + at, header, ENVELOPE_HEADER_SIZE);
	at += ENVELOPE_HEADER_SIZE;
	memcpy(binding->ad + at, name, name_len);
	binding->len = at + name_len;
}

int envelope_seal(const struct seal *seal, const uint8_t *repo_id,
		enum envelope_kind kind, const char *name, const void *payload,
		size_t len, uint8_t **out, size_t *out_len)
{
	uint8_t header[ENVELOPE_HEADER_SIZE];
	struct binding b;
	if (strlen(name) > ENVELOPE_NAME_MAX)
		return fail(-ENAMETOOLONG, "the name %s is too long", name);
	if (len > ENVELOPE_PAYLOAD_MAX)
		return fail(-EFBIG, "%s would be larger than 8 MiB", name);
	encode_header(header, kind, seal_encrypts(seal), (uint32_t)len);
	bind_to(&b, repo_id, header, name);
	uint8_t *object = malloc(ENVELOPE_HEADER_SIZE + SEAL_OVERHEAD + len);
	if (object == NULL)
		return fail_errno(-ENOMEM, "sealing %s", name);
	memcpy(object, header, ENVELOPE_HEADER_SIZE);
	seal_box(seal, seal_kind(kind), object + ENVELOPE_HEADER_SIZE, payload,
			len, b.ad, b.len);
	*out = object;
	*out_len = ENVELOPE_HEADER_SIZE + SEAL_OVERHEAD + len;
	return 0;
}

/* The header must be exactly what envelope_seal writes for this object. */
static int check_header(const struct seal *seal, enum envelope_kind kind,
		const char *name, const uint8_t *data, size_t data_len)
{
	uint8_t header[ENVELOPE_HEADER_SIZE];
	if (strlen(name) > ENVELOPE_NAME_MAX)
		return fail(-EBADMSG, "the name %s is too long", name);
	if (data_len < ENVELOPE_HEADER_SIZE + SEAL_OVERHEAD)
		return fail(-EBADMSG, "%s is damaged: it is truncated", name);
	size_t len = data_len - ENVELOPE_HEADER_SIZE - SEAL_OVERHEAD;
	if (len > ENVELOPE_PAYLOAD_MAX)
		return fail(-EBADMSG, "%s is damaged: it is larger than 8 MiB",
				name);
	encode_header(header, kind, seal_encrypts(seal), (uint32_t)len);
	if (memcmp(header, data, ENVELOPE_HEADER_SIZE) != 0)
		return fail(-EBADMSG,
				"%s is damaged: its header does not fit "
				"this kind of object in this repository",
				name);
	return 0;
}

int envelope_open(const struct seal *seal, const uint8_t *repo_id,
		enum envelope_kind kind, const char *name, const void *data,
		size_t data_len, char **payload, size_t *len)
{
	const uint8_t *object = data;
	struct binding b;
	*payload = NULL;
	int err = check_header(seal, kind, name, object, data_len);
	if (err < 0)
		return err;
	bind_to(&b, repo_id, object, name);
	*len = data_len - ENVELOPE_HEADER_SIZE - SEAL_OVERHEAD;
	CLEANUP_FREE char *plain = malloc(*len + 1);
	if (plain == NULL)
		return fail_errno(-ENOMEM, "opening %s", name);
	err = seal_open(seal, seal_kind(kind), plain,
			object + ENVELOPE_HEADER_SIZE,
			data_len - ENVELOPE_HEADER_SIZE, b.ad, b.len);
	if (err < 0)
		return fail(err,
				"%s is damaged or forged, or was copied "
				"here from another name",
				name);
	plain[*len] = '\0';
	*payload = take_ptr(plain);
	return 0;
}
