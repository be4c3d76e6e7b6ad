/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs prune: options and report. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/pool.h"
#include "repo/format/document.h"
#include "repo/prune/prune.h"

#define MEMORY_MIN (64 * KIB)

struct texts {
	const char *max_unused, *wait;
	uint64_t max_rewrite, memory;
	struct option_number jobs;
};

static void parse_unused(const struct command_line *line, const char *text,
		struct prune_options *options)
{
	size_t n = strlen(text);
	char *end = NULL;
	if (n == 0 || text[n - 1] != '%') {
		options->unused_is_share = false;
		if (size_parse(&options->unused_bytes, text) < 0)
			options_error(line,
					"--max-unused: %s is neither "
					"a size nor a percentage",
					text);
		return;
	}
	double percent = strtod(text, &end);
	if (end != text + n - 1 || !(percent >= 0 && percent <= 100))
		options_error(line,
				"--max-unused: %s is not between 0%% and "
				"100%%",
				text);
	options->unused_is_share = true;
	options->unused_share = percent / 100;
}

static void parse_wait(const struct command_line *line, const char *text,
		struct prune_options *options)
{
	int64_t seconds;
	if (wait_parse(&seconds, text) < 0)
		options_error(line, "--wait: %s", error_text(-EINVAL));
	options->wait = (double)seconds;
}

static void fill_options(const struct command_line *line,
		const struct texts *texts, struct prune_options *options)
{
	parse_unused(line, texts->max_unused, options);
	parse_wait(line, texts->wait, options);
	options->max_rewrite = texts->max_rewrite;
	options->memory = texts->memory;
	options->jobs = (unsigned)texts->jobs.value;
	if (options->memory < MEMORY_MIN)
		options_error(line, "--memory must be at least 64K");
}

/* --- the report --- */

static int64_t freed_bytes(const struct prune_result *res, bool dry_run)
{
	uint64_t written = dry_run ? res->rewritten_bytes : res->written_bytes;
	return (int64_t)(res->deleted.bytes - written);
}

struct reason {
	const char *code, *text;
};

static struct reason reason_of(const struct prune_waiting *waiting)
{
	if (!waiting->peer.readable)
		return (struct reason){ "unreadable",
			"its record can't be read" };
	if (waiting->answered)
		return (struct reason){ "in-use", "it uses chunks there" };
	return (struct reason){ "no-answer", "it has not answered yet" };
}

static json_t *waiting_to_json(const struct prune_waiting *waiting)
{
	const struct session_record *record = &waiting->peer.record;
	struct reason reason = reason_of(waiting);
	json_t *j = json_pack("{s:s,s:o,s:I,s:I}", "session", waiting->peer.id,
			"problem",
			report_json_problem(reason.code, reason.text,
					waiting->peer.id),
			"packs", (json_int_t)waiting->packs, "bytes",
			(json_int_t)waiting->bytes);
	if (j != NULL && waiting->peer.readable)
		json_object_update_new(j,
				json_pack("{s:s,s:I,s:o}", "kind",
						session_record_kind_name(
								record->kind),
						"pid", (json_int_t)record->pid,
						"started",
						report_json_time(
								record->started)));
	if (waiting->peer.readable) {
		document_set_name(j, "host", record->host);
		document_set_name(j, "activity", record->activity);
	}
	return j;
}

static json_t *count_to_json(const struct prune_count *count)
{
	return json_pack("{s:I,s:I}", "packs", (json_int_t)count->packs,
			"bytes", (json_int_t)count->bytes);
}

static json_t *result_to_json(const struct prune_result *res, bool dry_run,
		double seconds)
{
	json_t *waiting = json_array();
	for (size_t i = 0; i < res->waiting_count; i++)
		json_array_append_new(waiting,
				waiting_to_json(&res->waiting[i]));
	json_t *j = json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:f}", "dry_run",
			(int)dry_run, "before", count_to_json(&res->before),
			"after", count_to_json(&res->after), "deleted",
			count_to_json(&res->deleted), "condemned",
			count_to_json(&res->condemned), "waiting", waiting,
			"seconds", seconds);
	const struct {
		const char *name;
		int64_t value;
	} numbers[] = {
		{ "freed_bytes", freed_bytes(res, dry_run) },
		{ "rewritten_bytes", (int64_t)res->rewritten_bytes },
		{ "rewritten_chunks", (int64_t)res->rewritten_chunks },
		{ "written_bytes", (int64_t)res->written_bytes },
		{ "unused_bytes", (int64_t)res->unused_bytes },
		{ "live_chunks", (int64_t)res->live_chunks },
		{ "missing_chunks", (int64_t)res->missing_chunks },
		{ "failed_chunks", (int64_t)res->failed_chunks },
		{ "unreadable_packs", (int64_t)res->unreadable_packs },
		{ "snapshot_count", (int64_t)res->snapshots },
		{ "rounds", res->rounds },
		{ "slices", res->slices },
		{ "memory_bytes", (int64_t)res->memory_bytes },
	};
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_set_new(j, numbers[i].name,
				json_integer(numbers[i].value));
	return j;
}

