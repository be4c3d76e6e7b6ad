/* SPDX-License-Identifier: GPL-3.0-or-later */
/* SIGINT, SIGTERM and SIGHUP as a flag that long operations check; a second one
 * ends the process at once. */
#ifndef AMBERFS_BASE_INTERRUPT_H
#define AMBERFS_BASE_INTERRUPT_H

#include <signal.h>

/* Also ignores SIGPIPE: a closed pipe is an error of write(2). */
void interrupt_setup(void);

/* The signal's number once one came, else 0. Any thread may look. */
extern _Atomic sig_atomic_t interrupt_flag;

/* What a program exits with that would exit with STATUS: EXIT_INTERRUPTED if a
 * signal kept it from being done. */
int interrupt_status(int status);

#endif
