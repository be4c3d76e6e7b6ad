/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fuzz entry: a domain's XML. Input: the XML. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/libvirt/domain_xml.h"
#include "fuzz.h"

#define CHAIN_MAX 200

static void check_source(const struct disk_source *s)
{
	must(s->type <= SOURCE_OTHER);
	must(domain_xml_source_name(s->type) != NULL);
	if (s->present && s->type == SOURCE_FILE)
		must(s->path != NULL && s->path[0] != '\0');
	if (s->present && s->type == SOURCE_VOLUME)
		must(s->pool != NULL && s->volume != NULL);
	if (s->sliced) {
		must(s->slice_size > 0 && s->slice_size <= INT64_MAX);
		must(s->slice_offset <= INT64_MAX - s->slice_size);
	}
	must(!s->ends || !s->backing);
}

static void check_disk(const struct domain_disk *d)
{
	unsigned depth = 1;

	must(d->target != NULL && d->target[0] != '\0');
	must(d->device <= DEVICE_OTHER);
	must(domain_xml_device_name(d->device) != NULL);
	check_source(&d->source);
	for (const struct disk_source *s = d->source.backing; s;
			s = s->backing, depth++)
		check_source(s);
	must(depth <= CHAIN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct domain_xml *d = NULL;

	if (!fuzz_accepted(domain_xml_parse(&d, (const char *)data, size)))
		return 0;
	must(d->name != NULL && d->name[0] != '\0');
	must(d->disk_count <= DOMAIN_XML_DISKS_MAX);
	for (unsigned i = 0; i < d->disk_count; i++)
		check_disk(&d->disks[i]);
	domain_xml_free(d);
	return 0;
}
