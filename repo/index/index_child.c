/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running amberfs-index within limits, so that neither a damaged or forged
 * B-tree (crash, endless loop) nor a stuck disk reaches this process, and what
 * such a tree may do to the process that reads it is done where no keys are.
 *
 * One that writes speaks over its channel: one 'a' now and then for "alive", at
 * its end 'r' and its result. The channel's end of file tells of its death, so
 * this works no matter who reaps the program's children.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "index_internal.h"
#include "index_wire.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* Longer pauses between two looks at the clock are not counted: this process
 * was stopped or starved then, and the child perhaps with it. */
#define TICK_MS 100
#define TICK_MAX_MS 250
/* How long a killed child is waited for; one that sleeps in the kernel keeps
 * its copy of the lock until it is gone. */
#define DEATH_MS 2000

uint64_t index_child_clock_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* --- starting it --- */

extern char **environ;

#define PROGRAM "amberfs-index"

/* Installed next to the others, or in libexec; in the build tree in its own
 * directory. */
static int find_program(char out[PATH_MAX])
{
	static const char *const places[] = { PROGRAM, "../index/" PROGRAM,
		"../repo/index/" PROGRAM, "../../repo/index/" PROGRAM };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	for (size_t i = 0; slash != NULL && i < ARRAY_SIZE(places); i++) {
		int len = snprintf(out, PATH_MAX, "%.*s/%s",
				(int)(slash - self), self, places[i]);
		if (len < PATH_MAX && access(out, X_OK) == 0)
			return 0;
	}
	snprintf(out, PATH_MAX, "%s/" PROGRAM, AMBERFS_LIBEXECDIR);
	return access(out, X_OK) == 0 ? 0 : -errno;
}

int index_child_find(struct index_place *place)
{
	char path[PATH_MAX];
	int err = find_program(path);
	if (err == 0)
		place->program = open(path, O_RDONLY | O_CLOEXEC);
	if (place->program < 0)
		return fail_errno(err < 0 ? err : -errno,
				"can't start %s (is the installation "
				"complete?)",
				path);
	return 0;
}

/* What the linker and the sanitizers (and the fault tests) read. Nothing else:
 * a passphrase command may have its secret from the environment. */
static bool passed_on(const char *entry)
{
	static const char *const prefixes[] = { "LD_", "ASAN_", "LSAN_",
		"TSAN_", "UBSAN_", "SHIM_" };
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
			return true;
	return false;
}

static char **make_environment(void)
{
	size_t all = 0, n = 0;
	while (environ != NULL && environ[all] != NULL)
		all++;
	char **out = calloc(all + 1, sizeof(*out));
	for (size_t i = 0; out != NULL && i < all; i++)
		if (passed_on(environ[i]))
			out[n++] = environ[i];
	return out;
}

