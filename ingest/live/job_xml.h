/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The XML of a backup job and its checkpoint; and what a job needs from the XML
 * of the running domain. */
#ifndef AMBERFS_INGEST_LIVE_JOB_XML_H
#define AMBERFS_INGEST_LIVE_JOB_XML_H

#include <sys/types.h>

#include "live_job.h"

/* A job for DISKS, served at SOCKET; SCRATCH[i] is the file of DISKS[i]. To
 * free; NULL without memory. */
char *job_xml_backup(const char *socket, const struct live_disk *disks,
		char *const *scratch, unsigned count);
char *job_xml_checkpoint(const char *name, const struct live_disk *disks,
		unsigned count);

/* The first scratch file in libvirt's XML of a job, by which a job of ours is
 * known; to free. *FILE NULL: it has none. 0, -EBADMSG. */
int job_xml_scratch(char **file, const char *xml);

enum guest_agent { AGENT_NONE, AGENT_AWAY, AGENT_CONNECTED };

struct guest_facts {
	bool has_owner; /* libvirt says which user qemu runs as: */
	uid_t owner;
	gid_t group;
	bool apparmor; /* qemu is confined by it */
	enum guest_agent agent;
};
/* From a running domain's XML. */
void job_xml_guest(struct guest_facts *out, const struct domain_xml *xml);

#endif
