/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a program prints while it works and at its end: warnings, verbose lines,
 * a progress bar on a terminal, JSON on stdout. One per process. Thread-safe:
 * any thread may call any function but report_setup.
 */
#ifndef AMBERFS_BASE_REPORT_H
#define AMBERFS_BASE_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "options.h"

struct report_options {
	bool json;    /* --json: one object on stdout, nothing else there */
	bool verbose; /* -v */
	bool quiet;   /* -q: no progress, not even on a terminal */
};

/* The rows --json, --verbose and --quiet for options_parse. OPTIONS is remembered. */
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
/* "PROGRAM: …" on stderr. */
void report_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* On stderr, only with -v. */
void report_verbose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* True if report_progress_begin shows anything. */
bool report_shows_progress(void);

/* A progress bar on stderr, drawn at most 5 times a second by a thread of its
 * own, only if stderr is a terminal and neither -q nor --json: what, percent,
 * bytes done of TOTAL, rate (over the last seconds), ETA, and EXTRA's text.
 * TOTAL 0: unknown. report_progress_begin starts a new bar for the next item. */
struct progress_numbers {
	uint64_t done, total;	      /* bytes, of the item under way */
	uint64_t all_done, all_total; /* bytes, of everything; 0: one item */
	uint64_t fresh; /* new bytes so far; UINT64_MAX: don't show */
};
typedef void progress_source(void *ctx, struct progress_numbers *now);
void report_progress_begin(const char *what, progress_source *source,
		void *ctx);
void report_progress_end(void); /* erases the bar and waits for its thread */

/* A path, or other bytes, for JSON: as they are if that is UTF-8, else as
 * printable() shows them. A new reference; NULL without memory. */
json_t *report_json_text(const char *text);

/* Prints OBJECT as indented JSON and a newline to stdout, and frees it.
 * Returns 0 or -errno (full disk, closed pipe). */
int report_print_json(json_t *object);

/* Flushes stdout; a failure is reported and turns DONE into FAILED. */
int report_finish(int status);

#endif
