/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs protect: shows and sets the minimum age for removing snapshots. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/repository/min_age.h"
#include "repo/session/session.h"
#include "repo/snapshot/snapshot_object.h"

struct protect_options {
	struct common_options common;
	const char *min_age;
	bool yes;
};

struct protection {
	struct repository *repo;
	struct min_age retention;
	int64_t now;
	size_t snapshots, protected; /* that exist, and of these */
	int64_t last;		     /* until when the last one is */
	int64_t arrived;	     /* the last arrival; 0: none */
	bool changed;
};

/* Unreadable snapshots, of which only the name is known, are protected too. */
static bool dates_of(struct repository *repo, const char *name,
		struct min_age_of *of)
{
	struct snapshot *snap = NULL;
	const char *slash = strrchr(name, '/');
	*of = (struct min_age_of){ 0 };
	if (slash == NULL || utc_parse(&of->time, slash + 1) < 0)
		return false;
	if (snapshot_object_load(repo, name, &snap) == 0)
		of->arrived = snap->arrived;
	snapshot_free(snap);
	return true;
}

static int note_arrival(void *ctx, const char *name)
{
	struct protection *protection = ctx;
	struct min_age_of of;
	if (dates_of(protection->repo, name, &of)
			&& of.arrived > protection->arrived)
		protection->arrived = of.arrived;
	return 0;
}

static int note_snapshot(void *ctx, const char *name)
{
	struct protection *protection = ctx;
	struct min_age_of of;
	if (!dates_of(protection->repo, name, &of))
		return 0;
	protection->snapshots++;
	if (!min_age_protects(&protection->retention, of, protection->now))
		return 0;
	int64_t until = min_age_until(&protection->retention, of);
	protection->protected ++;
	if (until > protection->last)
		protection->last = until;
	return 0;
}

/* --- what it says --- */

static void print_settings(const struct protection *protection)
{
	const struct min_age *min_age = &protection->retention;
	char age[SIZE_TEXT_MAX], time[UTC_TEXT_MAX];
	int64_t now = min_age_in_force(min_age);
	int64_t longest = min_age_longest(min_age, protection->now);
	if (min_age->count == 0)
		printf("No minimum age is set: any snapshot may be "
		       "forgotten. To set one, use for\n"
		       "example --min-age 30d.\n");
	else if (now == 0)
		printf("Snapshots made since %s may be forgotten at any age.\n",
				utc_format(time,
						min_age->items[min_age->count
								       - 1]
								.since));
	else
		printf("No snapshot may be forgotten before it is %s old.\n",
				age_format(age, now));
	if (protection->changed && now > 0 && now == longest)
		printf("This can't be shortened later for snapshots that "
		       "already exist by then.\n");
	if (longest > now)
		printf("For those made before %s an earlier, longer minimum "
		       "age applies: up to %s.\n",
				utc_format(time,
						min_age->items[min_age->count
								       - 1]
								.since),
				age_format(age, longest));
}

static void print_text(const struct protection *protection)
{
	char last[UTC_TEXT_MAX], all[COUNT_TEXT_MAX];
	print_settings(protection);
	if (protection->retention.count == 0)
		return;
	if (protection->protected == 0)
		printf("None of %s is protected now.\n",
				count_format(all, protection->snapshots,
						"snapshot"));
	else
		printf("Of %s, %zu %s protected now, the last one until %s.\n",
				count_format(all, protection->snapshots,
						"snapshot"),
				protection->protected,
				protection->protected == 1 ? "is" : "are",
				utc_format(last, protection->last));
}

