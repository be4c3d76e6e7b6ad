/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs prove: boots snapshots to check whether they come up. */
#ifndef AMBERFS_INGEST_RECOVERY_PROVE_PROVE_H
#define AMBERFS_INGEST_RECOVERY_PROVE_PROVE_H

int prove_main(int argc, char **argv);

#endif
