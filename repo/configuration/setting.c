/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of settings and the checks of their values; see setting.h. */
#include "setting.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/options.h"
#include "repo/base/units.h"

#define NAME_MAX_LEN 32
#define SHARES_MAX 366u
#define SOURCE_MAX 200 /* bytes of a source's name, or a file's, in a job */

/* --- words and numbers --- */

static int one_of(const char *value, const char *const *words)
{
	char all[128] = "";
	for (size_t i = 0; words[i] != NULL; i++) {
		if (strcmp(value, words[i]) == 0)
			return 0;
		size_t len = strlen(all);
		snprintf(all + len, sizeof(all) - len, "%s%s",
				i == 0				       ? ""
						: words[i + 1] == NULL ? " or "
								       : ", ",
				words[i]);
	}
	return fail(-EINVAL, "must be %s", all);
}

/* A whole number without sign, or -1. */
static long whole_number(const char *value)
{
	size_t len = strlen(value);
	return len > 0 && len <= 9 && strspn(value, "0123456789") == len
			? strtol(value, NULL, 10)
			: -1;
}

static int number_from_1_to(const char *value, long max)
{
	long n = whole_number(value);
	return n >= 1 && n <= max
			? 0
			: fail(-EINVAL, "must be a number from 1 to %ld", max);
}

static int check_64(const char *value)
{
	return number_from_1_to(value, 64);
}

static int check_compression(const char *value)
{
	return number_from_1_to(value, 19);
}

static int check_text(const char *value)
{
	(void)value;
	return 0;
}

static int check_yes_no(const char *value)
{
	static const char *const words[] = { "yes", "no", NULL };
	return one_of(value, words);
}

static int check_quiesce(const char *value)
{
	static const char *const words[] = { "auto", "require", "never", NULL };
	return one_of(value, words);
}

static int check_count(const char *value)
{
	return strcmp(value, "all") == 0 || whole_number(value) >= 0
			? 0
			: fail(-EINVAL, "must be a number or all");
}

/* --- sizes and times --- */

static int check_size(const char *value)
{
	uint64_t size;
	return size_parse(&size, value) == 0
			? 0
			: fail(-EINVAL, "must be a size such as 200M or 20G");
}

static int check_unused(const char *value)
{
	char *end;
	double percent = strtod(value, &end);
	if (isdigit((unsigned char)value[0]) && strcmp(end, "%") == 0
			&& percent <= 100)
		return 0;
	uint64_t size;
	return size_parse(&size, value) == 0
			? 0
			: fail(-EINVAL,
					"must be a share such as 5%% or a size "
					"such as 20G");
}

static int check_age(const char *value)
{
	int64_t seconds;
	return age_parse(&seconds, value) == 0
			? 0
			: fail(-EINVAL, "must be an age such as 14d or 2mo");
}

static int check_wait(const char *value)
{
	int64_t seconds;
	return wait_parse(&seconds, value) == 0
			? 0
			: fail(-EINVAL,
					"must be a length of time such as "
					"30min or 2h");
}

static int check_positive_wait(const char *value)
{
	int64_t seconds;
	return wait_parse(&seconds, value) == 0 && seconds > 0
			? 0
			: fail(-EINVAL,
					"must be a length of time such as "
					"10min");
}

/* --- schedules: what of systemd.time(7) people use --- */

static const char *const days[] = { "mon", "tue", "wed", "thu", "fri", "sat",
	"sun" };

static const char *skip_day(const char *at)
{
	for (size_t i = 0; i < ARRAY_SIZE(days); i++)
		if (strncasecmp(at, days[i], 3) == 0)
			return at + 3;
	return NULL;
}

/* "Mon..Fri,Sun": its end, or NULL. */
static const char *skip_days(const char *at)
{
	for (;;) {
		at = skip_day(at);
		if (at != NULL && strncmp(at, "..", 2) == 0)
			at = skip_day(at + 2);
		if (at == NULL || *at != ',')
			return at;
		at++;
	}
}

