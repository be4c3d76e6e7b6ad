/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Inside domain_adapt: disks. What the guest sees of a disk stays (bus,
 * address, serial, boot order); where its bytes are is rewritten, with the
 * whole chain, so that libvirt never has to probe an image.
 */
#include <string.h>

#include "adapt_tree.h"

/* Elements that say where bytes are, or how they were accessed. */
static const char *const whereabouts[] = { "source", "backingStore", "mirror",
	"auth", "encryption", "alias", NULL };

static const char *const removable[] = { "cdrom", "floppy", NULL };

static const struct adapt_disk *find(const struct adapt *adapt,
		const xmlNode *disk)
{
	const xmlNode *target = domain_doc_child(disk, "target");
	for (unsigned i = 0; i < adapt->o->disk_count; i++)
		if (domain_doc_attribute_is(target, "dev",
				    adapt->o->disks[i].target))
			return &adapt->o->disks[i];
	return NULL;
}

/* User aliases ("ua-…") may be referred to elsewhere. */
static void drop_whereabouts(xmlNode *disk)
{
	xmlNode *alias = domain_doc_child(disk, "alias");
	CLEANUP_XML_TEXT xmlChar *name = adapt_tree_get(alias, "name");
	bool chosen = name != NULL
			&& strncmp((const char *)name, "ua-", 3) == 0;
	if (chosen)
		xmlUnlinkNode(alias);
	adapt_tree_drop_all(disk, whereabouts);
	if (chosen)
		xmlAddChild(disk, alias);
}

static void set_source(struct adapt *adapt, xmlNode *parent, bool block,
		const char *path)
{
	adapt_tree_set(adapt, parent, "type", block ? "block" : "file");
	adapt_tree_set(adapt, adapt_tree_add(adapt, parent, "source"),
			block ? "dev" : "file", path);
}

static void set_backing(struct adapt *adapt, xmlNode *disk,
		const struct adapt_disk *d)
{
	xmlNode *below = adapt_tree_add(adapt, disk, "backingStore");
	if (d->backing_path == NULL)
		return;
	adapt_tree_set(adapt, adapt_tree_add(adapt, below, "format"), "type",
			d->backing_format);
	set_source(adapt, below, false, d->backing_path);
	adapt_tree_add(adapt, below, "backingStore");
}

static void set_driver(struct adapt *adapt, xmlNode *disk,
		const struct adapt_disk *d)
{
	xmlNode *driver = adapt_tree_child(adapt, disk, "driver");
	adapt_tree_set(adapt, driver, "name", "qemu");
	adapt_tree_set(adapt, driver, "type", d->format);
	if (strcmp(d->format, "qcow2") != 0) { /* only that has these */
		adapt_tree_drop(driver, "metadata_cache");
		adapt_tree_unset(driver, "discard_no_unref");
	}
	if (adapt->o->isolated)
		adapt_tree_drop(disk, "iotune");
	if (!adapt->o->throw_away)
		return;
	/* Nothing need wait for a disk; native I/O does not work in this
	 * mode. */
	adapt_tree_set(adapt, driver, "cache", "unsafe");
	adapt_tree_unset(driver, "io");
}

/* Ways of sharing or dropping writes that libvirt supports for some disks only,
 * and that an overlay, whose writes must be kept, can't have. */
static void drop_modes(struct adapt *adapt, xmlNode *disk,
		const struct adapt_disk *d)
{
	bool raw = d->backing_path == NULL && strcmp(d->format, "raw") == 0;
	bool file = d->backing_path == NULL && !d->block_device;
	if (!raw && adapt_tree_drop(disk, "shareable"))
		adapt_tree_note(adapt, "%s was shareable: now it is not",
				d->target);
	if (!file && adapt_tree_drop(disk, "transient")
			&& !adapt->o->throw_away)
		adapt_tree_note(adapt,
				"%s was transient: now writes to it are kept",
				d->target);
}

/* A lun passes commands on to a host device, which may have reservations: only
 * where it is that device again. */
static bool stays_lun(const struct adapt *adapt, const struct adapt_disk *d)
{
	return !adapt->beside && d->block_device
			&& strcmp(d->format, "raw") == 0;
}

static void lun(struct adapt *adapt, xmlNode *disk, const struct adapt_disk *d)
{
	if (domain_doc_attribute_is(disk, "device", "lun")) {
		if (stays_lun(adapt, d))
			return;
		adapt_tree_set(adapt, disk, "device", "disk");
		if (!adapt->o->throw_away)
			adapt_tree_note(adapt,
					"%s was a lun, whose SCSI commands and "
					"reservations reached a host device: "
					"now it is a plain disk",
					d->target);
	}
	adapt_tree_unset(disk, "rawio");
	adapt_tree_unset(disk, "sgio");
}

