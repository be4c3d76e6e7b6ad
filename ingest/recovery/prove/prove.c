/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs prove: options, which snapshots, one after the other, and what is
 * said of them. */
#include "prove.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "ingest/recovery/boot/boot_files.h"
#include "prove_console.h"
#include "prove_directory.h"
#include "prove_one.h"

#define PATTERN_DEFAULT "login: |SAC>"
#define TIMEOUT_DEFAULT 300
#define SEPARATORS ", "

struct prove_command {
	struct prove_options o;
	struct report_options report;
	const char *connect, *accept, *pattern, *timeout;
	struct repository *repo;
	struct snapshot **snaps;
	size_t count, room;
	json_t *rows;
	unsigned up;
	double begin;
};

/* --- options --- */

static int add_sign(struct prove_command *p, const char *word)
{
	for (int s = 0; s < SIGNS; s++)
		if (strcmp(word, prove_sign_names[s]) == 0) {
			p->o.accept |= SIGN_BIT(s);
			return 0;
		}
	return -EINVAL;
}

static void parse_accept(struct prove_command *p, const struct command_line *cl)
{
	CLEANUP_FREE char *words = strdup(p->accept ? p->accept
						    : "agent,console");
	char *next = NULL;

	for (char *w = words ? strtok_r(words, SEPARATORS, &next) : NULL; w;
			w = strtok_r(NULL, SEPARATORS, &next))
		if (add_sign(p, w) < 0)
			options_error(cl, "--accept is a list of agent, console "
					"and screen, not %s", w);
	if (!p->o.accept)
		options_error(cl, "--accept names no sign");
}

static void parse_words(struct prove_command *p, const struct command_line *cl,
		regex_t *pattern)
{
	int64_t seconds = TIMEOUT_DEFAULT;

	if (p->timeout && age_parse(&seconds, p->timeout) < 0)
		options_error(cl, "--timeout: %s", error_text(-EINVAL));
	if (seconds < 1)
		options_error(cl, "--timeout: it takes a moment");
	p->o.timeout = (double)seconds;
	parse_accept(p, cl);
	if (prove_console_pattern(pattern, p->pattern ? p->pattern
						       : PATTERN_DEFAULT) < 0)
		options_error(cl, "--console-pattern: %s", error_text(-EINVAL));
	p->o.pattern = pattern;
	if (p->o.memory && p->o.memory < MIB)
		options_error(cl, "--memory: less than 1M runs nothing");
	if (!p->o.scratch_dir)
		p->o.scratch_dir = PROVE_DIRECTORY_DEFAULT;
}

/* --- which snapshots --- */

static int add(struct prove_command *p, struct snapshot *s)
{
	struct snapshot **more = NULL;

	if (p->count == p->room) {
		p->room = p->room * 2 + 8;
		more = reallocarray(p->snaps, p->room, sizeof(*more));
		if (!more) {
			snapshot_free(s);
			return fail_errno(-ENOMEM, "listing snapshots");
		}
		p->snaps = more;
	}
	p->snaps[p->count++] = s;
	return 0;
}

static int add_named(struct prove_command *p, const char *spec)
{
	CLEANUP_FREE char *file = NULL;
	struct snapshot *s = NULL;
	int err = snapshot_resolve(p->repo, spec, &s, &file);

	if (err)
		return err;
	err = boot_files_check(s, file);
	if (err) {
		snapshot_free(s);
		return err;
	}
	return add(p, s);
}

static void bad_snapshot(void *ctx, const char *object, int err)
{
	(void)ctx;
	report_warning("%s can't be read: %s", object, error_text(err));
}

