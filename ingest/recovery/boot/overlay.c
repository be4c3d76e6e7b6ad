/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qemu-img on overlays; see overlay.h. Formats are always said. */
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "ingest/libvirt/child.h"
#include "ingest/libvirt/qemu_user.h"

#define INFO_MAX (1u << 20)
#define POLL_MS 200
#define PERCENT 100u

#define ARGUMENTS_MAX 24
#define LOCK_SECONDS 30.0
#define LOCK_PAUSE_NS 200000000L

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "running qemu-img");
}

/* --- qemu-img, as the right user --- */

struct command {
	char uid[24], gid[24];
	char *argv[ARGUMENTS_MAX];
	int argc;
};

static void command_clear(struct command *c)
{
	for (int i = 0; i < c->argc; i++)
		free(c->argv[i]);
}

static void add(struct command *c, const char *const *words)
{
	for (; *words != NULL; words++)
		c->argv[c->argc++] = strdup(*words);
}

/* WORDS, NULL-ended, come after "qemu-img". */
static int command_make(struct command *c, const struct overlay *o,
		const char *const *words)
{
	static const char *const program[] = { "qemu-img", NULL };
	const char *const as[] = { "setpriv", "--reuid", c->uid, "--regid",
		c->gid, "--clear-groups", "--no-new-privs", "--", NULL };
	*c = (struct command){ .argc = 0 };
	snprintf(c->uid, sizeof(c->uid), "%u", (unsigned)o->uid);
	snprintf(c->gid, sizeof(c->gid), "%u", (unsigned)o->gid);
	if (geteuid() == 0 && o->uid != 0)
		add(c, as);
	add(c, program);
	add(c, words);
	for (int i = 0; i < c->argc; i++)
		if (c->argv[i] == NULL)
			return no_memory();
	return 0;
}

static int qemu_img(const struct overlay *o, const char *const *words,
		char **out)
{
	CLEANUP(command_clear) struct command c;
	int err = command_make(&c, o, words);
	if (err == 0)
		err = child_run(c.argv, INFO_MAX, out);
	if (err == -EIO && strstr(error_text(err), " lock") != NULL)
		err = fail_within(-EBUSY, "%s", o->path);
	return err < 0 && err != -EBUSY ? fail_within(err, "%s", o->path) : err;
}

/* A qemu-img of a killed run, or a qemu that has just ended, lets go soon. */
static bool wait_for_lock(int e, double end)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	if (e != -EBUSY || interrupt_flag || monotonic_now() > end)
		return false;
	nanosleep(&pause, NULL);
	return true;
}

/* --- short ones --- */

int overlay_has_backing(const struct overlay *o)
{
	const char *const words[] = { "info", "-U", "-f", "qcow2",
		"--output=json", o->path, NULL };
	CLEANUP_FREE char *out = NULL;
	int err = qemu_img(o, words, &out);
	if (err < 0)
		return err;
	json_t *info = json_loads(out, 0, NULL);
	bool has = json_object_get(info, "backing-filename") != NULL;
	bool understood = json_is_object(info);
	json_decref(info);
	if (!understood)
		return fail(-EIO, "%s: qemu-img describes it in a way that "
				"amberfs does not understand", o->path);
	return has;
}

int overlay_attach(const struct overlay *o, const char *backing)
{
	const char *const words[] = { "rebase", "-u", "-f", "qcow2", "-F", "raw",
		"-b", backing, o->path, NULL };
	double end = monotonic_now() + LOCK_SECONDS;
	int err;
	do {
		CLEANUP_FREE char *out = NULL;
		err = qemu_img(o, words, &out);
	} while (wait_for_lock(err, end));
	return err < 0 ? err : overlay_sync(o);
}

int overlay_chown(const struct overlay *o)
{
	CLEANUP_FD int fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", o->path);
	return qemu_user_chown(fd, o->path, o->uid, o->gid);
}

int overlay_sync(const struct overlay *o)
{
	CLEANUP_FD int fd = open(o->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "fsync of %s", o->path);
	return 0;
}

/* --- the long one --- */

struct flatten {
	struct child child;
	_Atomic unsigned percent;
};

static void progress(void *ctx, struct progress_numbers *now)
{
	const struct flatten *f = ctx;
	now->done = f->percent;
	now->total = PERCENT;
	now->fresh = UINT64_MAX;
}

/* "    (12.34/100%)\r": the last number after a parenthesis. */
static void note_percent(struct flatten *f, const char *text)
{
	for (const char *at = strchr(text, '('); at; at = strchr(at + 1, '(')) {
		unsigned long n = strtoul(at + 1, NULL, 10);
		if (n <= PERCENT)
			f->percent = (unsigned)n;
	}
}

/* Until it closes its output, which it does when it ends. */
static int follow(struct flatten *f)
{
	char text[4096];
	for (;;) {
		struct pollfd p = { .fd = f->child.out, .events = POLLIN };
		int ready = poll(&p, 1, POLL_MS);
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted; run it again to go "
					"on");
		if (ready <= 0)
			continue;
		ssize_t n = read(f->child.out, text, sizeof(text) - 1);
		if (n == 0)
			return 0;
		if (n > 0) {
			text[n] = '\0';
			note_percent(f, text);
		}
	}
}

static int finish(struct child *c, const char *path)
{
	char why[1024];
	int status = 0;
	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_errno(-errno, "waiting for qemu-img");
	c->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	child_message(c, why, sizeof(why));
	return fail(strstr(why, " lock") ? -EBUSY : -EIO, "%s: %s", path,
			*why ? why : "qemu-img failed");
}

static int flatten_once(const struct overlay *o, const char *what)
{
	const char *const words[] = { "rebase", "-p", "-f", "qcow2", "-b", "",
		o->path, NULL };
	CLEANUP(command_clear) struct command c;
	struct flatten f = { .percent = 0 };
	int err = command_make(&c, o, words);
	if (err == 0)
		err = child_start(&f.child, c.argv, -1, true);
	if (err < 0)
		return err;
	report_progress_begin(what, progress, &f);
	err = follow(&f);
	if (err == 0)
		err = finish(&f.child, o->path);
	report_progress_end();
	child_end(&f.child);
	return err;
}

int overlay_flatten(const struct overlay *o, const char *what)
{
	double end = monotonic_now() + LOCK_SECONDS;
	int err;
	do
		err = flatten_once(o, what);
	while (wait_for_lock(err, end));
	return err < 0 ? err : overlay_sync(o);
}
