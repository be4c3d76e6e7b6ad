/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs list: the snapshots, by source and time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/error.h"
#include "repo/base/hex.h"
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
	listing->bad++;
	report_warning("%s: %s", object, error_text(err));
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

static int width_of_sources(const struct snapshot_list *list)
{
	size_t w = strlen("SOURCE/TIME");
	for (size_t i = 0; i < list->count; i++) {
		size_t n = strlen(list->items[i]->source) + UTC_TEXT_MAX;
		if (n > w)
			w = n;
	}
	return w > 60 ? 60 : (int)w;
}

static void print_text(const struct snapshot_list *list,
		const struct snapshot_protection *protection)
{
	int w = width_of_sources(list);
	if (list->count == 0) {
		printf("No snapshots.\n");
		return;
	}
	printf("%-*s  %-8s %5s %10s %10s %10s  %s\n", w, "SOURCE/TIME", "ID",
			"FILES", "SIZE", "DATA", "NEW", "HOST");
	for (size_t i = 0; i < list->count; i++) {
		const struct snapshot *snap = list->items[i];
		char id[2 * ID_SIZE + 1], name[1024], time[UTC_TEXT_MAX];
		char size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX],
				fresh[SIZE_TEXT_MAX];
		hex_encode(id, snap->id.b, ID_SIZE);
		snprintf(name, sizeof(name), "%.900s/%s", snap->source,
				utc_format(time, snap->time));
		printf("%-*s  %.8s %5" PRIu32 " %10s %10s %10s  %s%s%s\n", w,
				name, id, snap->file_count,
				size_format(size, whole_size(snap)),
				size_format(data, data_bytes(snap)),
				size_format(fresh, snap->new_bytes), snap->host,
				snapshot_is_complete(snap) ? ""
							   : "  incomplete",
				pins_have(&protection->pins, snap->object)
						? "  pinned"
						: "");
	}
}

static void print_json(const struct snapshot_list *list,
		const struct snapshot_protection *protection)
{
	json_t *array = json_array();
	for (size_t i = 0; i < list->count; i++) {
		json_t *one = snapshot_json_encode(list->items[i], true);
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
			print_text(&l, &k);
		snapshot_protection_clear(&k);
		snapshot_list_clear(&l);
	}
	repository_close(repo);
	if (err < 0)
		return command_failed(err);
	return report_finish(bad.bad ? EXIT_PARTLY : EXIT_DONE);
}
