/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs checkpoint remove: so that virsh can undefine a domain, or make and
 * revert its snapshots. */
#include "checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/live/checkpoint_removal.h"
#include "ingest/live/domain_lock.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/options.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define PROGRAM "amberfs checkpoint remove"

struct checkpoint_command {
	struct report_options report;
	const char *connect, *wait;
	int64_t wait_seconds;
	json_t *rows;
	unsigned done, failed;
};

static int remove_locked(const struct checkpoint_command *command,
		struct connection *conn, const char *uuid,
		struct checkpoint_removal *removed)
{
	struct domain_lock lock;
	bool waited;
	int err = domain_lock_take(&lock, uuid, "which removes its checkpoints",
			command->wait_seconds, &waited);
	if (err < 0)
		return err;
	err = checkpoint_removal_run(conn, uuid, removed);
	domain_lock_release(&lock);
	return err;
}

static int remove_of(const struct checkpoint_command *command,
		struct connection *conn, const char *name,
		struct checkpoint_removal *removed)
{
	struct domain *domain;
	struct domain_facts facts;
	int err = domain_find(&domain, conn, name);
	if (err < 0)
		return err;
	err = domain_facts(domain, &facts);
	if (err == 0)
		err = remove_locked(command, conn, facts.uuid, removed);
	domain_facts_clear(&facts);
	domain_free(domain);
	return err;
}

static void report(struct checkpoint_command *command, const char *name,
		const struct checkpoint_removal *removed, int err)
{
	char shown[256];
	name_display(shown, sizeof(shown), name);
	json_array_append_new(command->rows,
			json_pack("{s:o,s:i,s:i,s:o}", "name",
					report_json_text(name),
					"checkpoint_count",
					(int)removed->checkpoints,
					"bitmap_count", (int)removed->bitmaps,
					"error",
					err < 0 ? report_json_error(err, name)
						: json_null()));
	command->done += err == 0;
	command->failed += err < 0;
	if (err < 0)
		report_error("domain %s: %s", shown, error_text(err));
	if (!report_json() && (err == 0 || removed->checkpoints != 0))
		printf("%s: removed %u checkpoint%s and %u other bitmap%s\n",
				shown, removed->checkpoints,
				removed->checkpoints == 1 ? "" : "s",
				removed->bitmaps,
				removed->bitmaps == 1 ? "" : "s");
}

static int run(struct checkpoint_command *command, int count, char **names)
{
	struct connection *conn;
	int err = connection_open(&conn, command->connect, CONNECTION_SECRETS);
	if (err < 0) {
		report_failure(err, command->connect);
		return EXIT_FAILED;
	}
	for (int i = 0; i < count && !interrupt_flag; i++) {
		struct checkpoint_removal removed = { 0 };
		err = remove_of(command, conn, names[i], &removed);
		report(command, names[i], &removed, err);
	}
	connection_close(conn);
	if (report_json())
		report_print_json(json_pack("{s:O}", "domains", command->rows));
	if (command->failed == 0)
		return EXIT_DONE;
	return command->done != 0 ? EXIT_PARTLY : EXIT_FAILED;
}

static int remove_main(int argc, char **argv)
{
	struct checkpoint_command c = { .rows = json_array() };
	const struct option own[] = {
		{ "connect", 'c', OPTION_TEXT, &c.connect, "URI",
				"connect to URI (default: "
				"LIBVIRT_DEFAULT_URI)" },
		{ "wait", 0, OPTION_TEXT, &c.wait, "DURATION",
				"wait for a backup of the domain to end" },
		{ 0 },
	};
	const struct option *const tables[] = { own,
		report_option_table(&c.report), NULL };
	const struct command_line cl = {
		.program = PROGRAM,
		.operands = "DOMAIN...",
		.purpose = "Remove the checkpoints and bitmaps that backups "
			   "left in domains, so that virsh\n"
			   "can undefine them, and make and revert snapshots. "
			   "The next backup reads all.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv);
	report_setup(PROGRAM, &c.report);
	if (c.wait != NULL && age_parse(&c.wait_seconds, c.wait) < 0)
		options_error(&cl, "--wait: %s", error_text(-EINVAL));
	interrupt_setup();
	int status = run(&c, n, argv + 1);
	json_decref(c.rows);
	return report_finish(status);
}

int checkpoint_main(int argc, char **argv)
{
	const struct option *tables[] = { NULL };
	const struct command_line cl = {
		.program = "amberfs checkpoint",
		.operands = "remove DOMAIN...",
		.purpose = "Manage what backups leave in libvirt's domains; "
			   "see 'amberfs checkpoint remove\n--help'.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	if (argc > 1 && strcmp(argv[1], "remove") == 0)
		return remove_main(argc - 1, argv + 1);
	if (argc > 1 && argv[1][0] == '-')
		options_parse(&cl, argc, argv);
	options_error(&cl, "%s%s: use remove",
			argc > 1 ? "unknown subcommand " : "missing subcommand",
			argc > 1 ? argv[1] : "");
}
