/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether the images of a chain are whole, as far as their formats can tell:
 * what an image has lost reads as zeros, and no read fails.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_IMAGE_CHECK_H
#define AMBERFS_INGEST_LIBVIRT_IMAGE_CHECK_H

#include "chain.h"

/*
 * *DAMAGE (to free): what is wrong with the first image that is damaged, for
 * people; NULL: nothing was found. AT_REST: nobody writes to the images, so
 * their metadata is checked with qemu-img check too (some seconds per TiB); else
 * only the mark that qemu leaves in an image that it found corrupt. 0, -ENOMEM,
 * -ECANCELED (interrupted).
 */
int image_check_chain(const struct chain *chain, bool at_rest, char **damage);

#endif
