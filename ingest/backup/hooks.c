/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Hooks are started by fork and exec, never through a shell, so that no name is
 * interpreted by one. Each has its own process group: a Ctrl-C is for us, and a
 * hook that hangs is killed with whatever it has started. It inherits no open
 * file of ours and no passphrase.
 *
 * Whoever can write a hook's file can run anything with our rights, so files and
 * directories that others own or may write are refused.
 */
#include "hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/process_group.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define LOOK_NS 20000000
#define OWN_VARIABLES 10

extern char **environ;

static int64_t limit_seconds = 300;

static const char *const phase_names[] = {
	[HOOK_BEFORE_FREEZE] = "before-freeze",
	[HOOK_AFTER_THAW] = "after-thaw",
	[HOOK_AFTER_COMMIT] = "after-commit",
	[HOOK_FAILURE] = "failure",
};

void hooks_limit(int64_t seconds)
{
	limit_seconds = seconds;
}

/* --- the environment --- */

struct variables {
	char **all;		  /* NULL-terminated; the last are OWN */
	char *own[OWN_VARIABLES]; /* "NAME=value", to free */
	unsigned count;
	bool no_memory;
};

static void variables_clear(struct variables *variables)
{
	for (unsigned i = 0; i < variables->count; i++)
		free(variables->own[i]);
	free(variables->all);
}

static void set_variable(struct variables *variables, const char *name,
		const char *value)
{
	if (value == NULL)
		return;
	if (asprintf(&variables->own[variables->count], "AMBERFS_%s=%s", name,
			    value)
			< 0)
		variables->no_memory = true;
	else
		variables->count++;
}

/* Our own variables are set anew, and a command that prints a passphrase is not
 * passed on either. */
