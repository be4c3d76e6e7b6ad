/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the best job to the simplest. Each step down follows from libvirt's
 * error, so none is taken twice:
 *
 *	incremental where wanted, with a checkpoint
 *	a base bitmap is broken: its disks are read in full. They are found by
 *	  trial: a job for each disk alone, without freeze and checkpoint
 *	a checkpoint can't be made: none, so the next backup reads everything
 *	anything else: everything in full; then without a checkpoint as well
 */
#include "live_begin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "live_settle.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"

#define POLL_NS 500000000L
#define STEPS_MAX 8

struct ladder {
	struct live_begin *begun;
	struct domain_run *d;
	struct disk_state *disks;
	unsigned count;
	const char *token;
	double give_up; /* when to stop waiting, on the monotonic clock */
	bool track;
	char repository_id[2 * REPO_ID_SIZE + 1];
};

static const struct backup_options *options(const struct ladder *ladder)
{
	return ladder->d->options;
}

/* Somebody started a job between our check and ours. */
static int wait_a_little(struct ladder *ladder, int err)
{
	struct timespec t = { .tv_nsec = POLL_NS };
	if (monotonic_now() >= ladder->give_up)
		return live_settle_busy(options(ladder), err);
	nanosleep(&t, NULL);
	return interrupt_flag ? fail(-ECANCELED, "interrupted") : 0;
}

/* --- the job's disks --- */

static void fill_disk(const struct ladder *ladder,
		const struct disk_state *disk, bool track, struct live_disk *to)
{
	const struct chain_file *top = &disk->plan->chain.files[0];
	*to = (struct live_disk){ .target = disk->plan->target,
		.size = top->virtual_size,
		.allocated = top->allocated,
		.since = disk->verdict.record != NULL ? ladder->token : NULL,
		.track = track && disk->cannot == NULL };
}

static int fill_disks(const struct ladder *ladder, struct live_disk **out)
{
	*out = calloc(ladder->count + 1, sizeof(**out));
	for (unsigned i = 0; *out != NULL && i < ladder->count; i++)
		fill_disk(ladder, &ladder->disks[i], ladder->track, &(*out)[i]);
	return *out != NULL ? 0 : fail_no_memory("starting a backup job");
}

static unsigned incremental_count(const struct ladder *ladder)
{
	unsigned n = 0;
	for (unsigned i = 0; i < ladder->count; i++)
		n += ladder->disks[i].verdict.record != NULL;
	return n;
}

static bool any_tracked(const struct ladder *ladder)
{
	for (unsigned i = 0; ladder->track && i < ladder->count; i++)
		if (ladder->disks[i].cannot == NULL)
			return true;
	return false;
}

static int prepare(const struct ladder *ladder, enum quiesce quiesce,
		const struct live_disk *disks, unsigned count,
		struct live_job **out)
{
	const struct domain_state *domain = ladder->d->domain;
	const struct live_job_options o = { .connection = domain->connection,
		.domain = domain->domain,
		.xml = domain->running,
		.repository_id = ladder->repository_id,
		.scratch_dir = options(ladder)->scratch_dir,
		.quiesce = quiesce };
	return live_job_prepare(out, &o, disks, count);
}

/* --- steps down --- */

static void demote_all(struct ladder *ladder, const char *why)
{
	for (unsigned i = 0; i < ladder->count; i++)
		if (ladder->disks[i].verdict.record != NULL)
			live_disk_demote(&ladder->disks[i], why);
}

/* 1: libvirt can start an incremental job of this disk alone; 0: it can't. */
static int try_alone(struct ladder *ladder, const struct disk_state *s)
{
	struct live_job *job = NULL;
	struct live_disk disk;
	fill_disk(ladder, s, false, &disk);
	int err = prepare(ladder, QUIESCE_NEVER, &disk, 1, &job);
	if (err == 0)
		err = live_job_begin(job, &disk, 1, NULL);
	live_job_end(job);
	if (err == 0)
		return 1;
	return err == -EBUSY || err == -ENOENT || err == -ECANCELED
					|| err == -ENOMEM || err == -ENOSPC
			? err
			: 0;
}

