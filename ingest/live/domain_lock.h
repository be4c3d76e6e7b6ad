/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One process of this host at a time works on the job and the checkpoints of a
 * running domain: a kernel lock on a file of this user. Another user's backup is
 * seen by its job only (live_settle.h).
 */
#ifndef AMBERFS_INGEST_LIVE_DOMAIN_LOCK_H
#define AMBERFS_INGEST_LIVE_DOMAIN_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#define DOMAIN_LOCK_TEXT_MAX 4096

struct domain_lock {
	int fd; /* -1: not held */
};
#define DOMAIN_LOCK_NONE ((struct domain_lock){ .fd = -1 })

/*
 * Takes the lock of the domain UUID; WHAT (at most DOMAIN_LOCK_TEXT_MAX bytes)
 * tells others what it is held for. Waits up to WAIT_SECONDS, then -EBUSY with a
 * text that says who has it. *WAITED: had to wait. Where the file can't be made,
 * a warning, 0, and the lock is not held. -ECANCELED when interrupted.
 */
int domain_lock_take(struct domain_lock *lock, const char *uuid,
		const char *what, int64_t wait_seconds, bool *waited);
/* Also if it is not held. */
void domain_lock_release(struct domain_lock *lock);

#endif
