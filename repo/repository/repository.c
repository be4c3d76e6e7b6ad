/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Opening and making a repository.
 *
 * Making one, durable in this order: directories, reserve, key slot, retention,
 * config. A directory without config is not a repository, so a crash on the way
 * leaves nothing that anyone would trust.
 */
#include "repository.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "credentials.h"
#include "keys.h"
#include "min_age.h"
#include "repository_name.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define CHUNKS_DEFAULT (512u << 10)
#define RESERVE_SIZE ((uint64_t)80 << 20)
/* A newer version's may be longer: config_decode tells. */
#define CONFIG_READ_MAX 4096

/* --- options --- */

#define OPTIONS 4 /* that both repositories have */
#define OPTIONS_MAX (OPTIONS + 3)
#define ROLE_NAME_MAX 32

/* OPERAND is the one that may be a name. */
static void fill_options(struct option *option,
		struct repository_options *options,
		struct option_operand *operand)
{
	const struct option rows[OPTIONS + 2] = {
		{ "key-file", 0, OPTION_TEXT, &options->credentials.key_file,
				"FILE", "key file that opens the repository" },
		{ "passphrase-file", 0, OPTION_TEXT,
				&options->credentials.passphrase_file, "FILE",
				"read the passphrase from FILE" },
		{ "passphrase-command", 0, OPTION_TEXT,
				&options->credentials.passphrase_command, "CMD",
				"read the passphrase from CMD's output" },
		{ "index-dir", 0, OPTION_TEXT, &options->index_dir, "DIR",
				"directory for the index (a cache)" },
		{ "", 0, OPTION_OPERAND, operand, NULL, NULL },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	operand->ctx = options;
	operand->resolve = repository_name_resolve;
	memcpy(option, rows, sizeof(rows));
}

const struct option *repository_option_table(struct repository_options *options)
{
	static struct option table[OPTIONS_MAX];
	static struct option_operand operand = { .name = "REPO",
		.variable = "AMBERFS_REPOSITORY" };
	fill_options(table, options, &operand);
	table[OPTIONS + 1] = (struct option){ "config", 0, OPTION_TEXT,
		&repository_name_file, "FILE", NULL };
	table[OPTIONS + 2] = (struct option){ .name = NULL };
	return table;
}

const struct option *repository_second_option_table(
		struct repository_options *options, const char *role)
{
	static struct option table[OPTIONS_MAX];
	static struct option_operand operand = { .name = "REPO2" };
	static char names[OPTIONS][ROLE_NAME_MAX];
	static const char *const help[OPTIONS] = {
		"key file that opens the second repository",
		"read its passphrase from FILE",
		"read its passphrase from CMD's output",
		"directory for its index",
	};
	options->credentials.role = role;
	fill_options(table, options, &operand);
	for (size_t i = 0; i < OPTIONS; i++) {
		snprintf(names[i], sizeof(names[i]), "%s-%s", role,
				table[i].name);
		table[i].name = names[i];
		table[i].help = help[i];
	}
	return table;
}

/* --- unlocking --- */

static int unlock(struct repository *repo,
		const struct credentials *credentials)
{
	struct secret secret;
	if (!repo->config.encrypted) {
		if (credentials_given(credentials))
			return fail(-EKEYREJECTED,
					"%s is not encrypted, but a key was "
					"given: if it should be encrypted, "
					"its config was replaced; if not, do "
					"not give a key (check AMBERFS_* "
					"variables too)",
					store_path(repo->store));
		repo->seal = seal_new(repo->config.public_key, false);
		return repo->seal != NULL ? 0 : fail_no_memory("opening");
	}
	int err = credentials_secret(credentials, store_path(repo->store),
			false, &secret);
	if (err < 0)
		return err;
	uint8_t *master = seal_secret_alloc(MASTER_KEY_SIZE);
	err = master != NULL ? keys_open(repo->store, repo->config.repo_id,
			      &secret, master, repo->key_slot)
			     : fail_no_memory("opening");
	if (err == 0) {
		repo->seal = seal_new(master, true);
		if (repo->seal == NULL)
			err = fail_no_memory("opening");
	}
	seal_secret_free(master);
	credentials_clear_secret(&secret);
	return err;
}

static int open_config(struct repository *repo,
		const struct credentials *credentials)
{
	CLEANUP_FREE void *data = NULL;
	size_t len;
	int err = store_get(repo->store, CONFIG_NAME, &data, &len,
			CONFIG_READ_MAX);
	if (err == -ENOENT)
		return fail(-ENOENT,
				"%s is not an amberfs repository (it has "
				"no config); make one with 'amberfs init'",
				store_path(repo->store));
	if (err == 0)
		err = config_decode(&repo->config, data, len);
	if (err == 0)
		err = unlock(repo, credentials);
	if (err < 0)
		return err;
	if (config_authenticate(data, len, repo->seal) < 0)
		return fail(-EBADMSG,
				"%s/config was changed by someone without "
				"the key: restore it from a good copy",
				store_path(repo->store));
	return 0;
}

int repository_open(struct repository **out, const char *path,
		const struct repository_options *options)
{
	int err = seal_global_init();
	if (err < 0)
		return fail(err, "can't initialize libsodium");
	struct repository *repo = calloc(1, sizeof(*repo));
	if (repo == NULL)
		return fail_errno(-ENOMEM, "opening %s", path);
	err = store_open_local(&repo->store, path);
	if (err == -ENOENT)
		err = fail(-ENOENT,
				"there is no repository at %s; make one with "
				"'amberfs init %s'",
				path, path);
	if (err == 0)
		err = open_config(repo, &options->credentials);
	if (err < 0) {
		repository_close(repo);
		return err;
	}
	*out = repo;
	return 0;
}

static int read_id(struct store *store, uint8_t id[REPO_ID_SIZE])
{
	CLEANUP_FREE void *data = NULL;
	struct config config;
	size_t len = 0;
	int err = store_get(store, CONFIG_NAME, &data, &len, CONFIG_READ_MAX);
	if (err < 0)
		return err;
	err = config_decode(&config, data, len);
	if (err < 0)
		return err;
	memcpy(id, config.repo_id, REPO_ID_SIZE);
	return 0;
}

int repository_peek_id(const char *path, uint8_t id[REPO_ID_SIZE])
{
	struct store *store = NULL;
	int err = store_open_local(&store, path);
	if (err == 0)
		err = read_id(store, id);
	store_close(store);
	return err < 0 ? fail_within(err, "%s", path) : 0;
}

int repository_attach(struct repository *repo,
		const struct repository_options *options)
{
	repo->exclusions = exclusions_new(repo->store, repo->seal,
			repo->config.repo_id);
	repo->packs = repo->exclusions == NULL
			? NULL
			: pack_cache_new(repo->store, repo->seal,
					repo->config.repo_id, repo->exclusions,
					options->chunks_max
							? options->chunks_max
							: CHUNKS_DEFAULT);
	if (repo->packs == NULL)
		return fail_errno(-ENOMEM, "opening %s",
				store_path(repo->store));
	int err = index_open(&repo->index, repo->store, repo->config.repo_id,
			options->index_dir, pack_cache_load_for_index,
			repo->packs);
	if (err < 0)
		return err;
	pack_cache_set_index(repo->packs, repo->index);
	return 0;
}

void repository_close(struct repository *repo)
{
	if (repo == NULL)
		return;
	index_close(repo->index);
	pack_cache_free(repo->packs);
	exclusions_free(repo->exclusions);
	seal_free(repo->seal);
	store_close(repo->store);
	free(repo);
}

/* --- making --- */

static int put_retention(struct store *store, const struct config *config,
		const struct seal *seal, int64_t min_age)
{
	struct min_age_setting first = { .since = config->created,
		.min_age = min_age };
	return min_age == 0 ? 0
			    : min_age_put_first(store, seal, config->repo_id,
					    &first);
}

static int fill_new(struct store *store, const struct config *config,
		const struct secret *secret, const uint8_t *master,
		int64_t min_age)
{
	uint8_t bytes[CONFIG_SIZE];
	char digits[KEY_SLOT_DIGITS + 1];
	struct seal *seal = seal_new(master, config->encrypted);
	if (seal == NULL)
		return fail_no_memory("making a repository");
	int err = store_reserve_make(store, RESERVE_SIZE);
	if (err == 0 && config->encrypted)
		err = keys_add(store, config->repo_id, secret, "", master,
				digits);
	if (err == 0)
		err = put_retention(store, config, seal, min_age);
	config_encode(bytes, config, seal);
	seal_free(seal);
	/* The last step: from here on it is a repository. */
	return err < 0 ? err
		       : store_put(store, CONFIG_NAME, bytes, sizeof(bytes),
				       true);
}

static int init_encrypted(const char *path,
		const struct repository_options *options,
		const struct config *config)
{
	struct secret secret;
	struct store *store = NULL;
	int err = credentials_secret(&options->credentials, path, true,
			&secret);
	if (err < 0)
		return err;
	uint8_t *master = seal_secret_alloc(MASTER_KEY_SIZE);
	err = master != NULL ? store_create_local(&store, path)
			     : fail_no_memory("making a repository");
	if (err == 0) {
		seal_random(master, MASTER_KEY_SIZE);
		err = fill_new(store, config, &secret, master,
				options->min_age);
	}
	store_close(store);
	seal_secret_free(master);
	credentials_clear_secret(&secret);
	return err;
}

int repository_init(const char *path, const struct repository_options *options,
		const struct config *config)
{
	struct store *store;
	int err = seal_global_init();
	if (err < 0)
		return fail(err, "can't initialize libsodium");
	if (config->encrypted)
		return init_encrypted(path, options, config);
	if (credentials_given(&options->credentials))
		return fail(-EINVAL,
				"--no-encryption can't be combined with a "
				"key (option or AMBERFS_* variable)");
	err = store_create_local(&store, path);
	if (err < 0)
		return err;
	err = fill_new(store, config, NULL, config->public_key,
			options->min_age);
	store_close(store);
	return err;
}
