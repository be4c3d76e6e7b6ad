/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Child processes that lead a process group of their own, so that they can be
 * ended with all that they have started. */
#ifndef AMBERFS_BASE_PROCESS_GROUP_H
#define AMBERFS_BASE_PROCESS_GROUP_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether LEADER has ended. It is not reaped, so that its process id stays its
 * own. */
bool process_group_ended(pid_t leader);

/* SIGTERM to all, and SIGKILL when LEADER has ended, or after 3 s. LEADER is
 * left to be reaped. */
void process_group_end(pid_t leader);

#endif
