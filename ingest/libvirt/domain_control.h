/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operations of recovery on domains: define, start, stop and undefine them,
 * pull backing files into their disks, and find out who uses a file. (Backups
 * only read; see domain.h.)
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_CONTROL_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_CONTROL_H

#include "domain.h"

/* -EEXIST with a text if there is a domain with this NAME or UUID (may be
 * NULL); 0: there is none. */
int domain_control_absent(struct connection *conn, const char *name,
		const char *uuid);

/* Defines a domain, or redefines it if name and UUID are the same. OUT may be
 * NULL. 0 or -EIO with libvirt's reason. */
int domain_control_define(struct connection *conn, const char *xml,
		struct domain **out);
/* Whether libvirt accepts XML, whose name and UUID no other domain has: it is
 * defined and at once undefined. 0 or -EIO with libvirt's reason. */
int domain_control_check(struct connection *conn, const char *xml);
int domain_control_start(struct domain *domain);

bool domain_control_is_active(struct domain *domain);
/* Powers it off hard. 0 also if it is off. */
int domain_control_destroy(struct domain *domain);
/* Also removes its managed save image and libvirt's metadata of snapshots and
 * checkpoints; no other file is deleted. 0 also if it is gone. */
int domain_control_undefine(struct domain *domain);

/*
 * The domains whose running or inactive definition names a file below
 * DIRECTORY. To be freed with domain_list_free. 0 or -errno.
 */
int domain_control_users(struct connection *conn, const char *directory,
		struct domain ***out, unsigned *count);
/* 1 if DOMAIN does, 0, -errno. */
int domain_control_uses(struct domain *domain, const char *directory);

/*
 * Starts a block pull of all backing files of disk TARGET into its own image,
 * while the guest runs. 0; -EBUSY: another job has the disk; -EIO.
 */
int domain_control_pull(struct domain *domain, const char *target);
/* 1: a job is at work on the disk, with *DONE of *TOTAL bytes done; 0: none is;
 * -errno. */
int domain_control_pull_progress(struct domain *domain, const char *target,
		uint64_t *done, uint64_t *total);

/* Pauses the guest; qemu flushes its disks to their files. Continue with
 * domain_control_resume. */
int domain_control_pause(struct domain *domain);
int domain_control_resume(struct domain *domain);

#endif
