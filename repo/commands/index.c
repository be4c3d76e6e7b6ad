/* SPDX-License-Identifier: GPL-3.0-or-later */
/* amberfs index: what the index knows; rebuilding it from the packs. */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

static int print_stats(struct repository *repo)
{
	struct index_stats st;
	int err = index_stats(repo->index, &st);
	if (err < 0)
		return err;
	if (report_json()) {
		report_print_json(json_pack("{s:o,s:I,s:I,s:I,s:I}",
				"directory",
				report_json_text(index_dir(repo->index)),
				"packs", (json_int_t)st.packs, "chunks",
				(json_int_t)st.chunks, "size",
				(json_int_t)st.file_bytes, "unreadable_packs",
				(json_int_t)st.unreadable_packs));
		return 0;
	}
	char size[SIZE_TEXT_MAX], directory[1024];
	char chunks[COUNT_TEXT_MAX], packs[COUNT_TEXT_MAX];
	printf("Index in %s: %s in %s, %s.\n",
			name_display(directory, sizeof(directory),
					index_dir(repo->index)),
			count_format(chunks, st.chunks, "chunk"),
			count_format(packs, st.packs, "pack"),
			size_format(size, st.file_bytes));
	if (st.unreadable_packs)
		printf("%s can't be read; see 'amberfs verify'.\n",
				count_format(packs, st.unreadable_packs,
						"pack"));
	return 0;
}

int command_index(int argc, char **argv)
{
	struct common_options o = { 0 };
	bool rebuild = false;
	const struct option own[] = {
		{ "rebuild", 0, OPTION_FLAG, &rebuild, NULL,
				"rebuild it from the packs' trailers" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&o.repository),
		report_option_table(&o.report), NULL };
	const struct command_line cl = {
		.program = "amberfs index",
		.operands = "REPO",
		.purpose = "Update the index and show what it contains. The "
			   "index is a cache: it may be\n"
			   "deleted at any time, and is repaired or rebuilt "
			   "when needed.",
		.tables = tables,
		.min_operands = 1,
		.max_operands = 1,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &o.report);
	struct repository *repo = command_open(argv[1], &o);
	if (repo == NULL)
		return EXIT_FAILED;
	int err = rebuild ? index_rebuild(repo->index)
			  : index_reconcile(repo->index);
	if (err == 0)
		err = print_stats(repo);
	repository_close(repo);
	return err < 0 ? command_failed(err) : report_finish(EXIT_DONE);
}
