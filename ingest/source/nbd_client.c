/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an NBD export: requests in flight, and two maps per worker, of holes
 * and of dirty ranges, each a window of the block status of the bytes ahead.
 *
 * The bitmap has its own connection, because a block status reply covers all
 * contexts of a connection: finding dirty ranges looks gigabytes ahead, which
 * is cheap for qemu, and must not make it search all of that for holes.
 */
#include "nbd_client.h"

#include <errno.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define REQUEST_MAX MIB
#define IN_FLIGHT_MAX 16u
/* How far one query may reach: a reply covers less than 4 GiB, and in a
 * fragmented image a long one costs qemu many small reads. */
#define LOOK_MIN (64 * MIB)
#define LOOK_MAX (2 * GIB)
/* Minimum and maximum, for holes in dirty ranges. */
#define LOOK_DIRTY MIB
#define LOOK_DIRTY_MAX (64 * MIB)
#define EXTENTS_FEW 64u
#define ANSWER_SECONDS 600.0
#define CONNECT_SECONDS 60.0
#define STATE_DIRTY 1u /* of qemu's context; libnbd has no name for it */
#define DIRTY_PREFIX "qemu:dirty-bitmap:"
#define CONTEXT_NAME_MAX 4096 /* from the protocol */
#define FAILED_BEFORE "the connection to the NBD server failed earlier"

struct extent {
	uint64_t end;
	bool set; /* a hole, or dirty */
};

/* A worker's block status of the bytes ahead, in one context. */
struct map {
	const char *context;
	uint32_t flag;	    /* the one that counts */
	uint64_t look;	    /* bytes to query next time */
	uint64_t from;	    /* the extents begin here */
	size_t count, room; /* of extents */
	size_t last;	    /* the one that answered last */
	struct extent *extents;
	bool nomem;
};

struct worker {
	struct nbd_handle *nbd; /* NULL after a failure */
	struct map holes, dirt;
};

struct nbd_client {
	uint64_t size;
	bool in_one_piece;   /* how reads can be answered, see send_read */
	char *dirty_context; /* NULL: no bitmap */
	struct nbd_handle *dirty_nbd GUARDED_BY(dirty_mutex);
	pthread_mutex_t dirty_mutex;
	void (*message)(void *ctx, char *buf, size_t size);
	void *ctx; /* of MESSAGE; used under message_mutex */
	pthread_mutex_t message_mutex;
	unsigned worker_count;
	struct worker workers[];
};

/* --- errors --- */

/* The server's own words if it has any, else libnbd's. */
static int client_fail(struct nbd_client *client, const char *what)
{
	const char *theirs = nbd_get_error();
	char own[512] = "", shown[512];
	if (client->message != NULL) {
		LOCK_SCOPE(&client->message_mutex);
		client->message(client->ctx, own, sizeof(own));
	}
	if (own[0])
		return fail(-EIO, "%s: %s", what, own);
	name_display(shown, sizeof(shown),
			theirs != NULL ? theirs : "no reason given");
	return fail(-EIO, "%s: %s", what, shown);
}

/* --- waiting --- */

/*
 * Waits for anything to happen on the connection, with a time limit for silent
 * servers, until interrupted. SINCE: when the request was made.
 */
static int await(struct nbd_client *client, struct nbd_handle *nbd,
		double since, double patience, const char *what)
{
	int n = nbd_poll(nbd, 1000);
	if (n < 0)
		return client_fail(client, what);
	if (n > 0)
		return 0;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	if (monotonic_now() - since > patience)
		return fail(-EIO,
				"%s: no answer from the NBD server for %.0f s",
				what, patience);
	return 0;
}

/* --- maps --- */

static int add_extent(struct map *map, uint64_t len, bool set)
{
	uint64_t start = map->count ? map->extents[map->count - 1].end
				    : map->from;
	if (len == 0)
		return 0;
	if (map->count && map->extents[map->count - 1].set == set) {
		map->extents[map->count - 1].end += len;
		return 0;
	}
	if (map->count == map->room) {
		size_t room = map->room ? 2 * map->room : 64;
		struct extent *extent =
				realloc(map->extents, room * sizeof(*extent));
		if (extent == NULL)
			return -ENOMEM;
		map->extents = extent;
		map->room = room;
	}
	map->extents[map->count++] = (struct extent){ start + len, set };
	return 0;
}

