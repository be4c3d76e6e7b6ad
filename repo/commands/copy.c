/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs copy: which snapshots, one after the other, and the report. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/pool.h"
#include "repo/copy/copy.h"
#include "repo/format/document.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_resolve.h"

#define JOBS_MAX 64

struct copy_command {
	struct common_options common;
	struct repository_options to;
	struct option_number jobs, max_expansion;
	uint64_t bwlimit;
	bool adopt;
	struct repository *from_repo, *to_repo;
	struct snapshot_list wanted;
	json_t *rows;
	unsigned done, there, failed;
	uint64_t read, new_bytes, stored_bytes;
	double begin;
};

/* --- which --- */

static void note_failed(struct copy_command *command, const char *name, int err)
{
	command->failed++;
	report_error("%s: %s", name, error_text(err));
	json_array_append_new(command->rows,
			json_pack("{s:o,s:s,s:o}", "snapshot",
					report_json_text(name), "status",
					"failed", "error",
					report_json_error(err, name)));
}

static void note_bad(void *ctx, const char *object, int err)
{
	char shown[SNAPSHOT_SHOWN_MAX];
	note_failed(ctx, snapshot_shown(shown, object), err);
}

/* Takes what LIST has; LIST is then empty. */
static int add_wanted(struct copy_command *command, struct snapshot_list *list)
{
	struct snapshot **more = reallocarray(command->wanted.items,
			command->wanted.count + list->count + 1, sizeof(*more));
	if (more == NULL) {
		snapshot_list_clear(list);
		return fail_no_memory("listing snapshots");
	}
	command->wanted.items = more;
	for (size_t i = 0; i < list->count; i++)
		more[command->wanted.count++] = list->items[i];
	free(list->items);
	*list = (struct snapshot_list){ 0 };
	return 0;
}

/* A whole source, if there is one of that name, else one snapshot. */
static int add_operand(struct copy_command *command, const char *text)
{
	CLEANUP_FREE char *source = snapshot_resolve_source(text);
	CLEANUP_FREE char *file = NULL;
	struct snapshot_list l = { 0 };
	struct snapshot *one;
	unsigned failed = command->failed;
	if (source == NULL)
		return fail_no_memory("listing snapshots");
	int err = snapshot_list_load(command->from_repo, source, &l, note_bad,
			command);
	if (err < 0)
		return err;
	if (l.count != 0 || command->failed != failed)
		return add_wanted(command, &l);
	free(l.items);
	err = snapshot_resolve(command->from_repo, text, &one, &file);
	if (err == -EINVAL)
		return fail(-ENOENT,
				"%s is neither a source nor a snapshot; "
				"'amberfs list' shows both",
				text);
	if (err < 0)
		return err;
	l = (struct snapshot_list){ .items = malloc(sizeof(struct snapshot *)),
		.count = 1 };
	if (file != NULL)
		err = fail(-EINVAL,
				"%s is a file; only whole snapshots can be "
				"copied",
				text);
	else if (l.items == NULL)
		err = fail_no_memory("listing snapshots");
	if (err < 0) {
		free(l.items);
		snapshot_free(one);
		return err;
	}
	l.items[0] = one;
	return add_wanted(command, &l);
}

/* By source, then by time. */
static int compare(const void *a, const void *b)
{
	const struct snapshot *const *x = a, *const *y = b;
	return strcmp((*x)->object, (*y)->object);
}

static void sort_wanted(struct copy_command *command)
{
	struct snapshot_list *list = &command->wanted;
	size_t kept = 0;
	if (list->count > 1)
		qsort(list->items, list->count, sizeof(*list->items), compare);
	for (size_t i = 0; i < list->count; i++) {
		if (kept > 0
				&& compare(&list->items[kept - 1],
						   &list->items[i])
						== 0)
			snapshot_free(list->items[i]);
		else
			list->items[kept++] = list->items[i];
	}
	list->count = kept;
}

static int find_wanted(struct copy_command *command, int count, char **operands)
{
	struct snapshot_list all;
	int err = 0;
	if (count == 0) {
		err = snapshot_list_load(command->from_repo, NULL, &all,
				note_bad, command);
		return err < 0 ? err : add_wanted(command, &all);
	}
	for (int i = 0; err != -ENOMEM && i < count; i++) {
		err = add_operand(command, operands[i]);
		if (err < 0)
			note_failed(command, operands[i], err);
	}
	sort_wanted(command);
	return err == -ENOMEM ? err : 0;
}

/* --- one after the other --- */

static void note_result(struct copy_command *command,
		const struct snapshot *snap, const struct copy_result *result)
{
	static const char *const names
			[] = { [COPY_DONE] = "copied", [COPY_THERE] = "there" };
	char id[2 * ID_SIZE + 1], name[SNAPSHOT_SHOWN_MAX];
	snapshot_shown(name, snap->object);
	hex_encode(id, result->id.b, ID_SIZE);
	if (result->status == COPY_DONE)
		command->done++;
	else
		command->there++;
	json_t *row = json_pack("{s:s,s:o,s:s,s:s,s:I,s:I,s:I}", "snapshot",
			name, "time", report_json_time(snap->time), "status",
			names[result->status], "id", id, "read_bytes",
			(json_int_t)result->read, "new_bytes",
			(json_int_t)result->new_bytes, "stored_bytes",
			(json_int_t)result->stored_bytes);
	document_set_name(row, "source", snap->source);
	json_array_append_new(command->rows, row);
	if (report_json() || !report_wants_text())
		return;
	if (result->status == COPY_DONE)
		printf("copied    %s\n", name);
	else
		report_verbose("%s is already there", name);
}

