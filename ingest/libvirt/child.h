/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Helper programs (qemu-img, qemu-nbd). Never started through a shell; they
 * inherit no open files except those given here, and (except a watchdog) end
 * when the thread that started them ends. Their messages are English
 * (LC_ALL=C).
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
 * Starts ARGV[0] (searched in PATH). LISTEN_FD: a listening socket, passed as
 * systemd does (file 3, LISTEN_FDS, LISTEN_PID), or -1. If WANT_OUT is false,
 * stdout is /dev/null. 0, or -errno with a text (-ENOENT: not installed).
 */
int child_start(struct child *child, char *const argv[], int listen_fd,
		bool want_out);

/*
 * Starts a program that outlives us: in its own session, in the directory /,
 * with our stderr, and CONTROL as its file 3. CHILD has only its process id.
 */
int child_start_guard(struct child *child, char *const argv[], int control);

/* Waits at most SECONDS for it to exit, then kills it. Returns its wait
 * status. */
int child_wait(struct child *child, double seconds);

/* Kills it if it still runs, and reaps it. Returns its wait status. */
int child_end(struct child *child);

/*
 * Runs ARGV until it exits; *OUT is its stdout (at most MAX bytes,
 * NUL-terminated, to free). 0; -EIO with its last message in the text if it
 * fails or prints too much; -ETIMEDOUT after a minute; or an error of
 * child_start.
 */
int child_run(char *const argv[], size_t max, char **out);

/* The last error that the child has written to stderr since the last call, made
 * printable, without the "program: " prefix; "" if none. Returns BUF. */
char *child_message(const struct child *child, char *buf, size_t size);

#endif
