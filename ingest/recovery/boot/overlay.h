/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making an overlay whole with qemu-img, while no guest has it open (qemu's
 * own locks see to that).
 *
 * A guest that breaks out of its qemu can write any header into its overlay,
 * with names of other files in it. So where we are root, qemu-img runs as the
 * user that qemu runs as, and gets at nothing that qemu doesn't.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_OVERLAY_H
#define AMBERFS_INGEST_RECOVERY_BOOT_OVERLAY_H

#include <sys/types.h>

struct overlay {
	const char *path;
	uid_t uid; /* who qemu runs as */
	gid_t gid;
};

/* Gives it to that user, if we may. Where libvirt can't note whose a file was it
 * leaves it to root when the guest ends. */
int overlay_chown(const struct overlay *overlay);

/* 1: its header names an image below it; 0: it doesn't; -errno. A guest may
 * have it open. */
int overlay_has_backing(const struct overlay *overlay);

/* Writes the name of the raw image BACKING into its header, and nothing else.
 * For one that lost it, but maybe not yet got all that was below: what it has
 * covers what is below, so this is never wrong. -EBUSY as below. */
int overlay_attach(const struct overlay *overlay, const char *backing);

/*
 * Copies all that only the image below has, then drops that from the header;
 * durable. May be interrupted (-ECANCELED) or killed and run again: until the
 * end it is what it was. -EBUSY: somebody has it open, also after some seconds.
 * WHAT names it for the progress bar.
 */
int overlay_flatten(const struct overlay *overlay, const char *what);

/* All that was written to it comes to the disk. */
int overlay_sync(const struct overlay *overlay);

#endif
