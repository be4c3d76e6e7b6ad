/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A directory in which one snapshot is booted:
 *
 *	DIRECTORY/mnt/		the repository, mounted by a process of its own
 *				(amberfs-mount), which outlives us
 *	DIRECTORY/vda.qcow2 …	overlays, which take what the guest writes
 *	DIRECTORY/nvram.fd …	copies of what is not a disk
 *
 *	boot_directory_open		names it and learns who qemu runs as
 *	boot_directory_create	makes it
 *	boot_mount_start
 *	boot_directory_overlay	one per disk; boot_directory_copy
 *	… the guest runs …
 *	boot_mount_end	refused as long as anything reads from there
 *	boot_directory_remove
 *	boot_directory_close	forgets the names, leaves all as it is
 *
 * Every file made is durable, belongs to the user that qemu runs as, and is
 * never replaced. Nothing is ever unmounted lazily: a guest would lose its
 * disk.
 * Threading: one thread per place.
 */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_DIRECTORY_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_DIRECTORY_H

#include <sys/types.h>

#include "ingest/libvirt/connection.h"
#include "repo/repository/repository.h"

#define BOOT_DIRECTORY_MOUNT "mnt"
#define BOOT_DIRECTORY_STATE "boot.json" /* boot_state.h; removed last */

struct boot_directory {
	char *directory, *mount; /* absolute */
	uid_t uid;		 /* who qemu runs as */
	gid_t gid;
	/* Set before it is mounted: all that is to be seen there, "source/time",
	 * since a guest that breaks out of its qemu can read it. NULL: all. */
	const char *only;
};

/* DIRECTORY need not exist yet, but the directory that it is in must. CONN NULL: qemu
 * runs as this process does. 0 or -errno; then DIR is empty. */
int boot_directory_open(struct boot_directory *dir, const char *directory,
		struct connection *conn);
void boot_directory_close(struct boot_directory *dir);

/* Makes the directory, passable for all (a private one could not be reached by
 * qemu), and the mount's in it. -EEXIST with a text. */
int boot_directory_create(struct boot_directory *dir);

/*
 * Mounts REPOSITORY, unlocked as OPTIONS and the environment say (secret_env.h), for
 * the user of qemu to read. OPTIONS->credentials.keep must have been set when this
 * process opened it, else what was typed at a prompt is asked for again.
 * Returns when files can be read. Does nothing where it is mounted already.
 */
int boot_mount_start(struct boot_directory *dir, const char *repository,
		const struct repository_options *options);
/* 1, 0, or -errno (-ENOTCONN: the mount's process died; unmount it). */
int boot_mount_active(const struct boot_directory *dir);
/* -EBUSY: somebody has a file open in there, and nothing happened. Where
 * nothing is mounted: 0. */
int boot_mount_end(struct boot_directory *dir);

/* Where FILE of SNAP is in the mount; to free. NULL without memory. */
char *boot_directory_file(const struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file);

/* DIRECTORY/TARGET.qcow2, to free. NULL without memory. */
char *boot_directory_overlay_path(const struct boot_directory *dir,
		const char *target);

/* Makes that over the disk FILE (kind disk), whose format is
 * always raw and always said. *PATH: its name, to free. Needs no mount. */
int boot_directory_overlay(struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file,
		char **path);

/* Copies FILE out of the mount to DIRECTORY/NAME. */
int boot_directory_copy(struct boot_directory *dir, const struct snapshot *snap,
		const struct snapshot_file *file, const char *name,
		char **path);

/* Deletes the files in the directory, and it. Never goes into the mount: where
 * that is still there, -EBUSY and nothing is deleted. 0 if it is gone. */
int boot_directory_remove(struct boot_directory *dir);

#endif
