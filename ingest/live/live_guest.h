/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done to a running domain during its backup, by the job, by its guard
 * and by whoever cleans up after both: on a connection of its own, which is
 * made anew when libvirtd was restarted meanwhile.
 *
 * Threading: one thread per guest.
 */
#ifndef AMBERFS_INGEST_LIVE_LIVE_GUEST_H
#define AMBERFS_INGEST_LIVE_LIVE_GUEST_H

#include <stdbool.h>
#include <stdint.h>

struct live_guest;

/* 0, -ENOENT (no such domain), -EPERM (libvirt does not let this user write),
 * -ENOTCONN, -ENOMEM. */
int live_guest_open(struct live_guest **out, const char *uri, const char *uuid);
void live_guest_close(struct live_guest *guest); /* NULL allowed */

/* Whether it runs, or is paused: a process of qemu has its disks. */
bool live_guest_active(struct live_guest *guest);

/* libvirt's number for it, another one after each start; -1: it is off. */
int live_guest_id(struct live_guest *guest);

/* --- freezing --- */

enum freeze {
	FREEZE_NOT, /* for certain */
	FREEZE_DONE,
	FREEZE_MAYBE, /* the agent has not answered: to be thawed */
};

/* Waits at most SECONDS for the guest (some more for libvirt). If the result is
 * not FREEZE_DONE, the text says why. */
enum freeze live_guest_freeze(struct live_guest *guest, int seconds);
/* Tries for so many seconds. 0 (also if nothing was frozen, or it does not run
 * any more), -EIO. */
int live_guest_thaw(struct live_guest *guest, double seconds);
/* Whether the last of these found nothing frozen, for certain. */
bool live_guest_found_thawed(const struct live_guest *guest);

/* --- the backup job --- */

/* As live_job_begin has them. */
int live_guest_begin(struct live_guest *guest, const char *job,
		const char *checkpoint);

enum job_owner {
	JOB_NONE, /* or the domain does not run */
	JOB_OURS,
	JOB_FOREIGN,
	JOB_UNKNOWN, /* libvirt does not say */
};
/* Whose backup job it has; ours is the one that is served at a socket within
 * DIRECTORY. */
enum job_owner live_guest_job(struct live_guest *guest, const char *directory);

/* Ends our job, if there is one, and waits until it is gone, for so many
 * seconds. 0, or -ETIMEDOUT, -EIO with a text. */
int live_guest_end_job(struct live_guest *guest, const char *directory,
		double seconds);

/*
 * What all disks of the running job may take up at most, bytes; 0: no job, or
 * not told. It falls when the job is being ended, which counts from the moment
 * that qemu is told: from then on, and for as long as it takes libvirt to end
 * the NBD server, what is read may be the disk as it is now.
 */
uint64_t live_guest_job_total(struct live_guest *guest);
/* Whether libvirt holds the last job for failed; then a text says why. */
bool live_guest_job_failed(struct live_guest *guest);

/* Lets it go on if it was paused by a failing write. */
void live_guest_resume_io(struct live_guest *guest);

#endif
