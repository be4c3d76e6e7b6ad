/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a backup's state to what its hooks are told. */
#include "backup_hooks.h"

#include <stdio.h>

#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "hooks.h"

static struct hook_event event(const struct backup_snapshot *b,
		const struct domain_facts *f, enum hook_phase phase)
{
	const struct backup_options *o = b->run->options;
	return (struct hook_event){ .phase = phase, .domain = f->name,
		.uuid = *f->uuid ? f->uuid : NULL,
		.repository = o->repository_path,
		.consistency = b->snap ? b->snap->consistency : NULL };
}

static void note_failure(struct backup_snapshot *b, const char *name, int err)
{
	char display[256];
	if (err == 0)
		return;
	b->partly = true;
	report_warning("domain %s: %s",
			name_display(display, sizeof(display), name),
			error_text(err));
}

static int call(const struct backup_snapshot *b, const struct hook_event *e)
{
	const struct backup_options *options = b->run->options;
	return hooks_run(options->hook_dir, e);
}

int backup_hooks_before(struct backup_snapshot *b,
		const struct domain_facts *f)
{
	const struct hook_event e = event(b, f, HOOK_BEFORE_FREEZE);
	return call(b, &e);
}

void backup_hooks_after_thaw(struct backup_snapshot *b,
		const struct domain_facts *f, const char *socket,
		const char *exports)
{
	struct hook_event e = event(b, f, HOOK_AFTER_THAW);
	e.nbd_socket = socket;
	e.nbd_exports = exports;
	note_failure(b, f->name, call(b, &e));
}

static void after_commit(struct backup_snapshot *b,
		const struct domain_facts *f)
{
	CLEANUP_FREE char *snapshot = NULL;
	char time[UTC_TEXT_MAX];
	struct hook_event e = event(b, f, HOOK_AFTER_COMMIT);
	if (asprintf(&snapshot, "%s/%s", b->snap->source,
			    utc_format(time, b->snap->time)) < 0)
		snapshot = NULL;
	e.snapshot = snapshot;
	e.result = b->partly ? "partly" : "done";
	note_failure(b, f->name, call(b, &e));
}

void backup_hooks_end(struct backup_snapshot *b, const struct domain_facts *f,
		int err)
{
	struct error_copy why;
	struct hook_event e = event(b, f, HOOK_FAILURE);
	if (err == 0 && b->snap != NULL) {
		after_commit(b, f);
		return;
	}
	error_save(&why, err);
	e.result = "failed";
	e.error = why.text;
	note_failure(b, f->name, call(b, &e));
	error_load(&why);
}

void backup_hooks_unopened(const struct backup_options *o, const char *name,
		int err)
{
	struct backup_run run = { .options = o };
	struct backup_snapshot b = { .run = &run };
	const struct domain_facts f = { .name = (char *)name };
	backup_hooks_end(&b, &f, err);
}
