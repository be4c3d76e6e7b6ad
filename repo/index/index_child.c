/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Running a function in a child process within limits, so that neither a
 * damaged B-tree (crash, endless loop) nor a stuck disk reaches this process.
 *
 * The child is a fork of a threaded process: it has this one thread and may not
 * touch a lock that another thread might have held. It speaks over a pipe: one
 * 'a' now and then for "alive", at its end 'r' and its result. The pipe's end
 * of file tells of its death, so this works no matter who reaps the program's
 * children.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"

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

void index_child_alive(const struct child_channel *channel)
{
	/* Nobody is listening: the parent is dead, and so is the lock's
	 * owner. */
	if (write(channel->fd, "a", 1) < 0 && errno == EPIPE)
		_exit(0);
}

/* --- the child --- */

/* Terminal keys and SIGTERM reach the whole process group; the parent decides
 * about this process. Faults end it, without a core: it would hold the parent's
 * keys. */
static void child_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
		SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &sa, NULL);
	sa.sa_handler = SIG_IGN;
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_DUMPABLE, 0);
}

/* Keeps KEEP and MORE alone: descriptors of the parent's carry locks (leases,
 * LMDB's own) and devices that must go when the parent goes. */
static void child_files(int keep, int more)
{
	int null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		if (fd != keep && fd != more)
			dup2(null, fd);
	unsigned low = (unsigned)(keep < more ? keep : more);
	unsigned high = (unsigned)(keep < more ? more : keep);
	unsigned at = 3;
	if (low >= at) {
		if (low > at)
			close_range(at, low - 1, 0);
		at = low + 1;
	}
	if (high >= at) {
		if (high > at)
			close_range(at, high - 1, 0);
		at = high + 1;
	}
	close_range(at, ~0u, 0);
}

static void child_limits(uint64_t cpu_seconds)
{
	struct rlimit cpu;
	if (getrlimit(RLIMIT_CPU, &cpu) < 0)
		return;
	if (cpu.rlim_max == RLIM_INFINITY || cpu.rlim_max > cpu_seconds)
		cpu.rlim_cur = cpu_seconds;
	setrlimit(RLIMIT_CPU, &cpu);
}

static _Noreturn void child_main(int lock_fd, int pipe_fd, pid_t parent,
		child_fn *fn, void *ctx, uint64_t cpu_seconds)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	child_signals();
	child_files(lock_fd, pipe_fd);
	child_limits(cpu_seconds);

	struct child_channel voice = { .fd = pipe_fd };
	uint8_t answer[5] = { 'r' };
	put_le32(answer + 1, (uint32_t)-fn(ctx, &voice));
	ssize_t n = write(pipe_fd, answer, sizeof(answer));
	_exit(n == sizeof(answer) ? 0 : 1);
}

/* --- the parent --- */

struct child {
	pid_t pid;
	int fd; /* of the pipe */
	uint8_t answer[5];
	size_t answered; /* bytes of it */
};

/* 1: said something; 0: nothing there; -EPIPE: its end is closed. */
static int listen_to(struct child *child)
{
	uint8_t buf[256];
	ssize_t n = read(child->fd, buf, sizeof(buf));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -EPIPE;
	if (n == 0)
		return -EPIPE;
	for (ssize_t i = 0; i < n; i++)
		if ((child->answered > 0 || buf[i] == 'r')
				&& child->answered < sizeof(child->answer))
			child->answer[child->answered++] = buf[i];
	return 1;
}

/* Until the pipe closes or nothing was heard for too long. True: closed. */
static bool hear_out(struct child *child)
{
	uint64_t silent = 0, last = index_child_clock_ms();
	while (silent < index_tuning.silence_ms) {
		struct pollfd p = { .fd = child->fd, .events = POLLIN };
		int ready = poll(&p, 1, TICK_MS);
		int heard = ready > 0 ? listen_to(child) : 0;
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

static void sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_nsec = (long)ms * 1000000 };
	nanosleep(&ts, NULL);
}

/* The child's wait status; -1 if somebody else took it or it won't die. */
static int collect(pid_t pid)
{
	int status;
	for (unsigned waited = 0; waited < DEATH_MS; waited += 5) {
		pid_t r = waitpid(pid, &status, WNOHANG);
		if (r == pid)
			return status;
		if (r < 0 && errno != EINTR)
			return -1;
		sleep_ms(5);
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

static int outcome(struct child *child)
{
	bool closed = hear_out(child);
	if (!closed)
		kill(child->pid, SIGKILL);
	int status = collect(child->pid);
	if (child->answered == sizeof(child->answer)) {
		uint32_t err = get_le32(child->answer + 1);
		return err < 4096 ? -(int)err : -EBADMSG;
	}
	if (!closed)
		return -EAGAIN;
	return died_of_damage(status) ? -EBADMSG : -EAGAIN;
}

int index_child_run(int lock_fd, child_fn *fn, void *ctx, uint64_t cpu_seconds)
{
	int ends[2];
	sigset_t all, before;
	pid_t parent = getpid();
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;

	/* No handler of the parent's may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		child_main(lock_fd, ends[1], parent, fn, ctx, cpu_seconds);
	int err = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);

	close(ends[1]);
	int r = -err;
	if (pid > 0) {
		struct child c = { .pid = pid, .fd = ends[0] };
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		r = outcome(&c);
	}
	close(ends[0]);
	return r;
}
