/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * 1 a directory, the mount and the overlays in it  2 the guest  3 watching: is it
 * still there, what does it say  4 a picture  5 all of it away.
 * The guest has no network and none of the original's devices, files or sockets
 * (domain_adapt, isolated); the mount under its disks can't be written to.
 */
#include "prove_one.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "ingest/libvirt/transient_guest.h"
#include "ingest/recovery/boot/boot_files.h"
#include "prove_console.h"
#include "prove_directory.h"
#include "prove_screen.h"

#define LOOK_EVERY_US 250000
#define SCREEN_EVERY 2.0
/* Longer than boot menus count down, and than most firmware says the same. */
#define STILL_SECONDS 15.0
#define TAIL_LINES 8

const char *const prove_sign_names[SIGNS] = { "agent", "console", "screen" };

struct proof {
	const struct prove_options *o;
	const struct snapshot *snap;
	struct connection *connection;
	struct prove_result *out;
	struct prove_directory directory;
	struct transient_guest *guest;
	struct prove_console *console;
	struct prove_screen picture; /* the last one */
	double begin, still_since, next_picture;
	unsigned waiting;	/* SIGN_BIT()s that may still come */
};

static int out_of_memory(void)
{
	return fail_errno(-ENOMEM, "proving");
}

/* --- signs --- */

static bool agent_answers(struct proof *p)
{
	int err = transient_guest_agent(p->guest);

	if (err == -ENOTSUP)
		p->waiting &= ~SIGN_BIT(SIGN_AGENT);
	return err == 1;
}

static bool console_shows(struct proof *p)
{
	return prove_console_has(p->console, p->o->pattern);
}

static void take_picture(struct proof *p, double now)
{
	CLEANUP_FREE uint8_t *data = NULL;
	struct prove_screen new = { .pixels = NULL };
	size_t len = 0;

	p->next_picture = now + SCREEN_EVERY;
	if (transient_guest_screen(p->guest, &data, &len) < 0 ||
			prove_screen_read(&new, data, len) < 0)
		return;
	if (!prove_screen_same(&p->picture, &new))
		p->still_since = now;
	prove_screen_clear(&p->picture);
	p->picture = new;
}

static bool screen_is_still(struct proof *p)
{
	double now = monotonic_now();

	if (now >= p->next_picture)
		take_picture(p, now);
	return p->picture.pixels && now - p->still_since >= STILL_SECONDS &&
			!prove_screen_blank(&p->picture);
}

static bool has_sign(struct proof *p)
{
	static bool (*const looks[SIGNS])(struct proof *) = {
		[SIGN_AGENT] = agent_answers,
		[SIGN_CONSOLE] = console_shows,
		[SIGN_SCREEN] = screen_is_still,
	};

	for (int s = 0; s < SIGNS; s++)
		if ((p->waiting & SIGN_BIT(s)) && looks[s](p)) {
			p->out->up = true;
			p->out->by = (enum prove_sign)s;
			return true;
		}
	return false;
}

/* --- watching --- */

static const char *const ended_words =
		"it powered itself off, or crashed, before that";

/* Sets the text of why it did not come up. */
static int not_up(struct proof *p, const char *why)
{
	char names[64] = "";

	for (int s = 0; s < SIGNS; s++)
		if (p->o->accept & SIGN_BIT(s))
			snprintf(names + strlen(names),
					sizeof(names) - strlen(names), "%s%s",
					*names ? " or " : "",
					prove_sign_names[s]);
	return fail(-ETIMEDOUT, "no sign by %s: %s", names, why);
}

/* 1: it came up; 0: go on; -ETIMEDOUT: it won't, with the reason. */
static int look(struct proof *p)
{
	const char *why = NULL;
	int state = transient_guest_state(p->guest, &why);
	int err = prove_console_read(p->console);

	if (err)
		return err;
	if (state < 0)
		return state;
	/* What it said last counts, also if it has ended since. */
	if (has_sign(p))
		return 1;
	if (state == GUEST_ENDED)
		return not_up(p, ended_words);
	if (state == GUEST_STUCK)
		return not_up(p, why);
	if (!p->waiting)
		return fail(-ETIMEDOUT, "its definition has no channel for the "
				"guest agent; prove it by another sign (see "
				"--accept)");
	return 0;
}

