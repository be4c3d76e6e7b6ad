/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where each file of a domain's snapshot goes when it is restored, and whether
 * it may go there: never over the disk of a running domain, nor of a domain
 * other than the restored one, nor over a file that a process has locked.
 */
#ifndef AMBERFS_INGEST_RECOVERY_RESTORE_RESTORE_PLAN_H
#define AMBERFS_INGEST_RECOVERY_RESTORE_RESTORE_PLAN_H

#include "ingest/libvirt/domain_control.h"
#include "ingest/libvirt/domain_xml.h"
#include "ingest/recovery/adapt/domain_adapt.h"
#include "repo/snapshot/restore_file.h"

struct restore_item {
	const struct snapshot_file *file;
	char *path; /* absolute */
	enum restore_format format;
	bool if_missing; /* an existing file stays (kernel, initrd) */
	bool optional;	 /* a failure is a warning, not fatal (TPM) */
	bool exists, block_device;
	/* What the path leads to: the directory, and the name in it; NULL: not
	 * known. */
	dev_t device;
	ino_t inode;
	char *leaf;
	uid_t uid; /* of the existing file */
	gid_t gid;
};

struct restore_plan {
	const struct snapshot *snap; /* borrowed */
	char *name;		     /* of the domain, raw */
	bool same_identity;
	struct restore_item *items;
	unsigned count;
	/* Where they go, borrowed; NULL: there is none, or (the last two) the
	 * path is unchanged. */
	const char *nvram, *kernel, *initrd;
	bool nvram_block; /* NVRAM goes to a block device */
};

struct restore_plan_options {
	const char *name; /* --name; NULL: unchanged */
	bool same_identity;
	const char *format; /* --format: "raw", "qcow2"; NULL: unchanged */
	struct option_list disks; /* "vda=/path[,raw|qcow2]" */
	const char *uri;	  /* the libvirt that will run the domain */
};

/* XML: as stored. 0; -EINVAL: an option that can't be satisfied; -ENOMEM; … */
int restore_plan_make(struct restore_plan *plan, const struct snapshot *snap,
		const struct domain_xml *xml,
		const struct restore_plan_options *options);
void restore_plan_clear(struct restore_plan *plan);

/* CONN NULL: there is no libvirt to ask. -EEXIST: something exists that only
 * FORCE replaces; -EBUSY: something exists that may never be replaced. */
int restore_check_plan(struct restore_plan *plan, struct connection *conn,
		bool force);
/* Checks again right before PATH is replaced: hours may have passed. 0, -EBUSY
 * … */
int restore_check_plan_again(const struct restore_plan *plan,
		struct connection *conn, const char *path);

#endif