static int spawn(pid_t *pid, const struct index_place *place, const char *mode,
		const int fds[INDEX_CHILD_FILES])
{
	char program[32], numbers[INDEX_CHILD_FILES + 1][16];
	const char *argv[] = { PROGRAM, WIRE_VERSION, mode, numbers[0],
		numbers[1], numbers[2], numbers[3], numbers[4], NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	snprintf(program, sizeof(program), "/proc/self/fd/%d", place->program);
	snprintf(numbers[0], sizeof(numbers[0]), "%d", (int)getpid());
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < INDEX_CHILD_FILES; i++) {
		snprintf(numbers[i + 1], sizeof(numbers[0]), "%d", fds[i]);
		/* Onto itself: no longer closed by exec. */
		if (fds[i] >= 0)
			posix_spawn_file_actions_adddup2(&files, fds[i],
					fds[i]);
	}
	posix_spawnattr_init(&how);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawnattr_setflags(&how,
			POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	char **environment = make_environment();
	int err = environment == NULL
			? ENOMEM
			: posix_spawn(pid, program, &files, &how, (char **)argv,
					environment);
	free(environment);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return -err;
}

int index_child_start(struct index_child *child,
		const struct index_place *place, const char *mode, int lock,
		int request)
{
	int ends[2];
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	const int fds[INDEX_CHILD_FILES] = { ends[1], place->dir, lock,
		request };
	int err = spawn(&child->pid, place, mode, fds);
	close(ends[1]);
	if (err < 0)
		close(ends[0]);
	else
		child->fd = ends[0];
	return err;
}

/* --- the parent --- */

struct hearing {
	struct index_child child;
	uint8_t answer[5];
	size_t answered; /* bytes of it */
};

/* 1: said something; 0: nothing there; -EPIPE: its end is closed. */
static int listen_to(struct hearing *hearing)
{
	uint8_t buf[256];
	ssize_t n = recv(hearing->child.fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -EPIPE;
	if (n == 0)
		return -EPIPE;
	for (ssize_t i = 0; i < n; i++)
		if ((hearing->answered > 0 || buf[i] == 'r')
				&& hearing->answered < sizeof(hearing->answer))
			hearing->answer[hearing->answered++] = buf[i];
	return 1;
}

/* Until the pipe closes or nothing was heard for too long. True: closed. */
static bool hear_out(struct hearing *hearing)
{
	uint64_t silent = 0, last = index_child_clock_ms();
	while (silent < index_tuning.silence_ms) {
		struct pollfd p = { .fd = hearing->child.fd, .events = POLLIN };
		int ready = poll(&p, 1, TICK_MS);
		int heard = ready > 0 ? listen_to(hearing) : 0;
		if (heard < 0)
			return true;
		uint64_t now = index_child_clock_ms();
		silent += min_u64(now - last, TICK_MAX_MS);
		last = now;
		if (heard > 0)
			silent = 0;
	}
	return false;
}

/* The child's wait status; -1 if somebody else took it or it won't die. */
static int collect(pid_t pid)
{
	int status;
	struct timespec pause = { .tv_nsec = 200000 };
	uint64_t start = index_child_clock_ms();
	while (index_child_clock_ms() - start < DEATH_MS) {
		pid_t r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			return status;
		if (r < 0 && errno != EINTR)
			return -1;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 5000000)
			pause.tv_nsec *= 2;
	}
	return -1;
}

/* Faults and exhausted time point to the index; a plain SIGKILL comes from a
 * user or the OOM killer, and LMDB survives that. */
static bool died_of_damage(int status)
{
	if (status == -1 || !WIFSIGNALED(status))
		return true;
	switch (WTERMSIG(status)) {
	case SIGKILL:
	case SIGALRM:
	case SIGUSR1:
	case SIGUSR2:
		return false;
	default:
		return true;
	}
}

static int judge(int status)
{
	if (status != -1 && WIFEXITED(status)
			&& WEXITSTATUS(status) == WIRE_OTHER_VERSION)
		return -EPROTO;
	return died_of_damage(status) ? -EBADMSG : -EAGAIN;
}

int index_child_end(struct index_child *child, bool kill_it)
{
	struct pollfd p = { .fd = child->fd, .events = POLLIN };
	if (kill_it)
		kill(child->pid, SIGKILL);
	/* Its end of the channel closes when it goes. */
	shutdown(child->fd, SHUT_WR);
	if (poll(&p, 1, DEATH_MS) <= 0)
		kill(child->pid, SIGKILL);
	close(child->fd);
	int status = collect(child->pid);
	return status == 0 ? 0 : judge(status);
}

static int outcome(struct hearing *hearing)
{
	bool closed = hear_out(hearing);
	if (!closed)
		kill(hearing->child.pid, SIGKILL);
	close(hearing->child.fd);
	int status = collect(hearing->child.pid);
	if (hearing->answered == sizeof(hearing->answer)) {
		uint32_t err = get_le32(hearing->answer + 1);
		return err < 4096 ? -(int)err : -EBADMSG;
	}
	return closed ? judge(status) : -EAGAIN;
}

int index_child_run(const struct index_place *place, int lock, int request)
{
	struct hearing hearing = { .answered = 0 };
	int err = index_child_start(&hearing.child, place, WIRE_WRITE, lock,
			request);
	return err < 0 ? err : outcome(&hearing);
}
