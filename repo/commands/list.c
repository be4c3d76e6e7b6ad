/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs list: the snapshots, by source and time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/table.h"
#include "repo/format/document.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_resolve.h"
#include "snapshot_protection.h"

struct listing {
	int bad;
};

static void note_bad(void *ctx, const char *object, int err)
{
	struct listing *listing = ctx;
	char shown[SNAPSHOT_SHOWN_MAX];
	listing->bad++;
	report_json_note(error_code(err), error_text(err),
			snapshot_shown(shown, object));
	report_warning("%s: %s", shown, error_text(err));
}

static uint64_t data_bytes(const struct snapshot *snap)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < snap->file_count; i++)
		sum += snap->files[i].root.data_bytes;
	return sum;
}

static uint64_t whole_size(const struct snapshot *snap)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < snap->file_count; i++)
		sum += snap->files[i].size;
	return sum;
}

enum { NAME, ID, FILES, SIZE, DATA, NEW, HOST, NOTE, COLUMNS };

static void add_row(struct table *table, const struct snapshot *snap,
		bool pinned)
{
	char id[2 * ID_SIZE + 1], name[SNAPSHOT_SHOWN_MAX];
	char files[16], size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX],
			fresh[SIZE_TEXT_MAX], host[256];
	bool complete = snapshot_is_complete(snap);
	hex_encode(id, snap->id.b, ID_SIZE);
	id[8] = '\0';
	snprintf(files, sizeof(files), "%" PRIu32, snap->file_count);
	name_shown(host, sizeof(host), snap->host);
	const char *cells[COLUMNS] = { snapshot_shown(name, snap->object), id,
		files, size_format(size, whole_size(snap)),
		size_format(data, data_bytes(snap)),
		size_format(fresh, snap->new_bytes), host,
		complete && pinned	   ? "pinned"
				: complete ? NULL
				: pinned   ? "incomplete, pinned"
					   : "incomplete" };
	table_add(table, cells);
}

static int print_text(const struct snapshot_list *list,
		const struct snapshot_protection *protection)
{
	static const struct table_column columns[COLUMNS] = {
		[NAME] = { "SOURCE/TIME", TABLE_WRAP },
		[ID] = { "ID", TABLE_LEFT },
		[FILES] = { "FILES", TABLE_RIGHT | TABLE_SPARE },
		[SIZE] = { "SIZE", TABLE_RIGHT },
		[DATA] = { "DATA", TABLE_RIGHT | TABLE_SPARE },
		[NEW] = { "NEW", TABLE_RIGHT | TABLE_SPARE },
		[HOST] = { "HOST", TABLE_CUT | TABLE_SPARE },
		[NOTE] = { "", TABLE_LEFT },
	};
	if (list->count == 0) {
		printf("No snapshots.\n");
		return 0;
	}
	struct table *table = table_new(columns, COLUMNS);
	for (size_t i = 0; i < list->count; i++) {
		const struct snapshot *snap = list->items[i];
		add_row(table, snap,
				pins_have(&protection->pins, snap->object));
	}
	return table_print(table);
}

static void print_json(const struct snapshot_list *list,
		const struct snapshot_protection *protection)
{
	json_t *array = json_array();
	for (size_t i = 0; i < list->count; i++) {
		json_t *one = document_of_snapshot(list->items[i]);
		snapshot_protection_to_json(protection, list->items[i], one);
		json_array_append_new(array, one);
	}
	report_print_json(json_pack("{s:o}", "snapshots", array));
}

int command_list(int argc, char **argv)
{
	struct common_options o = { 0 };
	const struct option *tables[] = { repository_option_table(
							  &o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs list",
		.operands = "REPO [SOURCE]",
		.purpose = "List all snapshots, or those of SOURCE. SIZE is "
			   "the size of the images, DATA how\n"
			   "much of that is not holes, NEW how much data "
			   "the backup had to store,\nHOST where it ran.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 2,
	};
	struct listing bad = { 0 };
	struct snapshot_list l;
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	struct repository *repo = command_open(argv[1], &o);
	if (repo == NULL)
		return EXIT_FAILED;
	char *source = NULL;
	if (n == 2)
		source = snapshot_resolve_source(argv[2]);
	int err = snapshot_list_load(repo, source, &l, note_bad, &bad);
	free(source);
	if (err == 0) {
		struct snapshot_protection k;
		snapshot_protection_load(&k, repo);
		if (report_json())
			print_json(&l, &k);
		else
			err = print_text(&l, &k);
		snapshot_protection_clear(&k);
		snapshot_list_clear(&l);
	}
	repository_close(repo);
	if (err < 0)
		return command_failed(err);
	return report_finish(bad.bad ? EXIT_PARTLY : EXIT_DONE);
}
