/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A session: this process at work in the repository, known to others. Alive as
 * long as the lease (kernel lock) is held; its records say what it uses. One
 * that writes (SESSION_BACKUP, SESSION_PRUNE) has a thread that looks every
 * second for newly condemned packs, and acknowledges them. Threading: calls are
 * serialised inside.
 */
#ifndef AMBERFS_SESSION_SESSION_H
#define AMBERFS_SESSION_SESSION_H

#include "repo/format/session_record.h"
#include "repo/repository/repository.h"

struct session;

/* Registers: lease, then record. Removes traces and temporary objects of dead
 * sessions on the way, then reads the condemned. ACTIVITY: escaped; may be
 * NULL. If session_unwritable(the error), a reader may continue without a
 * session and must warn about the consequences. */
int session_begin(struct session **out, struct repository *repo,
		enum session_kind kind, const char *activity);
/* True if ERR of session_begin or session_add_root says that nothing can be
 * written there (permissions, a full disk), which need not stop a reader. */
bool session_unwritable(int err);
void session_end(
		struct session *session); /* removes the traces; NULL allowed */

const char *session_id(const struct session *session); /* 32 digits */
struct repository *session_repository(const struct session *session);
/* What it is working on now (escaped). Published with the next record: for a
 * session that writes, within about a second. Without memory it stays as it
 * was. */
void session_set_activity(struct session *session, const char *activity);

/* Publishes that the session uses ROOT (durable before it returns) until
 * session_leave. Counted per root. Zero ids are ignored. */
int session_add_root(struct session *session, const struct id *root);
/* The same for COUNT roots, published at once. */
int session_add_roots(struct session *session, const struct id *roots,
		size_t count);
int session_leave(struct session *session, const struct id *root);
int session_leave_all(struct session *session, const struct id *roots,
		size_t count);
/* The same for COUNT roots, but the others see it only with the next record:
 * costs nothing, holds them a little longer. */
void session_leave_later(struct session *session, const struct id *roots,
		size_t count);

/* Looks for newly condemned packs and acknowledges them, at once. */
int session_acknowledge(struct session *session);
/* True if prune must wait for the acknowledgements of such sessions: they
 * count on chunks that they find stored. */
bool session_kind_writes(enum session_kind kind);

/* 0, or -ESTALE: another process considered this session dead and removed
 * it. */
int session_check(struct session *session);

/* Calls FN for each session: ID, ALIVE, RECORD (NULL: unreadable). */
typedef int session_fn(void *ctx, const char *id, bool alive,
		const struct session_record *record);
int session_list(struct repository *repo, session_fn *fn, void *ctx);

#endif
