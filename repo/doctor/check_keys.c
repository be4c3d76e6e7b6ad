/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who can read the key of this host, and what opens the repository when this
 * host is lost. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checks.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"
#include "repo/repository/credentials.h"
#include "repo/repository/keys.h"
#include "repo/repository/secret_env.h"

static void report_mode(struct doctor *doctor, const char *path,
		const struct stat *st)
{
	char quoted[DOCTOR_QUOTE_MAX];
	doctor_quote(quoted, path);
	/* As everywhere: a group may be meant to read it. */
	if ((st->st_mode & (S_IWGRP | S_IRWXO)) != 0) {
		doctor_found(doctor, DOCTOR_FAILURE, path,
				"is open to other users (its mode is %04o)",
				(unsigned)st->st_mode & 07777);
		doctor_means(doctor,
				"Whoever has read it can read all "
				"backups.");
		doctor_command(doctor, "chmod 600 %s", quoted);
	} else if (st->st_uid != 0 && st->st_uid != geteuid()) {
		doctor_found(doctor, DOCTOR_FAILURE, path,
				"belongs to another user (%u)",
				(unsigned)st->st_uid);
		doctor_means(doctor, "That user can read all backups.");
		doctor_command(doctor, "chown %u %s", (unsigned)geteuid(),
				quoted);
	} else {
		doctor_found(doctor, DOCTOR_OK, path,
				"only its user can read this key");
	}
}

static bool is_in_repository(const struct doctor *doctor, const char *path)
{
	CLEANUP_FREE char *key = realpath(path, NULL);
	CLEANUP_FREE char *repo =
			realpath(doctor->options->repository_path, NULL);
	size_t len = repo != NULL ? strlen(repo) : 0;
	return key != NULL && repo != NULL && strncmp(key, repo, len) == 0
			&& key[len] == '/';
}

static void look_at(struct doctor *doctor, const char *path)
{
	char quoted[DOCTOR_QUOTE_MAX];
	struct stat st;
	if (stat(path, &st) < 0) {
		doctor_found(doctor, DOCTOR_FAILURE, path,
				"the key can't be read: %s", strerror(errno));
		return;
	}
	report_mode(doctor, path, &st);
	if (!is_in_repository(doctor, path))
		return;
	doctor_found(doctor, DOCTOR_FAILURE, path,
			"lies in the repository that it opens");
	doctor_means(doctor,
			"Whoever gets hold of the repository has the key with "
			"it.");
	doctor_command(doctor, "mv %s /etc/amberfs/key",
			doctor_quote(quoted, path));
}

void check_key_file(struct doctor *doctor)
{
	const struct credentials *given =
			&doctor->options->repository.credentials;
	const char *path = credentials_key_file(given);
	if (path == NULL)
		path = given->passphrase_file;
	if (path == NULL && given->passphrase_command == NULL)
		path = secret_env_get("AMBERFS_PASSPHRASE_FILE");
	if (path != NULL)
		look_at(doctor, path);
}

static int load(struct key_slots *slots, const char *path)
{
	struct store *store = NULL;
	uint8_t id[REPO_ID_SIZE];
	int err = seal_global_init();
	if (err == 0)
		err = repository_peek_id(path, id);
	if (err == 0)
		err = store_open_local(&store, path);
	if (err == 0)
		err = keys_load(slots, store, id);
	store_close(store);
	return err;
}

/* REMOTE: slots that something opens which does not lie on this host. */
static void report_slots(struct doctor *doctor, int count, int remote)
{
	char quoted[DOCTOR_QUOTE_MAX], slots[COUNT_TEXT_MAX];
	const char *path = doctor->options->repository_path;
	count_format(slots, (uint64_t)count, "key");
	if (remote > 0) {
		doctor_found(doctor, DOCTOR_OK, "keys",
				"%s open%s it, a passphrase or recovery key "
				"among them",
				slots, count == 1 ? "s" : "");
		return;
	}
	doctor_found(doctor, DOCTOR_WARNING, "keys", "%s, from %s", slots,
			count == 1 ? "a file, opens it" : "files, open it");
	doctor_means(doctor,
			"When this host is lost, the files are lost with it, "
			"and nobody can read the backups. A recovery key is "
			"printed once; keep it on paper elsewhere, with a copy "
			"of the repository's config.");
	doctor_command(doctor, "amberfs key add %s --recovery --label safe",
			doctor_quote(quoted, path));
}

void check_key_slots(struct doctor *doctor)
{
	CLEANUP_FREE struct key_slots *slots = calloc(1, sizeof(*slots));
	int remote = 0, readable = 0;
	if (slots == NULL || load(slots, doctor->options->repository_path) < 0)
		return; /* check_open has said so */
	for (int i = 0; i < slots->count; i++) {
		const struct key_slot *one = &slots->items[i];
		if (!one->readable) {
			doctor_found(doctor, DOCTOR_WARNING, "keys",
					"the slot %s is damaged", one->digits);
			doctor_means(doctor,
					"Its key opens nothing. 'amberfs "
					"key add' makes it anew.");
			continue;
		}
		readable++;
		remote += one->slot.kind != KEYSLOT_KEY_FILE;
	}
	if (readable > 0)
		report_slots(doctor, readable, remote);
}
