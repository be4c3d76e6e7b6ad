/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading a chain through qemu-nbd. The socket is made here, in a folder of
 * our own, and handed to qemu-nbd already listening: so nothing waits for it
 * to appear. Once all workers are connected, socket and folder are removed;
 * qemu-nbd is not told to persist, so it ends with its last client, and the
 * kernel kills it if this process dies even before that.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <libnbd.h>

#include "../repo/base/bytes.h"
#include "../repo/base/cleanup.h"
#include "../repo/base/error.h"
#include "../repo/base/units.h"
#include "../repo/format/name.h"
#include "child.h"
#include "nbd_source.h"

#define REQUEST_MAX MIB
#define IN_FLIGHT_MAX 16u
/* How far one question about holes may look: an answer holds at most 4 GiB,
 * and in a fragmented image a long one costs qemu many small reads. */
#define LOOK_MIN (64 * MIB)
#define LOOK_MAX (2 * GIB)
#define EXTENTS_FEW 64u
#define FAILED_BEFORE "the connection to qemu-nbd failed before"

struct extent {
	uint64_t end;
	bool hole;
};

/* A worker's connection and what it has been told of the bytes ahead. */
struct worker {
	struct nbd_handle *nbd;
	uint64_t look;		/* bytes to ask about next time */
	uint64_t from;		/* the extents begin here */
	size_t count, room;	/* of extents */
	size_t last;		/* the one that answered last */
	struct extent *extents;
	bool nomem;
};

struct nbd_source {
	uint64_t size;
	struct child server;
	pthread_mutex_t message_mutex;	/* protects the child's stderr */
	unsigned worker_count;
	struct worker workers[];
};

/* --- the socket --- */

struct socket_place {
	char dir[64], path[80]; /* "": none */
	int fd;
};

static void place_clear(struct socket_place *p)
{
	cleanup_fd(&p->fd);
	if (p->path[0])
		unlink(p->path);
	if (p->dir[0])
		rmdir(p->dir);
	p->path[0] = p->dir[0] = '\0';
	p->fd = -1;
}

/* A socket's path ends at 107 bytes, so a long TMPDIR won't do. */
static int place_make(struct socket_place *p, int backlog)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *tmp = getenv("TMPDIR");

	*p = (struct socket_place){ .fd = -1 };
	if (!tmp || tmp[0] != '/' || strlen(tmp) > sizeof(p->dir) - 20)
		tmp = "/tmp";
	snprintf(p->dir, sizeof(p->dir), "%s/amberfs-XXXXXX", tmp);
	if (!mkdtemp(p->dir)) { /* 0700 */
		int err = -errno;

		p->dir[0] = '\0';
		return fail_errno(err, "no folder for a socket in %s", tmp);
	}
	snprintf(p->path, sizeof(p->path), "%s/nbd", p->dir);
	strcpy(addr.sun_path, p->path);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || bind(p->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
			listen(p->fd, backlog))
		return fail_errno(-errno, "no socket %s", p->path);
	return 0;
}

/* --- errors --- */

/* qemu-nbd's own words if it has any, else libnbd's. */
static int nbd_fail(struct nbd_source *s, const char *what)
{
	LOCK_SCOPE(&s->message_mutex);
	const char *theirs = nbd_get_error();
	char own[512], shown[512];

	child_message(&s->server, own, sizeof(own));
	if (own[0])
		return fail(-EIO, "%s: qemu-nbd: %s", what, own);
	name_display(shown, sizeof(shown), theirs ? theirs : "no reason given");
	return fail(-EIO, "%s: %s", what, shown);
}

/* --- extents --- */

static int add_extent(struct worker *w, uint64_t len, bool hole)
{
	uint64_t start = w->count ? w->extents[w->count - 1].end : w->from;

	if (len == 0)
		return 0;
	if (w->count && w->extents[w->count - 1].hole == hole) {
		w->extents[w->count - 1].end += len;
		return 0;
	}
	if (w->count == w->room) {
		size_t room = w->room ? 2 * w->room : 64;
		struct extent *e = realloc(w->extents, room * sizeof(*e));

		if (!e)
			return -ENOMEM;
		w->extents = e;
		w->room = room;
	}
	w->extents[w->count++] = (struct extent){ start + len, hole };
	return 0;
}

