/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs boot --list: booted domains that are not finished. */
#include "boot_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/printable.h"
#include "repo/base/table.h"

struct listing {
	const struct boot_options *options;
	json_t *rows;
};

/* libvirt's name of its state, "not defined", or "unknown". */
static void domain_word(char *out, size_t size, const struct listing *listing,
		const struct boot_state *state, const char *directory)
{
	struct connection *conn = NULL;
	struct domain **users = NULL;
	struct domain_facts facts = { .state = NULL };
	unsigned count = 0;
	const char *word = "unknown";
	if (connection_open(&conn,
			    listing->options->connect != NULL
					    ? listing->options->connect
					    : state->uri,
			    CONNECTION_SECRETS)
					== 0
			&& domain_control_users(conn, directory, &users, &count)
					== 0) {
		word = "not defined";
		if (count > 0 && domain_facts(users[0], &facts) == 0)
			word = facts.state;
	}
	snprintf(out, size, "%s", word);
	domain_facts_clear(&facts);
	domain_list_free(users, count);
	connection_close(conn);
}

static const char *mount_word(const char *directory)
{
	struct boot_directory p;
	if (boot_directory_open(&p, directory, NULL) < 0)
		return "unknown";
	int mounted = boot_mount_active(&p);
	boot_directory_close(&p);
	return mounted == 1 ? "mounted" : mounted == 0 ? "not mounted" : "dead";
}

static int add_row(void *ctx, const char *directory,
		const struct boot_state *state, int err)
{
	struct listing *listing = ctx;
	char domain[64], shown[SNAPSHOT_SHOWN_MAX];
	if (state == NULL) {
		json_array_append_new(listing->rows,
				json_pack("{s:o,s:o}", "directory",
						report_json_text(directory),
						"error",
						report_json_error(err,
								directory)));
		return 0;
	}
	domain_word(domain, sizeof(domain), listing, state, directory);
	json_array_append_new(listing->rows,
			json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:o,s:b,s:s}",
					"domain", state->name, "snapshot",
					snapshot_shown(shown, state->snapshot),
					"repository", state->repository,
					"directory",
					report_json_text(directory), "state",
					domain, "mount_state",
					mount_word(directory), "started",
					report_json_time(state->since), "ready",
					state->ready, "uri", state->uri));
	return 0;
}

static void print_unreadable(json_t *row)
{
	char shown[1024];
	const char *directory = "", *error = NULL;
	json_unpack(row, "{s?s,s?{s:s}}", "directory", &directory, "error",
			"message", &error);
	if (error != NULL)
		printf("%s: %s\n", printable(shown, sizeof(shown), directory),
				error);
}

static void add_booted(struct table *table, json_t *row)
{
	const char *name = NULL, *snapshot = "", *state = "", *mount = "";
	char shown[256], from[SNAPSHOT_SHOWN_MAX];
	int ready = 1;
	json_unpack(row, "{s?s,s?s,s?s,s?s,s?b}", "domain", &name, "snapshot",
			&snapshot, "state", &state, "mount_state", &mount,
			"ready", &ready);
	const char *cells[] = { printable(shown, sizeof(shown),
						name != NULL ? name : ""),
		printable(from, sizeof(from), snapshot), state, mount,
		ready ? NULL : "incomplete: discard it" };
	if (name != NULL)
		table_add(table, cells);
}

static int print_text(json_t *rows)
{
	static const struct table_column columns[] = {
		{ "NAME", TABLE_WRAP },
		{ "SNAPSHOT", TABLE_WRAP },
		{ "DOMAIN", TABLE_LEFT },
		{ "BACKUP", TABLE_LEFT },
		{ "", TABLE_WRAP },
	};
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row)
		add_booted(table, row);
	int err = table_print(table);
	json_array_foreach (rows, i, row)
		print_unreadable(row);
	return err;
}

int boot_list(struct boot *boot)
{
	struct listing l = { .options = boot->options, .rows = json_array() };
	int err = boot_root_each(boot->dir, add_row, &l);
	if (err == 0 && report_json())
		return report_print_json(json_pack("{s:o}", "boots", l.rows));
	if (err == 0 && json_array_size(l.rows) == 0)
		printf("No snapshot is booted in %s.\n", boot->dir);
	else if (err == 0)
		err = print_text(l.rows);
	json_decref(l.rows);
	return err;
}
