/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: rewriting a domain's XML. Input: the XML. What comes out must be
 * XML that is understood, with no disk but those that were given. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/domain_xml.h"
#include "ingest/recovery/adapt/domain_adapt.h"

static void check_disk(const struct domain_disk *disk)
{
	if (!disk->source.present)
		return;
	must(strcmp(disk->target, "vda") == 0);
	must(disk->source.type == SOURCE_FILE);
	must(strcmp(disk->source.path, "/overlay") == 0);
	must(disk->source.backing && disk->source.backing->ends);
}

static int adapt_text(const uint8_t *data, size_t size,
		const struct adapt_options *options, char **out, char **notes)
{
	xmlDoc *doc = NULL;
	int err = domain_doc_parse(&doc, (const char *)data, size);
	if (err == 0)
		err = domain_adapt(doc, options, out, notes);
	xmlFreeDoc(doc);
	return err;
}

static void adapt(const uint8_t *data, size_t size, bool isolated)
{
	const struct adapt_disk disk = { .target = "vda",
		.path = "/overlay",
		.format = "qcow2",
		.backing_path = "/below",
		.backing_format = "raw" };
	const struct adapt_options o = { .name = "new",
		.isolated = isolated,
		.console_file = isolated ? "/console" : NULL,
		.memory = isolated ? 1u << 26 : 0,
		.disks = &disk,
		.disk_count = 1 };
	struct domain_xml *xml = NULL;
	char *out = NULL;
	char *notes = NULL;
	if (!fuzz_accepted(adapt_text(data, size, &o, &out, &notes)))
		return;
	must(out != NULL);
	/* A removable drive may have no target; libvirt will say so. */
	if (domain_xml_parse(&xml, out, strlen(out)) == 0) {
		must(strcmp(xml->name, "new") == 0);
		must(xml->uuid == NULL);
		for (unsigned i = 0; i < xml->disk_count; i++)
			check_disk(&xml->disks[i]);
	}
	domain_xml_free(xml);
	free(out);
	free(notes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	adapt(data, size, false);
	adapt(data, size, true);
	return 0;
}
