/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What amberfs forget says of its plan: a table, a line, or JSON. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/units.h"
#include "forget.h"

#define RULES_MAX 512

/* --- rules --- */

static void add_rule(char out[RULES_MAX], const char *name, const char *what,
		bool oldest)
{
	size_t n = strlen(out);
	snprintf(out + n, RULES_MAX - n, "%s%s%s%s%s", n == 0 ? "" : ", ", name,
			what[0] == '\0' ? "" : " ", what,
			oldest ? " (oldest)" : "");
}

static char *rules_text(char out[RULES_MAX], const struct forget_plan *p,
		const struct forget_entry *e)
{
	char period[KEEP_PERIOD_MAX], until[UTC_TEXT_MAX];
	out[0] = '\0';
	for (enum keep_rule r = 0; r < KEEP_RULES; r++)
		if (e->verdict.rules >> r & 1)
			add_rule(out, keep_policy_rule_name(r),
					keep_policy_period(period, r, e->time,
							p->policy.utc),
					e->verdict.oldest >> r & 1);
	if (e->pinned)
		add_rule(out, "pinned", "", false);
	if (e->protected) {
		char what[UTC_TEXT_MAX + 6];
		snprintf(what, sizeof(what), "until %s",
				utc_format(until, e->until));
		add_rule(out, "min-age", what, false);
	}
	return out;
}

static json_t *rules_json(const struct forget_plan *p,
		const struct forget_entry *e)
{
	json_t *rules = json_array();
	char text[KEEP_PERIOD_MAX];
	for (enum keep_rule r = 0; r < KEEP_RULES; r++) {
		if ((e->verdict.rules >> r & 1) == 0)
			continue;
		json_t *rule = json_pack("{s:s}", "rule", keep_policy_rule_name(r));
		keep_policy_period(text, r, e->time, p->policy.utc);
		if (text[0] != '\0')
			json_object_set_new(rule, "period", json_string(text));
		if (e->verdict.oldest >> r & 1)
			json_object_set_new(rule, "oldest", json_true());
		json_array_append_new(rules, rule);
	}
	if (e->pinned)
		json_array_append_new(rules, json_pack("{s:s}", "rule",
				"pinned"));
	if (e->protected)
		json_array_append_new(rules, json_pack("{s:s,s:s}", "rule",
				"min-age", "until",
				utc_format(text, e->until)));
	return rules;
}

/* --- all --- */

static int width_of_names(const struct forget_plan *p)
{
	size_t w = strlen("SOURCE/TIME");
	for (size_t i = 0; i < p->count; i++) {
		size_t n = strlen(forget_plan_shown(&p->items[i]));
		if (n > w)
			w = n;
	}
	return w > 60 ? 60 : (int)w;
}

static void print_zone(const struct forget_plan *p)
{
	char zone[32] = "";
	time_t now = (time_t)p->now;
	struct tm tm;
	if (!p->by_policy || p->policy.utc || localtime_r(&now, &tm) == NULL)
		return;
	strftime(zone, sizeof(zone), "%Z", &tm);
	if (tm.tm_gmtoff != 0)
		printf("Periods are those of the local time zone, %s; names are "
		       "in UTC.\n", zone);
}

void forget_report_print(const struct forget_plan *p)
{
	int w = width_of_names(p);
	if (p->count == 0) {
		if (p->failed == 0)
			printf("No snapshots.\n");
		return;
	}
	printf("%-*s  WHAT    KEPT BY\n", w, "SOURCE/TIME");
	for (size_t i = 0; i < p->count; i++) {
		const struct forget_entry *e = &p->items[i];
		char rules[RULES_MAX];
		rules_text(rules, p, e);
		printf("%-*s  %s%s%s\n", w, forget_plan_shown(e),
				e->remove ? "remove" : "keep",
				rules[0] == '\0' ? "" : "    ", rules);
	}
	print_zone(p);
}

void forget_report_print_sum(const struct forget_plan *p)
{
	size_t removed = 0;
	for (size_t i = 0; i < p->count; i++)
		removed += p->dry_run ? p->items[i].remove
				      : p->items[i].forgotten;
	if (p->count == 0)
		return;
	if (p->dry_run)
		printf("Would keep %zu and forget %zu; nothing was changed.\n",
				p->count - removed, removed);
	else if (p->by_policy)
		printf("Kept %zu, forgot %zu.\n", p->count - removed, removed);
}

static json_t *entry_json(const struct forget_plan *p,
		const struct forget_entry *e)
{
	char time[UTC_TEXT_MAX];
	json_t *j = json_pack("{s:s,s:s,s:s,s:b,s:b,s:o}", "name",
			forget_plan_shown(e), "time", utc_format(time, e->time),
			"action", e->remove ? "remove" : "keep", "forgotten",
			(int)e->forgotten, "pinned", (int)e->pinned, "rules",
			rules_json(p, e));
	if (j != NULL && e->snap != NULL)
		json_object_set_new(j, "source", json_string(e->snap->source));
	if (j != NULL && e->protected)
		json_object_set_new(j, "protected_until",
				json_string(utc_format(time, e->until)));
	return j;
}

json_t *forget_report_json(const struct forget_plan *p)
{
	json_t *all = json_array(), *gone = json_array();
	for (size_t i = 0; i < p->count; i++) {
		json_array_append_new(all, entry_json(p, &p->items[i]));
		if (p->items[i].forgotten)
			json_array_append_new(gone, json_string(
					forget_plan_shown(&p->items[i])));
	}
	return json_pack("{s:b,s:o,s:o,s:i,s:i}", "dry_run", (int)p->dry_run,
			"snapshots", all, "forgotten", gone, "failed",
			(int)p->failed, "damaged", (int)p->damaged);
}
