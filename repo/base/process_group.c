/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "process_group.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "units.h"

/* Between SIGTERM and SIGKILL. */
#define GRACE_SECONDS 3.0
#define LOOK_NS 20000000

bool process_group_ended(pid_t leader)
{
	siginfo_t info = { .si_pid = 0 };
	return waitid(P_PID, (id_t)leader, &info, WEXITED | WNOHANG | WNOWAIT)
			== 0
			&& info.si_pid == leader;
}

void process_group_end(pid_t leader)
{
	const struct timespec look = { .tv_nsec = LOOK_NS };
	double end = monotonic_now() + GRACE_SECONDS;
	kill(-leader, SIGTERM);
	while (!process_group_ended(leader) && monotonic_now() < end)
		nanosleep(&look, NULL);
	kill(-leader, SIGKILL);
}
