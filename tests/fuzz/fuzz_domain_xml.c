/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a domain's XML. Input: the XML. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "ingest/libvirt/domain_xml.h"

#define CHAIN_MAX 200

static void check_source(const struct disk_source *source)
{
	must(source->type <= SOURCE_OTHER);
	must(domain_xml_source_name(source->type) != NULL);
	if (source->present && source->type == SOURCE_FILE)
		must(source->path != NULL && source->path[0] != '\0');
	if (source->present && source->type == SOURCE_VOLUME)
		must(source->pool != NULL && source->volume != NULL);
	if (source->sliced) {
		must(source->slice_size > 0 && source->slice_size <= INT64_MAX);
		must(source->slice_offset <= INT64_MAX - source->slice_size);
	}
	must(!source->ends || !source->backing);
}

static void check_disk(const struct domain_disk *disk)
{
	unsigned depth = 1;
	must(disk->target != NULL && disk->target[0] != '\0');
	must(disk->device <= DEVICE_OTHER);
	must(domain_xml_device_name(disk->device) != NULL);
	check_source(&disk->source);
	for (const struct disk_source *source = disk->source.backing;
			source != NULL; source = source->backing, depth++)
		check_source(source);
	must(depth <= CHAIN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct domain_xml *xml = NULL;
	if (!fuzz_accepted(domain_xml_parse(&xml, (const char *)data, size)))
		return 0;
	must(xml->name != NULL && xml->name[0] != '\0');
	must(xml->disk_count <= DOMAIN_XML_DISKS_MAX);
	for (unsigned i = 0; i < xml->disk_count; i++)
		check_disk(&xml->disks[i]);
	domain_xml_free(xml);
	return 0;
}
