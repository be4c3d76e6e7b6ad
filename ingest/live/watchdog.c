/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backup's end of its guard's socket. What the guard does is in
 * watchdog_process.c. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "ingest/libvirt/child.h"
#include "watchdog.h"
#include "watchdog_protocol.h"

#define ANSWER_SECONDS 60.0
#define END_SECONDS 5.0

struct watchdog {
	struct child child;
	int socket;		/* -1: it is gone */
	bool full;
	bool may_be_frozen;
};

static int gone(struct watchdog *g)
{
	cleanup_fd(&g->socket);
	g->socket = -1;
	return fail(-EPIPE, "the guard process of this backup has ended");
}

static int say(struct watchdog *g, const char *text, size_t len)
{
	ssize_t n;

	if (g->socket < 0)
		return gone(g);
	do {
		n = send(g->socket, text, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : gone(g);
}

static int say_word(struct watchdog *g, enum watchdog_message word)
{
	char byte = (char)word;

	return say(g, &byte, 1);
}

/* Its next message, NUL-ended, but WATCHDOG_FULL, which is noted. 0, -EPIPE,
 * -EAGAIN (none by then). */
static int hear(struct watchdog *g, char text[ERROR_TEXT_MAX], double seconds)
{
	double end = monotonic_now() + seconds;

	for (;;) {
		struct pollfd p = { .fd = g->socket, .events = POLLIN };
		double left = end - monotonic_now();
		ssize_t n;

		if (g->socket < 0)
			return gone(g);
		if (poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0) <= 0) {
			if (left <= 0)
				return -EAGAIN;
			continue;
		}
		n = recv(g->socket, text, ERROR_TEXT_MAX - 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return gone(g);
		text[n] = '\0';
		if (text[0] != WATCHDOG_FULL)
			return 0;
		g->full = true;
	}
}

static int introduce(struct watchdog *g, const struct scratch *scratch,
		const struct scratch_state *state)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "uri", state->uri,
			"uuid", state->uuid, "name", state->name, "folder",
			scratch_directory(scratch));
	CLEANUP_FREE char *text = json ? json_dumps(json, 0) : NULL;

	json_decref(json);
	if (!text)
		return fail(-EIO, "the scratch folder's path is not UTF-8");
	return say(g, text, strlen(text));
}

static int wait_until_ready(struct watchdog *g)
{
	char text[ERROR_TEXT_MAX];
	int err = hear(g, text, ANSWER_SECONDS);

	if (err == -EAGAIN)
		return fail(-EIO, "the guard process does not answer");
	if (!err && text[0] == WATCHDOG_BROKEN)
		return fail(-EIO, "%s", text + 1);
	return err ? -EIO : 0;
}

/* This very program, even if its file was replaced meanwhile; by its own name,
 * for those who list processes. */
static const char *own_program(char *buf, size_t size)
{
	static const char self[] = "/proc/self/exe";
	struct stat running, named;
	ssize_t n = readlink(self, buf, size - 1);

	if (n <= 0)
		return self;
	buf[n] = '\0';
	if (stat(self, &running) < 0 || stat(buf, &named) < 0 ||
			running.st_ino != named.st_ino ||
			running.st_dev != named.st_dev)
		return self;
	return buf;
}

static int spawn(struct watchdog *g)
{
	char path[4096];
	char *argv[] = { (char *)own_program(path, sizeof(path)),
		(char *)WATCHDOG_COMMAND, NULL };
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = child_start_guard(&g->child, argv, pair[1]);
	close(pair[1]);
	g->socket = pair[0];
	return err;
}

int watchdog_start(struct watchdog **out, const struct scratch *scratch,
		const struct scratch_state *state)
{
	struct watchdog *g = calloc(1, sizeof(*g));
	struct error_copy why;
	int err;

	if (!g)
		return -ENOMEM;
	g->socket = -1;
	err = spawn(g);
	if (!err)
		err = introduce(g, scratch, state);
	if (!err)
		err = wait_until_ready(g);
	if (!err) {
		*out = g;
		return 0;
	}
	fail_within(err, "no guard process, without which no guest is frozen");
	error_save(&why, err == -ENOMEM ? err : -EIO);
	watchdog_dismiss(g);
	return error_load(&why);
}

int watchdog_freezing(struct watchdog *g)
{
	int err = say_word(g, WATCHDOG_FREEZING);

	g->may_be_frozen = !err;
	return err;
}

int watchdog_beginning(struct watchdog *g)
{
	return say_word(g, WATCHDOG_BEGINNING);
}

int watchdog_thawed(struct watchdog *g, bool *late)
{
	char text[ERROR_TEXT_MAX];
	int err = say_word(g, WATCHDOG_THAWED);

	*late = false;
	if (!err)
		err = hear(g, text, ANSWER_SECONDS);
	if (err)
		return -EPIPE;
	g->may_be_frozen = false;
	*late = text[0] == WATCHDOG_LATE;
	return 0;
}

int watchdog_running(struct watchdog *g)
{
	return say_word(g, WATCHDOG_RUNNING);
}

int watchdog_stopped(struct watchdog *g)
{
	return say_word(g, WATCHDOG_STOPPED);
}

bool watchdog_was_full(struct watchdog *g)
{
	char text[ERROR_TEXT_MAX];

	while (g->socket >= 0 && hear(g, text, 0) == 0)
		;
	return g->full;
}

void watchdog_dismiss(struct watchdog *g)
{
	if (!g)
		return;
	if (g->socket >= 0)
		say_word(g, WATCHDOG_DISMISSED);
	cleanup_fd(&g->socket);
	/* One that still tries to thaw the guest goes on. */
	if (!g->may_be_frozen) {
		child_wait(&g->child, END_SECONDS);
		child_end(&g->child);
	}
	free(g);
}
