/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the secret that opens a key slot comes from: options, environment
 * (AMBERFS_KEY_FILE, AMBERFS_PASSPHRASE, AMBERFS_PASSPHRASE_FILE,
 * AMBERFS_PASSPHRASE_COMMAND; of a second repository AMBERFS_TO_KEY_FILE …),
 * the configuration, else a prompt on the terminal.
 */
#ifndef AMBERFS_REPOSITORY_CREDENTIALS_H
#define AMBERFS_REPOSITORY_CREDENTIALS_H

#include "repo/format/keyslot.h"
#include "repository.h"

struct secret {
	enum keyslot_kind kind; /* which slots it may open */
	char *bytes;		/* seal_secret_alloc'ed */
	size_t len;
};

/* True if options or environment name a secret, without reading it. */
bool credentials_given(const struct credentials *credentials);

/* The key file, passphrase file or command that is used, or NULL. */
const char *credentials_key_file(const struct credentials *credentials);
const char *credentials_passphrase_file(const struct credentials *credentials);
const char *credentials_passphrase_command(
		const struct credentials *credentials);

/* The passphrase itself, if it comes from the environment (or was kept), or
 * NULL. */
const char *credentials_text(const struct credentials *credentials);

/* Reads the secret; prompts if nothing is given and a terminal is there.
 * CONFIRM: a new passphrase, asked for twice. 0; -ENOKEY: nothing given and no
 * terminal; -errno with a text. */
int credentials_secret(const struct credentials *credentials,
		const char *repository, bool confirm, struct secret *out);
/* For a new slot: the same from CREDENTIALS's options alone, the environment being for
 * the slot that opens. No option: asked for twice. */
int credentials_new_secret(const struct credentials *credentials,
		const char *repository, struct secret *out);
/* A new recovery key (format/recovery.h prints it). */
int credentials_recovery_key(struct secret *out);
void credentials_clear_secret(struct secret *secret);

/* Writes a new random key file (0600, never over an existing one). */
int credentials_make_key_file(const char *path);

#endif
