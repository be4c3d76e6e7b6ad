/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backs up one running domain into one snapshot:
 *
 *	1 before this (live_settle.c): leftovers of dead runs are removed;
 *	  nobody else is using the domain
 *	2 per disk: incremental, or why not (tracking.c); checkpoints of failed
 *	  attempts are deleted
 *	3 the job begins, with a new checkpoint (live_begin.c); all data read
 *	  from here on is of that moment
 *	4 the disks are still those that were examined
 *	5 each disk is read and stored; the job ends, and was ours and sound
 *	  until then
 *	6 the snapshot is committed
 *	7 older checkpoints of ours are deleted
 *
 * Until 6 the last snapshot's checkpoint stays, and a failure deletes the new
 * one. If we die before that, the next run finds a checkpoint that no snapshot
 * records (2), or the newest snapshot's and an older one (7).
 */
#include "live_backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ingest/backup/backup_hooks.h"
#include "ingest/backup/domain_files.h"
#include "ingest/backup/left_out.h"
#include "ingest/libvirt/checkpoints.h"
#include "live_begin.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/units.h"
#include "tracked_base.h"

#define CHECKPOINT_FILE "checkpoint.xml"
#define CHECKPOINT_XML_MAX ((size_t)16 << 20)

struct live_run {
	struct domain_run *d;
	struct domain_state *domain; /* d's */
	struct tracked_base base;
	struct checkpoint_names names; /* that existed before the job */
	struct disk_state *disks;      /* those to be read */
	unsigned count;
	struct live_begin begun;
	bool redefined; /* the base's checkpoint, which libvirt had lost */
};

static const uint8_t *repo_id(const struct live_run *run)
{
	const struct repository *repo = run->d->repo;
	return repo->config.repo_id;
}

/* --- 2: what is incremental --- */

static int note_disks(struct live_run *run)
{
	struct domain_state *state = run->domain;
	run->disks = calloc(state->disk_count + 1, sizeof(*run->disks));
	if (run->disks == NULL)
		return fail_no_memory("examining disks");
	int err = 0;
	for (unsigned i = 0; err == 0 && i < state->disk_count; i++) {
		bool left_out;
		err = left_out_disk(run->d, &state->disks[i], &left_out);
		if (err < 0 || left_out)
			continue;
		err = live_disk_note(&run->disks[run->count++],
				&state->disks[i]);
		if (!state->facts.persistent
				&& run->disks[run->count - 1].cannot == NULL)
			run->disks[run->count - 1].cannot =
					"a transient domain can't have "
					"checkpoints";
	}
	return err;
}

/* Signs of our checkpoints, which belong to some snapshot. */
static bool has_traces(const struct live_run *run)
{
	const uint8_t *id = repo_id(run);
	for (unsigned i = 0; i < run->names.count; i++)
		if (tracking_is_ours(run->names.items[i], id))
			return true;
	for (unsigned i = 0; i < run->count; i++)
		if (tracking_image_lists_ours(
				    &run->disks[i].plan->chain.files[0], id))
			return true;
	return false;
}

static void decide_disk(struct live_run *run, struct disk_state *disk)
{
	const struct backup_options *options = run->d->options;
	const struct chain_file *top = &disk->plan->chain.files[0];
	const struct tracking_disk now = { .target = disk->plan->target,
		.path = top->path,
		.reading = disk->reading,
		.size = top->virtual_size,
		.identities = disk->identities,
		.identity_count = disk->identity_count,
		.cannot = disk->cannot };
	tracking_decide(&disk->verdict, &run->base.base,
			run->domain->facts.uuid, &now);
	if (disk->verdict.record != NULL && options->force_read)
		live_disk_demote(disk, "requested by --force-read");
}

static bool any_incremental(const struct live_run *run)
{
	for (unsigned i = 0; i < run->count; i++)
		if (run->disks[i].verdict.record != NULL)
			return true;
	return false;
}

static int redefine(struct live_run *run)
{
	CLEANUP_FREE char *xml = NULL;
	CLEANUP_FREE const char **targets =
			calloc(run->count + 1, sizeof(*targets));
	unsigned count = 0;
	if (targets == NULL)
		return fail_no_memory("describing a checkpoint");
	for (unsigned i = 0; i < run->count; i++)
		if (run->disks[i].verdict.record != NULL)
			targets[count++] = run->disks[i].plan->target;
	int err = tracked_base_read(&run->base, run->d->b, CHECKPOINT_FILE,
			CHECKPOINT_XML_MAX, &xml);
	return err < 0 ? err
		       : checkpoints_redefine(run->domain->domain, xml, targets,
				       count);
}

