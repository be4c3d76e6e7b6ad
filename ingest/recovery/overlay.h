/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making an overlay whole with qemu-img, while no guest has it open (qemu's
 * own locks see to that). */
#ifndef AMBERFS_INGEST_RECOVERY_OVERLAY_H
#define AMBERFS_INGEST_RECOVERY_OVERLAY_H

/* 1: its header names an image below it; 0: it doesn't; -errno. A guest may
 * have it open. */
int overlay_has_backing(const char *path);

/* Writes the name of the raw image BACKING into its header, and nothing else.
 * For one that lost it, but maybe not yet got all that was below: what it has
 * covers what is below, so this is never wrong. */
int overlay_attach(const char *path, const char *backing);

/*
 * Copies all that only the image below has, then drops that from the header;
 * durable. May be interrupted (-ECANCELED) or killed and run again: until the
 * end it is what it was. -EBUSY: somebody has it open. WHAT names it for the
 * progress bar.
 */
int overlay_flatten(const char *path, const char *what);

/* All that was written to it comes to the disk. */
int overlay_sync(const char *path);

#endif