/* Of two digits; others give more than any time has. */
static int two_digits(const char *at)
{
	return isdigit((unsigned char)at[0]) && isdigit((unsigned char)at[1])
			? 10 * (at[0] - '0') + at[1] - '0'
			: 100;
}

static bool is_time(const char *at)
{
	return strlen(at) == 5 && two_digits(at) < 24 && at[2] == ':'
			&& two_digits(at + 3) < 60;
}

static int check_schedule(const char *value)
{
	static const char *const words[] = { "hourly", "daily", "weekly",
		"monthly" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(value, words[i]) == 0)
			return 0;
	const char *at = isalpha((unsigned char)value[0]) ? skip_days(value)
							  : value;
	if (at != NULL && (at == value || *at == ' ')
			&& is_time(at + strspn(at, " ")))
		return 0;
	return fail(-EINVAL,
			"must be hourly, daily, weekly, monthly, or a "
			"time such as 02:30, Sun 05:00 or Mon..Fri 22:00");
}

int setting_parse_share(const char *text, unsigned *shares)
{
	long n = strncmp(text, "1/", 2) == 0 ? whole_number(text + 2) : -1;
	if (n < 1 || n > (long)SHARES_MAX)
		return fail(-EINVAL, "must be a share from 1/1 to 1/%u",
				SHARES_MAX);
	*shares = (unsigned)n;
	return 0;
}

static int check_verify(const char *value)
{
	unsigned shares;
	return strcmp(value, "no") == 0 || strcmp(value, "maps") == 0
					|| strcmp(value, "data") == 0
					|| setting_parse_share(value, &shares)
							== 0
			? 0
			: fail(-EINVAL,
					"must be no, maps, data, or a share of "
					"the data such as 1/7");
}

/* --- names and paths --- */

bool setting_is_name(const char *name)
{
	size_t len = strlen(name);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];
		bool inner = c == '-' || c == '_' || c == '.';
		if (c >= 128 || !(isalnum(c) || (i > 0 && inner)))
			return false;
	}
	return len >= 1 && len <= NAME_MAX_LEN;
}

static int check_name(const char *value)
{
	return setting_is_name(value)
			? 0
			: fail(-EINVAL, "must be the name of a repository");
}

static int check_path(const char *value)
{
	return value[0] == '/'
			? 0
			: fail(-EINVAL, "must be a path that begins with /");
}

const char *setting_after_word(const char *text, int *first)
{
	*first = (int)strcspn(text, " \t");
	text += *first;
	return text + strspn(text, " \t");
}

static int check_source_path(const char *value)
{
	int len;
	return setting_after_word(value, &len)[0] == '/' && value[0] != '-'
					&& len <= SOURCE_MAX
			? 0
			: fail(-EINVAL,
					"must be a source's name, and a path "
					"that begins with /");
}

static int check_command(const char *value)
{
	int len;
	const char *file = setting_after_word(value, &len);
	int name_len = len;
	const char *command = setting_after_word(file, &len);
	return *command != '\0' && value[0] != '-' && file[0] != '-'
					&& name_len <= SOURCE_MAX
					&& len <= SOURCE_MAX
					&& memchr(file, '/', (size_t)len)
							== NULL
			? 0
			: fail(-EINVAL,
					"must be a source's name, the name of "
					"the file in it, and a command");
}

/* --- the table --- */

#define REPOSITORY SECTION_REPOSITORY
#define JOB SECTION_JOB
#define NAMES(what) .names = NAMES_##what

