/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source of an image's guest-visible bytes through a qemu-nbd of our own:
 * for every format but raw, and for chains. qemu-nbd is started read-only on a
 * unix socket that nobody else can reach and that is gone from the filesystem
 * as soon as all workers are connected; it ends when we do, however we end.
 *
 * Threading: each worker has a connection of its own; read, extent and same may
 * run at once for different workers. The thread that opens the source must live
 * until it is closed (the kernel ties qemu-nbd's life to that thread's).
 */
#ifndef AMBERFS_INGEST_SOURCE_NBD_SOURCE_H
#define AMBERFS_INGEST_SOURCE_NBD_SOURCE_H

#include "ingest/libvirt/chain.h"
#include "nbd_client.h"

struct nbd_source;

/*
 * WORKERS: as many as the image writer has, at most NBD_CLIENT_WORKERS_MAX.
 * BITMAP: a dirty bitmap that the chain's top image holds, usable; what it has
 * not recorded is then the same as in the base (image_source.same). NULL: none.
 * (qemu-nbd would also take one of a backing file: look before.)
 * Neither is needed afterwards. 0, -ENOENT (qemu-nbd is not installed), -EIO
 * (qemu-nbd's own words are in the text), -ENOTSUP (BITMAP), -ENOMEM.
 */
int nbd_source_open(struct nbd_source **out, const struct chain *chain,
		const char *bitmap, unsigned workers);
/* Ends qemu-nbd and waits for it. NULL allowed. */
void nbd_source_close(struct nbd_source *source);

/* Fills SOURCE for image_writer_write; valid until the close. */
void nbd_source_fill(struct nbd_source *s, struct image_source *source);

#endif
