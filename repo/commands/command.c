/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands share; see command.h. */
#include <errno.h>

#include "repo/base/error.h"
#include "command.h"

struct repository *command_open(const char *path,
		const struct common_options *o)
{
	struct repository *r = NULL;
	int err = repository_open(&r, path, &o->repository);
	if (err == 0)
		err = repository_attach(r, &o->repository);
	if (err < 0) {
		command_failed(err);
		repository_close(r);
		return NULL;
	}
	return r;
}

int command_session_to_delete(struct session **out, struct repository *r,
		const char *activity)
{
	int err = session_begin(out, r, SESSION_WRITE, activity);
	if (err != -ENOSPC && err != -EDQUOT)
		return err;
	report_verbose("no room to register a session; going on without one");
	error_clear();
	*out = NULL;
	return 0;
}

int command_failed(int err)
{
	report_error("%s", error_text(err));
	return EXIT_FAILED;
}
