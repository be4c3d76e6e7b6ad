/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qemu-img on overlays; see overlay.h. Formats are always said. */
#include "overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "../../repo/base/cleanup.h"
#include "../../repo/base/error.h"
#include "../../repo/base/interrupt.h"
#include "../../repo/base/report.h"
#include "../../repo/base/units.h"
#include "../child.h"

#define INFO_MAX (1u << 20)
#define POLL_MS 200
#define PERCENT 100u

static int no_memory(void)
{
	return fail_errno(-ENOMEM, "running qemu-img");
}

int overlay_has_backing(const char *path)
{
	CLEANUP_FREE char *file = strdup(path);
	CLEANUP_FREE char *out = NULL;
	char program[] = "qemu-img", verb[] = "info", share[] = "-U",
	     f[] = "-f", format[] = "qcow2", json_option[] = "--output=json";
	char *argv[] = { program, verb, share, f, format, json_option, file,
		NULL };
	int e = file ? child_run(argv, INFO_MAX, &out) : no_memory();
	if (e < 0)
		return fail_within(e, "%s", path);
	json_t *info = json_loads(out, 0, NULL);
	bool has = json_object_get(info, "backing-filename") != NULL;
	bool understood = json_is_object(info);
	json_decref(info);
	if (!understood)
		return fail(-EIO, "%s: qemu-img describes it in a way that "
				"amberfs does not understand", path);
	return has;
}

int overlay_attach(const char *path, const char *backing)
{
	CLEANUP_FREE char *file = strdup(path);
	CLEANUP_FREE char *below = strdup(backing);
	CLEANUP_FREE char *out = NULL;
	char program[] = "qemu-img", verb[] = "rebase", unsafe[] = "-u",
	     f[] = "-f", format[] = "qcow2", F[] = "-F", raw[] = "raw",
	     b[] = "-b";
	char *argv[] = { program, verb, unsafe, f, format, F, raw, b, below,
		file, NULL };
	int e = file && below ? child_run(argv, INFO_MAX, &out) : no_memory();
	return e < 0 ? fail_within(e, "%s", path) : overlay_sync(path);
}

int overlay_sync(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fail_errno(-errno, "fsync of %s", path);
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

int overlay_flatten(const char *path, const char *what)
{
	struct flatten f = { .percent = 0 };
	CLEANUP_FREE char *file = strdup(path);
	char program[] = "qemu-img", verb[] = "rebase", show[] = "-p",
	     option_f[] = "-f", format[] = "qcow2", b[] = "-b", none[] = "";
	char *argv[] = { program, verb, show, option_f, format, b, none, file,
		NULL };
	int e = file ? child_start(&f.child, argv, -1, true) : no_memory();
	if (e < 0)
		return e;
	progress_begin(what, progress, &f);
	e = follow(&f);
	if (e == 0)
		e = finish(&f.child, path);
	progress_end();
	child_end(&f.child);
	return e < 0 ? e : overlay_sync(path);
}