/* Only "reads as zero" is a hole. "Not allocated" alone promises nothing of
 * what is read there. */
static int on_extents(void *ctx, const char *context, uint64_t offset,
		uint32_t *entries, size_t n, int *error)
{
	struct worker *w = ctx;

	(void)context;
	(void)error;
	if (offset != w->from)
		return 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		if (add_extent(w, entries[i],
				    (entries[i + 1] & LIBNBD_STATE_ZERO) != 0))
			w->nomem = true;
	return 0;
}

static void choose_look(struct worker *w)
{
	if (w->count <= EXTENTS_FEW && w->look < LOOK_MAX)
		w->look *= 2;
	else if (w->count > EXTENTS_FEW && w->look > LOOK_MIN)
		w->look /= 2;
}

static int ask_extents(struct nbd_source *s, struct worker *w,
		uint64_t offset)
{
	uint64_t len = min_u64(w->look, s->size - offset);
	nbd_extent_callback callback = { .callback = on_extents,
		.user_data = w };

	w->from = offset;
	w->count = w->last = 0;
	w->nomem = false;
	if (nbd_block_status(w->nbd, len, offset, callback, 0) < 0)
		return nbd_fail(s, "asking for holes");
	if (w->nomem)
		return -ENOMEM;
	if (w->count == 0)
		return fail(-EIO, "qemu-nbd says nothing about holes at %llu",
				(unsigned long long)offset);
	choose_look(w);
	return 0;
}

/* The extent at OFFSET, or NULL if it is not among those known. */
static const struct extent *known_extent(struct worker *w, uint64_t offset)
{
	size_t i = w->last;

	if (w->count == 0 || offset < w->from ||
			offset >= w->extents[w->count - 1].end)
		return NULL;
	if (i > 0 && offset < w->extents[i - 1].end)
		i = 0; /* a step back */
	while (w->extents[i].end <= offset)
		i++;
	w->last = i;
	return &w->extents[i];
}

static int source_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	struct nbd_source *s = ctx;
	struct worker *w = &s->workers[worker];
	const struct extent *e = known_extent(w, offset);

	if (!w->nbd)
		return fail(-EIO, FAILED_BEFORE);
	if (!e) {
		int err = ask_extents(s, w, offset);

		if (err)
			return err;
		e = known_extent(w, offset);
		if (!e)
			return fail(-EIO, "qemu-nbd's answer about holes makes "
					"no sense");
	}
	*hole = e->hole;
	*end = min_u64(e->end, limit);
	return 0;
}

/* --- reading --- */

/* One call's requests. */
struct transfer {
	struct nbd_source *source;
	struct nbd_handle *nbd;
	char *buf;
	uint64_t offset;
	size_t len, sent;
	int64_t cookies[IN_FLIGHT_MAX];
	unsigned in_flight;
};

static int send_requests(struct transfer *t)
{
	while (t->sent < t->len && t->in_flight < IN_FLIGHT_MAX) {
		size_t n = (size_t)min_u64(REQUEST_MAX, t->len - t->sent);
		int64_t cookie = nbd_aio_pread(t->nbd, t->buf + t->sent, n,
				t->offset + t->sent, NBD_NULL_COMPLETION, 0);

		if (cookie < 0)
			return nbd_fail(t->source, "reading");
		t->cookies[t->in_flight++] = cookie;
		t->sent += n;
	}
	return 0;
}

/* Takes finished requests out. */
static int take_finished(struct transfer *t)
{
	for (unsigned i = 0; i < t->in_flight;) {
		int done = nbd_aio_command_completed(t->nbd, t->cookies[i]);

		if (done < 0)
			return nbd_fail(t->source, "reading");
		if (done == 0)
			i++;
		else
			t->cookies[i] = t->cookies[--t->in_flight];
	}
	return 0;
}

/*
 * The requests write into the caller's buffer, so a failure must not leave
 * while some are under way: closing the connection ends them all.
 */
static int give_up(struct worker *w, int err)
{
	nbd_close(w->nbd);
	w->nbd = NULL;
	return err;
}

