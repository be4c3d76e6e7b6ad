/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What recovery does to domains: define, start, end and undefine them, pull
 * what lies below their disks into these, and find out who uses a file.
 * (backup only reads; see domain.h.)
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_CONTROL_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_CONTROL_H

#include "domain.h"

/* The domain of NAME, or the one with UUID (may be NULL): -EEXIST with a text;
 * 0: there is none. */
int domain_control_absent(struct connection *conn, const char *name,
		const char *uuid);

/* Defines (anew, if it has the same name and UUID). *OUT may be NULL.
 * 0 or -EIO with libvirt's reason. */
int domain_control_define(struct connection *conn, const char *xml,
		struct domain **out);
int domain_control_start(struct domain *domain);

bool domain_control_is_active(struct domain *domain);
/* Pulls the plug. 0 also if it is off. */
int domain_control_destroy(struct domain *domain);
/* With its saved state and libvirt's records of snapshots and checkpoints; no
 * file but the saved state is deleted. 0 also if it is gone. */
int domain_control_undefine(struct domain *domain);

/*
 * The domains that name a file below DIRECTORY, in the definition they run with
 * or start with. To be freed with domain_list_free. 0 or -errno.
 */
int domain_control_users(struct connection *conn, const char *directory,
		struct domain ***out, unsigned *count);
/* 1 if DOMAIN does, 0, -errno. */
int domain_control_uses(struct domain *domain, const char *directory);

/*
 * Starts to pull all that lies below the disk TARGET into its own image, while
 * the guest runs; -EBUSY: another job has the disk. 0 or -EIO.
 */
int domain_control_pull(struct domain *domain, const char *target);
/* 1: a job is at work on the disk, with so many of so many bytes done; 0: none
 * is; -errno. */
int domain_control_pull_progress(struct domain *domain, const char *target,
		uint64_t *done, uint64_t *total);

/* Pauses the guest; qemu writes all that it holds of its disks to their files.
 * domain_control_resume lets it go on. */
int domain_control_pause(struct domain *domain);
int domain_control_resume(struct domain *domain);

#endif