#define BROKEN "its bitmap is missing or broken"

static int find_broken(struct ladder *ladder)
{
	unsigned left = incremental_count(ladder), broken = 0;
	/* Our job is ready to begin again, but not beside another. */
	for (unsigned i = 0; left > 1 && i < ladder->count; i++) {
		struct disk_state *disk = &ladder->disks[i];
		if (disk->verdict.record == NULL)
			continue;
		int sound = try_alone(ladder, disk);
		if (sound < 0)
			return sound;
		if (sound == 0) {
			live_disk_demote(disk, BROKEN);
			broken++;
		}
	}
	if (broken == 0)
		demote_all(ladder, BROKEN);
	return 0;
}

static void do_without_checkpoint(struct ladder *ladder, const char *why)
{
	report_warning("domain %s: cannot create a checkpoint, so its next "
		       "backup reads everything again: %s",
			ladder->d->display, why);
	ladder->track = false;
}

/* After the error ERR: 0 if there is something else to try, else ERR. */
static int step_down(struct ladder *ladder, int err)
{
	struct error_copy why;
	error_save(&why, err);
	if (interrupt_flag || domain_state_changed_state(ladder->d->domain))
		return error_load(&why);
	bool incremental = incremental_count(ladder) > 0,
	     track = any_tracked(ladder);
	if (err == -ESTALE && incremental)
		return find_broken(ladder);
	if (err == -ENOTSUP && track)
		do_without_checkpoint(ladder, why.text);
	else if ((err == -EIO || err == -ESTALE || err == -ENOTSUP)
			&& incremental)
		demote_all(ladder, why.text);
	else if ((err == -EIO || err == -ESTALE) && track)
		do_without_checkpoint(ladder, why.text);
	else
		return error_load(&why);
	return 0;
}

/* One attempt. The checkpoint's name is noted before it can exist. */
static int begin_once(struct ladder *ladder)
{
	CLEANUP_FREE struct live_disk *disks = NULL;
	const struct repository *repo = ladder->d->repo;
	struct live_begin *begin = ladder->begun;
	bool track = any_tracked(ladder);
	int err = fill_disks(ladder, &disks);
	if (err < 0)
		return err;
	if (begin->job == NULL)
		err = prepare(ladder, options(ladder)->quiesce, disks,
				ladder->count, &begin->job);
	if (err < 0)
		return err;
	begin->checkpoint[0] = '\0';
	if (track)
		tracking_fresh_name(begin->checkpoint, repo->config.repo_id);
	err = live_job_begin(begin->job, disks, ladder->count,
			track ? begin->checkpoint : NULL);
	if (err < 0)
		begin->checkpoint[0] = '\0';
	return err;
}

int live_begin(struct live_begin *begin, struct domain_run *run,
		struct disk_state *disks, unsigned count, const char *token)
{
	struct ladder l = { .begun = begin,
		.d = run,
		.disks = disks,
		.count = count,
		.token = token,
		.track = true,
		.give_up = monotonic_now()
				+ (double)run->options->wait_seconds };
	*begin = (struct live_begin){ .job = NULL };
	hex_encode(l.repository_id, run->repo->config.repo_id, REPO_ID_SIZE);
	int err = 0;
	for (int step = 0; err == 0 && step < STEPS_MAX; step++) {
		err = begin_once(&l);
		if (err == 0)
			return 0;
		if (err == -EBUSY) {
			err = wait_a_little(&l, err);
			step--;
		} else {
			err = step_down(&l, err);
		}
	}
	if (err == 0)
		err = fail(-EIO, "libvirt cannot start a backup job for it");
	/* -ESTALE would tell the run that its session was removed. */
	return err == -ESTALE ? fail(-EIO, "%s", error_text(err)) : err;
}
