/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a mount says while it serves: to stderr in the foreground, to syslog
 * once it is a daemon. Thread-safe.
 */
#ifndef AMBERFS_FS_LOG_H
#define AMBERFS_FS_LOG_H

/* From now on lines go to syslog. */
void log_to_syslog(void);

/*
 * One line. The same text comes at most once a minute and all lines together
 * are limited to bursts of LOG_BURST and one per second on average: a damaged
 * disk must not fill the log. The next line says how many were suppressed.
 */
#define LOG_BURST 20
void log_problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Passes libfuse's messages to our log. */
void log_capture_libfuse(void);

#endif
