/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Paths in a domain's XML; see domain_paths.h. */
#include "domain_paths.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "domain_doc.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

static inline void cleanup_doc(xmlDoc **doc)
{
	xmlFreeDoc(*doc);
}
#define CLEANUP_DOC CLEANUP(cleanup_doc)

/* --- visiting --- */

static int visit_text(xmlChar *text, domain_path_fn *fn, void *ctx)
{
	int err = text != NULL && text[0] == '/' ? fn(ctx, (const char *)text)
						 : 0;
	xmlFree(text);
	return err;
}

static int visit_node(const xmlNode *n, domain_path_fn *fn, void *ctx)
{
	int err = 0;
	for (const xmlAttr *a = n->properties; err == 0 && a != NULL;
			a = a->next)
		err = visit_text(xmlNodeListGetString(n->doc, a->children, 1),
				fn, ctx);
	/* <nvram>/path</nvram>, <kernel>…: only text. */
	if (err != 0)
		return err;
	if (n->children != NULL && n->children->type == XML_TEXT_NODE
			&& n->children->next == NULL)
		err = visit_text(xmlNodeGetContent(n), fn, ctx);
	return err;
}

/* The next element after N in document order, within ROOT. Not recursive:
 * libxml2 allows deeper nesting than our stack. */
static xmlNode *next_node(xmlNode *n, const xmlNode *root)
{
	if (n->children != NULL)
		return n->children;
	while (n != root && n->next == NULL)
		n = n->parent;
	return n == root ? NULL : n->next;
}

static int visit_below(xmlNode *root, domain_path_fn *fn, void *ctx)
{
	int err = 0;
	for (xmlNode *n = root; err == 0 && n != NULL; n = next_node(n, root))
		if (n->type == XML_ELEMENT_NODE)
			err = visit_node(n, fn, ctx);
	return err;
}

int domain_paths_each(const xmlDoc *doc, domain_path_fn *fn, void *ctx)
{
	return visit_below(xmlDocGetRootElement(doc), fn, ctx);
}

/* --- below a directory --- */

static int is_below(void *ctx, const char *path)
{
	const char *directory = ctx;
	size_t len = strlen(directory);
	return strncmp(path, directory, len) == 0 && path[len] == '/';
}

bool domain_paths_below(const xmlDoc *doc, const char *directory)
{
	return domain_paths_each(doc, is_below, (void *)directory) == 1;
}

static int is_the_same(void *ctx, const char *path)
{
	return strcmp(path, ctx) == 0;
}

bool domain_paths_name(const xmlDoc *doc, const char *path)
{
	return domain_paths_each(doc, is_the_same, (void *)path) == 1;
}

/* The disk's <backingStore> if something below DIRECTORY is named in it. */
static xmlNode *backing_below(const xmlNode *disk, const char *directory)
{
	xmlNode *backing = NULL;
	if (domain_doc_is(disk, "disk"))
		backing = domain_doc_child(disk, "backingStore");
	return backing != NULL
					&& visit_below(backing, is_below,
							   (void *)directory)
							== 1
			? backing
			: NULL;
}

void domain_paths_free(char **targets)
{
	for (char **t = targets; t != NULL && *t != NULL; t++)
		free(*t);
	free(targets);
}

static int add_target(char ***list, size_t *count, const xmlNode *disk)
{
	char **more = reallocarray(*list, *count + 2, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	*list = more;
	xmlChar *dev = xmlGetNoNsProp(domain_doc_child(disk, "target"),
			(const xmlChar *)"dev");
	more[*count] = dev != NULL ? strdup((const char *)dev) : NULL;
	more[*count + 1] = NULL;
	xmlFree(dev);
	return more[(*count)++] != NULL ? 0 : -ENOMEM;
}

static xmlNode *first_device(const xmlDoc *doc)
{
	const xmlNode *devices =
			domain_doc_child(xmlDocGetRootElement(doc), "devices");
	return devices != NULL ? devices->children : NULL;
}

int domain_paths_backed(const xmlDoc *doc, const char *directory,
		char ***targets)
{
	size_t count = 0;
	char **list = calloc(1, sizeof(*list));
	int err = list != NULL ? 0 : -ENOMEM;
	for (xmlNode *n = first_device(doc); err == 0 && n != NULL; n = n->next)
		if (backing_below(n, directory) != NULL)
			err = add_target(&list, &count, n);
	if (err < 0) {
		domain_paths_free(list);
		return err;
	}
	*targets = list;
	return 0;
}

int domain_paths_unback(const xmlDoc *doc, const char *directory, char **out)
{
	CLEANUP_DOC xmlDoc *better = domain_doc_copy(doc);
	xmlChar *text = NULL;
	int len = 0;
	if (better == NULL)
		return -ENOMEM;
	for (xmlNode *n = first_device(better); n != NULL; n = n->next) {
		xmlNode *old = backing_below(n, directory);
		xmlNode *none = old != NULL ? xmlNewNode(NULL,
						(const xmlChar *)"backingStore")
					    : NULL;
		if (old == NULL)
			continue;
		if (none == NULL)
			return -ENOMEM;
		xmlReplaceNode(old, none);
		xmlFreeNode(old);
	}
	xmlDocDumpMemory(better, &text, &len);
	*out = text != NULL ? strdup((const char *)text) : NULL;
	xmlFree(text);
	return *out != NULL ? 0 : -ENOMEM;
}
