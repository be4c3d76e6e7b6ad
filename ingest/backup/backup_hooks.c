/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Passes a backup's state to its hooks. */
#include "backup_hooks.h"

#include <stdio.h>

#include "hooks.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

static struct hook_event event(const struct backup_snapshot *snapshot,
		const struct domain_facts *facts, enum hook_phase phase)
{
	const struct backup_options *options = snapshot->run->options;
	return (struct hook_event){ .phase = phase,
		.domain = facts->name,
		.uuid = *facts->uuid ? facts->uuid : NULL,
		.repository = options->repository_path,
		.consistency = snapshot->snap != NULL
				? snapshot->snap->consistency
				: NULL };
}

static void note_failure(struct backup_snapshot *snapshot, const char *name,
		int err)
{
	char display[256];
	if (err == 0)
		return;
	snapshot->partly = true;
	report_warning("domain %s: %s",
			name_display(display, sizeof(display), name),
			error_text(err));
}

static int call(const struct backup_snapshot *snapshot,
		const struct hook_event *event)
{
	const struct backup_options *options = snapshot->run->options;
	return hooks_run(options->hook_dir, event);
}

int backup_hooks_before(struct backup_snapshot *snapshot,
		const struct domain_facts *facts)
{
	const struct hook_event e = event(snapshot, facts, HOOK_BEFORE_FREEZE);
	return call(snapshot, &e);
}

void backup_hooks_after_thaw(struct backup_snapshot *snapshot,
		const struct domain_facts *facts,
		const struct hook_exports *exports)
{
	struct hook_event e = event(snapshot, facts, HOOK_AFTER_THAW);
	e.nbd_socket = exports->socket;
	e.nbd_exports = exports->names;
	e.running = exports->running;
	e.ctx = exports->ctx;
	note_failure(snapshot, facts->name, call(snapshot, &e));
}

static void after_commit(struct backup_snapshot *b,
		const struct domain_facts *facts)
{
	CLEANUP_FREE char *snapshot = NULL;
	char time[UTC_TEXT_MAX];
	struct hook_event e = event(b, facts, HOOK_AFTER_COMMIT);
	if (asprintf(&snapshot, "%s/%s", b->snap->source,
			    utc_format(time, b->snap->time))
			< 0)
		snapshot = NULL;
	e.snapshot = snapshot;
	e.result = b->partly ? "partly" : "done";
	note_failure(b, facts->name, call(b, &e));
}

void backup_hooks_end(struct backup_snapshot *snapshot,
		const struct domain_facts *facts, int err)
{
	struct error_copy why;
	struct hook_event e = event(snapshot, facts, HOOK_FAILURE);
	if (err == 0 && snapshot->snap != NULL) {
		after_commit(snapshot, facts);
		return;
	}
	error_save(&why, err);
	e.result = "failed";
	e.error = why.text;
	note_failure(snapshot, facts->name, call(snapshot, &e));
	error_load(&why);
}

void backup_hooks_unopened(const struct backup_options *options,
		const char *name, int err)
{
	struct backup_run run = { .options = options };
	struct backup_snapshot b = { .run = &run };
	const struct domain_facts f = { .name = (char *)name };
	backup_hooks_end(&b, &f, err);
}
