/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qemu-img check: its exit status is all that is asked for. */
#include "image_check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/format/name.h"

#define STATUS_CORRUPT 2 /* of qemu-img check; 3: clusters leaked, no harm */
#define POLL_MS 200
#define EXIT_SECONDS 5

/* A line for each error: all are read, as it would wait otherwise. */
static int drain(const struct child *child)
{
	char buf[4096];
	for (;;) {
		struct pollfd p = { .fd = child->err, .events = POLLIN };
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (poll(&p, 1, POLL_MS) <= 0)
			continue;
		ssize_t n = read(child->err, buf, sizeof(buf));
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
			return 0;
	}
}

/* *CORRUPT stays as it is where the check can't be made. */
static int run_check(const struct chain_file *file, bool *corrupt)
{
	CLEANUP_FREE char *name = chain_file_node(file);
	char *argv[] = { (char *)"qemu-img", (char *)"check", (char *)"-q",
		(char *)"--force-share", name, NULL };
	struct child child;
	if (name == NULL)
		return -ENOMEM;
	int err = child_start(&child, argv, -1, false);
	if (err < 0) {
		report_verbose("checking an image: %s", error_text(err));
		return err == -ENOMEM ? err : 0;
	}
	err = drain(&child);
	if (err < 0) {
		child_end(&child);
		return err;
	}
	int status = child_wait(&child, EXIT_SECONDS);
	*corrupt = WIFEXITED(status) && WEXITSTATUS(status) == STATUS_CORRUPT;
	child_end(&child);
	return 0;
}

static bool is_marked(const struct chain_file *file)
{
	json_t *specific = json_object_get(file->info, "format-specific");
	json_t *data = json_object_get(specific, "data");
	return json_is_true(json_object_get(data, "corrupt"));
}

/* An image whose reference counts are written late has wrong ones after a
 * crash: that is no damage. */
static bool can_be_checked(const struct chain_file *file)
{
	return strcmp(file->format, "raw") != 0 && !file->encrypted
			&& !json_is_true(json_object_get(file->info,
					"dirty-flag"));
}

static int check_file(const struct chain_file *file, bool at_rest,
		char **damage)
{
	char shown[512];
	const char *found = NULL;
	bool corrupt = false;
	int err = 0;
	if (is_marked(file))
		found = "is marked as corrupt by qemu";
	else if (at_rest && can_be_checked(file))
		err = run_check(file, &corrupt);
	if (corrupt)
		found = "is damaged: qemu-img check finds errors in it";
	if (err < 0 || found == NULL)
		return err;
	if (asprintf(damage, "%s %s; what it has lost reads as zeros",
			    name_display(shown, sizeof(shown), file->path),
			    found)
			>= 0)
		return 0;
	*damage = NULL;
	return fail_no_memory("checking an image");
}

int image_check_chain(const struct chain *chain, bool at_rest, char **damage)
{
	int err = 0;
	*damage = NULL;
	for (unsigned i = 0; err == 0 && *damage == NULL && i < chain->count;
			i++)
		err = check_file(&chain->files[i], at_rest, damage);
	return err;
}
