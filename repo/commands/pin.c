/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs pin and unpin: snapshots that forget leaves alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/session/session.h"
#include "repo/snapshot/pins.h"
#include "repo/snapshot/snapshot_resolve.h"

struct pin_options {
	struct common_options common;
	const char *note;
};

struct pin_run {
	struct repository *repo;
	const char *note;
	bool pinning; /* else unpinning */
	json_t *done; /* {snapshot, pinned} */
	int failed;
};

static void note_done(struct pin_run *run, const char *object, const char *what)
{
	char name[SNAPSHOT_SHOWN_MAX];
	snapshot_shown(name, object);
	json_array_append_new(run->done,
			json_pack("{s:s,s:b}", "snapshot", name, "pinned",
					(int)run->pinning));
	if (!report_json() && report_wants_text())
		printf("%s %s.\n", what, name);
}

/* The object name of the snapshot SPEC names. FIND_LOST: also of one that is
 * gone or can't be read, if it is named as source/time. */
static int resolve(struct repository *repo, const char *spec, bool find_lost,
		char object[OBJECT_NAME_MAX])
{
	struct snapshot *snap = NULL;
	struct error_copy first;
	CLEANUP_FREE char *file = NULL;
	int64_t time = 0;
	int err = snapshot_resolve(repo, spec, &snap, &file);
	if (err == 0 && file != NULL)
		err = fail(-EINVAL,
				"%s is a file; only whole snapshots can be "
				"pinned",
				spec);
	else if (err == 0)
		snprintf(object, OBJECT_NAME_MAX, "%s", snap->object);
	snapshot_free(snap);
	if (!find_lost || (err != -ENOENT && err != -EBADMSG))
		return err;
	error_save(&first, err);
	if (snapshot_resolve_unread(spec, object, &time) == 0
			&& pins_exists(repo, object) == 1)
		return 0;
	return error_load(&first);
}

static int pin_one(struct pin_run *run, const char *spec)
{
	char object[OBJECT_NAME_MAX] = "", shown[SNAPSHOT_SHOWN_MAX];
	int err = resolve(run->repo, spec, false, object);
	if (err < 0)
		return err;
	err = pins_set(run->repo, object, run->note);
	if (err == -EEXIST && run->note != NULL)
		return fail(-EEXIST,
				"%s is already pinned; to change its note, "
				"unpin it first",
				snapshot_shown(shown, object));
	if (err == 0 || err == -EEXIST)
		note_done(run, object, err == 0 ? "Pinned" : "Already pinned:");
	return err == -EEXIST ? 0 : err;
}

static int unpin_one(struct pin_run *run, const char *spec)
{
	char object[OBJECT_NAME_MAX] = "", shown[SNAPSHOT_SHOWN_MAX];
	int err = resolve(run->repo, spec, true, object);
	if (err == 0)
		err = pins_remove(run->repo, object);
	if (err == -ENOENT && object[0] != '\0')
		return fail(-ENOENT, "%s is not pinned",
				snapshot_shown(shown, object));
	if (err == 0)
		note_done(run, object, "Unpinned");
	return err;
}

typedef int pin_fn(struct pin_run *run, const char *spec);

static int work(const char *path, const struct pin_options *options,
		pin_fn *one, const char *verb, char **specs, int count)
{
	struct session *session = NULL;
	struct pin_run run = { .note = options->note,
		.pinning = one == pin_one };
	run.repo = command_open(path, &options->common);
	if (run.repo == NULL)
		return EXIT_FAILED;
	int err = one == unpin_one
			? command_session_to_delete(&session, run.repo, verb)
			: session_begin(&session, run.repo, SESSION_WRITE,
					verb);
	if (err < 0) {
		repository_close(run.repo);
		return command_failed(err);
	}
	run.done = json_array();
	for (int i = 0; i < count; i++) {
		err = one(&run, specs[i]);
		if (err < 0) {
			report_failure(err, specs[i]);
			run.failed++;
		}
	}
	session_end(session);
	repository_close(run.repo);
	if (report_json())
		report_print_json(json_pack("{s:O,s:i}", "snapshots", run.done,
				"failed_count", run.failed));
	json_decref(run.done);
	return report_finish(run.failed == 0		      ? EXIT_DONE
					: run.failed == count ? EXIT_FAILED
							      : EXIT_PARTLY);
}

int command_pin(int argc, char **argv)
{
	struct pin_options o = { .note = NULL };
	const struct option own[] = {
		{ "note", 0, OPTION_TEXT, &o.note, "TEXT",
				"reason; 'amberfs show' displays it" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs pin",
		.operands = "REPO SNAPSHOT...",
		.purpose = "Pin the snapshots named: until they are "
			   "unpinned, 'amberfs forget' does not\n"
			   "remove them, neither by name nor by rule.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	return work(argv[1], &o, pin_one, "pin", argv + 2, n - 1);
}

int command_unpin(int argc, char **argv)
{
	struct pin_options o = { .note = NULL };
	const struct option *tables[] = { repository_option_table(
							  &o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs unpin",
		.operands = "REPO SNAPSHOT...",
		.purpose = "Unpin the snapshots named, so that 'amberfs "
			   "forget' may remove them again.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	return work(argv[1], &o, unpin_one, "unpin", argv + 2, n - 1);
}
