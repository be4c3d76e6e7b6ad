/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The snapshots of a repository: loading, naming, committing, forgetting.
 * The functions are declared in repository.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "high_water.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/report.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"
#include "repo/format/name.h"
#include "repo/repository/repository.h"
#include "repo/session/marking.h"
#include "repo/store/names.h"

#define SNAPSHOT_OBJECT_MAX (ENVELOPE_PAYLOAD_MAX + 4096)
#define ID_PREFIX_MIN 4u
/* Snapshots of one source within this many seconds of each other are enough to
 * call the clock broken. */
#define COMMIT_TRIES 3600

/* --- loading --- */

int snapshot_object_load(struct repository *repo, const char *object,
		struct snapshot **out)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *json = NULL;
	size_t len, json_len;
	int err = store_get(repo->store, object, &data, &len,
			SNAPSHOT_OBJECT_MAX);
	if (err != 0)
		return err;
	err = envelope_open(repo->seal, repo->config.repo_id, ENVELOPE_SNAPSHOT,
			object, data, len, &json, &json_len);
	if (err != 0)
		return err;
	return snapshot_json_decode(out, repo->seal, object, json, json_len);
}

int snapshot_object_exists(struct repository *repo, const struct snapshot *snap)
{
	struct snapshot *now = NULL;
	int err = snapshot_object_load(repo, snap->object, &now);
	if (err == 0 && !id_equal(&now->id, &snap->id))
		err = -ENOENT;
	snapshot_free(now);
	return err == -ENOENT ? fail(err, "%s was forgotten meanwhile",
			       snap->object + strlen("snapshots/"))
			      : err;
}

/* The objects' names, sorted: by source, then by time. SOURCE NULL: all. */
static int snapshot_names(struct repository *repo, const char *source,
		struct names *out)
{
	char prefix[OBJECT_NAME_MAX] = "snapshots/";
	*out = (struct names){ 0 };
	if (source != NULL) {
		char component[NAME_COMPONENT_MAX + 1];
		name_component(component, source);
		snprintf(prefix, sizeof(prefix), "snapshots/%s/", component);
	}
	int err = store_list(repo->store, prefix, names_add, out);
	if (err < 0) {
		names_clear(out);
		return err;
	}
	names_sort(out);
	return 0;
}

int snapshot_list_load(struct repository *repo, const char *source,
		struct snapshot_list *out, snapshot_bad_fn *on_bad, void *ctx)
{
	struct names names;
	*out = (struct snapshot_list){ 0 };
	int err = snapshot_names(repo, source, &names);
	if (err < 0)
		return err;
	out->items = calloc(names.count + 1, sizeof(*out->items));
	if (out->items == NULL)
		err = fail_no_memory("listing snapshots");
	for (size_t i = 0; err == 0 && i < names.count; i++) {
		err = snapshot_object_load(repo, names.items[i],
				&out->items[out->count]);
		if (err == 0) {
			out->count++;
		} else if (err == -ENOENT) {
			err = 0; /* forgotten meanwhile */
		} else if (on_bad != NULL) {
			on_bad(ctx, names.items[i], err);
			err = 0;
		}
	}
	names_clear(&names);
	if (err < 0)
		snapshot_list_clear(out);
	return err;
}

void snapshot_list_clear(struct snapshot_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		snapshot_free(list->items[i]);
	free(list->items);
	*list = (struct snapshot_list){ 0 };
}

/* --- the newest --- */

static int load_newest(struct repository *repo, const char *source,
		struct snapshot **out)
{
	struct names names;
	*out = NULL;
	int err = snapshot_names(repo, source, &names);
	for (size_t i = names.count; err == 0 && i-- > 0 && *out == NULL;) {
		err = snapshot_object_load(repo, names.items[i], out);
		if (err == -ENOENT)
			err = 0;
	}
	names_clear(&names);
	return err;
}

