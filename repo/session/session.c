/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sessions. A record is an object sessions/ID.N; a change writes ID.N+1
 * durably and then deletes ID.N. The lease (a kernel lock) tells whether ID
 * lives.
 *
 * Listing a directory while that happens may show neither record, or one that is
 * gone when it is read. The lease's name, which stays, then still shows the
 * session, and its record is looked for again.
 *
 * Beginning, in this order: lease, record (others now see us), traces of the
 * dead removed, condemned and damaged read, and for a writer the packs.
 *
 * Acknowledging, in this order: the latest epoch is seen; the condemned are
 * listed anew, from then on nothing is found there; a record is published that
 * names the epoch and the condemned packs that chunks were found in before.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "condemned.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"
#include "repo/format/name.h"

#define SESSION_RECORD_MAX (8u << 20)
#define LOOK_EVERY_MS 1000

struct standing {
	struct id root;
	unsigned count;
};

struct session {
	struct repository *repo;
	struct lease *lease;
	char id[2 * SESSION_ID_SIZE + 1];
	struct session_record record; /* roots are filled in when published */
	pthread_mutex_t mutex;
	/* protected by mutex */
	uint64_t number;	/* N of the record that counts */
	bool published;
	bool fenced;		/* taken for dead by somebody */
	bool told;		/* the published record says all there is */
	struct standing *standing;
	uint32_t standing_count, standing_room;

	pthread_t watcher;
	bool watched;
	int stop;		/* eventfd: the watcher is to end */
};

const char *session_id(const struct session *s)
{
	return s->id;
}

struct repository *session_repository(const struct session *s)
{
	return s->repo;
}

static void record_name(char out[80], const char *id, uint64_t number)
{
	snprintf(out, 80, "sessions/%s.%llu", id, (unsigned long long)number);
}

void session_set_activity(struct session *s, const char *activity)
{
	char *copy = strdup(activity);
	if (copy == NULL)
		return;
	LOCK_SCOPE(&s->mutex);
	free(s->record.activity);
	s->record.activity = copy;
	s->told = false;
}

/* --- publishing; mutex held --- */

static int put_record(struct session *s, const char *name)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	size_t len;
	s->record.roots = calloc(s->standing_count + 1, sizeof(struct id));
	if (s->record.roots == NULL)
		return fail_errno(-ENOMEM, "publishing the session");
	s->record.root_count = s->standing_count;
	for (uint32_t i = 0; i < s->standing_count; i++)
		s->record.roots[i] = s->standing[i].root;
	json_t *json = session_record_to_json(&s->record);
	free(take_ptr(s->record.roots));
	s->record.root_count = 0;
	text = json ? json_dumps(json, JSON_FIELDS_DUMP_FLAGS) : NULL;
	json_decref(json);
	if (text == NULL)
		return fail_errno(-ENOMEM, "publishing the session");
	int err = envelope_seal(s->repo->seal, s->repo->config.repo_id,
			ENVELOPE_SESSION, name, text, strlen(text), &object,
			&len);
	return err < 0 ? err : store_put(s->repo->store, name, object, len, true);
}

static int stale(void)
{
	return fail(-ESTALE,
			"another process took this one for dead and removed its "
			"session; run it again");
}

static int publish(struct session *s)
{
	char name[80], before[80];
	uint64_t next = s->published ? s->number + 1 : 0;
	if (s->fenced)
		return stale();
	record_name(name, s->id, next);
	int err = put_record(s, name);
	if (err < 0)
		return fail_within(err, "publishing the session");
	record_name(before, s->id, s->number);
	if (s->published && store_delete(s->repo->store, before) == -ENOENT) {
		/* The one that counted is gone: we were taken for dead. That
		 * must show for good, so no newer one may hide it. */
		s->fenced = true;
		store_delete(s->repo->store, name);
		return stale();
	}
	s->number = next;
	s->published = s->told = true;
	return 0;
}

static struct standing *find_standing(struct session *s, const struct id *root)
{
	for (uint32_t i = 0; i < s->standing_count; i++)
		if (id_equal(&s->standing[i].root, root))
			return &s->standing[i];
	return NULL;
}

