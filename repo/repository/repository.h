/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An open repository: what the three programs share. Opening reads config and
 * unlocks the key; the index and the packs are set up by repository_attach,
 * which must come after a daemon's last fork.
 */
#ifndef AMBERFS_REPOSITORY_REPOSITORY_H
#define AMBERFS_REPOSITORY_REPOSITORY_H

#include "repo/base/options.h"
#include "repo/format/config.h"
#include "repo/format/snapshot.h"
#include "repo/image/image.h"
#include "repo/pack/pack_cache.h"

#define KEY_SLOT_DIGITS 16

struct repository {
	struct store *store;
	struct config config;
	struct seal *seal;
	char key_slot[KEY_SLOT_DIGITS + 1]; /* that opened it; "": none */
	/* After repository_attach: */
	struct exclusions *exclusions;
	struct pack_cache *packs;
	struct index *index;
};

/* What the configuration says of a repository that was given by its name. */
struct configured_credentials {
	const char *key_file, *passphrase_file, *passphrase_command;
};

/* How to unlock; filled from options and environment by the option table. */
struct credentials {
	const char *passphrase_file;	/* --passphrase-file */
	const char *passphrase_command; /* --passphrase-command */
	const char *key_file;		/* --key-file */
	bool no_encryption;		/* --no-encryption, for init */
	/* What is typed at a prompt is kept as if it had been in the
	 * environment, for a mount that is to be started. */
	bool keep;
	/* Who can read a key file was looked at already: no warning. */
	bool mode_known;
	/* Of a second repository: "to" makes them --to-key-file and
	 * AMBERFS_TO_KEY_FILE. NULL: the one that every command has. */
	const char *role;
	/* Used where neither options nor environment say anything. */
	struct configured_credentials configured;
};

struct repository_options {
	struct credentials credentials;
	const char *index_dir; /* --index-dir; NULL: default */
	uint32_t chunks_max;   /* locality cache; 0: default */
	int64_t min_age;       /* seconds, for init; see min_age.h */
};

/* The option rows that every command with a REPO has: --key-file,
 * --passphrase-file, --passphrase-command, --index-dir, --config. OPTIONS is
 * remembered. REPO, an operand, may be a name of the configuration: it is its
 * place after options_parse (repository_name.h). */
const struct option *repository_option_table(
		struct repository_options *options);
/* The same for a second repository, the operand REPO2, with ROLE ("to", "from";
 * static) before each name. */
const struct option *repository_second_option_table(
		struct repository_options *options, const char *role);

/* 0; -ENOENT no repository there; -EKEYREJECTED; … with a text that names
 * PATH and the remedy. */
int repository_open(struct repository **out, const char *path,
		const struct repository_options *options);
int repository_attach(struct repository *repo,
		const struct repository_options *options);
/* The id in the config at PATH, read without a key and thus not
 * authenticated. */
int repository_peek_id(const char *path, uint8_t id[REPO_ID_SIZE]);
void repository_close(struct repository *repo); /* NULL allowed */

/* Makes a new one: directories, reserve file, key slot, the first setting of
 * retention if OPTIONS has a min_age, config last. */
int repository_init(const char *path, const struct repository_options *options,
		const struct config *config);

#endif
