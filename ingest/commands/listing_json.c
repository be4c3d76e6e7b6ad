/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The listing as JSON. Values that don't apply or aren't known are null. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "listing.h"
#include "repo/base/cleanup.h"
#include "repo/base/report.h"
#include "repo/format/document.h"
#include "repo/format/name.h"

/* JSON is UTF-8; other bytes are escaped, as in names everywhere. */
static json_t *text(const char *s)
{
	json_t *value;
	if (s == NULL)
		return json_null();
	value = json_string(s);
	if (value == NULL) {
		CLEANUP_FREE char *escaped = name_escape(s, strlen(s));
		value = json_string(escaped);
	}
	return value;
}

/* What can't be backed up, or null. */
static json_t *problem(const char *message, const char *object)
{
	return message == NULL
			? json_null()
			: report_json_problem("unsupported", message, object);
}

static json_t *size(uint64_t bytes, bool known)
{
	return known ? json_integer((json_int_t)bytes) : json_null();
}

static json_t *source_json(const struct listed_disk *disk)
{
	const struct disk_source *source = &disk->plan.disk->source;
	const struct chain *chain = &disk->plan.chain;
	const char *path = source->type == SOURCE_VOLUME && chain->count
			? chain->files[0].path
			: source->path;
	if (!source->present)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "type",
			domain_xml_source_name(source->type), "path",
			text(path), "pool", text(source->pool), "volume",
			text(source->volume), "protocol",
			text(source->protocol), "name", text(source->name),
			"host", text(source->host));
}

static json_t *chain_json(const struct chain *chain)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < chain->count; i++) {
		const struct chain_file *file = &chain->files[i];
		json_array_append_new(array,
				json_pack("{s:o, s:o, s:o, s:o}", "path",
						text(file->path), "format",
						text(file->format),
						"virtual_size",
						size(file->virtual_size,
								file->understood),
						"allocated_bytes",
						size(file->allocated,
								file->seen)));
	}
	return array;
}

static json_t *slice_json(const struct disk_source *source)
{
	if (!source->sliced)
		return json_null();
	return json_pack("{s:I, s:I}", "offset",
			(json_int_t)source->slice_offset, "size",
			(json_int_t)source->slice_size);
}

static bool is_encrypted(const struct listed_disk *disk)
{
	for (unsigned i = 0; i < disk->plan.chain.count; i++)
		if (disk->plan.chain.files[i].encrypted)
			return true;
	return disk->plan.disk->source.encrypted;
}

static json_t *disk_json(const struct listed_disk *d)
{
	const struct domain_disk *disk = d->plan.disk;
	const char *format = disk->source.format;
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:b, s:b, s:b, s:b, "
			 "s:o, s:o, s:o, s:b, s:o, s:b, s:o}",
			"target", text(disk->target), "bus", text(disk->bus),
			"device", domain_xml_device_name(disk->device), "image",
			source_json(d), "format", text(format), "slice",
			slice_json(&disk->source), "readonly", disk->readonly,
			"shareable", disk->shareable, "transient",
			disk->transient, "encrypted", is_encrypted(d),
			"virtual_size", size(d->virtual_size, d->sizes_known),
			"allocated_bytes", size(d->allocated, d->sizes_known),
			"chain", chain_json(&d->plan.chain), "can_back_up",
			d->why_not == NULL, "problem",
			problem(d->why_not, disk->target), "incremental",
			d->why_not == NULL && d->why_full == NULL,
			"full_reason", text(d->why_full));
}

static json_t *disks_json(const struct listed_domain *domain)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < domain->disk_count; i++)
		json_array_append_new(array, disk_json(&domain->disks[i]));
	return array;
}

static json_t *left_out_json(const struct listed_domain *domain)
{
	json_t *array = json_array();
	for (unsigned i = 0; i < domain->left_out.count; i++) {
		const struct domain_unstored *one = &domain->left_out.items[i];
		json_array_append_new(array,
				problem(one->why != NULL ? one->why : "",
						one->what));
	}
	return array;
}

static json_t *checkpoints_json(const struct listed_domain *domain)
{
	json_t *array = json_array();
	const char *name;
	for (unsigned i = 0; (name = listing_checkpoint(domain, &i)) != NULL;)
		json_array_append_new(array, json_string(name));
	return array;
}

/* Who made a snapshot, and where. */
static json_t *backup_json(const struct snapshot *snap)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	if (snap == NULL)
		return json_null();
	json_t *json = json_pack("{s:s, s:o, s:s, s:o, s:b}", "snapshot",
			snapshot_shown(shown, snap->object), "time",
			report_json_time(snap->time), "kind",
			snapshot_kind_name(snap->kind), "uuid",
			text(snap->uuid), "complete",
			snapshot_is_complete(snap));
	document_set_name(json, "source", snap->source);
	document_set_name(json, "host", snap->host);
	return json;
}

static json_t *domain_json(const struct listed_domain *domain)
{
	const struct domain_facts *facts = &domain->facts;
	return json_pack("{s:o, s:o, s:s, s:s, s:s, s:o, s:I, s:I, s:i, s:f, "
			 "s:b, s:b, s:b, s:o, s:i, s:o, s:o, s:o, s:o, s:o}",
			"id",
			facts->id < 0 ? json_null() : json_integer(facts->id),
			"name", text(facts->name), "uuid", facts->uuid, "state",
			facts->state, "state_reason", facts->reason, "os_type",
			text(facts->os_type), "max_memory_bytes",
			(json_int_t)facts->max_memory, "memory_bytes",
			(json_int_t)facts->memory, "vcpus", (int)facts->vcpus,
			"cpu_seconds", (double)facts->cpu_ns / 1e9,
			"persistent", facts->persistent, "autostart",
			facts->autostart, "managed_save", facts->managed_save,
			"checkpoints", checkpoints_json(domain),
			"orphan_bitmaps", (int)listing_orphans(domain),
			"problem",
			domain->problem != NULL ? report_json_problem("failed",
					domain->problem, facts->name)
						: json_null(),
			"disks", disks_json(domain), "left_out",
			left_out_json(domain), "last_backup",
			backup_json(domain->last_backup), "name_taken_by",
			backup_json(domain->name_taken));
}

int listing_json_print(const struct listing *listing, const char *uri)
{
	json_t *domains = json_array();
	json_t *root;
	int bad = 0;
	for (unsigned i = 0; i < listing->count; i++)
		bad |= json_array_append_new(domains,
				domain_json(&listing->domains[i]));
	root = json_pack("{s:o, s:o}", "uri", text(uri), "domains", domains);
	if (root == NULL || bad) {
		json_decref(root);
		return -ENOMEM;
	}
	return report_print_json(root);
}
