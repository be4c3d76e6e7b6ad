/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "nvram_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ingest/source/nbd_client.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"

#define NVRAM_MAX (UINT64_C(128) << 20) /* those of ARM have 64 MiB */
#define CONNECT_SECONDS 10
#define READINGS 6
#define PAUSE_NS 20000000L

/* The connection is one only: the server may serve two clients, us and qemu. */
static int connect_to(const struct network_nvram *nvram, const char *socket,
		struct nbd_client **client)
{
	const struct nbd_client_options options = { .socket = socket,
		.host = nvram->host,
		.port = nvram->port,
		.export = nvram->export,
		.workers = 1,
		.connect_seconds = CONNECT_SECONDS };
	return nbd_client_open(client, &options);
}

static int read_once(const struct image_source *source, void **data)
{
	free(take_ptr(*data));
	*data = malloc(source->size + 1);
	if (*data == NULL)
		return fail_no_memory("reading an NVRAM");
	return source->read(source->ctx, 0, *data, source->size, 0);
}

static int read_stable(const struct image_source *source, void **data)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	CLEANUP_FREE void *before = NULL;
	int err = read_once(source, data);
	for (int i = 1; err == 0 && i < READINGS; i++) {
		free(take_ptr(before));
		before = take_ptr(*data);
		nanosleep(&pause, NULL);
		err = read_once(source, data);
		if (err == 0 && memcmp(before, *data, source->size) == 0)
			return 0;
	}
	return err < 0 ? err : fail(-EIO, "the guest keeps writing to it");
}

static int read_from(struct nbd_client *client, bool live, void **data,
		size_t *len)
{
	struct image_source source;
	nbd_client_fill(client, &source);
	if (source.size > NVRAM_MAX)
		return fail(-EFBIG, "it has %llu bytes, too many for an NVRAM",
				(unsigned long long)source.size);
	*len = source.size;
	return live ? read_stable(&source, data) : read_once(&source, data);
}

int nvram_reader_read(const struct network_nvram *nvram, bool live, void **data,
		size_t *len)
{
	struct nbd_client *client = NULL;
	char by[32];
	*data = NULL;
	/* The socket that is there now, not what another user puts in its place. */
	CLEANUP_FD int fd = nvram->socket != NULL
			? foreign_path_open(nvram->socket, O_PATH)
			: -1;
	if (nvram->socket != NULL && fd < 0)
		return fd;
	snprintf(by, sizeof(by), "/proc/self/fd/%d", fd);
	int err = connect_to(nvram, nvram->socket != NULL ? by : NULL, &client);
	if (err < 0)
		return err;
	err = read_from(client, live, data, len);
	nbd_client_close(client);
	if (err < 0)
		free(take_ptr(*data));
	return err;
}
