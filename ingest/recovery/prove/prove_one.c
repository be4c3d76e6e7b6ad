/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 *	1 the directory with the mount and the overlays
 *	2 the guest is started
 *	3 it is watched, and its console and screen are checked for signs
 *	4 a screenshot
 *	5 everything is removed
 *
 * The guest has no network and none of the original's devices, files or sockets
 * (domain_adapt, isolated); the mount under its disks can't be written to.
 */
#include "prove_one.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ingest/libvirt/transient_guest.h"
#include "ingest/recovery/boot/boot_files.h"
#include "prove_console.h"
#include "prove_directory.h"
#include "prove_screen.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define LOOK_EVERY_US 250000
#define SCREEN_EVERY 2.0
/* Longer than boot menus count down and most firmware shows the same screen. */
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
	struct prove_screen picture; /* the previous one */
	double begin, still_since, next_picture;
	unsigned waiting;      /* SIGN_BIT()s that may still appear */
	_Atomic uint64_t read; /* bytes so far, for the progress */
};

/* --- signs --- */

static bool agent_answers(struct proof *proof)
{
	int err = transient_guest_agent(proof->guest);
	if (err == -ENOTSUP)
		proof->waiting &= ~SIGN_BIT(SIGN_AGENT);
	return err == 1;
}

static bool console_shows(struct proof *proof)
{
	return prove_console_has(proof->console, proof->o->pattern);
}

static void take_picture(struct proof *proof, double now)
{
	CLEANUP_FREE uint8_t *data = NULL;
	struct prove_screen new = { .pixels = NULL };
	size_t len = 0;
	proof->next_picture = now + SCREEN_EVERY;
	if (transient_guest_screen(proof->guest, &data, &len) < 0
			|| prove_screen_read(&new, data, len) < 0)
		return;
	if (!prove_screen_same(&proof->picture, &new))
		proof->still_since = now;
	prove_screen_clear(&proof->picture);
	proof->picture = new;
}

static bool screen_is_still(const struct proof *proof)
{
	return proof->picture.pixels != NULL
			&& monotonic_now() - proof->still_since >= STILL_SECONDS
			&& !prove_screen_blank(&proof->picture);
}

static bool has_read_enough(struct proof *proof)
{
	return transient_guest_read(proof->guest) >= proof->o->screen_read;
}

/* What a firmware without a system shows stands still, too. */
static bool screen_proves(struct proof *proof)
{
	double now = monotonic_now();
	if (now >= proof->next_picture)
		take_picture(proof, now);
	return screen_is_still(proof) && !prove_screen_is_text(&proof->picture)
			&& has_read_enough(proof);
}

static bool has_sign(struct proof *proof)
{
	static bool (*const looks[SIGNS])(struct proof *) = {
		[SIGN_AGENT] = agent_answers,
		[SIGN_CONSOLE] = console_shows,
		[SIGN_SCREEN] = screen_proves,
	};
	for (int s = 0; s < SIGNS; s++)
		if ((proof->waiting & SIGN_BIT(s)) && looks[s](proof)) {
			proof->out->up = true;
			proof->out->by = (enum prove_sign)s;
			return true;
		}
	return false;
}

/* --- watching --- */

static const char *const ended_words = "it powered off or crashed before";

/* Sets the reason why it did not come up. */
static int not_up(struct proof *proof, const char *why)
{
	char names[64] = "";
	for (int s = 0; s < SIGNS; s++)
		if (proof->o->accept & SIGN_BIT(s))
			snprintf(names + strlen(names),
					sizeof(names) - strlen(names), "%s%s",
					*names ? " or " : "",
					prove_sign_names[s]);
	return fail(-ETIMEDOUT, "no sign from %s: %s", names, why);
}

/* At the end: a screen that stands still without proving anything. */
static int not_proven(struct proof *proof)
{
	char read[SIZE_TEXT_MAX], least[SIZE_TEXT_MAX];
	proof->out->unproven = true;
	if (!has_read_enough(proof))
		return fail(-ETIMEDOUT,
				"its screen stands still, but it has read only "
				"%s from its disks, less than %s (see "
				"--screen-read)",
				size_format(read,
						transient_guest_read(
								proof->guest)),
				size_format(least, proof->o->screen_read));
	return fail(-ETIMEDOUT,
			"its screen stands still in the firmware's text mode, "
			"where a failed start looks the same; accept another "
			"sign (see --accept), or look at its screen "
			"(--picture-dir)");
}

/* 1: it came up; 0: keep waiting; -ETIMEDOUT: it won't, with the reason. */
static int look(struct proof *proof)
{
	const char *why = NULL;
	int state = transient_guest_state(proof->guest, &why);
	int err = prove_console_read(proof->console);
	if (err != 0)
		return err;
	if (state < 0)
		return state;
	/* Its last output counts, even if it has ended since. */
	if (has_sign(proof))
		return 1;
	if (state == GUEST_ENDED)
		return not_up(proof, ended_words);
	if (state == GUEST_STUCK)
		return not_up(proof, why);
	if (!proof->waiting)
		return fail(-ETIMEDOUT,
				"its definition has no channel for the guest "
				"agent; accept another sign (see --accept)");
	return 0;
}

static void get_progress(void *ctx, struct progress_numbers *now)
{
	struct proof *proof = ctx;
	now->done = proof->read;
	now->fresh = UINT64_MAX;
}

