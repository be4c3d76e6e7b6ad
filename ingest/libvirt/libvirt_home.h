/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a libvirt keeps what belongs to its guests. It does not say so, but that
 * has never changed. */
#ifndef AMBERFS_INGEST_LIBVIRT_LIBVIRT_HOME_H
#define AMBERFS_INGEST_LIBVIRT_LIBVIRT_HOME_H

/* The directory for the state of TPMs, or for NVRAM, of the libvirt that URI
 * names. To free; NULL: not known, or no memory. */
char *libvirt_home_tpm(const char *uri);
char *libvirt_home_nvram(const char *uri);

#endif