static bool is_withheld(const char *entry)
{
	static const char *const own[] = { "PHASE=", "DOMAIN=", "DOMAIN_UUID=",
		"REPOSITORY=", "RESULT=", "ERROR=", "SNAPSHOT=", "CONSISTENCY=",
		"NBD_SOCKET=", "NBD_EXPORTS=" };
	const char *end = strchr(entry, '=');
	const char *secret = strstr(entry, "PASSPHRASE");
	if (strncmp(entry, "AMBERFS_", 8) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (strncmp(entry + 8, own[i], strlen(own[i])) == 0)
			return true;
	return secret != NULL && (end == NULL || secret < end);
}

static int variables_make(struct variables *variables,
		const struct hook_event *event)
{
	size_t room = OWN_VARIABLES + 1, n = 0;
	*variables = (struct variables){ .count = 0 };
	set_variable(variables, "PHASE", phase_names[event->phase]);
	set_variable(variables, "DOMAIN", event->domain);
	set_variable(variables, "DOMAIN_UUID", event->uuid);
	set_variable(variables, "REPOSITORY", event->repository);
	set_variable(variables, "RESULT", event->result);
	set_variable(variables, "ERROR", event->error);
	set_variable(variables, "SNAPSHOT", event->snapshot);
	set_variable(variables, "CONSISTENCY", event->consistency);
	set_variable(variables, "NBD_SOCKET", event->nbd_socket);
	set_variable(variables, "NBD_EXPORTS", event->nbd_exports);
	while (environ != NULL && environ[n] != NULL)
		n++;
	variables->all = calloc(n + room, sizeof(*variables->all));
	if (variables->all == NULL || variables->no_memory)
		return fail_no_memory("running hooks");
	char **to = variables->all;
	for (size_t i = 0; i < n; i++)
		if (!is_withheld(environ[i]))
			*to++ = environ[i];
	memcpy(to, variables->own, variables->count * sizeof(*to));
	return 0;
}

/* --- one program --- */

struct program {
	const char *path;
	char shown[256];
	const struct hook_event *event;
	pid_t pid;
};

/* Between fork and exec: async-signal-safe calls only. */
__attribute__((noreturn)) static void child_main(const char *path, char **vars,
		pid_t parent, int status)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	char *argv[] = { (char *)path, NULL };
	sigset_t none;
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &act, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127); /* orphaned before the line above */
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int err = 0;
	if (null < 0 || dup2(null, STDIN_FILENO) < 0
			|| dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		err = -errno;
	/* An old kernel without it: all our files are close-on-exec anyway. */
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (err == 0) {
		execve(path, argv, vars);
		err = -errno;
	}
	if (write(status, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

static int cant_start(const struct program *program, int err)
{
	if (err == -ENOEXEC)
		return fail(-EIO,
				"hook %s is neither a program nor a script "
				"with a #! line",
				program->shown);
	return fail(-EIO, "hook %s can't be started: %s", program->shown,
			strerror(-err));
}

/* The pipe is closed by the exec; before that it reports an error. */
static int read_status(int from)
{
	int err = 0;
	ssize_t n;
	do {
		n = read(from, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(err) ? err : 0;
}

static int start(struct program *program, char **vars)
{
	CLEANUP_FD int from = -1;
	CLEANUP_FD int to = -1;
	int fds[2];
	pid_t parent = getpid();
	if (pipe2(fds, O_CLOEXEC) < 0)
		return cant_start(program, -errno);
	from = fds[0];
	to = fds[1];
	program->pid = fork();
	if (program->pid == 0)
		child_main(program->path, vars, parent, to);
	if (program->pid < 0)
		return cant_start(program, -errno);
	setpgid(program->pid,
			program->pid); /* here too: either may run first */
	close(take_fd(&to));
	int err = read_status(from);
	if (err == 0)
		return 0;
	while (waitpid(program->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return cant_start(program, err);
}

/* 0, -ETIMEDOUT or -ECANCELED. */
static int wait_for(const struct program *program, double seconds, bool heed)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	double deadline = monotonic_now() + seconds;
	while (!process_group_ended(program->pid)) {
		if (heed && interrupt_flag)
			return -ECANCELED;
		if (monotonic_now() >= deadline)
			return -ETIMEDOUT;
		nanosleep(&look, NULL);
	}
	return 0;
}

static int judge(const struct program *program, int err, int status)
{
	char took[SIZE_TEXT_MAX];
	const char *phase = phase_names[program->event->phase];
	if (err == -ECANCELED)
		return fail(err, "interrupted; hook %s was terminated",
				program->shown);
	if (err == -ETIMEDOUT)
		return fail(err,
				"hook %s (%s) was still running after %s and "
				"was killed; raise --hook-timeout to allow "
				"more",
				program->shown, phase,
				age_format(took, limit_seconds));
	if (WIFSIGNALED(status))
		return fail(-EIO, "hook %s (%s) was killed by signal %d",
				program->shown, phase, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return fail(-EIO, "hook %s (%s) exited with status %d",
				program->shown, phase, WEXITSTATUS(status));
	return 0;
}

static void tell_group(const struct hook_event *event, pid_t group)
{
	if (event->running != NULL)
		event->running(event->ctx, group);
}

static int run_program(const char *path, const struct hook_event *event,
		char **vars)
{
	struct program p = { .path = path, .event = event };
	enum hook_phase phase = event->phase;
	bool heed = phase == HOOK_BEFORE_FREEZE || phase == HOOK_AFTER_THAW;
	int status = 0;
	name_display(p.shown, sizeof(p.shown), path);
	if (heed && interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	report_verbose("hook %s: %s", p.shown, phase_names[phase]);
	int err = start(&p, vars);
	if (err < 0)
		return err;
	tell_group(event, p.pid);
	err = wait_for(&p, (double)limit_seconds, heed);
	if (err < 0)
		process_group_end(p.pid);
	/* Before the process id may be another's. */
	tell_group(event, 0);
	while (waitpid(p.pid, &status, 0) < 0 && errno == EINTR)
		;
	return judge(&p, err, status);
}

/* --- the directory --- */

static int is_candidate(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);
	return entry->d_name[0] != '.' && entry->d_name[len - 1] != '~';
}

/* By bytes, whatever the locale. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Root runs nothing that others may change; who is not root has groups of their
 * own. */
static int refuse_foreign(const char *path, const struct stat *st)
{
	char shown[256];
	bool foreign = st->st_uid != 0 && st->st_uid != geteuid();
	bool group = (st->st_mode & S_IWGRP) != 0 && geteuid() == 0
			&& st->st_gid != 0;
	if (!foreign && !group && (st->st_mode & S_IWOTH) == 0)
		return 0;
	name_display(shown, sizeof(shown), path);
	if (foreign)
		return fail(-EPERM,
				"%s belongs to another user (%u), so it is not "
				"used for hooks; use 'chown root'",
				shown, (unsigned)st->st_uid);
	return fail(-EPERM,
			"%s is %s-writable, so it is not used for hooks; use "
			"'chmod go-w'",
			shown, group ? "group" : "world");
}

/* 1: to be run. */
static int look_at(const char *path)
{
	char shown[256];
	struct stat st;
	if (stat(path, &st) == 0 && S_ISREG(st.st_mode)
			&& access(path, X_OK) == 0) {
		int err = refuse_foreign(path, &st);
		return err < 0 ? err : 1;
	}
	report_verbose("skipping hook %s: not an executable file",
			name_display(shown, sizeof(shown), path));
	return 0;
}

int hooks_check(const char *dir)
{
	char shown[256];
	struct stat st;
	if (dir == NULL)
		return 0;
	name_display(shown, sizeof(shown), dir);
	if (stat(dir, &st) < 0 || access(dir, R_OK | X_OK) < 0)
		return fail_errno(-errno, "can't read the hook directory %s",
				shown);
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR,
				"%s is not a directory, so it can't hold hooks",
				shown);
	return refuse_foreign(dir, &st);
}

static int run_all(const char *dir, struct dirent **list, int count,
		const struct hook_event *event)
{
	CLEANUP(variables_clear) struct variables vars = { .count = 0 };
	int err = variables_make(&vars, event);
	for (int i = 0; err == 0 && i < count; i++) {
		CLEANUP_FREE char *path = NULL;
		if (asprintf(&path, "%s/%s", dir, list[i]->d_name) < 0) {
			path = NULL;
			return fail_no_memory("running hooks");
		}
		err = look_at(path);
		if (err > 0)
			err = run_program(path, event, vars.all);
	}
	return err;
}

int hooks_run(const char *dir, const struct hook_event *event)
{
	struct dirent **list = NULL;
	int err = hooks_check(dir);
	if (dir == NULL || err < 0)
		return err;
	int count = scandir(dir, &list, is_candidate, by_name);
	if (count < 0)
		return fail_errno(-errno, "reading the hook directory %s", dir);
	err = run_all(dir, list, count, event);
	for (int i = 0; i < count; i++)
		free(list[i]);
	free(list);
	return err;
}
