/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs restore --domain: restores a whole domain to its place. */
#ifndef AMBERFS_INGEST_RECOVERY_RESTORE_RESTORE_DOMAIN_H
#define AMBERFS_INGEST_RECOVERY_RESTORE_RESTORE_DOMAIN_H

int restore_domain_main(int argc, char **argv);

#endif
