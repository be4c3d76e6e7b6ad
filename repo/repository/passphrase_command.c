/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Running the command that prints a passphrase; see passphrase_command.h. */
#include "passphrase_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

extern char **environ;

#define DOING "running the passphrase command"

static int start(const char *command, pid_t *pid, int *output)
{
	char shell[] = "/bin/sh", option[] = "-c";
	CLEANUP_FREE char *text = strdup(command);
	char *argv[] = { shell, option, text, NULL };
	posix_spawn_file_actions_t actions;
	int pipes[2];
	if (text == NULL)
		return fail_no_memory(DOING);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return fail_errno(-errno, DOING);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
	int err = posix_spawn(pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipes[1]);
	if (err != 0) {
		close(pipes[0]);
		return fail_errno(-err, DOING);
	}
	*output = pipes[0];
	return 0;
}

/* Reads what is there. 1: there may be more; 0: that was all. */
static int read_some(int fd, char *out, size_t room, size_t *len)
{
	char beyond;
	bool full = *len == room;
	ssize_t n = full ? read(fd, &beyond, 1)
			 : read(fd, out + *len, room - *len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR
				? 1
				: fail_errno(-errno, DOING);
	if (n > 0 && full)
		return fail(-EINVAL,
				"the passphrase command printed more than %zu "
				"bytes",
				room);
	if (!full)
		*len += (size_t)n;
	return n > 0 ? 1 : 0;
}

/* Until the output or the command ends. */
static int read_all(int fd, int process, char *out, size_t room, size_t *len)
{
	struct pollfd polled[] = { { .fd = fd, .events = POLLIN },
		{ .fd = process, .events = POLLIN } };
	int err = 1;
	while (err == 1) {
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			return fail_errno(-errno, DOING);
		bool ended = polled[1].revents != 0;
		size_t before = *len;
		err = read_some(fd, out, room, len);
		if (ended && err == 1 && *len == before)
			return 0;
	}
	return err;
}

int passphrase_command_run(const char *command, char *out, size_t room,
		size_t *len)
{
	pid_t pid = -1;
	int fd = -1, status = 0;
	*len = 0;
	int err = start(command, &pid, &fd);
	if (err < 0)
		return err;
	CLEANUP_FD int process = pidfd_open(pid, 0);
	if (process < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		err = fail_errno(-errno, DOING);
	else
		err = read_all(fd, process, out, room, len);
	/* What it still wants to print goes nowhere. */
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (err == 0 && status != 0)
		err = fail(-EIO, "the passphrase command failed (status %d)",
				WIFEXITED(status) ? WEXITSTATUS(status)
						  : 128 + WTERMSIG(status));
	return err;
}
