/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs prove: options, the choice of snapshots, and the report on each. */
#include "prove.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/recovery/boot/boot_files.h"
#include "prove_console.h"
#include "prove_directory.h"
#include "prove_one.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/snapshot/restore_file.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_resolve.h"

#define PATTERN_DEFAULT "login: |SAC>"
#define TIMEOUT_DEFAULT 300
/* Any system's kernel and what it loads; a boot loader alone reads less. */
#define SCREEN_READ_DEFAULT (16 * MIB)
#define SEPARATORS ", "

struct prove_command {
	struct prove_options o;
	struct report_options report;
	const char *connect, *accept, *pattern, *timeout;
	struct repository *repo;
	struct snapshot **snaps;
	size_t count, room;
	json_t *rows;
	unsigned up, unproven, incomplete;
	double begin;
};

/* --- options --- */

static int add_sign(struct prove_command *command, const char *word)
{
	for (int s = 0; s < SIGNS; s++)
		if (strcmp(word, prove_sign_names[s]) == 0) {
			command->o.accept |= SIGN_BIT(s);
			return 0;
		}
	return -EINVAL;
}

static void parse_accept(struct prove_command *command,
		const struct command_line *line)
{
	CLEANUP_FREE char *words =
			strdup(command->accept != NULL ? command->accept
						       : "agent,console");
	char *next = NULL;
	for (char *w = words != NULL ? strtok_r(words, SEPARATORS, &next)
				     : NULL;
			w != NULL; w = strtok_r(NULL, SEPARATORS, &next))
		if (add_sign(command, w) < 0)
			options_error(line,
					"--accept is a list of agent, console "
					"and screen, not %s",
					w);
	if (!command->o.accept)
		options_error(line, "--accept must name at least one sign");
}

static void parse_words(struct prove_command *command,
		const struct command_line *line, regex_t *pattern)
{
	int64_t seconds = TIMEOUT_DEFAULT;
	if (command->timeout != NULL
			&& wait_parse(&seconds, command->timeout) < 0)
		options_error(line, "--timeout: %s", error_text(-EINVAL));
	if (seconds < 1)
		options_error(line, "--timeout must not be 0");
	command->o.timeout = (double)seconds;
	parse_accept(command, line);
	if (prove_console_pattern(pattern,
			    command->pattern != NULL ? command->pattern
						     : PATTERN_DEFAULT)
			< 0)
		options_error(line, "--console-pattern: %s",
				error_text(-EINVAL));
	command->o.pattern = pattern;
	if (command->o.memory && command->o.memory < MIB)
		options_error(line, "--memory must be at least 1M");
	if (command->o.scratch_dir == NULL)
		command->o.scratch_dir = PROVE_DIRECTORY_DEFAULT;
}

/* --- which snapshots --- */

static int add(struct prove_command *command, struct snapshot *snap)
{
	struct snapshot **more = NULL;
	if (command->count == command->room) {
		command->room = command->room * 2 + 8;
		more = reallocarray(command->snaps, command->room,
				sizeof(*more));
		if (more == NULL) {
			snapshot_free(snap);
			return fail_no_memory("listing snapshots");
		}
		command->snaps = more;
	}
	command->snaps[command->count++] = snap;
	return 0;
}

static int add_named(struct prove_command *command, const char *spec)
{
	CLEANUP_FREE char *file = NULL;
	struct snapshot *snap = NULL;
	int err = snapshot_resolve(command->repo, spec, &snap, &file);
	if (err != 0)
		return err;
	err = boot_files_check(snap, file);
	if (err != 0) {
		snapshot_free(snap);
		return err;
	}
	return add(command, snap);
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	(void)ctx;
	report_warning("%s can't be read: %s", object, error_text(err));
}

/* The list is sorted by source: takes the "latest" of each. */
static int add_newest(struct prove_command *command)
{
	struct snapshot_list l = { .count = 0 };
	int err = snapshot_list_load(command->repo, NULL, &l, bad_snapshot,
			NULL);
	for (size_t i = 0; err == 0 && i < l.count; i++) {
		size_t latest = i;
		for (; i + 1 < l.count
				&& strcmp(l.items[i]->source,
						   l.items[i + 1]->source)
						== 0;
				i++)
			if (snapshot_list_is_later(l.items[i + 1],
					    l.items[latest]))
				latest = i + 1;
		if (l.items[latest]->kind == SNAPSHOT_DOMAIN)
			err = add(command, take_ptr(l.items[latest]));
	}
	snapshot_list_clear(&l);
	if (err == 0 && command->count == 0)
		err = fail(-ENOENT,
				"the repository has no snapshot of a domain");
	return err;
}

