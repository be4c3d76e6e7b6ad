/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a disk can be read incrementally: against which record of which
 * snapshot, by which checkpoint's bitmap; and if not, why not. Decisions only:
 * nothing here asks libvirt or opens a file. See tracking.c for what makes them
 * safe.
 */
#ifndef AMBERFS_INGEST_LIVE_TRACKING_H
#define AMBERFS_INGEST_LIVE_TRACKING_H

#include "ingest/backup/disk_plan.h"
#include "repo/format/snapshot.h"

#define TRACKING_NAME_MAX 40
#define TRACKING_WHY_MAX 512

/* A new name for a checkpoint of ours: "amberfs-", 8 digits of the repository's
 * id, "-", 16 random digits. No two attempts ever have the same one. */
void tracking_fresh_name(char out[TRACKING_NAME_MAX],
		const uint8_t repo_id[REPO_ID_SIZE]);
/* True if NAME is one that tracking_fresh_name makes for this repository. */
bool tracking_is_ours(const char *name, const uint8_t repo_id[REPO_ID_SIZE]);

/* The checkpoint that SNAP was made with, or NULL. */
const char *tracking_token(const struct snapshot *snap,
		const uint8_t repo_id[REPO_ID_SIZE]);

/* Why no bitmap can be kept in the disk's image, for people; NULL: it can. */
const char *tracking_cannot(const struct disk_plan *plan);

/* Whether the image, at rest, holds the sound bitmap TOKEN itself (what is in
 * files below it does not count). If not, *WHY says so for people. */
bool tracking_image_has(const struct chain_file *image, const char *token,
		const char **why);
/* Whether it lists any bitmap of ours, in use or not. */
bool tracking_image_lists_ours(const struct chain_file *image,
		const uint8_t repo_id[REPO_ID_SIZE]);

/* A disk as it is now. Texts raw. */
struct tracking_disk {
	const char *target, *path;
	const char *reading; /* of its chain */
	uint64_t size;	     /* bytes the guest sees */
	/* Of each file of its chain, top first. */
	const struct file_identity *identities;
	uint32_t identity_count;
	const char *cannot; /* as tracking_cannot */
};

/* A domain's last snapshot with a checkpoint of ours. */
struct tracking_base {
	const struct snapshot *snap; /* NULL: none */
	const char *token;	     /* its checkpoint */
	const char *none; /* why there is none, for people; NULL: it is
				   the first backup, which explains itself */
};

struct tracking_verdict {
	const struct snapshot_file *record; /* read against this; NULL: all */
	char why[TRACKING_WHY_MAX]; /* then, for people; "": needs no words */
};

/* UUID: of the domain. That the bitmap itself is there and sound is not looked
 * at here. */
void tracking_decide(struct tracking_verdict *verdict,
		const struct tracking_base *base, const char *uuid,
		const struct tracking_disk *disk);

#endif
