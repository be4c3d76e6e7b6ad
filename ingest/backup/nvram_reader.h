/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The content of an NVRAM on an NBD server. */
#ifndef AMBERFS_INGEST_BACKUP_NVRAM_READER_H
#define AMBERFS_INGEST_BACKUP_NVRAM_READER_H

#include "ingest/libvirt/network_nvram.h"

/* All of it, to free. LIVE: the guest may write to it, so it is read until two
 * readings in a row are the same. 0; -EIO (also: the guest keeps writing), -EFBIG,
 * -ELOOP and others of foreign_path.h for the socket; with a text; -ENOMEM;
 * -ECANCELED. */
int nvram_reader_read(const struct network_nvram *nvram, bool live, void **data,
		size_t *len);

#endif
