/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The settings of the minimum age; see min_age.h.
 *
 * Listing only gives the highest number; all from 1 to that are then read by
 * name. So a setting that is made meanwhile never looks like a gap, and one
 * that somebody removed always does, unless it was the last.
 */
#include "min_age.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/units.h"
#include "repo/format/envelope.h"
#include "repo/format/json_fields.h"

#define PREFIX "retention/"
#define OBJECT_MAX (64u << 10) /* such an object has some 100 bytes */
#define SECOND_MAX INT64_C(253402300799)

/* --- one object --- */

static void object_name(char out[32], uint64_t number)
{
	snprintf(out, 32, PREFIX "%" PRIu64, number);
}

static int decode(struct min_age_setting *out, const char *name,
		const char *text, size_t len)
{
	CLEANUP_JSON json_t *json = NULL;
	struct json_fields m;
	int err = json_fields_load(&json, name, text, len);
	if (err < 0)
		return err;
	json_fields_begin(&m, json, name, "%s", "");
	out->since = json_fields_number(&m, "since", 0, SECOND_MAX);
	out->min_age = json_fields_number(&m, "min_age", 0, MIN_AGE_AGE_MAX);
	return m.err;
}

static int load_one(struct repository *repo, uint64_t number,
		struct min_age_setting *out)
{
	CLEANUP_FREE void *data = NULL;
	CLEANUP_FREE char *text = NULL;
	size_t len = 0, text_len = 0;
	char name[32];
	object_name(name, number);
	int err = store_get(repo->store, name, &data, &len, OBJECT_MAX);
	if (err == -ENOENT)
		err = fail(-EBADMSG,
				"%s is missing, although a later one exists",
				name);
	if (err < 0)
		return err;
	err = envelope_open(repo->seal, repo->config.repo_id,
			ENVELOPE_RETENTION, name, data, len, &text, &text_len);
	return err < 0 ? err : decode(out, name, text, text_len);
}

static int put_one(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, uint64_t number,
		const struct min_age_setting *setting)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FREE uint8_t *object = NULL;
	CLEANUP_JSON json_t *json = json_pack("{s:I,s:I}", "since",
			(json_int_t)setting->since, "min_age",
			(json_int_t)setting->min_age);
	size_t len = 0;
	char name[32];
	object_name(name, number);
	text = json != NULL ? json_dumps(json, JSON_FIELDS_DUMP_FLAGS) : NULL;
	if (text == NULL)
		return fail_errno(-ENOMEM, "writing %s", name);
	int err = envelope_seal(seal, repo_id, ENVELOPE_RETENTION, name, text,
			strlen(text), &object, &len);
	return err < 0 ? err : store_put(store, name, object, len, true);
}

int min_age_put_first(struct store *store, const struct seal *seal,
		const uint8_t *repo_id, const struct min_age_setting *first)
{
	return put_one(store, seal, repo_id, 1, first);
}

/* --- all of them --- */

static int note_number(void *ctx, const char *name)
{
	uint64_t *highest = ctx, number = 0;
	const char *digits = name + strlen(PREFIX);
	size_t n = strspn(digits, "0123456789");
	if (digits[n] != '\0' || n == 0 || n > 19 || digits[0] == '0')
		return 0; /* fits no pattern */
	for (; *digits != '\0'; digits++)
		number = 10 * number + (uint64_t)(*digits - '0');
	if (number > *highest)
		*highest = number;
	return 0;
}

static int load_all(struct repository *repo, struct min_age *out)
{
	uint64_t highest = 0;
	int err = store_list(repo->store, PREFIX, note_number, &highest);
	if (err == 0 && highest > MIN_AGE_COUNT_MAX)
		err = fail(-EBADMSG,
				"there are more than %u settings in " PREFIX,
				MIN_AGE_COUNT_MAX);
	if (err < 0 || highest == 0)
		return err;
	out->items = calloc(highest, sizeof(*out->items));
	if (out->items == NULL)
		return fail_errno(-ENOMEM, "reading " PREFIX);
	for (uint64_t n = 1; err == 0 && n <= highest; n++) {
		struct min_age_setting *now = &out->items[n - 1];
		err = load_one(repo, n, now);
		if (err == 0 && n > 1 && now->since < now[-1].since)
			now->since = now[-1].since;
	}
	out->count = highest;
	return err;
}

int min_age_load(struct repository *repo, struct min_age *out)
{
	*out = (struct min_age){ 0 };
	int err = load_all(repo, out);
	if (err < 0)
		min_age_clear(out);
	if (err == -EBADMSG)
		return fail_within(err,
				"can't tell how long snapshots are "
				"protected, so nothing is removed: restore "
				"%s/" PREFIX " from a copy",
				store_path(repo->store));
	return err;
}