/* Takes what says how a source is used, not where it is, from the old one. */
static void keep_usage(struct adapt *adapt, xmlNode *disk,
		const struct adapt_disk *d, xmlNode *kept)
{
	const xmlNode *source = domain_doc_child(disk, "source");
	bool lost = false;
	xmlNode *next = NULL;
	for (xmlNode *n = source != NULL ? source->children : NULL; n != NULL;
			n = next) {
		next = n->next;
		bool label = domain_doc_is(n, "seclabel");
		if ((label && !adapt->beside)
				|| (domain_doc_is(n, "reservations")
						&& stays_lun(adapt, d))) {
			xmlUnlinkNode(n);
			xmlAddChild(kept, n);
		}
		lost |= label && adapt->beside;
	}
	if (lost && !adapt->o->throw_away)
		adapt_tree_note(adapt,
				"%s: the security label of its source is left "
				"out: the host's default applies",
				d->target);
}

static void place(struct adapt *adapt, xmlNode *disk,
		const struct adapt_disk *d)
{
	xmlNode *kept = adapt_tree_add(adapt, disk, "source");
	if (kept == NULL)
		return;
	keep_usage(adapt, disk, d, kept);
	xmlUnlinkNode(kept);
	drop_whereabouts(disk);
	set_driver(adapt, disk, d);
	set_source(adapt, disk, d->block_device, d->path);
	while (kept->children != NULL) {
		xmlNode *n = kept->children;
		xmlUnlinkNode(n);
		xmlAddChild(domain_doc_child(disk, "source"), n);
	}
	xmlFreeNode(kept);
	set_backing(adapt, disk, d);
	drop_modes(adapt, disk, d);
	lun(adapt, disk, d);
}

static void empty(struct adapt *adapt, xmlNode *disk)
{
	CLEANUP_XML_TEXT xmlChar *target =
			adapt_tree_get(domain_doc_child(disk, "target"), "dev");
	if (domain_doc_child(disk, "source") != NULL)
		adapt_tree_note(adapt,
				"%s: its medium is not in the snapshot, so the "
				"drive is empty",
				target != NULL ? (const char *)target : "?");
	drop_whereabouts(disk);
	adapt_tree_drop(disk, "transient");
	adapt_tree_set(adapt, disk, "type", "file");
	/* Also resets the format of its former medium. */
	if (domain_doc_child(disk, "driver") != NULL)
		adapt_tree_set(adapt, domain_doc_child(disk, "driver"), "type",
				"raw");
}

static void leave_out(struct adapt *adapt, xmlNode *disk)
{
	CLEANUP_XML_TEXT xmlChar *target =
			adapt_tree_get(domain_doc_child(disk, "target"), "dev");
	adapt_tree_note(adapt, "%s is not in the snapshot: left out",
			target != NULL ? (const char *)target
				       : "a disk without target");
	adapt_tree_remove(disk);
}

/* Disks that were hot-plugged and are not in the inactive definition. */
static void note_unused(struct adapt *adapt, const xmlNode *devices)
{
	for (unsigned i = 0; i < adapt->o->disk_count; i++) {
		const char *target = adapt->o->disks[i].target;
		const xmlNode *n = devices != NULL ? devices->children : NULL;
		while (n != NULL
				&& !(domain_doc_is(n, "disk")
						&& domain_doc_attribute_is(
								domain_doc_child(
										n,
										"target"),
								"dev", target)))
			n = n->next;
		if (n == NULL)
			adapt_tree_note(adapt,
					"%s is in the snapshot but not in the "
					"definition: not attached",
					target);
	}
}

void adapt_disks(struct adapt *adapt, xmlNode *devices)
{
	xmlNode *next = NULL;
	note_unused(adapt, devices);
	for (xmlNode *n = devices != NULL ? devices->children : NULL; n != NULL;
			n = next) {
		const struct adapt_disk *disk = NULL;
		next = n->next;
		if (!domain_doc_is(n, "disk"))
			continue;
		disk = find(adapt, n);
		if (disk != NULL)
			place(adapt, n, disk);
		else if (adapt_tree_one_of(n, "device", removable))
			empty(adapt, n);
		else
			leave_out(adapt, n);
	}
}
