/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt's swtpm keeps it in …/swtpm/UUID/tpm2/tpm2-00.permall; libvirt gives
 * the directory and its files to swtpm's user when it starts swtpm. Files are
 * written under a temporary name; nothing is replaced.
 */
#include "boot_tpm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/qemu_user.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
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

/* Makes libvirt's directories UUID/tpm2; their parent must exist. */
static int make_directories(const char *path, const char *uuid,
		const struct boot_directory *dir)
{
	CLEANUP_FREE char *directory = strdup(path);
	if (directory == NULL)
		return -ENOMEM;
	char *at = strstr(directory, uuid) + strlen(uuid);
	for (;; at = strchr(at + 1, '/')) {
		if (at == NULL)
			return 0;
		*at = '\0';
		if (mkdir(directory, 0700) == 0)
			/* A session libvirt can't use files of root. */
			(void)!chown(directory, dir->uid, dir->gid);
		else if (errno != EEXIST)
			return -errno;
		*at = '/';
	}
}

static int write_file(const char *from, const char *path,
		const struct boot_directory *dir)
{
	CLEANUP_FREE char *temporary = NULL;
	CLEANUP_FREE char *buf = malloc(STATE_MAX);
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	if (buf == NULL || asprintf(&temporary, "%s.amberfs", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	ssize_t n = in < 0 ? -1 : read(in, buf, STATE_MAX);
	if (n < 0)
		return -errno;
	CLEANUP_FD int out = open(temporary,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600);
	if (out < 0)
		return -errno;
	ssize_t w = write(out, buf, (size_t)n);
	int err = w != n ? (w < 0 ? -errno : -ENOSPC) : 0;
	if (err == 0)
		err = qemu_user_chown(out, path, dir->uid, dir->gid);
	if (err == 0
			&& (fsync(out) < 0
					|| renameat2(AT_FDCWD, temporary,
							   AT_FDCWD, path,
							   RENAME_NOREPLACE)
							< 0))
		err = -errno;
	if (err < 0)
		unlink(temporary);
	return err;
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
	if (to == NULL || file->size >= STATE_MAX)
		return add_note(notes, file->name,
				"cannot tell where libvirt keeps the state of "
				"its TPM");
	int err = make_directories(to, facts->uuid, dir);
	if (err == 0)
		err = write_file(from, to, dir);
	return err < 0 ? add_note(notes, to, strerror(-err)) : 0;
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
