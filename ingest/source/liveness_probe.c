/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The question is a read behind the end of the export, which qemu's server
 * refuses at once (EINVAL): any answer will do. */
#include "liveness_probe.h"

#include <errno.h>
#include <libnbd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/units.h"

#define CONNECT_SECONDS 10.0
#define INTERVAL_SECONDS 1.0
#define QUESTION_SIZE 512

struct liveness_probe {
	struct nbd_handle *nbd; /* NULL: the export is gone */
	int64_t cookie;		/* of the open question; 0: none */
	double asked;		/* when, on the monotonic clock */
	char answer[QUESTION_SIZE];
};

static int connect_probe(struct nbd_handle *nbd, const char *socket,
		const char *export)
{
	char alias[FOREIGN_PATH_ALIAS_MAX];
	double end = monotonic_now() + CONNECT_SECONDS;
	CLEANUP_FD int fd = foreign_path_socket(socket, alias);
	if (fd < 0)
		return fd;
	if (nbd_set_export_name(nbd, export) < 0
			|| nbd_set_strict_mode(nbd, 0) < 0
			|| nbd_aio_connect_unix(nbd, alias) < 0)
		return -EIO;
	while (nbd_aio_is_connecting(nbd)) {
		if (nbd_poll(nbd, 200) < 0)
			return -EIO;
		if (monotonic_now() > end)
			return -ETIMEDOUT;
	}
	return nbd_aio_is_ready(nbd) ? 0 : -EIO;
}

struct liveness_probe *liveness_probe_open(const char *socket,
		const char *export)
{
	struct liveness_probe *probe = calloc(1, sizeof(*probe));
	if (probe == NULL) {
		fail_no_memory("connecting to the NBD server");
		return NULL;
	}
	probe->nbd = nbd_create();
	int err = probe->nbd != NULL ? connect_probe(probe->nbd, socket, export)
				     : -ENOMEM;
	if (err == 0)
		return probe;
	fail_errno(err, "connecting to the NBD server");
	liveness_probe_close(probe);
	return NULL;
}

void liveness_probe_close(struct liveness_probe *probe)
{
	if (probe == NULL)
		return;
	if (probe->nbd != NULL)
		nbd_close(probe->nbd);
	free(probe);
}

static void ask(struct liveness_probe *probe, double now)
{
	if (now - probe->asked < INTERVAL_SECONDS)
		return;
	int64_t size = nbd_get_size(probe->nbd);
	probe->cookie = size < 0 ? -1
				 : nbd_aio_pread(probe->nbd, probe->answer,
						 QUESTION_SIZE, (uint64_t)size,
						 NBD_NULL_COMPLETION, 0);
	probe->asked = now;
}

static double gone(struct liveness_probe *probe)
{
	nbd_close(probe->nbd);
	probe->nbd = NULL;
	return -1;
}

double liveness_probe_silence(struct liveness_probe *probe)
{
	double now = monotonic_now();
	if (probe->nbd == NULL)
		return -1;
	if (probe->cookie == 0)
		ask(probe, now);
	if (probe->cookie < 0)
		return gone(probe);
	if (probe->cookie == 0)
		return 0;
	if (nbd_poll(probe->nbd, 0) < 0 || nbd_aio_is_dead(probe->nbd)
			|| nbd_aio_is_closed(probe->nbd))
		return gone(probe);
	/* An error is an answer. */
	if (nbd_aio_command_completed(probe->nbd, (uint64_t)probe->cookie) != 0)
		probe->cookie = 0;
	return probe->cookie != 0 ? now - probe->asked : 0;
}
