/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines with a limit. A token bucket bounds their rate; a small ring of
 * hashes of late texts keeps a reader that retries (the kernel does, page by
 * page) from repeating one line.
 */
#include "log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "fuse_api.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define REMEMBERED 64
#define SAME_TEXT_SECONDS 60.0

static struct {
	pthread_mutex_t mutex;
	bool syslog GUARDED_BY(mutex);
	double tokens GUARDED_BY(mutex);
	double refilled GUARDED_BY(mutex);
	unsigned long left_out GUARDED_BY(mutex);
	struct {
		uint64_t hash;
		double at;
	} late[REMEMBERED] GUARDED_BY(mutex);
	unsigned next GUARDED_BY(mutex);
} log_state = { .mutex = PTHREAD_MUTEX_INITIALIZER, .tokens = LOG_BURST };

void log_to_syslog(void)
{
	LOCK_SCOPE(&log_state.mutex);
	openlog("amberfs-mount", LOG_PID, LOG_DAEMON);
	log_state.syslog = true;
}

/* FNV-1a. */
static uint64_t text_hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (; *text != '\0'; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

static bool said_lately(uint64_t hash, double now) REQUIRES(log_state.mutex)
{
	for (unsigned i = 0; i < REMEMBERED; i++)
		if (log_state.late[i].hash == hash
				&& now - log_state.late[i].at
						< SAME_TEXT_SECONDS)
			return true;
	return false;
}

static bool may_say(const char *text) REQUIRES(log_state.mutex)
{
	double now = monotonic_now();
	uint64_t hash = text_hash(text);
	if (said_lately(hash, now))
		return false;
	log_state.tokens += now - log_state.refilled;
	log_state.refilled = now;
	if (log_state.tokens > LOG_BURST)
		log_state.tokens = LOG_BURST;
	if (log_state.tokens < 1) {
		log_state.left_out++;
		return false;
	}
	log_state.tokens -= 1;
	log_state.late[log_state.next].hash = hash;
	log_state.late[log_state.next].at = now;
	log_state.next = (log_state.next + 1) % REMEMBERED;
	return true;
}

static void say(const char *text) REQUIRES(log_state.mutex)
{
	if (log_state.syslog)
		syslog(LOG_ERR, "%s", text);
	else
		report_error("%s", text);
}

void log_problem(const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX + 256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	LOCK_SCOPE(&log_state.mutex);
	if (!may_say(text))
		return;
	if (log_state.left_out > 0) {
		char more[64];
		snprintf(more, sizeof(more), "%lu lines suppressed",
				log_state.left_out);
		log_state.left_out = 0;
		say(more);
	}
	say(text);
}

static void from_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
		__attribute__((format(printf, 2, 0)));
static void from_libfuse(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[1024];
	if (level > FUSE_LOG_NOTICE)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (text[0] != '\0')
		log_problem("libfuse: %s", text);
}

void log_capture_libfuse(void)
{
	fuse_set_log_func(from_libfuse);
}