static int on_extents(void *ctx, const char *context, uint64_t offset,
		uint32_t *entries, size_t n, int *error)
{
	struct map *map = ctx;
	(void)error;
	if (offset != map->from || strcmp(context, map->context) != 0)
		return 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		if (add_extent(map, entries[i],
				    (entries[i + 1] & map->flag) != 0))
			map->nomem = true;
	return 0;
}

static void choose_look(struct map *map)
{
	if (map->count <= EXTENTS_FEW && map->look < LOOK_MAX)
		map->look *= 2;
	else if (map->count > EXTENTS_FEW && map->look > LOOK_MIN)
		map->look /= 2;
}

/* The extent at OFFSET, or NULL if it is not among those known. */
static const struct extent *known_extent(struct map *map, uint64_t offset)
{
	size_t i = map->last;
	if (map->count == 0 || offset < map->from
			|| offset >= map->extents[map->count - 1].end)
		return NULL;
	if (i > 0 && offset < map->extents[i - 1].end)
		i = 0; /* a step back */
	while (map->extents[i].end <= offset)
		i++;
	map->last = i;
	return &map->extents[i];
}

void nbd_client_cut_off(int socket)
{
	char buf[16384];
	shutdown(socket, SHUT_RDWR);
	while (recv(socket, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
}

static void hang_up(struct nbd_handle **nbd)
{
	if (*nbd == NULL)
		return;
	int fd = nbd_aio_get_fd(*nbd);
	if (fd >= 0)
		nbd_client_cut_off(fd);
	nbd_close(*nbd);
	*nbd = NULL;
}

static int ask_once(struct nbd_client *client, struct nbd_handle *nbd,
		nbd_extent_callback callback, uint64_t offset, uint64_t len)
{
	char what[80];
	double since = monotonic_now();
	int64_t cookie = nbd_aio_block_status(nbd, len, offset, callback,
			NBD_NULL_COMPLETION, 0);
	int done = 0;
	snprintf(what, sizeof(what), "querying block status at byte %llu",
			(unsigned long long)offset);
	if (cookie < 0)
		return client_fail(client, what);
	while (done == 0) {
		int err = await(client, nbd, since, ANSWER_SECONDS, what);
		if (err != 0)
			return err;
		done = nbd_aio_command_completed(nbd, cookie);
	}
	return done < 0 ? client_fail(client, what) : 0;
}

/* Refills MAP with the block status of LEN bytes at OFFSET. After a failure the
 * connection is closed, as an answer might still come. */
static int ask(struct nbd_client *client, struct nbd_handle **nbd,
		struct map *map, uint64_t offset, uint64_t len)
{
	nbd_extent_callback callback = { .callback = on_extents,
		.user_data = map };
	map->from = offset;
	map->count = map->last = 0;
	map->nomem = false;
	if (*nbd == NULL)
		return fail(-EIO, FAILED_BEFORE);
	int err = ask_once(client, *nbd, callback, offset,
			min_u64(len, client->size - offset));
	if (err != 0) {
		hang_up(nbd);
		map->count = 0;
		return err;
	}
	if (map->nomem) {
		map->count = 0;
		return -ENOMEM;
	}
	if (known_extent(map, offset) == NULL)
		return fail(-EIO,
				"the NBD server returned no block status at "
				"byte %llu",
				(unsigned long long)offset);
	return 0;
}

/* --- holes and dirt --- */

/* A caller may look for the end of a hole up to the end of the image. */
static uint64_t look_among_dirt(uint64_t wanted)
{
	return min_u64(max_u64(wanted, LOOK_DIRTY), LOOK_DIRTY_MAX);
}

/*
 * Only "reads as zero" is a hole; "not allocated" alone does not say what is
 * read there. With few dirty ranges, do not look far ahead for holes.
 */
static int client_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	struct nbd_client *client = ctx;
	struct worker *w = &client->workers[worker];
	struct map *map = &w->holes;
	const struct extent *extent = known_extent(map, offset);
	int err;
	if (w->nbd == NULL)
		return fail(-EIO, FAILED_BEFORE);
	if (extent == NULL) {
		err = ask(client, &w->nbd, map, offset,
				client->dirty_context != NULL ? look_among_dirt(
						limit - offset)
							      : map->look);
		if (err != 0)
			return err;
		choose_look(map);
		extent = known_extent(map, offset);
	}
	*hole = extent->set;
	*end = min_u64(extent->end, limit);
	return 0;
}

static int ask_dirt(struct nbd_client *client, struct map *map, uint64_t offset)
{
	LOCK_SCOPE(&client->dirty_mutex);
	int err = ask(client, &client->dirty_nbd, map, offset, map->look);
	if (err != 0)
		return err;
	choose_look(map);
	return 0;
}

int nbd_client_dirty(struct nbd_client *client, unsigned worker,
		uint64_t offset, uint64_t limit, bool *dirty, uint64_t *end)
{
	struct map *map = &client->workers[worker].dirt;
	const struct extent *extent = known_extent(map, offset);
	if (extent == NULL) {
		int err = ask_dirt(client, map, offset);
		if (err != 0)
			return err;
		extent = known_extent(map, offset);
	}
	*dirty = extent->set;
	*end = min_u64(extent->end, limit);
	return 0;
}

static int client_same(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	bool dirty = true;
	int err = nbd_client_dirty(ctx, worker, offset, limit, &dirty, end);
	*same = !dirty;
	return err;
}

/* --- reading --- */

/* One call's requests. */
struct transfer {
	struct nbd_client *client;
	struct nbd_handle *nbd;
	char *buf;
	uint64_t offset;
	size_t len, sent;
	struct {
		int64_t cookie;
		uint64_t offset;
	} requests[IN_FLIGHT_MAX];
	unsigned in_flight;
};

static int read_failed(const struct transfer *transfer, uint64_t offset)
{
	char what[64];
	snprintf(what, sizeof(what), "reading at byte %llu",
			(unsigned long long)offset);
	return client_fail(transfer->client, what);
}

/* All that it is told is in the buffer already, or in the result. */
static int on_chunk(void *ctx, const void *data, size_t len, uint64_t offset,
		unsigned status, int *error)
{
	(void)ctx, (void)data, (void)len;
	(void)offset, (void)status, (void)error;
	return 0;
}

/* qemu's server (7.2) ends the connection if a read fails whose answer might have
 * come in several pieces, and nobody learns why. */
static int64_t send_read(const struct transfer *transfer, void *buf, size_t len,
		uint64_t offset)
{
	const nbd_chunk_callback callback = { .callback = on_chunk };
	if (!transfer->client->in_one_piece)
		return nbd_aio_pread(transfer->nbd, buf, len, offset,
				NBD_NULL_COMPLETION, 0);
	return nbd_aio_pread_structured(transfer->nbd, buf, len, offset,
			callback, NBD_NULL_COMPLETION, LIBNBD_CMD_FLAG_DF);
}

static int send_requests(struct transfer *transfer)
{
	while (transfer->sent < transfer->len
			&& transfer->in_flight < IN_FLIGHT_MAX) {
		size_t n = (size_t)min_u64(REQUEST_MAX,
				transfer->len - transfer->sent);
		uint64_t offset = transfer->offset + transfer->sent;
		int64_t cookie = send_read(transfer,
				transfer->buf + transfer->sent, n, offset);
		if (cookie < 0)
			return read_failed(transfer, offset);
		transfer->requests[transfer->in_flight].cookie = cookie;
		transfer->requests[transfer->in_flight++].offset = offset;
		transfer->sent += n;
	}
	return 0;
}

/* Retires finished requests. */
static int take_finished(struct transfer *transfer)
{
	for (unsigned i = 0; i < transfer->in_flight;) {
		int done = nbd_aio_command_completed(transfer->nbd,
				transfer->requests[i].cookie);
		if (done < 0)
			return read_failed(transfer,
					transfer->requests[i].offset);
		if (done == 0)
			i++;
		else
			transfer->requests[i] =
					transfer->requests
							[--transfer->in_flight];
	}
	return 0;
}

/*
 * The requests write into the caller's buffer, so a failed call must not return
 * while some are in flight: closing the connection ends them all.
 */
static int give_up(struct worker *worker, int err)
{
	hang_up(&worker->nbd);
	return err;
}

static int client_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct nbd_client *client = ctx;
	struct worker *w = &client->workers[worker];
	struct transfer t = { .client = client,
		.nbd = w->nbd,
		.buf = buf,
		.offset = offset,
		.len = len };

	double since = monotonic_now();
	if (w->nbd == NULL)
		return fail(-EIO, FAILED_BEFORE);
	while (t.sent < t.len || t.in_flight > 0) {
		int err = send_requests(&t);
		unsigned sent = t.in_flight;
		if (err == 0)
			err = take_finished(&t);
		if (t.in_flight != sent)
			since = monotonic_now();
		else if (err == 0)
			err = await(client, t.nbd, since, ANSWER_SECONDS,
					"reading");
		if (err != 0)
			return give_up(w, err);
	}
	return 0;
}

