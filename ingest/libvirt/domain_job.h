/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What libvirt or somebody else is doing with a domain right now. Reads only;
 * where libvirt does not answer, the answer is that nothing is known to be at
 * work.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_JOB_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_JOB_H

#include "domain.h"

/* The description of its backup job, to free; NULL: it has none. */
char *domain_job_backup_xml(struct domain *domain);

/* A phrase for the job that has the whole domain ("a migration"), static;
 * NULL: there is none. */
const char *domain_job_operation(struct domain *domain);

/* The same, for what a paused domain waits for: the host that a migration comes
 * to has no job to show. */
const char *domain_job_pause(struct domain *domain);

/* A phrase for the job that has the disk TARGET ("a block commit"), static;
 * NULL: there is none. */
const char *domain_job_block(struct domain *domain, const char *target);

enum domain_control {
	DOMAIN_CONTROL_FREE,  /* or libvirt does not say */
	DOMAIN_CONTROL_BUSY,  /* an operation of libvirt's is under way */
	DOMAIN_CONTROL_ERROR, /* qemu does not answer libvirt */
};
/* Unlike the other questions it does not wait for whoever is at work. */
enum domain_control domain_job_control(struct domain *domain);

#endif
