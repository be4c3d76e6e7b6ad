/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Completing an overlay with qemu-img, while no guest has it open (ensured by
 * qemu's own locks).
 *
 * A guest that breaks out of its qemu can write any header into its overlay,
 * with names of other files in it. So if we are root, qemu-img runs as qemu's
 * user, and can access nothing that qemu can't.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_OVERLAY_H
#define AMBERFS_INGEST_RECOVERY_BOOT_OVERLAY_H

#include <sys/types.h>

struct overlay {
	const char *path;
	uid_t uid; /* the user qemu runs as */
	gid_t gid;
};

/* Gives it to that user, if we may. If libvirt can't record a file's owner, it
 * leaves the file to root when the guest ends. */
int overlay_chown(const struct overlay *overlay);

/* 1: its header names a backing file; 0: it doesn't; -errno. A guest may have
 * it open. */
int overlay_has_backing(const struct overlay *overlay);

/* Only writes the name of the raw image BACKING into its header, if that was
 * removed before all data was surely copied: the overlay's data takes
 * precedence over the backing file, so this is never wrong. -EBUSY as below. */
int overlay_attach(const struct overlay *overlay, const char *backing);

/*
 * Copies all data that only the backing file has, then removes that from the
 * header; durable. May be interrupted (-ECANCELED) or killed and run again:
 * until the end its contents stay the same. -EBUSY: it is open elsewhere, even
 * after some seconds. WHAT names it for the progress bar.
 */
int overlay_flatten(const struct overlay *overlay, const char *what);

/* Flushes all data written to it. */
int overlay_sync(const struct overlay *overlay);

#endif