static int copy_all(struct copy_command *command, struct copy *copy)
{
	for (size_t i = 0; i < command->wanted.count; i++)
		for (uint32_t k = 0; k < command->wanted.items[i]->file_count;
				k++)
			copy->all_total +=
					command->wanted.items[i]->files[k].size;
	for (size_t i = 0; i < command->wanted.count; i++) {
		const struct snapshot *snap = command->wanted.items[i];
		struct copy_result r;
		if (interrupt_flag)
			return fail(-ECANCELED, "interrupted");
		int err = copy_snapshot(copy, snap, &r);
		command->read += r.read;
		command->new_bytes += r.new_bytes;
		command->stored_bytes += r.stored_bytes;
		if (err == 0)
			note_result(command, snap, &r);
		else if (snapshot_writer_broken(&copy->to, err))
			return err;
		else
			note_bad(command, snap->object, err);
		if (r.status == COPY_THERE)
			for (uint32_t k = 0; k < snap->file_count; k++)
				copy->all_done += snap->files[k].size;
	}
	return 0;
}

/* --- the report --- */

static void print_report(struct copy_command *command)
{
	char read[SIZE_TEXT_MAX], fresh[SIZE_TEXT_MAX], stored[SIZE_TEXT_MAX],
			took[SIZE_TEXT_MAX];
	double seconds = monotonic_now() - command->begin;
	if (report_json())
		report_print_json(json_pack("{s:O,s:i,s:i,s:i,s:I,s:I,s:I,s:f}",
				"snapshots", command->rows, "copied_count",
				(int)command->done, "there_count",
				(int)command->there, "failed_count",
				(int)command->failed, "read_bytes",
				(json_int_t)command->read, "new_bytes",
				(json_int_t)command->new_bytes, "stored_bytes",
				(json_int_t)command->stored_bytes, "seconds",
				seconds));
	else if (report_wants_summary())
		printf("Copied %u snapshot%s in %s (%u already there): read "
		       "%s, new %s, stored %s.\n",
				command->done, command->done == 1 ? "" : "s",
				duration_format(took, seconds), command->there,
				size_format(read, command->read),
				size_format(fresh, command->new_bytes),
				size_format(stored, command->stored_bytes));
}

static int run(struct copy_command *command, int count, char **operands)
{
	const struct copy_options co = {
		.workers = (unsigned)command->jobs.value,
		.bwlimit = command->bwlimit,
		.adopt = command->adopt,
		.max_expansion = (unsigned)command->max_expansion.value
	};
	struct copy copy;
	int err = find_wanted(command, count, operands);
	if (err < 0)
		return command_failed(err);
	err = copy_begin(&copy, command->from_repo, command->to_repo, &co);
	if (err == 0)
		err = copy_all(command, &copy);
	if (err < 0) {
		command_failed(err);
		command->failed++;
	}
	copy_end(&copy);
	print_report(command);
	if (command->failed == 0)
		return EXIT_DONE;
	return command->done || command->there ? EXIT_PARTLY : EXIT_FAILED;
}

static struct repository *open_second(const char *path,
		const struct common_options *common,
		const struct repository_options *options)
{
	const struct common_options second = { .report = common->report,
		.repository = *options };
	return command_open(path, &second);
}

int command_copy(int argc, char **argv)
{
	struct copy_command c = { .jobs = { .value = pool_processors(),
						  .min = 1,
						  .max = JOBS_MAX },
		.max_expansion = { .value = 1000, .min = 0, .max = 1000000000 },
		.rows = json_array(),
		.begin = monotonic_now() };
	if (c.jobs.value > JOBS_MAX)
		c.jobs.value = JOBS_MAX;
	const struct option own[] = {
		{ "jobs", 'j', OPTION_NUMBER, &c.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ "bwlimit", 0, OPTION_SIZE, &c.bwlimit, "SIZE",
				"read at most SIZE bytes per second" },
		{ "adopt", 0, OPTION_FLAG, &c.adopt, NULL,
				"also join histories of different domains" },
		{ "max-expansion", 0, OPTION_NUMBER, &c.max_expansion, "N",
				"refuse snapshots of N times what REPO stores "
				"(1000)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&c.common.repository),
		repository_second_option_table(&c.to, "to"),
		report_option_table(&c.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs copy",
		.operands = "REPO REPO2 [SNAPSHOT|SOURCE...]",
		.purpose = "Copy snapshots (default: all) to another "
			   "repository, which has its own keys.\n"
			   "Only what is missing there is read and stored. "
			   "Can be interrupted and run again.",
		.tables = tables,
		.min_operands = 2,
		.max_operands = -1,
	};
	int n = options_parse(&cl, argc, argv), status = EXIT_FAILED;
	report_setup(cl.program, &c.common.report);
	interrupt_setup();
	c.from_repo = command_open(argv[1], &c.common);
	if (c.from_repo != NULL)
		c.to_repo = open_second(argv[2], &c.common, &c.to);
	if (c.to_repo != NULL)
		status = run(&c, n - 2, argv + 3);
	snapshot_list_clear(&c.wanted);
	repository_close(c.to_repo);
	repository_close(c.from_repo);
	json_decref(c.rows);
	return report_finish(status);
}
