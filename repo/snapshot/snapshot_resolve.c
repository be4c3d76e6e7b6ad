/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Names of snapshots as users write them; see snapshot_resolve.h. */
#include "snapshot_resolve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "snapshot_list.h"
#include "snapshot_object.h"

#define ID_PREFIX_MIN 4u

struct spec {
	char *source; /* escaped */
	char *when;   /* "latest" or a time */
	char *file;   /* or NULL */
};

static void spec_clear(struct spec *spec)
{
	free(spec->source);
	free(spec->when);
	free(spec->file);
}

static char *escaped_source(const char *text, size_t len)
{
	char *raw = strndup(text, len);
	char *known = raw != NULL ? name_unescape(raw, NULL) : NULL;
	if (raw == NULL || known != NULL || name_is_shortened(raw)) {
		free(known);
		return raw;
	}
	char *escaped = name_escape(raw, len);
	free(raw);
	return escaped;
}

char *snapshot_resolve_source(const char *text)
{
	return escaped_source(text, strlen(text));
}

/* The N bytes of WHEN as they are in an object's name: "latest", or a time as
 * utc_format or RFC 3339 writes it. */
static bool read_when(char out[UTC_TEXT_MAX], const char *when, size_t n)
{
	char text[sizeof("2026-11-23T04:00:00Z")];
	size_t len = 0;
	int64_t second;
	if (n == 0 || n >= sizeof(text))
		return false;
	memcpy(text, when, n);
	text[n] = '\0';
	bool long_form = n == sizeof(text) - 1 && text[4] == '-'
			&& text[7] == '-' && text[13] == ':' && text[16] == ':';
	if (!long_form && n >= UTC_TEXT_MAX)
		return false;
	for (const char *p = text; *p != '\0' && len + 1 < UTC_TEXT_MAX; p++)
		if (!long_form || (*p != '-' && *p != ':'))
			out[len++] = *p;
	out[len] = '\0';
	return strcmp(out, "latest") == 0 || utc_parse(&second, out) == 0;
}

/* "source/when[/file]": 1; something else: 0; -ENOMEM. */
static int split_spec(const char *text, struct spec *out)
{
	*out = (struct spec){ 0 };
	/* The time is the first component after the first that reads as one,
	 * so a source's name may hold slashes. */
	for (const char *slash = strchr(text, '/'); slash != NULL;
			slash = strchr(slash + 1, '/')) {
		const char *when = slash + 1;
		size_t n = strcspn(when, "/");
		char time[UTC_TEXT_MAX];
		if (slash == text || !read_when(time, when, n))
			continue;
		out->source = escaped_source(text, (size_t)(slash - text));
		out->when = strdup(time);
		if (when[n] == '/' && when[n + 1] != '\0')
			out->file = strdup(when + n + 1);
		bool ok = out->source != NULL && out->when != NULL
				&& (when[n] != '/' || when[n + 1] == '\0'
						|| out->file != NULL);
		return ok ? 1 : -ENOMEM;
	}
	return 0;
}

static int find_by_name(struct repository *repo, const struct spec *spec,
		struct snapshot **out)
{
	char object[OBJECT_NAME_MAX], shown[SNAPSHOT_SHOWN_MAX];
	int64_t second;
	int err;
	*out = NULL;
	name_shown(shown, sizeof(shown), spec->source);
	if (strcmp(spec->when, "latest") == 0) {
		err = snapshot_list_newest_complete(repo, spec->source, out);
		if (err != 0)
			return err;
		if (*out == NULL)
			return fail(-ENOENT,
					"there is no snapshot of %s; "
					"'amberfs list' shows all",
					shown);
		if (!snapshot_is_complete(*out))
			report_warning("no snapshot of %s is complete; this "
				       "is the newest",
					shown);
		return 0;
	}
	utc_parse(&second, spec->when);
	snapshot_object_name(object, sizeof(object), spec->source, second);
	err = snapshot_object_load(repo, object, out);
	if (err == -ENOENT)
		err = fail(-ENOENT,
				"there is no snapshot %s/%s; 'amberfs list' "
				"shows all",
				shown, spec->when);
	return err;
}

