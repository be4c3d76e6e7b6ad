/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot: a snapshot as a running guest, without a restore before. */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_H

int boot_main(int argc, char **argv);

#endif
