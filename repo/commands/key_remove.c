/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs key remove. Even if two run at once, one slot is always left: each
 * looks at the slots only while no other process may change them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "key.h"
#include "repo/base/error.h"

static int others(const struct key_slots *slots, const struct key_slot *slot)
{
	int count = 0;
	for (int i = 0; i < slots->count; i++)
		count += slots->items[i].readable && &slots->items[i] != slot;
	return count;
}

/* Something must open the repository afterwards: at least one intact slot, and,
 * unless the user insists, one that has been seen to open it. */
static int check_removal(const struct key_change *change,
		const struct key_slot *slot, bool force)
{
	if (others(change->slots, slot) == 0)
		return fail(-EBUSY,
				"slot %s is the last intact one: without it "
				"the repository can't be read; add another "
				"key first",
				slot->digits);
	if (force || strcmp(slot->digits, change->repo->key_slot) != 0)
		return 0;
	report_warning("slot %s is the one that just opened the repository, "
		       "and no other key has been shown to work",
			slot->digits);
	if (command_agreed("Remove it anyway?"))
		return 0;
	return fail(-EPERM,
			"slot %s was not removed: open the repository with "
			"a key that you are keeping, or use --force",
			slot->digits);
}

static void report_removed(const struct key_slot *slot, const char *opened)
{
	if (report_json())
		report_print_json(json_pack("{s:o}", "removed",
				key_slot_to_json(slot, opened)));
	else if (report_wants_text())
		printf("Removed slot %s. Anyone with a copy of the slot and "
		       "its secret can still open the\n"
		       "repository.\n",
				slot->digits);
}

static int remove_slot(struct key_change *change, const char *spec, bool force)
{
	struct repository *repo = change->repo;
	const struct key_slot *slot = NULL;
	int err = key_check_encrypted(repo);
	if (err < 0)
		return err;
	err = key_change_begin(change, "key%20remove");
	if (err < 0)
		return err;
	err = keys_find(change->slots, spec, &slot);
	if (err < 0)
		return err;
	err = check_removal(change, slot, force);
	if (err < 0)
		return err;
	err = exclusive_check(change->work);
	if (err < 0)
		return err;
	err = keys_remove(repo->store, slot);
	if (err < 0)
		return err;
	report_removed(slot, repo->key_slot);
	return 0;
}

static int remove_from(struct repository *repo, const char *spec, bool force)
{
	struct key_change c = { .repo = repo };
	int err = remove_slot(&c, spec, force);
	if (err < 0)
		command_failed(err);
	key_change_end(&c);
	return err < 0 ? EXIT_FAILED : EXIT_DONE;
}

int key_remove_main(int argc, char **argv)
{
	struct common_options o = { 0 };
	bool force = false;
	const struct option own[] = {
		{ "force", 0, OPTION_FLAG, &force, NULL,
				"even if it is the key that opened REPO now" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs key remove",
		.operands = "REPO SLOT",
		.purpose = "Remove a key. SLOT is its label, or the first "
			   "digits (at least 4) of its slot as\n"
			   "'amberfs key list' shows it. The last key can't "
			   "be removed.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = 2,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	struct repository *repo = command_open(argv[1], &o);
	return repo != NULL ? report_finish(remove_from(repo, argv[2], force))
			    : EXIT_FAILED;
}