uint64_t nbd_client_size(const struct nbd_client *client)
{
	return client->size;
}

void nbd_client_fill(struct nbd_client *client, struct image_source *source)
{
	*source = (struct image_source){ .size = client->size,
		.read = client_read,
		.extent = client_extent,
		.same = client->dirty_context != NULL ? client_same : NULL,
		.ctx = client };
}

/* --- opening --- */

static const char opening[] = "opening the image";

/* SOCKET, if it becomes one, is to stay open until the connection is made. */
static int begin_connecting(struct nbd_client *client, struct nbd_handle *nbd,
		const struct nbd_client_options *options, int *socket)
{
	char alias[FOREIGN_PATH_ALIAS_MAX];
	if (options->socket == NULL)
		return nbd_aio_connect_tcp(nbd, options->host, options->port)
						< 0
				? client_fail(client, opening)
				: 0;
	*socket = foreign_path_socket(options->socket, alias);
	if (*socket < 0)
		return *socket == -ENOMEM ? *socket
					  : fail_within(-EIO, opening);
	return nbd_aio_connect_unix(nbd, alias) < 0
			? client_fail(client, opening)
			: 0;
}

static int connect_one(struct nbd_client *client, struct nbd_handle **out,
		const struct nbd_client_options *options, const char *context)
{
	CLEANUP_FD int socket = -1;
	struct nbd_handle *nbd = nbd_create();
	double since,
			patience = options->connect_seconds != 0
			? (double)options->connect_seconds
			: CONNECT_SECONDS;
	*out = nbd;
	if (nbd == NULL)
		return client_fail(client, "libnbd");
	/* Without a request for block sizes qemu serves any range, whether it
	 * reads files with O_DIRECT or not. */
	if (nbd_set_request_block_size(nbd, false) < 0
			|| nbd_set_export_name(nbd,
					   options->export != NULL
							   ? options->export
							   : "")
					< 0
			|| nbd_add_meta_context(nbd, context) < 0)
		return client_fail(client, opening);
	int err = begin_connecting(client, nbd, options, &socket);
	since = monotonic_now();
	while (err == 0 && nbd_aio_is_connecting(nbd))
		err = await(client, nbd, since, patience, opening);
	if (err != 0)
		return err;
	if (!nbd_aio_is_ready(nbd))
		return client_fail(client, opening);
	if (options->connected != NULL)
		options->connected(options->ctx, nbd_aio_get_fd(nbd));
	return 0;
}