static int watch(struct proof *p)
{
	char limit[SIZE_TEXT_MAX];
	char why[96];

	for (;;) {
		int err = look(p);

		p->out->seconds = monotonic_now() - p->begin;
		if (err != 0)
			return err < 0 ? err : 0;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (p->out->seconds >= p->o->timeout)
			break;
		usleep(LOOK_EVERY_US);
	}
	snprintf(why, sizeof(why), "it still runs, after %s (see --timeout)",
			age_format(limit, (int64_t)p->o->timeout));
	return not_up(p, why);
}

/* --- what is kept --- */

static int save_picture(struct proof *p)
{
	const char *name = p->snap->object + strlen("snapshots/");
	char *path = NULL;

	if (asprintf(&path, "%s/%s.png", p->o->picture_dir, name) < 0)
		return out_of_memory();
	/* SOURCE/TIME: one directory holds all. */
	*strrchr(path, '/') = '-';
	p->out->picture = path;
	return prove_screen_save(&p->picture, path);
}

/* It is for people: whether there is one decides nothing. */
static void keep_picture(struct proof *p)
{
	if (!p->o->picture_dir)
		return;
	take_picture(p, monotonic_now());
	if (p->picture.pixels && save_picture(p) < 0) {
		report_warning("%s", error_text(-EIO));
		free(take_ptr(p->out->picture));
	}
}

static int run(struct proof *p, const char *xml)
{
	struct error_copy why;
	int err = transient_guest_start(&p->guest, p->connection, xml);

	if (err)
		return err;
	p->begin = p->still_since = monotonic_now();
	err = watch(p);
	error_save(&why, err);
	if (err != -ECANCELED) {
		p->out->read = transient_guest_read(p->guest);
		keep_picture(p);
	}
	return error_load(&why);
}

/* --- from a snapshot to a guest --- */

static int boot(struct proof *p, char *console)
{
	struct boot_files f = { .place = &p->directory.place, .snap = p->snap,
		.adapt = { .name = p->directory.name, .isolated = true,
				.throw_away = true, .memory = p->o->memory,
				.console_file = console } };
	CLEANUP_FREE char *xml = NULL;
	int err = 0;

	f.place->only = p->snap->object + strlen("snapshots/");
	err = boot_mount_start(f.place, p->o->repository, &p->o->unlock);

	if (!err)
		err = boot_files_make(&f);
	if (!err)
		err = boot_files_definition(&f, &xml, &p->out->notes);
	boot_files_clear(&f);
	return err ? err : run(p, xml);
}

/* The guest first: it holds the mount's files. */
static int take_down(struct proof *p, int err)
{
	struct error_copy why;

	error_save(&why, err);
	err = transient_guest_end(p->guest);
	if (err < 0)
		report_warning("%s", error_text(err));
	err = prove_directory_remove(&p->directory);
	if (err < 0)
		report_warning("the next proof will remove what is left: %s",
				error_text(err));
	return error_load(&why);
}

static int prove(struct proof *p)
{
	CLEANUP_FREE char *console = NULL;
	int err = boot_files_check(p->snap, NULL);

	if (!err)
		err = prove_directory_make(&p->directory, p->o->scratch_dir,
				p->connection, &console);
	if (err)
		return err;
	err = prove_console_open(p->console, console);
	if (!err)
		err = boot(p, console);
	err = take_down(p, err);
	if (!p->out->up)
		p->out->console = prove_console_tail(p->console, TAIL_LINES);
	prove_console_close(p->console);
	return err;
}

int prove_one(struct prove_result *out, const struct prove_options *o,
		const struct snapshot *snap, struct connection *c)
{
	CLEANUP_FREE struct prove_console *console = calloc(1,
			sizeof(*console));
	struct proof p = { .o = o, .snap = snap, .connection = c, .out = out,
		.console = console, .waiting = o->accept };
	int err = 0;

	*out = (struct prove_result){ .up = false };
	if (!console)
		return out_of_memory();
	console->fd = -1;
	err = prove(&p);
	prove_screen_clear(&p.picture);
	if (err == 0 || err == -ECANCELED)
		return err;
	out->up = false;
	out->why = strdup(error_text(err));
	return out->why ? 0 : out_of_memory();
}

void prove_one_result_clear(struct prove_result *r)
{
	free(r->why);
	free(r->picture);
	free(r->notes);
	json_decref(r->console);
	*r = (struct prove_result){ .up = false };
}
