/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs mount, and mount.amberfs for mount(8): command line, becoming a
 * daemon, and the order in which a mount is made and taken down.
 *
 * In the background the program forks once, first of all. The child opens the
 * repository (a passphrase is asked for on the terminal that is still its
 * own), mounts, waits until the kernel has answered, and only then leaves the
 * terminal and tells its parent, which the shell waits for, that all is well.
 */
#include "housekeeping.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/standard_descriptors.h"
#include "repo/repository/repository_name.h"
#include "repo/repository/secret_env.h"
#include "service.h"
#include "unmount.h"

#define MALLOC_ARENAS 4
#define STATUS_MOUNT_FAILED 32 /* mount(8)'s name for it */
#define FUSE_MAGIC 0x65735546

struct program {
	bool helper; /* called as mount.amberfs */
	bool foreground, fake, verbose, read_write, ignored;
	struct option_list lists; /* of -o */
	struct mount_options options;
	const char *repo;
	char *mountpoint; /* absolute, without links */
	int status_fd;	  /* to the waiting parent; -1: none */
	bool detached;	  /* stderr is gone */
};

static int exit_failed(const struct program *program)
{
	return program->helper ? STATUS_MOUNT_FAILED : EXIT_FAILED;
}

/* --- command line --- */

static const char notes[] = "Mount options: ro, allow_other, allow_root, "
			    "uid=, gid=, umask=,\n"
			    "noexec, cache_size=, readahead=, key_file=, "
			    "passphrase_file=,\n"
			    "passphrase_command=, index_dir=, snapshot=, "
			    "views=. Those of mount(8):\n"
			    "nodev, nosuid, noatime, auto, user, nofail, "
			    "_netdev, x-*\n\n"
			    "Unmount with: amberfs umount MNT\n"
			    "In /etc/fstab: REPO MNT amberfs "
			    "key_file=/root/amberfs.key,nofail 0 0";

static void check_operands(const struct command_line *line,
		struct program *program, char **argv)
{
	if (argv[1][0] == '\0' || argv[2][0] == '\0')
		options_error(line, "REPO and MNT can't be empty");
	program->repo = argv[1];
}

static void take_options(const struct command_line *line,
		struct program *program)
{
	for (int i = 0; i < program->lists.count; i++)
		if (mount_options_parse(&program->options,
				    program->lists.items[i])
				!= 0)
			options_error(line, "%s", error_text(-EINVAL));
	if (mount_options_check(&program->options) != 0)
		options_error(line, "%s", error_text(-EINVAL));
}

static void parse_direct(struct program *program, int argc, char **argv)
{
	struct mount_options *options = &program->options;
	const struct option own[] = {
		{ "options", 'o', OPTION_LIST, &program->lists, "LIST",
				"mount options, separated by commas" },
		{ "foreground", 'f', OPTION_FLAG, &program->foreground, NULL,
				"stay in the foreground, log to standard "
				"error" },
		{ "allow-other", 0, OPTION_FLAG, &options->allow_other, NULL,
				"allow all users access (root, or see "
				"fuse.conf)" },
		{ "cache-size", 0, OPTION_SIZE, &options->cache_size, "SIZE",
				"memory for decoded data (default: 256M)" },
		{ "readahead", 0, OPTION_SIZE, &options->readahead, "SIZE",
				"kernel read-ahead (default: 1M)" },
		{ 0 },
	};
	const struct option *const tables[] = { own,
		repository_option_table(&options->repository), NULL };
	const struct command_line cl = {
		.program = "amberfs mount",
		.operands = "REPO MNT",
		.purpose = "Show all snapshots of REPO as files under the "
			   "directory MNT, read-only.",
		.notes = notes,
		.tables = tables,
		.min_operands = 2,
		.max_operands = 2,
	};
	options_parse(&cl, argc, argv);
	check_operands(&cl, program, argv);
	take_options(&cl, program);
}

/* As mount(8) calls it: REPO MNT [-sfnvrw] [-N space] [-o list] [-t type]. */
static void parse_helper(struct program *program, int argc, char **argv)
{
	static const char *ignored_text;
	const struct option own[] = {
		{ "options", 'o', OPTION_LIST, &program->lists, "LIST",
				"mount options, separated by commas" },
		{ "sloppy", 's', OPTION_FLAG, &program->options.sloppy, NULL,
				"ignore unknown mount options" },
		{ "fake", 'f', OPTION_FLAG, &program->fake, NULL,
				"do everything except mounting" },
		{ "no-mtab", 'n', OPTION_FLAG, &program->ignored, NULL,
				"accepted" },
		{ "verbose", 'v', OPTION_FLAG, &program->verbose, NULL,
				"accepted" },
		{ "read-only", 'r', OPTION_FLAG, &program->ignored, NULL,
				"accepted: every mount is read-only" },
		{ "rw", 'w', OPTION_FLAG, &program->read_write, NULL,
				"refused" },
		{ "types", 't', OPTION_TEXT, &ignored_text, "TYPE",
				"accepted" },
		{ "namespace", 'N', OPTION_TEXT, &ignored_text, "NAMESPACE",
				"accepted" },
		{ 0 },
	};
	const struct option *const tables[] = { own, NULL };
	const struct command_line cl = {
		.program = "mount.amberfs",
		.operands = "REPO MNT",
		.purpose = "The helper that 'mount -t amberfs' runs; see "
			   "'amberfs mount'.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = 2,
	};
	program->options.by_mount = true;
	options_parse(&cl, argc, argv);
	check_operands(&cl, program, argv);
	if (program->read_write)
		options_error(&cl,
				"amberfs mounts are always read-only: "
				"remove -w");
	take_options(&cl, program);
	if (repository_name_resolve(&program->options.repository,
			    &program->repo)
			< 0) {
		report_error("%s", error_text(-EINVAL));
		exit(STATUS_MOUNT_FAILED);
	}
}

