/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The backup's end of its watchdog's socket. The watchdog itself is in
 * watchdog_process.c. */
#include "watchdog.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/child.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "watchdog_protocol.h"

#define ANSWER_SECONDS 60.0
#define END_SECONDS 5.0

struct watchdog {
	struct child child;
	int socket; /* -1: the watchdog is gone */
	enum watchdog_finding found;
	bool may_be_frozen;
};

static int gone(struct watchdog *watchdog)
{
	cleanup_fd(&watchdog->socket);
	watchdog->socket = -1;
	return fail(-EPIPE, "the watchdog process of this backup has ended");
}

static int say(struct watchdog *watchdog, const char *text, size_t len)
{
	ssize_t n;
	if (watchdog->socket < 0)
		return gone(watchdog);
	do {
		n = send(watchdog->socket, text, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)len ? 0 : gone(watchdog);
}

static int say_word(struct watchdog *watchdog, enum watchdog_message word)
{
	char byte = (char)word;
	return say(watchdog, &byte, 1);
}

/* The first one is the cause of the others. */
static bool is_finding(struct watchdog *watchdog, char word)
{
	enum watchdog_finding found = WATCHDOG_FOUND_NOTHING;
	if (word == WATCHDOG_FULL)
		found = WATCHDOG_FOUND_FULL;
	else if (word == WATCHDOG_STALLED)
		found = WATCHDOG_FOUND_STALLED;
	else if (word == WATCHDOG_ENDED)
		found = WATCHDOG_FOUND_ENDED;
	if (watchdog->found == WATCHDOG_FOUND_NOTHING)
		watchdog->found = found;
	return found != WATCHDOG_FOUND_NOTHING;
}

/* Its next message, NUL-terminated; what it has found is noted and skipped. 0,
 * -EPIPE, -EAGAIN (none in time). */
static int hear(struct watchdog *watchdog, char text[ERROR_TEXT_MAX],
		double seconds)
{
	double end = monotonic_now() + seconds;
	for (;;) {
		struct pollfd p = { .fd = watchdog->socket, .events = POLLIN };
		double left = end - monotonic_now();
		ssize_t n;
		if (watchdog->socket < 0)
			return gone(watchdog);
		if (poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0) <= 0) {
			if (left <= 0)
				return -EAGAIN;
			continue;
		}
		n = recv(watchdog->socket, text, ERROR_TEXT_MAX - 1,
				MSG_DONTWAIT);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return gone(watchdog);
		text[n] = '\0';
		if (!is_finding(watchdog, text[0]))
			return 0;
	}
}

static int introduce(struct watchdog *watchdog, const struct scratch *scratch,
		const struct scratch_state *state)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "uri", state->uri,
			"uuid", state->uuid, "name", state->name, "folder",
			scratch_directory(scratch));
	CLEANUP_FREE char *text = json != NULL ? json_dumps(json, 0) : NULL;
	json_decref(json);
	if (text == NULL)
		return fail(-EIO, "the scratch directory's path is not UTF-8");
	return say(watchdog, text, strlen(text));
}

static int wait_until_ready(struct watchdog *watchdog)
{
	char text[ERROR_TEXT_MAX];
	int err = hear(watchdog, text, ANSWER_SECONDS);
	if (err == -EAGAIN)
		return fail(-EIO, "the watchdog process does not answer");
	if (err == 0 && text[0] == WATCHDOG_BROKEN)
		return fail(-EIO, "%s", text + 1);
	return err != 0 ? -EIO : 0;
}

/* This very program, even if its file was replaced meanwhile; by its real name
 * if possible, for process lists. */
static const char *own_program(char *buf, size_t size)
{
	static const char self[] = "/proc/self/exe";
	struct stat running, named;
	ssize_t n = readlink(self, buf, size - 1);
	if (n <= 0)
		return self;
	buf[n] = '\0';
	if (stat(self, &running) < 0 || stat(buf, &named) < 0
			|| running.st_ino != named.st_ino
			|| running.st_dev != named.st_dev)
		return self;
	return buf;
}

