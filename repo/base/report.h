/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a program prints while it works and at its end: warnings, verbose lines,
 * a progress bar on a terminal, JSON on stdout. One per process. Thread-safe:
 * any thread may call any function but report_setup.
 */
#ifndef AMBERFS_BASE_REPORT_H
#define AMBERFS_BASE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "options.h"
#include "report_json.h"

struct report_options {
	bool json;    /* --json: one document on stdout, nothing else there */
	bool verbose; /* -v */
	bool quiet;   /* -q: no progress, not even on a terminal */
	const char *progress; /* --progress: "json", or NULL */
};

/* The rows --json, --verbose, --quiet and --progress for options_parse. OPTIONS is remembered. */
const struct option *report_option_table(struct report_options *options);

/* PROGRAM, e.g. "amberfs backup", goes before messages. */
void report_setup(const char *program, const struct report_options *options);

/* True if results are wanted as text: a terminal on stdout or -v, no --json.*/
bool report_wants_text(void);
/* True if the one line that sums up what was done is wanted: unless --json, or
 * --quiet without -v. */
bool report_wants_summary(void);
bool report_json(void);

/* "PROGRAM: warning: …" on stderr, above the progress bar. */
void report_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* "PROGRAM: error_text(err)" on stderr; --json has it in "errors", or as "error" if
 * all ended with it. OBJECT: see report_json_problem. The thread's text stays. */
void report_failure(int err, const char *object);
/* "PROGRAM: …" on stderr only: for what a document has in its own fields, and
 * for more lines on a failure. */
void report_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* On stderr, only with -v. */
void report_verbose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* True if report_progress_begin shows anything. */
bool report_shows_progress(void);

/* A progress bar on stderr, drawn at most 5 times a second by a thread of its
 * own, only if stderr is a terminal and neither -q nor --json: what, percent,
 * bytes done of TOTAL, rate (over the last seconds), ETA, and EXTRA's text.
 * With --progress=json, a line of JSON each second and at the end instead,
 * wherever stderr goes. TOTAL 0: unknown. report_progress_begin starts a new bar for the next item. */
struct progress_numbers {
	uint64_t done, total;	      /* bytes, of the item under way */
	uint64_t all_done, all_total; /* bytes, of everything; 0: one item */
	uint64_t fresh; /* new bytes so far; UINT64_MAX: don't show */
};
typedef void progress_source(void *ctx, struct progress_numbers *now);
void report_progress_begin(const char *what, progress_source *source,
		void *ctx);
void report_progress_end(void); /* erases the bar and waits for its thread */

#endif
