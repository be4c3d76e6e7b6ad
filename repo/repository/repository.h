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

/* How to unlock; filled from options and environment by the option table. */
struct credentials {
	const char *passphrase_file;	/* --passphrase-file */
	const char *passphrase_command; /* --passphrase-command */
	const char *key_file;		/* --key-file */
	bool no_encryption;		/* --no-encryption, for init */
	/* What is typed at a prompt is kept as if it had been in the
	 * environment, for a mount that is to be started. */
	bool keep;
	/* Of a second repository: "to" makes them --to-key-file and
	 * AMBERFS_TO_KEY_FILE. NULL: the one that every command has. */
	const char *role;
};

struct repository_options {
	struct credentials credentials;
	const char *index_dir; /* --index-dir; NULL: default */
	uint32_t chunks_max;   /* locality cache; 0: default */
	int64_t min_age;       /* seconds, for init; see min_age.h */
};

/* The option rows that every command with a REPO has: --key-file,
 * --passphrase-file, --passphrase-command, --index-dir. OPTIONS is remembered. */
const struct option *repository_option_table(
		struct repository_options *options);
/* The same for a second repository, with ROLE ("to", "from"; static) before
 * each name. */
const struct option *repository_second_option_table(
		struct repository_options *options, const char *role);

/* 0; -ENOENT no repository there; -EKEYREJECTED; … with a text that names
 * PATH and the remedy. */
int repository_open(struct repository **out, const char *path,
		const struct repository_options *options);
int repository_attach(struct repository *repo,
		const struct repository_options *options);
/* The id that the config at PATH gives, read without a key and thus proved by
 * nothing. */
int repository_peek_id(const char *path, uint8_t id[REPO_ID_SIZE]);
void repository_close(struct repository *repo); /* NULL allowed */

/* Makes a new one: directories, reserve file, key slot, the first setting of
 * retention if OPTIONS has a min_age, config last. */
int repository_init(const char *path, const struct repository_options *options,
		const struct config *config);

/* --- snapshots --- */

/* Loads all, or those of SOURCE (escaped; NULL: all), sorted by source and
 * time. Objects that can't be read are reported through ON_BAD (may be NULL:
 * fail) and left out. */
struct snapshot_list {
	struct snapshot **items;
	size_t count;
};
typedef void snapshot_bad_fn(void *ctx, const char *object, int err);
int snapshot_list_load(struct repository *repo, const char *source,
		struct snapshot_list *out, snapshot_bad_fn *on_bad, void *ctx);
void snapshot_list_clear(struct snapshot_list *list);

int snapshot_object_load(struct repository *repo, const char *object,
		struct snapshot **out);
/* 0: SNAP is still there, the very same; -ENOENT: it was forgotten (maybe
 * another has its name); or why that can't be told. What a session publishes
 * counts only if this says 0 afterwards. */
int snapshot_object_exists(struct repository *repo,
		const struct snapshot *snap);

/* SPEC: "source/time", "source/latest", a unique prefix (4+ digits) of an id;
 * each may be followed by "/file". *FILE (malloc'ed, may be NULL result) gets
 * the file's name. -ENOENT, -ENOTUNIQ with texts that help. */
int snapshot_resolve(struct repository *repo, const char *spec,
		struct snapshot **out, char **file);

/* The escaped name of a source that is given escaped, as shown, or as it is.
 * NULL without memory. */
char *snapshot_resolve_source(const char *text);

/* Newest of SOURCE, or NULL in *OUT. Warns (report) of a rollback if this
 * machine has seen a newer sequence number (remembered beside the index). */
int snapshot_list_latest(struct repository *repo, const char *source,
		struct snapshot **out);

/* The number of the next snapshot of SOURCE whose last one is BASE (or NULL):
 * higher than any that this machine has seen. */
uint64_t snapshot_list_next_sequence(struct repository *repo,
		const char *source, const struct snapshot *base);

/* THE commit point. Takes the next free second at or after SNAP->time, sets
 * object and id. */
int snapshot_object_commit(struct repository *repo, struct snapshot *snap);
/* The same at exactly SNAP->time, for a copy; -EEXIST if that is taken. */
int snapshot_object_commit_at(struct repository *repo, struct snapshot *snap);

/* True if A (of RA) and B (of RB) are one snapshot: one was copied from the
 * other, or both from one. */
bool snapshot_object_is_copy(const struct repository *ra,
		const struct snapshot *a, const struct repository *rb,
		const struct snapshot *b);

int snapshot_object_delete(struct repository *repo,
		const struct snapshot *snap);
/* The object's name and time of a snapshot that can't be read: SPEC must be
 * source/time. */
int snapshot_resolve_unread(const char *spec, char object[OBJECT_NAME_MAX],
		int64_t *time);

#endif
