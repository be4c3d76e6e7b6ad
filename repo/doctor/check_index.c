/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the index can lie where it would be put. */
#include <stdlib.h>

#include "checks.h"
#include "repo/base/cleanup.h"
#include "repo/index/index.h"

void check_index(struct doctor *doctor)
{
	const struct doctor_options *options = doctor->options;
	CLEANUP_FREE char *path = NULL;
	const char *network = NULL;
	uint8_t id[REPO_ID_SIZE];
	char object[512];
	if (repository_peek_id(options->repository_path, id) < 0)
		return; /* check_open has said so */
	if (index_look(&path, &network, id, options->repository.index_dir) < 0)
		return;
	snprintf(object, sizeof(object), "index in %s", path);
	if (network == NULL) {
		doctor_found(doctor, DOCTOR_OK, object,
				"is on a local filesystem");
		return;
	}
	doctor_found(doctor, DOCTOR_FAILURE, object,
			"is on a filesystem (%s) where it is not safe",
			network);
	doctor_means(doctor, "%s Name a directory on a local disk:",
			options->repository.index_dir != NULL
					? "It is refused there."
					: "A temporary one is made for each "
					  "command instead, which takes time.");
	doctor_command(doctor, "mkdir -p -m 700 /var/cache/amberfs-index");
	doctor_command(doctor,
			"amberfs index %s --index-dir /var/cache/amberfs-index",
			options->repository_path);
}
