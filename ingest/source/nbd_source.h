/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A source of an image's guest-visible bytes through our own qemu-nbd: for
 * every format but raw, and for chains. qemu-nbd is started read-only on a unix
 * socket that nobody else can reach and that is removed from the filesystem as
 * soon as all workers are connected; it ends when we do, however we end.
 *
 * Threading: each worker has its own connection; read, extent and same may run
 * at once for different workers. The thread that opens the source must live
 * until it is closed (the kernel ties qemu-nbd's life to that thread).
 */
#ifndef AMBERFS_INGEST_SOURCE_NBD_SOURCE_H
#define AMBERFS_INGEST_SOURCE_NBD_SOURCE_H

#include "ingest/libvirt/chain.h"
#include "nbd_client.h"

struct nbd_source;

/*
 * WORKERS: as many as the image writer has, at most NBD_CLIENT_WORKERS_MAX.
 * BITMAP: a usable dirty bitmap of the chain's top image; what is clean in it
 * is the same as in the base (image_source.same). NULL: none. (qemu-nbd would
 * also accept one of a backing file: check before.) Neither is needed
 * afterwards. 0, -ENOENT (qemu-nbd is not installed), -EIO (the text has
 * qemu-nbd's own message), -ENOTSUP (BITMAP), -ENOMEM.
 */
int nbd_source_open(struct nbd_source **out, const struct chain *chain,
		const char *bitmap, unsigned workers);
/* Ends qemu-nbd and waits for it. NULL allowed. */
void nbd_source_close(struct nbd_source *source);

/* Fills SOURCE for image_writer_write; valid until the close. */
void nbd_source_fill(struct nbd_source *s, struct image_source *source);

#endif
