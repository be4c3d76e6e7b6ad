/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs repair: options, the second repository, and the report. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/hex.h"
#include "repo/base/interrupt.h"
#include "repo/base/pool.h"
#include "repo/format/document.h"
#include "repo/repair/repair.h"
#include "repo/repository/credentials.h"
#include "repo/repository/repository_name.h"

#define JOBS_MAX 64
#define LINES_MAX 1000u

struct repair_command {
	struct common_options common;
	struct repository_options from_options;
	const char *from;
	struct option_number jobs;
	struct repair_options o;
	struct repository *repo, *from_repo;
	char *own_index; /* a directory to remove */
	struct repair_result res;
	unsigned lines;
};

/* --- the second repository --- */

static int same_directory(const char *a, const char *b)
{
	struct stat x, y;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev
			&& x.st_ino == y.st_ino;
}

/* A byte copy would share its index directory with the original if neither can
 * keep it inside. Compared with the repair, building a temporary one takes no
 * time. */
static int make_own_index(struct repair_command *command)
{
	const char *tmp = getenv("TMPDIR");
	if (asprintf(&command->own_index, "%s/amberfs-repair.XXXXXX",
			    tmp != NULL && *tmp ? tmp : "/tmp")
			< 0)
		return fail_errno(-ENOMEM, "opening %s", command->from);
	if (mkdtemp(command->own_index) == NULL) {
		int err = -errno;
		fail_errno(err, "making directory %s", command->own_index);
		free(take_ptr(command->own_index));
		return err;
	}
	command->from_options.index_dir = command->own_index;
	return 0;
}

static void remove_own_index(struct repair_command *command)
{
	if (command->own_index == NULL)
		return;
	DIR *dir = opendir(command->own_index);
	for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL;
			entry != NULL; entry = readdir(dir))
		if (strcmp(entry->d_name, ".") != 0
				&& strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(command->own_index);
	free(take_ptr(command->own_index));
}

static int open_from(struct repair_command *command)
{
	uint8_t id[REPO_ID_SIZE];
	if (same_directory(store_path(command->repo->store), command->from))
		return fail(-EINVAL, "%s can't be repaired from itself",
				command->from);
	int err = repository_peek_id(command->from, id);
	if (err < 0)
		return err;
	if (memcmp(id, command->repo->config.repo_id, REPO_ID_SIZE) == 0) {
		/* A byte copy opens with the same key. */
		if (!credentials_given(&command->from_options.credentials))
			command->from_options.credentials =
					command->common.repository.credentials;
		err = command->from_options.index_dir != NULL
				? 0
				: make_own_index(command);
	}
	if (err < 0)
		return err;
	err = repository_open(&command->from_repo, command->from,
			&command->from_options);
	return err < 0 ? err
		       : repository_attach(command->from_repo,
				       &command->from_options);
}

/* --- as text --- */

static bool more_lines(struct repair_command *command)
{
	return !report_json() && command->lines++ < LINES_MAX;
}

static void print_ranges(struct repair_command *command,
		const struct damage_ranges *ranges)
{
	for (size_t i = 0; i < ranges->count && more_lines(command); i++) {
		const struct damage_range *range = &ranges->items[i];
		char shown[SNAPSHOT_SHOWN_MAX];
		report_error("  snapshot %s, %s, bytes %" PRIu64 " to %" PRIu64
			     "%s",
				snapshot_shown(shown, range->snap->object),
				range->file->name, range->from, range->to - 1,
				range->readable ? ": another copy exists" : "");
	}
}

static void print_damage(struct repair_command *command,
		const struct damage *damage)
{
	if (!more_lines(command))
		return;
	if (damage->kind == DAMAGE_FRAME)
		report_error("%s; %" PRIu32 " of its %" PRIu32
			     " chunks have another copy%s",
				damage->cause, damage->elsewhere,
				damage->chunks,
				damage->ranges.count
						? ""
						: "; no snapshot needs it");
	else
		report_error("%s", damage->cause);
	print_ranges(command, &damage->ranges);
}

