/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether a disk that breaks takes both the guests and their backups. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "block_disks.h"
#include "checks.h"

static bool same_device(const char *a, const char *b)
{
	struct stat one, other;
	return stat(a, &one) == 0 && stat(b, &other) == 0
			&& !S_ISBLK(other.st_mode)
			&& one.st_dev == other.st_dev;
}

/* "disk sda", or "filesystem", in OUT; NULL: nothing is shared. */
static const char *shared(char out[BLOCK_NAME_MAX + 16], const char *repo,
		const char *image)
{
	struct block_disks ours, theirs;
	char name[BLOCK_NAME_MAX];
	block_disks_find(&ours, repo);
	block_disks_find(&theirs, image);
	dev_t common = block_disks_common(&ours, &theirs);
	if (common != 0) {
		snprintf(out, BLOCK_NAME_MAX + 16, "disk %s",
				block_disks_name(name, common));
		return out;
	}
	if (same_device(repo, image))
		return strcpy(out, "filesystem");
	return NULL;
}

static void report(struct doctor *doctor, const char *what, const char *image,
		unsigned further)
{
	char more[32] = "";
	if (further > 0)
		snprintf(more, sizeof(more), " and %u more", further);
	doctor_found(doctor, DOCTOR_WARNING, doctor->options->repository_path,
			"is on the same %s as %s%s", what, image, more);
	doctor_means(doctor,
			"When that breaks, the backups are lost with what they "
			"are of. Keep it on another disk, or copy it to one:");
	char quoted[DOCTOR_QUOTE_MAX];
	doctor_quote(quoted, doctor->options->repository_path);
	doctor_command(doctor,
			"amberfs init /OTHER-DISK/amberfs --key-file "
			"/etc/amberfs/key2");
	doctor_command(doctor,
			"amberfs copy %s /OTHER-DISK/amberfs --to-key-file "
			"/etc/amberfs/key2",
			quoted);
}

void check_place(struct doctor *doctor)
{
	const char *repo = doctor->options->repository_path;
	char what[BLOCK_NAME_MAX + 16], first[BLOCK_NAME_MAX + 16] = "";
	const char *found = NULL;
	unsigned further = 0;
	size_t i;
	json_t *image;
	struct stat st;
	if (stat(repo, &st) < 0)
		return; /* check_open has said so */
	json_array_foreach (doctor->images, i, image) {
		const char *path = json_string_value(image);
		if (shared(what, repo, path) == NULL)
			continue;
		if (found == NULL) {
			found = path;
			memcpy(first, what, sizeof(first));
		} else {
			further++;
		}
	}
	if (json_array_size(doctor->images) == 0
			&& shared(first, repo, "/") != NULL)
		found = "this host's system (/)";
	if (found != NULL)
		report(doctor, first, found, further);
	else
		doctor_found(doctor, DOCTOR_OK, repo,
				"is on another disk than %s",
				json_array_size(doctor->images) > 0
						? "the guests' images"
						: "this host's system");
}
