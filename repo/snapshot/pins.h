/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pins: snapshots that forget leaves alone until they are unpinned. A pin is
 * the object pins/<source component>/<time> (FORMAT.md 12.1); its name has the
 * full effect, whether or not its content can be read. A pin of a snapshot that
 * is gone has no effect.
 *
 * A pin is put while its snapshot exists, and forget looks for it right before
 * it deletes. Only a pin that is set in the instant between those two comes
 * too late; pins_set then fails, as it looks for the snapshot once more.
 *
 * Snapshots are named by their objects, "snapshots/…/…".
 * Threading: loaded pins may be read by all threads.
 */
#ifndef AMBERFS_SNAPSHOT_PINS_H
#define AMBERFS_SNAPSHOT_PINS_H

#include "repo/repository/repository.h"
#include "repo/store/names.h"

struct pins {
	struct names names; /* of the objects, sorted */
};

/* Lists them. 0 or -errno. */
int pins_load(struct repository *repo, struct pins *out);
void pins_clear(struct pins *pins);
bool pins_have(const struct pins *pins, const char *snapshot);

/* Looks in the repository, now. 1, 0 or -errno. */
int pins_exists(struct repository *repo, const char *snapshot);

struct pin {
	int64_t since; /* UTC second */
	char *note;    /* plain text, not safe to print; or NULL */
};
void pins_clear_one(struct pin *pin);
/* -ENOENT: not pinned; -EBADMSG: pinned, but the note can't be read. */
int pins_load_one(struct repository *repo, const char *snapshot,
		struct pin *out);

/* NOTE (UTF-8) may be NULL. -EEXIST: it was pinned already, and the old note
 * stays; -ENOENT: the snapshot is gone. */
int pins_set(struct repository *repo, const char *snapshot, const char *note);
/* -ENOENT: it was not pinned. */
int pins_remove(struct repository *repo, const char *snapshot);

/* Deletes those of PINS whose snapshots are gone. */
int pins_tidy(struct repository *repo, const struct pins *pins);

#endif
