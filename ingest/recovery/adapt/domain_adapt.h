/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Turns the definition stored in a snapshot into one that can be defined next
 * to (or instead of) the original: with other name, identity and disks. Works
 * on XML only, and needs no libvirt.
 */
#ifndef AMBERFS_INGEST_RECOVERY_ADAPT_DOMAIN_ADAPT_H
#define AMBERFS_INGEST_RECOVERY_ADAPT_DOMAIN_ADAPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct _xmlDoc;

/* A disk of the definition and where it is now. */
struct adapt_disk {
	const char *target; /* "vda" */
	const char *path;   /* absolute */
	bool block_device;
	const char *format; /* "qcow2", "raw" */
	/* Its backing file, so that libvirt need not probe; NULL: none. */
	const char *backing_path, *backing_format;
};

struct adapt_options {
	const char *name; /* NULL: unchanged */
	/* It takes the original's place: UUID, MAC addresses, files and sockets
	 * of its ports stay. Default: it may run next to the original, so
	 * libvirt makes new ones, and what both would write to is left out. */
	bool same_identity;
	/* No network, no host devices, no directories or sockets shared with
	 * the host, no claims on its CPUs and memory. Overrides
	 * same_identity. */
	bool isolated;
	bool throw_away; /* writes need not last: fast, not safe*/
	uint64_t memory; /* bytes; 0: unchanged */
	/* The caller puts the state of an emulated TPM where libvirt expects
	 * it; else it starts empty, with a note. */
	bool tpm_placed;
	/* The first serial port (else console, else a new port) appends to this
	 * file, the others go nowhere. NULL: those that use host files or
	 * sockets become ptys, except with same_identity. */
	const char *console_file;
	/* Path of the copy. NULL: none; libvirt makes one in its own place if
	 * the firmware needs it. */
	const char *nvram;
	bool nvram_block;	     /* it is a block device */
	const char *kernel, *initrd; /* where they are now; NULL: unchanged */
	const struct adapt_disk *disks;
	unsigned disk_count;
};

/*
 * DOC: of domain_xml.h or domain_doc.h, stays as it is. *OUT: the new
 * definition, to free. *NOTES: lines for the person about what was
 * taken away or must be known, "" if there is nothing, to free. Disks that are
 * not in OPTIONS->disks: removable drives are emptied, others are removed with a
 * note.
 * XML of a running domain is as good as that of one shut off.
 * 0, -EBADMSG with a text, -EINVAL (something in OPTIONS can't stand in XML),
 * -ENOMEM.
 */
int domain_adapt(const struct _xmlDoc *doc, const struct adapt_options *options,
		char **out, char **notes);

#endif
