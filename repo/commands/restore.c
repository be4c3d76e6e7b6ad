/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs restore: copies files of a snapshot out (restore_file.h does it).
 * With --domain it is amberfs-ingest's.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/snapshot/restore_file.h"
#include "repo/snapshot/snapshot_resolve.h"

#define FRAME_CACHE ((uint64_t)64 << 20)

struct command {
	struct common_options common;
	const char *damaged; /* "zero", or NULL: an error */
	struct option_number jobs;
	struct repository *repo;
	struct snapshot *snap;
	struct restore_file restore;
	bool incomplete; /* the snapshot */
};

/* --- where to --- */

static int one_into_directory(struct command *command, const char *dest,
		const struct snapshot_file *file, const char *name,
		enum restore_format format)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	if (asprintf(&path, "%s/%s", dest, name) < 0) {
		path = NULL;
		return fail_no_memory("restoring");
	}
	/* A device is written to only if it is named itself. */
	if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
		return fail(-EEXIST,
				"%s is a block device; give its own name as "
				"DEST to write to it",
				path);
	return restore_file_to_path(&command->restore, file, path, format);
}

static int check_in_directory(struct command *command, const char *dest,
		const char *name)
{
	CLEANUP_FREE char *path = NULL;
	if (asprintf(&path, "%s/%s", dest, name) < 0) {
		path = NULL;
		return fail_no_memory("restoring");
	}
	return restore_file_check_path(&command->restore, path);
}

/* All that is stored, if all of it may be. */
static int all_into_directory(struct command *command, const char *dest)
{
	const struct snapshot *snap = command->snap;
	int err = 0;
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = check_in_directory(command, dest, snap->files[i].name);
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = one_into_directory(command, dest, &snap->files[i],
				snap->files[i].name, RESTORE_RAW);
	return err;
}

static int restore_one(struct command *command, const char *name,
		const char *dest)
{
	struct stat st;
	enum restore_format format = RESTORE_RAW;
	const struct snapshot_file *file =
			snapshot_find_file(command->snap, name);
	if (file == NULL) { /* a disk's other form, as snapshot_resolve saw */
		file = snapshot_find_qcow2(command->snap, name);
		format = RESTORE_QCOW2;
	}
	if (strcmp(dest, "-") == 0)
		return restore_file_to_stdout(&command->restore, file, format);
	if (stat(dest, &st) == 0 && S_ISDIR(st.st_mode))
		return one_into_directory(command, dest, file, name, format);
	return restore_file_to_path(&command->restore, file, dest, format);
}

static int restore_all(struct command *command, const char *dest)
{
	struct stat st;
	bool exists = stat(dest, &st) == 0;
	if (strcmp(dest, "-") == 0)
		return fail(-EINVAL,
				"only one file can be written to standard "
				"output: name it (SNAPSHOT/FILE)");
	if (exists && S_ISDIR(st.st_mode))
		return all_into_directory(command, dest);
	if (exists)
		return fail(-ENOTDIR,
				"%s is not a directory; a whole snapshot "
				"needs a directory",
				dest);
	if (mkdir(dest, 0700) < 0)
		return fail_errno(-errno, "making directory %s", dest);
	return all_into_directory(command, dest);
}

static void count_total(struct command *command, const char *file)
{
	for (uint32_t i = 0; i < command->snap->file_count; i++) {
		const struct snapshot_file *one = &command->snap->files[i];
		if (file == NULL || strcmp(file, one->name) == 0)
			command->restore.all_total += one->size;
	}
}

static int restore(struct command *command, const char *spec, const char *dest,
		struct session **session)
{
	CLEANUP_FREE char *file = NULL;
	const struct image_reader_options reading = { .cache_size = FRAME_CACHE,
		.threads = (unsigned)command->jobs.value };
	int err = snapshot_resolve(command->repo, spec, &command->snap, &file);
	if (err < 0)
		return err;
	err = restore_file_add_roots(command->repo, command->snap, "restore",
			session);
	if (err < 0)
		return err;
	err = image_reader_new(&command->restore.reader, command->repo->packs,
			&reading);
	if (err < 0)
		return err;
	count_total(command, file);
	command->incomplete = file == NULL
			? restore_file_warn_incomplete(command->snap)
			: restore_file_warn_damaged(command->snap, file);
	return file != NULL ? restore_one(command, file, dest)
			    : restore_all(command, dest);
}

