/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: no link that another user can make leads anywhere, also
 * while a second process puts links and files in each other's place as fast as
 * it can; links that only we can have made do. FOREIGN_ROUNDS: how often. */
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "directory.h"

#define ROUNDS 5000
#define OTHER 65534

/*
 *	secret/file	what must not be reached, nor anything made beside it
 *	open/		others can make entries here:
 *	open/a/file, open/b -> secret, open/f, open/g -> secret/file
 */
struct fixture {
	char top[DIRECTORY_MAX];
	char path[PATH_MAX];
};

static const char *in(struct fixture *fixture, const char *name)
{
	snprintf(fixture->path, sizeof(fixture->path), "%s/%s", fixture->top,
			name);
	return fixture->path;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void make_link(struct fixture *fixture, const char *to, const char *name)
{
	char target[PATH_MAX];
	snprintf(target, sizeof(target), "%s", in(fixture, to));
	assert_int_equal(symlink(target, in(fixture, name)), 0);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	assert_int_equal(directory_make(fixture->top, "foreign"), 0);
	assert_int_equal(mkdir(in(fixture, "secret"), 0755), 0);
	write_file(in(fixture, "secret/file"), "secret");
	assert_int_equal(mkdir(in(fixture, "open"), 0755), 0);
	assert_int_equal(mkdir(in(fixture, "open/a"), 0755), 0);
	write_file(in(fixture, "open/a/file"), "theirs");
	write_file(in(fixture, "open/f"), "theirs");
	make_link(fixture, "secret", "open/b");
	make_link(fixture, "secret/file", "open/g");
	assert_int_equal(chmod(in(fixture, "open"), 0777), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	int err = directory_remove(fixture->top);
	free(fixture);
	return err;
}

/* --- one process --- */

static int open_at(struct fixture *fixture, const char *name)
{
	int fd = foreign_path_open(in(fixture, name), O_RDONLY);
	return fd < 0 ? fd : close(fd);
}

static void test_links_of_others(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;
	assert_int_equal(open_at(fixture, "open/a/file"), 0);
	assert_int_equal(open_at(fixture, "open/b/file"), -ELOOP);
	assert_int_equal(open_at(fixture, "open/g"), -ELOOP);
	assert_int_equal(foreign_path_stat(in(fixture, "open/g"), &st), -ELOOP);
	char *leaf = NULL;
	assert_int_equal(foreign_path_parent(in(fixture, "open/g"), &leaf),
			-ELOOP);
	assert_null(leaf);
	/* Nor any below, whoever's directory that is. */
	make_link(fixture, "secret/file", "open/a/link");
	assert_int_equal(open_at(fixture, "open/a/link"), -ELOOP);
	assert_int_equal(open_at(fixture, "secret/../open/g"), -ELOOP);
	/* A link of ours to there changes nothing. */
	make_link(fixture, "open", "way");
	assert_int_equal(open_at(fixture, "way/f"), 0);
	assert_int_equal(open_at(fixture, "way/g"), -ELOOP);
}

static void test_links_of_ours(void **state)
{
	struct fixture *fixture = *state;
	char *leaf = NULL;
	make_link(fixture, "secret", "way");
	assert_int_equal(symlink("way/file", in(fixture, "one")), 0);
	assert_int_equal(symlink("./one", in(fixture, "two")), 0);
	assert_int_equal(symlink("way/new", in(fixture, "dangling")), 0);
	assert_int_equal(symlink("loop", in(fixture, "loop")), 0);
	assert_int_equal(open_at(fixture, "way/file"), 0);
	assert_int_equal(open_at(fixture, "two"), 0);
	assert_int_equal(open_at(fixture, "way/../two"), 0);
	assert_int_equal(open_at(fixture, "loop"), -ELOOP);
	assert_int_equal(open_at(fixture, "dangling"), -ENOENT);
	int fd = foreign_path_parent(in(fixture, "dangling"), &leaf);
	assert_true(fd >= 0);
	assert_string_equal(leaf, "new");
	assert_int_equal(faccessat(fd, "file", F_OK, 0), 0);
	close(fd);
	free(leaf);
	/* In a sticky directory others can't replace ours. */
	assert_int_equal(mkdir(in(fixture, "tmp"), 0755), 0);
	make_link(fixture, "secret/file", "tmp/ours");
	assert_int_equal(chmod(in(fixture, "tmp"), 01777), 0);
	assert_int_equal(open_at(fixture, "tmp/ours"), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(lchown(in(fixture, "tmp/ours"), OTHER, OTHER), 0);
	assert_int_equal(open_at(fixture, "tmp/ours"), -ELOOP);
	/* root may not follow a user's links, nor a group's. */
	assert_int_equal(chmod(fixture->top, 0770), 0);
	assert_int_equal(open_at(fixture, "way/file"), -ELOOP);
	assert_int_equal(chmod(fixture->top, 0755), 0);
	assert_int_equal(chown(fixture->top, OTHER, OTHER), 0);
	assert_int_equal(open_at(fixture, "way/file"), -ELOOP);
}

static void test_whose(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;
	assert_true(foreign_path_is_ours(in(fixture, "secret")));
	assert_false(foreign_path_is_ours(in(fixture, "open")));
	assert_false(foreign_path_is_ours(in(fixture, "open/a")));
	assert_true(foreign_path_is_ours(in(fixture, "not/there")));
	assert_false(foreign_path_is_ours(in(fixture, "open/not/there")));
	assert_false(foreign_path_is_ours(in(fixture, "secret/file")));
	if (geteuid() != 0)
		return;
	/* A directory made in a user's is that user's, a hard link is none of
	 * theirs. */
	assert_int_equal(mkdir(in(fixture, "user"), 0755), 0);
	char *old = strdup(in(fixture, "secret/file"));
	assert_int_equal(link(old, in(fixture, "user/file")), 0);
	free(old);
	assert_int_equal(open_at(fixture, "user/file"), 0);
	assert_int_equal(chown(in(fixture, "user"), OTHER, OTHER), 0);
	assert_int_equal(open_at(fixture, "user/file"), -EPERM);
	for (int i = 0; i < 2; i++) {
		int above = foreign_path_open(in(fixture,
							      i ? "secret"
								: "user"),
				O_RDONLY | O_DIRECTORY);
		int fd = foreign_path_make_directory(above, "new");
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_uid, i ? 0 : OTHER);
		assert_int_equal(st.st_mode & 07777, i ? 0711 : 0700);
		close(fd);
		close(above);
	}
}

/* --- against another --- */

static void exchange(const char *a, const char *b)
{
	renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

static pid_t start_swapping(struct fixture *fixture)
{
	pid_t parent = getpid(), pid = fork();
	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	char *paths[4];
	const char *names[] = { "open/a", "open/b", "open/f", "open/g" };
	for (int i = 0; i < 4; i++)
		paths[i] = strdup(in(fixture, names[i]));
	while (getppid() == parent) {
		exchange(paths[0], paths[1]);
		exchange(paths[2], paths[3]);
	}
	_exit(0);
}

/* 1: it was theirs; 0: it could not be had. */
static int read_theirs(const char *path)
{
	char text[7] = "";
	CLEANUP_FD int fd = foreign_path_open(path, O_RDONLY);
	if (fd < 0) {
		if (fd != -ELOOP && fd != -ENOTDIR)
			fail_msg("%s", error_text(fd));
		return 0;
	}
	assert_int_equal(read(fd, text, 6), 6);
	assert_string_equal(text, "theirs");
	return 1;
}

static void make_in(const char *path)
{
	CLEANUP_FREE char *leaf = NULL;
	CLEANUP_FD int above = foreign_path_parent(path, &leaf);
	CLEANUP_FD int fd = above < 0
			? above
			: foreign_path_make_directory(above, leaf);
	if (fd >= 0)
		assert_int_equal(unlinkat(above, leaf, AT_REMOVEDIR), 0);
}

static void test_races(void **state)
{
	struct fixture *fixture = *state;
	const char *wanted = getenv("FOREIGN_ROUNDS");
	long rounds = wanted != NULL ? strtol(wanted, NULL, 10) : ROUNDS;
	char *names[4] = { strdup(in(fixture, "open/a/file")),
		strdup(in(fixture, "open/f")), strdup(in(fixture, "open/g")),
		strdup(in(fixture, "open/a/new")) };
	long had = 0, not_had = 0;
	struct stat st;
	pid_t pid = start_swapping(fixture);
	for (long i = 0; i < rounds; i++) {
		if (read_theirs(names[i % 3]))
			had++;
		else
			not_had++;
		make_in(names[3]);
		if (foreign_path_stat(names[i % 3], &st) == 0)
			assert_true(S_ISREG(st.st_mode));
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	/* Both were seen: they did race. */
	assert_true(had > 0);
	assert_true(not_had > 0);
	assert_int_equal(stat(in(fixture, "secret"), &st), 0);
	assert_int_equal(st.st_nlink, 2);
	for (int i = 0; i < 4; i++)
		free(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links_of_others, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_links_of_ours, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_whose, setup, teardown),
		cmocka_unit_test_setup_teardown(test_races, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
