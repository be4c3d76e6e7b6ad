/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot --discard and --resume. */
#include "boot_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"
#include "repo/snapshot/snapshot_resolve.h"

#define UNMOUNT_SECONDS 15.0
#define UNMOUNT_PAUSE_NS 100000000L
#define TRIES 3

/* --- the mount --- */

int boot_end_unmount(struct boot *boot)
{
	const struct timespec pause = { .tv_nsec = UNMOUNT_PAUSE_NS };
	double end = monotonic_now() + UNMOUNT_SECONDS;
	int err;
	/* A qemu that has just exited or closed a file may not be finished. */
	while ((err = boot_mount_end(&boot->place)) == -EBUSY
			&& monotonic_now() < end && !interrupt_flag)
		nanosleep(&pause, NULL);
	return err;
}

static int check_snapshot(struct boot *boot)
{
	struct repository *repo = NULL;
	struct snapshot *snap = NULL;
	CLEANUP_FREE char *file = NULL;
	char id[2 * ID_SIZE + 1] = "";
	int err = repository_open(&repo, boot->state.repository,
			&boot->options->repository);
	if (err == 0)
		err = repository_attach(repo, &boot->options->repository);
	if (err == 0)
		err = snapshot_resolve(repo, boot->state.snapshot, &snap,
				&file);
	if (err == 0)
		hex_encode(id, snap->id.b, ID_SIZE);
	if (err == 0 && strcmp(id, boot->state.id) != 0)
		err = fail(-ESTALE,
				"%s is no longer the snapshot that %s was "
				"booted from; its disks can't be read without "
				"that snapshot",
				boot->state.snapshot, boot->state.name);
	snapshot_free(snap);
	repository_close(repo);
	return err;
}

int boot_end_remount(struct boot *boot)
{
	assert(boot->lock >= 0 && boot->state.ready);
	int err = boot_mount_active(&boot->place);
	if (err == 1)
		return 0;
	if (err == -ENOTCONN)
		err = boot_mount_end(&boot->place);
	if (err == -EBUSY)
		return fail(-EBUSY,
				"the mount %s is dead, but some of its files "
				"are still open: stop the guest first (virsh "
				"destroy %s)",
				boot->place.mount, boot->state.name);
	if (err == 0)
		err = check_snapshot(boot);
	boot->place.only = boot->state.snapshot;
	if (err == 0)
		err = boot_mount_start(&boot->place, boot->state.repository,
				&boot->options->repository);
	return err;
}

/* --- discard --- */

/* A domain that a user made on the overlays, or renamed, must not be
 * removed. */
static int check_ours(struct boot *boot, struct domain **users, unsigned count)
{
	char shown[256];
	for (unsigned i = 0; i < count; i++)
		if (strcmp(domain_name(users[i]), boot->state.name) != 0)
			return fail(-EBUSY,
					"domain %s also uses files in %s: "
					"undefine it first",
					printable(shown, sizeof(shown),
							domain_name(users[i])),
					boot->place.directory);
	return 0;
}

static int end_users(struct boot *boot)
{
	struct domain **users = NULL;
	unsigned count = 0;
	int err = domain_control_users(boot->connection, boot->place.directory,
			&users, &count);
	if (err == 0)
		err = check_ours(boot, users, count);
	for (unsigned i = 0; err == 0 && i < count; i++) {
		err = domain_control_destroy(users[i]);
		if (err == 0)
			err = domain_control_undefine(users[i]);
	}
	domain_list_free(users, count);
	return err;
}

int boot_end_take_down(struct boot *boot)
{
	assert(boot->lock >= 0);
	/* In this order a kill at any moment leaves something that can be
	 * discarded: the directory's last file is the state. */
	int err = boot->connection != NULL ? end_users(boot) : 0;
	if (err < 0)
		return err;
	err = boot_end_unmount(boot);
	if (err < 0)
		return err;
	boot_pin_remove(boot);
	err = boot_directory_remove(&boot->place);
	/* The mount of a killed run may have appeared just now. */
	for (int i = 0; err == -EBUSY && i < TRIES; i++) {
		err = boot_end_unmount(boot);
		if (err == 0)
			err = boot_directory_remove(&boot->place);
	}
	return err;
}

