/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs forget: removes snapshots, by name or by rules that say what stays.
 * Their space is freed by prune.
 *
 * Deleting needs no room, so on a full disk, where no session can be
 * registered, it goes on without one: forget stands on nothing, a session only
 * shows others who is at work.
 */
#include "forget.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/session/marking.h"

struct forget_options {
	struct common_options common;
	const char *counts[KEEP_WITHIN]; /* as given; NULL: not */
	const char *within;
	bool utc, dry_run, prune;
};

/* --- options --- */

static long parse_count(const struct command_line *cl, enum keep_rule rule,
		const char *text)
{
	char *end;
	if (strcmp(text, "all") == 0 || strcmp(text, "-1") == 0)
		return KEEP_ALL;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		options_error(cl, "--keep-%s: \"%s\" is neither a number nor 'all'",
				keep_policy_rule_name(rule), text);
	return n;
}

/* True if any rule was given. */
static bool parse_policy(const struct command_line *cl,
		const struct forget_options *o, struct keep_policy *p)
{
	bool given = o->within != NULL;
	*p = (struct keep_policy){ .utc = o->utc,
		.has_within = o->within != NULL };
	for (enum keep_rule rule = 0; rule < KEEP_WITHIN; rule++) {
		if (o->counts[rule] == NULL)
			continue;
		given = true;
		p->counts[rule] = parse_count(cl, rule, o->counts[rule]);
	}
	if (o->within != NULL && age_parse(&p->within, o->within) < 0)
		options_error(cl, "--keep-within: %s", error_text(-EINVAL));
	if (given && !keep_policy_keeps(p))
		options_error(cl, "these rules keep nothing at all: at least one "
				"--keep-... must be above 0");
	return given;
}

/* --- at work --- */

/* -EEXIST: somebody has pinned it since the plan was made. */
static int forget_entry(struct forget_plan *p, struct forget_entry *e)
{
	struct repository *r = p->repo;
	/* Before the look for a pin, as it may take long. */
	int err = marking_wait(r);
	if (err < 0)
		return err;
	int pinned = pins_exists(r, e->object);
	if (pinned < 0)
		return pinned;
	if (pinned > 0) {
		e->pinned = true;
		e->remove = false;
		return fail(-EEXIST, "%s was pinned just now, so it stays",
				forget_plan_shown(e));
	}
	return e->snap != NULL ? snapshot_object_delete(r, e->snap)
			       : store_delete(r->store, e->object);
}

/* By rule, what stays or is gone through somebody else is no failure. */
static bool no_failure(const struct forget_plan *p, int err)
{
	return p->by_policy && (err == -ENOENT || err == -EEXIST);
}

static void carry_out(struct forget_plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		struct forget_entry *e = &p->items[i];
		if (!e->remove)
			continue;
		int err = forget_entry(p, e);
		if (no_failure(p, err))
			continue;
		if (err < 0) {
			report_error("%s", error_text(err));
			p->failed++;
			/* A prune is in the way, of the others, too. */
			if (err == -EBUSY || err == -ECANCELED)
				return;
			continue;
		}
		e->forgotten = true;
		if (!report_json() && report_wants_text())
			printf("Forgot %s.\n", forget_plan_shown(e));
	}
	int err = pins_tidy(p->repo, &p->pins);
	if (err < 0)
		report_warning("%s", error_text(err));
}

static int make_and_carry_out(struct forget_plan *p, char **operands, int count)
{
	struct session *session = NULL;
	int err = p->dry_run ? 0 : command_session_to_delete(&session, p->repo,
						"forget");
	if (err == 0)
		err = forget_plan_begin(p);
	if (err == 0)
		err = p->by_policy ? forget_plan_sources(p, operands, count)
				 : forget_plan_names(p, operands, count);
	if (err == 0 && !p->dry_run)
		carry_out(p);
	session_end(session);
	return err;
}

/* --- the end --- */