static int source_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct nbd_source *s = ctx;
	struct worker *w = &s->workers[worker];
	struct transfer t = { .source = s, .nbd = w->nbd, .buf = buf,
		.offset = offset, .len = len };

	if (!w->nbd)
		return fail(-EIO, FAILED_BEFORE);
	while (t.sent < t.len || t.in_flight > 0) {
		int err = send_requests(&t);
		unsigned sent = t.in_flight;

		if (!err)
			err = take_finished(&t);
		if (!err && t.in_flight == sent && nbd_poll(t.nbd, -1) < 0)
			err = nbd_fail(s, "reading");
		if (err)
			return give_up(w, err);
	}
	return 0;
}

void nbd_source_fill(struct nbd_source *s, struct image_source *source)
{
	*source = (struct image_source){ .size = s->size,
		.read = source_read, .extent = source_extent, .ctx = s };
}

/* --- opening --- */

static int start_server(struct nbd_source *s, const struct chain *chain,
		struct socket_place *place)
{
	CLEANUP_FREE char *node =
			chain_blockdev(chain, chain_allows_direct(chain));
	CLEANUP_FREE char *image = NULL;
	char shared[24];
	char *argv[] = { (char *)"qemu-nbd", (char *)"--read-only", shared,
		NULL, NULL };
	int err;

	if (!node || asprintf(&image, "json:%s", node) < 0)
		return -ENOMEM;
	snprintf(shared, sizeof(shared), "--shared=%u", s->worker_count);
	argv[3] = image;
	err = child_start(&s->server, argv, place->fd, false);
	/* From here on only qemu-nbd has the socket: if it dies, connecting
	 * fails and does not wait. */
	close(take_fd(&place->fd));
	return err;
}

static int connect_worker(struct nbd_source *s, struct worker *w,
		const char *path)
{
	w->look = LOOK_MIN;
	w->nbd = nbd_create();
	if (!w->nbd)
		return nbd_fail(s, "libnbd");
	/* Without a request for block sizes qemu-nbd serves any range, be the
	 * files read with O_DIRECT or not. */
	if (nbd_set_request_block_size(w->nbd, false) < 0 ||
			nbd_add_meta_context(w->nbd,
					LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
			nbd_connect_unix(w->nbd, path) < 0)
		return nbd_fail(s, "the image can't be opened");
	if (nbd_can_meta_context(w->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) != 1)
		return fail(-EIO, "qemu-nbd does not tell where holes are");
	return 0;
}

static int connect_workers(struct nbd_source *s, const char *path)
{
	int64_t size;

	for (unsigned i = 0; i < s->worker_count; i++) {
		int err = connect_worker(s, &s->workers[i], path);

		if (err)
			return err;
	}
	size = nbd_get_size(s->workers[0].nbd);
	if (size < 0)
		return nbd_fail(s, "the image's size");
	s->size = (uint64_t)size;
	return 0;
}

int nbd_source_open(struct nbd_source **out, const struct chain *chain,
		unsigned workers)
{
	CLEANUP(place_clear) struct socket_place place = { .fd = -1 };
	struct nbd_source *s;
	int err;

	if (workers < 1)
		workers = 1;
	if (workers > NBD_SOURCE_WORKERS_MAX)
		return fail(-EINVAL, "more than %u workers",
				NBD_SOURCE_WORKERS_MAX);
	s = calloc(1, sizeof(*s) + workers * sizeof(s->workers[0]));
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->message_mutex, NULL);
	s->worker_count = workers;
	s->server = (struct child){ .out = -1, .err = -1 };
	err = place_make(&place, (int)workers);
	if (!err)
		err = start_server(s, chain, &place);
	if (!err)
		err = connect_workers(s, place.path);
	if (err) {
		nbd_source_close(s);
		return err;
	}
	*out = s;
	return 0;
}

void nbd_source_close(struct nbd_source *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->worker_count; i++) {
		if (s->workers[i].nbd)
			nbd_close(s->workers[i].nbd);
		free(s->workers[i].extents);
	}
	child_end(&s->server);
	pthread_mutex_destroy(&s->message_mutex);
	free(s);
}
