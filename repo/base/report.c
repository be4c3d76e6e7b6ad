/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The program's output. All lines to stderr go through one mutex, which also
 * guards what is known of the terminal's last line: a message erases the bar
 * first, and the bar's thread draws it again at its next turn.
 *
 * The work is never slowed: it only counts; the bar's thread asks for the
 * numbers when it is about to draw. They are asked for without the mutex, so a
 * source may itself report. Order of locks: life, then voice.
 */
#include "report.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "cleanup.h"
#include "error.h"
#include "options.h"
#include "printable.h"
#include "units.h"

#define DRAWS_PER_SECOND 5
#define SAMPLES (5 * DRAWS_PER_SECOND + 1) /* the rate's window: 5 s */
#define LINE_MAX_BYTES 1024
#define WHAT_MAX 256
#define ERASE "\r\033[K"

static struct {
	char program[64];
	struct report_options options;
	bool bars;  /* wanted, and stderr is a terminal that can erase */
	bool lines; /* --progress=json */
} setup = { .program = "amberfs" };

static pthread_mutex_t voice = PTHREAD_MUTEX_INITIALIZER;
static bool bar_drawn GUARDED_BY(voice);

struct sample {
	double when;
	uint64_t done;
};

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER;
static struct {
	bool running GUARDED_BY(life);
	pthread_t thread;
	/* set before the thread starts, then its own */
	char what[WHAT_MAX];
	progress_source *source;
	void *ctx;
	struct sample samples[SAMPLES];
	unsigned sample_count;
	/* the end: */
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool stop GUARDED_BY(mutex);
} bar = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* --- messages --- */

const struct option *report_option_table(struct report_options *options)
{
	static struct option table[5];
	const struct option rows[] = {
		{ "json", 0, OPTION_FLAG, &options->json, NULL,
				"print the result as a JSON object" },
		{ "verbose", 'v', OPTION_FLAG, &options->verbose, NULL,
				"print more messages" },
		{ "quiet", 'q', OPTION_FLAG, &options->quiet, NULL,
				"no progress and no summary" },
		{ "progress", 0, OPTION_TEXT, &options->progress, "json",
				"print progress to standard error, as lines of "
				"JSON" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	memcpy(table, rows, sizeof(rows));
	return table;
}

static _Noreturn void usage_error(const char *text)
{
	const struct command_line line = { .program = setup.program };
	options_error(&line, "%s", text);
}

void report_setup(const char *program, const struct report_options *options)
{
	const char *term = getenv("TERM");
	snprintf(setup.program, sizeof(setup.program), "%s", program);
	setup.options = *options;
	setup.bars = !options->json && !options->quiet && isatty(STDERR_FILENO)
			&& term != NULL && strcmp(term, "dumb") != 0;
	setup.lines = options->progress != NULL;
	if (setup.lines && strcmp(options->progress, "json") != 0)
		usage_error("--progress: the only value is json");
	setup.bars = setup.bars && !setup.lines;
}

bool report_wants_text(void)
{
	return !setup.options.json
			&& (setup.options.verbose || isatty(STDOUT_FILENO));
}

bool report_wants_summary(void)
{
	return !setup.options.json
			&& (setup.options.verbose || !setup.options.quiet);
}

bool report_shows_progress(void)
{
	return setup.bars || setup.lines;
}

bool report_json(void)
{
	return setup.options.json;
}

static void erase_bar(void) REQUIRES(voice)
{
	if (bar_drawn)
		fputs(ERASE, stderr);
	bar_drawn = false;
}

__attribute__((format(printf, 2, 0))) static void say(const char *kind,
		const char *fmt, va_list ap)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE char *shown = NULL;
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	if (text != NULL) {
		/* It may contain paths and other text of any origin. */
		size_t size = 4 * strlen(text) + 1;
		shown = malloc(size);
		if (shown != NULL)
			printable(shown, size, text);
	}
	LOCK_SCOPE(&voice);
	erase_bar();
	fprintf(stderr, "%s: %s%s\n", setup.program, kind,
			shown != NULL ? shown : fmt);
}

void report_warning(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say("warning: ", fmt, ap);
	va_end(ap);
}

void report_error(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void report_failure(int err, const char *object)
{
	struct error_copy why;
	error_save(&why, err);
	report_json_note(error_code(err), why.text, object);
	report_error("%s", why.text);
	error_load(&why);
}

void report_verbose(const char *fmt, ...)
{
	va_list ap;
	if (!setup.options.verbose)
		return;
	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

/* --- the bar's text --- */

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line,
		const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line->text + line->len,
			sizeof(line->text) - line->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		line->len += (size_t)n;
	if (line->len >= sizeof(line->text))
		line->len = sizeof(line->text) - 1;
}

/* Columns that TEXT takes, at most: every character beyond the alphabetic
 * scripts counts as a wide one. */
static size_t columns_of(const char *text)
{
	size_t n = 0;
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0';
			p++)
		if ((*p & 0xc0) != 0x80)
			n += *p >= 0xe1 ? 2 : 1;
	return n;
}

/* Bytes of TEXT that fit into COLUMNS, whole characters. */
static size_t fitting_bytes(const char *text, size_t columns)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t used = 0, i = 0;
	while (p[i] != '\0') {
		size_t end = i + 1;
		used += p[i] >= 0xe1 ? 2 : 1;
		while ((p[end] & 0xc0) == 0x80)
			end++;
		if (used > columns)
			break;
		i = end;
	}
	return i;
}

