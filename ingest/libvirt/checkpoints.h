/* SPDX-License-Identifier: GPL-3.0-or-later */
/* libvirt's checkpoints of a domain. */
#ifndef AMBERFS_INGEST_LIBVIRT_CHECKPOINTS_H
#define AMBERFS_INGEST_LIBVIRT_CHECKPOINTS_H

#include "domain.h"

struct checkpoint_names {
	unsigned count;
	char **items;
};

/* The names of all, whoever made them. A libvirt without checkpoints: none.
 * 0, -EIO, -ENOMEM. */
int checkpoints_list(struct domain *domain, struct checkpoint_names *out);
void checkpoints_clear(struct checkpoint_names *names);
bool checkpoints_have(const struct checkpoint_names *names, const char *name);

/* What libvirt knows of NAME, with the domain's definition then; SECRETS: the
 * passwords too. To free. 0, -ENOENT, -EIO. */
int checkpoints_xml(struct domain *domain, const char *name, bool secrets,
		char **out);

/*
 * Gives a running domain's libvirt back what it knew of these disks, from
 * checkpoints_xml's text; refused unless their images hold sound bitmaps.
 * 0, -EBADMSG, -EIO, -ENOMEM.
 */
int checkpoints_redefine(struct domain *domain, const char *xml,
		const char *const *targets, unsigned count);

/*
 * Deletes NAME with its bitmap; where that can't be done (the bitmap is broken
 * or gone) only libvirt's knowledge of it. One that is not there is none.
 * Needs a running domain, else -EBUSY and it stays. 0, -EBUSY, -EIO.
 */
int checkpoints_delete(struct domain *domain, const char *name);

#endif
