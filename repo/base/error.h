/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Errors inside amberfs: a function returns 0 (or a count) or a negative errno.
 * Four values have one fixed meaning each:
 *
 *	-EBADMSG	stored bytes are corrupt or forged
 *	-ENOENT		the thing asked for is not there
 *	-EKEYREJECTED	no key slot opens with the key given
 *	-ESTALE		the session or snapshot was removed by someone else
 *
 * Beside the number, the thread that failed keeps one line of text for the
 * user: what was being done to what, why it failed, and what to do. Library
 * code never prints; a program prints error_text() once.
 *
 * Threading: the text belongs to the thread. To carry it from a worker to its
 * caller, copy it with error_save() and put it back with error_load().
 */
#ifndef AMBERFS_BASE_ERROR_H
#define AMBERFS_BASE_ERROR_H

#define ERROR_TEXT_MAX 2048

struct error_copy {
	int err;
	char text[ERROR_TEXT_MAX];
};

/* Sets the text and returns ERR. ERR is a negative errno. */
int fail(int err, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), cold));

/* Like fail(), and adds ": " and the meaning of ERR. */
int fail_errno(int err, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), cold));

/* fail_errno() for lack of memory while DOING something ("restoring"). Returns
 * -ENOMEM. */
int fail_no_memory(const char *doing) __attribute__((cold));

/* Puts "…: " before the text that is there (or before the meaning of ERR). */
int fail_within(int err, const char *fmt, ...)
		__attribute__((format(printf, 2, 3), cold));

#ifdef __clang_analyzer__
/* The analyzer sees one file at a time and must be told what they return. */
#define fail(err, ...) ((fail)((err), __VA_ARGS__), (err))
#define fail_errno(err, ...) ((fail_errno)((err), __VA_ARGS__), (err))
#define fail_within(err, ...) ((fail_within)((err), __VA_ARGS__), (err))
#define fail_no_memory(doing) ((fail_no_memory)(doing), -ENOMEM)
#endif

/* The text for ERR: the one set by this thread, else the errno's meaning.
 * Valid until the next failure in this thread. Never NULL. */
const char *error_text(int err);

/* The word for ERR that programs may rely on: "not-found", "wrong-key", …, of a
 * closed set that amberfs-json(5) explains; "failed" for any other. */
const char *error_code(int err);

/* Forgets this thread's text. */
void error_clear(void);

void error_save(struct error_copy *error, int err);
int error_load(const struct error_copy *from);

#endif
