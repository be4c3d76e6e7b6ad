/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Uses fork and exec: posix_spawn can neither tie the child's life to ours nor
 * tell it its own process id, which LISTEN_PID needs. Between fork and exec
 * only async-signal-safe calls are made, as this process has threads.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define LISTEN_FD_OF_CHILD 3 /* as in systemd's protocol */
#define RUN_SECONDS 60.0
#define MESSAGE_MAX 4096

/* "LISTEN_PID=" and room for the digits that only the child knows. */
#define LISTEN_PID_ENV "LISTEN_PID="
struct environment {
	char listen_pid[sizeof(LISTEN_PID_ENV) + 20];
	char listen_fds[16], locale[16];
};

/* Everything the child needs, made before the fork. */
struct plan {
	char *const *argv;
	char **vars;
	struct environment env;
	pid_t parent;
	int listen_fd, out, err, status; /* -1: none */
	bool outlives;			 /* it outlives this process */
};

extern char **environ;

static bool is_replaced(const char *var)
{
	return strncmp(var, "LC_ALL=", 7) == 0
			|| strncmp(var, "LANGUAGE=", 9) == 0
			|| strncmp(var, "LISTEN_", 7) == 0;
}

/* The strings belong to the process and to ENVIRONMENT. NULL without memory. */
static char **environment_make(struct environment *environment, bool listens)
{
	size_t count = 0, n = 0;
	char **vars;
	while (environ != NULL && environ[count] != NULL)
		count++;
	vars = calloc(count + 4, sizeof(char *));
	if (vars == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (!is_replaced(environ[i]))
			vars[n++] = environ[i];
	strcpy(environment->locale, "LC_ALL=C");
	strcpy(environment->listen_fds, "LISTEN_FDS=1");
	strcpy(environment->listen_pid, LISTEN_PID_ENV);
	vars[n++] = environment->locale;
	if (listens) {
		vars[n++] = environment->listen_fds;
		vars[n++] = environment->listen_pid;
	}
	return vars;
}

/* printf is not async-signal-safe. */
static void append_number(char *text, unsigned long v)
{
	char digits[20];
	size_t n = 0, end = strlen(text);
	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (n > 0)
		text[end++] = digits[--n];
	text[end] = '\0';
}

static void child_signals(void)
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;
	for (int s = 1; s < NSIG; s++)
		sigaction(s, &act, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Puts the descriptors in place: 0 to 2 and the socket. They may be where
 * others must go, so all are moved out of the way first. Updates *STATUS.
 */
static int child_files(const struct plan *plan, int *status)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int from[4] = { null, plan->out < 0 ? null : plan->out,
		plan->err < 0 ? null : plan->err, plan->listen_fd };
	int high = fcntl(plan->status, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || high < 0)
		return -errno;
	*status = high;
	for (int i = 0; i < 4; i++) {
		if (from[i] < 0)
			continue;
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 10);
		if (from[i] < 0)
			return -errno;
	}
	for (int i = 0; i < 4; i++)
		if (from[i] >= 0 && dup2(from[i], i) < 0)
			return -errno;
	/* Nothing else is inherited; HIGH is close-on-exec. An old kernel
	 * without the call: all our files are close-on-exec anyway. */
	close_range(plan->listen_fd < 0 ? 3 : 4, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0U, 0);
	return 0;
}

/* In its own process group: a terminal's Ctrl-C is for us, and we end the
 * child. */
