/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether a guest's qemu still answers. Its NBD server runs in the main loop,
 * which also serves the guest's disks: while that loop waits for something, the
 * guest stands still, and the server is silent. So a connection of our own asks
 * it, about once a second, for something that takes no disk access.
 *
 * Threading: one thread per probe.
 */
#ifndef AMBERFS_INGEST_SOURCE_LIVENESS_PROBE_H
#define AMBERFS_INGEST_SOURCE_LIVENESS_PROBE_H

struct liveness_probe;

/* Connects to an export of the job. NULL with a text: no such connection can be
 * made within some seconds. */
struct liveness_probe *liveness_probe_open(const char *socket,
		const char *export);
void liveness_probe_close(struct liveness_probe *probe); /* NULL allowed */

/* Asks and listens, without waiting. Returns for how many seconds a question
 * has been open, 0 if none is; -1: the export is gone, so the job has ended or
 * is just being ended. */
double liveness_probe_silence(struct liveness_probe *probe);

#endif
