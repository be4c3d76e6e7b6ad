/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A table of mount options. Those that describe what every amberfs mount is
 * anyway (read-only, no devices, no set-uid programs, no access times), and
 * those that are for mount(8), systemd and people, are accepted and do nothing.
 */
#include "mount_options.h"

#include <stddef.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/error.h"

enum option_meaning {
	MEANS_NOTHING, /* with or without a value */
	MEANS_SET,     /* bool: true */
	MEANS_UNSET,   /* bool: false */
	MEANS_TEXT,
	MEANS_SIZE,
	MEANS_USER,  /* uid_t */
	MEANS_GROUP, /* gid_t */
	MEANS_MODE,  /* octal */
	MEANS_VIEWS, /* enum tree_views */
	MEANS_WRITE,
	MEANS_SECRET,
};

struct known_option {
	const char *name;
	enum option_meaning meaning;
	size_t field;
};

#define FIELD(f) offsetof(struct mount_options, f)
#define CREDENTIAL(f) FIELD(repository.credentials.f)

static const struct known_option known[] = {
	{ "allow_other", MEANS_SET, FIELD(allow_other) },
	{ "allow_root", MEANS_SET, FIELD(allow_root) },
	{ "noexec", MEANS_SET, FIELD(noexec) },
	{ "exec", MEANS_UNSET, FIELD(noexec) },
	{ "uid", MEANS_USER, FIELD(uid) },
	{ "gid", MEANS_GROUP, FIELD(gid) },
	{ "umask", MEANS_MODE, FIELD(umask) },
	{ "snapshot", MEANS_TEXT, FIELD(snapshot) },
	{ "views", MEANS_VIEWS, FIELD(views) },
	{ "cache_size", MEANS_SIZE, FIELD(cache_size) },
	{ "readahead", MEANS_SIZE, FIELD(readahead) },
	{ "key_file", MEANS_TEXT, CREDENTIAL(key_file) },
	{ "passphrase_file", MEANS_TEXT, CREDENTIAL(passphrase_file) },
	{ "passphrase_command", MEANS_TEXT, CREDENTIAL(passphrase_command) },
	{ "index_dir", MEANS_TEXT, FIELD(repository.index_dir) },
	{ "rw", MEANS_WRITE, 0 },
	{ "passphrase", MEANS_SECRET, 0 },
	{ "password", MEANS_SECRET, 0 },
	{ "key", MEANS_SECRET, 0 },
	/* What every mount of ours is. */
	{ "ro", MEANS_NOTHING, 0 },
	{ "default_permissions", MEANS_NOTHING, 0 },
	{ "nodev", MEANS_NOTHING, 0 },
	{ "dev", MEANS_NOTHING, 0 },
	{ "nosuid", MEANS_NOTHING, 0 },
	{ "suid", MEANS_NOTHING, 0 },
	{ "noatime", MEANS_NOTHING, 0 },
	{ "atime", MEANS_NOTHING, 0 },
	{ "nodiratime", MEANS_NOTHING, 0 },
	{ "diratime", MEANS_NOTHING, 0 },
	{ "relatime", MEANS_NOTHING, 0 },
	{ "norelatime", MEANS_NOTHING, 0 },
	{ "strictatime", MEANS_NOTHING, 0 },
	{ "nostrictatime", MEANS_NOTHING, 0 },
	{ "lazytime", MEANS_NOTHING, 0 },
	{ "nolazytime", MEANS_NOTHING, 0 },
	{ "async", MEANS_NOTHING, 0 },
	{ "sync", MEANS_NOTHING, 0 },
	{ "dirsync", MEANS_NOTHING, 0 },
	/* For mount(8), systemd and people. */
	{ "defaults", MEANS_NOTHING, 0 },
	{ "auto", MEANS_NOTHING, 0 },
	{ "noauto", MEANS_NOTHING, 0 },
	{ "user", MEANS_NOTHING, 0 },
	{ "nouser", MEANS_NOTHING, 0 },
	{ "users", MEANS_NOTHING, 0 },
	{ "nousers", MEANS_NOTHING, 0 },
	{ "owner", MEANS_NOTHING, 0 },
	{ "noowner", MEANS_NOTHING, 0 },
	{ "group", MEANS_NOTHING, 0 },
	{ "nogroup", MEANS_NOTHING, 0 },
	{ "nofail", MEANS_NOTHING, 0 },
	{ "_netdev", MEANS_NOTHING, 0 },
	{ "comment", MEANS_NOTHING, 0 },
	{ "uhelper", MEANS_NOTHING, 0 },
	{ "helper", MEANS_NOTHING, 0 },
};
#define KNOWN_COUNT (ARRAY_SIZE(known))

void mount_options_init(struct mount_options *options)
{
	*options = (struct mount_options){
		.uid = geteuid(),
		.gid = getegid(),
		.cache_size = MOUNT_CACHE_DEFAULT,
		.readahead = MOUNT_READAHEAD_DEFAULT,
	};
}

void mount_options_clear(struct mount_options *options)
{
	for (int i = 0; i < options->text_count; i++)
		free(options->texts[i]);
	free(options->texts);
	options->texts = NULL;
	options->text_count = 0;
}

static int parse_number(unsigned long *out, const char *name, const char *value,
		int base, unsigned long max)
{
	char *end;
	errno = 0;
	unsigned long v = strtoul(value, &end, base);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0
			|| v > max)
		return fail(-EINVAL, "mount option %s=%s: expected %s", name,
				value,
				base == 8 ? "an octal mode up to 777"
					  : "a number");
	*out = v;
	return 0;
}