/* A damaged one must not prevent finding the others. */
static void pass_over(void *ctx, const char *object, int err)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	(void)ctx;
	report_warning("%s: %s", snapshot_shown(shown, object),
			error_text(err));
}

static int find_by_id(struct repository *repo, const char *prefix, size_t len,
		struct snapshot **out)
{
	struct snapshot_list all;
	size_t found = SIZE_MAX;
	int err = snapshot_list_load(repo, NULL, &all, pass_over, NULL);
	for (size_t i = 0; err == 0 && i < all.count; i++) {
		char hex[2 * ID_SIZE + 1];
		hex_encode(hex, all.items[i]->id.b, ID_SIZE);
		if (strncmp(hex, prefix, len) != 0)
			continue;
		if (found != SIZE_MAX)
			err = fail(-ENOTUNIQ,
					"several snapshots have ids "
					"beginning with %.*s; give more "
					"digits",
					(int)len, prefix);
		found = i;
	}
	if (err == 0 && found == SIZE_MAX)
		err = fail(-ENOENT,
				"there is no snapshot %.*s; 'amberfs "
				"list' shows source/time and id of each",
				(int)len, prefix);
	if (err == 0)
		*out = take_ptr(all.items[found]);
	snapshot_list_clear(&all);
	return err;
}

static bool is_id_prefix(const char *text, size_t len)
{
	return len >= ID_PREFIX_MIN && len <= 2 * ID_SIZE
			&& strspn(text, "0123456789abcdef") >= len;
}

static bool has_file(const struct snapshot *snap, const char *name)
{
	return snapshot_find_file(snap, name) != NULL
			|| snapshot_find_qcow2(snap, name) != NULL;
}

/* *NAME, if any, may be the raw name; then it becomes the escaped one. */
static int check_file(struct snapshot **snap, char **name)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	if (*name == NULL || has_file(*snap, *name))
		return 0;
	char *escaped = name_escape(*name, strlen(*name));
	if (escaped != NULL && has_file(*snap, escaped)) {
		free(*name);
		*name = escaped;
		return 0;
	}
	free(escaped);
	int err = fail(-ENOENT,
			"snapshot %s has no file %s; 'amberfs show' lists its "
			"files",
			snapshot_shown(shown, (*snap)->object), *name);
	snapshot_free(take_ptr(*snap));
	return err;
}

int snapshot_resolve(struct repository *repo, const char *text,
		struct snapshot **out, char **file)
{
	struct spec s;
	int err = split_spec(text, &s);
	*out = NULL;
	if (err == 1) {
		err = find_by_name(repo, &s, out);
	} else if (err == 0) {
		size_t len = strcspn(text, "/");
		if (is_id_prefix(text, len))
			err = find_by_id(repo, text, len, out);
		else
			err = fail(-EINVAL,
					"%s is not a snapshot name: use "
					"source/time, source/latest, or the "
					"beginning of an id",
					text);
		if (err == 0 && text[len] == '/' && text[len + 1] != '\0') {
			s.file = strdup(text + len + 1);
			err = s.file != NULL ? 0 : -ENOMEM;
		}
	}
	if (err == 0 && *out != NULL)
		err = check_file(out, &s.file);
	if (err < 0)
		snapshot_free(take_ptr(*out));
	if (file != NULL)
		*file = err == 0 ? take_ptr(s.file) : NULL;
	spec_clear(&s);
	return err;
}

int snapshot_resolve_unread(const char *text, char object[OBJECT_NAME_MAX],
		int64_t *time)
{
	struct spec s;
	int err = split_spec(text, &s);
	if (err == 1 && s.file == NULL && utc_parse(time, s.when) == 0) {
		snapshot_object_name(object, OBJECT_NAME_MAX, s.source, *time);
		err = 0;
	} else if (err >= 0) {
		err = fail(-EINVAL,
				"%s can't be read; to remove it, name it as "
				"source/time",
				text);
	}
	spec_clear(&s);
	return err;
}
