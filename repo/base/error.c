/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The thread's one line of text for the failure under way; see error.h. */
#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "bytes.h"

static _Thread_local char text[ERROR_TEXT_MAX];
static _Thread_local bool text_set;

/* What an errno means to an operator, where the C library's words mislead. */
static const char *meaning(int err)
{
	switch (-err) {
	case EBADMSG:
		return "stored data is damaged or forged";
	case ESTALE:
		return "it was removed in the meantime";
	default:
		return strerror(-err);
	}
}

__attribute__((format(printf, 1, 0))) static void set_text(const char *fmt,
		va_list ap, const char *tail)
{
	char head[ERROR_TEXT_MAX];
	vsnprintf(head, sizeof(head), fmt, ap);
	if (tail != NULL)
		snprintf(text, sizeof(text), "%.1500s: %.500s", head, tail);
	else
		snprintf(text, sizeof(text), "%s", head);
	text_set = true;
}

int(fail)(int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_text(fmt, ap, NULL);
	va_end(ap);
	return err;
}

int(fail_errno)(int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	set_text(fmt, ap, meaning(err));
	va_end(ap);
	return err;
}

int(fail_no_memory)(const char *doing)
{
	return (fail_errno)(-ENOMEM, "%s", doing);
}

int(fail_within)(int err, const char *fmt, ...)
{
	char inner[ERROR_TEXT_MAX];
	va_list ap;
	snprintf(inner, sizeof(inner), "%s", error_text(err));
	va_start(ap, fmt);
	set_text(fmt, ap, inner);
	va_end(ap);
	return err;
}

const char *error_text(int err)
{
	return text_set ? text : meaning(err);
}

const char *error_code(int err)
{
	static const struct {
		int err;
		const char *code;
	} codes[] = {
		{ ENOENT, "not-found" },
		{ EEXIST, "exists" },
		{ EKEYREJECTED, "wrong-key" },
		{ EBADMSG, "damaged" },
		{ ESTALE, "removed" },
		{ EPERM, "refused" },
		{ EACCES, "no-access" },
		{ EROFS, "no-access" },
		{ ENOSPC, "no-space" },
		{ EDQUOT, "no-space" },
		{ ENOMEM, "no-memory" },
		{ EBUSY, "busy" },
		{ EAGAIN, "busy" },
		{ EINVAL, "invalid" },
		{ ENOTUNIQ, "ambiguous" },
		{ ENOTSUP, "unsupported" },
		{ ETIMEDOUT, "timeout" },
		{ ECANCELED, "interrupted" },
		{ EINTR, "interrupted" },
		{ EIO, "io" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].err == -err)
			return codes[i].code;
	return "failed";
}

void error_clear(void)
{
	text_set = false;
	text[0] = '\0';
}

void error_save(struct error_copy *error, int err)
{
	error->err = err;
	snprintf(error->text, sizeof(error->text), "%s", error_text(err));
}

int error_load(const struct error_copy *from)
{
	return fail(from->err, "%s", from->text);
}