static int check_off(struct boot *boot)
{
	struct domain **users = NULL;
	unsigned count = 0;
	char shown[256];
	int err = domain_control_users(boot->connection, boot->place.directory,
			&users, &count);
	for (unsigned i = 0; err == 0 && i < count; i++)
		if (domain_control_is_active(users[i]))
			err = fail(-EBUSY,
					"domain %s is running; --force powers "
					"it off and removes it with all it "
					"wrote",
					printable(shown, sizeof(shown),
							domain_name(users[i])));
	domain_list_free(users, count);
	return err;
}

int boot_end_discard(struct boot *boot)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	assert(boot->lock >= 0 && boot->state.name != NULL);
	int err = boot->options->force ? 0 : check_off(boot);
	if (err < 0)
		return err;
	err = boot_end_take_down(boot);
	if (err < 0)
		return err;
	if (report_json())
		return report_print_json(json_pack("{s:s,s:s,s:s}", "domain",
				boot->state.name, "action", "discarded",
				"snapshot",
				snapshot_shown(shown, boot->state.snapshot)));
	if (report_wants_text())
		printf("Removed %s with all that its guest wrote. The "
		       "backup is unchanged.\n",
				boot->state.name);
	return 0;
}

/* --- resume --- */

/* Resumes a guest that a killed --finish had briefly paused. */
static int let_go_on(struct boot *boot, struct domain *domain)
{
	struct domain_facts facts;
	int err = domain_facts(domain, &facts);
	if (err < 0)
		return err;
	if (boot->state.pausing && strcmp(facts.state, "paused") == 0)
		err = domain_control_resume(domain);
	domain_facts_clear(&facts);
	return err;
}

static int start_if_wanted(struct boot *boot, bool *runs)
{
	struct domain **users = NULL;
	unsigned count = 0;
	int err = domain_control_users(boot->connection, boot->place.directory,
			&users, &count);
	if (err == 0 && count == 0)
		err = fail(-ENOENT,
				"no domain uses %s any more; its disks are "
				"there, and the snapshot is mounted",
				boot->place.directory);
	if (err == 0 && domain_control_is_active(users[0]))
		err = let_go_on(boot, users[0]);
	else if (err == 0 && boot->options->start)
		err = domain_control_start(users[0]);
	*runs = err == 0 && domain_control_is_active(users[0]);
	domain_list_free(users, count);
	return err;
}

int boot_end_resume(struct boot *boot)
{
	bool runs = false;
	char shown[SNAPSHOT_SHOWN_MAX];
	assert(boot->lock >= 0 && boot->state.name != NULL);
	assert(boot->connection != NULL);
	if (!boot->state.ready)
		return fail(-EINVAL,
				"booting %s was interrupted: run amberfs boot "
				"--discard %s, then boot it again",
				boot->state.name, boot->state.name);
	int err = boot_end_remount(boot);
	if (err < 0)
		return err;
	err = start_if_wanted(boot, &runs);
	if (err < 0)
		return err;
	if (report_json())
		return report_print_json(json_pack("{s:s,s:s,s:o,s:b}",
				"domain", boot->state.name, "action", "resumed",
				"mount", report_json_text(boot->place.mount),
				"running", runs));
	if (report_wants_text())
		printf("Mounted %s again%s%s%s%s.\n",
				snapshot_shown(shown, boot->state.snapshot),
				runs ? "; the guest is running"
				     : "; start it with: virsh -c '",
				runs ? "" : boot->state.uri,
				runs ? "" : "' start ",
				runs ? "" : boot->state.name);
	return 0;
}