static unsigned percent(uint64_t done, uint64_t total)
{
	if (done >= total)
		return 100;
	return (unsigned)((double)done * 100 / (double)total);
}

static void add_eta(struct line *line, const struct progress_numbers *numbers,
		double rate)
{
	if (rate < 1 || numbers->total <= numbers->done)
		return;
	double left = (double)(numbers->total - numbers->done) / rate;
	if (left >= 100 * 3600)
		return;
	unsigned s = (unsigned)(left + 0.5);
	if (s < 3600)
		add(line, "  ETA %u:%02u", s / 60, s % 60);
	else
		add(line, "  ETA %u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
}

/* The parts of the line from the one given up last to the one given up first
 * when the terminal is narrow. */
enum part {
	PART_PERCENT,
	PART_RATE,
	PART_ETA,
	PART_BYTES,
	PART_ALL,
	PART_FRESH,
	PARTS
};

static void compose(struct line *line, const struct progress_numbers *numbers,
		double rate, int parts)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	line->len = 0;
	line->text[0] = '\0';
	if (parts > PART_PERCENT && numbers->total > 0)
		add(line, "  %u%%", percent(numbers->done, numbers->total));
	if (parts > PART_BYTES && numbers->total > 0)
		add(line, " %s/%s", size_format(a, numbers->done),
				size_format(b, numbers->total));
	else if (parts > PART_BYTES)
		add(line, "  %s", size_format(a, numbers->done));
	if (parts > PART_RATE)
		add(line, "  %s/s", size_format(a, (uint64_t)rate));
	if (parts > PART_ETA)
		add_eta(line, numbers, rate);
	if (parts > PART_FRESH && numbers->fresh != UINT64_MAX)
		add(line, "  new %s", size_format(a, numbers->fresh));
	if (parts > PART_ALL && numbers->all_total > 0)
		add(line, "  [all %u%%]",
				percent(numbers->all_done, numbers->all_total));
}

static unsigned terminal_width(void)
{
	struct winsize w;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
		return w.ws_col;
	return 80;
}

/* Leaves the last column free: some terminals wrap there. */
static void draw(const struct progress_numbers *numbers, double rate)
{
	struct line l;
	size_t width = terminal_width() - 1, what = columns_of(bar.what);
	size_t wanted = what < width / 3 ? what : width / 3;
	int parts = PARTS;
	do
		compose(&l, numbers, rate, parts);
	while (columns_of(l.text) + wanted > width && --parts >= 0);
	size_t rest = columns_of(l.text);
	size_t bytes = rest < width ? fitting_bytes(bar.what, width - rest) : 0;
	LOCK_SCOPE(&voice);
	fprintf(stderr, ERASE "%.*s%s", (int)bytes, bar.what, l.text);
	bar_drawn = true;
}

