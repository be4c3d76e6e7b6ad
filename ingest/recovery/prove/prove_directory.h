/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The directory of one proof, DIR/amberfs-prove-<8 hex digits>; its guest is
 * named prove-<the first 4>. Whoever works in it holds its lock; if nobody
 * does, the next run cleans it up.
 */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_DIRECTORY_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_DIRECTORY_H

#include "ingest/recovery/boot/boot_directory.h"

#define PROVE_DIRECTORY_DEFAULT "/var/tmp"

struct prove_directory {
	struct boot_directory place;
	char name[16]; /* of the guest */
	int lock;
};

/* Makes one in DIR with an empty console.log, whose path is *CONSOLE (to free).
 * 0 or -errno; then nothing is left. */
int prove_directory_make(struct prove_directory *f, const char *dir,
		struct connection *conn, char **console);

/* Unmounts and removes all of it. 0 or -errno with a text that says what is
 * left; DIR is closed in either case. */
int prove_directory_remove(struct prove_directory *dir);

/* Removes leftovers of this user's dead runs in DIR, and their guests. Warns if
 * something can't be removed. */
void prove_directory_sweep(const char *dir, struct connection *conn);

#endif
