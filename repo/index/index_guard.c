/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Surviving a fault in the filter, which is mapped into memory: an access
 * beyond a file that was truncated since is a SIGBUS. While a thread is inside
 * index_guard_run() such a signal ends the guarded function; any other fault
 * goes to whoever handled the signal before.
 *
 * This does not undo what the function did: guarded code only reads the map
 * and holds no locks.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"

static _Thread_local sigjmp_buf *volatile landing;
static pthread_mutex_t arming = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction former_segv, former_bus; /* changed under arming */

/* Hands the signal to the handler that was there before. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
	const struct sigaction *old =
			sig == SIGBUS ? &former_bus : &former_segv;
	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, context);
		return;
	}
	if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
		return;
	}
	/* The default: a real fault happens again after the return. */
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigaction(sig, &dfl, NULL);
	if (info->si_code <= 0)
		raise(sig);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	/* A signal sent by a process (si_code <= 0) is not a fault. */
	if (landing != NULL && info->si_code > 0) {
		/* In case that the handler runs with signals blocked. */
		const ucontext_t *u = context;
		pthread_sigmask(SIG_SETMASK, &u->uc_sigmask, NULL);
		siglongjmp(*landing, 1);
	}
	pass_on(sig, info, context);
}

static void arm(int sig, struct sigaction *former)
{
	struct sigaction now;
	/* Not blocked while handled: the handler is left by a jump that does
	 * not restore the mask, which would cost a system call per look-up. */
	struct sigaction ours = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};
	sigemptyset(&ours.sa_mask);
	if (sigaction(sig, NULL, &now) < 0 || now.sa_sigaction == on_fault)
		return;
	*former = now;
	sigaction(sig, &ours, NULL);
}

void index_guard_arm(void)
{
	LOCK_SCOPE(&arming);
	arm(SIGSEGV, &former_segv);
	arm(SIGBUS, &former_bus);
}

int index_guard_run(int (*fn)(void *arg), void *arg)
{
	sigjmp_buf here;
	sigjmp_buf *volatile outer = landing;
	if (sigsetjmp(here, 0) != 0) {
		landing = outer;
		return -EFAULT;
	}
	landing = &here;
	int err = fn(arg);
	landing = outer;
	return err;
}
