/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files are written under a temporary name; nothing is replaced. */
#include "boot_tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ingest/libvirt/qemu_user.h"
#include "ingest/libvirt/tpm_state.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/foreign_path.h"
#include "repo/format/name.h"

#define STATE_MAX (4u << 20)

static int add_note(char **notes, const char *file, const char *why)
{
	char *more = NULL;
	if (asprintf(&more,
			    "%s%s%s: %s; the guest starts with an empty TPM, "
			    "so anything sealed in the old one is lost to it\n",
			    *notes != NULL ? *notes : "",
			    *notes != NULL && **notes
							    && (*notes)[strlen(*notes)
									       - 1]
									    != '\n'
					    ? "\n"
					    : "",
			    file, why)
			< 0)
		return fail_no_memory("restoring the TPM");
	free(*notes);
	*notes = more;
	return 0;
}

/* PATH, in which the UUID OLD is exactly one component, with it replaced by
 * NEW. */
static char *with_uuid(const char *path, const char *old, const char *new)
{
	const char *at = old != NULL && *old ? strstr(path, old) : NULL;
	char *out = NULL;
	if (at == NULL || at == path || at[-1] != '/' || at[strlen(old)] != '/'
			|| asprintf(&out, "%.*s%s%s", (int)(at - path), path,
					   new, at + strlen(old))
					< 0)
		return NULL;
	return out;
}

/* Writes LEN bytes of BUF as NAME in DIRECTORY, which other users may own. */
static int write_file(int directory, const char *name, const void *buf,
		size_t len, const struct boot_directory *dir)
{
	char temporary[NAME_MAX + 1];
	snprintf(temporary, sizeof(temporary), ".%.200s.amberfs", name);
	if (unlinkat(directory, temporary, 0) < 0 && errno != ENOENT)
		return fail_errno(-errno, "removing %s", temporary);
	CLEANUP_FD int fd = foreign_path_openat(directory, temporary,
			O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	ssize_t n = write(fd, buf, len);
	int err = n == (ssize_t)len ? 0 : n < 0 ? -errno : -ENOSPC;
	if (err == 0)
		err = qemu_user_chown(fd, name, dir->uid, dir->gid);
	if (err == 0
			&& (fsync(fd) < 0
					|| renameat2(directory, temporary,
							   directory, name,
							   RENAME_NOREPLACE)
							< 0))
		err = -errno;
	if (err < 0)
		unlinkat(directory, temporary, 0);
	return err < 0 ? fail_errno(err, "writing %s", name) : 0;
}

static int copy_file(const char *from, const char *to,
		const struct boot_directory *dir)
{
	CLEANUP_FREE char *buf = malloc(STATE_MAX);
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	if (buf == NULL)
		return fail_no_memory("restoring the TPM");
	ssize_t n = in < 0 ? -1 : read(in, buf, STATE_MAX);
	if (n < 0)
		return fail_errno(-errno, "reading %s", from);
	CLEANUP_FD int directory = tpm_state_make_directories(to, 2);
	return directory < 0 ? directory
			     : write_file(directory, strrchr(to, '/') + 1, buf,
					     (size_t)n, dir);
}

static int place_one(struct domain_facts *facts,
		const struct boot_directory *dir, const struct snapshot *snap,
		const struct snapshot_file *file, char **notes)
{
	CLEANUP_FREE char *from = boot_directory_file(dir, snap, file);
	CLEANUP_FREE char *was = file->source_path != NULL
			? name_unescape(file->source_path, NULL)
			: NULL;
	CLEANUP_FREE char *to = was != NULL
			? with_uuid(was, snap->uuid, facts->uuid)
			: NULL;
	if (from == NULL)
		return fail_no_memory("restoring the TPM");
	if (to == NULL || !tpm_state_is_path(to, facts->uuid)
			|| file->size >= STATE_MAX)
		return add_note(notes, file->name,
				"cannot tell where libvirt keeps the state of "
				"its TPM");
	int err = copy_file(from, to, dir);
	return err < 0 ? add_note(notes, to, error_text(err)) : 0;
}

int boot_tpm_place(struct domain *domain, const struct boot_directory *dir,
		const struct snapshot *snap, char **notes)
{
	struct domain_facts facts;
	int err = domain_facts(domain, &facts);
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		if (snap->files[i].kind == FILE_TPM)
			err = place_one(&facts, dir, snap, &snap->files[i],
					notes);
	domain_facts_clear(&facts);
	return err;
}

bool boot_tpm_stored(const struct snapshot *snap)
{
	bool stored = false;
	for (uint32_t i = 0; i < snap->file_count; i++)
		stored |= snap->files[i].kind == FILE_TPM;
	return stored;
}
