/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of 'amberfs verify' and what they count. */
#ifndef AMBERFS_COMMANDS_VERIFY_H
#define AMBERFS_COMMANDS_VERIFY_H

#include "command.h"
#include "repo/base/thread_safety.h"
#include "repo/check/check.h"
#include "repo/session/session.h"

struct verify {
	struct repository *repo; /* NULL for --packs without a key */
	struct store *store;
	struct session *session; /* NULL: none could be registered */
	unsigned jobs;
	unsigned share, shares; /* of the packs, whose frames are read: number
				   SHARE, from 0, of SHARES */
	struct check_counts counts;
	pthread_mutex_t mutex;
	json_t *problems GUARDED_BY(mutex); /* {code, message, object} */
	uint64_t problem_count GUARDED_BY(mutex);
};

/* Notes and prints one problem, of ERR, with OBJECT. Thread-safe. */
void verify_problem(struct verify *verify, int err, const char *object,
		const char *fmt, ...)
		__attribute__((format(printf, 4, 5), nonnull(4)));

/* Each: 0 if it ran to its end (whatever it found), else -errno. */
int verify_packs(struct verify *verify);   /* checksums; no key needed */
int verify_objects(struct verify *verify); /* key slots, pins, retention */
int verify_frames(struct verify *verify);  /* decodes and hashes frames */
/* Every tree of SNAPSHOT (NULL: of all) resolves to readable packs. */
int verify_trees(struct verify *verify, const char *snapshot);

#endif
