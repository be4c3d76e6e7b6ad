/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an NBD export: requests in flight, and two maps per worker, of holes
 * and of dirt, each a window on what the server has said of the bytes ahead.
 *
 * The bitmap has a connection of its own, because an answer to block status
 * covers all contexts of its connection: finding dirt looks gigabytes ahead,
 * which costs qemu nothing, and must not make it search all of that for holes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnbd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "nbd_client.h"

#define REQUEST_MAX MIB
#define IN_FLIGHT_MAX 16u
/* How far one question may look: an answer holds less than 4 GiB, and in a
 * fragmented image a long one costs qemu many small reads. */
#define LOOK_MIN (64 * MIB)
#define LOOK_MAX (2 * GIB)
/* Least and most, for holes among what is dirty. */
#define LOOK_DIRTY MIB
#define LOOK_DIRTY_MAX (64 * MIB)
#define EXTENTS_FEW 64u
#define ANSWER_SECONDS 600.0
#define CONNECT_SECONDS 60.0
#define STATE_DIRTY 1u /* of qemu's context, which libnbd doesn't name */
#define DIRTY_PREFIX "qemu:dirty-bitmap:"
#define CONTEXT_NAME_MAX 4096 /* of the protocol */
#define FAILED_BEFORE "the connection to the NBD server failed before"

struct extent {
	uint64_t end;
	bool set;		/* a hole, or dirty */
};

/* What a worker has been told of the bytes ahead, in one context. */
struct map {
	const char *context;
	uint32_t flag;		/* the one that counts */
	uint64_t look;		/* bytes to ask about next time */
	uint64_t from;		/* the extents begin here */
	size_t count, room;	/* of extents */
	size_t last;		/* the one that answered last */
	struct extent *extents;
	bool nomem;
};

struct worker {
	struct nbd_handle *nbd;	/* NULL after a failure */
	struct map holes, dirt;
};

struct nbd_client {
	uint64_t size;
	char *dirty_context;	/* NULL: no bitmap */
	struct nbd_handle *dirty_nbd; /* protected by dirty_mutex */
	pthread_mutex_t dirty_mutex;
	void (*message)(void *ctx, char *buf, size_t size);
	void *ctx;		/* of MESSAGE; used under message_mutex */
	pthread_mutex_t message_mutex;
	unsigned worker_count;
	struct worker workers[];
};

/* --- errors --- */

/* The server's own words if it has any, else libnbd's. */
static int client_fail(struct nbd_client *c, const char *what)
{
	const char *theirs = nbd_get_error();
	char own[512] = "", shown[512];

	if (c->message) {
		LOCK_SCOPE(&c->message_mutex);
		c->message(c->ctx, own, sizeof(own));
	}
	if (own[0])
		return fail(-EIO, "%s: %s", what, own);
	name_display(shown, sizeof(shown), theirs ? theirs : "no reason given");
	return fail(-EIO, "%s: %s", what, shown);
}

/* --- waiting --- */

/*
 * For anything to happen on the connection. A server that says nothing does not
 * hold us for ever, and an operator who has had enough not at all. SINCE: when
 * something was asked for.
 */
static int await(struct nbd_client *c, struct nbd_handle *nbd, double since,
		double patience, const char *what)
{
	int n = nbd_poll(nbd, 1000);

	if (n < 0)
		return client_fail(c, what);
	if (n > 0)
		return 0;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	if (monotonic_now() - since > patience)
		return fail(-EIO, "%s: the NBD server has not answered for "
				"%.0f s", what, patience);
	return 0;
}

/* --- maps --- */

static int add_extent(struct map *m, uint64_t len, bool set)
{
	uint64_t start = m->count ? m->extents[m->count - 1].end : m->from;

	if (len == 0)
		return 0;
	if (m->count && m->extents[m->count - 1].set == set) {
		m->extents[m->count - 1].end += len;
		return 0;
	}
	if (m->count == m->room) {
		size_t room = m->room ? 2 * m->room : 64;
		struct extent *e = realloc(m->extents, room * sizeof(*e));

		if (!e)
			return -ENOMEM;
		m->extents = e;
		m->room = room;
	}
	m->extents[m->count++] = (struct extent){ start + len, set };
	return 0;
}

static int on_extents(void *ctx, const char *context, uint64_t offset,
		uint32_t *entries, size_t n, int *error)
{
	struct map *m = ctx;

	(void)error;
	if (offset != m->from || strcmp(context, m->context) != 0)
		return 0;
	for (size_t i = 0; i + 1 < n; i += 2)
		if (add_extent(m, entries[i], (entries[i + 1] & m->flag) != 0))
			m->nomem = true;
	return 0;
}

