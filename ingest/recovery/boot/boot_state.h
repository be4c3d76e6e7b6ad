/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * boot.json in the directory of a booted snapshot: all that --finish, --resume
 * and --discard must know. It is made before any other file and removed after
 * all others, so whatever a killed run left can be found and removed.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_STATE_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "repo/format/snapshot.h"

#define BOOT_STATE_NAME "boot.json" /* BOOT_DIRECTORY_STATE */

struct boot_disk {
	char *target; /* "vda" */
	char *file;   /* of the snapshot: "vda.raw" */
};

struct boot_state {
	char *name;	  /* of the domain, raw */
	char *repository; /* absolute */
	char *snapshot;	  /* "source/time" */
	char *id;	  /* of the snapshot, 64 digits */
	char *uri;	  /* of libvirt */
	int64_t since;	  /* UTC second */
	bool ready;	  /* the domain is defined */
	/* A guest is being paused briefly to make qemu flush its disks; if
	 * found paused, it must be resumed. */
	bool pausing;
	/* Every overlay is complete and durable: backing files don't matter any
	 * more. */
	bool whole;
	uint32_t disk_count;
	struct boot_disk *disks;
};

/* 0; -ENOENT (no text) DIRECTORY has none; -EBADMSG; … */
int boot_state_load(struct boot_state *out, const char *directory);
/* Durable when it returns. */
int boot_state_save(const struct boot_state *state, const char *directory);
void boot_state_clear(struct boot_state *state);

/* 0 or -ENOMEM. */
int boot_state_add_disk(struct boot_state *state, const char *target,
		const char *file);

#endif
