/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Helper programs (qemu-img, qemu-nbd). Never through a shell; they inherit no
 * open file but what is given here, and (but a guard) end when the thread that
 * started them ends. Their messages are English (LC_ALL=C).
 */
#ifndef AMBERFS_INGEST_LIBVIRT_CHILD_H
#define AMBERFS_INGEST_LIBVIRT_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid; /* 0: none */
	int out;   /* its stdout, or -1 */
	int err;   /* its stderr; does not block */
};

/*
 * Starts ARGV[0] (looked for in PATH). LISTEN_FD: a listening socket, handed
 * over as systemd does (file 3, LISTEN_FDS, LISTEN_PID), or -1. If WANT_OUT is
 * false stdout is /dev/null.
 * 0, or -errno with a text (-ENOENT: not installed).
 */
int child_start(struct child *child, char *const argv[], int listen_fd,
		bool want_out);

/*
 * Starts a program that outlives us: in a session of its own, in the directory /,
 * with our stderr, and CONTROL as its file 3. CHILD has its process id only.
 */
int child_start_guard(struct child *child, char *const argv[], int control);

/* Waits at most so many seconds for its end, then ends it. Returns its wait
 * status. */
int child_wait(struct child *child, double seconds);

/* Ends it if it still runs, and reaps it. Returns its wait status. */
int child_end(struct child *child);

/*
 * Runs ARGV to its end; *OUT is its stdout (at most MAX bytes, NUL-ended, to
 * free). 0; -EIO with its last message in the text if it fails or is too
 * talkative; -ETIMEDOUT after a minute; what child_start returns.
 */
int child_run(char *const argv[], size_t max, char **out);

/* The last error that the child has written to stderr since the last call,
 * made printable, without its "program: " prefix; "" if none. Returns BUF. */
char *child_message(const struct child *child, char *buf, size_t size);

#endif
