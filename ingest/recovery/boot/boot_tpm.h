/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Restores the state of an emulated TPM for a newly defined domain. */
#ifndef AMBERFS_INGEST_RECOVERY_BOOT_BOOT_TPM_H
#define AMBERFS_INGEST_RECOVERY_BOOT_BOOT_TPM_H

#include "boot_directory.h"
#include "ingest/libvirt/domain.h"

/*
 * libvirt keeps it in a directory named after the domain's UUID: SNAP's state
 * goes next to where it came from, into the directory of DOMAIN's UUID. If that
 * is not possible (another kind of libvirt, no permission), or if something is
 * there already, a line is added to *NOTES instead: the guest then starts with
 * an empty TPM. 0 or -ENOMEM.
 */
int boot_tpm_place(struct domain *domain, const struct boot_directory *dir,
		const struct snapshot *snap, char **notes);

/* Does SNAP have any of it? */
bool boot_tpm_stored(const struct snapshot *snap);

#endif
