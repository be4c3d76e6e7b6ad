/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is left for further backups. */
#include <sys/statvfs.h>

#include "checks.h"
#include "repo/base/units.h"

#define LEAST (256 * MIB) /* some packs, and room for prune to work in */
#define LOW_PERCENT 10
#define LEAST_FILES 1000

static void advise(struct doctor *doctor)
{
	char quoted[DOCTOR_QUOTE_MAX];
	doctor_quote(quoted, doctor->options->repository_path);
	doctor_command(doctor, "amberfs prune %s", quoted);
	doctor_command(doctor,
			"amberfs forget %s --keep-daily 14 --keep-monthly 12 "
			"--prune --dry-run",
			quoted);
}

void check_space(struct doctor *doctor)
{
	const char *repo = doctor->options->repository_path;
	char text[SIZE_TEXT_MAX], of[SIZE_TEXT_MAX];
	struct statvfs fs;
	if (statvfs(repo, &fs) < 0)
		return; /* check_open has said so */
	uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
	uint64_t total = (uint64_t)fs.f_blocks * fs.f_frsize;
	bool full = available < LEAST
			|| (fs.f_files > 0 && fs.f_favail < LEAST_FILES);
	bool low = available < total / 100 * LOW_PERCENT;
	doctor_found(doctor,
			full		      ? DOCTOR_FAILURE
					: low ? DOCTOR_WARNING
					      : DOCTOR_OK,
			"free space", "%s of %s at %s%s",
			size_format(text, available), size_format(of, total),
			repo,
			available >= LEAST && full ? ", but no more files"
						   : "");
	if (!full && !low)
		return;
	doctor_means(doctor,
			"%s This frees what no snapshot needs; the second line "
			"shows what a rule would remove, without --dry-run it "
			"does so.",
			full ? "The next backup will fail."
			     : "It may soon be full.");
	advise(doctor);
}
