/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The wrapping of small sealed objects (snapshot, session, condemned, damaged,
 * pin, retention):
 *
 *	0	4	magic "AMB1"
 *	4	1	kind (enum envelope_kind)
 *	5	1	seal: 1 XChaCha20-Poly1305, 0 checksum
 *	6	2	zero
 *	8	4	n: length of the payload
 *	12	n+40	box: nonce 24, payload n, tag 16
 *
 * Associated data: repository id, the 12 bytes above, the object's full name.
 */
#ifndef AMBERFS_FORMAT_ENVELOPE_H
#define AMBERFS_FORMAT_ENVELOPE_H

#include "repo/crypto/seal.h"

enum envelope_kind {
	ENVELOPE_SNAPSHOT = 1,
	ENVELOPE_SESSION = 2,
	ENVELOPE_CONDEMNED = 3,
	ENVELOPE_DAMAGED = 4,
	ENVELOPE_PIN = 5,
	ENVELOPE_RETENTION = 6,
};

#define ENVELOPE_HEADER_SIZE 12
#define ENVELOPE_PAYLOAD_MAX (8u << 20)
#define ENVELOPE_NAME_MAX 512 /* longer names are refused */

/* Returns malloc'ed bytes in *OUT. 0, -ENOMEM, -EFBIG, -ENAMETOOLONG. */
int envelope_seal(const struct seal *seal, const uint8_t *repo_id,
		enum envelope_kind kind, const char *name, const void *payload,
		size_t len, uint8_t **out, size_t *out_len);

/* The payload, malloc'ed, with a NUL after it that LEN does not count.
 * 0, -EBADMSG with a text, -ENOMEM. */
int envelope_open(const struct seal *seal, const uint8_t *repo_id,
		enum envelope_kind kind, const char *name, const void *data,
		size_t data_len, char **payload, size_t *len);

#endif
