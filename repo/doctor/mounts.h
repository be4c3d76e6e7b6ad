/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is mounted where, from the kernel's table alone: no file of the mount is
 * touched, since a share whose server does not answer would stop us. */
#ifndef AMBERFS_DOCTOR_MOUNTS_H
#define AMBERFS_DOCTOR_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

struct mounted {
	char point[512], type[64], source[512];
	char server[256]; /* a filesystem of another host: its address or name;
			     else "" */
};

/* The mount that PATH, absolute, lies on by its name. */
bool mounts_find(struct mounted *out, const char *path);

/* PATH made absolute, without looking at it. To free; NULL without memory. */
char *mounts_absolute(const char *path);

#endif