/* The list is sorted by source and time: the last of each. */
static int add_newest(struct prove_command *p)
{
	struct snapshot_list l = { .count = 0 };
	int err = snapshot_list_load(p->repo, NULL, &l, bad_snapshot, NULL);

	for (size_t i = 0; err == 0 && i < l.count; i++) {
		struct snapshot *s = l.items[i];

		if (s->kind != SNAPSHOT_DOMAIN ||
				(i + 1 < l.count && strcmp(s->source,
						l.items[i + 1]->source) == 0))
			continue;
		l.items[i] = NULL;
		err = add(p, s);
	}
	snapshot_list_clear(&l);
	if (err == 0 && p->count == 0)
		err = fail(-ENOENT, "there is no snapshot of a domain");
	return err;
}

/* --- what is said --- */

static const char *name_of(const struct snapshot *s)
{
	return s->object + strlen("snapshots/");
}

static json_t *lines(const char *notes)
{
	json_t *list = json_array();

	while (notes && *notes) {
		size_t len = strcspn(notes, "\n");

		json_array_append_new(list, json_stringn(notes, len));
		notes += len + (notes[len] == '\n');
	}
	return list;
}

static int add_row(struct prove_command *p, const struct snapshot *s,
		const struct prove_result *r)
{
	json_t *row = json_pack("{s:s,s:b,s:s?,s:f,s:I,s:s?,s:o?,s:o}",
			"snapshot", name_of(s), "up", r->up, "by",
			r->up ? prove_sign_names[r->by] : NULL, "seconds",
			r->seconds, "read", (json_int_t)r->read, "reason",
			r->why, "picture",
			r->picture ? report_json_text(r->picture) : NULL,
			"changed", lines(r->notes));

	if (row && r->console)
		json_object_set(row, "console", r->console);
	if (!row || json_array_append_new(p->rows, row) < 0)
		return fail_errno(-ENOMEM, "reporting");
	return 0;
}

static void each_note(const char *notes, bool verbose_only)
{
	while (notes && *notes) {
		int len = (int)strcspn(notes, "\n");

		if (verbose_only)
			report_verbose("  changed: %.*s", len, notes);
		else
			report_error("  changed: %.*s", len, notes);
		notes += len + (notes[len] == '\n');
	}
}

/* All but its good news goes to stderr: cron sends it. */
static void say_failure(const struct snapshot *s, const struct prove_result *r)
{
	json_t *line = NULL;
	size_t i = 0;

	report_error("%s did not come up: %s", name_of(s), r->why);
	each_note(r->notes, false);
	if (r->picture)
		report_error("  its screen: %s", r->picture);
	if (json_array_size(r->console) > 0)
		report_error("  the last lines on its console:");
	json_array_foreach(r->console, i, line)
		report_error("  | %s", json_string_value(line));
}

static void say(const struct snapshot *s, const struct prove_result *r)
{
	char read[SIZE_TEXT_MAX];

	if (!r->up)
		say_failure(s, r);
	else if (!report_json() && report_wants_text())
		printf("%s came up after %.0f s, by its %s; it read %s%s%s.\n",
				name_of(s), r->seconds,
				prove_sign_names[r->by],
				size_format(read, r->read),
				r->picture ? "; its screen: " : "",
				r->picture ? r->picture : "");
	if (r->up)
		each_note(r->notes, true);
	fflush(stdout);
}

static int finish(struct prove_command *p)
{
	size_t done = json_array_size(p->rows);
	int status = p->up == 0 ? EXIT_FAILED
			: p->up < p->count ? EXIT_PARTLY : EXIT_DONE;

	if (report_json())
		report_print_json(json_pack("{s:O,s:i,s:i,s:f}", "snapshots",
				p->rows, "up", (int)p->up, "failed",
				(int)(done - p->up), "seconds",
				monotonic_now() - p->begin));
	else if (report_wants_text() && done > 1)
		printf("%u of %zu came up.\n", p->up, done);
	return status;
}

/* --- the work --- */

static int prove_all(struct prove_command *p, struct connection *c)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < p->count; i++) {
		struct prove_result r;

		report_verbose("%s: booting it", name_of(p->snaps[i]));
		err = prove_one(&r, &p->o, p->snaps[i], c);
		if (err == 0) {
			p->up += r.up;
			say(p->snaps[i], &r);
			err = add_row(p, p->snaps[i], &r);
		}
		prove_one_result_clear(&r);
	}
	return err;
}

