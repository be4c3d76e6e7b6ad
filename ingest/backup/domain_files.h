/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a domain needs besides its disks to run again: definition, NVRAM, TPM
 * state, kernel and initrd. All of it has mode 0600 in the snapshot.
 */
#ifndef AMBERFS_INGEST_BACKUP_DOMAIN_FILES_H
#define AMBERFS_INGEST_BACKUP_DOMAIN_FILES_H

#include "disk_record.h"

/*
 * Stores domain.xml; domain-live.xml (without secrets), if the domain runs;
 * NVRAM; the state of an emulated TPM; a kernel and initrd that it boots
 * directly. Unchanged files are taken over unread. A file that a running guest
 * may write is read until two readings agree. What can't be read causes a
 * warning and a note in the snapshot. 0 or -errno.
 */
int domain_files_store(struct domain_run *run);

#endif
