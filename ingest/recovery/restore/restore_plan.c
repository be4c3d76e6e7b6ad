/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a domain's files go; see restore_plan.h. The checks are in
 * restore_check.c. */
#include "restore_plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ingest/libvirt/libvirt_home.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/printable.h"
#include "repo/format/name.h"
#include "repo/snapshot/restore_place.h"

void restore_plan_clear(struct restore_plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++) {
		free(plan->items[i].path);
		free(plan->items[i].leaf);
	}
	free(plan->items);
	free(plan->name);
	*plan = (struct restore_plan){ .name = NULL };
}

/* --- what was wished for --- */

/* "vda=/path,qcow2": the option for TARGET; *PATH to free; *FORMAT is unchanged
 * if none is given. */
static int find_wish(const struct restore_plan_options *options,
		const char *target, char **path, const char **format)
{
	static const char *const formats[] = { "raw", "qcow2" };
	size_t len = strlen(target);
	for (int i = 0; i < options->disks.count; i++) {
		const char *text = options->disks.items[i];
		if (strncmp(text, target, len) != 0 || text[len] != '=')
			continue;
		text += len + 1;
		const char *comma = strrchr(text, ',');
		size_t end = strlen(text);
		for (size_t f = 0; comma != NULL && f < 2; f++)
			if (strcmp(comma + 1, formats[f]) == 0) {
				*format = formats[f];
				end = (size_t)(comma - text);
			}
		*path = strndup(text, end);
		return *path != NULL ? 0
				     : fail_no_memory("restoring the domain");
	}
	return 0;
}

/* Each --disk must name a disk of the snapshot. */
static int check_wishes(const struct restore_plan *plan,
		const struct restore_plan_options *options)
{
	for (int i = 0; i < options->disks.count; i++) {
		const char *text = options->disks.items[i];
		size_t len = strcspn(text, "=");
		bool known = false;
		for (unsigned k = 0; k < plan->count; k++) {
			const char *target = plan->items[k].file->target;
			known |= target != NULL && strlen(target) == len
					&& strncmp(text, target, len) == 0;
		}
		if (text[len] != '=' || text[len + 1] == '\0')
			return fail(-EINVAL,
					"--disk %s: must be TARGET=PATH, as in "
					"vda=/srv/web.qcow2",
					text);
		if (!known)
			return fail(-EINVAL,
					"--disk %s: the snapshot has no disk "
					"%.*s",
					text, (int)len, text);
	}
	return 0;
}

/* --- items --- */

static int make_absolute(char **path)
{
	char *whole = NULL;
	if ((*path)[0] == '/')
		return 0;
	CLEANUP_FREE char *here = getcwd(NULL, 0);
	if (here == NULL || asprintf(&whole, "%s/%s", here, *path) < 0)
		return fail_no_memory("restoring the domain");
	free(*path);
	*path = whole;
	return 0;
}

/* The plan takes over PATH; NULL: no memory. */
static struct restore_item *add(struct restore_plan *plan,
		const struct snapshot_file *file, char *path)
{
	if (path == NULL)
		return NULL;
	struct restore_item *more = reallocarray(plan->items, plan->count + 1,
			sizeof(*more));
	if (more == NULL) {
		free(path);
		return NULL;
	}
	plan->items = more;
	more += plan->count++;
	*more = (struct restore_item){ .file = file,
		.path = path,
		.format = RESTORE_RAW };
	return more;
}

static char *source_of(const struct snapshot_file *file)
{
	return file->source_path != NULL
			? name_unescape(file->source_path, NULL)
			: NULL;
}

static int choose_format(enum restore_format *out, const char *format,
		const char *target)
{
	if (format == NULL || strcmp(format, "raw") == 0)
		*out = RESTORE_RAW;
	else if (strcmp(format, "qcow2") == 0)
		*out = RESTORE_QCOW2;
	else
		return fail(-EINVAL,
				"disk %s had the format %s, which amberfs "
				"can't write: give --format raw or qcow2",
				target, format);
	return 0;
}

static int add_disk(struct restore_plan *plan, const struct snapshot_file *file,
		const struct restore_plan_options *options)
{
	char *path = NULL;
	const char *format = options->format != NULL ? options->format
						     : file->format;
	int err = find_wish(options, file->target, &path, &format);
	if (err < 0)
		return err;
	if (path == NULL && file->source_path == NULL)
		return fail(-EINVAL,
				"the snapshot does not say where disk %s was: "
				"give --disk %s=PATH",
				file->target, file->target);
	struct restore_item *item =
			add(plan, file, path != NULL ? path : source_of(file));
	if (item == NULL)
		return fail_no_memory("restoring the domain");
	err = choose_format(&item->format, format, file->target);
	return err < 0 ? err : make_absolute(&item->path);
}

