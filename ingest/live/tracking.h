/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a disk can be read incrementally: against which record of which
 * snapshot, with which checkpoint's bitmap; and if not, why not. Decisions
 * only: nothing here calls libvirt or opens a file. tracking.c explains what
 * makes them safe.
 */
#ifndef AMBERFS_INGEST_LIVE_TRACKING_H
#define AMBERFS_INGEST_LIVE_TRACKING_H

#include "ingest/backup/disk_plan.h"
#include "repo/format/snapshot.h"

#define TRACKING_NAME_MAX 40
#define TRACKING_WHY_MAX 512

/* A new name for our checkpoint: "amberfs-", 8 digits of the repository's id,
 * "-", 16 random digits. No two attempts ever have the same one. */
void tracking_fresh_name(char out[TRACKING_NAME_MAX],
		const uint8_t repo_id[REPO_ID_SIZE]);
/* True if NAME is of the form that tracking_fresh_name makes for this
 * repository. */
bool tracking_is_ours(const char *name, const uint8_t repo_id[REPO_ID_SIZE]);

/* The same for any repository. */
bool tracking_is_amberfs(const char *name);

/* The checkpoint that SNAP was made with, or NULL. */
const char *tracking_token(const struct snapshot *snap,
		const uint8_t repo_id[REPO_ID_SIZE]);

/* Why the disk's image can't store a bitmap, for people; NULL: it can. */
const char *tracking_cannot(const struct disk_plan *plan);

/* Whether the image, at rest, itself has the sound bitmap TOKEN (backing files
 * do not count). If not, *WHY is the reason, for people. */
bool tracking_image_has(const struct chain_file *image, const char *token,
		const char **why);
/* The name of the NUMBER-th bitmap of the image, whoever made it; NULL: it has
 * not so many. */
const char *tracking_image_bitmap(const struct chain_file *image,
		size_t number);
/* Whether it has any bitmap of ours, even if marked in use. */
bool tracking_image_lists_ours(const struct chain_file *image,
		const uint8_t repo_id[REPO_ID_SIZE]);

/* The current state of a disk. Texts raw. */
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
	const char *none; /* why there is none, for people; NULL: this is
			     the first backup */
};

struct tracking_verdict {
	const struct snapshot_file
			*record; /* read against this record; NULL: read all */
	char why[TRACKING_WHY_MAX]; /* then, why; "": obvious */
};

/* UUID: of the domain. Does not check that the bitmap itself exists and is
 * sound. */
void tracking_decide(struct tracking_verdict *verdict,
		const struct tracking_base *base, const char *uuid,
		const struct tracking_disk *disk);

#endif
