/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the commands share; see command.h. */
#include <string.h>

#include "../base/error.h"
#include "command.h"

const struct option *report_option_table(struct report_options *o)
{
	static struct option table[4];
	const struct option rows[] = {
		{ "json", 0, OPTION_FLAG, &o->json, NULL,
			"print the result as one JSON object" },
		{ "verbose", 'v', OPTION_FLAG, &o->verbose, NULL,
			"say more" },
		{ "quiet", 'q', OPTION_FLAG, &o->quiet, NULL,
			"show no progress" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	memcpy(table, rows, sizeof(rows));
	return table;
}

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