static int add_standing(struct session *s, const struct id *root)
{
	if (s->standing_count == SESSION_ROOTS_MAX)
		return fail(-EMFILE, "too many images are in use at once");
	if (s->standing_count == s->standing_room) {
		uint32_t room = s->standing_room ? 2 * s->standing_room : 16;
		struct standing *more = realloc(
				s->standing, room * sizeof(*more));
		if (more == NULL)
			return fail_errno(-ENOMEM, "publishing the session");
		s->standing = more;
		s->standing_room = room;
	}
	s->standing[s->standing_count++] =
			(struct standing){ .root = *root, .count = 1 };
	return 0;
}

int session_add_roots(struct session *s, const struct id *roots,
		size_t count)
{
	LOCK_SCOPE(&s->mutex);
	uint32_t before = s->standing_count;
	int err = 0;
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct standing *there = find_standing(s, &roots[i]);
		if (id_is_zero(&roots[i]))
			continue;
		if (there != NULL)
			there->count++;
		else
			err = add_standing(s, &roots[i]);
	}
	if (err == 0 && s->standing_count != before)
		err = publish(s);
	if (err < 0) /* counts of older ones stay raised: they are held longer */
		s->standing_count = before;
	return err;
}

int session_add_root(struct session *s, const struct id *root)
{
	return session_add_roots(s, root, 1);
}

/* True if ROOT is no longer stood on; mutex held. */
static bool drop_standing(struct session *s, const struct id *root)
{
	struct standing *there = find_standing(s, root);
	if (there == NULL || --there->count > 0)
		return false;
	*there = s->standing[--s->standing_count];
	return true;
}

int session_leave(struct session *s, const struct id *root)
{
	LOCK_SCOPE(&s->mutex);
	return drop_standing(s, root) ? publish(s) : 0;
}

int session_leave_all(struct session *s, const struct id *roots, size_t count)
{
	LOCK_SCOPE(&s->mutex);
	bool gone = false;
	for (size_t i = 0; i < count; i++)
		gone |= drop_standing(s, &roots[i]);
	return gone ? publish(s) : 0;
}

void session_leave_later(struct session *s, const struct id *roots,
		size_t count)
{
	LOCK_SCOPE(&s->mutex);
	for (size_t i = 0; i < count; i++)
		drop_standing(s, &roots[i]);
}

int session_check(struct session *s)
{
	char name[80];
	uint64_t size;
	LOCK_SCOPE(&s->mutex);
	record_name(name, s->id, s->number);
	if (s->fenced)
		return stale();
	int err = store_size(s->repo->store, name, &size);
	if (err != -ENOENT)
		return err;
	s->fenced = true;
	return stale();
}

/* --- acknowledging --- */

bool session_kind_writes(enum session_kind kind)
{
	return kind == SESSION_BACKUP || kind == SESSION_PRUNE;
}

/* Sees a new epoch, mutex held. What it means goes out with the next record. */
static int look(struct session *s)
{
	uint64_t epoch = 0;
	struct pack_id *held = NULL;
	size_t count = 0;
	int err = condemned_latest_epoch(s->repo, &epoch);
	if (err < 0 || epoch <= s->record.acknowledged)
		return err;
	/* Only now: all that this epoch condemns is listed. */
	err = exclusions_refresh(s->repo->exclusions, &held, &count);
	if (err == 0 && count > SESSION_HELD_MAX)
		err = fail(-E2BIG, "too many condemned packs are in use");
	if (err < 0) {
		free(held);
		return err;
	}
	free(s->record.held);
	s->record.held = held;
	s->record.held_count = (uint32_t)count;
	s->record.acknowledged = epoch;
	s->told = false;
	return 0;
}

int session_acknowledge(struct session *s)
{
	LOCK_SCOPE(&s->mutex);
	int err = look(s);
	return err == 0 && !s->told ? publish(s) : err;
}

static void *watch(void *arg)
{
	struct session *s = arg;
	struct pollfd stop = { .fd = s->stop, .events = POLLIN };
	while (poll(&stop, 1, LOOK_EVERY_MS) <= 0) {
		/* What fails is tried again; prune waits meanwhile. A record
		 * must not appear anew for one that was taken for dead. */
		if (session_check(s) == 0)
			session_acknowledge(s);
		store_tidy(s->repo->store);
		error_clear();
	}
	return NULL;
}

static int start_watching(struct session *s)
{
	sigset_t all, before;
	s->stop = eventfd(0, EFD_CLOEXEC);
	if (s->stop < 0)
		return fail_errno(-errno, "registering the session");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&s->watcher, NULL, watch, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	s->watched = err == 0;
	return err < 0 ? fail_errno(err, "registering the session") : 0;
}

