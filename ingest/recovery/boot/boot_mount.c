/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The mount of a boot directory: amberfs-mount, started as from a shell. It
 * becomes a daemon by itself and returns when it is readable. A passphrase that
 * this process was given is passed through a pipe, so it is in no command line
 * and no environment.
 */
#include "boot_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/repository/credentials.h"
#include "repo/store/store.h"

#define PASSPHRASE_FD 3
#define ARGUMENTS_MAX 20
#define OPTIONS_TEXT_MAX (96 + 2 * OBJECT_NAME_MAX)

extern char **environ;

/* --- starting it --- */

/* Installed next to us; in the build tree in a sibling directory. */
static int find_program(char out[PATH_MAX])
{
	static const char *const places[] = { "amberfs-mount",
		"../fs/amberfs-mount", NULL };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return fail_errno(-errno, "finding amberfs-mount");
	self[n] = '\0';
	*(strrchr(self, '/') + 1) = '\0';
	for (int i = 0; places[i] != NULL; i++) {
		int len = snprintf(out, PATH_MAX, "%s%s", self, places[i]);
		if (len < PATH_MAX && access(out, X_OK) == 0)
			return 0;
	}
	return fail(-ENOENT,
			"there is no amberfs-mount next to %samberfs-ingest; "
			"is the installation complete?",
			self);
}

/* The read end of a pipe that holds TEXT and a newline. */
static int pipe_with(const char *text)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(-errno, "starting the mount");
	size_t len = strlen(text);
	/* A passphrase fits into a pipe. */
	bool ok = write(ends[1], text, len) == (ssize_t)len
			&& write(ends[1], "\n", 1) == 1;
	close(ends[1]);
	if (ok)
		return ends[0];
	close(ends[0]);
	return fail(-EIO, "starting the mount: cannot pass the passphrase");
}

struct command {
	char program[PATH_MAX];
	char options[OPTIONS_TEXT_MAX];
	char from_pipe[32];
	const char *argv[ARGUMENTS_MAX];
	int argc;
};

static void add(struct command *command, const char *option, const char *value)
{
	if (value == NULL)
		return;
	command->argv[command->argc++] = option;
	command->argv[command->argc++] = value;
}

/* A user who isn't root may allow others only if fuse.conf says so; there qemu
 * runs as the same user. */
static void fill_options(struct command *command,
		const struct boot_directory *dir)
{
	int n = snprintf(command->options, sizeof(command->options),
			"%suid=%u,gid=%u,noexec%s",
			dir->uid != geteuid() ? "allow_other," : "",
			(unsigned)dir->uid, (unsigned)dir->gid,
			dir->only != NULL ? ",snapshot=" : "");
	char *to = command->options + n;
	for (const char *at = dir->only; at != NULL && *at != '\0'; at++) {
		if (to > command->options + sizeof(command->options) - 3)
			break;
		if (*at == ',')
			*to++ = '\\';
		*to++ = *at;
	}
	*to = '\0';
}

static int fill_command(struct command *command,
		const struct boot_directory *dir, const char *repository,
		const struct repository_options *options, bool piped)
{
	int err = find_program(command->program);
	if (err < 0)
		return err;
	fill_options(command, dir);
	snprintf(command->from_pipe, sizeof(command->from_pipe), "/dev/fd/%d",
			PASSPHRASE_FD);
	command->argc = 0;
	command->argv[command->argc++] = "amberfs-mount";
	add(command, "--options", command->options);
	add(command, "--key-file", credentials_key_file(&options->credentials));
	add(command, "--passphrase-file",
			piped ? command->from_pipe
			      : credentials_passphrase_file(
					      &options->credentials));
	add(command, "--passphrase-command",
			credentials_passphrase_command(&options->credentials));
	add(command, "--index-dir", options->index_dir);
	command->argv[command->argc++] = "--";
	command->argv[command->argc++] = repository;
	command->argv[command->argc++] = dir->mount;
	command->argv[command->argc] = NULL;
	return 0;
}

static int spawn(struct command *command, int passphrase, pid_t *pid)
{
	posix_spawn_file_actions_t files;
	if (posix_spawn_file_actions_init(&files) != 0)
		return fail_no_memory("starting the mount");
	/* Our stdout is for results. */
	int err = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO,
			"/dev/null", O_WRONLY, 0);
	if (err == 0 && passphrase >= 0)
		err = posix_spawn_file_actions_adddup2(&files, passphrase,
				PASSPHRASE_FD);
	if (err == 0)
		err = posix_spawn(pid, command->program, &files, NULL,
				(char *const *)command->argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return err == 0 ? 0 : fail_errno(-err, "starting %s", command->program);
}

static int wait_for(pid_t pid, const struct boot_directory *dir)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(-errno, "waiting for the mount");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return fail(-EIO,
			"cannot mount the repository on %s (see the message of "
			"amberfs mount)",
			dir->mount);
}

int boot_mount_start(struct boot_directory *dir, const char *repository,
		const struct repository_options *options)
{
	struct command c;
	CLEANUP_FD int passphrase = -1;
	const char *text = credentials_text(&options->credentials);
	pid_t pid = 0;
	int err = boot_mount_active(dir);
	if (err != 0)
		return err < 0 ? err : 0;
	if (text != NULL) {
		passphrase = pipe_with(text);
		if (passphrase < 0)
			return passphrase;
	}
	err = fill_command(&c, dir, repository, options, text != NULL);
	if (err < 0)
		return err;
	err = spawn(&c, passphrase, &pid);
	return err < 0 ? err : wait_for(pid, dir);
}

/* --- is it there --- */

int boot_mount_active(const struct boot_directory *dir)
{
	struct statx st;
	if (statx(AT_FDCWD, dir->mount, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
			    STATX_TYPE, &st)
			== 0)
		return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
	if (errno == ENOENT)
		return 0;
	if (errno == EACCES)
		return 1; /* another user's mount, which we may not access */
	if (errno == ENOTCONN)
		return fail(-ENOTCONN,
				"the process that served the mount %s is gone",
				dir->mount);
	return fail_errno(-errno, "examining the mount %s", dir->mount);
}

/* --- the end --- */

/* Only root may call umount(2); fusermount3 does it for other users. */
static int unmount_as_user(const char *path)
{
	char option[] = "-u", quiet[] = "-q", program[] = "fusermount3";
	CLEANUP_FREE char *target = strdup(path);
	char *argv[] = { program, option, quiet, target, NULL };
	pid_t pid = 0;
	int status = 0;
	if (target == NULL)
		return fail_no_memory("unmounting");
	int err = posix_spawnp(&pid, program, NULL, NULL, argv, environ);
	if (err != 0)
		return fail_errno(-err, "starting fusermount3");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0 ? 0 : -EBUSY;
}

int boot_mount_end(struct boot_directory *dir)
{
	int err = boot_mount_active(dir);
	if (err == 0 || (err < 0 && err != -ENOTCONN))
		return err;
	if (geteuid() != 0)
		err = unmount_as_user(dir->mount);
	else
		err = umount2(dir->mount, UMOUNT_NOFOLLOW) == 0 ? 0 : -errno;
	if (err == -EBUSY)
		return fail(-EBUSY,
				"%s is still in use, so it stays mounted "
				"('fuser -vm %s' shows by whom)",
				dir->mount, dir->mount);
	return err < 0 ? fail_errno(err, "unmounting %s", dir->mount) : 0;
}
