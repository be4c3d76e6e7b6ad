/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs init: a new repository. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "repo/repository/credentials.h"

struct init_options {
	struct common_options common;
	uint64_t chunk_average, frame_size;
	struct option_number level;
	const char *min_age;
};

static void check_sizes(const struct command_line *line,
		const struct init_options *options, struct config *config)
{
	if (options->chunk_average) {
		uint64_t a = options->chunk_average;
		if (a < 16 * KIB || a > 256 * KIB || (a & (a - 1)))
			options_error(line,
					"--chunk-average must be 16K, "
					"32K, 64K, 128K or 256K");
		config->chunk_average = (uint32_t)a;
		config->chunk_min = (uint32_t)(a / 4);
		config->chunk_max = (uint32_t)(4 * a);
	}
	if (options->frame_size) {
		if (options->frame_size < 16 * KIB
				|| options->frame_size > 512 * KIB
				|| options->frame_size % 4096)
			options_error(line,
					"--frame-size must be from "
					"16K to 512K, in steps of 4K");
		config->frame_size = (uint32_t)options->frame_size;
	}
	config->zstd_level = (int32_t)options->level.value;
}

static int make_repository(const char *path, const struct init_options *options,
		const struct config *config)
{
	const char *key_file = config->encrypted
			? credentials_key_file(
					&options->common.repository.credentials)
			: NULL;
	bool new_key = key_file != NULL && access(key_file, F_OK) < 0;
	int err = new_key ? credentials_make_key_file(key_file) : 0;
	if (err < 0)
		return err;
	err = repository_init(path, &options->common.repository, config);
	if (err < 0 && new_key)
		unlink(key_file); /* it opens nothing */
	if (err == 0 && new_key)
		report_warning("created the key file %s: keep a copy in a "
			       "safe place; without it the repository can't "
			       "be read",
				key_file);
	return err;
}

static void print_created(const struct init_options *options,
		const struct config *config, const char *id, const char *shown)
{
	char age[SIZE_TEXT_MAX];
	printf("Created %s repository %s in %s.\n",
			config->encrypted ? "the encrypted" : "the UNENCRYPTED",
			id, shown);
	if (options->common.repository.min_age > 0)
		printf("No snapshot in it can be removed before it is %s old; "
		       "this can't be undone.\n",
				age_format(age,
						options->common.repository
								.min_age));
}

int command_init(int argc, char **argv)
{
	struct init_options o = {
		.level = { .value = 3, .min = 1, .max = 19 }
	};
	const struct option own[] = {
		{ "no-encryption", 0, OPTION_FLAG,
				&o.common.repository.credentials.no_encryption,
				NULL, "do not encrypt" },
		{ "compression", 0, OPTION_NUMBER, &o.level, "LEVEL",
				"zstd level, 1 to 19 (default: 3)" },
		{ "min-age", 0, OPTION_TEXT, &o.min_age, "AGE",
				"minimum age for removing snapshots, e.g. "
				"30d" },
		{ "chunk-average", 0, OPTION_SIZE, &o.chunk_average, "SIZE",
				"average chunk size (default: 32K)" },
		{ "frame-size", 0, OPTION_SIZE, &o.frame_size, "SIZE",
				"how much is compressed as one unit" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs init",
		.operands = "REPO",
		.purpose = "Create a repository in REPO, a new or empty "
			   "directory. It is encrypted, with a\n"
			   "passphrase (prompted for) or a key file "
			   "(created if it does not exist).",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	struct config config;
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	const struct credentials *credentials =
			&o.common.repository.credentials;
	if (credentials->no_encryption && credentials_given(credentials))
		options_error(&cl,
				"--no-encryption can't be combined with a "
				"key (option or AMBERFS_* variable)");
	if (o.min_age != NULL
			&& age_parse(&o.common.repository.min_age, o.min_age)
					< 0)
		options_error(&cl, "--min-age: %s", error_text(-EINVAL));
	config_defaults(&config, !credentials->no_encryption);
	check_sizes(&cl, &o, &config);
	int err = make_repository(argv[1], &o, &config);
	if (err < 0)
		return command_failed(err);
	char id[2 * REPO_ID_SIZE + 1], shown[1024];
	hex_encode(id, config.repo_id, REPO_ID_SIZE);
	if (report_json())
		report_print_json(json_pack("{s:o,s:s,s:b,s:I}", "repository",
				report_json_text(argv[1]), "repository_id", id,
				"encrypted", (int)config.encrypted,
				"min_age_seconds",
				(json_int_t)o.common.repository.min_age));
	else if (report_wants_text())
		print_created(&o, &config, id,
				name_display(shown, sizeof(shown), argv[1]));
	return report_finish(EXIT_DONE);
}