static int spawn(struct watchdog *watchdog)
{
	char path[4096];
	char *argv[] = { (char *)own_program(path, sizeof(path)),
		(char *)WATCHDOG_COMMAND, NULL };
	int pair[2], err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = child_start_guard(&watchdog->child, argv, pair[1]);
	close(pair[1]);
	watchdog->socket = pair[0];
	return err;
}

static int start(struct watchdog *watchdog, const struct scratch *scratch,
		const struct scratch_state *state)
{
	int err = spawn(watchdog);
	if (err != 0)
		return err;
	err = introduce(watchdog, scratch, state);
	return err != 0 ? err : wait_until_ready(watchdog);
}

int watchdog_start(struct watchdog **out, const struct scratch *scratch,
		const struct scratch_state *state)
{
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	struct error_copy why;
	if (watchdog == NULL)
		return -ENOMEM;
	watchdog->socket = -1;
	int err = start(watchdog, scratch, state);
	if (err == 0) {
		*out = watchdog;
		return 0;
	}
	fail_within(err,
			"cannot start the watchdog process, which is needed to "
			"freeze a guest");
	error_save(&why, err == -ENOMEM ? err : -EIO);
	watchdog_dismiss(watchdog);
	return error_load(&why);
}

int watchdog_freezing(struct watchdog *watchdog)
{
	int err = say_word(watchdog, WATCHDOG_FREEZING);
	watchdog->may_be_frozen = err == 0;
	return err;
}

int watchdog_beginning(struct watchdog *watchdog)
{
	return say_word(watchdog, WATCHDOG_BEGINNING);
}

int watchdog_thawed(struct watchdog *watchdog, bool *late)
{
	char text[ERROR_TEXT_MAX];
	int err = say_word(watchdog, WATCHDOG_THAWED);
	*late = false;
	if (err == 0)
		err = hear(watchdog, text, ANSWER_SECONDS);
	if (err != 0)
		return -EPIPE;
	watchdog->may_be_frozen = false;
	*late = text[0] == WATCHDOG_LATE;
	return 0;
}

int watchdog_running(struct watchdog *watchdog, const char *export)
{
	CLEANUP_FREE char *text = NULL;
	int len = asprintf(&text, "%c%s", WATCHDOG_RUNNING, export);
	if (len < 0) {
		text = NULL;
		return fail_no_memory("telling the watchdog process");
	}
	int err = say(watchdog, text, (size_t)len);
	return err != 0 ? err : wait_until_ready(watchdog);
}

int watchdog_stopping(struct watchdog *watchdog)
{
	return say_word(watchdog, WATCHDOG_STOPPING);
}

int watchdog_stopped(struct watchdog *watchdog)
{
	return say_word(watchdog, WATCHDOG_STOPPED);
}

int watchdog_connection(struct watchdog *watchdog, int socket)
{
	char word = WATCHDOG_CONNECTION;
	struct iovec iov = { .iov_base = &word, .iov_len = 1 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct msghdr message = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t n;
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &socket, sizeof(int));
	if (watchdog->socket < 0)
		return gone(watchdog);
	do {
		n = sendmsg(watchdog->socket, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : gone(watchdog);
}

int watchdog_hook(struct watchdog *watchdog, pid_t group)
{
	char text[1 + sizeof(group)] = { WATCHDOG_HOOK };
	memcpy(text + 1, &group, sizeof(group));
	return say(watchdog, text, sizeof(text));
}

enum watchdog_finding watchdog_finding(struct watchdog *watchdog)
{
	char text[ERROR_TEXT_MAX];
	while (watchdog->socket >= 0 && hear(watchdog, text, 0) == 0)
		;
	return watchdog->found;
}

void watchdog_dismiss(struct watchdog *watchdog)
{
	if (watchdog == NULL)
		return;
	if (watchdog->socket >= 0)
		say_word(watchdog, WATCHDOG_DISMISSED);
	cleanup_fd(&watchdog->socket);
	/* If it is still trying to thaw the guest, it continues. */
	if (!watchdog->may_be_frozen) {
		child_wait(&watchdog->child, END_SECONDS);
		child_end(&watchdog->child);
	}
	free(watchdog);
}
