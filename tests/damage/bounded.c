/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * damage-bounded SECONDS REPORT PROGRAM ARGUMENT…: runs the program, kills it
 * after SECONDS, and writes to the file REPORT how it ended and how much memory
 * it had at its peak: "exit N KIB", "signal N KIB" or "late 0 KIB".
 *
 * A program of its own because the kernel counts as a process's peak also what
 * it was before exec: here that is next to nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile pid_t child;
static volatile sig_atomic_t late;

static void on_alarm(int signal)
{
	(void)signal;
	late = 1;
	kill(child, SIGKILL);
}

static void die(const char *what)
{
	perror(what);
	exit(125);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_alarm,
		.sa_flags = SA_RESTART };
	struct rusage usage;
	int status;
	if (argc < 4) {
		fprintf(stderr,
				"usage: damage-bounded SECONDS REPORT "
				"PROGRAM...\n");
		return 125;
	}
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		execvp(argv[3], argv + 3);
		die(argv[3]);
	}
	sigaction(SIGALRM, &action, NULL);
	alarm((unsigned)strtoul(argv[1], NULL, 10));
	if (wait4(child, &status, 0, &usage) < 0)
		die("wait4");
	FILE *f = fopen(argv[2], "we");
	if (f == NULL)
		die(argv[2]);
	if (late)
		fprintf(f, "late 0 %ld\n", usage.ru_maxrss);
	else if (WIFSIGNALED(status))
		fprintf(f, "signal %d %ld\n", WTERMSIG(status),
				usage.ru_maxrss);
	else
		fprintf(f, "exit %d %ld\n", WEXITSTATUS(status),
				usage.ru_maxrss);
	return fclose(f) == 0 ? 0 : 125;
}
