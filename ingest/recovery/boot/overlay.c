/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs qemu-img on overlays; see overlay.h. Formats are always given. */
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ingest/libvirt/child.h"
#include "ingest/libvirt/qemu_user.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define INFO_MAX (1u << 20)
#define POLL_MS 200
#define PERCENT 100u

#define ARGUMENTS_MAX 24
#define LOCK_SECONDS 30.0
#define LOCK_PAUSE_NS 200000000L

/* --- qemu-img, as the right user --- */

struct command {
	char uid[24], gid[24];
	char *argv[ARGUMENTS_MAX];
	int argc;
};

static void command_clear(struct command *command)
{
	for (int i = 0; i < command->argc; i++)
		free(command->argv[i]);
}

static void add(struct command *command, const char *const *words)
{
	for (; *words != NULL; words++)
		command->argv[command->argc++] = strdup(*words);
}

/* WORDS, NULL-terminated, follow "qemu-img". */
static int command_make(struct command *command, const struct overlay *overlay,
		const char *const *words)
{
	static const char *const program[] = { "qemu-img", NULL };
	const char *const as[] = { "setpriv", "--reuid", command->uid,
		"--regid", command->gid, "--clear-groups", "--no-new-privs",
		"--", NULL };
	*command = (struct command){ .argc = 0 };
	snprintf(command->uid, sizeof(command->uid), "%u",
			(unsigned)overlay->uid);
	snprintf(command->gid, sizeof(command->gid), "%u",
			(unsigned)overlay->gid);
	if (geteuid() == 0 && overlay->uid != 0)
		add(command, as);
	add(command, program);
	add(command, words);
	for (int i = 0; i < command->argc; i++)
		if (command->argv[i] == NULL)
			return fail_no_memory("running qemu-img");
	return 0;
}

static int qemu_img(const struct overlay *overlay, const char *const *words,
		char **out)
{
	CLEANUP(command_clear) struct command c;
	int err = command_make(&c, overlay, words);
	if (err == 0)
		err = child_run(c.argv, INFO_MAX, out);
	if (err == -EIO && strstr(error_text(err), " lock") != NULL)
		err = fail_within(-EBUSY, "%s", overlay->path);
	return err < 0 && err != -EBUSY ? fail_within(err, "%s", overlay->path)
					: err;
}

/* A qemu-img of a killed run, or a qemu that has just exited, unlocks it
 * soon. */
static bool wait_for_lock(int e, double end)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	if (e != -EBUSY || interrupt_flag || monotonic_now() > end)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

/* --- short ones --- */

int overlay_has_backing(const struct overlay *overlay)
{
	const char *const words[] = { "info", "-U", "-f", "qcow2",
		"--output=json", overlay->path, NULL };
	CLEANUP_FREE char *out = NULL;
	int err = qemu_img(overlay, words, &out);
	if (err < 0)
		return err;
	json_t *info = json_loads(out, 0, NULL);
	bool has = json_object_get(info, "backing-filename") != NULL;
	bool understood = json_is_object(info);
	json_decref(info);
	if (!understood)
		return fail(-EIO,
				"%s: cannot parse the output of qemu-img info",
				overlay->path);
	return has;
}

int overlay_attach(const struct overlay *overlay, const char *backing)
{
	const char *const words[] = { "rebase", "-u", "-f", "qcow2", "-F",
		"raw", "-b", backing, overlay->path, NULL };
	double end = monotonic_now() + LOCK_SECONDS;
	int err;
	do {
		CLEANUP_FREE char *out = NULL;
		err = qemu_img(overlay, words, &out);
	} while (wait_for_lock(err, end));
	return err < 0 ? err : overlay_sync(overlay);
}

int overlay_chown(const struct overlay *overlay)
{
	CLEANUP_FD int fd =
			open(overlay->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", overlay->path);
	return qemu_user_chown(fd, overlay->path, overlay->uid, overlay->gid);
}

int overlay_sync(const struct overlay *overlay)
{
	CLEANUP_FD int fd =
			open(overlay->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "flushing %s", overlay->path);
	return 0;
}

/* --- the long one --- */

struct flatten {
	struct child child;
	_Atomic unsigned percent;
};

static void progress(void *ctx, struct progress_numbers *now)
{
	const struct flatten *flatten = ctx;
	now->done = flatten->percent;
	now->total = PERCENT;
	now->fresh = UINT64_MAX;
}

/* "    (12.34/100%)\r": the last number after a parenthesis. */
static void note_percent(struct flatten *flatten, const char *text)
{
	for (const char *at = strchr(text, '('); at != NULL;
			at = strchr(at + 1, '(')) {
		unsigned long n = strtoul(at + 1, NULL, 10);
		if (n <= PERCENT)
			flatten->percent = (unsigned)n;
	}
}

/* Reads until it closes its output, that is, until it exits. */
static int follow(struct flatten *flatten)
{
	char text[4096];
	for (;;) {
		struct pollfd p = { .fd = flatten->child.out,
			.events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		if (interrupt_flag)
			return fail(-ECANCELED,
					"interrupted; run the command again to "
					"continue");
		if (ready <= 0)
			continue;
		ssize_t n = read(flatten->child.out, text, sizeof(text) - 1);
		if (n == 0)
			return 0;
		if (n > 0) {
			text[n] = '\0';
			note_percent(flatten, text);
		}
	}
}

static int finish(struct child *child, const char *path)
{
	char why[1024];
	int status = 0;
	while (waitpid(child->pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(-errno, "waiting for qemu-img");
	child->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	child_message(child, why, sizeof(why));
	return fail(strstr(why, " lock") != NULL ? -EBUSY : -EIO, "%s: %s",
			path, *why ? why : "qemu-img failed");
}

static int flatten_once(const struct overlay *overlay, const char *what)
{
	const char *const words[] = { "rebase", "-p", "-f", "qcow2", "-b", "",
		overlay->path, NULL };
	CLEANUP(command_clear) struct command c;
	struct flatten f = { .percent = 0 };
	int err = command_make(&c, overlay, words);
	if (err < 0)
		return err;
	err = child_start(&f.child, c.argv, -1, true);
	if (err < 0)
		return err;
	report_progress_begin(what, progress, &f);
	err = follow(&f);
	if (err == 0)
		err = finish(&f.child, overlay->path);
	report_progress_end();
	child_end(&f.child);
	return err;
}

int overlay_flatten(const struct overlay *overlay, const char *what)
{
	double end = monotonic_now() + LOCK_SECONDS;
	int err;
	do
		err = flatten_once(overlay, what);
	while (wait_for_lock(err, end));
	return err < 0 ? err : overlay_sync(overlay);
}