/* What was on a server of the network becomes a file where the hypervisor has
 * such files. */
static int add_network_nvram(struct restore_plan *plan,
		const struct snapshot_file *file,
		const struct restore_plan_options *options)
{
	char component[NAME_COMPONENT_MAX + 1];
	CLEANUP_FREE char *home = libvirt_home_nvram(options->uri);
	CLEANUP_FREE char *escaped =
			name_escape(plan->name, strlen(plan->name));
	char *path = NULL;
	if (escaped != NULL)
		name_component(component, escaped);
	if (escaped == NULL
			|| asprintf(&path, "%s/%s_VARS.fd",
					   home != NULL ? home : "", component)
					< 0)
		path = NULL;
	return add(plan, file, path) != NULL
			? 0
			: fail_no_memory("restoring the domain");
}

/* A domain with another name gets one next to the original's. */
static int add_nvram(struct restore_plan *plan,
		const struct snapshot_file *file)
{
	char component[NAME_COMPONENT_MAX + 1];
	char *path = source_of(file),
	     *slash = path != NULL ? strrchr(path, '/') : NULL;
	if (path != NULL && slash != NULL && !plan->same_identity) {
		char *beside = NULL;
		CLEANUP_FREE char *escaped =
				name_escape(plan->name, strlen(plan->name));
		if (escaped != NULL)
			name_component(component, escaped);
		if (escaped == NULL
				|| asprintf(&beside, "%.*s/%s_VARS.fd",
						   (int)(slash - path), path,
						   component)
						< 0)
			beside = NULL;
		free(path);
		path = beside;
	}
	struct restore_item *item = add(plan, file, path);
	if (item == NULL)
		return fail_no_memory("restoring the domain");
	return 0;
}

static int add_file(struct restore_plan *plan, const struct snapshot_file *file,
		const struct restore_plan_options *options)
{
	struct restore_item *item = NULL;
	if (file->kind == FILE_DISK && file->target != NULL)
		return add_disk(plan, file, options);
	if (file->kind == FILE_NVRAM)
		return file->source_path != NULL
				? add_nvram(plan, file)
				: add_network_nvram(plan, file, options);
	if (file->source_path == NULL
			|| (file->kind != FILE_BOOT && file->kind != FILE_TPM))
		return 0;
	/* The state of a TPM is in a directory named after the UUID. */
	if (file->kind == FILE_TPM && !plan->same_identity)
		return 0;
	item = add(plan, file, source_of(file));
	if (item == NULL)
		return fail_no_memory("restoring the domain");
	item->if_missing = file->kind == FILE_BOOT;
	item->optional = file->kind == FILE_TPM;
	return 0;
}

/* Is there a directory in which PATH may be made, or is PATH there? None that
 * belongs to devices, unless PATH is one. look_at reports other problems. */
static bool is_usable(const char *path)
{
	CLEANUP_RESTORE_PLACE struct restore_place place;
	int err = restore_place_open(&place, path);
	if (err < 0)
		return err != -ENOENT && err != -ENOTDIR;
	return (place.exists && S_ISBLK(place.st.st_mode))
			|| restore_place_check_file(&place) == 0;
}

/* In a disk's directory, or in that of the hypervisor, under the name LEAF
 * ("/…"). *OUT is NULL if there is none. */
static int elsewhere(const struct restore_plan *plan,
		const struct restore_item *item, const char *leaf,
		const struct restore_plan_options *options, char **out)
{
	CLEANUP_FREE char *home = item->file->kind == FILE_NVRAM
			? libvirt_home_nvram(options->uri)
			: NULL;
	for (unsigned i = 0; i <= plan->count; i++) {
		const char *disk = i < plan->count ? plan->items[i].path : NULL;
		CLEANUP_FREE char *path = NULL;
		const char *from = disk != NULL ? disk : home;
		if (from == NULL
				|| (i < plan->count
						&& plan->items[i].file->kind
								!= FILE_DISK))
			continue;
		size_t len = disk != NULL ? (size_t)(strrchr(disk, '/') - disk)
					  : strlen(from);
		if (asprintf(&path, "%.*s%s", (int)len, from, leaf) < 0) {
			path = NULL;
			return fail_no_memory("restoring the domain");
		}
		if (is_usable(path)) {
			*out = take_ptr(path);
			return 0;
		}
	}
	return 0;
}

/* On another host the directories of NVRAM and kernels may not exist; then they
 * go where a disk goes. */
