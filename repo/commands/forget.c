/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs forget: removes snapshots, by name or by rules that say what is kept.
 * Their space is freed by prune.
 *
 * Deleting needs no room, so on a full disk, where no session can be
 * registered, it continues without one: forget relies on no images, and a
 * session only shows others who is at work.
 */
#include "forget.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/session/marking.h"
#include "repo/snapshot/snapshot_forget.h"

struct forget_options {
	struct common_options common;
	const char *counts[KEEP_WITHIN]; /* as given; NULL: not */
	const char *within;
	bool utc, dry_run, prune, trust_clock;
};

/* --- options --- */

static long parse_count(const struct command_line *line, enum keep_rule rule,
		const char *text)
{
	char *end;
	if (strcmp(text, "all") == 0 || strcmp(text, "-1") == 0)
		return KEEP_ALL;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
		options_error(line,
				"--keep-%s: \"%s\" is neither a number nor "
				"'all'",
				keep_policy_rule_name(rule), text);
	return n;
}

/* True if any rule was given. */
static bool parse_policy(const struct command_line *line,
		const struct forget_options *options,
		struct keep_policy *policy)
{
	bool given = options->within != NULL;
	*policy = (struct keep_policy){ .utc = options->utc,
		.has_within = options->within != NULL };
	for (enum keep_rule rule = 0; rule < KEEP_WITHIN; rule++) {
		if (options->counts[rule] == NULL)
			continue;
		given = true;
		policy->counts[rule] =
				parse_count(line, rule, options->counts[rule]);
	}
	if (options->within != NULL
			&& age_parse(&policy->within, options->within) < 0)
		options_error(line, "--keep-within: %s", error_text(-EINVAL));
	if (given && !keep_policy_keeps(policy))
		options_error(line,
				"these rules would keep nothing: at least "
				"one --keep-... must be above 0");
	return given;
}

/* --- at work --- */

/* -EEXIST: somebody has pinned it since the plan was made. */
static int forget_entry(struct forget_plan *plan, struct forget_entry *entry)
{
	struct repository *repo = plan->repo;
	/* Before checking for a pin, as this may take long. */
	int err = marking_wait(repo);
	if (err < 0)
		return err;
	int pinned = pins_exists(repo, entry->object);
	if (pinned < 0)
		return pinned;
	if (pinned > 0) {
		entry->pinned = true;
		entry->remove = false;
		return fail(-EEXIST, "%s has just been pinned, so it is kept",
				forget_plan_shown(entry));
	}
	return entry->snap != NULL ? snapshot_forget(repo, entry->snap)
				   : store_delete(repo->store, entry->object);
}

/* By rule, a snapshot pinned or removed by another process is not a failure. */
static bool no_failure(const struct forget_plan *plan, int err)
{
	return plan->by_policy && (err == -ENOENT || err == -EEXIST);
}

static void carry_out(struct forget_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct forget_entry *entry = &plan->items[i];
		if (!entry->remove)
			continue;
		int err = forget_entry(plan, entry);
		if (no_failure(plan, err))
			continue;
		if (err < 0) {
			report_failure(err, forget_plan_shown(entry));
			plan->failed++;
			/* A prune blocks this one, and the others too. */
			if (err == -EBUSY || err == -ECANCELED)
				return;
			continue;
		}
		entry->forgotten = true;
		if (!report_json() && report_wants_text())
			printf("Forgot %s.\n", forget_plan_shown(entry));
	}
	int err = pins_tidy(plan->repo, &plan->pins);
	if (err < 0)
		report_warning("%s", error_text(err));
}

static int make_plan(struct forget_plan *plan, char **operands, int count,
		struct session **session)
{
	int err = plan->dry_run ? 0
				: command_session_to_delete(session, plan->repo,
						"forget");
	if (err < 0)
		return err;
	err = forget_plan_begin(plan);
	if (err < 0)
		return err;
	return plan->by_policy ? forget_plan_sources(plan, operands, count)
			       : forget_plan_names(plan, operands, count);
}

static int make_and_carry_out(struct forget_plan *plan, char **operands,
		int count)
{
	struct session *session = NULL;
	int err = make_plan(plan, operands, count, &session);
	if (err == 0 && !plan->dry_run)
		carry_out(plan);
	session_end(session);
	return err;
}

