/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the definition stored in a snapshot to one that can be defined beside
 * (or instead of) the original: other name, identity and disks. Works on XML
 * only, and needs no libvirt.
 */
#ifndef AMBERFS_INGEST_RECOVERY_DOMAIN_ADAPT_H
#define AMBERFS_INGEST_RECOVERY_DOMAIN_ADAPT_H

#include <stdbool.h>
#include <stddef.h>

/* A disk of the definition and where it is now. */
struct adapt_disk {
	const char *target;	/* "vda" */
	const char *path;	/* absolute */
	bool block_device;
	const char *format;	/* "qcow2", "raw" */
	/* What lies below it, so that libvirt need not look; NULL: nothing. */
	const char *backing_path, *backing_format;
};

struct adapt_options {
	const char *name;	/* NULL: as it was */
	/* Keep UUID and MAC addresses (default: new ones, made by libvirt). */
	bool same_identity;
	bool isolated;		/* no network, no host devices, no folders or
				   sockets shared with the host */
	/* Serial ports and consoles become one that appends to this file. NULL:
	 * those that write to files or sockets of the host become ptys. */
	const char *console_file;
	const char *nvram;	/* path of the copy, or NULL: it has none */
	const char *kernel, *initrd; /* where they are now; NULL: as they were */
	const struct adapt_disk *disks;
	unsigned disk_count;
};

/*
 * XML of LEN bytes, not trusted (bounds and no DOCTYPE, as disk_xml.h). *OUT:
 * the new definition, to free. *NOTES: lines for the person about what was
 * taken away or changed, "" if nothing was, to free. Disks that are not in
 * O->disks: removable drives are emptied, others removed with a note.
 * 0, -EBADMSG with a text, -ENOMEM.
 */
int domain_adapt(const char *xml, size_t len, const struct adapt_options *o,
		char **out, char **notes);

#endif