static void print_mended(const struct repair_result *res)
{
	char size[SIZE_TEXT_MAX], a[COUNT_TEXT_MAX], b[COUNT_TEXT_MAX],
			c[COUNT_TEXT_MAX];
	if (res->packs || res->chunks || res->trees)
		printf("Restored %s, %s, the trees of %s; %s.\n",
				count_format(a, res->packs, "pack"),
				count_format(b, res->chunks, "chunk"),
				count_format(c, res->trees, "file"),
				size_format(size, res->bytes));
	if (res->records_removed)
		printf("Removed %s of damage.\n",
				count_format(a, res->records_removed,
						"outdated record"));
	if (res->frames_left)
		printf("%s remain%s until the next 'amberfs prune'.\n",
				count_format(a, res->frames_left,
						"damaged frame"),
				res->frames_left == 1 ? "s" : "");
	if (res->packs_removed)
		printf("Removed %s that nothing needs (with an unreadable "
		       "trailer).\n",
				count_format(a, res->packs_removed, "pack"));
}

static void print_text(struct repair_command *command)
{
	const struct repair_result *res = &command->res;
	char size[SIZE_TEXT_MAX], shown[SNAPSHOT_SHOWN_MAX],
			snapshots[COUNT_TEXT_MAX];
	for (size_t i = 0; i < res->damages.count; i++)
		print_damage(command, &res->damages.items[i]);
	for (size_t i = 0; i < res->unreadable_count && more_lines(command);
			i++)
		report_error("%s: %s%s",
				snapshot_shown(shown,
						res->unreadable[i].object),
				res->unreadable[i].cause,
				res->unreadable[i].mended ? " (restored)" : "");
	if (command->lines > LINES_MAX)
		report_error("… and more; --json lists everything");
	if (report_wants_text())
		print_mended(res);
	if (res->whole) {
		if (report_wants_summary())
			printf("No damage in %s.\n",
					count_format(snapshots,
							res->counts.snapshots,
							"snapshot"));
		return;
	}
	size_t unreadable = 0;
	for (size_t i = 0; i < res->unreadable_count; i++)
		unreadable += !res->unreadable[i].mended;
	report_error("damage remains: %s of files%s can't be read. The next "
		     "backup of each source stores again what it still has%s.",
			size_format(size, damage_ranges_bytes(&res->lost)),
			unreadable ? " and some snapshots" : "",
			command->from != NULL
					? ""
					: "; --from REPO2 restores what a "
					  "copy still has");
	if (command->from_repo != NULL && res->lost.count != 0) {
		report_error("still missing:");
		print_ranges(command, &res->lost);
	}
}

/* --- as JSON --- */