/* libvirt may have lost the checkpoint's metadata (the domain was redefined, or
 * moved to another host), while the images still hold its bitmaps. */
static void tell_again(struct live_run *run)
{
	int err = redefine(run);
	run->redefined = err == 0;
	if (err == 0) {
		report_verbose("domain %s: libvirt had lost checkpoint %s; it "
			       "was redefined",
				run->d->display, run->base.base.token);
		return;
	}
	report_verbose("%s", error_text(err));
	for (unsigned i = 0; i < run->count; i++)
		if (run->disks[i].verdict.record != NULL)
			live_disk_demote(&run->disks[i],
					"its checkpoint is gone");
}

/* Deletes our checkpoints that belong to no snapshot: of failed attempts. */
static void delete_leftovers(struct live_run *run)
{
	const uint8_t *id = repo_id(run);
	const char *token = run->base.base.token;
	for (unsigned i = 0; i < run->names.count && !run->base.unread; i++) {
		const char *name = run->names.items[i];
		if (!tracking_is_ours(name, id)
				|| (token != NULL && strcmp(name, token) == 0))
			continue;
		report_verbose("domain %s: deleting checkpoint %s, which "
			       "belongs to no snapshot",
				run->d->display, name);
		int err = checkpoints_delete(run->domain->domain, name);
		if (err < 0)
			report_verbose("%s", error_text(err));
	}
}

/* Removes the bitmap NAME, if it is ours and libvirt has no checkpoint for it:
 * the domain was undefined and defined again. */
static void delete_orphan(struct live_run *run, const struct disk_state *disk,
		const char *name)
{
	if (!tracking_is_ours(name, repo_id(run))
			|| checkpoints_have(&run->names, name))
		return;
	report_verbose("domain %s: deleting bitmap %s of disk %s, which has "
		       "no checkpoint",
			run->d->display, name, disk->plan->target);
	int err = checkpoints_delete_orphan(run->domain->domain, name,
			disk->plan->target);
	if (err < 0)
		report_verbose("%s", error_text(err));
}

/* All of them but the base's, or only that. */
static void delete_orphans(struct live_run *run, bool of_base)
{
	const char *name, *token = run->base.base.token;
	for (unsigned i = 0; i < run->count && !run->base.unread; i++) {
		const struct disk_state *disk = &run->disks[i];
		const struct chain_file *image = &disk->plan->chain.files[0];
		for (size_t k = 0; (name = tracking_image_bitmap(image, k))
				!= NULL;
				k++)
			if ((token != NULL && strcmp(name, token) == 0)
					== of_base)
				delete_orphan(run, disk, name);
	}
}

static int decide(struct live_run *run)
{
	int err = checkpoints_list(run->domain->domain, &run->names);
	if (err < 0)
		return err;
	err = tracked_base_find(&run->base, run->d->b, run->domain->facts.uuid,
			has_traces(run));
	if (err < 0)
		return err;
	for (unsigned i = 0; i < run->count; i++)
		decide_disk(run, &run->disks[i]);
	if (any_incremental(run)
			&& !checkpoints_have(&run->names, run->base.base.token))
		tell_again(run);
	delete_leftovers(run);
	delete_orphans(run, false);
	return 0;
}

/* --- 3, 4: the job --- */

static void call_hook(struct live_run *run)
{
	size_t size = 1;
	for (unsigned i = 0; i < run->count; i++)
		size += strlen(run->disks[i].plan->target) + 1;
	CLEANUP_FREE char *exports = calloc(1, size);
	if (exports == NULL)
		return;
	for (unsigned i = 0; i < run->count; i++) {
		strcat(exports, i ? " " : "");
		strcat(exports, run->disks[i].plan->target);
	}
	const struct hook_exports e = { .socket = live_job_socket(
							run->begun.job),
		.names = exports,
		.running = live_job_hook_runs,
		.ctx = run->begun.job };
	backup_hooks_after_thaw(run->d->b, &run->domain->facts, &e);
}

