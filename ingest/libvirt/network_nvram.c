/* SPDX-License-Identifier: GPL-3.0-or-later */
/* <nvram type='network'><source protocol='nbd' …><host …/></source></nvram> */
#include "network_nvram.h"

#include <errno.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#include "domain_doc.h"
#include "repo/base/error.h"

#define NBD_PORT "10809"

/* OTHERWISE: where it is not there; NULL: none. */
static bool take(const xmlNode *n, const char *name, const char *otherwise,
		char **out)
{
	xmlChar *text = xmlGetNoNsProp(n, (const xmlChar *)name);
	*out = text != NULL ? strdup((const char *)text)
			    : (otherwise != NULL ? strdup(otherwise) : NULL);
	bool complete = *out != NULL || (text == NULL && otherwise == NULL);
	xmlFree(text);
	return complete;
}

static bool is_reachable(const xmlNode *source, const xmlNode *host)
{
	return domain_doc_attribute_is(source, "protocol", "nbd")
			&& !domain_doc_attribute_is(source, "tls", "yes")
			&& host != NULL;
}

int network_nvram_find(const struct domain_xml *xml, struct network_nvram *out)
{
	const xmlNode *os =
			domain_doc_child(xmlDocGetRootElement(xml->doc), "os");
	const xmlNode *nvram = domain_doc_child(os, "nvram");
	const xmlNode *source = domain_doc_child(nvram, "source");
	const xmlNode *host = domain_doc_child(source, "host");
	*out = (struct network_nvram){ .export = NULL };
	if (!domain_doc_attribute_is(nvram, "type", "network")
			|| !is_reachable(source, host))
		return 0;
	if (take(source, "name", "", &out->export)
			&& take(host, "socket", NULL, &out->socket)
			&& take(host, "name", NULL, &out->host)
			&& take(host, "port", NBD_PORT, &out->port)) {
		if (out->socket != NULL || out->host != NULL)
			return 1;
		network_nvram_clear(out);
		return 0;
	}
	network_nvram_clear(out);
	return fail_no_memory("examining a domain");
}

void network_nvram_clear(struct network_nvram *nvram)
{
	free(nvram->export);
	free(nvram->socket);
	free(nvram->host);
	free(nvram->port);
	*nvram = (struct network_nvram){ .export = NULL };
}
