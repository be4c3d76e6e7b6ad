/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The private directory of one backup of one running domain:
 *
 *	DIR/amberfs-<16 hex>/	ours
 *		state		who we are and what we do; locked while we live
 *		guard		locked while our watchdog lives
 *		q/		of the user that qemu runs as, mode 0700:
 *			nbd	the socket
 *			1-1 …	scratch files, made and removed by libvirt
 *
 * The socket may instead be in a directory that libvirt has made for this guest,
 * where qemu is allowed to make one however it is confined; its name there is
 * that of our directory.
 *
 * So what qemu's user may write is in one directory, and nothing there is
 * trusted. If `state` is unlocked, its run is dead.
 *
 * Threading: one thread per directory.
 */
#ifndef AMBERFS_INGEST_LIVE_SCRATCH_H
#define AMBERFS_INGEST_LIVE_SCRATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "scratch_state.h"

#define SCRATCH_DIR_DEFAULT "/var/tmp"

struct scratch;

/*
 * Makes a directory in DIR (NULL: the default) that QEMU can work in, and locks
 * it. -EPERM: we may not make one for that user; -ENAMETOOLONG: a socket's path
 * has at most 107 bytes; else -errno, with a text.
 */
int scratch_make(struct scratch **out, const char *dir, uid_t qemu,
		gid_t qemu_group);
/* The socket's place from now on: DIRECTORY, which must belong to qemu's user, or
 * NULL: q/, where it is at first. It stays where it is if the path is too long
 * for a socket. To be called while no job runs, before scratch_write_state.
 * True: it is in DIRECTORY. */
bool scratch_move_socket(struct scratch *scratch, const char *directory);
/* Opens an existing directory of ours without locking it: for the watchdog. */
int scratch_open(struct scratch **out, const char *directory);
/* Closes and thereby unlocks it. NULL allowed. */
void scratch_close(struct scratch *scratch);

/* Removes it with its contents. 0 or -errno with a text; no error if it is gone
 * already. */
int scratch_remove(struct scratch *scratch);

const char *scratch_directory(const struct scratch *scratch);
const char *scratch_socket(const struct scratch *scratch);
bool scratch_socket_is_moved(const struct scratch *scratch);
/* Of one that was opened: learns from `state` where the socket is now. */
void scratch_find_socket(struct scratch *scratch);
/* A path for a scratch file; to free, NULL without memory. */
char *scratch_file(const struct scratch *scratch, unsigned attempt,
		unsigned disk);

/* Durable when it returns. */
int scratch_write_state(struct scratch *scratch,
		const struct scratch_state *state);

/* Takes the watchdog's lock. 0, -EWOULDBLOCK, -errno. */
int scratch_lock_guard(struct scratch *scratch);

/* Bytes that qemu's user can still write there; 0 if unknown. */
uint64_t scratch_free(const struct scratch *scratch);

/*
 * Data that the guest overwrites is copied there while its disks are read, at
 * most ALLOCATED bytes, usually far less. -ENOSPC if less than a 256th is free
 * (clamped to 16 MiB to 1 GiB); a warning below a 32nd.
 */
int scratch_check_space(const struct scratch *scratch, uint64_t allocated);
/* Those two numbers of bytes. */
void scratch_needs(uint64_t allocated, uint64_t *least, uint64_t *well);

/*
 * Calls FOUND for every directory in DIR that is ours and whose owner is dead,
 * locked, with its state (phase SCRATCH_RUNNING and NULL texts if that can't be
 * read). FOUND may remove it; it is closed afterwards. Waits some seconds for a
 * watchdog that is still at work there.
 * 0 or -errno (DIR can't be read).
 */
int scratch_dead(const char *dir,
		void (*found)(void *ctx, struct scratch *s,
				const struct scratch_state *st),
		void *ctx);

/* Whether PATH is a file in q/ of a directory as named by scratch_make, anywhere. */
bool scratch_is_inner(const char *path);
/* Whether it is such a file in DIR whose directory is gone (which is certain: we
 * see the same DIR as the host). */
bool scratch_is_orphan(const char *path, const char *dir);

#endif
