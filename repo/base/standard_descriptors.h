/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef AMBERFS_BASE_STANDARD_DESCRIPTORS_H
#define AMBERFS_BASE_STANDARD_DESCRIPTORS_H

/* Opens /dev/null as each of the descriptors 0 to 2 that is closed; else a file
 * of ours would get the number, and messages would be written into it. The first
 * thing that a program does. */
void standard_descriptors_take(void);

#endif
