/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_AGENT_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_AGENT_H

#include "domain_xml.h"

/* Whether the domain has a channel to a guest agent. */
bool domain_agent_has_channel(const struct domain_xml *xml);

#endif
