/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain uses of its host besides disks that no backup of it holds:
 * shared directories, passed-through devices, files that only libvirt or qemu
 * knows the meaning of.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_UNSTORED_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_UNSTORED_H

#include "domain_xml.h"

#define DOMAIN_UNSTORED_MAX 1024u /* more are not listed */

struct domain_unstored {
	char *what; /* "filesystem /srv/share": the same every night */
	char *why;  /* for people */
};

struct domain_unstored_list {
	unsigned count;
	struct domain_unstored *items;
};

/* In the definition's order. 0 or -ENOMEM; OUT is to be cleared in any case. */
int domain_unstored_find(struct domain_unstored_list *out,
		const struct domain_xml *xml);
void domain_unstored_clear(struct domain_unstored_list *list);

#endif
