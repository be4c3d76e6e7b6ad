/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backs up one domain into one snapshot: its files, the output of qemu-img
 * info, and its disks, each as the guest sees it or (--exact) as the files of
 * its chain. A running domain is left to live/. A domain that is shut off is
 * checked again after its disks were read. If it was started or shut off
 * meanwhile, the backup is tried once more in the new state.
 */
#include "backup_domain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/backup/backup_hooks.h"
#include "ingest/backup/backup_path.h"
#include "ingest/backup/domain_files.h"
#include "ingest/backup/left_out.h"
#include "ingest/live/domain_lock.h"
#include "ingest/live/live_backup.h"
#include "ingest/live/live_settle.h"
#include "ingest/live/tracked_base.h"
#include "offline_disk.h"
#include "repo/base/cleanup.h"
#include "repo/format/name.h"

/* --- a domain that is shut off --- */

static int store_exactly(struct domain_run *run, const struct disk_plan *plan)
{
	int err = disk_record_store_info(run, plan);
	for (unsigned i = 0; err == 0 && i < plan->chain.count; i++) {
		const struct chain_file *file = &plan->chain.files[i];
		const char *paths[] = { file->path, NULL };
		const char *const *next = file->parts != NULL
				? (const char *const *)file->parts
				: NULL;
		for (const char *const *p = paths; err == 0 && *p != NULL;
				p = p == paths && next != NULL ? next : p + 1) {
			const char *slash = strrchr(*p, '/');
			struct backup_file f = { .name = slash != NULL
						? slash + 1
						: *p,
				.kind = FILE_IMAGE,
				.mtime_ns = INT64_MIN,
				.source_path = *p,
				.format = file->format,
				.target = plan->target };
			err = backup_path(run->b, *p, &f);
		}
	}
	return err < 0 ? err : disk_record_check_image(run, plan, true, NULL);
}

/* Unless the domain has been started meanwhile, which is tried again. */
static int go_on_without(struct domain_run *run, const struct disk_plan *plan,
		int err)
{
	struct error_copy why;
	error_save(&why, fail_within(err, "disk %s", plan->target));
	bool changed = domain_state_recheck(run->domain) < 0;
	err = error_load(&why);
	return changed ? err : disk_record_failed(run, plan, err);
}

static int store_disk(struct domain_run *run, const struct disk_plan *plan,
		const struct tracking_base *base)
{
	bool left_out;
	int err = left_out_disk(run, plan, &left_out);
	if (err < 0 || left_out)
		return err;
	err = run->options->exact ? store_exactly(run, plan)
				  : offline_disk_store(run, plan, base);
	return err < 0 ? go_on_without(run, plan, err) : 0;
}

static bool any_bitmap_of_ours(const struct domain_run *run)
{
	const struct domain_state *state = run->domain;
	for (unsigned i = 0; i < state->disk_count; i++)
		if (state->disks[i].chain.count > 0
				&& tracking_image_lists_ours(
						&state->disks[i].chain.files[0],
						run->repo->config.repo_id))
			return true;
	return false;
}

static int store_disks(struct domain_run *run)
{
	struct tracked_base base;
	int err = tracked_base_find(&base, run->b, run->domain->facts.uuid,
			any_bitmap_of_ours(run));
	for (unsigned i = 0; err == 0 && i < run->domain->disk_count; i++)
		err = store_disk(run, &run->domain->disks[i], &base.base);
	tracked_base_clear(&base, run->b);
	return err;
}

static int backup_shut_off(struct domain_run *run)
{
	struct snapshot *snap = run->b->snap;
	/* By libvirt, or by a user into a file of their own. */
	bool saved = run->domain->facts.managed_save
			|| strcmp(run->domain->facts.reason, "saved") == 0;
	snap->consistency = strdup(saved ? "crash" : "offline");
	if (saved)
		report_warning("domain %s has a managed save image: its "
			       "memory is not backed up, so its disks are as "
			       "after a power cut",
				run->display);
	if (snap->consistency == NULL)
		return fail_no_memory("making a snapshot");
	int err = domain_files_store(run);
	if (err < 0)
		return err;
	err = store_disks(run);
	if (err < 0)
		return err;
	err = domain_state_recheck(run->domain);
	if (err == 0)
		err = disk_record_check_any(run);
	return err < 0 ? err : backup_snapshot_commit(run->b);
}

/* --- a domain --- */