static int watch(struct proof *proof)
{
	char limit[SIZE_TEXT_MAX];
	char why[96];
	for (;;) {
		int err = look(proof);
		proof->out->seconds = monotonic_now() - proof->begin;
		if (report_shows_progress())
			proof->read = transient_guest_read(proof->guest);
		if (err != 0)
			return err < 0 ? err : 0;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		if (proof->out->seconds >= proof->o->timeout)
			break;
		usleep(LOOK_EVERY_US);
	}
	if ((proof->waiting & SIGN_BIT(SIGN_SCREEN)) && screen_is_still(proof))
		return not_proven(proof);
	snprintf(why, sizeof(why),
			"it is still running after %s (see --timeout)",
			age_format(limit, (int64_t)proof->o->timeout));
	return not_up(proof, why);
}

/* --- what is kept --- */

static int save_picture(struct proof *proof)
{
	const char *name = proof->snap->object + strlen("snapshots/");
	char *path = NULL;
	if (asprintf(&path, "%s/%s.png", proof->o->picture_dir, name) < 0)
		return fail_no_memory("proving the snapshot");
	/* SOURCE/TIME without the slash: all go into one directory. */
	*strrchr(path, '/') = '-';
	proof->out->picture = path;
	return prove_screen_save(&proof->picture, path);
}

/* It is for people: a failure here is not a failure of the proof. */
static void keep_picture(struct proof *proof)
{
	if (proof->o->picture_dir == NULL)
		return;
	take_picture(proof, monotonic_now());
	if (proof->picture.pixels != NULL && save_picture(proof) < 0) {
		report_warning("%s", error_text(-EIO));
		free(take_ptr(proof->out->picture));
	}
}

static int run(struct proof *proof, const char *xml)
{
	struct error_copy why;
	char doing[512 + SNAPSHOT_SHOWN_MAX], name[SNAPSHOT_SHOWN_MAX];
	int err = transient_guest_start(&proof->guest, proof->connection, xml);
	if (err != 0)
		return err;
	proof->begin = proof->still_since = monotonic_now();
	snprintf(doing, sizeof(doing), "%s: booted, reading",
			snapshot_shown(name, proof->snap->object));
	report_progress_begin(doing, get_progress, proof);
	err = watch(proof);
	report_progress_end();
	error_save(&why, err);
	if (err != -ECANCELED) {
		proof->out->read = transient_guest_read(proof->guest);
		keep_picture(proof);
	}
	return error_load(&why);
}

/* --- from a snapshot to a guest --- */

static int boot(struct proof *proof, char *console)
{
	struct boot_files f = { .place = &proof->directory.place,
		.snap = proof->snap,
		.adapt = { .name = proof->directory.name,
				.isolated = true,
				.throw_away = true,
				.memory = proof->o->memory,
				.console_file = console } };
	CLEANUP_FREE char *xml = NULL;
	int err = 0;
	f.place->only = proof->snap->object + strlen("snapshots/");
	err = boot_mount_start(f.place, proof->o->repository,
			&proof->o->unlock);

	if (err == 0)
		err = boot_files_make(&f);
	if (err == 0)
		err = boot_files_definition(&f, &xml, &proof->out->notes);
	boot_files_clear(&f);
	return err != 0 ? err : run(proof, xml);
}

/* The guest first: it has the mount's files open. */
static int take_down(struct proof *proof, int err)
{
	struct error_copy why;
	error_save(&why, err);
	err = transient_guest_end(proof->guest);
	if (err < 0)
		report_warning("%s", error_text(err));
	err = prove_directory_remove(&proof->directory);
	if (err < 0)
		report_warning("cannot clean up, the next run will: %s",
				error_text(err));
	return error_load(&why);
}

static int prove(struct proof *proof)
{
	CLEANUP_FREE char *console = NULL;
	int err = boot_files_check(proof->snap, NULL);
	if (err != 0)
		return err;
	err = prove_directory_make(&proof->directory, proof->o->scratch_dir,
			proof->connection, &console);
	if (err != 0)
		return err;
	err = prove_console_open(proof->console, console);
	if (err == 0)
		err = boot(proof, console);
	err = take_down(proof, err);
	if (!proof->out->up)
		proof->out->console =
				prove_console_tail(proof->console, TAIL_LINES);
	prove_console_close(proof->console);
	return err;
}

int prove_one(struct prove_result *out, const struct prove_options *options,
		const struct snapshot *snap, struct connection *conn)
{
	CLEANUP_FREE struct prove_console *console =
			calloc(1, sizeof(*console));
	struct proof p = { .o = options,
		.snap = snap,
		.connection = conn,
		.out = out,
		.console = console,
		.waiting = options->accept };
	int err = 0;
	*out = (struct prove_result){ .up = false };
	if (console == NULL)
		return fail_no_memory("proving the snapshot");
	console->fd = -1;
	err = prove(&p);
	prove_screen_clear(&p.picture);
	if (err == 0 || err == -ECANCELED)
		return err;
	out->up = false;
	out->why = strdup(error_text(err));
	return out->why != NULL ? 0 : fail_no_memory("proving the snapshot");
}

void prove_one_result_clear(struct prove_result *result)
{
	free(result->why);
	free(result->picture);
	free(result->notes);
	json_decref(result->console);
	*result = (struct prove_result){ .up = false };
}