static void choose_look(struct map *m)
{
	if (m->count <= EXTENTS_FEW && m->look < LOOK_MAX)
		m->look *= 2;
	else if (m->count > EXTENTS_FEW && m->look > LOOK_MIN)
		m->look /= 2;
}

/* The extent at OFFSET, or NULL if it is not among those known. */
static const struct extent *known_extent(struct map *m, uint64_t offset)
{
	size_t i = m->last;

	if (m->count == 0 || offset < m->from ||
			offset >= m->extents[m->count - 1].end)
		return NULL;
	if (i > 0 && offset < m->extents[i - 1].end)
		i = 0; /* a step back */
	while (m->extents[i].end <= offset)
		i++;
	m->last = i;
	return &m->extents[i];
}

/* Fills M anew with what NBD's server says of LEN bytes at OFFSET. */
static int ask(struct nbd_client *c, struct nbd_handle *nbd, struct map *m,
		uint64_t offset, uint64_t len)
{
	nbd_extent_callback callback = { .callback = on_extents,
		.user_data = m };

	m->from = offset;
	m->count = m->last = 0;
	m->nomem = false;
	if (nbd_block_status(nbd, min_u64(len, c->size - offset), offset,
			    callback, 0) < 0) {
		m->count = 0;
		return client_fail(c, "asking for block status");
	}
	if (m->nomem) {
		m->count = 0;
		return -ENOMEM;
	}
	if (!known_extent(m, offset))
		return fail(-EIO, "the NBD server says nothing of what is at "
				"%llu", (unsigned long long)offset);
	return 0;
}

/* --- holes and dirt --- */

/* A caller may be looking for the end of a hole in all that is left. */
static uint64_t look_among_dirt(uint64_t wanted)
{
	return min_u64(max_u64(wanted, LOOK_DIRTY), LOOK_DIRTY_MAX);
}

/*
 * Only "reads as zero" is a hole; "not allocated" alone promises nothing of
 * what is read there. Among few dirty places nobody looks far ahead for holes.
 */
static int client_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	struct nbd_client *c = ctx;
	struct worker *w = &c->workers[worker];
	struct map *m = &w->holes;
	const struct extent *e = known_extent(m, offset);
	int err;

	if (!w->nbd)
		return fail(-EIO, FAILED_BEFORE);
	if (!e) {
		err = ask(c, w->nbd, m, offset,
				c->dirty_context ? look_among_dirt(limit - offset)
						 : m->look);
		if (err)
			return err;
		choose_look(m);
		e = known_extent(m, offset);
	}
	*hole = e->set;
	*end = min_u64(e->end, limit);
	return 0;
}

static int ask_dirt(struct nbd_client *c, struct map *m, uint64_t offset)
{
	LOCK_SCOPE(&c->dirty_mutex);
	int err = ask(c, c->dirty_nbd, m, offset, m->look);

	if (!err)
		choose_look(m);
	return err;
}

int nbd_client_dirty(struct nbd_client *c, unsigned worker, uint64_t offset,
		uint64_t limit, bool *dirty, uint64_t *end)
{
	struct map *m = &c->workers[worker].dirt;
	const struct extent *e = known_extent(m, offset);

	if (!e) {
		int err = ask_dirt(c, m, offset);

		if (err)
			return err;
		e = known_extent(m, offset);
	}
	*dirty = e->set;
	*end = min_u64(e->end, limit);
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
			return client_fail(t->client, "reading");
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
			return client_fail(t->client, "reading");
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

static int client_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct nbd_client *c = ctx;
	struct worker *w = &c->workers[worker];
	struct transfer t = { .client = c, .nbd = w->nbd, .buf = buf,
		.offset = offset, .len = len };

	double since = monotonic_now();

	if (!w->nbd)
		return fail(-EIO, FAILED_BEFORE);
	while (t.sent < t.len || t.in_flight > 0) {
		int err = send_requests(&t);
		unsigned sent = t.in_flight;

		if (!err)
			err = take_finished(&t);
		if (t.in_flight != sent)
			since = monotonic_now();
		else if (!err)
			err = await(c, t.nbd, since, ANSWER_SECONDS, "reading");
		if (err)
			return give_up(w, err);
	}
	return 0;
}

uint64_t nbd_client_size(const struct nbd_client *c)
{
	return c->size;
}

void nbd_client_fill(struct nbd_client *c, struct image_source *source)
{
	*source = (struct image_source){ .size = c->size,
		.read = client_read, .extent = client_extent,
		.same = c->dirty_context ? client_same : NULL, .ctx = c };
}

/* --- opening --- */

