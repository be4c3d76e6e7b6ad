/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs sessions: who is at work in the repository. */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "repo/base/error.h"
#include "repo/format/document.h"
#include "repo/session/session.h"

static int add(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	json_t *j = record != NULL ? session_record_to_json(record)
				   : json_object();
	if (record != NULL) {
		json_object_set_new(j, "started",
				report_json_time(record->started));
		document_set_name(j, "host", record->host);
		document_set_name(j, "activity", record->activity);
	}
	json_object_set_new(j, "id", json_string(id));
	json_object_set_new(j, "alive", json_boolean(alive));
	json_object_set_new(j, "readable", json_boolean(record != NULL));
	json_array_append_new(ctx, j);
	return 0;
}

static size_t members(const json_t *session, const char *key)
{
	return json_array_size(json_object_get(session, key));
}

static void print_session(json_t *s)
{
	const char *kind = NULL, *host = "?", *activity = NULL;
	json_int_t pid = 0, started = 0;
	char time[UTC_TEXT_MAX], shown[512];
	json_unpack(s, "{s?s,s?s,s?s,s?I,s?I}", "kind", &kind, "host", &host,
			"activity", &activity, "pid", &pid, "started",
			&started);
	const char *state = json_is_true(json_object_get(s, "alive")) ? "alive"
								      : "dead";
	if (kind == NULL) {
		printf("%-5s  unreadable record of session %s\n", state,
				json_string_value(json_object_get(s, "id")));
		return;
	}
	printf("%-5s  %-6s  process %" JSON_INTEGER_FORMAT " on %s since %s",
			state, kind, pid, host, utc_format(time, started));
	if (activity != NULL)
		printf(", at %s", name_shown(shown, sizeof(shown), activity));
	if (members(s, "roots") != 0)
		printf(", uses %zu image%s", members(s, "roots"),
				members(s, "roots") == 1 ? "" : "s");
	if (members(s, "held") != 0)
		printf(", holds %zu condemned pack%s", members(s, "held"),
				members(s, "held") == 1 ? "" : "s");
	putchar('\n');
}

static void print_text(json_t *sessions)
{
	size_t i;
	json_t *s;
	if (json_array_size(sessions) == 0)
		printf("No sessions.\n");
	json_array_foreach (sessions, i, s)
		print_session(s);
}

int command_sessions(int argc, char **argv)
{
	struct common_options o = { 0 };
	const struct option *tables[] = { repository_option_table(
							  &o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs sessions",
		.operands = "REPO",
		.purpose = "List the backups, mounts and other processes "
			   "that use REPO. Dead sessions are\n"
			   "removed when the next one begins.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	struct repository *repo = command_open(argv[1], &o);
	if (repo == NULL)
		return EXIT_FAILED;
	json_t *list = json_array();
	int err = session_list(repo, add, list);
	if (err == 0 && report_json())
		report_print_json(json_pack("{s:O}", "sessions", list));
	else if (err == 0)
		print_text(list);
	json_decref(list);
	repository_close(repo);
	return err < 0 ? command_failed(err) : report_finish(EXIT_DONE);
}