/* --- the end --- */

static int status_of(const struct forget_plan *plan)
{
	size_t wanted = 0, done = 0, looked_at = 0;
	for (size_t i = 0; i < plan->count; i++) {
		const struct forget_entry *entry = &plan->items[i];
		wanted += entry->remove;
		looked_at += !entry->refused;
		done += entry->forgotten || (plan->dry_run && entry->remove);
	}
	if (plan->failed == 0 && plan->damaged == 0)
		return EXIT_DONE;
	bool nothing_to_do = plan->by_policy && looked_at > 0 && wanted == 0;
	if (plan->failed == 0 || done > 0 || nothing_to_do)
		return EXIT_PARTLY;
	return EXIT_FAILED;
}

static int prune_too(struct repository *repo, json_t *report, int status)
{
	json_t *result = NULL;
	int pruned = command_prune_now(repo, &result);
	if (report != NULL && result != NULL)
		json_object_set_new(report, "prune", result);
	else
		json_decref(result);
	return pruned == EXIT_DONE ? status : EXIT_PARTLY;
}

static void say_result(const struct forget_plan *plan)
{
	if (report_json())
		return;
	if (plan->dry_run)
		forget_report_print(plan);
	if (plan->dry_run || report_wants_text())
		forget_report_print_sum(plan);
}

static int run(const char *path, const struct forget_options *options,
		struct forget_plan *plan, char **operands, int count)
{
	plan->repo = command_open(path, &options->common);
	if (plan->repo == NULL)
		return EXIT_FAILED;
	plan->dry_run = options->dry_run;
	plan->trust_clock = options->trust_clock;
	int err = make_and_carry_out(plan, operands, count);
	int status = err < 0 ? command_failed(err) : status_of(plan);
	json_t *report = NULL;
	if (err == 0) {
		say_result(plan);
		report = report_json() ? forget_report_json(plan) : NULL;
	}
	forget_plan_clear(plan);
	if (options->prune && !options->dry_run && status != EXIT_FAILED)
		status = prune_too(plan->repo, report, status);
	repository_close(plan->repo);
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
				"keep the newest of each of the last N hours" },
		{ "keep-daily", 0, OPTION_TEXT, &o.counts[KEEP_DAILY], "N",
				"… days (only those with snapshots count)" },
		{ "keep-weekly", 0, OPTION_TEXT, &o.counts[KEEP_WEEKLY], "N",
				"… weeks, starting on Monday" },
		{ "keep-monthly", 0, OPTION_TEXT, &o.counts[KEEP_MONTHLY], "N",
				"… months" },
		{ "keep-yearly", 0, OPTION_TEXT, &o.counts[KEEP_YEARLY], "N",
				"… years" },
		{ "keep-within", 0, OPTION_TEXT, &o.within, "AGE",
				"keep all within AGE (e.g. 14d) of the "
				"newest" },
		{ "utc", 0, OPTION_FLAG, &o.utc, NULL,
				"use UTC instead of the local time zone" },
		{ "trust-clock", 0, OPTION_FLAG, &o.trust_clock, NULL,
				"go on although snapshots are dated ahead of "
				"now; they are kept" },
		{ "dry-run", 'n', OPTION_FLAG, &o.dry_run, NULL,
				"show what would be kept and why; change "
				"nothing" },
		{ "prune", 0, OPTION_FLAG, &o.prune, NULL,
				"then free the space, like 'amberfs prune'" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs forget",
		.operands = "REPO SNAPSHOT...|--keep-... N [SOURCE...]",
		.purpose = "Remove the snapshots named, or those that no "
			   "--keep-... rule keeps (of the\n"
			   "sources named, or of all). Other snapshots are "
			   "not affected.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	struct forget_plan p = { .dry_run = false };
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	p.by_policy = parse_policy(&cl, &o, &p.policy);
	if (!p.by_policy && n == 1)
		options_error(&cl,
				"name the snapshots to remove, or give "
				"--keep-... rules");
	return run(argv[1], &o, &p, argv + 2, n - 1);
}
