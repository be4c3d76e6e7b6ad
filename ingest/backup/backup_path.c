/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "backup_path.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ingest/source/mounted_device.h"
#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/units.h"

#define MODE_DEVICE 0600u

uint64_t backup_path_size(const char *path)
{
	struct stat st;
	uint64_t size = 0;
	if (stat(path, &st) < 0)
		return 0;
	if (!S_ISBLK(st.st_mode))
		return (uint64_t)st.st_size;
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && device_size(fd, &size) == 0 ? size : 0;
}

static void take_attributes(struct backup_file *file, const struct stat *st)
{
	bool device = S_ISBLK(st->st_mode);
	if (file->mode == 0)
		file->mode = device ? MODE_DEVICE : st->st_mode & 0777;
	file->mtime_ns = device ? realtime_ns()
				: (int64_t)st->st_mtim.tv_sec * 1000000000
					+ st->st_mtim.tv_nsec;
}

/* Its filesystem keeps in memory what it has not written yet. */
static int check_mounted(struct backup_snapshot *snapshot, const char *path,
		const struct stat *st)
{
	struct snapshot *snap = snapshot->snap;
	char where[512];
	if (!S_ISBLK(st->st_mode)
			|| !mounted_device_find(st->st_rdev, where,
					sizeof(where)))
		return 0;
	report_warning("%s is mounted at %s and may be written while it is "
		       "read, so this copy of it is not consistent: unmount it, "
		       "mount it read-only, or back up a snapshot of the volume",
			path, where);
	free(snap->consistency);
	snap->consistency = strdup("none");
	return snap->consistency != NULL ? 0
					 : fail_no_memory("making a snapshot");
}

int backup_path(struct backup_snapshot *snapshot, const char *path,
		struct backup_file *f)
{
	struct file_source *file;
	struct file_identity identity;
	struct image_source source;
	bool taken;
	int err = file_source_open(&file, path, snapshot->run->workers_max);
	if (err < 0)
		return err;
	err = check_mounted(snapshot, path, file_source_stat(file));
	if (err < 0) {
		file_source_close(file);
		return err;
	}
	file_source_identity(file, &identity);
	f->identities = &identity;
	f->identity_count = 1;
	if (f->mtime_ns == INT64_MIN)
		take_attributes(f, file_source_stat(file));
	err = backup_snapshot_reuse(snapshot, f, &taken);
	if (err == 0 && !taken) {
		file_source_fill(file, &source);
		err = backup_snapshot_store(snapshot, f, &source);
		if (err == 0)
			err = file_source_recheck(file);
	}
	file_source_close(file);
	f->identities = NULL; /* they were this function's */
	f->identity_count = 0;
	return err;
}
