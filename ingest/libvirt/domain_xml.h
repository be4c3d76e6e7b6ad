/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A domain's XML, parsed: its text, its tree, and what it says about disks and
 * firmware. Made once for a domain in one state and passed to whoever needs it.
 * The XML is not trusted: its size is bounded, a DOCTYPE is refused, nothing is
 * ever fetched. No file is examined here.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_DOMAIN_XML_H
#define AMBERFS_INGEST_LIBVIRT_DOMAIN_XML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "repo/base/cleanup.h"

#define DOMAIN_XML_DISKS_MAX 4096u

enum disk_device {
	DEVICE_DISK, /* also the default */
	DEVICE_CDROM,
	DEVICE_FLOPPY,
	DEVICE_LUN,
	DEVICE_OTHER,
};

enum source_type {
	SOURCE_FILE,
	SOURCE_BLOCK,
	SOURCE_VOLUME,
	SOURCE_NETWORK,
	SOURCE_DIR,
	SOURCE_NVME,
	SOURCE_VHOSTUSER,
	SOURCE_VHOSTVDPA,
	SOURCE_OTHER,
};

/* Where bytes are: of a disk, or of one level of its backing chain. */
struct disk_source {
	enum source_type type;
	bool present; /* false: no <source>, i.e. no medium */
	char *path;   /* file, block device, directory, socket; or NULL */
	char *pool, *volume;	      /* of a volume */
	char *protocol, *name, *host; /* of a network disk; host may be NULL */
	char *format;		      /* NULL: not given */
	char *startup_policy;	      /* NULL: not given */
	/* Where a qcow2 image keeps its data: a path, or "" if it is none; NULL:
	 * in itself, as far as the XML says. */
	char *data_store;
	bool encrypted;
	bool sliced; /* the disk is only this part of the file: */
	uint64_t slice_offset, slice_size;
	struct disk_source *backing; /* as given in the XML; NULL: not given */
	bool ends; /* an empty <backingStore/>: nothing below */
};

struct domain_disk {
	char *target; /* "vda" */
	char *bus;    /* or NULL */
	enum disk_device device;
	bool readonly, shareable, transient;
	struct disk_source source;
};

struct domain_xml {
	char *text;
	struct _xmlDoc *doc; /* for domain_doc.h; not to be changed */
	char *name, *uuid;   /* uuid may be NULL */
	char *nvram;	     /* the path, or NULL */
	char *nvram_template, *loader, *kernel, *initrd; /* or NULL */
	bool tpm_emulated; /* by swtpm, whose state is on the host */
	char *tpm_path;	   /* of that state; NULL: where libvirt keeps it */
	unsigned disk_count;
	struct domain_disk *disks;
};

/* 0, -EBADMSG with a text, -ENOMEM. */
int domain_xml_parse(struct domain_xml **out, const char *xml, size_t len);
void domain_xml_free(struct domain_xml *xml); /* NULL allowed */
static inline void domain_xml_cleanup(struct domain_xml **xml)
{
	domain_xml_free(*xml);
}
#define CLEANUP_DOMAIN_XML CLEANUP(domain_xml_cleanup)

const char *domain_xml_device_name(enum disk_device d);
const char *domain_xml_source_name(enum source_type t);

#endif
