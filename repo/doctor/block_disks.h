/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The disks below a file: through partitions, LVM, RAID, dm-crypt and loop
 * devices, as sysfs tells. */
#ifndef AMBERFS_DOCTOR_BLOCK_DISKS_H
#define AMBERFS_DOCTOR_BLOCK_DISKS_H

#include <stdbool.h>
#include <sys/types.h>

#define BLOCK_DISKS_MAX 64u

struct block_disks {
	unsigned count;
	dev_t items[BLOCK_DISKS_MAX];
};

/* Of the filesystem that PATH, absolute, is on, or of the device that it is.
 * None, if it is on no local disk. */
void block_disks_find(struct block_disks *out, const char *path);

/* A disk that both have; 0: none. */
dev_t block_disks_common(const struct block_disks *a,
		const struct block_disks *b);

/* "sda", or "8:0". Returns OUT. */
#define BLOCK_NAME_MAX 64
char *block_disks_name(char out[BLOCK_NAME_MAX], dev_t disk);

#endif
