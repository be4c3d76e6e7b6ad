/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands share; see command.h. */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "repo/base/error.h"

static const char *about; /* the repository, once it is to be opened */

struct repository *command_open(const char *path,
		const struct common_options *options)
{
	struct repository *repo = NULL;
	about = path;
	int err = repository_open(&repo, path, &options->repository);
	if (err == 0)
		err = repository_attach(repo, &options->repository);
	if (err < 0) {
		command_failed(err);
		repository_close(repo);
		return NULL;
	}
	return repo;
}

int command_session_to_delete(struct session **out, struct repository *repo,
		const char *activity)
{
	int err = session_begin(out, repo, SESSION_WRITE, activity);
	if (err != -ENOSPC && err != -EDQUOT)
		return err;
	report_verbose("no space to register a session; continuing without "
		       "one");
	error_clear();
	*out = NULL;
	return 0;
}

bool command_agreed(const char *question)
{
	char answer[16] = "";
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return false;
	fprintf(stderr, "%s [y/N] ", question);
	return fgets(answer, sizeof(answer), stdin) != NULL
			&& (answer[0] == 'y' || answer[0] == 'Y');
}

int command_failed(int err)
{
	report_failure(err, about);
	return EXIT_FAILED;
}
