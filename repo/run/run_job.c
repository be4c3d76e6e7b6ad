/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The steps of a job, one after the other. None depends on the ones before
 * except this:
 *
 *	- forget also after a backup that failed: its rules count the snapshots
 *	  that exist, not days, and no rule removes the newest complete one of a
 *	  source. A full disk would otherwise stay full.
 *	- prune not after a forget that failed: it would have nothing to free, and
 *	  what kept forget from working (a key, the disk) is to be seen first.
 *	- copy, verify and prove always: they only add, or only read.
 *	- nothing after a signal.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "run_internal.h"

static const char *why_not(const struct run_job *job,
		const struct run_step *step)
{
	if (interrupt_flag)
		return "the run was ended by a signal";
	if (step->kind != RUN_PRUNE)
		return NULL;
	for (const struct run_step *before = job->steps; before < step;
			before++)
		if (before->kind == RUN_FORGET && before->status == EXIT_FAILED)
			return "old snapshots could not be removed";
	return NULL;
}

static void do_steps(struct run_job *job)
{
	for (size_t i = 0; i < job->count; i++) {
		struct run_step *step = &job->steps[i];
		step->skipped = why_not(job, step);
		if (step->skipped != NULL)
			continue;
		report_verbose("job %s: %s", job->section->name, step->title);
		run_step_carry_out(step);
	}
}

/* Of the backups if there are any: what comes after them can only turn done into
 * partly. Else of all. */
static enum exit_status status_of(const struct run_job *job)
{
	bool backs_up = job->count > 0 && job->steps[0].kind == RUN_BACKUP;
	bool any_done = false, any_failed = false, later = false;
	for (size_t i = 0; i < job->count; i++) {
		const struct run_step *step = &job->steps[i];
		bool failed = step->skipped != NULL
				|| step->status == EXIT_FAILED;
		bool partly = !failed && step->status != EXIT_DONE;
		if (backs_up && step->kind != RUN_BACKUP) {
			later = later || failed || partly;
			continue;
		}
		any_done = any_done || !failed;
		any_failed = any_failed || failed || partly;
	}
	if (any_failed)
		return any_done ? EXIT_PARTLY : EXIT_FAILED;
	return later ? EXIT_PARTLY : EXIT_DONE;
}

static void refuse(struct run_job *job, int err)
{
	job->status = EXIT_FAILED;
	job->refused = strdup(error_text(err));
	job->refused_code = error_code(err);
}

void run_job_carry_out(struct run_job *job)
{
	double begin = monotonic_now();
	job->start = realtime_ns() / 1000000000;
	if (job->refused == NULL && interrupt_flag)
		refuse(job,
				fail(-ECANCELED,
						"not begun, as the run was ended by "
						"a signal"));
	if (job->refused != NULL)
		return;
	CLEANUP_FD int lock = run_lock_job(job->section);
	if (lock < 0) {
		refuse(job, lock);
		return;
	}
	CLEANUP_FD int shared = run_lock_repository(job->repository);
	if (shared < 0) {
		refuse(job, shared);
		return;
	}
	do_steps(job);
	job->status = status_of(job);
	job->seconds = monotonic_now() - begin;
}