static int settle(struct restore_plan *plan, struct restore_item *item,
		const struct domain_xml *xml,
		const struct restore_plan_options *options)
{
	CLEANUP_FREE char *was = take_ptr(item->path);
	const char *leaf = strrchr(was, '/');
	bool stays = leaf == NULL || is_usable(was);
	int err = stays ? 0 : elsewhere(plan, item, leaf, options, &item->path);
	if (err < 0)
		return err;
	if (!stays && item->path == NULL)
		return fail(-ENOENT,
				"the directory of %s, in which %s was, does "
				"not exist, and the disks are in none where it "
				"could go: make that directory",
				was, item->file->name);
	if (stays)
		item->path = take_ptr(was);
	if (item->file->kind == FILE_NVRAM)
		plan->nvram = item->path;
	else if (!stays && xml->kernel != NULL && strcmp(was, xml->kernel) == 0)
		plan->kernel = item->path;
	else if (!stays && xml->initrd != NULL && strcmp(was, xml->initrd) == 0)
		plan->initrd = item->path;
	return 0;
}

static bool follows_disks(const struct restore_item *item)
{
	return item->file->kind == FILE_NVRAM || item->file->kind == FILE_BOOT;
}

/* The disks first: for them there is an option. */
static int settle_all(struct restore_plan *plan, const struct domain_xml *xml,
		const struct restore_plan_options *options)
{
	int err = 0;
	for (unsigned i = 0; i < plan->count; i++) {
		const struct restore_item *item = &plan->items[i];
		if (!follows_disks(item) && !item->optional
				&& !is_usable(item->path))
			return fail(-ENOENT,
					"the directory or device of %s does "
					"not exist: make it, or give --disk "
					"%s=PATH",
					item->path, item->file->target);
	}
	for (unsigned i = 0; err == 0 && i < plan->count; i++)
		if (follows_disks(&plan->items[i]))
			err = settle(plan, &plan->items[i], xml, options);
	return err;
}

/* However their paths are spelled. */
static bool same_place(const struct restore_item *a,
		const struct restore_item *b)
{
	return strcmp(a->path, b->path) == 0
			|| (a->leaf != NULL && b->leaf != NULL
					&& strcmp(a->leaf, b->leaf) == 0
					&& a->device == b->device
					&& a->inode == b->inode);
}

static int check_distinct(const struct restore_plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++)
		for (unsigned k = 0; k < i; k++)
			if (same_place(&plan->items[i], &plan->items[k]))
				return fail(-EINVAL,
						"both %s and %s would go to "
						"%s: give --disk TARGET=PATH",
						plan->items[k].file->name,
						plan->items[i].file->name,
						plan->items[i].path);
	return 0;
}

static int look_at(struct restore_item *item)
{
	CLEANUP_RESTORE_PLACE struct restore_place place;
	struct stat st;
	int err = restore_place_open(&place, item->path);
	/* Its directories are made later; what fails then is only a warning. */
	if (err < 0 && item->optional)
		return 0;
	if (err < 0)
		return err;
	item->exists = place.exists;
	item->block_device = place.exists && S_ISBLK(place.st.st_mode);
	item->uid = place.st.st_uid;
	item->gid = place.st.st_gid;
	if (fstat(place.directory, &st) < 0)
		return fail_errno(-errno, "examining %s", item->path);
	item->device = st.st_dev;
	item->inode = st.st_ino;
	item->leaf = take_ptr(place.leaf);
	return item->block_device ? 0 : restore_place_check_file(&place);
}

static int look(struct restore_plan *plan)
{
	int err = 0;
	for (unsigned i = 0; err == 0 && i < plan->count; i++) {
		struct restore_item *item = &plan->items[i];
		err = look_at(item);
		if (item->file->kind == FILE_NVRAM)
			plan->nvram_block = item->block_device;
	}
	return err;
}

int restore_plan_make(struct restore_plan *plan, const struct snapshot *snap,
		const struct domain_xml *xml,
		const struct restore_plan_options *options)
{
	*plan = (struct restore_plan){ .snap = snap };
	plan->name = strdup(options->name != NULL ? options->name : xml->name);
	plan->same_identity = options->name == NULL || options->same_identity;
	int err = plan->name != NULL ? 0
				     : fail_no_memory("restoring the domain");
	for (uint32_t i = 0; err == 0 && i < snap->file_count; i++)
		err = add_file(plan, &snap->files[i], options);
	if (err < 0)
		return err;
	err = check_wishes(plan, options);
	if (err < 0)
		return err;
	err = settle_all(plan, xml, options);
	if (err < 0)
		return err;
	err = look(plan);
	return err < 0 ? err : check_distinct(plan);
}
