/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command `amberfs domains`. */
#include "domains.h"

#include <stdio.h>

#include "listing.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/report.h"

#define PROGRAM "amberfs domains"

static int list(const char *uri, bool json)
{
	struct listing l = { 0 };
	struct connection *conn;
	int status = EXIT_DONE;
	int err = connection_open(&conn, uri, CONNECTION_READ);
	if (err != 0) {
		report_error("%s", error_text(err));
		return EXIT_FAILED;
	}
	err = listing_make(&l, conn);
	if (err == 0)
		err = json ? listing_json_print(&l, connection_uri(conn))
			   : listing_text_print(&l);
	if (err != 0) {
		report_error("%s", error_text(err));
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
	const char *uri = NULL;
	struct report_options report = { 0 };
	const struct option options[] = {
		{ "connect", 'c', OPTION_TEXT, &uri, "URI",
				"libvirt (default: LIBVIRT_DEFAULT_URI, else "
				"qemu:///system)" },
		{ 0 },
	};
	const struct option *const tables[] = { options,
		report_option_table(&report), NULL };
	const struct command_line cl = {
		.program = PROGRAM,
		.operands = "",
		.purpose = "List the domains of this host's libvirt, their "
			   "disks, and which of them can be\n"
			   "backed up. A read-only connection is enough.",
		.notes = "Media of CD-ROM and floppy drives are not backed up "
			 "with their domain.\n"
			 "Exit status: 0 done, 1 cannot connect, 2 usage, 3 a "
			 "domain could not be read.",
		.tables = tables,
	};
	options_parse(&cl, argc, argv);
	report_setup(PROGRAM, &report);
	return list(uri, report.json);
}
