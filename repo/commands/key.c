/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs key: its subcommands, what they share, and the list. */
#include "key.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/table.h"
#include "repo/base/units.h"
#include "repo/format/document.h"
#include "repo/format/name.h"

/* --- shared --- */

int key_load_slots(struct repository *repo, struct key_slots **out)
{
	*out = malloc(sizeof(**out));
	if (*out == NULL)
		return fail_no_memory("reading the key slots");
	int err = keys_load(*out, repo->store, repo->config.repo_id);
	if (err < 0)
		free(take_ptr(*out));
	return err;
}

json_t *key_slot_to_json(const struct key_slot *slot, const char *opened)
{
	json_t *j = json_pack("{s:s,s:b,s:b}", "slot", slot->digits, "readable",
			(int)slot->readable, "opened",
			strcmp(slot->digits, opened) == 0);
	if (!slot->readable)
		return j;
	json_object_set_new(j, "kind",
			json_string(keys_kind_name(slot->slot.kind)));
	json_object_set_new(j, "made", report_json_time(slot->slot.created));
	if (slot->slot.label[0] != '\0')
		document_set_name(j, "label", slot->slot.label);
	return j;
}

int key_check_encrypted(const struct repository *repo)
{
	if (repo->config.encrypted)
		return 0;
	return fail(-EINVAL, "%s is not encrypted: it has no keys",
			store_path(repo->store));
}

void key_change_end(struct key_change *change)
{
	free(change->slots);
	exclusive_end(change->work);
	session_end(change->session);
	repository_close(change->repo);
}

int key_change_begin(struct key_change *change, const char *activity)
{
	struct repository *repo = change->repo;
	int err = session_begin(&change->session, repo, SESSION_WRITE,
			activity);
	if (err < 0)
		return err;
	err = exclusive_begin(&change->work, repo, session_id(change->session),
			"keys");
	return err < 0 ? err : key_load_slots(repo, &change->slots);
}

/* --- list --- */

static void print_json(const struct key_slots *slots, const char *opened)
{
	json_t *array = json_array();
	for (int i = 0; slots != NULL && i < slots->count; i++)
		json_array_append_new(array,
				key_slot_to_json(&slots->items[i], opened));
	report_print_json(json_pack("{s:o}", "slots", array));
}

static int print_text(const struct key_slots *slots, const char *opened)
{
	static const struct table_column columns[] = { { "SLOT", TABLE_LEFT },
		{ "KIND", TABLE_LEFT }, { "MADE", TABLE_SPARE },
		{ "LABEL", TABLE_CUT }, { "", TABLE_LEFT } };
	struct table *table = table_new(columns, ARRAY_SIZE(columns));
	for (int i = 0; i < slots->count; i++) {
		const struct key_slot *slot = &slots->items[i];
		bool now = strcmp(slot->digits, opened) == 0;
		char made[UTC_TEXT_MAX] = "", label[512] = "";
		if (slot->readable) {
			utc_format(made, slot->slot.created);
			name_shown(label, sizeof(label), slot->slot.label);
		}
		const char *cells[] = { slot->digits,
			slot->readable ? keys_kind_name(slot->slot.kind)
				       : "damaged",
			made, label, now ? "used now" : NULL };
		table_add(table, cells);
	}
	int err = table_print(table);
	if (err < 0)
		return err;
	if (slots->more)
		printf("… more than %d in all\n", KEYS_MAX);
	return 0;
}

static int list_main(int argc, char **argv)
{
	struct common_options o = { 0 };
	const struct option *tables[] = { repository_option_table(
							  &o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs key list",
		.operands = "REPO",
		.purpose = "List the keys that open REPO; the one used now "
			   "is marked.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	struct repository *repo = NULL;
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	int err = repository_open(&repo, argv[1], &o.repository);
	if (err < 0)
		return command_failed(err);
	CLEANUP_FREE struct key_slots *slots = NULL;
	if (repo->config.encrypted)
		err = key_load_slots(repo, &slots);
	if (err == 0 && report_json())
		print_json(slots, repo->key_slot);
	else if (err == 0 && slots != NULL)
		err = print_text(slots, repo->key_slot);
	else if (err == 0)
		printf("%s is not encrypted: it has no keys.\n",
				store_path(repo->store));
	repository_close(repo);
	return err < 0 ? command_failed(err) : report_finish(EXIT_DONE);
}

/* --- */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} subcommands[] = {
	{ "list", list_main },
	{ "add", key_add_main },
	{ "remove", key_remove_main },
};

int command_key(int argc, char **argv)
{
	const struct option *tables[] = { NULL };
	const struct command_line cl = {
		.program = "amberfs key",
		.operands = "list|add|remove REPO ...",
		.purpose = "Manage the keys that open an encrypted "
			   "repository; see 'amberfs key add --help'\n"
			   "and so on.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = -1,
	};
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(subcommands); i++)
		if (strcmp(argv[1], subcommands[i].name) == 0)
			return subcommands[i].run(argc - 1, argv + 1);
	if (argc > 1 && argv[1][0] == '-')
		options_parse(&cl, argc, argv);
	options_error(&cl, "%s%s: use list, add or remove",
			argc > 1 ? "unknown subcommand " : "missing subcommand",
			argc > 1 ? argv[1] : "");
}