void min_age_clear(struct min_age *min_age)
{
	free(min_age->items);
	*min_age = (struct min_age){ 0 };
}

/* --- what follows from them --- */

int64_t min_age_in_force(const struct min_age *min_age)
{
	return min_age->count == 0 ? 0
				   : min_age->items[min_age->count - 1].min_age;
}

/* Whether setting I was in force at TIME or later. In the second in which it
 * was replaced the order is unknown: it counts. */
static bool in_force_from(const struct min_age *min_age, size_t i, int64_t time)
{
	return i + 1 == min_age->count || min_age->items[i + 1].since >= time;
}

/* From the moment TIME on. */
static int64_t until(const struct min_age *min_age, int64_t time)
{
	int64_t longest = 0;
	for (size_t i = 0; i < min_age->count; i++)
		if (in_force_from(min_age, i, time)
				&& min_age->items[i].min_age > longest)
			longest = min_age->items[i].min_age;
	return time + longest;
}

static int64_t until_after_arrival(const struct min_age *min_age,
		int64_t arrived)
{
	int64_t end = arrived > 0 ? until(min_age, arrived) : 0;
	return end > arrived ? end : 0;
}

int64_t min_age_until(const struct min_age *min_age, struct min_age_of of)
{
	int64_t made = until(min_age, of.time);
	int64_t came = until_after_arrival(min_age, of.arrived);
	return came > made ? came : made;
}

bool min_age_protects(const struct min_age *min_age, struct min_age_of of,
		int64_t now)
{
	int64_t made = until(min_age, of.time);
	return (made > of.time && made > now)
			|| until_after_arrival(min_age, of.arrived) > now;
}

int64_t min_age_longest(const struct min_age *min_age, int64_t now)
{
	int64_t longest = min_age_in_force(min_age);
	for (size_t i = 0; i + 1 < min_age->count; i++) {
		/* The last moment for which it counts, and how long it does. */
		int64_t end = min_age->items[i + 1].since,
			age = min_age->items[i].min_age;
		if (end + age > now && age > longest)
			longest = age;
	}
	return longest;
}

/* --- a new one --- */

static int note_newest(void *ctx, const char *name)
{
	int64_t *newest = ctx, second = 0;
	const char *slash = strrchr(name, '/');
	if (slash != NULL && utc_parse(&second, slash + 1) == 0
			&& second > *newest)
		*newest = second;
	return 0;
}

void min_age_check_clock(struct repository *repo)
{
	int64_t now = time(NULL), newest = 0;
	char newest_text[UTC_TEXT_MAX], now_text[UTC_TEXT_MAX];
	char age[SIZE_TEXT_MAX];
	if (store_list(repo->store, "snapshots/", note_newest, &newest) < 0
			|| !time_is_ahead(newest, now))
		return;
	report_warning("the newest snapshot is of %s, %s ahead of this "
		       "machine's clock (%s): is the clock right?",
			utc_format(newest_text, newest),
			age_format(age, newest - now),
			utc_format(now_text, now));
}

static int append(struct min_age *min_age, const struct min_age_setting *one)
{
	struct min_age_setting *more = reallocarray(min_age->items,
			min_age->count + 1, sizeof(*more));
	if (more == NULL)
		return fail_no_memory("setting the minimum age");
	more[min_age->count++] = *one;
	min_age->items = more;
	return 0;
}

int min_age_set(struct repository *repo, struct min_age *setting,
		int64_t min_age, int64_t arrived)
{
	int64_t now = time(NULL);
	struct min_age_setting next = { .since = now > arrived ? now : arrived,
		.min_age = min_age };
	int err = store_list(repo->store, "snapshots/", note_newest,
			&next.since);
	while (err == 0) {
		if (setting->count >= MIN_AGE_COUNT_MAX)
			return fail(-EMLINK,
					"the minimum age has been set %u "
					"times, the maximum: it can't be set "
					"again",
					MIN_AGE_COUNT_MAX);
		if (setting->count > 0
				&& setting->items[setting->count - 1].since
						> next.since)
			next.since = setting->items[setting->count - 1].since;
		err = put_one(repo->store, repo->seal, repo->config.repo_id,
				setting->count + 1, &next);
		if (err == 0)
			return append(setting, &next);
		if (err != -EEXIST)
			return err;
		/* Another process has set one meanwhile: ours follows it. */
		min_age_clear(setting);
		err = min_age_load(repo, setting);
	}
	return err;
}
