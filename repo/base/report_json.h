/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What --json prints: one document on stdout, whatever happens. Its form is
 * described in amberfs-json(5); names follow it everywhere:
 *
 *	sizes and amounts in bytes	size, ..._bytes
 *	durations in seconds		seconds, ..._seconds
 *	times				RFC 3339 in UTC
 *	what went wrong			{code, message, object}
 *
 * Thread-safe but for report_json_begin. New references are returned; NULL without
 * memory, which json_pack and the setters pass on.
 */
#ifndef AMBERFS_BASE_REPORT_JSON_H
#define AMBERFS_BASE_REPORT_JSON_H

#include <jansson.h>
#include <stdint.h>

/* At the start of a program: from now on its exit with a failure prints a document
 * if ARGV has --json and nothing else did. */
void report_json_begin(char *const *argv);

/* A path, or other bytes, for JSON: as they are if that is UTF-8, else as
 * printable() shows them. */
json_t *report_json_text(const char *text);
/* The lines of TEXT, or of NULL, as an array. */
json_t *report_json_lines(const char *text);
/* "2026-11-23T04:00:00Z", and with nine digits of a fraction. */
json_t *report_json_time(int64_t second);
json_t *report_json_time_ns(int64_t ns);

/* {code, message, object}. CODE: of those in amberfs-json(5). OBJECT: what it is
 * about (a repository, snapshot, source, file, …); NULL: null. */
json_t *report_json_problem(const char *code, const char *message,
		const char *object);
/* The same of a failure: its code and this thread's error_text(ERR). */
json_t *report_json_error(int err, const char *object);

/* A document of OBJECT's members, which takes OBJECT over: "schema" first. */
json_t *report_json_document(json_t *object);
/* Prints a document with OBJECT's members and frees OBJECT. Returns 0 or -errno
 * (full disk, closed pipe). */
int report_print_json(json_t *object);

/* Flushes stdout; a failure is reported and turns DONE into FAILED. */
int report_finish(int status);

/* Internal to reports: a failure that was told, for the document. */
void report_json_note(const char *code, const char *message,
		const char *object);

#endif
