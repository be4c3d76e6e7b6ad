/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs forget: removes snapshots by name. Their space is freed by prune. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/error.h"
#include "../session.h"
#include "command.h"

static void note_forgotten(json_t *done, const char *object)
{
	const char *name = object + strlen("snapshots/");
	json_array_append_new(done, json_string(name));
	if (!report_json() && report_wants_text())
		printf("Forgot %s.\n", name);
}

/* One that can't be read any more is no use to anybody. */
static int forget_damaged(struct repository *r, const char *spec, json_t *done)
{
	char object[OBJECT_NAME_MAX];
	report_warning("%s", error_text(-EBADMSG));
	int e = snapshot_forget_unread(r, spec, object);
	if (e == 0)
		note_forgotten(done, object);
	return e;
}

static int forget_one(struct repository *r, const char *spec, json_t *done)
{
	struct snapshot *s;
	char *file = NULL;
	int e = snapshot_resolve(r, spec, &s, &file);
	if (e == -EBADMSG)
		return forget_damaged(r, spec, done);
	if (e < 0)
		return e;
	if (file != NULL)
		e = fail(-EINVAL, "%s names a file; only whole snapshots can be "
				  "forgotten", spec);
	else
		e = snapshot_forget(r, s);
	if (e == 0)
		note_forgotten(done, s->object);
	free(file);
	snapshot_free(s);
	return e;
}

int command_forget(int argc, char **argv)
{
	struct common_options o = { 0 };
	const struct option *tables[] = {
		repository_option_table(&o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs forget",
		.operands = "REPO SNAPSHOT...",
		.purpose = "Remove the snapshots named: source/time, source/latest, or "
			   "the beginning of\nan id. Other snapshots lose nothing.",
		.tables = tables,
		.min_operands = 2, .max_operands = -1,
	};
	struct session *session = NULL;
	int n = options_parse(&cl, argc, argv), failed = 0;
	report_setup(cl.program, &o.report);
	struct repository *r = command_open(argv[1], &o);
	if (r == NULL)
		return EXIT_FAILED;
	int e = session_begin(&session, r, SESSION_WRITE, "forget");
	if (e < 0) {
		repository_close(r);
		return command_failed(e);
	}
	json_t *done = json_array();
	for (int i = 2; i <= n; i++) {
		e = forget_one(r, argv[i], done);
		if (e < 0) {
			report_error("%s", error_text(e));
			failed++;
		}
	}
	if (report_json())
		report_print_json(json_pack("{s:O,s:i}", "forgotten", done,
				"failed", failed));
	json_decref(done);
	session_end(session);
	repository_close(r);
	return report_finish(failed == 0	? EXIT_DONE
			     : failed == n - 1 ? EXIT_FAILED
					       : EXIT_PARTLY);
}
