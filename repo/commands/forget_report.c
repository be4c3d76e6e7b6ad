/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How amberfs forget shows its plan: a table, a line, or JSON. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "forget.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/report_json.h"
#include "repo/base/table.h"
#include "repo/base/units.h"
#include "repo/format/document.h"

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

static char *rules_text(char out[RULES_MAX], const struct forget_plan *plan,
		const struct forget_entry *entry)
{
	char period[KEEP_PERIOD_MAX], until[UTC_TEXT_MAX];
	out[0] = '\0';
	for (enum keep_rule r = 0; r < KEEP_REASONS; r++)
		if (entry->verdict.rules >> r & 1)
			add_rule(out, keep_policy_rule_name(r),
					keep_policy_period(period, r,
							entry->time,
							plan->policy.utc),
					entry->verdict.oldest >> r & 1);
	if (entry->pinned)
		add_rule(out, "pinned", "", false);
	if (entry->protected) {
		char what[UTC_TEXT_MAX + 6];
		snprintf(what, sizeof(what), "until %s",
				utc_format(until, entry->until));
		add_rule(out, "min-age", what, false);
	}
	return out;
}

static json_t *rules_json(const struct forget_plan *plan,
		const struct forget_entry *entry)
{
	json_t *rules = json_array();
	char text[KEEP_PERIOD_MAX];
	for (enum keep_rule r = 0; r < KEEP_REASONS; r++) {
		if ((entry->verdict.rules >> r & 1) == 0)
			continue;
		json_t *rule = json_pack("{s:s}", "rule",
				keep_policy_rule_name(r));
		keep_policy_period(text, r, entry->time, plan->policy.utc);
		if (text[0] != '\0')
			json_object_set_new(rule, "period", json_string(text));
		if (entry->verdict.oldest >> r & 1)
			json_object_set_new(rule, "oldest", json_true());
		json_array_append_new(rules, rule);
	}
	if (entry->pinned)
		json_array_append_new(rules,
				json_pack("{s:s}", "rule", "pinned"));
	if (entry->protected)
		json_array_append_new(rules,
				json_pack("{s:s,s:o}", "rule", "min-age",
						"until",
						report_json_time(
								entry->until)));
	return rules;
}

/* --- all --- */

static void print_zone(const struct forget_plan *plan)
{
	char zone[32] = "";
	time_t now = (time_t)plan->now;
	struct tm tm;
	if (!plan->by_policy || plan->policy.utc
			|| localtime_r(&now, &tm) == NULL)
		return;
	strftime(zone, sizeof(zone), "%Z", &tm);
	if (tm.tm_gmtoff != 0)
		printf("Periods are in the local time zone, %s; names are "
		       "in UTC.\n",
				zone);
}

void forget_report_print(const struct forget_plan *plan)
{
	static const struct table_column columns[] = {
		{ "SOURCE/TIME", TABLE_WRAP },
		{ "WHAT", TABLE_LEFT },
		{ "KEPT BY", TABLE_WRAP },
	};
	if (plan->count == 0) {
		if (plan->failed == 0)
			printf("No snapshots.\n");
		return;
	}
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	for (size_t i = 0; i < plan->count; i++) {
		const struct forget_entry *entry = &plan->items[i];
		char rules[RULES_MAX];
		const char *cells[] = { forget_plan_shown(entry),
			entry->remove ? "remove" : "keep",
			rules_text(rules, plan, entry) };
		table_add(table, cells);
	}
	if (table_print(table) < 0)
		report_error("%s", error_text(-ENOMEM));
	print_zone(plan);
}

void forget_report_print_sum(const struct forget_plan *plan)
{
	size_t removed = 0;
	for (size_t i = 0; i < plan->count; i++)
		removed += plan->dry_run ? plan->items[i].remove
					 : plan->items[i].forgotten;
	if (plan->count == 0)
		return;
	if (plan->dry_run)
		printf("Would keep %zu and forget %zu; nothing was changed.\n",
				plan->count - removed, removed);
	else if (plan->by_policy)
		printf("Kept %zu, forgot %zu.\n", plan->count - removed,
				removed);
}

static json_t *entry_json(const struct forget_plan *plan,
		const struct forget_entry *entry)
{
	json_t *j = json_pack("{s:s,s:o,s:s,s:b,s:o}", "snapshot",
			forget_plan_shown(entry), "time",
			report_json_time(entry->time), "action",
			entry->remove ? "remove" : "keep", "pinned",
			(int)entry->pinned, "rules", rules_json(plan, entry));
	if (entry->snap != NULL)
		document_set_name(j, "source", entry->snap->source);
	if (entry->protected)
		json_object_set_new(j, "protected_until",
				report_json_time(entry->until));
	return j;
}

json_t *forget_report_json(const struct forget_plan *plan)
{
	json_t *all = json_array(), *gone = json_array();
	for (size_t i = 0; i < plan->count; i++) {
		json_array_append_new(all, entry_json(plan, &plan->items[i]));
		if (plan->items[i].forgotten)
			json_array_append_new(gone,
					json_string(forget_plan_shown(
							&plan->items[i])));
	}
	return json_pack("{s:b,s:o,s:o,s:i,s:i}", "dry_run", (int)plan->dry_run,
			"snapshots", all, "forgotten", gone, "failed_count",
			(int)plan->failed, "unreadable_count",
			(int)plan->damaged);
}
