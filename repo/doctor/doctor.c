/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Collects findings. They are kept as the JSON that is printed with --json. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/cleanup.h"

#define SAFE_IN_A_SHELL                                                        \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"       \
	"%+,-./:=@_"

const char *doctor_level_name(enum doctor_level level)
{
	static const char *const names[] = { "ok", "warning", "failure" };
	return names[level];
}

__attribute__((format(printf, 1, 0))) static json_t *text_of(const char *fmt,
		va_list ap)
{
	CLEANUP_FREE char *text = NULL;
	if (vasprintf(&text, fmt, ap) < 0) {
		text = NULL;
		return NULL;
	}
	return report_json_text(text);
}

void doctor_found(struct doctor *doctor, enum doctor_level level,
		const char *object, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	doctor->last = json_pack("{s:s, s:s, s:s, s:o, s:o, s:n, s:[]}",
			"section", doctor->check->section, "check",
			doctor->check->name, "level", doctor_level_name(level),
			"object", report_json_text(object), "found",
			text_of(fmt, ap), "meaning", "commands");
	va_end(ap);
	if (json_array_append_new(doctor->findings, doctor->last) < 0) {
		doctor->last = NULL;
		doctor->no_memory = true;
		return;
	}
	doctor->count[level]++;
}

void doctor_means(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (json_object_set_new(doctor->last, "meaning", text_of(fmt, ap)) < 0)
		doctor->no_memory = true;
	va_end(ap);
}

void doctor_command(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	json_t *commands = json_object_get(doctor->last, "commands");
	if (json_array_append_new(commands, text_of(fmt, ap)) < 0)
		doctor->no_memory = true;
	va_end(ap);
}

char *doctor_quote(char out[DOCTOR_QUOTE_MAX], const char *path)
{
	size_t n = 0;
	if (*path != '\0' && path[strspn(path, SAFE_IN_A_SHELL)] == '\0'
			&& strlen(path) < DOCTOR_QUOTE_MAX)
		return strcpy(out, path);
	out[n++] = '\'';
	for (; *path != '\0' && n < DOCTOR_QUOTE_MAX - 6; path++) {
		if (*path == '\'') {
			memcpy(out + n, "'\\'", 3);
			n += 3;
		}
		out[n++] = *path;
	}
	out[n++] = '\'';
	out[n] = '\0';
	return out;
}

void doctor_add_image(struct doctor *doctor, const char *path)
{
	/* Bytes that are no UTF-8 would not be found again. */
	json_t *text = json_string(path);
	if (text != NULL && json_array_append_new(doctor->images, text) < 0)
		doctor->no_memory = true;
}
