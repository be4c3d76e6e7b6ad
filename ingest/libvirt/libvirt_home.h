/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a libvirt keeps what belongs to its guests. It does not say so, but that
 * has never changed. */
#ifndef AMBERFS_INGEST_LIBVIRT_LIBVIRT_HOME_H
#define AMBERFS_INGEST_LIBVIRT_LIBVIRT_HOME_H

#include <sys/types.h>

/* The directory for the state of TPMs, or for NVRAM, of the libvirt that URI
 * names. To free; NULL: not known, or no memory. */
char *libvirt_home_tpm(const char *uri);
char *libvirt_home_nvram(const char *uri);

/* The directory that libvirt has made for the running domain NAME with this ID,
 * if it is there, belongs to UID, qemu's user, and needs no quoting in a URI. To
 * free; NULL: none. */
char *libvirt_home_guest(const char *uri, int id, const char *name, uid_t uid);

#endif
