/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Prepares a snapshot's files for booting; see boot_files.h. */
#include "boot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ingest/libvirt/domain_doc.h"
#include "ingest/libvirt/domain_xml.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/format/name.h"

#define DEFINITION "domain.xml"

static bool is_disk(const struct snapshot_file *file)
{
	return file->kind == FILE_DISK && file->target != NULL;
}

static uint32_t count_disks(const struct snapshot *snap)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < snap->file_count; i++)
		n += is_disk(&snap->files[i]);
	return n;
}

int boot_files_check(const struct snapshot *snap, const char *file)
{
	char missing[1024], name[SNAPSHOT_SHOWN_MAX];
	snapshot_shown(name, snap->object);
	if (file != NULL)
		return fail(-EINVAL,
				"only a whole snapshot can be booted; leave "
				"out the file %s",
				file);
	if (snap->kind != SNAPSHOT_DOMAIN
			|| snapshot_find_file(snap, DEFINITION) == NULL)
		return fail(-EINVAL,
				"%s is not a snapshot of a domain, so it has "
				"no definition to boot",
				name);
	if (count_disks(snap) == 0 && !snapshot_is_complete(snap))
		return fail(-EINVAL, "%s has no disk to boot from; %s", name,
				snapshot_missing(missing, sizeof(missing),
						snap));
	if (count_disks(snap) == 0)
		return fail(-EINVAL,
				"%s has no disk to boot from (a backup made "
				"with --exact must be restored)",
				name);
	return 0;
}

/* Takes over PATH and returns it; NULL: no memory. */
static const char *keep(struct boot_files *files, char *path)
{
	char **more = path != NULL ? reallocarray(files->paths,
				      files->path_count + 1, sizeof(*more))
				   : NULL;
	if (more == NULL) {
		free(path);
		return NULL;
	}
	files->paths = more;
	return more[files->path_count++] = path;
}

static int make_overlay(struct boot_files *files,
		const struct snapshot_file *file)
{
	struct adapt_disk *disk = &files->disks[files->adapt.disk_count];
	char *path = NULL;
	int err = boot_directory_overlay(files->place, files->snap, file,
			&path);
	if (err < 0)
		return err;
	*disk = (struct adapt_disk){ .target = file->target,
		.format = "qcow2",
		.path = keep(files, path),
		.backing_format = "raw",
		.backing_path = keep(files,
				boot_directory_file(files->place, files->snap,
						file)) };
	files->adapt.disk_count++;
	return disk->path != NULL && disk->backing_path != NULL
			? 0
			: fail_no_memory("booting the snapshot");
}

static int copy_file(struct boot_files *files, const struct snapshot_file *file,
		const char *name, const char **path)
{
	char *made = NULL;
	int err = boot_directory_copy(files->place, files->snap, file, name,
			&made);
	if (err < 0)
		return err;
	*path = keep(files, made);
	return *path != NULL ? 0 : fail_no_memory("booting the snapshot");
}

static bool was_at(const struct snapshot_file *file, const char *path)
{
	CLEANUP_FREE char *raw = file->source_path != NULL && path != NULL
			? name_unescape(file->source_path, NULL)
			: NULL;
	return raw != NULL && strcmp(raw, path) == 0;
}

/* Kernel and initrd are copied even if the host still has them: an update may
 * have replaced them. */
static int make_file(struct boot_files *files, const struct snapshot_file *file)
{
	const struct domain_xml *xml = files->xml;
	struct adapt_options *options = &files->adapt;
	if (interrupt_flag)
		return fail(-ECANCELED, "interrupted");
	if (is_disk(file))
		return make_overlay(files, file);
	if (file->kind == FILE_NVRAM && options->nvram == NULL)
		return copy_file(files, file, "nvram.fd", &options->nvram);
	if (file->kind == FILE_BOOT && was_at(file, xml->kernel)
			&& options->kernel == NULL)
		return copy_file(files, file, "kernel", &options->kernel);
	if (file->kind == FILE_BOOT && was_at(file, xml->initrd)
			&& options->initrd == NULL)
		return copy_file(files, file, "initrd", &options->initrd);
	return 0;
}

static int read_definition(struct boot_files *files)
{
	const struct snapshot_file *file =
			snapshot_find_file(files->snap, DEFINITION);
	CLEANUP_FREE char *path =
			boot_directory_file(files->place, files->snap, file);
	if (path == NULL)
		return fail_no_memory("booting the snapshot");
	if (file->size > DOMAIN_DOC_MAX)
		return fail(-EBADMSG, "%s is too large", path);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", path);
	CLEANUP_FREE char *text = malloc(file->size + 1);
	if (text == NULL)
		return fail_no_memory("booting the snapshot");
	for (uint64_t at = 0; at < file->size;) {
		ssize_t n = pread(fd, text + at, file->size - at, (off_t)at);
		if (n <= 0)
			return fail_errno(n < 0 ? -errno : -EIO, "reading %s",
					path);
		at += (uint64_t)n;
	}
	text[file->size] = '\0';
	return domain_xml_parse(&files->xml, text, strlen(text));
}

int boot_files_make(struct boot_files *files)
{
	int err = read_definition(files);
	files->disks = calloc(count_disks(files->snap) + 1u,
			sizeof(*files->disks));
	files->adapt.disks = files->disks;
	if (err == 0 && files->disks == NULL)
		err = fail_no_memory("booting the snapshot");
	for (uint32_t i = 0; err == 0 && i < files->snap->file_count; i++)
		err = make_file(files, &files->snap->files[i]);
	return err;
}

int boot_files_definition(const struct boot_files *files, char **xml,
		char **notes)
{
	return domain_adapt(files->xml->doc, &files->adapt, xml, notes);
}

void boot_files_clear(struct boot_files *files)
{
	for (unsigned i = 0; i < files->path_count; i++)
		free(files->paths[i]);
	free(files->paths);
	free(files->disks);
	domain_xml_free(files->xml);
	*files = (struct boot_files){ .place = NULL };
}