static void print_waiting(const struct prune_result *res)
{
	char size[SIZE_TEXT_MAX], who[PEER_TEXT_MAX];
	for (size_t i = 0; i < res->waiting_count; i++) {
		const struct prune_waiting *waiting = &res->waiting[i];
		printf("  %" PRIu64 " (%s) because of %s: %s\n", waiting->packs,
				size_format(size, waiting->bytes),
				peers_text(who, &waiting->peer),
				reason_of(waiting).text);
	}
}

static void print_text(const struct prune_result *res, bool dry_run,
		double seconds)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], c[SIZE_TEXT_MAX];
	char packs[COUNT_TEXT_MAX], snapshots[COUNT_TEXT_MAX];
	int64_t freed = freed_bytes(res, dry_run);
	printf("%s %s%s: %s (%s) deleted, %s of that copied.\n",
			dry_run ? "Would free" : "Freed", freed < 0 ? "-" : "",
			size_format(a, (uint64_t)(freed < 0 ? -freed : freed)),
			count_format(packs, res->deleted.packs, "pack"),
			size_format(b, res->deleted.bytes),
			size_format(c, res->rewritten_bytes));
	if (!report_wants_text())
		return;
	printf("%s (%s) %s for %s, %s of that unused; took %s.\n",
			count_format(packs, res->after.packs, "pack"),
			size_format(a, res->after.bytes),
			res->after.packs == 1 ? "remains" : "remain",
			count_format(snapshots, res->snapshots, "snapshot"),
			size_format(b, res->unused_bytes),
			duration_format(c, seconds));
	if (res->condemned.packs != 0)
		printf("%s (%s) will be deleted by a later run%s\n",
				count_format(packs, res->condemned.packs,
						"pack"),
				size_format(a, res->condemned.bytes),
				res->waiting_count ? ":"
						   : ", once the chunks in "
						     "use there can be "
						     "copied.");
	print_waiting(res);
}

static void make_report(const struct prune_result *res, bool dry_run,
		double seconds, json_t **json)
{
	char missing[COUNT_TEXT_MAX];
	if (res->missing_chunks != 0)
		report_warning("no readable pack has %s that snapshots need; "
			       "'amberfs verify' lists the files affected",
				count_format(missing, res->missing_chunks,
						"chunk"));
	if (report_json())
		*json = result_to_json(res, dry_run, seconds);
	else if (report_wants_summary())
		print_text(res, dry_run, seconds);
}

/* With --json the result goes to *JSON, otherwise it is printed. */
static int prune_and_report(struct repository *repo,
		const struct prune_options *options, json_t **json)
{
	struct prune_result res = { .rounds = 0 };
	double begin = monotonic_now();
	*json = NULL;
	int err = prune_run(repo, options, &res);
	if (err == 0)
		make_report(&res, options->dry_run, monotonic_now() - begin,
				json);
	prune_result_clear(&res);
	return err < 0 ? command_failed(err) : EXIT_DONE;
}

static int run(const char *path, const struct common_options *common,
		const struct prune_options *options)
{
	json_t *json = NULL;
	struct repository *repo = command_open(path, common);
	if (repo == NULL)
		return EXIT_FAILED;
	int status = prune_and_report(repo, options, &json);
	repository_close(repo);
	if (json != NULL)
		report_print_json(json);
	return report_finish(status);
}

static struct texts default_texts(void)
{
	return (struct texts){ .max_unused = "5%",
		.wait = "10s",
		.max_rewrite = UINT64_MAX,
		.memory = 256 * MIB,
		.jobs = { .value = pool_processors(), .min = 1, .max = 256 } };
}

int command_prune_now(struct repository *repo, json_t **json)
{
	const struct command_line none = { .program = "amberfs prune" };
	struct prune_options o = { .dry_run = false };
	struct texts t = default_texts();
	fill_options(&none, &t, &o);
	interrupt_setup();
	return prune_and_report(repo, &o, json);
}

int command_prune(int argc, char **argv)
{
	struct common_options common = { 0 };
	struct prune_options o = { .dry_run = false };
	struct texts t = default_texts();
	const struct option own[] = {
		{ "dry-run", 'n', OPTION_FLAG, &o.dry_run, NULL,
				"show what would be done, and do nothing" },
		{ "all", 0, OPTION_FLAG, &o.all, NULL,
				"delete everything if no snapshots are left" },
		{ "max-unused", 0, OPTION_TEXT, &t.max_unused, "PERCENT|SIZE",
				"how much of packs may be unused (default: "
				"5%)" },
		{ "max-rewrite", 0, OPTION_SIZE, &t.max_rewrite, "SIZE",
				"copy at most SIZE bytes into new packs" },
		{ "wait", 0, OPTION_TEXT, &t.wait, "TIME",
				"wait for other sessions (default: 10s)" },
		{ "memory", 0, OPTION_SIZE, &t.memory, "SIZE",
				"memory for the list of chunks (default: "
				"256M)" },
		{ "jobs", 'j', OPTION_NUMBER, &t.jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&common.repository),
		report_option_table(&common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs prune",
		.operands = "REPO",
		.purpose = "Free space that no snapshot needs any more. "
			   "Backups, mounts and restores may run\n"
			   "at the same time; what they still use is "
			   "deleted by a later prune.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &common.report);
	fill_options(&cl, &t, &o);
	interrupt_setup();
	return run(argv[1], &common, &o);
}
