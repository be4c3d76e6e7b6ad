/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs key add: one more slot, put in one durable step once it is known to
 * open. A recovery key is shown after that; if that fails, its slot is removed
 * again.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "key.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/format/document.h"
#include "repo/format/name.h"
#include "repo/format/recovery.h"

struct add_options {
	struct common_options common;
	struct credentials fresh; /* the options --new-… */
	bool ask, recovery;
	const char *label;
};

static void check_add(const struct command_line *line,
		const struct add_options *options)
{
	int ways = (options->fresh.key_file != NULL)
			+ (options->fresh.passphrase_file != NULL)
			+ (options->fresh.passphrase_command != NULL)
			+ options->ask + options->recovery;
	if (ways != 1)
		options_error(line,
				"give one of --new-key-file, "
				"--new-passphrase, --new-passphrase-file, "
				"--new-passphrase-command and --recovery");
	if (options->recovery && options->common.report.json)
		options_error(line,
				"--recovery can't be combined with --json: "
				"a recovery key is never written as JSON");
}

/* Escaped, or NULL after an error. */
static char *take_label(const char *label)
{
	char *escaped = label != NULL && *label
			? name_escape(label, strlen(label))
			: strdup("");
	if (escaped == NULL) {
		command_failed(fail_no_memory("taking the label"));
	} else if (strlen(escaped) > KEYSLOT_LABEL_MAX) {
		report_error("the label is too long: %zu bytes, at most %d "
			     "are allowed (characters other than A-Z a-z 0-9 "
			     ". _ + = , @ - count as three)",
				strlen(escaped), KEYSLOT_LABEL_MAX);
		free(take_ptr(escaped));
	}
	return escaped;
}

static int check_room(const struct key_slots *slots, const char *label)
{
	if (slots->count == KEYS_MAX)
		return fail(-EMFILE,
				"there are %d key slots already, the "
				"maximum; remove one first",
				KEYS_MAX);
	for (int i = 0; i < slots->count; i++) {
		const struct key_slot *slot = &slots->items[i];
		if (*label && slot->readable
				&& strcmp(slot->slot.label, label) == 0)
			return fail(-EEXIST,
					"slot %s already has the label "
					"%s",
					slot->digits, label);
	}
	return 0;
}

static int put_slot(struct key_change *change, const struct secret *secret,
		const char *label, char *digits)
{
	struct repository *repo = change->repo;
	uint8_t *master = seal_secret_alloc(MASTER_KEY_SIZE);
	int err = master != NULL ? 0 : fail_no_memory("making a key slot");
	if (err == 0)
		err = check_room(change->slots, label);
	if (err == 0)
		err = exclusive_check(change->work);
	if (err == 0) {
		seal_master(repo->seal, master);
		err = keys_add(repo->store, repo->config.repo_id, secret, label,
				master, digits);
	}
	seal_secret_free(master);
	return err;
}

/* The one time that a secret is shown. If that fails nobody has it, so the slot
 * is removed again. */
static int show_recovery(struct key_change *change, const struct secret *secret,
		const char *digits)
{
	char text[RECOVERY_TEXT_SIZE];
	struct key_slot slot = { .readable = true };
	recovery_encode(text, (const uint8_t *)secret->bytes);
	/* Not through stdio, whose buffer is not wiped. */
	struct {
		const char *p;
		size_t n;
	} parts[] = { { text, strlen(text) }, { "\n", 1 } };
	int err = 0;
	for (size_t i = 0; err == 0 && i < 2; i++) {
		ssize_t n = write(STDOUT_FILENO, parts[i].p, parts[i].n);
		if (n != (ssize_t)parts[i].n)
			err = fail_errno(n < 0 ? -errno : -EIO,
					"printing the recovery key");
	}
	seal_wipe(text, sizeof(text));
	if (err == 0)
		return 0;
	memcpy(slot.digits, digits, sizeof(slot.digits));
	struct error_copy why;
	error_save(&why, err);
	keys_remove(change->repo->store, &slot);
	return error_load(&why);
}

