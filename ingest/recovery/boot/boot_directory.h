/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A directory in which one snapshot is booted:
 *
 *	DIRECTORY/mnt/		the repository, mounted by a process of its own
 *				(amberfs-mount), which outlives us
 *	DIRECTORY/vda.qcow2 …	overlays, which take what the guest writes
 *	DIRECTORY/nvram.fd …	copies of what is not a disk
 *
 *	boot_directory_open	names it and finds the user that qemu runs as
 *	boot_directory_create	makes it
 *	boot_mount_start
 *	boot_directory_overlay	one per disk; boot_directory_copy
 *	… the guest runs …
 *	boot_mount_end		refused as long as anything is open there
 *	boot_directory_remove
 *	boot_directory_close	frees the names, removes nothing
 *
 * Every file made is durable, belongs to the user that qemu runs as, and is
 * never replaced. Nothing is ever unmounted lazily: a guest would lose its
 * disk.
 * Threading: one thread per directory.
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
	uid_t uid;		 /* the user qemu runs as */
	gid_t gid;
	/* Set before it is mounted: the only snapshot to be shown,
	 * "source/time", since a guest that breaks out of its qemu can read the
	 * mount. NULL: all. */
	const char *only;
};

/* DIRECTORY need not exist yet, but its parent must. CONN NULL: qemu runs as
 * this process's user. 0 or -errno; then DIR is empty. */
int boot_directory_open(struct boot_directory *dir, const char *directory,
		struct connection *conn);
void boot_directory_close(struct boot_directory *dir);

/* -EPERM with a text if we are root and others can put links in our way in the
 * directory PATH, which need not be there. */
int boot_directory_check_ours(const char *path);

/* Makes the directory, which anyone may pass (qemu could not reach a private
 * one), and the mount point in it. -EEXIST with a text. */
int boot_directory_create(struct boot_directory *dir);

/*
 * Mounts REPOSITORY, unlocked as OPTIONS and the environment say
 * (secret_env.h), readable by qemu's user. OPTIONS->credentials.keep must have
 * been set when this process opened it, else a passphrase typed at a prompt is
 * asked for again. Returns when files can be read. Does nothing if it is
 * mounted already.
 */
int boot_mount_start(struct boot_directory *dir, const char *repository,
		const struct repository_options *options);
/* 1, 0, or -errno (-ENOTCONN: the mount's process died; unmount it). */
int boot_mount_active(const struct boot_directory *dir);
/* Unmounts. -EBUSY: a file is in use there, and nothing happened. 0 if nothing
 * is mounted. */
int boot_mount_end(struct boot_directory *dir);

/* The path of SNAP's FILE in the mount; to free. NULL without memory. */
char *boot_directory_file(const struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file);

/* DIRECTORY/TARGET.qcow2, to free. NULL without memory. */
char *boot_directory_overlay_path(const struct boot_directory *dir,
		const char *target);

/* Makes this overlay on the disk FILE (kind disk), whose format is always raw
 * and always given. *PATH: its name, to free. Needs no mount. */
int boot_directory_overlay(struct boot_directory *dir,
		const struct snapshot *snap, const struct snapshot_file *file,
		char **path);

/* Copies FILE from the mount to DIRECTORY/NAME. */
int boot_directory_copy(struct boot_directory *dir, const struct snapshot *snap,
		const struct snapshot_file *file, const char *name,
		char **path);

/* Deletes the directory with its files. Never enters the mount: if it is still
 * mounted, -EBUSY and nothing is deleted. 0 if it is gone. */
int boot_directory_remove(struct boot_directory *dir);

#endif
