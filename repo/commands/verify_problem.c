/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What verify finds, counted and printed. */
#include "verify.h"

#include <stdarg.h>
#include <stdio.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"

#define PROBLEMS_LISTED 1000u

void verify_problem(struct verify *verify, int err, const char *object,
		const char *fmt, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	LOCK_SCOPE(&verify->mutex);
	if (verify->problem_count++ < PROBLEMS_LISTED) {
		json_array_append_new(verify->problems,
				report_json_problem(error_code(err), text,
						object));
		report_error("%s", text);
	}
}