static json_t *ranges_to_json(const struct damage_ranges *ranges, bool copies)
{
	json_t *list = json_array();
	for (size_t i = 0; i < ranges->count; i++) {
		const struct damage_range *range = &ranges->items[i];
		char shown[SNAPSHOT_SHOWN_MAX];
		json_t *row = json_pack("{s:s,s:I,s:I}", "snapshot",
				snapshot_shown(shown, range->snap->object),
				"offset", (json_int_t)range->from, "length",
				(json_int_t)(range->to - range->from));
		document_set_name(row, "file", range->file->name);
		if (copies)
			json_object_set_new(row, "other_copy",
					json_boolean(range->readable));
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *damage_to_json(const struct damage *damage)
{
	json_t *row = json_pack("{s:s,s:o,s:o}", "kind",
			damage_kind_name(damage->kind), "problem",
			report_json_problem("damaged", damage->cause, NULL),
			"ranges", ranges_to_json(&damage->ranges, true));
	if (damage->kind == DAMAGE_FRAME || damage->kind == DAMAGE_TRAILER) {
		char hex[2 * PACK_ID_SIZE + 1];
		hex_encode(hex, damage->pack.b, PACK_ID_SIZE);
		json_object_set_new(row, "pack", json_string(hex));
	}
	if (damage->kind == DAMAGE_FRAME) {
		json_object_set_new(row, "frame", json_integer(damage->frame));
		json_object_set_new(row, "chunks",
				json_integer(damage->chunks));
		json_object_set_new(row, "elsewhere",
				json_integer(damage->elsewhere));
	}
	return row;
}

static void print_json(const struct repair_result *res, double seconds)
{
	json_t *damage = json_array(), *unreadable = json_array();
	for (size_t i = 0; i < res->damages.count; i++)
		json_array_append_new(damage,
				damage_to_json(&res->damages.items[i]));
	for (size_t i = 0; i < res->unreadable_count; i++) {
		char shown[SNAPSHOT_SHOWN_MAX];
		snapshot_shown(shown, res->unreadable[i].object);
		json_array_append_new(unreadable,
				json_pack("{s:s,s:o,s:b}", "snapshot", shown,
						"problem",
						report_json_problem("damaged",
								res->unreadable[i]
										.cause,
								shown),
						"restored",
						(int)res->unreadable[i]
								.mended));
	}
	report_print_json(json_pack(
			"{s:b,s:o,s:o,s:o,s:{s:I,s:I,s:I,s:I},s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f}",
			"ok", (int)res->whole, "damage", damage,
			"unreadable_snapshots", unreadable, "lost",
			ranges_to_json(&res->lost, false), "restored", "packs",
			(json_int_t)res->packs, "chunks",
			(json_int_t)res->chunks, "trees",
			(json_int_t)res->trees, "bytes", (json_int_t)res->bytes,
			"records_removed", (json_int_t)res->records_removed,
			"frames_left", (json_int_t)res->frames_left,
			"packs_removed", (json_int_t)res->packs_removed,
			"snapshot_count", (json_int_t)res->counts.snapshots,
			"file_count", (json_int_t)res->counts.files, "packs",
			(json_int_t)res->counts.packs, "frames",
			(json_int_t)res->counts.frames, "seconds", seconds));
}

/* --- the command --- */

static int run(struct repair_command *command, const char *path)
{
	double begin = monotonic_now();
	command->repo = command_open(path, &command->common);
	if (command->repo == NULL)
		return EXIT_FAILED;
	int err = command->from != NULL && !command->o.dry_run
			? open_from(command)
			: 0;
	if (err == 0)
		err = repair_run(command->repo, command->from_repo, &command->o,
				&command->res);
	if (err < 0)
		return command_failed(err);
	if (report_json())
		print_json(&command->res, monotonic_now() - begin);
	else
		print_text(command);
	return command->res.whole ? EXIT_DONE : EXIT_FAILED;
}

int command_repair(int argc, char **argv)
{
	struct repair_command c = { .jobs = { .value = pool_processors(),
						    .min = 1,
						    .max = JOBS_MAX } };
	if (c.jobs.value > JOBS_MAX)
		c.jobs.value = JOBS_MAX;
	const struct option own[] = {
		{ "from", 0, OPTION_TEXT, &c.from, "REPO2",
				"restore what this copy of REPO still has" },
		{ "read-data", 0, OPTION_FLAG, &c.o.read_data, NULL,
				"read and check every frame first" },
		{ "dry-run", 'n', OPTION_FLAG, &c.o.dry_run, NULL,
				"only list damage" },
		{ "jobs", 'j', OPTION_NUMBER, &c.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&c.common.repository),
		repository_second_option_table(&c.from_options, "from"),
		report_option_table(&c.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs repair",
		.operands = "REPO",
		.purpose = "List damaged or missing parts of the repository "
			   "with every snapshot, file and\n"
			   "byte range affected, and restore what a copy "
			   "still has. The exit status is 1 if\n"
			   "damage remains.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &c.common.report);
	interrupt_setup();
	c.o.jobs = (unsigned)c.jobs.value;
	int err = c.from != NULL
			? repository_name_resolve(&c.from_options, &c.from)
			: 0;
	int status = err < 0 ? command_failed(err) : run(&c, argv[1]);
	repair_result_clear(&c.res);
	repository_close(c.from_repo);
	remove_own_index(&c);
	repository_close(c.repo);
	return report_finish(status);
}