static int run(struct command *command, const char *spec, const char *dest)
{
	struct session *session = NULL;
	command->restore.threads = (unsigned)command->jobs.value;
	command->restore.zero_damaged = command->damaged != NULL;
	int err = restore(command, spec, dest, &session);
	image_reader_free(command->restore.reader);
	session_end(session);
	return err;
}

static void print_summary(const struct command *command, const char *dest,
		double seconds)
{
	const struct restore_file *restore = &command->restore;
	char size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX], took[SIZE_TEXT_MAX],
			shown[SNAPSHOT_SHOWN_MAX];
	if (restore->range_count != 0)
		report_warning("%s in %zu range%s can't be read and were "
			       "written as zeros; 'amberfs repair' may be "
			       "able to restore them",
				size_format(size,
						restore_file_damaged_bytes(
								restore)),
				restore->range_count,
				restore->range_count == 1 ? "" : "s");
	if (report_json())
		report_print_json(json_pack("{s:s,s:i,s:I,s:I,s:f,s:o}",
				"snapshot",
				snapshot_shown(shown, command->snap->object),
				"file_count", (int)restore->files, "size",
				(json_int_t)restore->all_done, "written_bytes",
				(json_int_t)restore->written, "seconds",
				seconds, "damaged",
				restore_file_damaged_json(restore)));
	else if (report_wants_summary() && strcmp(dest, "-") != 0)
		printf("Restored %u file%s, %s (%s "
		       "written, the rest holes), in %s.\n",
				restore->files, restore->files == 1 ? "" : "s",
				size_format(size, restore->all_done),
				size_format(data, restore->written),
				duration_format(took, seconds));
}

int command_restore(int argc, char **argv)
{
	struct command c = {
		.jobs = { .value = pool_processors(), .min = 1, .max = 256 }
	};
	const struct option own[] = {
		{ "force", 0, OPTION_FLAG, &c.restore.force, NULL,
				"replace existing files; overwrite a block "
				"device" },
		{ "damaged", 0, OPTION_TEXT, &c.damaged, "zero",
				"write unreadable ranges as zeros, and "
				"report them" },
		{ "jobs", 'j', OPTION_NUMBER, &c.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&c.common.repository),
		report_option_table(&c.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs restore",
		.operands = "REPO SNAPSHOT[/FILE] DEST",
		.purpose = "Copy one or all files of a snapshot to DEST: a "
			   "directory, a file, a block device\n"
			   "or - (standard output). Holes stay holes; a "
			   "file gets its name when complete.\n"
			   "To restore a whole domain, see 'amberfs restore "
			   "--domain --help'.",
		.tables = tables,
		.min_operands = 3,
		.max_operands = 3,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &c.common.report);
	if (c.common.report.json && strcmp(argv[3], "-") == 0)
		options_error(&cl,
				"--json can't be combined with standard "
				"output as DEST");
	if (c.damaged != NULL && strcmp(c.damaged, "zero") != 0)
		options_error(&cl, "--damaged: the only value is zero");
	interrupt_setup();
	double begin = monotonic_now();
	c.repo = command_open(argv[1], &c.common);
	if (c.repo == NULL)
		return EXIT_FAILED;
	int err = run(&c, argv[2], argv[3]);
	if (err == 0)
		print_summary(&c, argv[3], monotonic_now() - begin);
	bool partly = c.restore.range_count != 0 || c.incomplete;
	restore_file_clear(&c.restore);
	snapshot_free(c.snap);
	repository_close(c.repo);
	if (err < 0)
		return command_failed(err);
	return report_finish(partly ? EXIT_PARTLY : EXIT_DONE);
}
