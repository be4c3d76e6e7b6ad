/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt's pull-mode backup job of one running domain: all of its disks at one
 * moment, served over NBD while the guest keeps running.
 *
 *	live_job_prepare	the directory with socket and scratch files, its
 *				state file, the watchdog
 *	live_job_begin		freeze, BackupBegin, thaw on every path
 *	… read the exports …
 *	live_job_end		the job is gone, the files are removed, the
 *				watchdog is dismissed
 *
 * The watchdog is a separate process that outlives us: when we die it thaws the
 * guest, ends the job and removes the files, within two seconds. If it dies
 * too, stale_jobs_end of the next run does so.
 *
 * Threading: one thread per job; several jobs may run at once.
 */
#ifndef AMBERFS_INGEST_LIVE_LIVE_JOB_H
#define AMBERFS_INGEST_LIVE_LIVE_JOB_H

#include "ingest/backup/backup_options.h"
#include "ingest/libvirt/domain.h"

struct live_job_options {
	struct connection *connection; /* writable */
	struct domain *domain;
	const struct domain_xml *xml; /* its running definition */
	const char *repository_id;    /* hexadecimal, for the state file */
	const char *scratch_dir;      /* NULL: /var/tmp */
	enum quiesce quiesce;
};

/* One disk of the job. */
struct live_disk {
	const char *target;
	uint64_t size;	    /* bytes the guest sees */
	uint64_t allocated; /* bytes, for the estimate of scratch space */
	/* Read only what is dirty since this checkpoint; NULL: all. */
	const char *since;
	bool track; /* the new checkpoint makes a bitmap in it */
};

struct live_job;

/* 0; -ENOSPC: the scratch directory has too little space (the text says how
 * much is needed); -EIO; -ENOMEM. */
int live_job_prepare(struct live_job **out,
		const struct live_job_options *options,
		const struct live_disk *disks, unsigned count);

/*
 * Freezes the guest's filesystems if quiesce says so and the agent answers,
 * starts the job with a new checkpoint CHECKPOINT (NULL: none) of the disks
 * that ask for one, and thaws. May be called again after a failure, with other
 * DISKS of the same targets. 0; -ESTALE: a base bitmap is missing or broken
 * (libvirt's 103, 109); -ENOTSUP: a checkpoint can't be made (67, qcow2 v2, …);
 * -EBUSY: another job; -ENOENT: the domain is not running any more; -EPERM:
 * --quiesce=require and not frozen; -ECANCELED; -EIO. The text has libvirt's
 * message.
 */
int live_job_begin(struct live_job *job, const struct live_disk *disks,
		unsigned count, const char *checkpoint);

/* After live_job_begin has succeeded. */
const char *live_job_socket(const struct live_job *job); /* export: the target;
		its bitmap: "backup-" and the target */
/* Whoever reads from it says so, for the case that it must be cut off (see
 * readers.h): nbd_client_options.connected and hook_exports.running, with the
 * job as CTX. */
void live_job_connected(void *ctx, int socket);
void live_job_hook_runs(void *ctx, pid_t group);
bool live_job_frozen(const struct live_job
				*job); /* it was frozen when the job began */
double live_job_frozen_seconds(const struct live_job *job); /* 0: it was not */
/* The agent did not answer in time; it is not asked a second time in this job. */
bool live_job_agent_failed(const struct live_job *job);
/* Why it was not frozen, for people; NULL: it was. */
const char *live_job_why_not_frozen(const struct live_job *job);

/*
 * Whether the data read so far is of the job's moment. -EIO as for live_job_stop,
 * which says it for good: this is a first look, for a disk that can't be read.
 */
int live_job_check(struct live_job *job);

/*
 * Ends the job if it runs and waits until it is gone; may be followed by
 * another live_job_begin. -EIO: it had ended or failed before (the guest was
 * shut off, somebody ended it, the scratch directory ran out of space; the text
 * says which). Then the data read must not be used, even if every read
 * succeeded: qemu's exports may return the disks' current contents for a moment
 * before they end.
 */
int live_job_stop(struct live_job *job);

/* Stops the job, removes all files, dismisses the watchdog. NULL allowed. */
void live_job_end(struct live_job *job);

/* Who is using the domain, or a disk of XML, its running definition: a text
 * such as "a block copy of disk vda", "a backup job that amberfs did not
 * start", "a migration"; to free; NULL: nobody. 0, -EIO, -ENOMEM. */
int job_owner_find(struct domain *domain, const struct domain_xml *xml,
		char **who);

/*
 * Cleans up after dead runs of ours: guests that may be frozen, jobs, files in
 * SCRATCH_DIR. Reports one line for each. Those of other users and of live runs
 * are left alone. 0; a failure concerns only the cleanup.
 */
int stale_jobs_end(struct connection *conn, const char *scratch_dir);

#endif
