/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a domain's NVRAM is that is on an NBD server. */
#ifndef AMBERFS_INGEST_LIBVIRT_NETWORK_NVRAM_H
#define AMBERFS_INGEST_LIBVIRT_NETWORK_NVRAM_H

#include "domain_xml.h"

struct network_nvram {
	char *export; /* "": the default one */
	char *socket; /* path, or NULL: HOST and PORT */
	char *host, *port;
};

/* 1: *OUT says where, to be cleared; 0: the domain has none that can be reached so
 * (other protocols, TLS); -ENOMEM. */
int network_nvram_find(const struct domain_xml *xml, struct network_nvram *out);
void network_nvram_clear(struct network_nvram *nvram);

#endif
