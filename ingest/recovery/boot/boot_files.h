/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All that a domain needs to boot from a snapshot, made in a directory where it
 * is mounted: overlays of its disks, copies of NVRAM, kernel and initrd, and a
 * definition that uses them.
 *
 *	struct boot_files f = { .place = p, .snap = s, .adapt.name = "x", … };
 *	boot_files_check(s, NULL)
 *	boot_directory_create, boot_mount_start
 *	boot_files_make(&f)
 *	boot_files_definition(&f, &xml, &notes)
 *	boot_files_clear(&f)		forgets; nothing is removed
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_FILES_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_FILES_H

#include "boot_directory.h"
#include "ingest/recovery/adapt/domain_adapt.h"

struct boot_files {
	struct boot_directory *place; /* borrowed */
	const struct snapshot *snap;  /* borrowed */
	/* Set by the caller: name, identity, isolated …; boot_files_make fills
	 * in disks, nvram, kernel and initrd. */
	struct adapt_options adapt;
	struct adapt_disk *disks; /* adapt.disk_count of them */
	char **paths;		  /* what the pointers above point to */
	unsigned path_count;
	struct domain_xml *xml; /* as stored */
};

/* 0 if SNAP is of a domain and has disks to boot from; FILE (as returned by
 * snapshot_resolve) must be NULL. -EINVAL with a text. */
int boot_files_check(const struct snapshot *snap, const char *file);

/* Stops with -ECANCELED on interrupt_flag. 0 or -errno; what was made stays. */
int boot_files_make(struct boot_files *files);

/* To be freed; as domain_adapt. */
int boot_files_definition(const struct boot_files *files, char **xml,
		char **notes);

void boot_files_clear(struct boot_files *files);

#endif
