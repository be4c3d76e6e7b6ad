/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs boot --finish: makes the disks complete and releases the backup.
 *
 *	1 for each running guest, backing files are pulled into its disks
 *	2 it is paused briefly, which makes qemu flush its disks, and the
 *	  overlays are fsynced
 *	3 overlays that no guest has open are completed with qemu-img
 *	4 the state says "whole": durable
 *	5 definitions that still name the mount are corrected
 *	6 all domains are checked: none names the mount any more
 *	7 unmounted, unpinned; the state goes, the disks stay
 *
 * If killed in 1, qemu continues to pull, and the next run waits for it. If
 * killed before 4 and the guest has ended since, the next run can't know
 * whether qemu had parts of an overlay only in memory: an overlay without a
 * backing file first gets the mounted image back, and 3 copies what may be
 * missing. Data of the overlay always takes precedence over the backing file.
 */
#include "boot_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ingest/libvirt/domain_paths.h"
#include "overlay.h"
#include "repo/base/cleanup.h"
#include "repo/base/interrupt.h"
#include "repo/base/printable.h"

#define POLL_NS 200000000L
#define SETTLE_SECONDS 30.0

struct finish {
	struct boot *boot;
	struct domain **users; /* domains that use something in the directory */
	unsigned count;
	_Atomic uint64_t done, total; /* bytes of the current pull */
	unsigned pulled;	      /* disks */
};

static void pause_a_little(void)
{
	const struct timespec t = { .tv_nsec = POLL_NS };
	nanosleep(&t, NULL);
}

/* --- 1: pulling --- */

static void progress(void *ctx, struct progress_numbers *now)
{
	const struct finish *finish = ctx;
	now->done = finish->done;
	now->total = finish->total;
	now->fresh = UINT64_MAX;
}

/* Waits until no job is working on the disk. */
static int wait_for_job(struct finish *finish, struct domain *domain,
		const char *target)
{
	for (;;) {
		uint64_t done = 0, total = 0;
		int err = domain_control_pull_progress(domain, target, &done,
				&total);
		if (err <= 0)
			return err;
		finish->done = done;
		finish->total = total;
		if (interrupt_flag)
			return fail(-ECANCELED,
					"interrupted; qemu continues to pull "
					"disk %s. Run the command again to "
					"complete it",
					target);
		pause_a_little();
	}
}

/* 1: according to libvirt the disk still has a backing file in the mount. */
static int is_backed(struct finish *finish, struct domain *domain,
		const char *target)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	char **targets = NULL;
	int err = domain_get_xml(domain, DOMAIN_XML_CURRENT, &xml);
	if (err == 0)
		err = domain_paths_backed(xml->doc, finish->boot->place.mount,
				&targets);
	for (char **t = targets; err == 0 && t != NULL && *t != NULL; t++)
		err = strcmp(*t, target) == 0;
	domain_paths_free(targets);
	return err;
}

/* libvirt learns of a job's end a moment after qemu reports it gone. */
static int check_pulled(struct finish *finish, struct domain *domain,
		const char *target)
{
	double end = monotonic_now() + SETTLE_SECONDS;
	int err;
	while ((err = is_backed(finish, domain, target)) == 1
			&& monotonic_now() < end
			&& domain_control_is_active(domain) && !interrupt_flag)
		pause_a_little();
	if (err == 1)
		err = fail(-EIO,
				"disk %s: the block pull ended early: is the "
				"file system of %s full? The guest keeps "
				"running; run the command again",
				target, finish->boot->place.directory);
	return err;
}

static int pull_disk(struct finish *finish, struct domain *domain,
		const char *target)
{
	uint64_t done = 0, total = 0;
	char what[64];
	/* A killed run's job may still be running. */
	int err = domain_control_pull_progress(domain, target, &done, &total);
	if (err == 0)
		err = domain_control_pull(domain, target);
	if (err < 0)
		return err;
	finish->done = done;
	finish->total = total;
	report_progress_begin(printable(what, sizeof(what), target), progress,
			finish);
	err = wait_for_job(finish, domain, target);
	report_progress_end();
	if (err == 0)
		err = check_pulled(finish, domain, target);
	finish->pulled += err == 0;
	return err;
}

static int pull_all(struct finish *finish, struct domain *domain)
{
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	char **targets = NULL;
	int err = domain_get_xml(domain, DOMAIN_XML_CURRENT, &xml);
	if (err == 0)
		err = domain_paths_backed(xml->doc, finish->boot->place.mount,
				&targets);
	for (char **t = targets; err == 0 && t != NULL && *t != NULL; t++)
		err = pull_disk(finish, domain, *t);
	domain_paths_free(targets);
	return err;
}

