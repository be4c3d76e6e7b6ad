/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs show: one snapshot and its files. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/format/document.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_resolve.h"
#include "snapshot_protection.h"

static void print_file(const struct snapshot_file *file)
{
	char size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX];
	printf("  %-20s %10s %10s  %s", file->name,
			size_format(size, file->size),
			size_format(data, file->root.data_bytes),
			snapshot_file_kind_name(file->kind));
	if (file->format != NULL)
		printf(", was %s", file->format);
	if (file->source_path != NULL) {
		char shown[1024];
		CLEANUP_FREE char *raw = name_unescape(file->source_path, NULL);
		printf(", from %s",
				name_display(shown, sizeof(shown),
						raw != NULL ? raw
							    : file->source_path));
	}
	if (file->checkpoint != NULL) {
		char shown[256];
		printf(", changes tracked by %s",
				name_display(shown, sizeof(shown),
						file->checkpoint));
	}
	printf("\n");
}

static void print_pin(struct repository *repo, const struct snapshot *snap)
{
	struct pin pin;
	char since[UTC_TEXT_MAX], note[1024];
	int err = pins_load_one(repo, snap->object, &pin);
	if (err == 0)
		printf("Pinned       since %s%s%s\n",
				utc_format(since, pin.since),
				pin.note != NULL ? ": " : "",
				pin.note != NULL ? name_display(note,
						sizeof(note), pin.note)
						 : "");
	else if (err != -ENOENT)
		printf("Pinned       (%s)\n", error_text(err));
	pins_clear_one(&pin);
}

static void print_keeping(struct repository *repo, const struct snapshot *snap)
{
	struct snapshot_protection k;
	char until[UTC_TEXT_MAX], rest[SIZE_TEXT_MAX];
	snapshot_protection_load(&k, repo);
	int64_t end = snapshot_protection_until(&k, snap);
	print_pin(repo, snap);
	if (end > 0)
		printf("Protected    until %s (for another %s)\n",
				utc_format(until, end),
				age_format(rest, end - k.now));
	snapshot_protection_clear(&k);
}

static void print_json(struct repository *repo, const struct snapshot *snap)
{
	json_t *json = document_of_snapshot(snap);
	struct snapshot_protection k;
	struct pin pin;
	snapshot_protection_load(&k, repo);
	snapshot_protection_to_json(&k, snap, json);
	snapshot_protection_clear(&k);
	if (json != NULL && pins_load_one(repo, snap->object, &pin) == 0) {
		if (pin.note != NULL)
			json_object_set_new(json, "pin_note",
					report_json_text(pin.note));
		pins_clear_one(&pin);
	}
	report_print_json(json);
}

static void print_completeness(const struct snapshot *snap)
{
	char missing[2048];
	if (snapshot_is_complete(snap))
		printf("Complete     yes\n");
	else
		printf("Complete     no, %s\n",
				snapshot_missing(missing, sizeof(missing),
						snap));
}

static void print_text(struct repository *repo, const struct snapshot *snap)
{
	char id[2 * ID_SIZE + 1], shown[SNAPSHOT_SHOWN_MAX],
			fresh[SIZE_TEXT_MAX], read[SIZE_TEXT_MAX],
			arrived[UTC_TEXT_MAX];
	static const char *const skipped_words[] = {
		[SKIPPED_UNSUPPORTED] = "not backed up",
		[SKIPPED_EXCLUDED] = "not backed up",
		[SKIPPED_MISSING] = "missing",
		[SKIPPED_DAMAGED] = "damaged",
	};
	hex_encode(id, snap->id.b, ID_SIZE);
	printf("Snapshot     %s\n", snapshot_shown(shown, snap->object));
	printf("Id           %s\n", id);
	printf("Kind         %s\n",
			snap->kind == SNAPSHOT_DOMAIN ? "domain" : "files");
	if (snap->uuid != NULL)
		printf("UUID         %s\n", snap->uuid);
	if (snap->consistency != NULL)
		printf("Consistency  %s\n", snap->consistency);
	print_completeness(snap);
	printf("Number       %" PRIu64 "\n", snap->sequence);
	if (snap->arrived > 0)
		printf("Arrived      %s\n", utc_format(arrived, snap->arrived));
	if (snap->host != NULL)
		printf("Made on      %s\n",
				name_shown(shown, sizeof(shown), snap->host));
	printf("Took         %.1f s, read %s, new %s\n",
			(double)(snap->finished_ns - snap->started_ns) / 1e9,
			size_format(read, snap->read_bytes),
			size_format(fresh, snap->new_bytes));
	print_keeping(repo, snap);
	printf("Files        %-12s %10s %10s\n", "", "SIZE", "DATA");
	for (uint32_t i = 0; i < snap->file_count; i++)
		print_file(&snap->files[i]);
	for (uint32_t i = 0; i < snap->skipped_count; i++) {
		char target[512], reason[1024];
		printf("  %-20s %s: %s\n",
				name_display_escaped(target, sizeof(target),
						snap->skipped[i].target),
				skipped_words[snap->skipped[i].kind],
				name_display(reason, sizeof(reason),
						snap->skipped[i].reason));
	}
}

int command_show(int argc, char **argv)
{
	struct common_options o = { 0 };
	const struct option *tables[] = { repository_option_table(
							  &o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs show",
		.operands = "REPO SNAPSHOT",
		.purpose = "Show a snapshot (source/time, source/latest, or "
			   "the beginning of its id).",
		.tables = tables,
		.min_operands = 2,
		.max_operands = 2,
	};
	struct snapshot *snap;
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	struct repository *repo = command_open(argv[1], &o);
	if (repo == NULL)
		return EXIT_FAILED;
	int err = snapshot_resolve(repo, argv[2], &snap, NULL);
	if (err == 0) {
		if (report_json())
			print_json(repo, snap);
		else
			print_text(repo, snap);
		snapshot_free(snap);
	}
	repository_close(repo);
	return err < 0 ? command_failed(err) : report_finish(EXIT_DONE);
}
