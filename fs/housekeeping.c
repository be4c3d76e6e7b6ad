/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One thread, woken by signals (signalfd), by the rest of the program (a pipe)
 * and by time. It holds no lock while it tells the kernel of changed names:
 * the kernel then waits for look-ups in that directory, which other threads
 * answer.
 *
 * A signal is obeyed here and not in a handler, because the loop must go on
 * answering until this thread is out of its last notification; only then is
 * the loop told to end.
 */
#include "housekeeping.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"

/* How often names are looked at; less often where that takes long, so that
 * it never takes more than a fiftieth of the time. */
#define REFRESH_SECONDS 2.0
#define REFRESH_SHARE 50.0

#define WORD_STARTED 's'
#define WORD_ENDED 'e'

struct housekeeping {
	struct housekeeping_job job;
	pthread_t thread, loop_thread;
	int signals, words, speak; /* signalfd, pipe's two ends */
	bool ended;		   /* atomic: the loop has returned */
};

static void ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
}

void housekeeping_block_signals(void)
{
	sigset_t set;
	ending_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* --- finishing the mount --- */

/* The kernel reads 128 KiB ahead by default, which halves the speed of a single
 * reader. An ordinary user can't change that, which is only slower. */
static void set_readahead(const struct housekeeping *housekeeping)
{
	char path[80], text[32];
	struct stat st;
	if (stat(housekeeping->job.mountpoint, &st) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
			major(st.st_dev), minor(st.st_dev));
	int len = snprintf(text, sizeof(text), "%ju",
			(uintmax_t)(housekeeping->job.fs->options->readahead
					/ KIB));
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Best effort, as said above. */
	ssize_t n = write(fd, text, (size_t)len);
	(void)n;
}

/* --- names --- */

static void tell_kernel(void *ctx, uint64_t parent, const char *name)
{
	struct housekeeping *housekeeping = ctx;
	/* It fails with ENOENT if the kernel has never seen the name. */
	fuse_lowlevel_notify_inval_entry(housekeeping->job.session, parent,
			name, strlen(name));
}

/* Returns how long to wait until the next time, in seconds. */
static double refresh(struct housekeeping *housekeeping)
{
	double started = monotonic_now();
	int err = tree_refresh(housekeeping->job.fs->tree, tell_kernel,
			housekeeping);
	if (err != 0)
		log_problem("listing snapshots: %s", error_text(err));
	error_clear();
	roots_tick(housekeeping->job.fs->roots);
	store_tidy(housekeeping->job.fs->repo->store);
	double took = monotonic_now() - started;
	return took * REFRESH_SHARE > REFRESH_SECONDS ? took * REFRESH_SHARE
						      : REFRESH_SECONDS;
}

/* --- the thread --- */

/* Wakes the loop, again and again in case it was just about to sleep. */
static void end_loop(struct housekeeping *housekeeping)
{
	fuse_session_exit(housekeeping->job.session);
	while (!__atomic_load_n(&housekeeping->ended, __ATOMIC_ACQUIRE)) {
		struct timespec pause = { .tv_nsec = 20000000 };
		pthread_kill(housekeeping->loop_thread, SIGUSR1);
		nanosleep(&pause, NULL);
	}
}

/* Waits for up to SECONDS. Returns a word of the program's, 0 for nothing, or
 * -1: a signal came. */
static int wait_for_word(struct housekeeping *housekeeping, double seconds)
{
	struct pollfd fds[2] = {
		{ .fd = housekeeping->signals, .events = POLLIN },
		{ .fd = housekeeping->words, .events = POLLIN },
	};
	char word;
	if (poll(fds, 2, (int)(seconds * 1000)) <= 0)
		return 0;
	if (fds[1].revents != 0 && read(housekeeping->words, &word, 1) == 1)
		return word;
	return fds[0].revents != 0 ? -1 : 0;
}

static void *keeper_main(void *arg)
{
	struct housekeeping *housekeeping = arg;
	double pause = REFRESH_SECONDS;
	bool started = false;
	for (;;) {
		switch (wait_for_word(housekeeping, pause)) {
		case WORD_STARTED:
			started = true;
			set_readahead(housekeeping);
			housekeeping->job.ready(housekeeping->job.ready_ctx);
			break;
		case WORD_ENDED:
			return NULL;
		case -1:
			end_loop(housekeeping);
			return NULL;
		default:
			if (started)
				pause = refresh(housekeeping);
			break;
		}
	}
}

static void wake_up(int sig __attribute__((unused)))
{
}

static int open_ears(struct housekeeping *housekeeping)
{
	struct sigaction wake = { .sa_handler = wake_up }; /* no SA_RESTART */
	sigset_t set;
	int ends[2];
	ending_signals(&set);
	housekeeping->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (housekeeping->signals < 0 || pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	housekeeping->words = ends[0];
	housekeeping->speak = ends[1];
	return sigaction(SIGUSR1, &wake, NULL) == 0 ? 0 : -errno;
}

static void keeper_free(struct housekeeping *housekeeping)
{
	cleanup_fd(&housekeeping->signals);
	cleanup_fd(&housekeeping->words);
	cleanup_fd(&housekeeping->speak);
	free(housekeeping);
}

int housekeeping_start(struct housekeeping **out,
		const struct housekeeping_job *job)
{
	struct housekeeping *housekeeping = calloc(1, sizeof(*housekeeping));
	if (housekeeping == NULL)
		return fail_no_memory("starting the mount");
	housekeeping->job = *job;
	housekeeping->signals = housekeeping->words = housekeeping->speak = -1;
	housekeeping->loop_thread = pthread_self();
	int err = open_ears(housekeeping);
	if (err == 0)
		err = -pthread_create(&housekeeping->thread, NULL, keeper_main,
				housekeeping);
	if (err != 0) {
		keeper_free(housekeeping);
		return fail_errno(err, "starting the mount");
	}
	*out = housekeeping;
	return 0;
}

static void say(struct housekeeping *housekeeping, char word)
{
	ssize_t n;
	do
		n = write(housekeeping->speak, &word, 1);
	while (n < 0 && errno == EINTR);
}

void housekeeping_started(struct housekeeping *housekeeping)
{
	say(housekeeping, WORD_STARTED);
}

void housekeeping_stop(struct housekeeping *housekeeping)
{
	if (housekeeping == NULL)
		return;
	__atomic_store_n(&housekeeping->ended, true, __ATOMIC_RELEASE);
	say(housekeeping, WORD_ENDED);
	pthread_join(housekeeping->thread, NULL);
	keeper_free(housekeeping);
}
