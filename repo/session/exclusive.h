/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work that only one session at a time may do: "prune", and changing "keys".
 * The object sessions/NAME.<n> with the highest n names the holder; the session
 * that it names must be alive. FORMAT.md section 11 has the rules. Threading:
 * one thread at a time per object.
 */
#ifndef AMBERFS_SESSION_EXCLUSIVE_H
#define AMBERFS_SESSION_EXCLUSIVE_H

#include "repo/repository/repository.h"

struct exclusive;

/* Takes NAME ("prune" or "keys") for SESSION_ID, a session of this process that
 * has begun. REPO must outlive *OUT. 0; -EBUSY: another session holds it, with
 * a text that says who, where and since when; other errors as the store's. */
int exclusive_begin(struct exclusive **out, struct repository *repo,
		const char *session_id, const char *name);

/* 0, or -ESTALE: another session has taken NAME since, or ours was considered
 * dead. To be called before each step that must not be done twice. */
int exclusive_check(struct exclusive *exclusive);

/* Forgets it (NULL allowed). The object stays: the session's end frees NAME,
 * so end that afterwards. */
void exclusive_end(struct exclusive *exclusive);

#endif