static int connect_and_prove(struct prove_command *p)
{
	struct connection *c = NULL;
	int err = connection_open(&c, p->connect, CONNECTION_SECRETS);

	if (err)
		return err;
	if (connection_writable(c)) {
		prove_directory_sweep(p->o.scratch_dir, c);
		err = prove_all(p, c);
	} else {
		err = fail(-EPERM, "%s lets this user only look; starting a "
				"guest needs more", connection_uri(c));
	}
	connection_close(c);
	return err;
}

static int check_directory(const char *path)
{
	struct stat st;

	if (!path)
		return 0;
	if (stat(path, &st) < 0)
		return fail_errno(-errno, "the folder %s", path);
	return S_ISDIR(st.st_mode) ? 0 : fail(-ENOTDIR, "%s is no folder",
						 path);
}

static int work(struct prove_command *p, char **specs, int count)
{
	int err = check_directory(p->o.picture_dir);

	if (!err)
		err = check_directory(p->o.scratch_dir);
	if (!err)
		err = repository_open(&p->repo, p->o.repository, &p->o.unlock);
	if (!err)
		err = repository_attach(p->repo, &p->o.unlock);
	for (int i = 0; err == 0 && i < count; i++)
		err = add_named(p, specs[i]);
	if (err == 0 && count == 0)
		err = add_newest(p);
	return err ? err : connect_and_prove(p);
}

static int run(struct prove_command *p, char **specs, int count)
{
	int status = EXIT_FAILED;
	int err = 0;

	p->begin = monotonic_now();
	p->rows = json_array();
	err = p->rows ? work(p, specs, count) : -ENOMEM;
	if (err < 0)
		report_error("%s", error_text(err));
	if (err == 0 || json_array_size(p->rows) > 0)
		status = finish(p);
	for (size_t i = 0; i < p->count; i++)
		snapshot_free(p->snaps[i]);
	free(p->snaps);
	json_decref(p->rows);
	repository_close(p->repo);
	return report_finish(err < 0 && status == EXIT_DONE ? EXIT_FAILED
							    : status);
}

int prove_main(int argc, char **argv)
{
	struct prove_command p = { .o.unlock.credentials.keep = true };
	const struct option own[] = {
		{ "accept", 0, OPTION_TEXT, &p.accept, "LIST",
			"signs that count (default agent,console)" },
		{ "console-pattern", 0, OPTION_TEXT, &p.pattern, "REGEX",
			"sign on the console ('" PATTERN_DEFAULT "')" },
		{ "timeout", 0, OPTION_TEXT, &p.timeout, "DURATION",
			"how long to wait for a sign (default 5min)" },
		{ "memory", 0, OPTION_SIZE, &p.o.memory, "SIZE",
			"the guest's memory (default: what it had)" },
		{ "picture-dir", 0, OPTION_TEXT, &p.o.picture_dir, "DIR",
			"keep a picture of each guest's screen here" },
		{ "scratch-dir", 0, OPTION_TEXT, &p.o.scratch_dir, "DIR",
			"what guests write lies here (default /var/tmp)" },
		{ "connect", 'c', OPTION_TEXT, &p.connect, "URI",
			"libvirt to ask (default LIBVIRT_DEFAULT_URI)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&p.o.unlock),
		report_option_table(&p.report), NULL };
	const struct command_line cl = {
		.program = "amberfs prove",
		.operands = "REPO [SNAPSHOT...]",
		.purpose = "Boot snapshots of domains to see that they come up: "
			   "isolated, on overlays that\nare thrown away. Without "
			   "SNAPSHOT, the newest of every domain.",
		.notes = "It came up if a sign that counts is seen in time. Exit "
			 "status: 0 all came up,\n3 some, 1 none.\n",
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