__attribute__((noreturn)) static void child_main(struct plan *plan)
{
	int status = plan->status;
	int err = 0;
	child_signals();
	if (plan->outlives) {
		setsid();
		if (chdir("/") < 0)
			_exit(127);
	} else {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != plan->parent)
			_exit(127); /* orphaned before the line above */
	}
	append_number(plan->env.listen_pid, (unsigned long)getpid());
	err = child_files(plan, &status);
	if (err == 0) {
		execvpe(plan->argv[0], plan->argv, plan->vars);
		err = -errno;
	}
	if (status >= 0 && write(status, &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/* The error before or in exec; the pipe is closed if there was none. */
static int wait_for_exec(int status)
{
	ssize_t n;
	int err;
	do {
		n = read(status, &err, sizeof(err));
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(err) ? err : 0;
}

static int start_failed(const char *program, int err)
{
	if (err == -ENOENT)
		return fail(err,
				"%s is not installed; Debian has it in the "
				"package qemu-utils",
				program);
	return fail_errno(err, "cannot start %s", program);
}

struct pipe {
	int read, write;
};

static void pipe_clear(struct pipe *pipe)
{
	cleanup_fd(&pipe->read);
	cleanup_fd(&pipe->write);
}

static int pipe_make(struct pipe *pipe)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail_errno(-errno,
				"creating a pipe for a helper program");
	*pipe = (struct pipe){ fds[0], fds[1] };
	return 0;
}

/* Neither end may block: a child that prints without end must not wait for us,
 * nor we for a silent one. What doesn't fit is lost. */
static int pipe_unblock(struct pipe *pipe)
{
	if (fcntl(pipe->read, F_SETFL, O_NONBLOCK) < 0
			|| fcntl(pipe->write, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int fork_child(struct child *child, struct plan *plan,
		struct pipe *status)
{
	int err;
	plan->status = status->write;
	child->pid = fork();
	if (child->pid == 0)
		child_main(plan);
	if (child->pid < 0) {
		child->pid = 0;
		return start_failed(plan->argv[0], -errno);
	}
	close(take_fd(&status->write));
	err = wait_for_exec(status->read);
	if (err == 0)
		return 0;
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
	return start_failed(plan->argv[0], err);
}

int child_start(struct child *child, char *const argv[], int listen_fd,
		bool want_out)
{
	CLEANUP(pipe_clear) struct pipe out = { -1, -1 };
	CLEANUP(pipe_clear) struct pipe errors = { -1, -1 };
	CLEANUP(pipe_clear) struct pipe status = { -1, -1 };
	struct plan p = { .argv = argv,
		.parent = getpid(),
		.listen_fd = listen_fd };
	char **vars = environment_make(&p.env, listen_fd >= 0);
	int err = vars != NULL ? 0 : -ENOMEM;
	p.vars = vars;
	*child = (struct child){ .out = -1, .err = -1 };
	if (err == 0 && want_out)
		err = pipe_make(&out);
	if (err == 0)
		err = pipe_make(&errors);
	if (err == 0)
		err = pipe_unblock(&errors);
	if (err == 0)
		err = pipe_make(&status);
	if (err == 0) {
		p.out = out.write;
		p.err = errors.write;
		err = fork_child(child, &p, &status);
	}
	free(vars);
	if (err != 0)
		return err;
	child->out = take_fd(&out.read);
	child->err = take_fd(&errors.read);
	return 0;
}

int child_start_guard(struct child *child, char *const argv[], int control)
{
	CLEANUP(pipe_clear) struct pipe status = { -1, -1 };
	struct plan p = { .argv = argv,
		.parent = getpid(),
		.out = -1,
		.listen_fd = control,
		.outlives = true,
		.err = fcntl(STDERR_FILENO, F_GETFD) < 0 ? -1 : STDERR_FILENO };
	char **vars = environment_make(&p.env, false);
	int err = vars != NULL ? pipe_make(&status) : -ENOMEM;
	p.vars = vars;
	*child = (struct child){ .out = -1, .err = -1 };
	if (err == 0)
		err = fork_child(child, &p, &status);
	free(vars);
	return err;
}

int child_wait(struct child *child, double seconds)
{
	double end = monotonic_now() + seconds;
	struct timespec nap = { .tv_nsec = 2000000 };
	int status = 0;
	pid_t r = 0;
	while (child->pid > 0 && monotonic_now() < end) {
		r = waitpid(child->pid, &status, WNOHANG);
		if (r != 0 && (r > 0 || errno != EINTR))
			break;
		nanosleep(&nap, NULL);
	}
	if (r > 0)
		child->pid = 0;
	return child->pid > 0 ? child_end(child) : status;
}

int child_end(struct child *child)
{
	int status = 0;
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	cleanup_fd(&child->out);
	cleanup_fd(&child->err);
	*child = (struct child){ .out = -1, .err = -1 };
	return status;
}

/*
 * The last line that begins with the program's name is the error; hints follow
 * it. The name is cut off, as the caller's message has it.
 */
static const char *error_line(char *text)
{
	const char *found = NULL, *last = text;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line != NULL;
			line = strtok_r(NULL, "\n", &save)) {
		const char *colon = strstr(line, ": ");
		last = line;
		if (strncmp(line, "qemu-", 5) == 0 && colon != NULL)
			found = colon + 2;
	}
	return found != NULL ? found : last;
}

char *child_message(const struct child *child, char *buf, size_t size)
{
	char text[MESSAGE_MAX + 1];
	size_t len = 0;
	ssize_t n;
	while (len < MESSAGE_MAX && child->err >= 0) {
		n = read(child->err, text + len, MESSAGE_MAX - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	return name_display(buf, size, error_line(text));
}

struct output {
	char *bytes;
	size_t len, room, max;
};

/* Room for N more bytes and a NUL. */
static int output_grow(struct output *output, size_t n)
{
	size_t want = output->len + n + 1;
	char *bytes;
	if (want <= output->room)
		return 0;
	want = want < 2 * output->room ? 2 * output->room : want;
	bytes = realloc(output->bytes, want);
	if (bytes == NULL)
		return -ENOMEM;
	output->bytes = bytes;
	output->room = want;
	return 0;
}

static int output_add(struct output *output, const char *program, const char *p,
		size_t n)
{
	if (n > output->max - output->len)
		return fail(-EIO, "the output of %s exceeds %zu bytes", program,
				output->max);
	if (output_grow(output, n))
		return -ENOMEM;
	memcpy(output->bytes + output->len, p, n);
	output->len += n;
	output->bytes[output->len] = '\0';
	return 0;
}

/* Reads the child's stdout to its end. */
static int collect(struct child *child, const char *program,
		struct output *output)
{
	double deadline = monotonic_now() + RUN_SECONDS;
	char buf[16384];
	int err = output_grow(output, 0);
	while (err == 0) {
		struct pollfd p = { .fd = child->out, .events = POLLIN };
		double left = deadline - monotonic_now();
		ssize_t n;
		int ready = left <= 0 ? 0 : poll(&p, 1, (int)(left * 1000) + 1);
		if (ready == 0)
			return fail(-ETIMEDOUT,
					"%s has not answered for a minute",
					program);
		if (ready < 0)
			continue; /* a signal; reading could block */
		n = read(child->out, buf, sizeof(buf));
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			return fail_errno(-errno, "reading the output of %s",
					program);
		if (n > 0)
			err = output_add(output, program, buf, (size_t)n);
	}
	return err;
}

/* A child that has closed its stdout is about to exit by itself. */
static int wait_for_end(struct child *child, const char *program)
{
	char why[MESSAGE_MAX];
	int status;
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	child->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	child_message(child, why, sizeof(why));
	if (WIFSIGNALED(status))
		return fail(-EIO, "%s was killed by signal %d", program,
				WTERMSIG(status));
	return fail(-EIO, "%s: %s", program,
			*why ? why : "failed without a message");
}

int child_run(char *const argv[], size_t max, char **out)
{
	struct output o = { .max = max };
	struct child c;
	int err = child_start(&c, argv, -1, true);
	if (err != 0)
		return err;
	err = collect(&c, argv[0], &o);
	if (err == 0)
		err = wait_for_end(&c, argv[0]);
	child_end(&c);
	if (err != 0) {
		free(o.bytes);
		return err;
	}
	*out = o.bytes != NULL ? o.bytes : strdup("");
	return *out != NULL ? 0 : -ENOMEM;
}