static int connect_worker(struct nbd_client *client, struct worker *worker,
		const struct nbd_client_options *options)
{
	int err = connect_one(client, &worker->nbd, options,
			LIBNBD_CONTEXT_BASE_ALLOCATION);
	worker->holes = (struct map){ .context = LIBNBD_CONTEXT_BASE_ALLOCATION,
		.flag = LIBNBD_STATE_ZERO,
		.look = LOOK_MIN };
	worker->dirt = (struct map){ .context = client->dirty_context,
		.flag = STATE_DIRTY,
		.look = LOOK_MIN };
	if (err == 0
			&& nbd_can_meta_context(worker->nbd,
					   LIBNBD_CONTEXT_BASE_ALLOCATION)
					!= 1)
		err = fail(-EIO,
				"the NBD server does not support block status, "
				"which tells where holes are");
	return err;
}

static int read_size(struct nbd_client *client, struct nbd_handle *nbd)
{
	int64_t size = nbd_get_size(nbd);
	if (size < 0)
		return client_fail(client, "getting the image's size");
	if (client->size != UINT64_MAX && client->size != (uint64_t)size)
		return fail(-EIO,
				"the NBD server reports two different sizes "
				"for an image");
	client->size = (uint64_t)size;
	return 0;
}

static int connect_bitmap(struct nbd_client *client,
		const struct nbd_client_options *options)
{
	char shown[256];
	not_shared(&client->dirty_mutex);
	int err = connect_one(client, &client->dirty_nbd, options,
			client->dirty_context);
	if (err == 0
			&& nbd_can_meta_context(client->dirty_nbd,
					   client->dirty_context)
					!= 1)
		return fail(-ENOTSUP, "the NBD server has no dirty bitmap %s",
				name_display(shown, sizeof(shown),
						options->bitmap));
	return err != 0 ? err : read_size(client, client->dirty_nbd);
}

