/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the index's process begins and ends; see helper.h. */
#include "helper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "repo/base/bytes.h"

enum { ARG_VERSION = 1, ARG_MODE, ARG_PARENT, ARG_FILES, ARGS = 8 };
#define FILES 4 /* channel, directory, lock, request */

/* A fault ends it, which tells the parent of damage: also where a sanitizer
 * would report it, as of a fault of ours. */
static void die_of_faults(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL,
		SIGABRT };
	struct sigaction sa = { .sa_handler = SIG_DFL };
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigaction(faults[i], &sa, NULL);
}

/* Terminal keys and SIGTERM reach the whole process group; the parent decides
 * about this process. */
static void ignore_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
		SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
	struct sigaction sa = { .sa_handler = SIG_IGN };
	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		sigaction(ignored[i], &sa, NULL);
}

/* Root keeps the right to its own files and no more: above all none to look
 * into the parent, which has the keys. */
static void drop_privileges(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	syscall(SYS_capset, &header, none);
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Keeps those alone: what the parent was given without close-on-exec may
 * carry locks and devices that must go when the parent goes. */
static void close_others(const int fds[FILES])
{
	int kept[FILES], null = open("/dev/null", O_RDWR);
	for (int fd = 0; fd < 3 && null >= 0; fd++)
		dup2(null, fd);
	memcpy(kept, fds, sizeof(kept));
	qsort(kept, FILES, sizeof(*kept), compare);
	unsigned at = 3;
	for (int i = 0; i < FILES; i++) {
		if (kept[i] < 3)
			continue;
		if ((unsigned)kept[i] > at)
			close_range(at, (unsigned)kept[i] - 1, 0);
		at = (unsigned)kept[i] + 1;
	}
	close_range(at, ~0u, 0);
}

static _Noreturn void not_ours(void)
{
	fputs("amberfs-index: amberfs starts this for its index; see 'amberfs "
	      "index --help'\n",
			stderr);
	_exit(WIRE_OTHER_VERSION);
}

void helper_begin(struct helper *helper, int argc, char **argv)
{
	int fds[FILES];
	if (argc != ARGS || strcmp(argv[ARG_VERSION], WIRE_VERSION) != 0)
		not_ours();
	for (int i = 0; i < FILES; i++)
		fds[i] = (int)strtol(argv[ARG_FILES + i], NULL, 10);
	*helper = (struct helper){ .mode = argv[ARG_MODE],
		.channel = fds[0],
		.lock = fds[2],
		.request = fds[3] };
	/* A writer is started by the thread that waits for it; a reader sees
	 * its channel end. */
	if (helper->lock >= 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != (pid_t)strtol(argv[ARG_PARENT], NULL, 10))
		_exit(0);
	prctl(PR_SET_NAME, "amberfs-index"); /* exec had a descriptor alone */
	drop_privileges();
	struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	die_of_faults();
	ignore_signals();
	close_others(fds);
	if (fchdir(fds[1]) < 0)
		_exit(1);
}

void helper_limit(uint64_t cpu_seconds)
{
	struct rlimit cpu;
	if (getrlimit(RLIMIT_CPU, &cpu) < 0)
		return;
	if (cpu.rlim_max == RLIM_INFINITY || cpu.rlim_max > cpu_seconds)
		cpu.rlim_cur = cpu_seconds;
	setrlimit(RLIMIT_CPU, &cpu);
}

void helper_alive(const struct helper *helper)
{
	/* Nobody is listening: the parent is dead, and so is the lock's
	 * owner. */
	if (write(helper->channel, "a", 1) < 0 && errno == EPIPE)
		_exit(0);
}

void helper_end(const struct helper *helper, int err)
{
	uint8_t answer[5] = { 'r' };
	put_le32(answer + 1, (uint32_t)-err);
	ssize_t n = write(helper->channel, answer, sizeof(answer));
	_exit(n == sizeof(answer) ? 0 : 1);
}