/* --- what is said --- */

static int add_row(struct prove_command *command, const struct snapshot *snap,
		const struct prove_result *result)
{
	char name[SNAPSHOT_SHOWN_MAX];
	snapshot_shown(name, snap->object);
	json_t *row = json_pack("{s:s,s:b,s:b,s:b,s:s?,s:f,s:I,s:o?,s:o?,s:o}",
			"snapshot", name, "complete",
			snapshot_is_complete(snap), "up", result->up,
			"unproven", result->unproven, "by",
			result->up ? prove_sign_names[result->by] : NULL,
			"seconds", result->seconds, "read_bytes",
			(json_int_t)result->read, "problem",
			result->why == NULL
					? NULL
					: report_json_problem(result->unproven
									? "not-proven"
									: "not-up",
							result->why, name),
			"picture",
			result->picture != NULL
					? report_json_text(result->picture)
					: NULL,
			"notes", report_json_lines(result->notes));
	if (row != NULL && result->console != NULL)
		json_object_set(row, "console", result->console);
	if (row == NULL || json_array_append_new(command->rows, row) < 0)
		return fail_no_memory("writing the report");
	return 0;
}

static void each_note(const char *notes, bool verbose_only)
{
	while (notes != NULL && *notes) {
		int len = (int)strcspn(notes, "\n");
		if (verbose_only)
			report_verbose("  changed: %.*s", len, notes);
		else
			report_error("  changed: %.*s", len, notes);
		notes += len + (notes[len] == '\n');
	}
}

/* Everything except success goes to stderr, so that cron mails it. */
static void say_failure(const struct snapshot *snap,
		const struct prove_result *result)
{
	json_t *line = NULL;
	char name[SNAPSHOT_SHOWN_MAX];
	size_t i = 0;
	report_error("%s %s: %s", snapshot_shown(name, snap->object),
			result->unproven ? "is not proven" : "did not come up",
			result->why);
	each_note(result->notes, false);
	if (result->picture != NULL)
		report_error("  its screen: %s", result->picture);
	if (json_array_size(result->console) > 0)
		report_error("  the last lines on its console:");
	json_array_foreach (result->console, i, line)
		report_error("  | %s", json_string_value(line));
}

static void say(const struct snapshot *snap, const struct prove_result *result)
{
	char read[SIZE_TEXT_MAX], name[SNAPSHOT_SHOWN_MAX];
	if (!result->up)
		say_failure(snap, result);
	else if (report_wants_summary())
		printf("%s came up after %.0f s, by its %s; it read %s%s%s.\n",
				snapshot_shown(name, snap->object),
				result->seconds, prove_sign_names[result->by],
				size_format(read, result->read),
				result->picture != NULL ? "; its screen: " : "",
				result->picture != NULL ? result->picture : "");
	if (result->up)
		each_note(result->notes, true);
	fflush(stdout);
}

static int finish(struct prove_command *command)
{
	size_t done = json_array_size(command->rows);
	int status = command->up + command->unproven == 0 ? EXIT_FAILED
			: command->up < command->count
					|| command->incomplete > 0
			? EXIT_PARTLY
			: EXIT_DONE;
	if (report_json())
		report_print_json(json_pack("{s:O,s:i,s:i,s:i,s:f}",
				"snapshots", command->rows, "up_count",
				(int)command->up, "unproven_count",
				(int)command->unproven, "failed_count",
				(int)(done - command->up - command->unproven),
				"seconds", monotonic_now() - command->begin));
	else if (report_wants_summary() && done > 1)
		printf("%u of %zu came up.\n", command->up, done);
	return status;
}

/* --- the work --- */

static int prove_all(struct prove_command *command, struct connection *conn)
{
	int err = 0;
	for (size_t i = 0; err == 0 && i < command->count; i++) {
		struct prove_result r;
		char name[SNAPSHOT_SHOWN_MAX];
		report_verbose("%s: booting it",
				snapshot_shown(name,
						command->snaps[i]->object));
		command->incomplete +=
				restore_file_warn_incomplete(command->snaps[i]);
		err = prove_one(&r, &command->o, command->snaps[i], conn);
		if (err == 0) {
			command->up += r.up;
			command->unproven += r.unproven;
			say(command->snaps[i], &r);
			err = add_row(command, command->snaps[i], &r);
		}
		prove_one_result_clear(&r);
	}
	return err;
}

