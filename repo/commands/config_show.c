/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values in force, each with where it comes from: a line of a file, the
 * environment, or what is done without it. Secrets are left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/base/table.h"
#include "repo/repository/secret_env.h"

#define CELL_MAX 1024
#define SECTION_MAX 64
#define HIDDEN "(not shown)"

/* What the environment says of the key wins over the configuration. */
static const struct {
	const char *variable, *setting;
	bool secret;
} variables[] = {
	{ "AMBERFS_KEY_FILE", "key-file", false },
	{ "AMBERFS_PASSPHRASE", "passphrase", true },
	{ "AMBERFS_PASSPHRASE_FILE", "passphrase-file", false },
	{ "AMBERFS_PASSPHRASE_COMMAND", "passphrase-command", true },
};

/* One value. LINE 0: FROM says all. VALUE NULL: it is not to be shown. */
struct shown {
	const char *setting, *value, *from;
	unsigned line;
};
typedef void show_fn(void *ctx, const struct configuration_section *section,
		const struct shown *shown);

static void each_variable(const struct configuration_section *section,
		show_fn *fn, void *ctx)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++) {
		char from[64];
		const char *value = secret_env_get(variables[i].variable);
		snprintf(from, sizeof(from), "environment (%s)",
				variables[i].variable);
		const struct shown shown = { variables[i].setting,
			variables[i].secret ? NULL : value, from, 0 };
		if (value != NULL)
			fn(ctx, section, &shown);
	}
}

static void each_fallback(const struct configuration_section *section,
		show_fn *fn, void *ctx)
{
	for (const struct setting *setting = setting_table();
			setting->name != NULL; setting++) {
		const struct shown shown = { setting->name, setting->fallback,
			"default", 0 };
		if (setting->of == section->kind && setting->fallback != NULL
				&& configuration_value(section, setting->name)
						== NULL)
			fn(ctx, section, &shown);
	}
}

static void each_value(const struct configuration *configuration, show_fn *fn,
		void *ctx)
{
	for (size_t i = 0; i < configuration->section_count; i++) {
		const struct configuration_section *section =
				configuration->sections[i];
		for (size_t j = 0; j < section->count; j++) {
			const struct configuration_entry *entry =
					&section->entries[j];
			const struct shown shown = { entry->setting->name,
				entry->setting->secret ? NULL : entry->value,
				entry->file, entry->line };
			fn(ctx, section, &shown);
		}
		if (section->kind == SECTION_REPOSITORY)
			each_variable(section, fn, ctx);
		each_fallback(section, fn, ctx);
	}
}

static void add_row(void *ctx, const struct configuration_section *section,
		const struct shown *shown)
{
	char name[SECTION_MAX], value[CELL_MAX], from[CELL_MAX],
			line[CELL_MAX + 32];
	snprintf(name, sizeof(name), "%s %s", section_kind_name(section->kind),
			section->name);
	printable(value, sizeof(value),
			shown->value != NULL ? shown->value : HIDDEN);
	printable(from, sizeof(from), shown->from);
	snprintf(line, sizeof(line), shown->line > 0 ? "%s, line %u" : "%s",
			from, shown->line);
	const char *const cells[] = { name, shown->setting, value, line };
	table_add(ctx, cells);
}

int config_show_text(const struct configuration *configuration)
{
	static const struct table_column columns[] = {
		{ "SECTION", TABLE_LEFT },
		{ "SETTING", TABLE_LEFT },
		{ "VALUE", TABLE_WRAP },
		{ "FROM", TABLE_WRAP },
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	each_value(configuration, add_row, table);
	return table_print(table);
}

static void add_json(void *ctx, const struct configuration_section *section,
		const struct shown *shown)
{
	json_t *list = ctx;
	json_t *row = json_pack("{s:s,s:s,s:s,s:o,s:o}", "section",
			section_kind_name(section->kind), "name", section->name,
			"setting", shown->setting, "value",
			shown->value != NULL ? report_json_text(shown->value)
					     : json_null(),
			"from", report_json_text(shown->from));
	if (row != NULL && shown->line > 0)
		json_object_set_new(row, "line", json_integer(shown->line));
	json_array_append_new(list, row);
}

json_t *config_show_json(const struct configuration *configuration)
{
	json_t *list = json_array();
	if (list != NULL)
		each_value(configuration, add_json, list);
	return list;
}
