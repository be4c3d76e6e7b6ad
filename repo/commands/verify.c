/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs verify: options, threads and the report of the three checks. */
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/session/session.h"

static void print_report(struct verify *verify, double seconds)
{
	char took[SIZE_TEXT_MAX], a[COUNT_TEXT_MAX], b[COUNT_TEXT_MAX],
			c[COUNT_TEXT_MAX];
	not_shared(&verify->mutex);
	if (report_json()) {
		report_print_json(json_pack(
				"{s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:f}",
				"ok", (int)(verify->problem_count == 0),
				"problem_count",
				(json_int_t)verify->problem_count,
				"snapshot_count",
				(json_int_t)verify->counts.snapshots,
				"file_count", (json_int_t)verify->counts.files,
				"leaves", (json_int_t)verify->counts.leaves,
				"chunks", (json_int_t)verify->counts.chunks,
				"chunks_without_checksum",
				(json_int_t)verify->counts.bare_chunks, "packs",
				(json_int_t)verify->counts.packs, "frames",
				(json_int_t)verify->counts.frames, "problems",
				verify->problems, "seconds", seconds));
		return;
	}
	if (!report_wants_summary() && verify->problem_count == 0)
		return;
	FILE *to = verify->problem_count ? stderr : stdout;
	fprintf(to, "Checked in %s:", duration_format(took, seconds));
	if (verify->counts.snapshots || verify->repo != NULL)
		fprintf(to, " %s, %s, %s;",
				count_format(a, verify->counts.snapshots,
						"snapshot"),
				count_format(b, verify->counts.files, "file"),
				count_format(c, verify->counts.chunks,
						"chunk"));
	fprintf(to, " %s, %s read. ",
			count_format(a, verify->counts.packs, "pack"),
			count_format(b, verify->counts.frames, "frame"));
	if (verify->counts.bare_chunks)
		fprintf(to, "%s made before there were checksums. ",
				count_format(a, verify->counts.bare_chunks,
						"chunk"));
	if (verify->problem_count)
		fprintf(to, "%s FOUND.\n",
				count_format(a, verify->problem_count,
						"PROBLEM"));
	else
		fprintf(to, "All is well.\n");
}

static int check_with_key(struct verify *verify, const char *snapshot,
		bool read_data, bool packs)
{
	int err = session_begin(&verify->session, verify->repo, SESSION_READ,
			"verify");
	if (session_unwritable(err)) {
		report_warning("%s is not writable, so this verify can't "
			       "register a session: a prune running "
			       "meanwhile may look like damage",
				store_path(verify->store));
		err = exclusions_load(verify->repo->exclusions);
	}
	if (err == 0)
		err = index_reconcile(verify->repo->index);
	if (err == 0 && packs)
		err = verify_packs(verify);
	/* Damage first: the trees then show what it affects. */
	if (err == 0 && read_data)
		err = verify_frames(verify);
	if (err == 0 && snapshot == NULL)
		err = verify_objects(verify);
	if (err == 0)
		err = verify_trees(verify, snapshot);
	session_end(take_ptr(verify->session));
	return err;
}

static int check_without_key(struct verify *verify, const char *path)
{
	uint64_t size;
	int err = store_open_local(&verify->store, path);
	if (err < 0)
		return err;
	err = store_size(verify->store, CONFIG_NAME, &size);
	if (err == -ENOENT)
		return fail(err,
				"%s is not an amberfs repository (it has no "
				"config)",
				store_path(verify->store));
	return err < 0 ? err : verify_packs(verify);
}

static int run(struct verify *verify, const char *path, const char *snapshot,
		const struct common_options *options, bool read_data,
		bool packs)
{
	if (packs && !read_data && snapshot == NULL) {
		int err = check_without_key(verify, path);
		return err < 0 ? command_failed(err) : EXIT_DONE;
	}
	verify->repo = command_open(path, options);
	if (verify->repo == NULL)
		return EXIT_FAILED;
	verify->store = verify->repo->store;
	int err = check_with_key(verify, snapshot, read_data, packs);
	return err < 0 ? command_failed(err) : EXIT_DONE;
}

/* Up to four digits from TEXT on; returns where they end. */
static const char *parse_digits(const char *text, unsigned *number)
{
	size_t len = strspn(text, "0123456789");
	*number = len >= 1 && len <= 4 ? (unsigned)strtoul(text, NULL, 10) : 0;
	return text + len;
}

/* "2/7" */
static int parse_subset(struct verify *verify, const char *text)
{
	unsigned part, parts = 0;
	const char *end = parse_digits(text, &part);
	if (*end == '/')
		end = parse_digits(end + 1, &parts);
	if (*end != '\0' || part < 1 || part > parts)
		return fail(-EINVAL,
				"it must be a part and the number of parts, "
				"such as 2/7");
	verify->share = part - 1;
	verify->shares = parts;
	return 0;
}

int command_verify(int argc, char **argv)
{
	struct common_options o = { 0 };
	struct option_number jobs = { .value = pool_processors(),
		.min = 1,
		.max = 256 };
	bool read_data = false, packs = false;
	const char *subset = NULL;
	const struct option own[] = {
		{ "read-data", 0, OPTION_FLAG, &read_data, NULL,
				"also read, decode and check every frame" },
		{ "read-data-subset", 0, OPTION_TEXT, &subset, "K/N",
				"the same of part K of N of all packs" },
		{ "packs", 0, OPTION_FLAG, &packs, NULL,
				"check only the checksums of packs; needs "
				"no key" },
		{ "jobs", 'j', OPTION_NUMBER, &jobs, "N",
				"number of threads (default: one per "
				"processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs verify",
		.operands = "REPO [SNAPSHOT]",
		.purpose = "Check that every image of every snapshot (or of "
			   "SNAPSHOT) resolves to stored\n"
			   "chunks. The exit status is 1 if anything is "
			   "damaged or missing.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 2,
	};
	struct verify v = { .problems = json_array(), .shares = 1 };
	pthread_mutex_init(&v.mutex, NULL);
	int n = options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	interrupt_setup();
	if (subset != NULL && parse_subset(&v, subset) < 0)
		options_error(&cl, "--read-data-subset: %s",
				error_text(-EINVAL));
	read_data = read_data || subset != NULL;
	v.jobs = (unsigned)jobs.value;
	double begin = monotonic_now();
	int status = run(&v, argv[1], n == 2 ? argv[2] : NULL, &o, read_data,
			packs);
	if (status == EXIT_DONE) {
		print_report(&v, monotonic_now() - begin);
		if (v.problem_count)
			status = EXIT_FAILED;
	}
	if (v.repo == NULL)
		store_close(v.store);
	repository_close(v.repo);
	json_decref(v.problems);
	return report_finish(status);
}
