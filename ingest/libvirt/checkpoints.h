/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libvirt's checkpoints of a domain. */
#ifndef AMBERFS_INGEST_LIBVIRT_CHECKPOINTS_H
#define AMBERFS_INGEST_LIBVIRT_CHECKPOINTS_H

#include "domain.h"

struct checkpoint_names {
	unsigned count;
	char **items;
};

/* The names of all checkpoints, whoever made them; none if libvirt does not
 * support them. 0, -EIO, -ENOMEM. */
int checkpoints_list(struct domain *domain, struct checkpoint_names *out);
void checkpoints_clear(struct checkpoint_names *names);
bool checkpoints_have(const struct checkpoint_names *names, const char *name);

/* The XML of NAME, with the domain's definition of that time; SECRETS: also the
 * passwords. To free. 0, -ENOENT, -EIO. */
int checkpoints_xml(struct domain *domain, const char *name, bool secrets,
		char **out);

/*
 * Redefines a checkpoint of a running domain for these disks, from the text of
 * checkpoints_xml; refused unless their images hold sound bitmaps. 0, -EBADMSG,
 * -EIO, -ENOMEM.
 */
int checkpoints_redefine(struct domain *domain, const char *xml,
		const char *const *targets, unsigned count);

/*
 * Deletes NAME with its bitmap; if that is not possible (the bitmap is broken
 * or gone), only libvirt's metadata. A missing checkpoint is no error. Needs a
 * running domain, else -EBUSY and it stays. 0, -EBUSY, -EIO.
 */
int checkpoints_delete(struct domain *domain, const char *name);

/* Of a domain that is shut off: only libvirt's metadata. 0, -EIO. */
int checkpoints_delete_metadata(struct domain *domain, const char *name);

/*
 * Removes the bitmap NAME of a running domain's disk TARGET, of which libvirt
 * has no checkpoint: by defining one for it and deleting that. 0, -EBADMSG,
 * -EIO, -ENOMEM.
 */
int checkpoints_delete_orphan(struct domain *domain, const char *name,
		const char *target);

#endif
