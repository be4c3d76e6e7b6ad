/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which job libvirt or another client is running on a domain right now.
 * Read-only; if libvirt does not answer, no job is assumed.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_JOB_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_JOB_H

#include "domain.h"

/* The XML of its backup job, to free; NULL: it has none. */
char *domain_job_backup_xml(struct domain *domain);

/* A phrase for the job on the whole domain ("a migration"), static; NULL: there
 * is none. */
const char *domain_job_operation(struct domain *domain);

/* The same, for what a paused domain waits for: on the target host of a
 * migration there is no job. */
const char *domain_job_pause(struct domain *domain);

/* A phrase for the job on the disk TARGET ("a block commit"), static; NULL:
 * there is none. */
const char *domain_job_block(struct domain *domain, const char *target);

enum domain_control {
	DOMAIN_CONTROL_FREE,  /* or libvirt does not say */
	DOMAIN_CONTROL_BUSY,  /* a libvirt operation is running */
	DOMAIN_CONTROL_ERROR, /* qemu does not answer libvirt */
};
/* Unlike the other functions it does not wait for a running operation. */
enum domain_control domain_job_control(struct domain *domain);

#endif
