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
 * listed again, from then on nothing is found there; a record is published that
 * names the epoch and the condemned packs that chunks were found in before.
 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "condemned.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
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
	uint64_t number GUARDED_BY(mutex); /* N of the record that counts */
	bool published GUARDED_BY(mutex);
	bool fenced GUARDED_BY(mutex); /* considered dead by another process */
	/* The published record says all there is */
	bool told GUARDED_BY(mutex);
	struct standing *standing GUARDED_BY(mutex);
	uint32_t standing_count GUARDED_BY(mutex);
	uint32_t standing_room GUARDED_BY(mutex);

	pthread_t watcher;
	bool watched;
	int stop; /* eventfd: the watcher is to end */
};

const char *session_id(const struct session *session)
{
	return session->id;
}

struct repository *session_repository(const struct session *session)
{
	return session->repo;
}

static void record_name(char out[80], const char *id, uint64_t number)
{
	snprintf(out, 80, "sessions/%s.%llu", id, (unsigned long long)number);
}

void session_set_activity(struct session *session, const char *activity)
{
	assert(session->lease != NULL);
	char *copy = strdup(activity);
	if (copy == NULL)
		return;
	LOCK_SCOPE(&session->mutex);
	free(session->record.activity);
	session->record.activity = copy;
	session->told = false;
}

/* --- publishing --- */

static int put_record(struct session *session, const char *name)
		REQUIRES(session->mutex)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	size_t len;
	session->record.roots =
			calloc(session->standing_count + 1, sizeof(struct id));
	if (session->record.roots == NULL)
		return fail_no_memory("publishing the session");
	session->record.root_count = session->standing_count;
	for (uint32_t i = 0; i < session->standing_count; i++)
		session->record.roots[i] = session->standing[i].root;
	json_t *json = session_record_to_json(&session->record);
	free(take_ptr(session->record.roots));
	session->record.root_count = 0;
	text = json != NULL ? json_dumps(json, JSON_FIELDS_DUMP_FLAGS) : NULL;
	json_decref(json);
	if (text == NULL)
		return fail_no_memory("publishing the session");
	int err = envelope_seal(session->repo->seal,
			session->repo->config.repo_id, ENVELOPE_SESSION, name,
			text, strlen(text), &object, &len);
	return err < 0 ? err
		       : store_put(session->repo->store, name, object, len,
				       true);
}

static int stale(void)
{
	return fail(-ESTALE,
			"another process considered this one dead and "
			"removed its session; run it again");
}

static int publish(struct session *session) REQUIRES(session->mutex)
{
	char name[80], before[80];
	uint64_t next = session->published ? session->number + 1 : 0;
	assert(session->lease != NULL);
	if (session->fenced)
		return stale();
	record_name(name, session->id, next);
	int err = put_record(session, name);
	if (err < 0)
		return fail_within(err, "publishing the session");
	record_name(before, session->id, session->number);
	if (session->published
			&& store_delete(session->repo->store, before)
					== -ENOENT) {
		/* The current one is gone: we were considered dead. That must
		 * remain visible, so no newer one may hide it. */
		session->fenced = true;
		store_delete(session->repo->store, name);
		return stale();
	}
	session->number = next;
	session->published = session->told = true;
	return 0;
}

static struct standing *find_standing(struct session *session,
		const struct id *root) REQUIRES(session->mutex)
{
	for (uint32_t i = 0; i < session->standing_count; i++)
		if (id_equal(&session->standing[i].root, root))
			return &session->standing[i];
	return NULL;
}

static int add_standing(struct session *session, const struct id *root)
		REQUIRES(session->mutex)
{
	if (session->standing_count == SESSION_ROOTS_MAX)
		return fail(-EMFILE, "too many images are in use at once");
	if (session->standing_count == session->standing_room) {
		uint32_t room = session->standing_room
				? 2 * session->standing_room
				: 16;
		struct standing *more = realloc(session->standing,
				room * sizeof(*more));
		if (more == NULL)
			return fail_no_memory("publishing the session");
		session->standing = more;
		session->standing_room = room;
	}
	session->standing[session->standing_count++] =
			(struct standing){ .root = *root, .count = 1 };
	return 0;
}

