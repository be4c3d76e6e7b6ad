/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One command as a process: this program again, with nothing on stdin. What it
 * prints is kept up to a limit; what is more is read and left out, so that it
 * never waits for us. It is over when the process has ended, even if something
 * that it has started keeps its output open. A signal is passed on once, as
 * SIGTERM: the command ends cleanly, and is waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "run_internal.h"

#define PROGRAM "/proc/self/exe"
#define REPORT_MAX (16 * MIB)
#define ERRORS_MAX (256 * KIB)
#define LOOK_MS 500

extern char **environ;

struct output {
	int fd;
	char *text; /* NUL-terminated */
	size_t len, max;
};

struct process {
	pid_t pid;
	int pidfd;
	struct output out, err;
	bool told; /* to end */
};

/* --- the environment --- */

/* ENTRY of ours gives way to one of EXTRA, or to what EXTRA says of the key. */
static bool gives_way(const char *entry, const struct run_words *extra)
{
	static const char *const kinds[] = { "KEY_FILE=", "PASSPHRASE_FILE=",
		"PASSPHRASE_COMMAND=" };
	if (strncmp(entry, "AMBERFS_REPOSITORY=", 19) == 0)
		return true;
	for (size_t i = 0; i < extra->count; i++) {
		const char *given = extra->items[i];
		const char *role = strncmp(given, "AMBERFS_TO_", 11) == 0
				? "AMBERFS_TO_"
				: "AMBERFS_";
		size_t len = strlen(role);
		for (size_t j = 0; j < ARRAY_SIZE(kinds); j++)
			if (strncmp(entry, role, len) == 0
					&& strncmp(entry + len, kinds[j],
							   strlen(kinds[j]))
							== 0)
				return true;
	}
	return false;
}

/* To free; the strings are not. NULL without memory. */
static char **environment_make(const struct run_words *extra)
{
	size_t count = 0, n = 0;
	while (environ != NULL && environ[count] != NULL)
		count++;
	char **vars = calloc(count + extra->count + 1, sizeof(*vars));
	for (size_t i = 0; vars != NULL && i < count; i++)
		if (!gives_way(environ[i], extra))
			vars[n++] = environ[i];
	for (size_t i = 0; vars != NULL && i < extra->count; i++)
		vars[n++] = extra->items[i];
	return vars;
}

/* --- start --- */

static int spawn(struct process *process, const struct run_step *step, int out,
		int err)
{
	CLEANUP_FREE char **vars = environment_make(&step->env);
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t usual;
	if (vars == NULL)
		return fail_no_memory("starting a command");
	sigemptyset(&usual);
	sigaddset(&usual, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null",
			O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &usual);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	int failed = posix_spawn(&process->pid, PROGRAM, &files, &attributes,
			step->argv.items, vars);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return failed == 0 ? 0
			   : fail_errno(-failed, "can't start amberfs %s",
					   step->argv.items[1]);
}

static int start(struct process *process, const struct run_step *step)
{
	int out[2] = { -1, -1 }, errors[2] = { -1, -1 };
	int err = pipe2(out, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0
			? fail_errno(-errno, "making a pipe")
			: spawn(process, step, out[1], errors[1]);
	cleanup_fd(&out[1]);
	cleanup_fd(&errors[1]);
	process->out.fd = out[0];
	process->err.fd = errors[0];
	if (err < 0)
		return err;
	process->pidfd = pidfd_open(process->pid, 0);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	fcntl(errors[0], F_SETFL, O_NONBLOCK);
	return 0;
}

/* --- output --- */

/* Reads what is there. False: its end. */
static bool take_output(struct output *output)
{
	char piece[16384];
	ssize_t n = read(output->fd, piece, sizeof(piece));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	size_t room = output->max - output->len;
	size_t keep = (size_t)n < room ? (size_t)n : room;
	char *grown = keep > 0 ? realloc(output->text, output->len + keep + 1)
			       : NULL;
	if (grown != NULL) {
		memcpy(grown + output->len, piece, keep);
		output->text = grown;
		output->len += keep;
		grown[output->len] = '\0';
	}
	return n > 0;
}

static void drain(struct output *output)
{
	size_t before;
	do
		before = output->len;
	while (output->fd >= 0 && take_output(output) && output->len > before);
}

static void look(struct output *output, short events)
{
	if (events != 0 && !take_output(output)) {
		cleanup_fd(&output->fd);
		output->fd = -1;
	}
}

static void pass_signal_on(struct process *process)
{
	if (interrupt_flag && !process->told)
		kill(process->pid, SIGTERM);
	process->told = interrupt_flag != 0;
}

/* Its wait status. */
static int attend(struct process *process)
{
	int status = 0;
	for (;;) {
		struct pollfd polled[] = { { process->out.fd, POLLIN, 0 },
			{ process->err.fd, POLLIN, 0 },
			{ process->pidfd, POLLIN, 0 } };
		pass_signal_on(process);
		if (poll(polled, 3, LOOK_MS) > 0) {
			look(&process->out, polled[0].revents);
			look(&process->err, polled[1].revents);
		}
		if (waitpid(process->pid, &status, WNOHANG) == process->pid)
			break;
	}
	drain(&process->out);
	drain(&process->err);
	return status;
}

/* --- all of it --- */

static enum exit_status status_of(int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return code == EXIT_DONE || code == EXIT_PARTLY ? (enum exit_status)code
							: EXIT_FAILED;
}

static void add_killed(struct run_step *step, int status)
{
	char *more = NULL;
	if (!WIFSIGNALED(status)
			|| asprintf(&more, "%skilled by signal %d (%s)\n",
					   step->messages != NULL
							   ? step->messages
							   : "",
					   WTERMSIG(status),
					   strsignal(WTERMSIG(status)))
					< 0)
		return;
	free(step->messages);
	step->messages = more;
}

void run_step_carry_out(struct run_step *step)
{
	struct process process = { .pidfd = -1,
		.out = { .fd = -1, .max = REPORT_MAX },
		.err = { .fd = -1, .max = ERRORS_MAX } };
	double begin = monotonic_now();
	int status = 0;
	step->start = realtime_ns() / 1000000000;
	int err = start(&process, step);
	if (err == 0) {
		status = attend(&process);
		step->status = status_of(status);
		step->report = process.out.text != NULL
				? json_loads(process.out.text, 0, NULL)
				: NULL;
		step->messages = run_messages_make(process.err.text != NULL
						? process.err.text
						: "",
				step->report);
		add_killed(step, status);
	} else {
		step->status = EXIT_FAILED;
		step->messages = run_messages_make(error_text(err), NULL);
	}
	step->seconds = monotonic_now() - begin;
	cleanup_fd(&process.pidfd);
	cleanup_fd(&process.out.fd);
	cleanup_fd(&process.err.fd);
	free(process.out.text);
	free(process.err.text);
}