static int connect_and_prove(struct prove_command *command)
{
	struct connection *conn = NULL;
	int err = connection_open(&conn, command->connect, CONNECTION_SECRETS);
	if (err != 0)
		return err;
	if (connection_writable(conn)) {
		prove_directory_sweep(command->o.scratch_dir, conn);
		err = prove_all(command, conn);
	} else {
		err = fail(-EPERM,
				"%s allows this user read-only access; "
				"starting a guest needs write access",
				connection_uri(conn));
	}
	connection_close(conn);
	return err;
}

static int check_directory(const char *path)
{
	struct stat st;
	if (path == NULL)
		return 0;
	if (stat(path, &st) < 0)
		return fail_errno(-errno, "opening the directory %s", path);
	return S_ISDIR(st.st_mode)
			? 0
			: fail(-ENOTDIR, "%s is not a directory", path);
}

static int work(struct prove_command *command, char **specs, int count)
{
	int err = check_directory(command->o.picture_dir);
	if (err == 0)
		err = check_directory(command->o.scratch_dir);
	if (err == 0)
		err = boot_directory_check_ours(command->o.scratch_dir);
	if (err == 0)
		err = repository_open(&command->repo, command->o.repository,
				&command->o.unlock);
	if (err == 0)
		err = repository_attach(command->repo, &command->o.unlock);
	for (int i = 0; err == 0 && i < count; i++)
		err = add_named(command, specs[i]);
	if (err == 0 && count == 0)
		err = add_newest(command);
	return err != 0 ? err : connect_and_prove(command);
}

static int run(struct prove_command *command, char **specs, int count)
{
	int status = EXIT_FAILED;
	int err = 0;
	command->begin = monotonic_now();
	command->rows = json_array();
	err = command->rows != NULL ? work(command, specs, count) : -ENOMEM;
	if (err < 0)
		report_failure(err, NULL);
	if (err == 0 || json_array_size(command->rows) > 0)
		status = finish(command);
	for (size_t i = 0; i < command->count; i++)
		snapshot_free(command->snaps[i]);
	free(command->snaps);
	json_decref(command->rows);
	repository_close(command->repo);
	return report_finish(
			err < 0 && status == EXIT_DONE ? EXIT_FAILED : status);
}

int prove_main(int argc, char **argv)
{
	struct prove_command p = { .o.unlock.credentials.keep = true,
		.o.screen_read = SCREEN_READ_DEFAULT };
	const struct option own[] = {
		{ "accept", 0, OPTION_TEXT, &p.accept, "LIST",
				"signs of success (default: agent,console)" },
		{ "console-pattern", 0, OPTION_TEXT, &p.pattern, "REGEX",
				"console output (default: '" PATTERN_DEFAULT
				"')" },
		{ "timeout", 0, OPTION_TEXT, &p.timeout, "DURATION",
				"how long to wait for a sign (default: 5min)" },
		{ "screen-read", 0, OPTION_SIZE, &p.o.screen_read, "SIZE",
				"for the sign screen: what the guest must have "
				"read (default: 16M)" },
		{ "memory", 0, OPTION_SIZE, &p.o.memory, "SIZE",
				"memory of the guest (default: as defined)" },
		{ "picture-dir", 0, OPTION_TEXT, &p.o.picture_dir, "DIR",
				"store a screenshot of each guest in DIR" },
		{ "scratch-dir", 0, OPTION_TEXT, &p.o.scratch_dir, "DIR",
				"keep guests' writes in DIR (default: "
				"/var/tmp)" },
		{ "connect", 'c', OPTION_TEXT, &p.connect, "URI",
				"connect to URI (default: "
				"LIBVIRT_DEFAULT_URI)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&p.o.unlock),
		report_option_table(&p.report), NULL };
	const struct command_line cl = {
		.program = "amberfs prove",
		.operands = "REPO [SNAPSHOT...]",
		.purpose = "Boot snapshots of domains to check that they come "
			   "up: isolated, on overlays that\n"
			   "are discarded. Without SNAPSHOT: the newest of "
			   "every domain.",
		.notes = "A guest came up if it shows one of the signs in "
			 "time.\n"
			 "Exit status: 0 all came up, 3 some, or one is "
			 "incomplete or not proven, 1 none.\n",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	regex_t pattern;
	int n = options_parse(&cl, argc, argv);
	int status = 0;
	parse_words(&p, &cl, &pattern);
	report_setup(cl.program, &p.report);
	interrupt_setup();
	p.o.repository = argv[1];
	status = run(&p, argv + 2, n - 1);
	regfree(&pattern);
	return status;
}
