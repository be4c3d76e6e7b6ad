/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The rows are made as JSON, and the text from that. Domains get a table, with their
 * disks below each where that tells more. */
#include "backup_report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/base/table.h"
#include "repo/base/units.h"
#include "repo/format/document.h"
#include "repo/format/name.h"

/* --- a row --- */

static const char *const mode_names[] = {
	[DISK_FULL] = "full",
	[DISK_INCREMENTAL] = "incremental",
	[DISK_UNCHANGED] = "unchanged",
	[DISK_SKIPPED] = "skipped",
};

static json_t *optional_text(const char *text)
{
	return text != NULL ? report_json_text(text) : json_null();
}

static json_t *disk_rows(const struct backup_snapshot *snapshot)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < snapshot->disk_count; i++) {
		const struct disk_outcome *outcome = &snapshot->disks[i];
		json_array_append_new(list,
				json_pack("{s:o,s:s,s:o,s:I}", "target",
						report_json_text(
								outcome->target),
						"mode",
						mode_names[outcome->mode],
						"reason",
						optional_text(outcome->why),
						"read_bytes",
						(json_int_t)outcome->read));
	}
	return list;
}

/* The disk with the most read; NULL: none. */
static const struct disk_outcome *costliest(
		const struct backup_snapshot *snapshot)
{
	const struct disk_outcome *worst = NULL;
	for (unsigned i = 0; i < snapshot->disk_count; i++) {
		const struct disk_outcome *outcome = &snapshot->disks[i];
		if (outcome->mode != DISK_SKIPPED
				&& (worst == NULL
						|| outcome->mode < worst->mode))
			worst = outcome;
	}
	return worst;
}

/* The mode of the whole backup: that of its disks, or mixed if some are full
 * and others not. NULL: it has no disks. */
static const char *mode_of_all(const struct backup_snapshot *snapshot,
		const struct disk_outcome *worst)
{
	if (worst == NULL)
		return NULL;
	for (unsigned i = 0;
			worst->mode == DISK_FULL && i < snapshot->disk_count;
			i++)
		if (snapshot->disks[i].mode == DISK_INCREMENTAL
				|| snapshot->disks[i].mode == DISK_UNCHANGED)
			return "mixed";
	return mode_names[worst->mode];
}

static json_t *failed_row(const char *source, int err)
{
	CLEANUP_FREE char *name = name_escape(source, strlen(source));
	json_t *row = json_pack("{s:s,s:o}", "status", "failed", "error",
			report_json_error(err, source));
	document_set_name(row, "source", name);
	return row;
}

json_t *backup_report_row(const struct backup_snapshot *snapshot,
		const char *source, int err)
{
	if (err < 0)
		return failed_row(source, err);
	const struct disk_outcome *outcome = costliest(snapshot);
	json_t *row = document_of_snapshot(snapshot->snap);
	json_object_set_new(row, "status",
			json_string(snapshot->partly ? "partly" : "done"));
	if (snapshot->snap->kind != SNAPSHOT_DOMAIN)
		return row;
	json_object_set_new(row, "disks", disk_rows(snapshot));
	json_object_set_new(row, "mode",
			optional_text(mode_of_all(snapshot, outcome)));
	json_object_set_new(row, "reason",
			optional_text(outcome != NULL ? outcome->why : NULL));
	if (snapshot->frozen_seconds >= 0)
		json_object_set_new(row, "frozen_seconds",
				json_real(snapshot->frozen_seconds));
	if (snapshot->not_frozen != NULL)
		json_object_set_new(row, "not_frozen",
				report_json_text(snapshot->not_frozen));
	return row;
}

/* --- all as JSON --- */

static uint64_t deduplicated(const struct backup_run *run,
		const struct chunk_sink_stats *stats) REQUIRES(run->mutex)
{
	return stats->known_bytes + run->same;
}

static void print_json(struct backup_run *run,
		const struct chunk_sink_stats *stats, double seconds)
		REQUIRES(run->mutex)
{
	report_print_json(json_pack("{s:O,s:I,s:I,s:I,s:I,s:I,s:I,s:f}",
			"snapshots", run->snapshots, "read_bytes",
			(json_int_t)run->read, "hole_bytes",
			(json_int_t)run->holes, "unchanged_bytes",
			(json_int_t)run->unchanged, "deduplicated_bytes",
			(json_int_t)deduplicated(run, stats), "new_bytes",
			(json_int_t)stats->new_bytes, "stored_bytes",
			(json_int_t)stats->stored_bytes, "seconds", seconds));
}

/* --- all as text --- */

/* The untrusted text in OBJECT's member NAME, made printable; "" if absent. */
static char *shown(char out[256], const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return printable(out, 256, text != NULL ? text : "");
}

static uint64_t number(const json_t *object, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(object, name));
}

/* True if the rows of a domain's disks say more than that of the domain: they
 * differ, or there is a reason to explain. */
static bool disks_tell(const json_t *row)
{
	const json_t *disks = json_object_get(row, "disks"), *disk;
	const char *mode = json_string_value(json_object_get(row, "mode"));
	size_t i;
	json_array_foreach (disks, i, disk) {
		const char *own = json_string_value(
				json_object_get(disk, "mode"));
		if (json_is_string(json_object_get(disk, "reason"))
				|| (mode != NULL && own != NULL
						&& strcmp(mode, own) != 0))
			return true;
	}
	return false;
}

enum { DOMAIN, STATUS, BACKUP, CONSISTENT, FROZEN, READ, NEW, WHY, COLUMNS };

