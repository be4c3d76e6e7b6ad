/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command `amberfs domains`. */
#include "domains.h"

#include <stdio.h>

#include "listing.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/repository/repository.h"

#define PROGRAM "amberfs domains"

struct domains_command {
	const char *uri, *repository;
	struct report_options report;
	struct repository_options options;
};

static int add_backups(const struct domains_command *command,
		struct listing *listing)
{
	struct repository *repo = NULL;
	if (command->repository == NULL)
		return 0;
	int err = repository_open(&repo, command->repository,
			&command->options);
	if (err == 0)
		err = listing_add_backups(listing, repo);
	repository_close(repo);
	return err;
}

static int list(const struct domains_command *command)
{
	struct listing l = { 0 };
	struct connection *conn;
	int status = EXIT_DONE;
	int err = connection_open(&conn, command->uri, CONNECTION_READ);
	if (err != 0) {
		report_failure(err, command->uri);
		return EXIT_FAILED;
	}
	err = listing_make(&l, conn);
	if (err == 0)
		err = add_backups(command, &l);
	if (err == 0)
		err = command->report.json
				? listing_json_print(&l, connection_uri(conn))
				: listing_text_print(&l);
	if (err != 0) {
		report_failure(err, command->uri);
		status = EXIT_FAILED;
	} else if (listing_has_problems(&l)) {
		status = EXIT_PARTLY;
	}
	listing_clear(&l);
	connection_close(conn);
	return report_finish(status);
}

int domains_main(int argc, char **argv)
{
	struct domains_command c = { .uri = NULL };
	const struct option options[] = {
		{ "connect", 'c', OPTION_TEXT, &c.uri, "URI",
				"libvirt (default: LIBVIRT_DEFAULT_URI, else "
				"qemu:///system)" },
		{ 0 },
	};
	const struct option *const tables[] = { options,
		repository_option_table(&c.options),
		report_option_table(&c.report), NULL };
	const struct command_line cl = {
		.program = PROGRAM,
		.operands = "[REPO]",
		.purpose = "List the domains of this host's libvirt, their "
			   "disks, and which of them can be\n"
			   "backed up; and the last backup of each in REPO. A "
			   "read-only connection\nis enough.",
		.notes = "Media of CD-ROM and floppy drives are not backed up "
			 "with their domain.\n"
			 "Exit status: 0 done, 1 cannot connect, 2 usage, 3 a "
			 "domain could not be read.",
		.tables = tables,
		.max_operands = 1,
	};
	if (options_parse(&cl, argc, argv) == 1)
		c.repository = argv[1];
	report_setup(PROGRAM, &c.report);
	return list(&c);
}
