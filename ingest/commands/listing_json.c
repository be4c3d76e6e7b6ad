/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listing as JSON. Values that don't apply or aren't known are null. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "listing.h"

/* JSON is UTF-8; what isn't is escaped as names are everywhere. */
static json_t *text(const char *s)
{
	json_t *value;

	if (!s)
		return json_null();
	value = json_string(s);
	if (!value) {
		CLEANUP_FREE char *escaped = name_escape(s, strlen(s));

		value = json_string(escaped);
	}
	return value;
}

static json_t *size(uint64_t bytes, bool known)
{
	return known ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *source_json(const struct listed_disk *d)
{
	const struct disk_source *s = &d->plan.disk->source;
	const struct chain *chain = &d->plan.chain;
	const char *path = s->type == SOURCE_VOLUME && chain->count
			? chain->files[0].path : s->path;

	if (!s->present)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "type",
			domain_xml_source_name(s->type), "path", text(path),
			"pool", text(s->pool), "volume", text(s->volume),
			"protocol", text(s->protocol), "name", text(s->name),
			"host", text(s->host));
}

static json_t *chain_json(const struct chain *chain)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < chain->count; i++) {
		const struct chain_file *f = &chain->files[i];

		json_array_append_new(array, json_pack("{s:o, s:o, s:o, s:o}",
				"path", text(f->path), "format",
				text(f->format), "virtual_size",
				size(f->virtual_size, f->understood),
				"allocated",
				size(f->allocated, f->seen)));
	}
	return array;
}

static json_t *slice_json(const struct disk_source *s)
{
	if (!s->sliced)
		return json_null();
	return json_pack("{s:I, s:I}", "offset", (json_int_t)s->slice_offset,
			"size", (json_int_t)s->slice_size);
}

static bool is_encrypted(const struct listed_disk *d)
{
	for (unsigned i = 0; i < d->plan.chain.count; i++)
		if (d->plan.chain.files[i].encrypted)
			return true;
	return d->plan.disk->source.encrypted;
}

static json_t *disk_json(const struct listed_disk *d)
{
	const struct domain_disk *disk = d->plan.disk;
	const char *format = disk->source.format;

	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:b, "
			"s:o, s:o, s:o, s:b, s:o, s:b, s:o}",
			"target", text(disk->target), "bus", text(disk->bus),
			"device", domain_xml_device_name(disk->device),
			"source", source_json(d),
			"format", text(format), "slice",
			slice_json(&disk->source),
			"readonly", disk->readonly,
			"shareable", disk->shareable,
			"transient", disk->transient,
			"encrypted", is_encrypted(d),
			"virtual_size", size(d->virtual_size, d->sizes_known),
			"allocated", size(d->allocated, d->sizes_known),
			"chain", chain_json(&d->plan.chain),
			"can_back_up", !d->why_not, "reason",
			text(d->why_not), "incremental",
			!d->why_not && !d->why_full, "full_reason",
			text(d->why_full));
}

static json_t *disks_json(const struct listed_domain *d)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < d->disk_count; i++)
		json_array_append_new(array, disk_json(&d->disks[i]));
	return array;
}

static json_t *domain_json(const struct listed_domain *d)
{
	const struct domain_facts *f = &d->facts;

	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:I, s:I, s:i, s:f, "
			"s:b, s:b, s:b, s:o, s:o}",
			"id", f->id < 0 ? json_null() : json_integer(f->id),
			"name", text(f->name), "uuid", f->uuid,
			"state", f->state, "reason", f->reason,
			"os_type", text(f->os_type),
			"max_memory", (json_int_t)f->max_memory,
			"memory", (json_int_t)f->memory,
			"vcpus", (int)f->vcpus,
			"cpu_seconds", (double)f->cpu_ns / 1e9,
			"persistent", f->persistent,
			"autostart", f->autostart,
			"managed_save", f->managed_save,
			"problem", text(d->problem), "disks", disks_json(d));
}

int listing_json_print(const struct listing *l, const char *uri)
{
	json_t *domains = json_array();
	json_t *root;
	int bad = 0;

	for (unsigned i = 0; i < l->count; i++)
		bad |= json_array_append_new(domains,
				domain_json(&l->domains[i]));
	root = json_pack("{s:o, s:o}", "uri", text(uri), "domains", domains);
	if (!root || bad) {
		json_decref(root);
		return -ENOMEM;
	}
	return report_print_json(root);
}
