/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * REPO/keys/XXXXXXXXXXXXXXXX: each is one way to the master key (table in
 * FORMAT.md). Not sealed: unsealing starts from it. A checksum guards against
 * damage before any costly work, the AEAD of the wrapped key (whose associated
 * data is the rest of the slot) against forgery.
 */
#ifndef AMBERFS_FORMAT_KEYSLOT_H
#define AMBERFS_FORMAT_KEYSLOT_H

#include "repo/crypto/seal.h"

#define KEYSLOT_SIZE 256
#define KEYSLOT_LABEL_MAX 48

enum keyslot_kind {
	KEYSLOT_PASSPHRASE = 1,
	KEYSLOT_KEY_FILE = 2,
	KEYSLOT_RECOVERY = 3,
};

/* Default Argon2id cost; the most a reader accepts. */
#define KDF_DEFAULT_OPS 3u
#define KDF_DEFAULT_MEM_KIB (256u * 1024)
#define KDF_MAX_OPS 64u
#define KDF_MAX_MEM_KIB (1024u * 1024)

struct keyslot {
	enum keyslot_kind kind;
	struct kdf_cost cost;
	uint8_t salt[KDF_SALT_SIZE];
	uint8_t wrapped[WRAPPED_KEY_SIZE];
	int64_t created;
	char label[KEYSLOT_LABEL_MAX + 1]; /* escaped name */
};

/* Wraps MASTER under SECRET. Fills SLOT's salt and wrapped key from its kind,
 * cost, created and label, and encodes it. 0, -ENOMEM, or -EINVAL for a cost
 * that keyslot_decode would refuse (the minimum is 8 KiB of memory; a slot that
 * is not for a passphrase has no cost). */
int keyslot_make(uint8_t out[KEYSLOT_SIZE], struct keyslot *slot,
		const uint8_t *repo_id, const void *secret, size_t secret_len,
		const uint8_t master[MASTER_KEY_SIZE]);

/* 0, -EBADMSG, -ENOMEM. */
int keyslot_decode(struct keyslot *slot, const uint8_t *repo_id,
		const void *data, size_t len);

/* 0, -EKEYREJECTED, -ENOMEM. */
int keyslot_unwrap(const struct keyslot *slot, const uint8_t *repo_id,
		const void *secret, size_t secret_len,
		uint8_t master[MASTER_KEY_SIZE]);

#endif
