/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing a tree with libxml2. Only functions that take literal text are used:
 * others would expand entities that a path or name seems to contain. */
#include "adapt_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/printable.h"

#define X(text) ((const xmlChar *)(text))
#define NOTE_MAX 1024

void adapt_tree_note(struct adapt *adapt, const char *fmt, ...)
{
	char line[NOTE_MAX];
	char shown[NOTE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(adapt->notes, "%s\n", printable(shown, sizeof(shown), line));
}

/* The only reason for a NULL from libxml2 here is a lack of memory. */
static void need(struct adapt *adapt, const void *made)
{
	if (made == NULL && !adapt->err)
		adapt->err = -ENOMEM;
}

xmlChar *adapt_tree_get(const xmlNode *n, const char *attribute)
{
	return n != NULL ? xmlGetNoNsProp(n, X(attribute)) : NULL;
}

void adapt_tree_set(struct adapt *adapt, xmlNode *n, const char *attribute,
		const char *value)
{
	if (n != NULL)
		need(adapt, xmlSetProp(n, X(attribute), X(value)));
}

void adapt_tree_unset(xmlNode *n, const char *attribute)
{
	if (n != NULL)
		xmlUnsetProp(n, X(attribute));
}

bool adapt_tree_one_of(const xmlNode *n, const char *attribute,
		const char *const *words)
{
	for (; *words != NULL; words++)
		if (domain_doc_attribute_is(n, attribute, *words))
			return true;
	return false;
}

xmlNode *adapt_tree_add(struct adapt *adapt, xmlNode *parent, const char *name)
{
	xmlNode *n = NULL;
	if (parent == NULL)
		return NULL;
	n = xmlNewChild(parent, NULL, X(name), NULL);
	need(adapt, n);
	if (n != NULL)
		/* A child without a namespace would inherit its parent's. */
		xmlSetNs(n, NULL);
	return n;
}

xmlNode *adapt_tree_child(struct adapt *adapt, xmlNode *parent,
		const char *name)
{
	xmlNode *n = domain_doc_child(parent, name);
	return n != NULL ? n : adapt_tree_add(adapt, parent, name);
}

void adapt_tree_text(struct adapt *adapt, xmlNode *n, const char *text)
{
	xmlNode *t = NULL;
	if (n == NULL)
		return;
	while (n->children != NULL)
		adapt_tree_remove(n->children);
	t = xmlNewDocText(n->doc, X(text));
	need(adapt, t);
	if (t != NULL)
		xmlAddChild(n, t);
}

void adapt_tree_remove(xmlNode *n)
{
	if (n == NULL)
		return;
	xmlUnlinkNode(n);
	xmlFreeNode(n);
}

unsigned adapt_tree_drop(xmlNode *parent, const char *name)
{
	xmlNode *n = NULL;
	unsigned count = 0;
	for (; (n = domain_doc_child(parent, name)) != NULL; count++)
		adapt_tree_remove(n);
	return count;
}

void adapt_tree_drop_all(xmlNode *parent, const char *const *names)
{
	for (; *names != NULL; names++)
		adapt_tree_drop(parent, *names);
}
