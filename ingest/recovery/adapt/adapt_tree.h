/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside domain_adapt: changing a tree, and noting what was changed. A lack of
 * memory is recorded in the context and reported at the end, so the functions
 * return nothing and accept NULL nodes.
 */
#ifndef AMBERFS_INGEST_RECOVERY_ADAPT_ADAPT_TREE_H
#define AMBERFS_INGEST_RECOVERY_ADAPT_ADAPT_TREE_H

#include <stdio.h>

#include "domain_adapt.h"
#include "ingest/libvirt/domain_doc.h"
#include "repo/base/cleanup.h"

struct adapt {
	const struct adapt_options *o;
	bool beside; /* the original may run at the same time */
	FILE *notes;
	int err; /* the first failure */
};

static inline void adapt_tree_cleanup_text(xmlChar **p)
{
	xmlFree(*p);
}

#define CLEANUP_XML_TEXT CLEANUP(adapt_tree_cleanup_text)

/* Adds one line for the user, made printable. */
void adapt_tree_note(struct adapt *adapt, const char *fmt, ...)
		__attribute__((format(printf, 2, 3)));

/* The attribute's text or NULL, for CLEANUP_XML_TEXT. */
xmlChar *adapt_tree_get(const xmlNode *n, const char *attribute);
void adapt_tree_set(struct adapt *adapt, xmlNode *n, const char *attribute,
		const char *value);
void adapt_tree_unset(xmlNode *n, const char *attribute);
/* Is the attribute one of WORDS (NULL-terminated)? */
bool adapt_tree_one_of(const xmlNode *n, const char *attribute,
		const char *const *words);

xmlNode *adapt_tree_add(struct adapt *adapt, xmlNode *parent, const char *name);
/* The child of this name, created if there is none. */
xmlNode *adapt_tree_child(struct adapt *adapt, xmlNode *parent,
		const char *name);
void adapt_tree_text(struct adapt *adapt, xmlNode *n, const char *text);

void adapt_tree_remove(xmlNode *n);
/* Removes all children of this name; returns how many there were. */
unsigned adapt_tree_drop(xmlNode *parent, const char *name);
void adapt_tree_drop_all(xmlNode *parent, const char *const *names);

/* The parts, each in a file of its name. */
void adapt_disks(struct adapt *adapt, xmlNode *devices);
void adapt_ports(struct adapt *adapt, xmlNode *devices);
void adapt_devices(struct adapt *adapt, xmlNode *devices);

#endif
