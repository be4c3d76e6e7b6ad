/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "live_settle.h"

#include <errno.h>
#include <time.h>

#include "live_job.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define POLL_NS 500000000L

static int ask(struct domain_state *state)
{
	CLEANUP_FREE char *who = NULL;
	int err = job_owner_find(state->domain, state->current, &who);
	if (err < 0 || who == NULL)
		return err;
	return fail(-EBUSY, "it is busy with %s", who);
}

static void say_waiting(const struct domain_state *state, int err)
{
	char shown[256];
	report_verbose("domain %s: %s; waiting for it to end",
			name_display(shown, sizeof(shown), state->facts.name),
			error_text(err));
}

int live_settle_busy(const struct backup_options *options, int err)
{
	char text[SIZE_TEXT_MAX];
	struct error_copy who;
	error_save(&who, err);
	if (options->wait_seconds == 0)
		return fail(err,
				"%s; use --wait DURATION to wait until it ends",
				who.text);
	return fail(err, "%s, even after waiting %s", who.text,
			age_format(text, options->wait_seconds));
}

static int wait_for_others(struct domain_state *state,
		const struct backup_options *options, bool *waited)
{
	double end = monotonic_now() + (double)options->wait_seconds;
	struct timespec nap = { .tv_nsec = POLL_NS };
	int err = ask(state);
	if (err == -EBUSY && options->wait_seconds > 0)
		say_waiting(state, err);
	while (err == -EBUSY && monotonic_now() < end) {
		*waited = true;
		nanosleep(&nap, NULL);
		err = interrupt_flag ? fail(-ECANCELED, "interrupted")
				     : ask(state);
	}
	return err == -EBUSY ? live_settle_busy(options, err) : err;
}

int live_settle_wait(struct domain_state *state,
		const struct backup_options *options, bool *waited)
{
	*waited = false;
	int err = stale_jobs_end(state->connection, options->scratch_dir);
	if (err < 0)
		report_warning("%s", error_text(err));
	return wait_for_others(state, options, waited);
}
