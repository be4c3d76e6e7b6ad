/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One mount from its beginning to its end. All threads, the index and the
 * session are made by service_start, so it comes after the last fork.
 */
#ifndef AMBERFS_FS_SERVICE_H
#define AMBERFS_FS_SERVICE_H

#include "mount_options.h"

struct service;

/* Opens REPO (may ask for a passphrase) and mounts it on MOUNTPOINT, an
 * absolute path. The strings and OPTIONS must outlive the service. READY is called,
 * in another thread, once files can be read. Prints warnings through report.
 * 0, or -errno with a text; then *OUT is NULL. */
int service_start(struct service **out, const char *repo,
		const char *mountpoint, struct mount_options *options,
		void (*ready)(void *ctx), void *ready_ctx);

/* Serves until the mount is taken away or a signal comes. 0 or -errno. */
int service_run(struct service *service);

/* Unmounts (lazily, if somebody is still in there), closes and frees. NULL
 * allowed. */
void service_stop(struct service *service);

#endif
