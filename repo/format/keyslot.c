/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One key slot. Byte table (FORMAT.md has the same):
 *
 *	0	8	magic "AMBRKEY\n"
 *	8	1	version 1
 *	9	1	kind
 *	10	2	zeros
 *	12	4	Argon2id passes; 0 where the secret is random already
 *	16	4	Argon2id memory in KiB; 0 likewise
 *	20	4	zeros
 *	24	8	time of making, UTC second
 *	32	16	salt
 *	48	16	repository id
 *	64	72	wrapped master key: nonce 24, key 32, tag 16
 *	136	48	label, escaped, filled up with zeros
 *	184	56	zeros
 *	240	16	BLAKE2b-128 of the 240 bytes before it
 *
 * Associated data of the wrapped key: bytes 0 … 63 and 136 … 239.
 *
 * What this file does not do: it doesn't ask for secrets or read objects.
 */
#include "keyslot.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "name.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"

#define SLOT_VERSION 1
#define WRAPPED_AT 64
#define LABEL_AT (WRAPPED_AT + WRAPPED_KEY_SIZE)
#define SUM_AT 240
#define SUM_SIZE 16
#define AD_SIZE (SUM_AT - WRAPPED_KEY_SIZE)
#define KDF_LEAST_MEM_KIB 8u /* Argon2's own */
#define YEAR_10000 INT64_C(253402300800)

static const uint8_t magic[8] = { 'A', 'M', 'B', 'R', 'K', 'E', 'Y', '\n' };

static_assert(KEYSLOT_SIZE == SUM_AT + SUM_SIZE, "key slot");
static_assert(LABEL_AT == 136 && LABEL_AT + KEYSLOT_LABEL_MAX == 184, "label");
static_assert(KDF_SALT_SIZE == 16 && REPO_ID_SIZE == 16, "key slot");

/* A passphrase needs a costly derivation; for random secrets a cost would be
 * a field that nobody checks. */
static bool cost_fits(enum keyslot_kind kind, const struct kdf_cost *cost)
{
	if (kind != KEYSLOT_PASSPHRASE)
		return cost->ops == 0 && cost->mem_kib == 0;
	return cost->ops >= 1 && cost->ops <= KDF_MAX_OPS
			&& cost->mem_kib >= KDF_LEAST_MEM_KIB
			&& cost->mem_kib <= KDF_MAX_MEM_KIB;
}

static void encode_fields(uint8_t out[KEYSLOT_SIZE], const struct keyslot *slot,
		const uint8_t *repo_id)
{
	memset(out, 0, KEYSLOT_SIZE);
	memcpy(out, magic, 8);
	out[8] = SLOT_VERSION;
	out[9] = (uint8_t)slot->kind;
	put_le32(out + 12, slot->cost.ops);
	put_le32(out + 16, slot->cost.mem_kib);
	put_le64(out + 24, (uint64_t)slot->created);
	memcpy(out + 32, slot->salt, KDF_SALT_SIZE);
	memcpy(out + 48, repo_id, REPO_ID_SIZE);
	memcpy(out + WRAPPED_AT, slot->wrapped, WRAPPED_KEY_SIZE);
	memcpy(out + LABEL_AT, slot->label,
			strnlen(slot->label, KEYSLOT_LABEL_MAX));
}

/* All of the slot but the wrapped key and the checksum. */
static void make_ad(uint8_t ad[AD_SIZE], const struct keyslot *slot,
		const uint8_t *repo_id)
{
	uint8_t bytes[KEYSLOT_SIZE];
	encode_fields(bytes, slot, repo_id);
	memcpy(ad, bytes, WRAPPED_AT);
	memcpy(ad + WRAPPED_AT, bytes + LABEL_AT, SUM_AT - LABEL_AT);
}