static int connect_all(struct nbd_client *client,
		const struct nbd_client_options *options)
{
	int err = 0;
	client->size = UINT64_MAX;
	for (unsigned i = 0; err == 0 && i < client->worker_count; i++) {
		err = connect_worker(client, &client->workers[i], options);
		if (err == 0)
			err = read_size(client, client->workers[i].nbd);
	}
	if (err != 0)
		return err;
	client->in_one_piece = nbd_can_df(client->workers[0].nbd) == 1;
	if (client->dirty_context != NULL)
		err = connect_bitmap(client, options);
	return err;
}

int nbd_client_open(struct nbd_client **out,
		const struct nbd_client_options *options)
{
	unsigned workers = options->workers ? options->workers : 1;
	struct nbd_client *client;
	int err = 0;
	if (workers > NBD_CLIENT_WORKERS_MAX)
		return fail(-EINVAL, "more than %u workers",
				NBD_CLIENT_WORKERS_MAX);
	if (options->bitmap != NULL
			&& strlen(options->bitmap) + sizeof(DIRTY_PREFIX)
					> CONTEXT_NAME_MAX)
		return fail(-ENOTSUP, "the dirty bitmap's name is too long");
	client = calloc(1,
			sizeof(*client) + workers * sizeof(client->workers[0]));
	if (client == NULL)
		return -ENOMEM;
	pthread_mutex_init(&client->dirty_mutex, NULL);
	pthread_mutex_init(&client->message_mutex, NULL);
	client->worker_count = workers;
	client->message = options->message;
	client->ctx = options->ctx;
	if (options->bitmap != NULL
			&& asprintf(&client->dirty_context, DIRTY_PREFIX "%s",
					   options->bitmap)
					< 0) {
		client->dirty_context = NULL;
		err = -ENOMEM;
	}
	if (err == 0)
		err = connect_all(client, options);
	if (err != 0) {
		nbd_client_close(client);
		return err;
	}
	*out = client;
	return 0;
}

void nbd_client_close(struct nbd_client *client)
{
	if (client == NULL)
		return;
	not_shared(&client->dirty_mutex);
	for (unsigned i = 0; i < client->worker_count; i++) {
		hang_up(&client->workers[i].nbd);
		free(client->workers[i].holes.extents);
		free(client->workers[i].dirt.extents);
	}
	hang_up(&client->dirty_nbd);
	free(client->dirty_context);
	pthread_mutex_destroy(&client->dirty_mutex);
	pthread_mutex_destroy(&client->message_mutex);
	free(client);
}
