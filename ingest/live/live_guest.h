/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations on a running domain during its backup, for the job, its watchdog
 * and whoever cleans up after both: on a connection of its own, which is
 * reopened if libvirtd was restarted.
 *
 * Threading: one thread per guest.
 */
#ifndef AMBERFS_INGEST_LIVE_LIVE_GUEST_H
#define AMBERFS_INGEST_LIVE_LIVE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

struct live_guest;

/* 0, -ENOENT (no such domain), -EPERM (this user has only read-only access),
 * -ENOTCONN, -ENOMEM. */
int live_guest_open(struct live_guest **out, const char *uri, const char *uuid);
void live_guest_close(struct live_guest *guest); /* NULL allowed */

/* Whether it runs or is paused, that is, a qemu process has its disks open. */
bool live_guest_active(struct live_guest *guest);

/* libvirt's id of it, which changes at each start; -1: it is off. */
int live_guest_id(struct live_guest *guest);

/* Whether its agent answers; else the text says why. Waits some seconds. */
bool live_guest_agent(struct live_guest *guest);

/* --- freezing --- */

enum freeze {
	FREEZE_NOT,    /* for certain */
	FREEZE_SILENT, /* nor was it asked to: its agent does not answer */
	FREEZE_DONE,
	FREEZE_MAYBE, /* the agent did not answer: must be thawed */
};

/* Waits at most 10 s for the agent to answer at all, then SECONDS for the guest
 * (slightly longer for libvirt, which waits half a minute for others that use
 * the agent). If the result is not FREEZE_DONE, the text says why. */
enum freeze live_guest_freeze(struct live_guest *guest, int seconds);
/* Retries for SECONDS; each try takes up to 10 s (as above). 0 (also if nothing was frozen, or it does not run any
 * more), -EIO. */
int live_guest_thaw(struct live_guest *guest, double seconds);
/* Whether the last thaw is certain to have found nothing frozen. */
bool live_guest_found_thawed(const struct live_guest *guest);

/* --- the backup job --- */

/* Errors as for live_job_begin. */
int live_guest_begin(struct live_guest *guest, const char *job,
		const char *checkpoint);

enum job_owner {
	JOB_NONE, /* or the domain does not run */
	JOB_OURS,
	JOB_FOREIGN,
	JOB_UNKNOWN, /* not known to libvirt */
};
/* Whose backup job it has; ours is the one with a scratch file below DIRECTORY.
 */
enum job_owner live_guest_job(struct live_guest *guest, const char *directory);

/* Ends our job, if there is one, and waits up to SECONDS until it is gone. 0,
 * or -ETIMEDOUT, -EIO with a text. */
int live_guest_end_job(struct live_guest *guest, const char *directory,
		double seconds);

/*
 * The total size of the running job in bytes; 0: no job, or unknown. It drops
 * as soon as qemu is told to end the job: from then on, until libvirt has
 * stopped the NBD server, reads may return the disk's current contents.
 */
uint64_t live_guest_job_total(struct live_guest *guest);
/* Whether the last job failed according to libvirt; then a text says why. */
bool live_guest_job_failed(struct live_guest *guest);

/* Resumes it if it was paused by a failing write. */
void live_guest_resume_io(struct live_guest *guest);

#endif
