/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "domain_agent.h"

#include "domain_doc.h"

#define AGENT_CHANNEL "org.qemu.guest_agent.0"

bool domain_agent_has_channel(const struct domain_xml *xml)
{
	const xmlNode *devices =
			domain_doc_child(xmlDocGetRootElement(xml->doc),
					"devices");
	const xmlNode *one = devices != NULL ? devices->children : NULL;
	for (; one != NULL; one = one->next)
		if (domain_doc_is(one, "channel")
				&& domain_doc_attribute_is(
						domain_doc_child(one, "target"),
						"name", AGENT_CHANNEL))
			return true;
	return false;
}