int session_add_roots(struct session *session, const struct id *roots,
		size_t count)
{
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	uint32_t before = session->standing_count;
	int err = 0;
	for (size_t i = 0; err == 0 && i < count; i++) {
		struct standing *there = find_standing(session, &roots[i]);
		if (id_is_zero(&roots[i]))
			continue;
		if (there != NULL)
			there->count++;
		else
			err = add_standing(session, &roots[i]);
	}
	if (err == 0 && session->standing_count != before)
		err = publish(session);
	if (err < 0) /* counts of older ones stay raised: they are held longer */
		session->standing_count = before;
	return err;
}

int session_add_root(struct session *session, const struct id *root)
{
	return session_add_roots(session, root, 1);
}

/* True if ROOT is no longer used. */
static bool drop_standing(struct session *session, const struct id *root)
		REQUIRES(session->mutex)
{
	struct standing *there = find_standing(session, root);
	if (there == NULL || --there->count > 0)
		return false;
	*there = session->standing[--session->standing_count];
	return true;
}

int session_leave(struct session *session, const struct id *root)
{
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	return drop_standing(session, root) ? publish(session) : 0;
}

int session_leave_all(struct session *session, const struct id *roots,
		size_t count)
{
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	bool gone = false;
	for (size_t i = 0; i < count; i++)
		gone |= drop_standing(session, &roots[i]);
	return gone ? publish(session) : 0;
}

void session_leave_later(struct session *session, const struct id *roots,
		size_t count)
{
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	for (size_t i = 0; i < count; i++)
		drop_standing(session, &roots[i]);
}

int session_check(struct session *session)
{
	char name[80];
	uint64_t size;
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	record_name(name, session->id, session->number);
	if (session->fenced)
		return stale();
	int err = store_size(session->repo->store, name, &size);
	if (err != -ENOENT)
		return err;
	session->fenced = true;
	return stale();
}

/* --- acknowledging --- */

bool session_kind_writes(enum session_kind kind)
{
	return kind == SESSION_BACKUP || kind == SESSION_PRUNE;
}

/* Sees a new epoch. What it means goes out with the next record. */
static int look(struct session *session) REQUIRES(session->mutex)
{
	uint64_t epoch = 0;
	struct pack_id *held = NULL;
	size_t count = 0;
	int err = condemned_latest_epoch(session->repo, &epoch);
	if (err < 0 || epoch <= session->record.acknowledged)
		return err;
	/* Only now: all that this epoch condemns is listed. */
	err = exclusions_refresh(session->repo->exclusions, &held, &count);
	if (err == 0 && count > SESSION_HELD_MAX)
		err = fail(-E2BIG, "too many condemned packs are in use");
	if (err < 0) {
		free(held);
		return err;
	}
	free(session->record.held);
	session->record.held = held;
	session->record.held_count = (uint32_t)count;
	session->record.acknowledged = epoch;
	session->told = false;
	return 0;
}

int session_acknowledge(struct session *session)
{
	LOCK_SCOPE(&session->mutex);
	assert(session->published);
	assert(session_kind_writes(session->record.kind));
	int err = look(session);
	return err == 0 && !session->told ? publish(session) : err;
}

static void *watch(void *arg)
{
	struct session *session = arg;
	struct pollfd stop = { .fd = session->stop, .events = POLLIN };
	while (poll(&stop, 1, LOOK_EVERY_MS) <= 0) {
		/* Failures are retried; prune waits meanwhile. A session
		 * considered dead must not get a new record. */
		if (session_check(session) == 0)
			session_acknowledge(session);
		store_tidy(session->repo->store);
		error_clear();
	}
	return NULL;
}