static int connect_one(struct nbd_client *c, struct nbd_handle **out,
		const struct nbd_client_options *o, const char *context)
{
	static const char what[] = "the image can't be opened";
	struct nbd_handle *nbd = nbd_create();
	double since;
	int err = 0;

	*out = nbd;
	if (!nbd)
		return client_fail(c, "libnbd");
	/* Without a request for block sizes qemu serves any range, be the
	 * files read with O_DIRECT or not. */
	if (nbd_set_request_block_size(nbd, false) < 0 ||
			nbd_set_export_name(nbd, o->export ? o->export : "") <
					0 ||
			nbd_add_meta_context(nbd, context) < 0 ||
			nbd_aio_connect_unix(nbd, o->socket) < 0)
		return client_fail(c, what);
	since = monotonic_now();
	while (!err && nbd_aio_is_connecting(nbd))
		err = await(c, nbd, since, CONNECT_SECONDS, what);
	if (!err && !nbd_aio_is_ready(nbd))
		err = client_fail(c, what);
	return err;
}

static int connect_worker(struct nbd_client *c, struct worker *w,
		const struct nbd_client_options *o)
{
	int err = connect_one(c, &w->nbd, o, LIBNBD_CONTEXT_BASE_ALLOCATION);

	w->holes = (struct map){ .context = LIBNBD_CONTEXT_BASE_ALLOCATION,
		.flag = LIBNBD_STATE_ZERO, .look = LOOK_MIN };
	w->dirt = (struct map){ .context = c->dirty_context,
		.flag = STATE_DIRTY, .look = LOOK_MIN };
	if (!err && nbd_can_meta_context(w->nbd,
				    LIBNBD_CONTEXT_BASE_ALLOCATION) != 1)
		err = fail(-EIO, "the NBD server does not tell where holes "
				"are");
	return err;
}

static int read_size(struct nbd_client *c, struct nbd_handle *nbd)
{
	int64_t size = nbd_get_size(nbd);

	if (size < 0)
		return client_fail(c, "the image's size");
	if (c->size != UINT64_MAX && c->size != (uint64_t)size)
		return fail(-EIO, "the NBD server gives an image two sizes");
	c->size = (uint64_t)size;
	return 0;
}

static int connect_bitmap(struct nbd_client *c,
		const struct nbd_client_options *o)
{
	char shown[256];
	int err = connect_one(c, &c->dirty_nbd, o, c->dirty_context);

	if (!err && nbd_can_meta_context(c->dirty_nbd, c->dirty_context) != 1)
		return fail(-ENOTSUP, "the NBD server has no dirty bitmap %s",
				name_display(shown, sizeof(shown), o->bitmap));
	return err ? err : read_size(c, c->dirty_nbd);
}

static int connect_all(struct nbd_client *c,
		const struct nbd_client_options *o)
{
	int err = 0;

	c->size = UINT64_MAX;
	for (unsigned i = 0; !err && i < c->worker_count; i++) {
		err = connect_worker(c, &c->workers[i], o);
		if (!err)
			err = read_size(c, c->workers[i].nbd);
	}
	if (!err && c->dirty_context)
		err = connect_bitmap(c, o);
	return err;
}

int nbd_client_open(struct nbd_client **out,
		const struct nbd_client_options *o)
{
	unsigned workers = o->workers ? o->workers : 1;
	struct nbd_client *c;
	int err = 0;

	if (workers > NBD_CLIENT_WORKERS_MAX)
		return fail(-EINVAL, "more than %u workers",
				NBD_CLIENT_WORKERS_MAX);
	if (o->bitmap && strlen(o->bitmap) + sizeof(DIRTY_PREFIX) >
					CONTEXT_NAME_MAX)
		return fail(-ENOTSUP, "the dirty bitmap's name is too long");
	c = calloc(1, sizeof(*c) + workers * sizeof(c->workers[0]));
	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->dirty_mutex, NULL);
	pthread_mutex_init(&c->message_mutex, NULL);
	c->worker_count = workers;
	c->message = o->message;
	c->ctx = o->ctx;
	if (o->bitmap && asprintf(&c->dirty_context, DIRTY_PREFIX "%s",
					  o->bitmap) < 0) {
		c->dirty_context = NULL;
		err = -ENOMEM;
	}
	if (!err)
		err = connect_all(c, o);
	if (err) {
		nbd_client_close(c);
		return err;
	}
	*out = c;
	return 0;
}

void nbd_client_close(struct nbd_client *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->worker_count; i++) {
		if (c->workers[i].nbd)
			nbd_close(c->workers[i].nbd);
		free(c->workers[i].holes.extents);
		free(c->workers[i].dirt.extents);
	}
	if (c->dirty_nbd)
		nbd_close(c->dirty_nbd);
	free(c->dirty_context);
	pthread_mutex_destroy(&c->dirty_mutex);
	pthread_mutex_destroy(&c->message_mutex);
	free(c);
}