static int back_up(struct domain_run *run)
{
	int err = left_out_others(run);
	if (err < 0)
		return err;
	return run->domain->live ? live_backup(run) : backup_shut_off(run);
}

/* Two at work on one running domain would delete each other's checkpoints. */
static int lock_if_live(struct domain_run *run, struct domain_lock *lock,
		bool *waited)
{
	const struct backup_options *options = run->options;
	CLEANUP_FREE char *what = NULL;
	*waited = false;
	if (!run->domain->live || lock->fd >= 0)
		return 0;
	if (asprintf(&what, "which backs it up to %s", options->repository_path)
			< 0) {
		what = NULL;
		return fail_no_memory("locking a domain");
	}
	int err = domain_lock_take(lock, run->domain->facts.uuid, what,
			options->wait_seconds, waited);
	return err == -EBUSY ? live_settle_busy(options, err) : err;
}

/* *FRESH (to close) becomes the new state of the domain. */
static int look_again(struct domain_run *run, struct domain_state **fresh)
{
	struct domain_state *now = NULL;
	int err = domain_state_open(&now, run->domain->connection,
			run->domain->facts.uuid);
	if (err < 0)
		return err;
	domain_state_close(*fresh);
	run->domain = *fresh = now;
	return 0;
}

/* Waits for others at work on a running domain. If it had to wait, *FRESH (to
 * close) is the new state of the domain. */
static int settle(struct domain_run *run, struct domain_lock *lock,
		struct domain_state **fresh)
{
	bool waited;
	int err = lock_if_live(run, lock, &waited);
	if (err == 0 && waited)
		err = look_again(run, fresh);
	if (err < 0 || !run->domain->live)
		return err;
	err = live_settle_wait(run->domain, run->options, &waited);
	return err == 0 && waited ? look_again(run, fresh) : err;
}

/* After the failure ERR: one more try if the domain changed its state. */
static int try_again(struct domain_run *run, struct domain_lock *lock, int err)
{
	struct error_copy why;
	struct domain_state *again, *fresh = NULL, *before = run->domain;
	error_save(&why, err);
	if (domain_state_recheck(before) != -EBUSY
			|| domain_state_open(&again, before->connection,
					   before->facts.uuid)
					< 0)
		return error_load(&why);
	report_warning("domain %s changed state during its backup (from %s to "
		       "%s); trying once more: %s",
			run->display, before->facts.state, again->facts.state,
			why.text);
	backup_snapshot_restart(run->b);
	run->domain = again;
	err = settle(run, lock, &fresh);
	if (err == 0)
		err = back_up(run);
	run->domain = before;
	domain_state_close(fresh);
	domain_state_close(again);
	return err;
}

static const char *source_of(const struct domain_run *run)
{
	const struct domain_facts *facts = &run->domain->facts;
	return backup_options_source(run->options, facts->name, facts->uuid);
}

static int take_snapshot(struct domain_run *run, struct backup_lane *lane,
		struct domain_lock *lock)
{
	const struct domain_facts *facts = &run->domain->facts;
	const struct backup_subject subject = { .source = source_of(run),
		.kind = SNAPSHOT_DOMAIN,
		.uuid = facts->uuid };
	int err = backup_snapshot_begin(run->b, lane, &subject);
	if (err < 0)
		return err;
	err = backup_hooks_before(run->b, facts);
	if (err < 0)
		return err;
	err = back_up(run);
	if (err < 0 && !backup_run_broken(lane->run, err))
		err = try_again(run, lock, err);
	return err;
}

void backup_domain(struct backup_lane *lane, struct domain_state *domain)
{
	struct backup_snapshot b = { .lane = lane,
		.run = lane->run,
		.frozen_seconds = -1 };
	struct domain_state *fresh = NULL;
	struct domain_lock lock = DOMAIN_LOCK_NONE;
	char display[256];
	struct domain_run d = { .options = lane->run->options,
		.repo = lane->run->repo,
		.lane = lane,
		.b = &b,
		.domain = domain,
		.display = name_display(display, sizeof(display),
				domain->facts.name) };
	int err = settle(&d, &lock, &fresh);
	if (err == 0)
		err = take_snapshot(&d, lane, &lock);
	domain_lock_release(&lock);
	if (err < 0 && !backup_run_broken(lane->run, err))
		report_error("domain %s: not backed up: %s", display,
				error_text(err));
	backup_hooks_end(&b, &domain->facts, err);
	backup_snapshot_end(&b, source_of(&d), err);
	domain_state_close(fresh);
}
