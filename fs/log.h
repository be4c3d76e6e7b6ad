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
 * at most LOG_BURST at once and one a second in the long run: a damaged disk
 * must not fill the log. What was left out is counted in the next line.
 */
#define LOG_BURST 20
void log_problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Turns what libfuse says into lines of ours. */
void log_capture_libfuse(void);

#endif