static const struct setting table[] = {
	{ "place", REPOSITORY, NAMES(PLACE), .check = check_path },
	{ "key-file", REPOSITORY, NAMES(FILE), .check = check_path },
	{ "passphrase-file", REPOSITORY, NAMES(FILE), .check = check_path },
	{ "passphrase-command", REPOSITORY, .secret = true,
			.check = check_text },
	{ "index-dir", REPOSITORY, .check = check_path,
			.fallback = "below /var/cache/amberfs or "
				    "~/.cache/amberfs" },
	{ "min-age", REPOSITORY, .check = check_age, .fallback = "0" },

	{ "repository", JOB, NAMES(REPOSITORY), .check = check_name },
	{ "domains", JOB, .list = true, .check = check_text },
	{ "exclude", JOB, .list = true, .check = check_text },
	{ "file", JOB, .list = true, NAMES(SOURCE_FILE),
			.check = check_source_path },
	{ "device", JOB, .list = true, NAMES(SOURCE_DEVICE),
			.check = check_source_path },
	{ "command", JOB, .list = true, .check = check_command },
	{ "connect", JOB, .check = check_text,
			.fallback = "libvirt's own default" },
	{ "quiesce", JOB, .check = check_quiesce, .fallback = "auto" },
	{ "wait", JOB, .check = check_wait, .fallback = "0" },
	{ "scratch-dir", JOB, NAMES(DIRECTORY), .check = check_path,
			.fallback = "/var/tmp" },
	{ "disk", JOB, .list = true, .check = check_text },
	{ "exclude-disk", JOB, .list = true, .check = check_text },
	{ "source", JOB, .list = true, .check = check_text },
	{ "hooks", JOB, NAMES(DIRECTORY), .check = check_path },
	{ "hook-timeout", JOB, .check = check_positive_wait },
	{ "jobs", JOB, .check = check_64, .fallback = "one per processor" },
	{ "jobs-domains", JOB, .check = check_64, .fallback = "1" },
	{ "bwlimit", JOB, .check = check_size },
	{ "compression", JOB, .check = check_compression,
			.fallback = "the repository's" },
	{ "keep-last", JOB, .check = check_count },
	{ "keep-hourly", JOB, .check = check_count },
	{ "keep-daily", JOB, .check = check_count },
	{ "keep-weekly", JOB, .check = check_count },
	{ "keep-monthly", JOB, .check = check_count },
	{ "keep-yearly", JOB, .check = check_count },
	{ "keep-within", JOB, .check = check_age },
	{ "keep-source", JOB, .list = true, .check = check_text },
	{ "prune", JOB, .check = check_yes_no,
			.fallback = "yes if there is a rule keep-..." },
	{ "max-unused", JOB, .check = check_unused, .fallback = "5%" },
	{ "max-rewrite", JOB, .check = check_size },
	{ "copy-to", JOB, .list = true, NAMES(REPOSITORY),
			.check = check_name },
	{ "verify", JOB, .check = check_verify, .fallback = "no" },
	{ "prove", JOB, .check = check_yes_no, .fallback = "no" },
	{ "prove-accept", JOB, .check = check_text,
			.fallback = "agent,console" },
	{ "prove-timeout", JOB, .check = check_positive_wait,
			.fallback = "5min" },
	{ "picture-dir", JOB, NAMES(DIRECTORY), .check = check_path },
	{ "schedule", JOB, .check = check_schedule },
	{ "lock", JOB, .check = check_path, .fallback = "below /run/amberfs" },
	{ NULL, JOB, .check = NULL },
};

const struct setting *setting_table(void)
{
	return table;
}

const char *section_kind_name(enum section_kind kind)
{
	return kind == SECTION_REPOSITORY ? "repository" : "job";
}

const struct setting *setting_find(enum section_kind of, const char *name)
{
	for (const struct setting *setting = table; setting->name != NULL;
			setting++)
		if (setting->of == of && strcmp(setting->name, name) == 0)
			return setting;
	return NULL;
}

const char *setting_nearest(enum section_kind of, const char *name)
{
	const char *words[ARRAY_SIZE(table)];
	size_t n = 0;
	for (const struct setting *setting = table; setting->name != NULL;
			setting++)
		if (setting->of == of)
			words[n++] = setting->name;
	words[n] = NULL;
	return options_nearest_word(name, words);
}
