/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands share; see command.h. */
#include "../base/error.h"
#include "command.h"

struct repository *command_open(const char *path,
		const struct common_options *o)
{
	struct repository *r = NULL;
	int e = repository_open(&r, path, &o->repository);
	if (e == 0)
		e = repository_attach(r, &o->repository);
	if (e < 0) {
		command_failed(e);
		repository_close(r);
		return NULL;
	}
	return r;
}

int command_failed(int err)
{
	report_error("%s", error_text(err));
	return EXIT_FAILED;
}