/* --- 2: all is written out --- */

static int save_pausing(struct finish *finish, bool pausing)
{
	finish->boot->state.pausing = pausing;
	return boot_state_save(&finish->boot->state,
			finish->boot->place.directory);
}

static int flush(struct finish *finish, struct domain *domain)
{
	struct error_copy first;
	int e = save_pausing(finish, true);
	if (e < 0)
		return e;
	e = domain_control_pause(domain);
	error_save(&first, e);
	int r = domain_control_resume(domain);
	if (e == 0 && r < 0)
		error_save(&first, r);
	e = save_pausing(finish, false);
	return first.err < 0 ? error_load(&first) : e;
}

static int no_state_for_it(const struct domain_facts *facts)
{
	char shown[256];
	printable(shown, sizeof(shown), facts->name);
	if (facts->managed_save)
		return fail(-EBUSY,
				"domain %s has a managed save image, which "
				"needs the mount: start the domain, then "
				"finish",
				shown);
	if (facts->id >= 0 && strcmp(facts->state, "paused") == 0)
		return fail(-EBUSY,
				"domain %s is paused (%s): resume it (virsh "
				"resume), then finish",
				shown, facts->reason);
	return 0;
}

/* 1: it runs; 0: it is off; -EBUSY: it is in a state that we can't change. */
static int runs(struct finish *finish, struct domain *domain)
{
	struct domain_facts facts;
	int err = domain_facts(domain, &facts);
	if (err < 0)
		return err;
	if (finish->boot->state.pausing && strcmp(facts.state, "paused") == 0) {
		/* Paused by a run of ours that was killed. */
		err = domain_control_resume(domain);
		domain_facts_clear(&facts);
		return err < 0 ? err : 1;
	}
	err = no_state_for_it(&facts);
	if (err == 0)
		err = facts.id >= 0;
	domain_facts_clear(&facts);
	return err;
}

static int finish_guest(struct finish *finish, struct domain *domain)
{
	int err = runs(finish, domain);
	if (err <= 0)
		return err;
	err = pull_all(finish, domain);
	return err < 0 ? err : flush(finish, domain);
}

/* --- 3: overlays that nobody has open --- */

/* Checks again for each: completing one takes long, and guests may be started
 * meanwhile. */
static int some_guest_has(struct finish *finish, const char *path)
{
	for (unsigned i = 0; i < finish->count; i++) {
		CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
		if (!domain_control_is_active(finish->users[i]))
			continue;
		int err = domain_get_xml(finish->users[i], DOMAIN_XML_CURRENT,
				&xml);
		if (err != 0)
			return err;
		err = domain_paths_name(xml->doc, path);
		if (err != 0)
			return err;
	}
	return 0;
}

static int make_whole(struct finish *finish, const struct boot_disk *disk,
		const struct overlay *overlay)
{
	struct boot *boot = finish->boot;
	CLEANUP_FREE char *backing = NULL;
	if (asprintf(&backing, "%s/%s/%s", boot->place.mount,
			    boot->state.snapshot, disk->file)
			< 0) {
		backing = NULL;
		return fail_no_memory("finishing");
	}
	int err = boot_mount_active(&boot->place);
	if (err <= 0)
		return fail(err < 0 ? err : -ENOTCONN,
				"%s is not mounted (was the host restarted?), "
				"and %s needs it: run amberfs boot --resume %s",
				boot->state.snapshot, overlay->path,
				boot->state.name);
	err = overlay_chown(overlay);
	if (err == 0)
		err = overlay_has_backing(overlay);
	if (err == 0)
		err = overlay_attach(overlay, backing);
	if (err >= 0)
		err = overlay_flatten(overlay, disk->target);
	return err;
}

static int finish_overlay(struct finish *finish, const struct boot_disk *disk)
{
	CLEANUP_FREE char *path =
			boot_directory_overlay_path(&finish->boot->place,
					disk->target);
	const struct overlay o = { .path = path,
		.uid = finish->boot->place.uid,
		.gid = finish->boot->place.gid };
	if (path == NULL)
		return fail_no_memory("finishing");
	if (access(path, F_OK) < 0 && errno == ENOENT) {
		report_warning("%s no longer exists", path);
		return 0;
	}
	int used = some_guest_has(finish, path);
	if (used < 0)
		return used;
	if (used == 0)
		return make_whole(finish, disk, &o);
	int backed = overlay_has_backing(&o);
	if (backed == 1)
		return fail(-EBUSY,
				"%s still needs the backup; run the command "
				"again",
				path);
	return backed < 0 ? backed : overlay_sync(&o);
}

/* --- 5 and 6: nobody names the mount --- */

