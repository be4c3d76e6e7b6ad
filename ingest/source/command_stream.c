/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "command_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/process_group.h"
#include "repo/format/name.h"

extern char **environ;

/* Signals that we ignore or handle are the command's own to decide. Its process
 * group is its own, so that it can be ended with all that it has started. */
static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t all, none;
	sigfillset(&all);
	sigemptyset(&none);
	int err = posix_spawnattr_setsigdefault(attributes, &all);
	if (err == 0)
		err = posix_spawnattr_setsigmask(attributes, &none);
	if (err == 0)
		err = posix_spawnattr_setpgroup(attributes, 0);
	if (err == 0)
		err = posix_spawnattr_setflags(attributes,
				POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
						| POSIX_SPAWN_SETPGROUP);
	return err;
}

/* All our files are close-on-exec. 0 or an errno. */
static int spawn(struct command_stream *stream, char *const argv[], int output)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	int err = posix_spawn_file_actions_addopen(&files, STDIN_FILENO,
			"/dev/null", O_RDONLY, 0);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(&files, output,
				STDOUT_FILENO);
	if (err == 0)
		err = set_attributes(&attributes);
	if (err == 0)
		err = posix_spawnp(&stream->pid, argv[0], &files, &attributes,
				argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return err;
}

int command_stream_start(struct command_stream *stream, char *const argv[])
{
	CLEANUP_FD int from = -1;
	CLEANUP_FD int to = -1;
	int fds[2];
	*stream = (struct command_stream){ .name = argv[0], .fd = -1 };
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail_errno(-errno, "starting %s", argv[0]);
	from = fds[0];
	to = fds[1];
	int err = spawn(stream, argv, to);
	if (err != 0) {
		stream->pid = 0;
		return fail_errno(-err, "starting %s", argv[0]);
	}
	stream->fd = take_fd(&from);
	return 0;
}

static int wait_for(struct command_stream *stream)
{
	int status = 0;
	if (stream->fd >= 0)
		close(take_fd(&stream->fd));
	while (stream->pid > 0 && waitpid(stream->pid, &status, 0) < 0
			&& errno == EINTR)
		;
	stream->pid = 0;
	return status;
}

int command_stream_end(struct command_stream *stream)
{
	char shown[256];
	int status = wait_for(stream);
	if (status == 0)
		return 0;
	name_display(shown, sizeof(shown), stream->name);
	if (WIFSIGNALED(status))
		return fail(-EIO,
				"%s was killed by signal %d, so nothing is "
				"stored",
				shown, WTERMSIG(status));
	return fail(-EIO, "%s exited with status %d, so nothing is stored",
			shown, WEXITSTATUS(status));
}

void command_stream_kill(struct command_stream *stream)
{
	if (stream->pid <= 0)
		return;
	process_group_end(stream->pid);
	wait_for(stream);
}