int snapshot_list_latest(struct repository *repo, const char *source,
		struct snapshot **out)
{
	int err = load_newest(repo, source, out);
	if (err < 0)
		return err;
	uint64_t have = *out != NULL ? (*out)->sequence : 0;
	uint64_t seen = high_water_get(repo, source);
	if (have < seen)
		report_warning("the newest snapshot of %s has number %llu, but "
			       "this "
			       "machine has seen number %llu: newer ones were "
			       "forgotten elsewhere, or an older state of the "
			       "repository was put back",
				source, (unsigned long long)have,
				(unsigned long long)seen);
	return 0;
}

/* --- names people give --- */

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
	if (raw == NULL || known != NULL) {
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

/* "source/when[/file]": 1; something else: 0; -ENOMEM. */
static int split_spec(const char *text, struct spec *out)
{
	int64_t second;
	*out = (struct spec){ 0 };
	/* The time is the first component after the first that reads as one,
	 * so a source's name may hold slashes. */
	for (const char *slash = strchr(text, '/'); slash != NULL;
			slash = strchr(slash + 1, '/')) {
		const char *when = slash + 1;
		size_t n = strcspn(when, "/");
		char time[UTC_TEXT_MAX];
		if (n == 0 || n >= sizeof(time) || slash == text)
			continue;
		memcpy(time, when, n);
		time[n] = '\0';
		if (strcmp(time, "latest") != 0 && utc_parse(&second, time) < 0)
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
	char object[OBJECT_NAME_MAX];
	int64_t second;
	int err;
	*out = NULL;
	if (strcmp(spec->when, "latest") == 0) {
		err = load_newest(repo, spec->source, out);
		if (err != 0)
			return err;
		if (*out == NULL)
			return fail(-ENOENT,
					"there is no snapshot of %s; 'amberfs "
					"list' "
					"shows what there is",
					spec->source);
		return 0;
	}
	utc_parse(&second, spec->when);
	snapshot_object_name(object, sizeof(object), spec->source, second);
	err = snapshot_object_load(repo, object, out);
	if (err == -ENOENT)
		err = fail(-ENOENT,
				"there is no snapshot %s/%s; 'amberfs list' "
				"shows what "
				"there is",
				spec->source, spec->when);
	return err;
}

/* One that is damaged must not keep the others from being found. */
static void pass_over(void *ctx, const char *object, int err)
{
	(void)ctx;
	report_warning("%s: %s", object, error_text(err));
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
					"several snapshots have ids that begin "
					"with "
					"%.*s; give more digits",
					(int)len, prefix);
		found = i;
	}
	if (err == 0 && found == SIZE_MAX)
		err = fail(-ENOENT,
				"there is no snapshot %.*s; 'amberfs list' "
				"shows "
				"source/time and id of each",
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

static int check_file(struct snapshot **snap, const char *name)
{
	if (name == NULL || snapshot_find_file(*snap, name) != NULL
			|| snapshot_find_qcow2(*snap, name) != NULL)
		return 0;
	int err = fail(-ENOENT,
			"snapshot %s has no file %s; 'amberfs show' lists its "
			"files",
			(*snap)->object + strlen("snapshots/"), name);
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
					"%s names no snapshot: give "
					"source/time, "
					"source/latest, or the beginning of an "
					"id",
					text);
		if (err == 0 && text[len] == '/' && text[len + 1] != '\0') {
			s.file = strdup(text + len + 1);
			err = s.file != NULL ? 0 : -ENOMEM;
		}
	}
	if (err == 0 && *out != NULL)
		err = check_file(out, s.file);
	if (err < 0)
		snapshot_free(take_ptr(*out));
	if (file != NULL)
		*file = err == 0 ? take_ptr(s.file) : NULL;
	spec_clear(&s);
	return err;
}

/* --- committing and forgetting --- */