static int correct_definition(struct finish *finish, struct domain *domain)
{
	struct domain_facts facts;
	CLEANUP_DOMAIN_XML struct domain_xml *xml = NULL;
	CLEANUP_FREE char *better = NULL;
	int err = domain_facts(domain, &facts);
	bool persistent = err == 0 && facts.persistent;
	domain_facts_clear(&facts);
	if (err < 0 || !persistent)
		return err;
	err = domain_get_xml(domain, DOMAIN_XML_SECURE, &xml);
	if (err == -EPERM)
		err = domain_get_xml(domain, DOMAIN_XML_INACTIVE, &xml);
	if (err < 0 || !domain_paths_below(xml->doc, finish->boot->place.mount))
		return err;
	err = domain_paths_unback(xml->doc, finish->boot->place.mount, &better);
	return err < 0 ? err
		       : domain_control_define(finish->boot->connection, better,
				       NULL);
}

static int check_unused(struct finish *finish)
{
	struct domain **left = NULL;
	unsigned count = 0;
	char shown[256];
	int err = domain_control_users(finish->boot->connection,
			finish->boot->place.mount, &left, &count);
	if (err == 0 && count > 0)
		err = fail(-EBUSY,
				"domain %s still uses files in %s; it stays "
				"mounted",
				printable(shown, sizeof(shown),
						domain_name(left[0])),
				finish->boot->place.mount);
	domain_list_free(left, count);
	return err;
}

/* --- */

static int become_whole(struct finish *finish)
{
	struct boot *boot = finish->boot;
	int err = 0;
	assert(boot->state.ready && !boot->state.whole);
	for (unsigned i = 0; err == 0 && i < finish->count; i++)
		err = finish_guest(finish, finish->users[i]);
	for (uint32_t i = 0; err == 0 && i < boot->state.disk_count; i++)
		err = finish_overlay(finish, &boot->state.disks[i]);
	if (err < 0)
		return err;
	boot->state.whole = true;
	return boot_state_save(&boot->state, boot->place.directory);
}

/* The mount point first: it can't be removed while something is mounted. */
static int remove_state(struct boot *boot)
{
	CLEANUP_FREE char *state = NULL;
	assert(boot->lock >= 0);
	if (asprintf(&state, "%s/" BOOT_STATE_NAME, boot->place.directory)
			< 0) {
		state = NULL;
		return fail_no_memory("finishing");
	}
	if (rmdir(boot->place.mount) < 0 && errno != ENOENT)
		return fail_errno(-errno, "removing %s", boot->place.mount);
	if (unlink(state) < 0 || fsync(boot->lock) < 0)
		return fail_errno(-errno, "removing %s", state);
	return 0;
}

static int let_go(struct finish *finish)
{
	struct boot *boot = finish->boot;
	int err = 0;
	for (unsigned i = 0; err == 0 && i < finish->count; i++)
		err = correct_definition(finish, finish->users[i]);
	if (err < 0)
		return err;
	err = check_unused(finish);
	if (err < 0)
		return err;
	err = boot_end_unmount(boot);
	if (err < 0)
		return err;
	boot_pin_remove(boot);
	return remove_state(boot);
}

static void report(const struct finish *finish)
{
	const struct boot *boot = finish->boot;
	char shown[SNAPSHOT_SHOWN_MAX];
	if (report_json())
		report_print_json(json_pack("{s:s,s:s,s:s,s:o,s:i,s:i}",
				"domain", boot->state.name, "action",
				"finished", "snapshot",
				snapshot_shown(shown, boot->state.snapshot),
				"directory",
				report_json_text(boot->place.directory),
				"disk_count", (int)boot->state.disk_count,
				"pulled_count", (int)finish->pulled));
	else if (report_wants_text())
		printf("The disks of %s are complete, in %s; the "
		       "backup is unmounted%s.\n",
				boot->state.name, boot->place.directory,
				boot->partly ? "" : " and unpinned");
}

int boot_finish(struct boot *boot)
{
	struct finish f = { .boot = boot };
	assert(boot->lock >= 0 && boot->state.name != NULL);
	assert(boot->connection != NULL);
	if (!boot->state.ready)
		return fail(-EINVAL,
				"booting %s was interrupted: run amberfs boot "
				"--discard %s",
				boot->state.name, boot->state.name);
	int err = domain_control_users(boot->connection, boot->place.directory,
			&f.users, &f.count);
	if (err == 0 && !boot->state.whole)
		err = become_whole(&f);
	if (err == 0)
		err = let_go(&f);
	if (err == 0)
		report(&f);
	domain_list_free(f.users, f.count);
	return err;
}
