/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot: runs a snapshot as a guest, without a restore. */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_H

int boot_main(int argc, char **argv);

#endif
