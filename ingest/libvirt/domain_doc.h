/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A domain's XML as a tree, for reading (domain_xml.h) and rewriting it
 * (recovery/). It is not trusted: its size is bounded, a DOCTYPE is refused,
 * nothing is ever fetched. Elements are looked up among direct children only: a
 * search for any <source> below a <disk> would also find those of its
 * <backingStore> and of the <mirror> that a copy job writes to.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_DOC_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_DOC_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>

#define DOMAIN_DOC_MAX ((size_t)16 << 20)

/* The root element is <domain>. To be freed with xmlFreeDoc.
 * 0, -EBADMSG with a text. */
int domain_doc_parse(xmlDoc **out, const char *xml, size_t len);
/* With a root element other than <domain>. */
int domain_doc_parse_root(xmlDoc **out, const char *xml, size_t len,
		const char *root);

/* A copy that may be changed, to be freed; NULL without memory. */
xmlDoc *domain_doc_copy(const xmlDoc *doc);

/* An element of this name, in no namespace (libvirt's own have none). */
bool domain_doc_is(const xmlNode *n, const char *name);

/* The first child of this name, or NULL; PARENT may be NULL. */
xmlNode *domain_doc_child(const xmlNode *parent, const char *name);

/* Does the attribute exist with this value? N may be NULL. */
bool domain_doc_attribute_is(const xmlNode *n, const char *name,
		const char *value);

#endif