int keyslot_make(uint8_t out[KEYSLOT_SIZE], struct keyslot *slot,
		const uint8_t *repo_id, const void *secret, size_t secret_len,
		const uint8_t master[MASTER_KEY_SIZE])
{
	uint8_t kek[32], ad[AD_SIZE];
	if (!cost_fits(slot->kind, &slot->cost))
		return fail(-EINVAL,
				"a key slot takes 1 to %u passes over 8 to "
				"%u KiB of memory, and only for a passphrase",
				KDF_MAX_OPS, KDF_MAX_MEM_KIB);
	seal_random(slot->salt, KDF_SALT_SIZE);
	int err = seal_derive_kek(kek, secret, secret_len, slot->salt,
			&slot->cost);
	if (err < 0)
		return err;
	make_ad(ad, slot, repo_id);
	seal_wrap(slot->wrapped, kek, master, ad, sizeof(ad));
	seal_wipe(kek, sizeof(kek));
	encode_fields(out, slot, repo_id);
	seal_hash(out + SUM_AT, SUM_SIZE, out, SUM_AT);
	return 0;
}

/* An empty label, or one in escaped form with zeros behind it. */
static int decode_label(char label[KEYSLOT_LABEL_MAX + 1], const uint8_t *p)
{
	memcpy(label, p, KEYSLOT_LABEL_MAX);
	label[KEYSLOT_LABEL_MAX] = '\0';
	size_t len = strlen(label);
	if (!bytes_are_zero(p + len, KEYSLOT_LABEL_MAX - len))
		return -EBADMSG;
	if (len == 0)
		return 0;
	char *raw = name_unescape(label, NULL);
	if (raw == NULL)
		return errno == ENOMEM ? -ENOMEM : -EBADMSG;
	free(raw);
	return 0;
}

static bool fixed_parts_fit(const uint8_t *p)
{
	uint8_t sum[SUM_SIZE];
	seal_hash(sum, SUM_SIZE, p, SUM_AT);
	return memcmp(sum, p + SUM_AT, SUM_SIZE) == 0
			&& memcmp(p, magic, 8) == 0 && p[8] == SLOT_VERSION
			&& bytes_are_zero(p + 10, 2)
			&& bytes_are_zero(p + 20, 4)
			&& bytes_are_zero(p + 184, SUM_AT - 184);
}

int keyslot_decode(struct keyslot *slot, const uint8_t *repo_id,
		const void *data, size_t len)
{
	const uint8_t *p = data;
	if (len != KEYSLOT_SIZE || !fixed_parts_fit(p))
		return fail(-EBADMSG, "the key slot is damaged");
	if (memcmp(p + 48, repo_id, REPO_ID_SIZE) != 0)
		return fail(-EBADMSG,
				"the key slot belongs to another repository");
	*slot = (struct keyslot){
		.kind = p[9],
		.cost = { get_le32(p + 12), get_le32(p + 16) },
		.created = (int64_t)get_le64(p + 24),
	};
	memcpy(slot->salt, p + 32, KDF_SALT_SIZE);
	memcpy(slot->wrapped, p + WRAPPED_AT, WRAPPED_KEY_SIZE);
	if (p[9] < KEYSLOT_PASSPHRASE || p[9] > KEYSLOT_RECOVERY
			|| !cost_fits(slot->kind, &slot->cost)
			|| slot->created < 0 || slot->created >= YEAR_10000)
		return fail(-EBADMSG, "the key slot is not valid");
	int err = decode_label(slot->label, p + LABEL_AT);
	if (err == -ENOMEM)
		return fail_errno(err, "reading a key slot");
	if (err < 0)
		return fail(err, "the key slot's label is not valid");
	return 0;
}

int keyslot_unwrap(const struct keyslot *slot, const uint8_t *repo_id,
		const void *secret, size_t secret_len,
		uint8_t master[MASTER_KEY_SIZE])
{
	uint8_t kek[32], ad[AD_SIZE];
	int err = seal_derive_kek(kek, secret, secret_len, slot->salt,
			&slot->cost);
	if (err < 0)
		return err;
	make_ad(ad, slot, repo_id);
	err = seal_unwrap(master, kek, slot->wrapped, ad, sizeof(ad));
	seal_wipe(kek, sizeof(kek));
	return err;
}
