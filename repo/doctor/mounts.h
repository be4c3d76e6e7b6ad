/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is mounted where, from the kernel's table: nothing on a filesystem of
 * another host is looked at, since a server that does not answer would stop us. */
#ifndef AMBERFS_DOCTOR_MOUNTS_H
#define AMBERFS_DOCTOR_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

#define MOUNTS_SERVER_MAX 256

struct mounted {
	char point[512], type[64], source[512];
	/* A filesystem of another host: its address or name; else "". */
	char server[MOUNTS_SERVER_MAX];
};

/* The mount that PATH, absolute, is on, through links on the way. */
bool mounts_find(struct mounted *out, const char *path);

/* The other host of one entry of the table, or "". */
struct mntent;
void mounts_server(char out[MOUNTS_SERVER_MAX], const struct mntent *entry);

/* PATH made absolute, without looking at it. To free; NULL without memory. */
char *mounts_absolute(const char *path);

#endif
