/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mount says itself which process serves it (UNMOUNT_SERVED_BY on its root);
 * that is believed only as far as waiting for its end, and not for ever.
 */
#include "unmount.h"

#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/report.h"

#define END_SECONDS 60
#define EXIT_UMOUNT_FAILED 32 /* of umount(8) */

/* A file descriptor of the process; -1: not known (a mount of an older version,
 * or one that no longer answers). */
static int open_server(const char *path)
{
	char text[32] = "";
	ssize_t n = getxattr(path, UNMOUNT_SERVED_BY, text, sizeof(text) - 1);
	char *end = text;
	long pid = n > 0 ? strtol(text, &end, 10) : 0;
	return pid > 0 && *end == '\0' ? pidfd_open((pid_t)pid, 0) : -1;
}

static int wait_for_end(int pidfd, const char *path)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int ready;
	do
		ready = poll(&p, 1, END_SECONDS * 1000);
	while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return 0;
	return fail(-ETIMEDOUT,
			"%s is unmounted, but the program that served it is "
			"still at work after %d s",
			path, END_SECONDS);
}

/* An ordinary user's way: it is set-uid. */
static int run_fusermount(const char *path, bool lazy)
{
	char *argv[] = { (char *)"fusermount3", (char *)(lazy ? "-uz" : "-u"),
		(char *)path, NULL };
	int status = 0;
	pid_t pid;
	int err = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (err != 0)
		return fail_errno(-err, "running fusermount3");
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(-errno, "running fusermount3");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return fail(-EIO, "%s could not be unmounted", path);
}

static int detach(const char *path, bool lazy)
{
	int flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0);
	if (umount2(path, flags) == 0)
		return 0;
	if (errno == EPERM)
		return run_fusermount(path, lazy);
	if (errno == EINVAL)
		return fail(-EINVAL, "%s is not a mount", path);
	if (errno == EBUSY)
		return fail(-EBUSY,
				"%s is in use; 'fuser -vm %s' shows by whom, "
				"and --lazy unmounts it once nobody uses it",
				path, path);
	return fail_errno(-errno, "unmounting %s", path);
}

static int unmount(const char *name, bool lazy)
{
	/* The last link is followed by whoever asks, not by the kernel. */
	CLEANUP_FREE char *path = realpath(name, NULL);
	if (path == NULL && errno != ENOTCONN)
		return fail_errno(-errno, "unmounting %s", name);
	const char *mount = path != NULL ? path : name;
	CLEANUP_FD int server = open_server(mount);
	int err = detach(mount, lazy);
	return err < 0 || server < 0 || lazy ? err
					     : wait_for_end(server, mount);
}

int unmount_main(int argc, char **argv, bool helper)
{
	const struct report_options quiet = { .quiet = true };
	static const char *ignored_text;
	bool lazy = false, ignored = false;
	const struct option own[] = {
		{ "lazy", helper ? 'l' : 'z', OPTION_FLAG, &lazy, NULL,
				"now for new users, later for present ones; "
				"do not wait" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option of_umount[] = {
		{ "force", 'f', OPTION_FLAG, &ignored, NULL, "accepted" },
		{ "no-mtab", 'n', OPTION_FLAG, &ignored, NULL, "accepted" },
		{ "read-only", 'r', OPTION_FLAG, &ignored, NULL, "accepted" },
		{ "verbose", 'v', OPTION_FLAG, &ignored, NULL, "accepted" },
		{ "types", 't', OPTION_TEXT, &ignored_text, "TYPE",
				"accepted" },
		{ "namespace", 'N', OPTION_TEXT, &ignored_text, "NAMESPACE",
				"accepted" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *const tables[] = { own, helper ? of_umount : NULL,
		NULL };
	const struct command_line cl = {
		.program = helper ? "umount.fuse.amberfs" : "amberfs umount",
		.operands = "MNT",
		.purpose = "Unmount a repository and wait until the program "
			   "that served it has let it go.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &quiet);
	if (unmount(argv[1], lazy) == 0)
		return EXIT_DONE;
	report_error("%s", error_text(-EIO));
	return helper ? EXIT_UMOUNT_FAILED : EXIT_FAILED;
}