static int set_number(const struct known_option *option, void *field,
		const char *value)
{
	unsigned long v = 0;
	int err = parse_number(&v, option->name, value,
			option->meaning == MEANS_MODE ? 8 : 10,
			option->meaning == MEANS_MODE ? 0777 : UINT32_MAX - 1);
	if (err != 0)
		return err;
	if (option->meaning == MEANS_USER)
		*(uid_t *)field = (uid_t)v;
	else if (option->meaning == MEANS_GROUP)
		*(gid_t *)field = (gid_t)v;
	else
		*(uint32_t *)field = (uint32_t)v;
	return 0;
}

static int set_views(enum tree_views *views, const char *value)
{
	static const char *const words[] = {
		[TREE_VIEWS_BOTH] = "both",
		[TREE_VIEWS_RAW] = "raw",
		[TREE_VIEWS_QCOW2] = "qcow2",
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcmp(value, words[i]) == 0) {
			*views = (enum tree_views)i;
			return 0;
		}
	return fail(-EINVAL,
			"mount option views=%s: expected raw, qcow2 or both",
			value);
}

static int set_value(const struct known_option *option, void *field,
		const char *value)
{
	if (value == NULL || value[0] == '\0')
		return fail(-EINVAL, "mount option %s needs a value: %s=VALUE",
				option->name, option->name);
	switch (option->meaning) {
	case MEANS_TEXT:
		*(const char **)field = value;
		return 0;
	case MEANS_SIZE:
		if (size_parse(field, value) != 0)
			return fail_within(-EINVAL, "mount option %s=%s",
					option->name, value);
		return 0;
	case MEANS_VIEWS:
		return set_views(field, value);
	default:
		return set_number(option, field, value);
	}
}

static int apply(struct mount_options *options,
		const struct known_option *option, const char *value)
{
	void *field = (char *)options + option->field;
	switch (option->meaning) {
	case MEANS_NOTHING:
		return 0;
	case MEANS_SET:
	case MEANS_UNSET:
		if (value != NULL)
			return fail(-EINVAL, "mount option %s takes no value",
					option->name);
		*(bool *)field = option->meaning == MEANS_SET;
		return 0;
	case MEANS_WRITE:
		if (options->by_mount)
			return 0;
		return fail(-EINVAL,
				"amberfs mounts are always read-only: "
				"remove the mount option rw");
	case MEANS_SECRET:
		/* The value is not repeated: messages end up in logs. */
		return fail(-EINVAL,
				"mount option %s: every user of this "
				"machine can read a command line; use "
				"passphrase_file=, passphrase_command= or "
				"key_file=",
				option->name);
	default:
		return set_value(option, field, value);
	}
}

static int unknown(const struct mount_options *options, const char *name)
{
	const char *words[KNOWN_COUNT + 1];
	if (options->sloppy || strncmp(name, "x-", 2) == 0
			|| strncmp(name, "X-", 2) == 0)
		return 0;
	for (size_t i = 0; i < KNOWN_COUNT; i++)
		words[i] = known[i].name;
	words[KNOWN_COUNT] = NULL;
	const char *near = options_nearest_word(name, words);
	if (near != NULL)
		return fail(-EINVAL,
				"unknown mount option %s; did you mean %s?",
				name, near);
	return fail(-EINVAL, "unknown mount option %s", name);
}

static int apply_text(struct mount_options *options, char *text)
{
	char *value = strchr(text, '=');
	if (text[0] == '\0')
		return 0;
	if (value != NULL)
		*value++ = '\0';
	for (size_t i = 0; i < KNOWN_COUNT; i++)
		if (strcmp(text, known[i].name) == 0)
			return apply(options, &known[i], value);
	return unknown(options, text);
}

/* Cuts the first option off *REST, in place, and takes its escapes away.
 * NULL at the end. */
static char *next_option(char **rest)
{
	char *start = *rest, *from = start, *to = start;
	bool quoted = false;
	if (start == NULL)
		return NULL;
	for (; *from != '\0' && (quoted || *from != ','); from++) {
		if (*from == '"') {
			quoted = !quoted;
			continue;
		}
		if (*from == '\\'
				&& (from[1] == ',' || from[1] == '\\'
						|| from[1] == '"'))
			from++;
		*to++ = *from;
	}
	*rest = *from == '\0' ? NULL : from + 1;
	*to = '\0';
	return start;
}

int mount_options_parse(struct mount_options *options, const char *list)
{
	char **texts = reallocarray(options->texts,
			(size_t)options->text_count + 1, sizeof(*texts));
	if (texts == NULL)
		return fail_no_memory("reading mount options");
	options->texts = texts;
	char *rest = strdup(list), *option;
	if (rest == NULL)
		return fail_no_memory("reading mount options");
	texts[options->text_count++] = rest;
	while ((option = next_option(&rest)) != NULL) {
		int err = apply_text(options, option);
		if (err != 0)
			return err;
	}
	return 0;
}

int mount_options_check(const struct mount_options *options)
{
	char least[SIZE_TEXT_MAX], most[SIZE_TEXT_MAX];
	if (options->cache_size < MOUNT_CACHE_MIN)
		return fail(-EINVAL, "the cache size must be at least %s",
				size_format(least, MOUNT_CACHE_MIN));
	if (options->readahead < 4 * KIB
			|| options->readahead > MOUNT_READAHEAD_MAX)
		return fail(-EINVAL, "readahead must be between %s and %s",
				size_format(least, 4 * KIB),
				size_format(most, MOUNT_READAHEAD_MAX));
	if (options->allow_other && options->allow_root)
		return fail(-EINVAL,
				"allow_other and allow_root can't be "
				"combined");
	return 0;
}