static void print_json(const struct protection *protection)
{
	json_t *settings = json_array();
	for (size_t i = 0; i < protection->retention.count; i++) {
		const struct min_age_setting *one =
				&protection->retention.items[i];
		json_array_append_new(settings,
				json_pack("{s:o,s:I}", "since",
						report_json_time(one->since),
						"min_age_seconds",
						(json_int_t)one->min_age));
	}
	json_t *all = json_pack("{s:I,s:I,s:o,s:I,s:I,s:b}", "min_age_seconds",
			(json_int_t)min_age_in_force(&protection->retention),
			"longest_min_age_seconds",
			(json_int_t)min_age_longest(&protection->retention,
					protection->now),
			"settings", settings, "snapshot_count",
			(json_int_t)protection->snapshots, "protected_count",
			(json_int_t)protection->protected, "changed",
			(int)protection->changed);
	if (all != NULL && protection->protected > 0)
		json_object_set_new(all, "protected_until",
				report_json_time(protection->last));
	report_print_json(all);
}

/* --- at work --- */

/* A longer age can't be taken back from what exists: it must be meant. */
static int check_agreed(const struct protection *protection, int64_t min_age,
		bool yes)
{
	char age[SIZE_TEXT_MAX], until[UTC_TEXT_MAX];
	if (yes || min_age <= min_age_in_force(&protection->retention))
		return 0;
	age_format(age, min_age);
	utc_format(until, protection->now + min_age);
	report_warning("with a minimum age of %s no snapshot made until now can "
		       "be removed before it is so old, the newest not before "
		       "%s; nor can what is made from now on. This can't be "
		       "undone",
			age, until);
	if (command_agreed("Set it?"))
		return 0;
	return fail(-EPERM,
			"the minimum age was not set: --yes agrees to %s, "
			"until %s",
			age, until);
}

static int set(struct repository *repo, struct protection *protection,
		int64_t min_age, bool yes)
{
	struct session *session = NULL;
	if (protection->retention.count == 0
					? min_age == 0
					: min_age == min_age_in_force(&protection->retention))
		return 0;
	int err = check_agreed(protection, min_age, yes);
	if (err < 0)
		return err;
	err = session_begin(&session, repo, SESSION_WRITE, "protect");
	if (err < 0)
		return err;
	err = store_list(repo->store, "snapshots/", note_arrival, protection);
	if (err == 0)
		err = min_age_set(repo, &protection->retention, min_age,
				protection->arrived);
	protection->changed = err == 0;
	session_end(session);
	return err;
}

static int show_or_set(struct repository *repo, struct protection *protection,
		const int64_t *min_age, bool yes)
{
	protection->repo = repo;
	protection->now = time(NULL);
	int err = min_age_load(repo, &protection->retention);
	if (err < 0)
		return err;
	min_age_check_clock(repo);
	err = min_age == NULL ? 0 : set(repo, protection, *min_age, yes);
	return err < 0 ? err
		       : store_list(repo->store, "snapshots/", note_snapshot,
				       protection);
}

int command_protect(int argc, char **argv)
{
	struct protect_options o = { .min_age = NULL };
	const struct option own[] = {
		{ "min-age", 0, OPTION_TEXT, &o.min_age, "AGE",
				"set the minimum age, e.g. 30d; a lower one "
				"applies only to future snapshots" },
		{ "yes", 0, OPTION_FLAG, &o.yes, NULL,
				"do not ask: what is set can't be undone" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs protect",
		.operands = "REPO",
		.purpose = "Show or set the minimum age: how old a snapshot "
			   "must be before 'amberfs forget'\n"
			   "and 'amberfs prune' may remove it or its data.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	struct protection p = { .changed = false };
	int64_t min_age = 0;
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	if (o.min_age != NULL && age_parse(&min_age, o.min_age) < 0)
		options_error(&cl, "--min-age: %s", error_text(-EINVAL));
	struct repository *repo = command_open(argv[1], &o.common);
	if (repo == NULL)
		return EXIT_FAILED;
	int err = show_or_set(repo, &p, o.min_age != NULL ? &min_age : NULL,
			o.yes);
	if (err == 0 && report_json())
		print_json(&p);
	else if (err == 0 && (o.min_age == NULL || report_wants_text()))
		print_text(&p);
	min_age_clear(&p.retention);
	repository_close(repo);
	return err < 0 ? command_failed(err) : report_finish(EXIT_DONE);
}