static void stop_watching(struct session *s)
{
	if (s->watched) {
		eventfd_write(s->stop, 1);
		pthread_join(s->watcher, NULL);
	}
	if (s->stop >= 0)
		close(s->stop);
}

/* --- listing --- */

/* The record of a living session is looked for so often, this far apart: it
 * is gone only while the next one takes its place. */
#define LOOKS 100
#define LOOK_AGAIN_NS 1000000L

struct seen {
	char id[2 * SESSION_ID_SIZE + 1];
	bool recorded;		/* false: only the lease was seen */
	uint64_t number;
};

struct seen_list {
	struct seen *items;
	size_t count, room;
};

static int remember(struct seen_list *l, const struct seen *now)
{
	for (size_t i = 0; i < l->count; i++) {
		struct seen *known = &l->items[i];
		if (strcmp(known->id, now->id) != 0)
			continue;
		if (now->recorded && (!known->recorded ||
					     now->number > known->number))
			*known = *now;
		return 0;
	}
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct seen *more = realloc(l->items, room * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		l->items = more;
		l->room = room;
	}
	l->items[l->count++] = *now;
	return 0;
}

/* "sessions/<32 digits>.<n>": keeps the highest n of each id. */
static int note_record(void *ctx, const char *name)
{
	uint8_t bytes[SESSION_ID_SIZE];
	struct seen now = { .recorded = true };
	const char *text = name + strlen("sessions/");
	char *end;
	if (strlen(text) < sizeof(now.id) + 1 || text[sizeof(now.id) - 1] != '.')
		return 0;
	memcpy(now.id, text, sizeof(now.id) - 1);
	now.number = strtoull(text + sizeof(now.id), &end, 10);
	if (*end != '\0' || hex_decode(bytes, sizeof(bytes), now.id) < 0)
		return 0;
	return remember(ctx, &now);
}

static int note_lease(void *ctx, const char *id)
{
	uint8_t bytes[SESSION_ID_SIZE];
	struct seen now = { .recorded = false };
	if (strlen(id) != sizeof(now.id) - 1 ||
			hex_decode(bytes, sizeof(bytes), id) < 0)
		return 0;
	memcpy(now.id, id, sizeof(now.id));
	return remember(ctx, &now);
}

static int load_record(struct repository *r, const struct seen *seen,
		struct session_record *record)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *json = NULL;
	size_t len = 0, json_len = 0;
	char name[80];
	record_name(name, seen->id, seen->number);
	int err = store_get(r->store, name, &data, &len, SESSION_RECORD_MAX);
	if (err == 0)
		err = envelope_open(r->seal, r->config.repo_id, ENVELOPE_SESSION,
				name, data, len, &json, &json_len);
	return err < 0 ? err : session_record_from_json(record, json, json_len);
}

static int see(struct repository *r, struct seen_list *l)
{
	int err = store_list(r->store, "sessions/", note_record, l);
	return err < 0 ? err : lease_list(r->store, note_lease, l);
}

static int see_again(struct repository *r, struct seen *one)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	struct seen_list l = { 0 };
	nanosleep(&pause, NULL);
	int err = see(r, &l);
	one->recorded = false;
	for (size_t i = 0; err == 0 && i < l.count; i++)
		if (strcmp(l.items[i].id, one->id) == 0)
			*one = l.items[i];
	free(l.items);
	return err;
}

static int visit(struct repository *r, struct seen *one, session_fn *fn,
		void *ctx)
{
	struct session_record record = { .kind = SESSION_READ };
	int loaded = -ENOENT;
	bool alive = true, died_early = false;
	for (int i = 0; alive && loaded == -ENOENT && i < LOOKS; i++) {
		int err = i == 0 ? 0 : see_again(r, one);
		if (err < 0)
			return err;
		/* What can't be told counts as alive. */
		alive = lease_alive(r->store, one->id) != 0;
		if (one->recorded)
			loaded = load_record(r, one, &record);
		/* The lease of one that died before it had a record. */
		died_early = i == 0 && !one->recorded && !alive;
	}
	if (loaded == -ENOENT && !alive && !died_early)
		return 0; /* ended meanwhile */
	int err = fn(ctx, one->id, alive, loaded == 0 ? &record : NULL);
	if (loaded == 0)
		session_record_clear(&record);
	return err;
}