static void report_added(const struct add_options *options,
		const struct secret *secret, const char *label,
		const char *digits)
{
	if (report_json()) {
		json_t *slot = json_pack("{s:s,s:s}", "slot", digits, "kind",
				keys_kind_name(secret->kind));
		if (*label != '\0')
			document_set_name(slot, "label", label);
		report_print_json(json_pack("{s:o}", "added", slot));
	} else if (options->recovery) {
		fprintf(stderr,
				"This is a recovery key (slot %s). Write it "
				"down or print it, and keep it in\n"
				"a safe place: it is not shown again. It is "
				"accepted wherever a passphrase is\n"
				"asked for.\n",
				digits);
	} else if (report_wants_text()) {
		printf("Added the %s (slot %s).\n",
				keys_kind_name(secret->kind), digits);
	}
}

static int add_slot(struct key_change *change,
		const struct add_options *options, const struct secret *secret,
		const char *label)
{
	char digits[KEY_SLOT_DIGITS + 1] = "";
	int err = key_change_begin(change, "key%20add");
	if (err == 0)
		err = put_slot(change, secret, label, digits);
	if (err == 0 && options->recovery)
		err = show_recovery(change, secret, digits);
	if (err < 0)
		return command_failed(err);
	report_added(options, secret, label, digits);
	return EXIT_DONE;
}

static int take_new_secret(const struct add_options *options,
		const char *repository, bool *new_file, struct secret *out)
{
	const char *file = options->fresh.key_file;
	if (options->recovery)
		return credentials_recovery_key(out);
	*new_file = file != NULL && access(file, F_OK) < 0;
	int err = *new_file ? credentials_make_key_file(file) : 0;
	if (err < 0)
		*new_file = false;
	return err < 0 ? err
		       : credentials_new_secret(&options->fresh, repository,
				       out);
}

static int add_to(struct repository *repo, const struct add_options *options,
		const char *label)
{
	struct key_change c = { .repo = repo };
	struct secret secret = { .bytes = NULL };
	bool new_file = false;
	int err = key_check_encrypted(repo);
	if (err == 0)
		err = take_new_secret(options, store_path(repo->store),
				&new_file, &secret);
	int status = err < 0 ? command_failed(err)
			     : add_slot(&c, options, &secret, label);
	if (new_file && status != EXIT_DONE)
		unlink(options->fresh.key_file); /* it opens nothing */
	else if (new_file)
		report_warning("created the key file %s: keep a copy in a "
			       "safe place",
				options->fresh.key_file);
	credentials_clear_secret(&secret);
	key_change_end(&c);
	return status;
}

int key_add_main(int argc, char **argv)
{
	struct add_options o = { .label = NULL };
	const struct option own[] = {
		{ "new-key-file", 0, OPTION_TEXT, &o.fresh.key_file, "FILE",
				"add this key file; created if it does not "
				"exist" },
		{ "new-passphrase", 0, OPTION_FLAG, &o.ask, NULL,
				"add a passphrase (prompted for twice)" },
		{ "new-passphrase-file", 0, OPTION_TEXT,
				&o.fresh.passphrase_file, "FILE",
				"add the passphrase in FILE" },
		{ "new-passphrase-command", 0, OPTION_TEXT,
				&o.fresh.passphrase_command, "CMD",
				"add the passphrase that CMD prints" },
		{ "recovery", 0, OPTION_FLAG, &o.recovery, NULL,
				"add a recovery key and print it (only once)" },
		{ "label", 0, OPTION_TEXT, &o.label, "TEXT",
				"name for the key; readable without a key" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.common.repository),
		report_option_table(&o.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs key add",
		.operands = "REPO",
		.purpose = "Add another key that opens REPO. The usual "
			   "options say which key opens it now.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.common.report);
	check_add(&cl, &o);
	/* A closed pipe must be an error here, not a fatal signal. */
	signal(SIGPIPE, SIG_IGN);
	CLEANUP_FREE char *label = take_label(o.label);
	if (label == NULL)
		return EXIT_FAILED;
	struct repository *repo = command_open(argv[1], &o.common);
	return repo != NULL ? report_finish(add_to(repo, &o, label))
			    : EXIT_FAILED;
}
