/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bounded parsing, and common look-ups. */
#include "domain_doc.h"

#include <errno.h>
#include <libxml/parser.h>
#include <pthread.h>
#include <string.h>

#include "repo/base/error.h"

bool domain_doc_is(const xmlNode *n, const char *name)
{
	return n->type == XML_ELEMENT_NODE && n->ns == NULL
			&& strcmp((const char *)n->name, name) == 0;
}

xmlNode *domain_doc_child(const xmlNode *parent, const char *name)
{
	xmlNode *n = parent != NULL ? parent->children : NULL;
	while (n != NULL && !domain_doc_is(n, name))
		n = n->next;
	return n;
}

bool domain_doc_attribute_is(const xmlNode *n, const char *name,
		const char *value)
{
	xmlChar *text = n != NULL ? xmlGetNoNsProp(n, (const xmlChar *)name)
				  : NULL;
	bool same = text != NULL && strcmp((const char *)text, value) == 0;
	xmlFree(text);
	return same;
}

static int check(const xmlDoc *doc, const char *name)
{
	const xmlNode *root = xmlDocGetRootElement(doc);
	/* libvirt never writes one; its entities could name files or grow
	 * without bound. */
	if (doc->intSubset != NULL || doc->extSubset != NULL)
		return fail(-EBADMSG, "domain XML with a DOCTYPE");
	if (root == NULL || !domain_doc_is(root, name))
		return fail(-EBADMSG,
				"the root element of this XML is not <%s>",
				name);
	return 0;
}

static pthread_once_t parser_once = PTHREAD_ONCE_INIT;

int domain_doc_parse(xmlDoc **out, const char *xml, size_t len)
{
	return domain_doc_parse_root(out, xml, len, "domain");
}

int domain_doc_parse_root(xmlDoc **out, const char *xml, size_t len,
		const char *root)
{
	int options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING
			| XML_PARSE_NOCDATA;
	xmlDoc *doc;
	int err;
#if LIBXML_VERSION >= 21300
	options |= XML_PARSE_NO_XXE;
#endif
	/* Its own, at the first document, is not safe among threads. */
	pthread_once(&parser_once, xmlInitParser);
	if (len > DOMAIN_DOC_MAX)
		return fail(-EBADMSG,
				"domain XML of %zu bytes is too large (at most "
				"16 MiB)",
				len);
	doc = xmlReadMemory(xml, (int)len, NULL, "UTF-8", options);
	if (doc == NULL)
		return fail(-EBADMSG, "domain XML is not well-formed");
	err = check(doc, root);
	if (err != 0) {
		xmlFreeDoc(doc);
		return err;
	}
	*out = doc;
	return 0;
}

xmlDoc *domain_doc_copy(const xmlDoc *doc)
{
	/* Older libxml2 lacks the const, but does not change it. */
	return xmlCopyDoc((xmlDoc *)doc, 1);
}