int session_list(struct repository *r, session_fn *fn, void *ctx)
{
	struct seen_list l = { 0 };
	int err = see(r, &l);
	for (size_t i = 0; err == 0 && i < l.count; i++)
		err = visit(r, &l.items[i], fn, ctx);
	free(l.items);
	return err;
}

/* --- the dead --- */

struct traces {
	struct store *store;
	const char *id;
};

static int delete_trace(void *ctx, const char *name)
{
	struct traces *t = ctx;
	if (strncmp(name + strlen("sessions/"), t->id, strlen(t->id)) == 0)
		store_delete(t->store, name);
	return 0;
}

static void remove_traces(struct store *store, const char *id)
{
	struct traces t = { .store = store, .id = id };
	store_list(store, "sessions/", delete_trace, &t);
}

/* A dead session's temporary objects go first, its record last: an
 * interruption leaves the record, and so the next session tries again. */
static int bury(void *ctx, const char *id, bool alive,
		const struct session_record *record)
{
	struct repository *r = ctx;
	if (alive)
		return 0;
	/* It may have died before the names of its packs were durable, and they
	 * are about to be counted on. */
	if (record == NULL || session_kind_writes(record->kind)) {
		int err = store_put_sync_packs(r->store);
		if (err < 0)
			return err;
	}
	if (store_remove_temporaries(r->store, id) == 0) {
		lease_remove_dead(r->store, id);
		remove_traces(r->store, id);
	}
	return 0;
}

/* --- begin and end --- */

bool session_unwritable(int err)
{
	return err == -EROFS || err == -EACCES || err == -EPERM ||
	       err == -ENOSPC || err == -EDQUOT;
}

static int fill_record(struct session *s, enum session_kind kind,
		const char *activity)
{
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	s->record.kind = kind;
	s->record.started = time(NULL);
	s->record.pid = getpid();
	s->record.host = name_escape(host, strlen(host));
	s->record.activity = activity ? strdup(activity) : NULL;
	if (s->record.host == NULL || (activity && !s->record.activity))
		return fail_errno(-ENOMEM, "registering the session");
	return 0;
}

/* What was condemned before we were there. It is acknowledged with the next
 * record, at the latest by the watcher's first look. */
static int first_look(struct session *s)
{
	LOCK_SCOPE(&s->mutex);
	int err = look(s);
	return err < 0 ? err : exclusions_load(s->repo->exclusions);
}

static int register_session(struct session *s)
{
	struct repository *r = s->repo;
	int err = lease_acquire(r->store, s->id, &s->lease);
	if (err < 0)
		return err;
	store_set_owner(r->store, s->id);
	LOCK_SCOPE(&s->mutex);
	return publish(s);
}

int session_begin(struct session **out, struct repository *r,
		enum session_kind kind, const char *activity)
{
	uint8_t random[SESSION_ID_SIZE];
	if (!store_writable(r->store))
		return fail(-EROFS,
				"%s can't be written by this user: is it mounted "
				"read-only, or owned by somebody else?",
				store_path(r->store));
	struct session *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_errno(-ENOMEM, "registering the session");
	s->repo = r;
	s->stop = -1;
	pthread_mutex_init(&s->mutex, NULL);
	seal_random(random, sizeof(random));
	hex_encode(s->id, random, sizeof(random));
	int err = fill_record(s, kind, activity);
	if (err == 0)
		err = register_session(s);
	if (err == 0)
		err = session_list(r, bury, r);
	if (err == 0)
		err = session_kind_writes(kind)
				? first_look(s)
				: exclusions_load(r->exclusions);
	if (err == 0 && session_kind_writes(kind)) {
		err = index_reconcile(r->index);
		if (err == -EAGAIN) /* a stale index costs duplicates, no more */
			err = 0;
		if (err == 0)
			err = start_watching(s);
	}
	if (err < 0) {
		session_end(s);
		return err;
	}
	*out = s;
	return 0;
}

void session_end(struct session *s)
{
	if (s == NULL)
		return;
	stop_watching(s);
	/* The record first: a lease without a record is nobody's. */
	if (s->published)
		remove_traces(s->repo->store, s->id);
	lease_release(s->lease);
	session_record_clear(&s->record);
	free(s->standing);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}
