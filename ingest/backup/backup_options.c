/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Converts option texts to values, and decides which disks they select. */
#include "backup_options.h"

#include <errno.h>
#include <string.h>

#include "hooks.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/units.h"

#define SOURCE_MAX 4096 /* as of --name */

static int parse_quiesce(enum quiesce *out, const char *text)
{
	static const char *const words[] = {
		[QUIESCE_AUTO] = "auto",
		[QUIESCE_REQUIRE] = "require",
		[QUIESCE_NEVER] = "never",
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*out = (enum quiesce)i;
			return 0;
		}
	return fail(-EINVAL, "--quiesce must be auto, require or never");
}

static int parse_wait(int64_t *out, const char *option, const char *text)
{
	return wait_parse(out, text) < 0 ? fail_within(-EINVAL, "%s", option)
					 : 0;
}

/* Targets are names such as vda: everything before the last colon is the
 * domain. */
static int check_targets(const struct option_list *list, const char *option)
{
	for (int i = 0; i < list->count; i++) {
		const char *colon = strrchr(list->items[i], ':');
		const char *target = colon != NULL ? colon + 1 : list->items[i];
		if (*target == '\0' || strchr(target, '/') != NULL
				|| colon == list->items[i])
			return fail(-EINVAL,
					"%s needs a disk's target, such as vda "
					"or DOMAIN:vda",
					option);
	}
	return 0;
}

static int check_sources(const struct backup_options *options)
{
	const struct option_list *list = &options->sources;
	for (int i = 0; i < list->count; i++) {
		const char *item = list->items[i], *colon = strchr(item, ':');
		if (!options->one_domain && (colon == NULL || colon == item))
			return fail(-EINVAL,
					"--source NAME is for a single "
					"--domain; otherwise give --source "
					"DOMAIN:NAME");
		if (*item == '\0' || item[strlen(item) - 1] == ':'
				|| strlen(item) > SOURCE_MAX)
			return fail(-EINVAL,
					"--source needs a name of 1 to %d "
					"bytes",
					SOURCE_MAX);
	}
	return 0;
}

static int check_hook_timeout(const char *text)
{
	int64_t limit;
	int err = parse_wait(&limit, "--hook-timeout", text);
	if (err != 0)
		return err;
	if (limit < 1)
		return fail(-EINVAL, "--hook-timeout must be at least 1s");
	hooks_limit(limit);
	return 0;
}

int backup_options_check(struct backup_options *options,
		const struct backup_words *words)
{
	int err = check_sources(options);
	if (err != 0)
		return err;
	err = check_targets(&options->disks, "--disk");
	if (err != 0)
		return err;
	err = check_targets(&options->exclude_disks, "--exclude-disk");
	if (err != 0)
		return err;
	if (words->quiesce != NULL)
		err = parse_quiesce(&options->quiesce, words->quiesce);
	if (err != 0)
		return err;
	if (words->wait != NULL)
		err = parse_wait(&options->wait_seconds, "--wait", words->wait);
	if (err != 0 || words->hook_timeout == NULL)
		return err;
	return check_hook_timeout(words->hook_timeout);
}

bool backup_options_disk_concerns(const char *item, const char *name,
		const char *uuid)
{
	const char *colon = strrchr(item, ':');
	size_t len = colon != NULL ? (size_t)(colon - item) : 0;
	if (colon == NULL)
		return true;
	return (strlen(name) == len && memcmp(item, name, len) == 0)
			|| (uuid != NULL && strlen(uuid) == len
					&& strncasecmp(item, uuid, len) == 0);
}

static bool listed(const struct option_list *list, const char *name,
		const char *uuid, const char *target, bool *any)
{
	bool found = false;
	*any = false;
	for (int i = 0; i < list->count; i++) {
		const char *item = list->items[i];
		const char *colon = strrchr(item, ':');
		if (!backup_options_disk_concerns(item, name, uuid))
			continue;
		*any = true;
		if (strcmp(colon != NULL ? colon + 1 : item, target) == 0)
			found = true;
	}
	return found;
}

bool backup_options_want_disk(const struct backup_options *options,
		const char *name, const char *uuid, const char *target)
{
	bool any;
	if (listed(&options->exclude_disks, name, uuid, target, &any))
		return false;
	return listed(&options->disks, name, uuid, target, &any) || !any;
}

bool backup_options_names_disk(const struct backup_options *options,
		const char *name, const char *uuid, const char *target)
{
	bool any;
	return listed(&options->disks, name, uuid, target, &any);
}

/* Domains' names may have colons, too. NULL: ITEM is of another domain. */
static const char *after_domain(const char *item, const char *domain)
{
	size_t len = strlen(domain);
	return strncmp(item, domain, len) == 0 && item[len] == ':'
			? item + len + 1
			: NULL;
}

const char *backup_options_source(const struct backup_options *options,
		const char *name, const char *uuid)
{
	const struct option_list *list = &options->sources;
	for (int i = 0; i < list->count; i++) {
		const char *item = list->items[i];
		const char *source = after_domain(item, name);
		if (source == NULL)
			source = after_domain(item, uuid);
		if (source != NULL)
			return source;
	}
	return options->one_domain && list->count > 0 ? list->items[0] : name;
}