static int start_watching(struct session *session)
{
	sigset_t all, before;
	session->stop = eventfd(0, EFD_CLOEXEC);
	if (session->stop < 0)
		return fail_errno(-errno, "registering the session");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(&session->watcher, NULL, watch, session);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	session->watched = err == 0;
	return err < 0 ? fail_errno(err, "registering the session") : 0;
}

static void stop_watching(struct session *session)
{
	if (session->watched) {
		eventfd_write(session->stop, 1);
		pthread_join(session->watcher, NULL);
	}
	if (session->stop >= 0)
		close(session->stop);
}

/* --- listing --- */

/* The record of a living session is looked for so often, this far apart: it
 * is gone only while the next one takes its place. */
#define LOOKS 100
#define LOOK_AGAIN_NS 1000000L

struct seen {
	char id[2 * SESSION_ID_SIZE + 1];
	bool recorded; /* false: only the lease was seen */
	uint64_t number;
};

struct seen_list {
	struct seen *items;
	size_t count, room;
};

static int remember(struct seen_list *list, const struct seen *now)
{
	for (size_t i = 0; i < list->count; i++) {
		struct seen *known = &list->items[i];
		if (strcmp(known->id, now->id) != 0)
			continue;
		if (now->recorded
				&& (!known->recorded
						|| now->number > known->number))
			*known = *now;
		return 0;
	}
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct seen *more = realloc(list->items, room * sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		list->items = more;
		list->room = room;
	}
	list->items[list->count++] = *now;
	return 0;
}

/* "sessions/<32 digits>.<n>": keeps the highest n of each id. */
static int note_record(void *ctx, const char *name)
{
	uint8_t bytes[SESSION_ID_SIZE];
	struct seen now = { .recorded = true };
	const char *text = name + strlen("sessions/");
	char *end;
	if (strlen(text) < sizeof(now.id) + 1
			|| text[sizeof(now.id) - 1] != '.')
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
	if (strlen(id) != sizeof(now.id) - 1
			|| hex_decode(bytes, sizeof(bytes), id) < 0)
		return 0;
	memcpy(now.id, id, sizeof(now.id));
	return remember(ctx, &now);
}

static int load_record(struct repository *repo, const struct seen *seen,
		struct session_record *record)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *json = NULL;
	size_t len = 0, json_len = 0;
	char name[80];
	record_name(name, seen->id, seen->number);
	int err = store_get(repo->store, name, &data, &len, SESSION_RECORD_MAX);
	if (err < 0)
		return err;
	err = envelope_open(repo->seal, repo->config.repo_id, ENVELOPE_SESSION,
			name, data, len, &json, &json_len);
	return err < 0 ? err : session_record_from_json(record, json, json_len);
}

static int see(struct repository *repo, struct seen_list *list)
{
	int err = store_list(repo->store, "sessions/", note_record, list);
	return err < 0 ? err : lease_list(repo->store, note_lease, list);
}

static int see_again(struct repository *repo, struct seen *one)
{
	const struct timespec pause = { .tv_nsec = LOOK_AGAIN_NS };
	struct seen_list l = { 0 };
	nanosleep(&pause, NULL);
	int err = see(repo, &l);
	one->recorded = false;
	for (size_t i = 0; err == 0 && i < l.count; i++)
		if (strcmp(l.items[i].id, one->id) == 0)
			*one = l.items[i];
	free(l.items);
	return err;
}

