/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Domains of a connection and what libvirt knows about them. */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_H

#include "connection.h"
#include "domain_xml.h"

#define DOMAIN_UUID_MAX 37

struct domain;

struct domain_facts {
	int id; /* -1: not active */
	char *name;
	char uuid[DOMAIN_UUID_MAX];
	const char *state, *reason; /* worded as in virsh */
	bool shut_off; /* no process of libvirt has its disks open */
	char *os_type; /* "hvm", or NULL */
	uint64_t max_memory, memory; /* bytes */
	unsigned vcpus;
	uint64_t cpu_ns;
	bool persistent, autostart;
	bool managed_save; /* it has a managed save image */
};

/* All domains, active or not, by name. 0 or -errno. */
int domain_list(struct connection *conn, struct domain ***out, unsigned *count);
void domain_list_free(struct domain **list, unsigned count);

/* By name, else by UUID. 0, -ENOENT, -EIO. */
int domain_find(struct domain **out, struct connection *conn, const char *name);
void domain_free(struct domain *domain); /* NULL allowed */

/* Borrowed: as long as the domain. */
const char *domain_name(const struct domain *domain);

/* 0, -ENOENT (it is gone), -EIO, -ENOMEM. */
int domain_facts(struct domain *domain, struct domain_facts *out);
void domain_facts_clear(struct domain_facts *facts);

enum domain_xml_kind {
	DOMAIN_XML_CURRENT,  /* the running one if it runs */
	DOMAIN_XML_INACTIVE, /* the one it starts with */
	DOMAIN_XML_SECURE,   /* that with passwords; on a writable connection */
};
/* The current XML; to be freed with domain_xml_free. 0, -ENOENT, -EPERM (this
 * user may not see secrets), -EIO, -EBADMSG, -ENOMEM. */
int domain_get_xml(struct domain *domain, enum domain_xml_kind kind,
		struct domain_xml **out);

/* The sizes of disk TARGET according to libvirt, which may read files that we
 * may not. 0 or -errno. */
int domain_disk_size(struct domain *domain, const char *target,
		uint64_t *capacity, uint64_t *allocation);

struct _virDomain; /* libvirt's, for live/ */
struct _virDomain *domain_handle(const struct domain *domain);

/* Names for the numbers of libvirt's API; never NULL. */
const char *domain_state_name(int state);
const char *domain_reason_name(int state, int reason);

#endif