static int note_moment(struct live_run *run)
{
	const struct backup_options *options = run->d->options;
	struct backup_snapshot *snapshot = run->d->b;
	bool frozen = live_job_frozen(run->begun.job);
	const char *why = live_job_why_not_frozen(run->begun.job);
	/* No warning for a guest that was not frozen last time either. */
	bool news = snapshot->base != NULL
			&& snapshot->base->consistency != NULL
			&& strcmp(snapshot->base->consistency, "filesystem")
					== 0
			&& options->quiesce != QUIESCE_NEVER;
	snapshot->snap->consistency = strdup(frozen ? "filesystem" : "crash");
	if (frozen)
		snapshot->frozen_seconds =
				live_job_frozen_seconds(run->begun.job);
	else
		(news ? report_warning
		      : report_verbose)("domain %s: its filesystems "
					"were not frozen: %s",
				run->d->display, why);
	if (live_job_agent_failed(run->begun.job) && why != NULL)
		snapshot->not_frozen = strdup(why);
	return snapshot->snap->consistency != NULL
			? 0
			: fail_no_memory("making a snapshot");
}

/* The last snapshot has the disk without a checkpoint too. */
static bool was_untracked(const struct live_run *run, const char *target)
{
	const struct backup_snapshot *snapshot = run->d->b;
	const struct snapshot *last = snapshot->base;
	for (uint32_t i = 0; last != NULL && i < last->file_count; i++) {
		const struct snapshot_file *file = &last->files[i];
		if (file->kind == FILE_DISK && file->target != NULL
				&& strcmp(file->target, target) == 0)
			return file->checkpoint == NULL;
	}
	return false;
}

/* Reports why disks are read in full, now that it is decided. That a disk can't
 * be tracked is not repeated every night. */
static void say_reasons(struct live_run *run)
{
	for (unsigned i = 0; i < run->count; i++) {
		const struct disk_state *disk = &run->disks[i];
		const char *target = disk->plan->target;
		if (disk->verdict.record != NULL
				|| disk->verdict.why[0] == '\0')
			continue;
		if (disk->cannot == NULL || !was_untracked(run, target))
			disk_record_say_full(run->d, target, disk->verdict.why);
		else
			report_verbose("domain %s: disk %s is read in full: %s",
					run->d->display, target,
					disk->verdict.why);
	}
}

/* --- 5: storing --- */

/* Stores what is needed to redefine the checkpoint if libvirt loses it. The
 * next backup can succeed without it. */
static int store_checkpoint(struct live_run *live)
{
	CLEANUP_FREE char *xml = NULL;
	struct domain_run *run = live->d;
	if (live->begun.checkpoint[0] == '\0')
		return 0;
	int err = checkpoints_xml(run->domain->domain, live->begun.checkpoint,
			connection_writable(run->domain->connection)
					&& seal_encrypts(run->repo->seal),
			&xml);
	if (err < 0) {
		report_verbose("%s", error_text(err));
		return 0;
	}
	struct backup_file f = { .name = CHECKPOINT_FILE,
		.kind = FILE_XML,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns() };
	return backup_snapshot_store_text(run->b, &f, xml);
}

static int store_disk(struct live_run *run, struct disk_state *disk)
{
	const char *checkpoint =
			run->begun.checkpoint[0] ? run->begun.checkpoint : NULL;
	int err = live_disk_store(run->d, disk, run->begun.job, checkpoint);
	if (err == 0)
		err = disk_record_store_info(run->d, disk->plan);
	if (err == 0)
		err = disk_record_check_image(run->d, disk->plan, false,
				disk->verdict.record != NULL
						? run->base.base.snap
						: NULL);
	return err;
}

/* Unless the job, and with it the moment that all disks are of, is lost. The
 * next backup finds no record of the disk, and so reads all of it. */
static int go_on_without(struct live_run *run, const struct disk_plan *plan,
		int err)
{
	struct error_copy why;
	error_save(&why, err);
	err = live_job_check(run->begun.job);
	return err < 0 ? err
		       : disk_record_failed(run->d, plan, error_load(&why));
}

static int store_disks(struct live_run *run)
{
	int err = 0;
	for (unsigned i = 0; err == 0 && i < run->count; i++) {
		err = store_disk(run, &run->disks[i]);
		if (err < 0)
			err = go_on_without(run, run->disks[i].plan, err);
	}
	return err;
}