static int visit(struct repository *repo, struct seen *one, session_fn *fn,
		void *ctx)
{
	struct session_record record = { .kind = SESSION_READ };
	int loaded = -ENOENT;
	bool alive = true, died_early = false;
	for (int i = 0; alive && loaded == -ENOENT && i < LOOKS; i++) {
		int err = i == 0 ? 0 : see_again(repo, one);
		if (err < 0)
			return err;
		/* If unknown it counts as alive. */
		alive = lease_alive(repo->store, one->id) != 0;
		if (one->recorded)
			loaded = load_record(repo, one, &record);
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

int session_list(struct repository *repo, session_fn *fn, void *ctx)
{
	struct seen_list l = { 0 };
	int err = see(repo, &l);
	for (size_t i = 0; err == 0 && i < l.count; i++)
		err = visit(repo, &l.items[i], fn, ctx);
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
	struct traces *traces = ctx;
	if (strncmp(name + strlen("sessions/"), traces->id, strlen(traces->id))
			== 0)
		store_delete(traces->store, name);
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
	struct repository *repo = ctx;
	if (alive)
		return 0;
	/* It may have died before the names of its packs were durable, and they
	 * are about to be counted on. */
	if (record == NULL || session_kind_writes(record->kind)) {
		int err = store_put_sync_packs(repo->store);
		if (err < 0)
			return err;
	}
	if (store_remove_temporaries(repo->store, id) == 0) {
		lease_remove_dead(repo->store, id);
		remove_traces(repo->store, id);
	}
	return 0;
}

/* --- begin and end --- */

bool session_unwritable(int err)
{
	return err == -EROFS || err == -EACCES || err == -EPERM
			|| err == -ENOSPC || err == -EDQUOT;
}

static int fill_record(struct session *session, enum session_kind kind,
		const char *activity)
{
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	session->record.kind = kind;
	session->record.started = time(NULL);
	session->record.pid = getpid();
	session->record.host = name_escape(host, strlen(host));
	session->record.activity = activity != NULL ? strdup(activity) : NULL;
	if (session->record.host == NULL
			|| (activity != NULL
					&& session->record.activity == NULL))
		return fail_no_memory("registering the session");
	return 0;
}

/* What was condemned before we were there. It is acknowledged with the next
 * record, at the latest by the watcher's first look. */
static int first_look(struct session *session)
{
	LOCK_SCOPE(&session->mutex);
	int err = look(session);
	return err < 0 ? err : exclusions_load(session->repo->exclusions);
}

static int register_session(struct session *session)
{
	struct repository *repo = session->repo;
	int err = lease_acquire(repo->store, session->id, &session->lease);
	if (err < 0)
		return err;
	store_set_owner(repo->store, session->id);
	LOCK_SCOPE(&session->mutex);
	return publish(session);
}

static int enter(struct session *session)
{
	struct repository *repo = session->repo;
	int err = session_list(repo, bury, repo);
	if (err < 0)
		return err;
	if (!session_kind_writes(session->record.kind))
		return exclusions_load(repo->exclusions);
	err = first_look(session);
	if (err < 0)
		return err;
	err = index_reconcile(repo->index);
	if (err < 0 && err != -EAGAIN) /* a stale index costs duplicates only */
		return err;
	return start_watching(session);
}

int session_begin(struct session **out, struct repository *repo,
		enum session_kind kind, const char *activity)
{
	uint8_t random[SESSION_ID_SIZE];
	if (!store_writable(repo->store))
		return fail(-EROFS,
				"%s is not writable by this user: is it "
				"mounted read-only, or owned by another user?",
				store_path(repo->store));
	struct session *session = calloc(1, sizeof(*session));
	if (session == NULL)
		return fail_no_memory("registering the session");
	session->repo = repo;
	session->stop = -1;
	pthread_mutex_init(&session->mutex, NULL);
	seal_random(random, sizeof(random));
	hex_encode(session->id, random, sizeof(random));
	int err = fill_record(session, kind, activity);
	if (err == 0)
		err = register_session(session);
	if (err == 0)
		err = enter(session);
	if (err < 0) {
		session_end(session);
		return err;
	}
	*out = session;
	return 0;
}

void session_end(struct session *session)
{
	if (session == NULL)
		return;
	stop_watching(session);
	not_shared(&session->mutex);
	/* The record first: a lease without a record belongs to nobody. */
	if (session->published)
		remove_traces(session->repo->store, session->id);
	lease_release(session->lease);
	session_record_clear(&session->record);
	free(session->standing);
	pthread_mutex_destroy(&session->mutex);
	free(session);
}
