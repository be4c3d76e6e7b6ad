/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A booted snapshot is pinned, so that forget does not remove it, mounted or
 * not. A pin that existed before, with its own note, stays when we are done; so
 * does ours, as long as another booted domain needs it.
 */
#include "boot_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/printable.h"
#include "repo/session/session.h"
#include "repo/snapshot/pins.h"
#include "repo/snapshot/snapshot_resolve.h"

#define NOTE "booted as "

int boot_pin(struct boot *boot, struct repository *repo, const char *object)
{
	struct session *session = NULL;
	CLEANUP_FREE char *note = NULL;
	assert(boot->state.name != NULL);
	if (asprintf(&note, NOTE "%s", boot->state.name) < 0) {
		note = NULL;
		return fail_no_memory("pinning the snapshot");
	}
	/* Locked, as another run that ends meanwhile would remove the pin. */
	CLEANUP_FD int lock = boot_root_lock(boot->dir, true);
	if (lock < 0)
		return lock;
	int err = session_begin(&session, repo, SESSION_WRITE, "boot");
	if (err == 0)
		err = pins_set(repo, object, note);
	session_end(session);
	if (err == -EEXIST)
		return 0;
	if (session_unwritable(err)) {
		report_warning("%s is not writable, so the snapshot is not "
			       "pinned: do not forget it while %s runs from "
			       "it",
				store_path(repo->store), boot->state.name);
		return 0;
	}
	return err < 0 ? fail_within(err, "pinning the snapshot") : 0;
}

static int needs_it(void *ctx, const char *directory,
		const struct boot_state *state, int err)
{
	const struct boot *boot = ctx;
	(void)err;
	/* One that can't be read may need it. */
	return strcmp(directory, boot->place.directory) != 0
			&& (state == NULL
					|| strcmp(state->id, boot->state.id)
							== 0);
}

/* Only if it is the same snapshot, and the pin is ours. */
static int unpin(const struct boot *boot, struct repository *repo)
{
	struct session *session = NULL;
	struct snapshot *snap = NULL;
	struct pin pin = { .note = NULL };
	CLEANUP_FREE char *file = NULL;
	char id[2 * ID_SIZE + 1];
	int err = snapshot_resolve(repo, boot->state.snapshot, &snap, &file);
	if (err < 0)
		return err == -ENOENT ? 0 : err;
	hex_encode(id, snap->id.b, ID_SIZE);
	err = strcmp(id, boot->state.id) == 0
			? pins_load_one(repo, snap->object, &pin)
			: -ENOENT;
	bool ours = err == 0 && pin.note != NULL
			&& strncmp(pin.note, NOTE, strlen(NOTE)) == 0;
	pins_clear_one(&pin);
	if (ours)
		err = session_begin(&session, repo, SESSION_WRITE, "boot");
	if (ours && err == 0)
		err = pins_remove(repo, snap->object);
	session_end(session);
	snapshot_free(snap);
	return err == -ENOENT || err == -EBADMSG ? 0 : err;
}

void boot_pin_remove(struct boot *boot)
{
	struct repository *repo = NULL;
	assert(boot->state.snapshot != NULL && boot->state.repository != NULL);
	int others = boot_root_each(boot->dir, needs_it, boot);
	if (others == 1) {
		report_verbose("%s stays pinned: another booted domain needs "
			       "it",
				boot->state.snapshot);
		return;
	}
	int err = others < 0 ? others
			     : repository_open(&repo, boot->state.repository,
					     &boot->options->repository);
	if (err == 0)
		err = repository_attach(repo, &boot->options->repository);
	if (err == 0)
		err = unpin(boot, repo);
	repository_close(repo);
	if (err == 0)
		return;
	boot->partly = true;
	report_warning("cannot unpin the snapshot (%s); to do so later: "
		       "amberfs unpin %s %s",
			error_text(err), boot->state.repository,
			boot->state.snapshot);
}
