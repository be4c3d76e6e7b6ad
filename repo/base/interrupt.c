/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "interrupt.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "bytes.h"
#include "options.h"

static_assert(ATOMIC_INT_LOCK_FREE == 2, "a signal handler may set it");

_Atomic sig_atomic_t interrupt_flag;

static void on_signal(int number)
{
	interrupt_flag = number;
}

void interrupt_setup(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction act = { .sa_handler = on_signal,
		.sa_flags = (int)SA_RESETHAND };
	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction old;
		/* What the caller ignores (nohup) stays ignored. */
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

int interrupt_status(int status)
{
	return interrupt_flag && status != EXIT_DONE ? EXIT_INTERRUPTED
						     : status;
}
