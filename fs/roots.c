/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A counted list of published roots over one session. A root is in the list
 * exactly while the session stands on it, but for roots taken up while the
 * disk was full: those are readable, unprotected, and said to be so.
 */
#include "roots.h"

#include "log.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/session/session.h"

#include <string.h>

#define LINGER_SECONDS 5.0

struct root {
	struct id id;
	unsigned held;		/* by open files */
	double dropped;		/* when held became 0 */
	bool published;
};

struct roots {
	struct repository *repo;
	char *activity;
	pthread_mutex_t mutex;
	/* protected by mutex: */
	struct session *session; /* NULL: the repository can't be written */
	struct root *items;
	size_t count, room;
};

static int register_session(struct roots *r, char **why_not)
{
	int err = session_begin(&r->session, r->repo, SESSION_MOUNT,
			r->activity);
	if (err == 0 || !session_unwritable(err))
		return err;
	*why_not = strdup(error_text(err));
	error_clear();
	return *why_not == NULL ? -ENOMEM : 0;
}

int roots_new(struct roots **out, struct repository *r, const char *activity,
		char **why_not)
{
	struct roots *new = calloc(1, sizeof(*new));
	*why_not = NULL;
	if (new == NULL)
		return fail_errno(-ENOMEM, "registering the mount");
	pthread_mutex_init(&new->mutex, NULL);
	new->repo = r;
	new->activity = strdup(activity);
	int err = new->activity == NULL ? -ENOMEM
					: register_session(new, why_not);
	if (err != 0) {
		roots_free(new);
		return fail_within(err, "registering the mount");
	}
	*out = new;
	return 0;
}

void roots_free(struct roots *r)
{
	if (r == NULL)
		return;
	session_end(r->session);
	pthread_mutex_destroy(&r->mutex);
	free(r->items);
	free(r->activity);
	free(r);
}

/* --- with mutex --- */

/* Somebody removed our session: everything is published again in a new one.
 * Files opened before may have lost what they stand on; reading tells. */
static int register_again(struct roots *r)
{
	char *why_not = NULL;
	log_problem("another amberfs took this mount for dead; registering "
		    "again");
	session_end(take_ptr(r->session));
	int err = register_session(r, &why_not);
	if (why_not != NULL)
		log_problem("%s: prune may take what open files need", why_not);
	free(why_not);
	for (size_t i = 0; err == 0 && r->session != NULL && i < r->count;
			i++) {
		err = session_add_root(r->session, &r->items[i].id);
		r->items[i].published = err == 0;
	}
	if (err != 0)
		log_problem("registering the mount again: %s",
				error_text(err));
	return err;
}

static struct root *find(struct roots *r, const struct id *id)
{
	for (size_t i = 0; i < r->count; i++)
		if (id_equal(&r->items[i].id, id))
			return &r->items[i];
	return NULL;
}

static struct root *add(struct roots *r, const struct id *id)
{
	if (r->count == r->room) {
		size_t room = r->room == 0 ? 16 : 2 * r->room;
		struct root *items = reallocarray(r->items, room,
				sizeof(*items));
		if (items == NULL)
			return NULL;
		r->items = items;
		r->room = room;
	}
	r->items[r->count] = (struct root){ .id = *id };
	return &r->items[r->count++];
}

static void take_out(struct roots *r, struct root *root)
{
	*root = r->items[--r->count];
}

static int publish(struct roots *r, struct root *root)
{
	int err = session_add_root(r->session, &root->id);
	if (err == -ESTALE) {
		/* Publishes the new one too, it is in the list already. */
		err = register_again(r);
		if (err != 0 || root->published || r->session == NULL)
			return err;
		err = session_add_root(r->session, &root->id);
	}
	if (session_unwritable(err)) {
		/* Restoring from a full disk must be possible. */
		log_problem("%s: prune may take what open files need",
				error_text(err));
		return 0;
	}
	root->published = err == 0;
	return err;
}

/* --- */

int roots_hold(struct roots *r, const struct id *id)
{
	LOCK_SCOPE(&r->mutex);
	if (r->session == NULL || id_is_zero(id))
		return 0;
	struct root *root = find(r, id);
	if (root == NULL)
		root = add(r, id);
	if (root == NULL)
		return fail_errno(-ENOMEM, "opening a file");
	if (!root->published) {
		int err = publish(r, root);
		if (err != 0 && root->held == 0)
			take_out(r, root);
		if (err != 0)
			return err;
	}
	root->held++;
	return 0;
}

void roots_drop(struct roots *r, const struct id *id)
{
	LOCK_SCOPE(&r->mutex);
	struct root *root = find(r, id);
	if (root == NULL || root->held == 0)
		return;
	if (--root->held == 0)
		root->dropped = monotonic_now();
}

void roots_drop_now(struct roots *r, const struct id *id)
{
	LOCK_SCOPE(&r->mutex);
	struct root *root = find(r, id);
	if (root == NULL || root->held == 0 || --root->held > 0)
		return;
	/* Left standing when it fails, it goes with the next tick. */
	root->dropped = 0;
	if (root->published && r->session != NULL &&
			session_leave(r->session, &root->id) == 0)
		take_out(r, root);
}

static void leave_unused(struct roots *r)
{
	double now = monotonic_now();
	for (size_t i = 0; i < r->count;) {
		struct root *root = &r->items[i];
		if (root->held > 0 || now - root->dropped < LINGER_SECONDS) {
			i++;
			continue;
		}
		/* Left standing when it fails, a root costs only space. */
		if (root->published && r->session != NULL &&
				session_leave(r->session, &root->id) != 0) {
			i++;
			continue;
		}
		take_out(r, root);
	}
}

void roots_tick(struct roots *r)
{
	LOCK_SCOPE(&r->mutex);
	if (r->session == NULL)
		return;
	if (session_check(r->session) == -ESTALE)
		register_again(r);
	leave_unused(r);
}