/* None of its disks can be backed up; the definition is still worth keeping. */
static int store_without_disks(struct live_run *run)
{
	const struct backup_snapshot *snapshot = run->d->b;
	struct snapshot *snap = snapshot->snap;
	snap->consistency = strdup("crash");
	if (snap->consistency == NULL)
		return fail_no_memory("making a snapshot");
	return domain_files_store(run->d);
}

static int store_all(struct live_run *run)
{
	if (run->count == 0)
		return store_without_disks(run);
	int err = domain_state_recheck(run->domain);
	if (err < 0)
		return err;
	err = note_moment(run);
	if (err < 0)
		return err;
	say_reasons(run);
	call_hook(run);
	err = domain_files_store(run->d);
	if (err < 0)
		return err;
	err = store_checkpoint(run);
	return err < 0 ? err : store_disks(run);
}

/* --- 7: checkpoints that are of no use any more --- */

static int delete_if_ours(struct live_run *run, const char *name)
{
	return tracking_is_ours(name, repo_id(run))
			? checkpoints_delete(run->domain->domain, name)
			: 0;
}

/* Only those that existed before: the job is gone by now, and another run may
 * have started one with a checkpoint that it needs. */
static void delete_older(struct live_run *run)
{
	/* Without a new checkpoint the last one's snapshot is still the
	 * base. */
	if (run->begun.checkpoint[0] == '\0')
		return;
	/* It may have been redefined since they were listed. */
	int err = run->base.base.token != NULL
			? delete_if_ours(run, run->base.base.token)
			: 0;
	for (unsigned i = 0; i < run->names.count; i++) {
		int failed = delete_if_ours(run, run->names.items[i]);
		err = err < 0 ? err : failed;
	}
	if (!run->redefined)
		delete_orphans(run, true);
	if (err < 0)
		report_verbose("%s; the next backup tries again",
				error_text(err));
}

/* Keeps the thread's error text. */
static void undo(struct live_run *run, int err)
{
	struct error_copy why;
	if (run->begun.checkpoint[0] == '\0')
		return;
	error_save(&why, err);
	int e = checkpoints_delete(run->domain->domain, run->begun.checkpoint);
	if (e < 0)
		report_verbose("%s; the next backup tries again",
				error_text(e));
	error_load(&why);
}

/*
 * Ends the job before the data read is relied on. If it was not ours and sound
 * to the end, its exports may have returned bytes of another moment, or failed
 * for that reason: nothing may be committed. ERR: the result so far. Returns
 * it, or the job's failure.
 */
static int end_job(struct live_run *run, int err)
{
	struct error_copy why = { .err = 0 };
	if (err < 0)
		error_save(&why, err);
	int e = run->begun.job != NULL ? live_job_stop(run->begun.job) : 0;
	if (e < 0 && (err == 0 || err == -EIO))
		error_save(&why, e);
	live_job_end(take_ptr(run->begun.job));
	return why.err < 0 ? error_load(&why) : 0;
}

/* --- all of it --- */

static int begin_and_store(struct live_run *live)
{
	int err = note_disks(live);
	if (err != 0)
		return err;
	err = decide(live);
	if (err == 0 && live->count > 0)
		err = live_begin(&live->begun, live->d, live->disks,
				live->count, live->base.base.token);
	return err != 0 ? err : store_all(live);
}

static int run(struct live_run *live)
{
	int err = begin_and_store(live);
	err = end_job(live, err);
	if (err == 0)
		err = disk_record_check_any(live->d);
	if (err == 0)
		err = backup_snapshot_commit(live->d->b);
	if (err == 0)
		delete_older(live);
	else
		undo(live, err);
	return err;
}

int live_backup(struct domain_run *d)
{
	struct live_run r = { .d = d, .domain = d->domain };
	const struct backup_options *options = d->options;
	if (options->exact)
		return fail(-EBUSY,
				"it is %s, and --exact can only read images of "
				"domains that are shut off; shut it off, or "
				"leave out --exact",
				d->domain->facts.state);
	if (!connection_writable(d->domain->connection))
		return fail(-EPERM,
				"it is %s, and this user has only read-only "
				"access to libvirt, so no backup job can be "
				"started; run amberfs as root",
				d->domain->facts.state);
	int err = run(&r);
	for (unsigned i = 0; i < r.count; i++)
		live_disk_clear(&r.disks[i]);
	free(r.disks);
	checkpoints_clear(&r.names);
	tracked_base_clear(&r.base, d->b);
	return err;
}