static int status_of(const struct forget_plan *p)
{
	size_t wanted = 0, done = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct forget_entry *e = &p->items[i];
		wanted += e->remove;
		done += e->forgotten || (p->dry_run && e->remove);
	}
	if (p->failed == 0 && p->damaged == 0)
		return EXIT_DONE;
	bool nothing_to_do = p->by_policy && p->count > 0 && wanted == 0;
	if (p->failed == 0 || done > 0 || nothing_to_do)
		return EXIT_PARTLY;
	return EXIT_FAILED;
}

static int prune_too(struct repository *r, json_t *report, int status)
{
	json_t *result = NULL;
	int pruned = command_prune_now(r, &result);
	if (report != NULL && result != NULL)
		json_object_set_new(report, "prune", result);
	else
		json_decref(result);
	return pruned == EXIT_DONE ? status : EXIT_PARTLY;
}

static void say_result(const struct forget_plan *p)
{
	if (report_json())
		return;
	if (p->dry_run)
		forget_report_print(p);
	if (p->dry_run || report_wants_text())
		forget_report_print_sum(p);
}

static int run(const char *path, const struct forget_options *o,
		struct forget_plan *p, char **operands, int count)
{
	p->repo = command_open(path, &o->common);
	if (p->repo == NULL)
		return EXIT_FAILED;
	p->dry_run = o->dry_run;
	int err = make_and_carry_out(p, operands, count);
	int status = err < 0 ? command_failed(err) : status_of(p);
	json_t *report = NULL;
	if (err == 0) {
		say_result(p);
		report = report_json() ? forget_report_json(p) : NULL;
	}
	forget_plan_clear(p);
	if (o->prune && !o->dry_run && status != EXIT_FAILED)
		status = prune_too(p->repo, report, status);
	repository_close(p->repo);
	if (report != NULL)
		report_print_json(report);
	return report_finish(status);
}

int command_forget(int argc, char **argv)
{
	struct forget_options o = { .within = NULL };
	const struct option own[] = {
		{ "keep-last", 0, OPTION_TEXT, &o.counts[KEEP_LAST], "N",
			"keep the newest N of each source" },
		{ "keep-hourly", 0, OPTION_TEXT, &o.counts[KEEP_HOURLY], "N",
			"the newest one of each of the last N hours" },
		{ "keep-daily", 0, OPTION_TEXT, &o.counts[KEEP_DAILY], "N",
			"… days; only those count that have one" },
		{ "keep-weekly", 0, OPTION_TEXT, &o.counts[KEEP_WEEKLY], "N",
			"… weeks, from Monday on" },
		{ "keep-monthly", 0, OPTION_TEXT, &o.counts[KEEP_MONTHLY], "N",
			"… months" },
		{ "keep-yearly", 0, OPTION_TEXT, &o.counts[KEEP_YEARLY], "N",
			"… years" },
		{ "keep-within", 0, OPTION_TEXT, &o.within, "AGE",
			"all of e.g. 14d before the newest" },
		{ "utc", 0, OPTION_FLAG, &o.utc, NULL,
			"periods of UTC, not of the local zone" },
		{ "dry-run", 'n', OPTION_FLAG, &o.dry_run, NULL,
			"only show what stays, why, and what goes" },
		{ "prune", 0, OPTION_FLAG, &o.prune, NULL,
			"then free the space (amberfs prune)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs forget",
		.operands = "REPO SNAPSHOT...|--keep-... N [SOURCE...]",
		.purpose = "Remove snapshots: those named, or those that no "
			   "--keep-... rule keeps (of the\nsources named, or of "
			   "all). The others lose nothing.",
		.tables = tables,
		.min_operands = 1, .max_operands = -1,
	};
	struct forget_plan p = { .dry_run = false };
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	p.by_policy = parse_policy(&cl, &o, &p.policy);
	if (!p.by_policy && n == 1)
		options_error(&cl, "name the snapshots to remove, or say with "
				 "--keep-... what stays");
	return run(argv[1], &o, &p, argv + 2, n - 1);
}
