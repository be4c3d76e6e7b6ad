/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the repository opens with the key that unattended runs would have. No
 * passphrase is asked for. */
#include <errno.h>

#include "checks.h"
#include "repo/base/error.h"
#include "repo/crypto/seal.h"
#include "repo/repository/credentials.h"

static void report_error_of(struct doctor *doctor, int err)
{
	doctor_found(doctor, DOCTOR_FAILURE, doctor->options->repository_path,
			"can't be opened: %s", error_text(err));
	doctor_means(doctor, "No backup, mount or restore works like this.");
}

static void report_unknown_key(struct doctor *doctor)
{
	char path[DOCTOR_QUOTE_MAX];
	doctor_found(doctor, DOCTOR_WARNING, doctor->options->repository_path,
			"no key is named by options or AMBERFS_* variables, "
			"so it was not opened");
	doctor_means(doctor,
			"A run at night can't ask for a passphrase. Make a key "
			"file, and name it to the runs:");
	doctor_command(doctor,
			"amberfs key add %s --new-key-file "
			"/etc/amberfs/key",
			doctor_quote(path, doctor->options->repository_path));
	doctor_command(doctor, "export AMBERFS_KEY_FILE=/etc/amberfs/key");
}

void check_open(struct doctor *doctor)
{
	const struct doctor_options *options = doctor->options;
	struct repository_options how = options->repository;
	struct repository *repo = NULL;
	uint8_t id[REPO_ID_SIZE];
	if (!credentials_given(&options->repository.credentials)) {
		int err = repository_peek_id(options->repository_path, id);
		if (err < 0)
			report_error_of(doctor, err);
		else
			report_unknown_key(doctor);
		return;
	}
	how.credentials.mode_known = true; /* by check_key_file */
	int err = repository_open(&repo, options->repository_path, &how);
	if (err < 0) {
		report_error_of(doctor, err);
		return;
	}
	doctor_found(doctor, DOCTOR_OK, options->repository_path,
			repo->config.encrypted
					? "opens with the key that is given"
					: "opens; it is not encrypted");
	repository_close(repo);
}
