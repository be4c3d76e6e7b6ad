/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A counted list of published roots over one session. A root is in the list
 * exactly while the session publishes it, except for roots added while the disk
 * was full: those are readable but unprotected, and a message says so.
 */
#include "roots.h"

#include <string.h>

#include "log.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/session/session.h"

#define LINGER_SECONDS 5.0

struct root {
	struct id id;
	unsigned held;	/* by open files */
	double dropped; /* when held became 0 */
	bool published;
};

struct roots {
	struct repository *repo;
	char *activity;
	pthread_mutex_t mutex;
	/* NULL: the repository can't be written */
	struct session *session GUARDED_BY(mutex);
	struct root *items GUARDED_BY(mutex);
	size_t count GUARDED_BY(mutex);
	size_t room GUARDED_BY(mutex);
};

static int register_session(struct roots *roots, char **why_not)
{
	int err = session_begin(&roots->session, roots->repo, SESSION_MOUNT,
			roots->activity);
	if (err == 0 || !session_unwritable(err))
		return err;
	*why_not = strdup(error_text(err));
	error_clear();
	return *why_not == NULL ? -ENOMEM : 0;
}

int roots_new(struct roots **out, struct repository *repo, const char *activity,
		char **why_not)
{
	struct roots *new = calloc(1, sizeof(*new));
	*why_not = NULL;
	if (new == NULL)
		return fail_no_memory("registering the mount");
	pthread_mutex_init(&new->mutex, NULL);
	new->repo = repo;
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

void roots_free(struct roots *roots)
{
	if (roots == NULL)
		return;
	not_shared(&roots->mutex);
	session_end(roots->session);
	pthread_mutex_destroy(&roots->mutex);
	free(roots->items);
	free(roots->activity);
	free(roots);
}

/* --- the list --- */

/* Another process removed our session: everything is published again in a new
 * one. Files opened before may have lost data; reading them will show. */
static int register_again(struct roots *roots) REQUIRES(roots->mutex)
{
	char *why_not = NULL;
	log_problem("another process considered this mount dead; "
		    "registering again");
	session_end(take_ptr(roots->session));
	int err = register_session(roots, &why_not);
	if (why_not != NULL)
		log_problem("%s: prune may delete what open files need",
				why_not);
	free(why_not);
	for (size_t i = 0;
			err == 0 && roots->session != NULL && i < roots->count;
			i++) {
		err = session_add_root(roots->session, &roots->items[i].id);
		roots->items[i].published = err == 0;
	}
	if (err != 0)
		log_problem("registering the mount again: %s", error_text(err));
	return err;
}

static struct root *find(struct roots *roots, const struct id *id)
		REQUIRES(roots->mutex)
{
	for (size_t i = 0; i < roots->count; i++)
		if (id_equal(&roots->items[i].id, id))
			return &roots->items[i];
	return NULL;
}

static struct root *add(struct roots *roots, const struct id *id)
		REQUIRES(roots->mutex)
{
	if (roots->count == roots->room) {
		size_t room = roots->room == 0 ? 16 : 2 * roots->room;
		struct root *items = reallocarray(roots->items, room,
				sizeof(*items));
		if (items == NULL)
			return NULL;
		roots->items = items;
		roots->room = room;
	}
	roots->items[roots->count] = (struct root){ .id = *id };
	return &roots->items[roots->count++];
}

static void take_out(struct roots *roots, struct root *root)
		REQUIRES(roots->mutex)
{
	*root = roots->items[--roots->count];
}

static int publish(struct roots *roots, struct root *root)
		REQUIRES(roots->mutex)
{
	int err = session_add_root(roots->session, &root->id);
	if (err == -ESTALE) {
		/* Publishes the new one too, it is in the list already. */
		err = register_again(roots);
		if (err != 0 || root->published || roots->session == NULL)
			return err;
		err = session_add_root(roots->session, &root->id);
	}
	if (session_unwritable(err)) {
		/* It must be possible to restore from a full disk. */
		log_problem("%s: prune may delete what open files need",
				error_text(err));
		return 0;
	}
	root->published = err == 0;
	return err;
}

/* --- */

int roots_hold(struct roots *roots, const struct id *id)
{
	LOCK_SCOPE(&roots->mutex);
	if (roots->session == NULL || id_is_zero(id))
		return 0;
	struct root *root = find(roots, id);
	if (root == NULL)
		root = add(roots, id);
	if (root == NULL)
		return fail_no_memory("opening a file");
	if (!root->published) {
		int err = publish(roots, root);
		if (err != 0 && root->held == 0)
			take_out(roots, root);
		if (err != 0)
			return err;
	}
	root->held++;
	return 0;
}

void roots_drop(struct roots *roots, const struct id *id)
{
	LOCK_SCOPE(&roots->mutex);
	struct root *root = find(roots, id);
	if (root == NULL || root->held == 0)
		return;
	if (--root->held == 0)
		root->dropped = monotonic_now();
}

void roots_drop_now(struct roots *roots, const struct id *id)
{
	LOCK_SCOPE(&roots->mutex);
	struct root *root = find(roots, id);
	if (root == NULL || root->held == 0 || --root->held > 0)
		return;
	/* If this fails it is retried at the next tick. */
	root->dropped = 0;
	if (root->published && roots->session != NULL
			&& session_leave(roots->session, &root->id) == 0)
		take_out(roots, root);
}

static void leave_unused(struct roots *roots) REQUIRES(roots->mutex)
{
	double now = monotonic_now();
	for (size_t i = 0; i < roots->count;) {
		struct root *root = &roots->items[i];
		if (root->held > 0 || now - root->dropped < LINGER_SECONDS) {
			i++;
			continue;
		}
		/* If this fails the root stays published, which costs only
		 * space. */
		if (root->published && roots->session != NULL
				&& session_leave(roots->session, &root->id)
						!= 0) {
			i++;
			continue;
		}
		take_out(roots, root);
	}
}

void roots_tick(struct roots *roots)
{
	LOCK_SCOPE(&roots->mutex);
	if (roots->session == NULL)
		return;
	if (session_check(roots->session) == -ESTALE)
		register_again(roots);
	leave_unused(roots);
}