/* The same for programs, see amberfs-json(5). */
static void print_line(const struct progress_numbers *numbers, double rate)
{
	json_t *json = json_pack("{s:i,s:{s:o,s:I,s:o,s:I}}", "schema", 1,
			"progress", "what", report_json_text(bar.what),
			"done_bytes", (json_int_t)numbers->done, "total_bytes",
			numbers->total > 0 ? json_integer(
					(json_int_t)numbers->total)
					   : json_null(),
			"bytes_per_second", (json_int_t)rate);
	json_t *progress = json_object_get(json, "progress");
	if (numbers->all_total > 0) {
		json_object_set_new(progress, "all_done_bytes",
				json_integer((json_int_t)numbers->all_done));
		json_object_set_new(progress, "all_total_bytes",
				json_integer((json_int_t)numbers->all_total));
	}
	if (numbers->fresh != UINT64_MAX)
		json_object_set_new(progress, "new_bytes",
				json_integer((json_int_t)numbers->fresh));
	CLEANUP_FREE char *text = json_dumps(json, JSON_ENSURE_ASCII);
	json_decref(json);
	LOCK_SCOPE(&voice);
	if (text != NULL)
		fprintf(stderr, "%s\n", text);
}

/* --- the bar's thread --- */

/* Adds a sample; returns the bytes per second since the oldest. */
static double take_sample(uint64_t done)
{
	struct sample *sample = bar.samples;
	if (bar.sample_count == SAMPLES) {
		memmove(sample, sample + 1, (SAMPLES - 1) * sizeof(*sample));
		bar.sample_count--;
	}
	sample[bar.sample_count].when = monotonic_now();
	sample[bar.sample_count].done = done;
	double seconds = sample[bar.sample_count].when - sample[0].when;
	uint64_t before = sample[0].done;
	bar.sample_count++;
	return seconds < 0.05 || done < before
			? 0
			: (double)(done - before) / seconds;
}

/* True when the bar is to end. */
static bool wait_turn(void)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += 1000000000 / DRAWS_PER_SECOND;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	LOCK_SCOPE(&bar.mutex);
	while (!bar.stop)
		if (pthread_cond_timedwait(&bar.cond, &bar.mutex, &until) != 0)
			break;
	return bar.stop;
}

/* A job in the background must leave the terminal to the shell. */
static bool in_foreground(void)
{
	pid_t group = tcgetpgrp(STDERR_FILENO);
	return group < 0 || group == getpgrp();
}

static void *bar_thread(void *arg)
{
	struct progress_numbers n = { .fresh = UINT64_MAX };
	(void)arg;
	bar.source(bar.ctx, &n);
	take_sample(n.done);
	for (unsigned turn = 1, end = 0; end == 0; turn++) {
		end = wait_turn();
		bar.source(bar.ctx, &n);
		double rate = take_sample(n.done);
		/* Each second, and how it ended. */
		if (setup.lines && (end || turn % DRAWS_PER_SECOND == 0))
			print_line(&n, rate);
		else if (setup.bars && !end && in_foreground())
			draw(&n, rate);
	}
	return NULL;
}

static void bar_start(const char *what, progress_source *source, void *ctx)
		REQUIRES(life)
{
	pthread_condattr_t attr;
	sigset_t all, before;
	snprintf(bar.what, sizeof(bar.what), "%s", what);
	for (char *p = bar.what; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	bar.source = source;
	bar.ctx = ctx;
	bar.sample_count = 0;
	not_shared(&bar.mutex); /* its thread is not running */
	bar.stop = false;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&bar.cond, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bar.running = pthread_create(&bar.thread, NULL, bar_thread, NULL) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!bar.running)
		pthread_cond_destroy(&bar.cond);
}

static void bar_end(void) REQUIRES(life)
{
	if (!bar.running)
		return;
	pthread_mutex_lock(&bar.mutex);
	bar.stop = true;
	pthread_cond_signal(&bar.cond);
	pthread_mutex_unlock(&bar.mutex);
	pthread_join(bar.thread, NULL);
	pthread_cond_destroy(&bar.cond);
	bar.running = false;
	LOCK_SCOPE(&voice);
	erase_bar();
}

void report_progress_begin(const char *what, progress_source *source, void *ctx)
{
	if (!report_shows_progress())
		return;
	LOCK_SCOPE(&life);
	bar_end();
	bar_start(what, source, ctx);
}

void report_progress_end(void)
{
	LOCK_SCOPE(&life);
	bar_end();
}
