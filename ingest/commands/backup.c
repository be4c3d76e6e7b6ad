/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs backup: options, and what to back up. */
#include "backup.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>

#include "backup_domains.h"
#include "backup_files.h"
#include "ingest/backup/backup_report.h"
#include "ingest/backup/domain_state.h"
#include "ingest/backup/hooks.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"

struct backup_command {
	struct backup_options o;
	struct backup_words words;
	struct option_list domains, includes, excludes;
	bool all_domains;
	const char *name, *stdin_name, *connect;
	double begin;
	bool from_command, allow_empty;
};

/* --- the end --- */

static int exit_status(const struct backup_run *run) REQUIRES(run->mutex)
{
	if (run->failed == 0 && run->partly == 0 && run->broken.err == 0)
		return run->done ? EXIT_DONE : EXIT_FAILED;
	return run->done || run->partly ? EXIT_PARTLY : EXIT_FAILED;
}

/* --- domains --- */

static bool matches(const struct option_list *patterns, const char *name)
{
	for (int i = 0; i < patterns->count; i++)
		if (fnmatch(patterns->items[i], name, 0) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct backup_command *command, const char *name)
{
	return !matches(&command->excludes, name)
			&& (command->includes.count == 0
					|| matches(&command->includes, name));
}

static int run_all_domains(struct backup_command *command,
		struct backup_run *run, struct connection *conn)
{
	char **names = NULL;
	unsigned count = 0, kept = 0;
	int err = domain_state_list(conn, &names, &count);
	if (err < 0)
		return err;
	CLEANUP_FREE char **wanted = calloc(count + 1, sizeof(*wanted));
	for (unsigned i = 0; wanted != NULL && i < count; i++)
		if (is_wanted(command, names[i]))
			wanted[kept++] = names[i];
	if (wanted == NULL)
		err = fail_no_memory("listing domains");
	else if (kept == 0)
		err = fail(-ENOENT, "%s has no domains to back up",
				connection_uri(conn));
	else
		err = backup_domains(run, conn, wanted, kept);
	domain_state_list_free(names, count);
	return err;
}

static int run_domains(struct backup_command *command, struct backup_run *run)
{
	struct connection *conn;
	int err = connection_open(&conn, command->connect, CONNECTION_SECRETS);
	if (err < 0)
		return err;
	if (command->all_domains)
		err = run_all_domains(command, run, conn);
	else
		err = backup_domains(run, conn,
				(char *const *)command->domains.items,
				(unsigned)command->domains.count);
	connection_close(conn);
	return err;
}

static int run_files(struct backup_command *command, struct backup_run *run,
		int count, char **paths)
{
	int err = backup_run_add_lanes(run, 1, 1);
	if (err != 0)
		return err;
	const struct backup_files files = { .name = command->name,
		.paths = (const char *const *)paths,
		.count = command->from_command ? 0 : count,
		.stdin_name = command->stdin_name,
		.command = command->from_command ? paths : NULL,
		.allow_empty = command->allow_empty };
	backup_files(&run->lanes[0], &files);
	return 0;
}

/* --- the command --- */

static void check_usage(const struct command_line *line,
		struct backup_command *command, int operands, char **argv)
{
	bool domains = command->all_domains || command->domains.count;
	int streams = 0;
	for (int i = 2; i <= operands && !command->from_command; i++)
		streams += strcmp(argv[i], "-") == 0;
	if (command->all_domains && command->domains.count)
		options_error(line,
				"--domain and --all-domains exclude each "
				"other");
	if ((command->excludes.count || command->includes.count)
			&& !command->all_domains)
		options_error(line, "--%s requires --all-domains",
				command->excludes.count ? "exclude"
							: "include");
	if (domains && (command->name != NULL || operands > 1))
		options_error(line,
				"files and domains can't be backed up in one "
				"run; run the command twice");
	if (!domains && operands < 2)
		options_error(line,
				"nothing to back up: give --all-domains, "
				"--domain NAME, or --name NAME FILE...");
	if (!domains && command->name == NULL)
		options_error(line,
				"files need --name NAME, the source their "
				"snapshots belong to");
	if (!domains
			&& (*command->name == '\0'
					|| strlen(command->name) > 4096))
		options_error(line, "--name must have 1 to 4096 bytes");
	if (streams > 1)
		options_error(line, "standard input (-) can be read only once");
	if (streams && command->stdin_name == NULL)
		options_error(line,
				"- requires --stdin-name NAME, the name of the "
				"file in the snapshot");
	if (command->from_command && command->stdin_name == NULL)
		options_error(line,
				"--stdin-from-command requires --stdin-name "
				"NAME, the name of the file in the snapshot");
	streams += command->from_command;
	if (!streams && command->stdin_name != NULL)
		options_error(line,
				"--stdin-name requires - as a file, or "
				"--stdin-from-command");
	if (!streams && command->allow_empty)
		options_error(line, "--allow-empty is for streams");
	if (command->o.exact && !domains)
		options_error(line,
				"--exact is for domains; files are always "
				"stored byte for byte");
	if (!domains
			&& (command->o.disks.count
					|| command->o.exclude_disks.count
					|| command->o.sources.count
					|| command->o.hook_dir != NULL))
		options_error(line,
				"--disk, --exclude-disk, --source and --hook "
				"are for domains");
	command->o.one_domain = command->domains.count == 1;
	if (backup_options_check(&command->o, &command->words) < 0)
		options_error(line, "%s", error_text(-EINVAL));
}

static int run_backup(struct backup_command *command, int operands, char **argv)
{
	struct backup_run run;
	int status = EXIT_FAILED;
	int err = backup_run_begin(&run, argv[1], &command->o);
	if (err == 0 && (command->all_domains || command->domains.count))
		err = run_domains(command, &run);
	else if (err == 0)
		err = run_files(command, &run, operands - 1, argv + 2);
	if (err < 0) {
		report_failure(err, argv[1]);
	} else {
		not_shared(&run.mutex);
		status = exit_status(&run);
		backup_report_print(&run, monotonic_now() - command->begin);
	}
	backup_run_end(&run);
	return status;
}

static int check_and_run(struct backup_command *command, int operands,
		char **argv)
{
	CLEANUP_FREE char *path = realpath(argv[1], NULL);
	command->o.repository_path = path != NULL ? path : argv[1];
	int err = hooks_check(command->o.hook_dir);
	if (err < 0) {
		report_failure(err, command->o.hook_dir);
		return EXIT_FAILED;
	}
	return run_backup(command, operands, argv);
}

int backup_main(int argc, char **argv)
{
	struct backup_command c = {
		.o.jobs = { .value = pool_processors(), .min = 1, .max = 64 },
		.o.jobs_domains = { .value = 1,
				.min = 1,
				.max = BACKUP_LANES_MAX },
		.o.level = { .value = 0, .min = 1, .max = 19 },
		.begin = monotonic_now(),
	};
	if (c.o.jobs.value > 64)
		c.o.jobs.value = 64;
	const struct option own[] = {
		{ "all-domains", 'a', OPTION_FLAG, &c.all_domains, NULL,
				"back up every domain" },
		{ "domain", 'd', OPTION_LIST, &c.domains, "NAME",
				"back up this domain (name or UUID); "
				"repeatable" },
		{ "include", 0, OPTION_LIST, &c.includes, "PATTERN",
				"only domains matching it; repeatable" },
		{ "exclude", 0, OPTION_LIST, &c.excludes, "PATTERN",
				"leave out domains matching it; repeatable" },
		{ "connect", 'c', OPTION_TEXT, &c.connect, "URI",
				"connect to URI (default: "
				"LIBVIRT_DEFAULT_URI)" },
		{ "quiesce", 0, OPTION_TEXT, &c.words.quiesce, "HOW",
				"freezing: auto, require, never (default: "
				"auto)" },
		{ "hook", 0, OPTION_TEXT, &c.o.hook_dir, "DIR",
				"run the programs in DIR around each backup" },
		{ "jobs-domains", 0, OPTION_NUMBER, &c.o.jobs_domains, "N",
				"back up N domains at once (default: 1)" },
		{ "name", 'n', OPTION_TEXT, &c.name, "NAME",
				"the source that FILEs belong to" },
		{ "jobs", 'j', OPTION_NUMBER, &c.o.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ "bwlimit", 0, OPTION_SIZE, &c.o.bwlimit, "SIZE",
				"read at most SIZE bytes per second" },
		{ "disk", 0, OPTION_LIST, &c.o.disks, "TARGET",
				"back up only this disk; repeatable" },
		{ "exclude-disk", 0, OPTION_LIST, &c.o.exclude_disks, "TARGET",
				"leave out this disk; repeatable" },
		{ "source", 0, OPTION_LIST, &c.o.sources, "NAME",
				"store the domain under this name; also "
				"DOMAIN:NAME" },
		{ "adopt", 0, OPTION_FLAG, &c.o.adopt, NULL,
				"continue a history of another domain" },
		{ "exact", 0, OPTION_FLAG, &c.o.exact, NULL,
				"store image files, not what guests see" },
		{ "wait", 0, OPTION_TEXT, &c.words.wait, "DURATION",
				"wait for other jobs of a domain to end" },
		{ "scratch-dir", 0, OPTION_TEXT, &c.o.scratch_dir, "DIR",
				"where blocks go that a guest overwrites "
				"meanwhile" },
		{ "hook-timeout", 0, OPTION_TEXT, &c.words.hook_timeout,
				"DURATION", "how long a hook may take" },
		{ "stdin-name", 0, OPTION_TEXT, &c.stdin_name, "NAME",
				"the file name of a stream (FILE is -)" },
		{ "stdin-from-command", 0, OPTION_FLAG, &c.from_command, NULL,
				"store the output of the command after --" },
		{ "allow-empty", 0, OPTION_FLAG, &c.allow_empty, NULL,
				"accept a stream without a byte" },
		{ "force-read", 0, OPTION_FLAG, &c.o.force_read, NULL,
				"read all, even what seems unchanged" },
		{ "compression", 0, OPTION_NUMBER, &c.o.level, "LEVEL",
				"of zstd, 1 to 19" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&c.o.repository),
		report_option_table(&c.o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs backup",
		.operands = "REPO [--name NAME FILE...]",
		.purpose = "Back up domains, or image files and devices.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv);
	argv[n + 1] = NULL;
	report_setup(cl.program, &c.o.report);
	check_usage(&cl, &c, n, argv);
	interrupt_setup();
	return report_finish(check_and_run(&c, n, argv));
}