uint64_t snapshot_list_next_sequence(struct repository *repo,
		const char *source, const struct snapshot *base)
{
	uint64_t last = base != NULL ? base->sequence : 0;
	uint64_t seen = high_water_get(repo, source);
	return (last > seen ? last : seen) + 1;
}

/* Encodes, and reads back what others will see before anything is stored: so
 * no snapshot is ever committed that could not be loaded again. */
static int encode_snapshot(struct repository *repo, struct snapshot *snap,
		const char *name, char **text)
{
	struct snapshot *again;
	json_t *json = snapshot_json_encode(snap, false);
	CLEANUP_FREE char *made = json != NULL
			? json_dumps(json, JSON_FIELDS_DUMP_FLAGS)
			: NULL;
	json_decref(json);
	if (made == NULL)
		return fail_errno(-ENOMEM, "writing snapshot %s", name);
	int err = snapshot_json_decode(&again, repo->seal, name, made,
			strlen(made));
	if (err < 0)
		return err;
	snap->id = again->id;
	free(snap->object);
	snap->object = take_ptr(again->object);
	snapshot_free(again);
	*text = take_ptr(made);
	return 0;
}

static int put_snapshot(struct repository *repo, struct snapshot *snap)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	char name[OBJECT_NAME_MAX];
	size_t len;
	snapshot_object_name(name, sizeof(name), snap->source, snap->time);
	int err = encode_snapshot(repo, snap, name, &text);
	if (err < 0)
		return err;
	err = envelope_seal(repo->seal, repo->config.repo_id, ENVELOPE_SNAPSHOT,
			name, text, strlen(text), &object, &len);
	return err < 0 ? err : store_put(repo->store, name, object, len, true);
}

int snapshot_object_commit(struct repository *repo, struct snapshot *snap)
{
	for (int i = 0; i < COMMIT_TRIES; i++, snap->time++) {
		int err = put_snapshot(repo, snap);
		if (err == 0)
			high_water_set(repo, snap->source, snap->sequence);
		if (err != -EEXIST)
			return err;
	}
	return fail(-EEXIST,
			"every second of the next hour is taken by a snapshot "
			"of %s: "
			"check the clock",
			snap->source);
}

int snapshot_object_commit_at(struct repository *repo, struct snapshot *snap)
{
	int err = put_snapshot(repo, snap);
	if (err != 0)
		return err;
	if (snap->sequence > high_water_get(repo, snap->source))
		high_water_set(repo, snap->source, snap->sequence);
	return 0;
}

static bool comes_from(const struct snapshot *copy,
		const struct repository *repo, const struct snapshot *snap)
{
	return copy->has_origin
			&& memcmp(copy->origin_repository, repo->config.repo_id,
					   REPO_ID_SIZE)
			== 0
			&& id_equal(&copy->origin_snapshot, &snap->id);
}

bool snapshot_object_is_copy(const struct repository *ra,
		const struct snapshot *a, const struct repository *rb,
		const struct snapshot *b)
{
	if (comes_from(b, ra, a) || comes_from(a, rb, b))
		return true;
	return a->has_origin && b->has_origin
			&& memcmp(a->origin_repository, b->origin_repository,
					   REPO_ID_SIZE)
			== 0
			&& id_equal(&a->origin_snapshot, &b->origin_snapshot);
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

int snapshot_object_delete(struct repository *repo, const struct snapshot *snap)
{
	struct snapshot *left = NULL;
	int err = marking_wait(repo);
	if (err != 0)
		return err;
	err = store_delete(repo->store, snap->object);
	/* What this machine forgot by itself is no rollback. Forgetting an older
	 * one says nothing about the newest that was seen. */
	if (err != 0)
		return err;
	if (snap->sequence >= high_water_get(repo, snap->source)
			&& load_newest(repo, snap->source, &left) == 0) {
		high_water_set(repo, snap->source,
				left != NULL ? left->sequence : 0);
		snapshot_free(left);
	}
	return 0;
}