static bool called_as(const char *argv0, const char *name)
{
	const char *slash = strrchr(argv0, '/');
	return strcmp(slash == NULL ? argv0 : slash + 1, name) == 0;
}

/* --- the directory to mount on --- */

static int fail_mountpoint(int err, const char *path)
{
	if (err == -ENOTCONN)
		return fail(err,
				"%s: the program serving this mount has "
				"died; remove the mount with: fusermount3 -u "
				"-z %s",
				path, path);
	return fail_errno(err, "can't mount on %s", path);
}

static int find_mountpoint(struct program *program, const char *path)
{
	struct stat st;
	struct statfs fs;
	program->mountpoint = realpath(path, NULL);
	/* statfs reaches a dead mount where stat may be answered from a
	 * cache. */
	if (program->mountpoint == NULL || stat(program->mountpoint, &st) != 0
			|| statfs(program->mountpoint, &fs) != 0)
		return fail_mountpoint(-errno, path);
	if (!S_ISDIR(st.st_mode))
		return fail(-ENOTDIR,
				"can't mount on %s: it is not a directory",
				path);
	if (fs.f_type == FUSE_MAGIC && st.st_ino == INODE_ROOT)
		return fail(-EBUSY,
				"something is mounted on %s already; "
				"unmount it or choose another directory",
				path);
	return 0;
}

/* The daemon would wait for itself. */
static int check_not_inside(const struct program *program)
{
	CLEANUP_FREE char *repo = realpath(program->repo, NULL);
	size_t len = repo == NULL ? 0 : strlen(repo);
	if (repo == NULL || strncmp(program->mountpoint, repo, len) != 0
			|| (program->mountpoint[len] != '/'
					&& program->mountpoint[len] != '\0'))
		return 0;
	return fail(-EINVAL, "can't mount on %s: it is inside the repository",
			program->mountpoint);
}

/* --- becoming a daemon --- */

static void tell_parent(void *ctx)
{
	struct program *program = ctx;
	char done = EXIT_DONE;
	if (program->status_fd < 0)
		return;
	log_to_syslog();
	setsid();
	if (chdir("/") != 0)
		log_problem("chdir /: %s", strerror(errno));
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; fd <= 2 && null >= 0; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	/* A parent that is gone needs no answer. */
	ssize_t n = write(program->status_fd, &done, 1);
	(void)n;
	close(program->status_fd);
	program->status_fd = -1;
	program->detached = true;
}

/* The parent's part: waits for the child's status, or for its end. */
static int wait_for_child(const struct program *program, pid_t child, int fd)
{
	char status = EXIT_FAILED;
	int how = 0;
	ssize_t n;
	do
		n = read(fd, &status, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1)
		return status;
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(how))
		report_error("the program that serves the mount was killed "
			     "by signal %d (%s)",
				WTERMSIG(how), strsignal(WTERMSIG(how)));
	return WIFEXITED(how) && WEXITSTATUS(how) != 0 ? WEXITSTATUS(how)
						       : exit_failed(program);
}

/* --- */

static int run(struct program *program)
{
	struct service *service = NULL;
	struct error_copy why;
	int err = service_start(&service, program->repo, program->mountpoint,
			&program->options, tell_parent, program);
	if (err == 0)
		err = service_run(service);
	error_save(&why, err);
	service_stop(service);
	if (err != 0 && program->detached)
		log_problem("%s", why.text);
	else if (err != 0)
		report_error("%s", why.text);
	return err == 0 ? EXIT_DONE : exit_failed(program);
}

static int run_in_background(struct program *program)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) != 0) {
		report_error("can't make a pipe: %s", strerror(errno));
		return exit_failed(program);
	}
	pid_t child = fork();
	if (child < 0) {
		report_error("can't start a process: %s", strerror(errno));
		return exit_failed(program);
	}
	if (child > 0) {
		close(ends[1]);
		return wait_for_child(program, child, ends[0]);
	}
	close(ends[0]);
	program->status_fd = ends[1];
	return run(program);
}

int main(int argc, char **argv)
{
	static struct program p = { .status_fd = -1 };
	const struct report_options quiet = { .quiet = true };
	standard_descriptors_take();
	argv = options_take_arguments(argc, argv);
	mallopt(M_ARENA_MAX, MALLOC_ARENAS);
	p.helper = called_as(argv[0], "mount.amberfs");
	if (called_as(argv[0], "umount.fuse.amberfs"))
		return unmount_main(argc, argv, true);
	/* The amberfs program passes its own arguments on. */
	if (called_as(argv[0], "amberfs") && argc > 1
			&& strcmp(argv[1], "umount") == 0)
		return unmount_main(argc - 1, argv + 1, false);
	if (called_as(argv[0], "amberfs") && argc > 1
			&& strcmp(argv[1], "mount") == 0) {
		argv++;
		argc--;
	}
	report_setup(p.helper ? "mount.amberfs" : "amberfs mount", &quiet);
	mount_options_init(&p.options);
	if (p.helper)
		parse_helper(&p, argc, argv);
	else
		parse_direct(&p, argc, argv);
	int err = secret_env_take();
	if (err == 0)
		err = find_mountpoint(&p, argv[2]);
	if (err == 0)
		err = check_not_inside(&p);
	int status = EXIT_DONE;
	if (err != 0) {
		report_error("%s", error_text(err));
		status = exit_failed(&p);
	} else if (!p.fake) {
		status = p.foreground ? run(&p) : run_in_background(&p);
	}
	free(p.mountpoint);
	mount_options_clear(&p.options);
	return status;
}