static void add_disk(struct table *table, const json_t *disk)
{
	char name[260], target[256], mode[256], why[256], read[SIZE_TEXT_MAX];
	snprintf(name, sizeof(name), "  %s", shown(target, disk, "target"));
	const char *cells[COLUMNS] = {
		[DOMAIN] = name,
		[BACKUP] = shown(mode, disk, "mode"),
		[READ] = size_format(read, number(disk, "read_bytes")),
		[WHY] = shown(why, disk, "reason"),
	};
	table_add(table, cells);
}

static void add_domain(struct table *table, const json_t *row)
{
	char name[1024], status[256], mode[256], consistency[256],
			frozen[32] = "-", read[SIZE_TEXT_MAX],
			fresh[SIZE_TEXT_MAX];
	const json_t *seconds = json_object_get(row, "frozen_seconds"), *disk;
	const char *source = json_string_value(json_object_get(row, "source"));
	size_t i;
	printable(name, sizeof(name), source != NULL ? source : "");
	shown(status, row, "status");
	if (strcmp(status, "failed") == 0) {
		const char *cells[COLUMNS] = { name, "FAILED" };
		table_add(table, cells);
		return;
	}
	if (json_is_real(seconds))
		snprintf(frozen, sizeof(frozen), "%.2f s",
				json_real_value(seconds));
	shown(mode, row, "mode");
	char text[256], why[300] = "";
	if (*shown(text, row, "not_frozen"))
		snprintf(why, sizeof(why), "not frozen: %s", text);
	const char *cells[COLUMNS] = { name, status, *mode ? mode : "-",
		shown(consistency, row, "consistency"), frozen,
		size_format(read, number(row, "read_bytes")),
		size_format(fresh, number(row, "new_bytes")), why };
	table_add(table, cells);
	if (disks_tell(row))
		json_array_foreach (json_object_get(row, "disks"), i, disk)
			add_disk(table, disk);
}

static int print_domains(const json_t *rows)
{
	static const struct table_column columns[COLUMNS] = {
		[DOMAIN] = { "DOMAIN", TABLE_WRAP },
		[STATUS] = { "STATUS", TABLE_LEFT },
		[BACKUP] = { "BACKUP", TABLE_LEFT },
		[CONSISTENT] = { "CONSISTENT", TABLE_SPARE },
		[FROZEN] = { "FROZEN", TABLE_RIGHT | TABLE_SPARE },
		[READ] = { "READ", TABLE_RIGHT | TABLE_SPARE },
		[NEW] = { "NEW", TABLE_RIGHT },
		[WHY] = { "WHY", TABLE_WRAP },
	};
	struct table *table = table_new(columns, COLUMNS);
	const json_t *row;
	size_t i;
	json_array_foreach (rows, i, row)
		add_domain(table, row);
	return table_print(table);
}

/* One line, as a set of files is one source. */
static void print_files(const json_t *row)
{
	char status[256], name[1024];
	const char *text = json_string_value(json_object_get(row, "snapshot"));
	bool failed = text == NULL;
	if (failed)
		text = json_string_value(json_object_get(row, "source"));
	printf("%-9s %s\n", failed ? "FAILED" : shown(status, row, "status"),
			printable(name, sizeof(name),
					text != NULL ? text : ""));
}

static void print_sums(struct backup_run *run,
		const struct chunk_sink_stats *stats, double seconds)
		REQUIRES(run->mutex)
{
	char read[SIZE_TEXT_MAX], holes[SIZE_TEXT_MAX],
			unchanged[SIZE_TEXT_MAX], known[SIZE_TEXT_MAX],
			fresh[SIZE_TEXT_MAX], stored[SIZE_TEXT_MAX],
			took[SIZE_TEXT_MAX];
	printf("Read %s in %s; skipped as holes %s, as unchanged %s.\n",
			size_format(read, run->read),
			duration_format(took, seconds),
			size_format(holes, run->holes),
			size_format(unchanged, run->unchanged));
	printf("Deduplicated %s, new %s, stored %s.\n",
			size_format(known, deduplicated(run, stats)),
			size_format(fresh, stats->new_bytes),
			size_format(stored, stats->stored_bytes));
}

static void print_text(struct backup_run *run,
		const struct chunk_sink_stats *stats, double seconds)
		REQUIRES(run->mutex)
{
	size_t i;
	json_t *row;
	print_sums(run, stats, seconds);
	if (run->of_domains && json_array_size(run->snapshots) != 0) {
		if (print_domains(run->snapshots) < 0)
			report_error("%s", error_text(-ENOMEM));
		return;
	}
	json_array_foreach (run->snapshots, i, row)
		print_files(row);
}

/* --- the end --- */

/* Repeats all failures together, for whoever reads only the end. */
static void print_failures(struct backup_run *run) REQUIRES(run->mutex)
{
	size_t i;
	json_t *row;
	json_array_foreach (run->snapshots, i, row) {
		const char *source = "", *error = NULL;
		json_unpack(row, "{s:s,s?{s:s}}", "source", &source, "error",
				"message", &error);
		if (error != NULL)
			report_error("failed: %s: %s", source, error);
	}
}

/* Sources that were not reached have no row. */
static void drop_unreached(json_t *rows)
{
	for (size_t i = json_array_size(rows); i-- > 0;)
		if (json_is_null(json_array_get(rows, i)))
			json_array_remove(rows, i);
}

void backup_report_print(struct backup_run *run, double seconds)
{
	struct chunk_sink_stats st;
	chunk_sink_stats(run->storing.sink, &st);
	not_shared(&run->mutex); /* the lanes have ended */
	drop_unreached(run->snapshots);
	if (run->broken.err != 0)
		report_json_note(error_code(run->broken.err), run->broken.text,
				NULL);
	if (report_json())
		print_json(run, &st, seconds);
	else if (report_wants_text())
		print_text(run, &st, seconds);
	if (run->broken.err != 0)
		report_error("%s", run->broken.text);
	else
		print_failures(run);
}
