/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs forget --prune: starts this program once more. It opens the
 * repository anew, so nothing of forget's session stands in prune's way.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <fcntl.h>

#include "../base/cleanup.h"
#include "forget.h"

#define WORDS_MAX 24

struct words {
	const char *items[WORDS_MAX];
	size_t count;
};

static void add_word(struct words *w, const char *word)
{
	w->items[w->count++] = word;
	w->items[w->count] = NULL;
}

static void add_option(struct words *w, const char *name, const char *value)
{
	if (value == NULL)
		return;
	add_word(w, name);
	add_word(w, value);
}

static void make_words(struct words *w, const char *path,
		const struct common_options *o)
{
	const struct credentials *c = &o->repository.credentials;
	*w = (struct words){ .count = 0 };
	add_word(w, "amberfs");
	add_word(w, "prune");
	add_option(w, "--key-file", c->key_file);
	add_option(w, "--passphrase-file", c->passphrase_file);
	add_option(w, "--passphrase-command", c->passphrase_command);
	add_option(w, "--index-dir", o->repository.index_dir);
	if (o->report.json)
		add_word(w, "--json");
	if (o->report.verbose)
		add_word(w, "--verbose");
	if (o->report.quiet)
		add_word(w, "--quiet");
	add_word(w, "--");
	add_word(w, path);
}

/* TO: what becomes its standard output; -1: ours. */
static int start(pid_t *pid, const struct words *w, int to)
{
	posix_spawn_file_actions_t actions;
	char *argv[WORDS_MAX];
	for (size_t i = 0; i <= w->count; i++)
		argv[i] = (char *)w->items[i];
	int e = posix_spawn_file_actions_init(&actions);
	if (e != 0)
		return e;
	if (to >= 0)
		e = posix_spawn_file_actions_adddup2(&actions, to, 1);
	if (e == 0)
		e = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv,
				environ);
	posix_spawn_file_actions_destroy(&actions);
	return e;
}

static int wait_for_it(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	report_error("prune was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	return EXIT_FAILED;
}

int forget_prune(const char *path, const struct common_options *o,
		json_t **result)
{
	struct words w;
	int ends[2] = { -1, -1 };
	pid_t pid = 0;
	make_words(&w, path, o);
	*result = NULL;
	fflush(stdout);
	int e = o->report.json && pipe2(ends, O_CLOEXEC) < 0 ? errno : 0;
	CLEANUP_FD int from = ends[0];
	CLEANUP_FD int to = ends[1];
	if (e == 0)
		e = start(&pid, &w, to);
	if (e != 0) {
		report_error("can't start amberfs prune: %s", strerror(e));
		return EXIT_FAILED;
	}
	if (to >= 0) {
		json_error_t error;
		close(take_fd(&to));
		*result = json_loadfd(from, 0, &error);
	}
	return wait_for_it(pid);
}
