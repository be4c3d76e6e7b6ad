/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Backing chains. Each file is described to qemu-img and qemu-nbd as a JSON
 * block node that names its driver, so no format is probed, and a name with
 * colons, commas or a leading dash is never taken for anything else.
 */
#include "chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backing_name.h"
#include "child.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/error.h"
#include "repo/format/name.h"

#define INFO_MAX ((size_t)4 << 20)
#define PARTS_MAX 4096u
#define SHOWN_MAX 512

struct format {
	const char *name;
	bool has_backing; /* its header can name a file below it */
	bool needs_key;	  /* nothing can be read without its secret */
};

/* The formats of local files that both libvirt and qemu know. */
static const struct format formats[] = {
	{ "raw", false, false },
	{ "qcow2", true, false },
	{ "qcow", true, false },
	{ "qed", true, false },
	{ "vmdk", true, false },
	{ "vdi", false, false },
	{ "vhdx", false, false },
	{ "vpc", false, false },
	{ "parallels", false, false },
	{ "bochs", false, false },
	{ "cloop", false, false },
	{ "dmg", false, false },
	{ "luks", false, true },
};

static const struct format *find_format(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

static bool is_raw(const struct chain_file *file)
{
	return strcmp(file->format, "raw") == 0;
}

/* --- block nodes --- */

/* Shares everything: a guest that starts must not find its disk locked. */
static int node_common(json_t *node, const char *driver, bool direct)
{
	int bad = json_object_set_new(node, "driver", json_string(driver));
	bad |= json_object_set_new(node, "read-only", json_true());
	bad |= json_object_set_new(node, "force-share", json_true());
	if (direct)
		bad |= json_object_set_new(node, "cache",
				json_pack("{s:b}", "direct", 1));
	return bad;
}

static json_t *file_node(const struct chain_file *file, bool direct)
{
	json_t *node = json_object();
	int bad = node_common(node, file->block_device ? "host_device" : "file",
			direct);
	bad |= json_object_set_new(node, "filename", json_string(file->path));
	if (!bad)
		return node;
	json_decref(node);
	return NULL;
}

/* The slice of a file is a raw node over it; a raw image can be that node. */
static json_t *slice_node(const struct chain_file *file, bool direct)
{
	json_t *node = json_object();
	int bad = node_common(node, "raw", direct);
	if (file->sliced) {
		bad |= json_object_set_new(node, "offset",
				json_integer((json_int_t)file->slice_offset));
		bad |= json_object_set_new(node, "size",
				json_integer((json_int_t)file->slice_size));
	}
	bad |= json_object_set_new(node, "file", file_node(file, direct));
	if (!bad)
		return node;
	json_decref(node);
	return NULL;
}

/* One level, without its backing file. */
static json_t *image_node(const struct chain_file *file, bool direct)
{
	json_t *node;
	int bad;
	if (is_raw(file))
		return slice_node(file, direct);
	node = json_object();
	bad = node_common(node, file->format, direct);
	bad |= json_object_set_new(node, "file",
			file->sliced ? slice_node(file, direct)
				     : file_node(file, direct));
	if (!bad)
		return node;
	json_decref(node);
	return NULL;
}

char *chain_blockdev(const struct chain *chain, bool direct)
{
	json_t *below = NULL;
	char *text;
	for (unsigned i = chain->count; i-- > 0;) {
		const struct chain_file *file = &chain->files[i];
		const struct format *format = find_format(file->format);
		json_t *node = image_node(file, direct);
		int bad = node == NULL;
		/* null: no backing file that the header may name is opened */
		if (node != NULL && below != NULL)
			bad = json_object_set_new(node, "backing", below);
		else if (node != NULL && format != NULL && format->has_backing)
			bad = json_object_set_new(node, "backing", json_null());
		else
			json_decref(below);
		if (bad) {
			json_decref(node);
			return NULL;
		}
		below = node;
	}
	text = below != NULL ? json_dumps(below, JSON_COMPACT | JSON_SORT_KEYS)
			     : NULL;
	json_decref(below);
	return text;
}

char *chain_reading(const struct chain *chain)
{
	return chain_blockdev(chain, false);
}

/* --- what is on the disk --- */

/* From sysfs: opening the device would need permission and may load a
 * medium. */
static uint64_t size_of_device(dev_t device)
{
	char path[64], text[32];
	CLEANUP_FD int fd = -1;
	ssize_t n;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", major(device),
			minor(device));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return strtoull(text, NULL, 10) * 512;
}

static int look_at(struct chain_file *file)
{
	char shown[SHOWN_MAX];
	struct stat st;
	name_display(shown, sizeof(shown), file->path);
	if (file->path[0] != '/')
		return fail(-ENOTSUP, "%s is not an absolute path", shown);
	if (stat(file->path, &st) < 0)
		return errno == ENOENT ? fail(-ENOENT, "%s is missing", shown)
				       : fail_errno(-errno, "%s", shown);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return device_fail_kind(-ENOTSUP, shown);
	file->seen = true;
	file->block_device = S_ISBLK(st.st_mode);
	file->device = st.st_dev;
	file->inode = st.st_ino;
	file->size = file->block_device ? size_of_device(st.st_rdev)
					: (uint64_t)st.st_size;
	file->allocated = file->block_device ? file->size
					     : (uint64_t)st.st_blocks * 512;
	file->virtual_size = file->sliced ? file->slice_size : file->size;
	if (file->block_device && file->size == 0)
		return fail(-ENXIO,
				"%s is a block device of size 0 (is its medium "
				"missing?)",
				shown);
	if (file->sliced
			&& (file->slice_offset > file->size
					|| file->slice_size
							> file->size - file->slice_offset))
		return fail(-EINVAL,
				"%s is shorter than the slice of it that the "
				"disk uses",
				shown);
	if (faccessat(AT_FDCWD, file->path, R_OK, AT_EACCESS) < 0)
		return fail(-EACCES,
				"this user may not read %s; run amberfs as "
				"root",
				shown);
	return 0;
}

char *chain_file_node(const struct chain_file *file)
{
	json_t *image = image_node(file, false);
	CLEANUP_FREE char *node =
			image != NULL ? json_dumps(image, JSON_COMPACT) : NULL;
	char *name;
	json_decref(image);
	if (node == NULL || asprintf(&name, "json:%s", node) < 0)
		return NULL;
	return name;
}

static int ask_qemu_img(struct chain_file *file)
{
	CLEANUP_FREE char *name = chain_file_node(file);
	CLEANUP_FREE char *text = NULL;
	char *argv[] = { (char *)"qemu-img", (char *)"info",
		(char *)"--output=json", (char *)"--force-share", NULL, NULL };
	int err;
	if (name == NULL)
		return fail(-ENOTSUP,
				"its name is not UTF-8, as qemu requires");
	argv[4] = name;
	err = child_run(argv, INFO_MAX, &text);
	if (err != 0)
		return err;
	file->info = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(file->info))
		return fail(-EIO, "cannot parse the output of qemu-img");
	return 0;
}

static const char *info_text(const struct chain_file *file, const char *key)
{
	return json_string_value(json_object_get(file->info, key));
}

static json_t *info_specific(const struct chain_file *file, const char *key)
{
	json_t *specific = json_object_get(file->info, "format-specific");
	return json_object_get(json_object_get(specific, "data"), key);
}

static uint64_t allocated_of(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* A VMDK may be a list of further files. */
static int read_parts(struct chain_file *file)
{
	json_t *extents = info_specific(file, "extents");
	size_t n = json_array_size(extents), parts = 0;
	if (n == 0)
		return 0;
	if (n > PARTS_MAX)
		return fail(-ENOTSUP, "an image of more than %u files",
				PARTS_MAX);
	file->parts = calloc(n + 1, sizeof(*file->parts));
	if (file->parts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *name = json_string_value(
				json_object_get(json_array_get(extents, i),
						"filename"));
		if (name == NULL || strcmp(name, file->path) == 0)
			continue;
		file->parts[parts] = backing_name_beside(file->path, name);
		if (file->parts[parts] == NULL)
			return -ENOMEM;
		file->allocated += allocated_of(file->parts[parts++]);
	}
	return 0;
}

static int read_info(struct chain_file *file)
{
	char shown[SHOWN_MAX];
	int err = ask_qemu_img(file);
	name_display(shown, sizeof(shown), file->path);
	if (err != 0)
		return err == -ENOMEM ? err : fail_within(err, "%s", shown);
	if (is_raw(file))
		return 0; /* its size is known exactly */
	file->virtual_size = (uint64_t)json_integer_value(
			json_object_get(file->info, "virtual-size"));
	if (json_is_true(json_object_get(file->info, "encrypted")))
		file->encrypted = true;
	if (info_specific(file, "data-file") != NULL)
		return fail(-ENOTSUP,
				"%s has an external data file (data_file), "
				"which amberfs does not support; use qemu-img "
				"convert to make it one file",
				shown);
	return read_parts(file);
}

/* --- from one level to the next --- */

/* Where a source's bytes are on this host. */
static int source_path(const struct disk_source *source,
		struct connection *conn, char **path)
{
	struct volume_facts v;
	int err;
	if (source->type == SOURCE_FILE || source->type == SOURCE_BLOCK) {
		*path = strdup(source->path != NULL ? source->path : "");
		return *path != NULL ? 0 : -ENOMEM;
	}
	if (source->type != SOURCE_VOLUME || source->pool == NULL
			|| source->volume == NULL)
		return fail(-ENOTSUP,
				"its source (type %s) is not a file or block "
				"device on this host",
				domain_xml_source_name(source->type));
	if (conn == NULL)
		return fail(-ENOTSUP, "its storage pool is unknown");
	err = connection_volume(conn, source->pool, source->volume, &v);
	if (err != 0)
		return err;
	if (!v.local) {
		free(v.path);
		return fail(-ENOTSUP,
				"its volume is not a file or block device on "
				"this host");
	}
	*path = v.path;
	return 0;
}

/* The backing file recorded in FILE's header; OUT->path NULL: none. */
static int header_backing(const struct chain_file *file,
		struct backing_name *out)
{
	const char *name = info_text(file, "backing-filename");
	char shown[SHOWN_MAX], below[SHOWN_MAX];
	if (name == NULL || !*name)
		return 0;
	int err = backing_name_parse(out, name, file->path);
	if (err != -ENOTSUP)
		return err;
	name_display(shown, sizeof(shown), file->path);
	name_display(below, sizeof(below), name);
	return fail(-ENOTSUP,
			"the backing file of %s is given as %s, which is not a "
			"file on this host that amberfs can find; %s",
			shown, below,
			strcmp(file->format, "qcow2") == 0
					? "record a plain path with qemu-img "
					  "rebase -u -f qcow2 -F FORMAT -b PATH"
					: "name it in the domain's definition, "
					  "in the disk's <backingStore>");
}

/* Only a qcow2 header has room for the format. */
static int no_format(const struct chain_file *file, const char *path)
{
	char shown[SHOWN_MAX], below[SHOWN_MAX];
	name_display(shown, sizeof(shown), file->path);
	name_display(below, sizeof(below), path);
	if (strcmp(file->format, "qcow2") == 0)
		return fail(-ENOTSUP,
				"%s does not record the format of its backing "
				"file %s, and probing it is not safe; record "
				"it with qemu-img rebase -u -f qcow2 -F FORMAT "
				"-b BACKING IMAGE",
				shown, below);
	return fail(-ENOTSUP,
			"%s does not record the format of its backing file %s, "
			"as no %s image does, and probing it is not safe; give "
			"it in the domain's definition, in the disk's "
			"<backingStore>, or convert the image to qcow2",
			shown, below, file->format);
}

/* What the domain's definition says. */
static int source_backing(const struct disk_source *source,
		struct connection *conn, struct backing_name *out)
{
	int err = source_path(source, conn, &out->path);
	if (err != 0)
		return err;
	out->sliced = source->sliced;
	out->slice_offset = source->slice_offset;
	out->slice_size = source->slice_size;
	if (source->format == NULL)
		return 0;
	out->format = strdup(source->format);
	return out->format != NULL ? 0 : -ENOMEM;
}

/*
 * The backing file of FILE (path NULL: none) and its format. The domain's
 * definition takes precedence over the header, as in libvirt.
 */
static int find_below(const struct chain_file *file,
		const struct disk_source *source, struct connection *conn,
		struct backing_name *out)
{
	const struct disk_source *below =
			source != NULL ? source->backing : NULL;
	*out = (struct backing_name){ .path = NULL };
	if ((source != NULL && source->ends)
			|| !find_format(file->format)->has_backing)
		return 0;
	int err = below != NULL ? source_backing(below, conn, out)
				: header_backing(file, out);
	if (err != 0 || out->path == NULL || out->format != NULL)
		return err;
	const char *format = info_text(file, "backing-filename-format");
	if (format == NULL)
		return no_format(file, out->path);
	out->format = strdup(format);
	return out->format != NULL ? 0 : -ENOMEM;
}

static int check_loop(const struct chain *chain, const struct chain_file *file)
{
	char shown[SHOWN_MAX];
	for (unsigned i = 0; i + 1 < chain->count; i++)
		if (chain->files[i].device == file->device
				&& chain->files[i].inode == file->inode) {
			name_display(shown, sizeof(shown), file->path);
			return fail(-ELOOP,
					"the backing chain contains %s twice",
					shown);
		}
	return 0;
}

/* Appends what NAME stands for, whose path and format it takes. NULL without
 * memory. */
static struct chain_file *add_file(struct chain *chain,
		struct backing_name *name)
{
	struct chain_file *files = reallocarray(chain->files,
			chain->count + (size_t)1, sizeof(*files));
	if (files == NULL)
		return NULL;
	chain->files = files;
	struct chain_file *file = &files[chain->count++];
	*file = (struct chain_file){ .path = take_ptr(name->path),
		.format = take_ptr(name->format),
		.sliced = name->sliced,
		.slice_offset = name->slice_offset,
		.slice_size = name->slice_size };
	return file;
}

static int inspect(struct chain *chain, struct chain_file *file,
		const struct disk_source *source, unsigned flags)
{
	char shown[SHOWN_MAX];
	int err;
	if (source != NULL)
		file->encrypted = source->encrypted;
	err = look_at(file);
	if (err != 0)
		return err;
	if (find_format(file->format) == NULL) {
		name_display(shown, sizeof(shown), file->format);
		return fail(-ENOTSUP, "images of format %s are not supported",
				shown);
	}
	if (find_format(file->format)->needs_key)
		file->encrypted = true;
	err = check_loop(chain, file);
	if (err != 0)
		return err;
	if (!is_raw(file) || !(flags & CHAIN_NO_RAW_INFO))
		err = read_info(file);
	file->understood = err == 0;
	return err;
}

int chain_resolve(struct chain *chain, const struct disk_source *source,
		struct connection *conn, unsigned flags)
{
	const struct disk_source *s = source;
	struct backing_name next = { .path = NULL };
	*chain = (struct chain){ .count = 0 };
	int err = source_backing(source, conn, &next);
	if (err == 0 && next.format == NULL) {
		next.format = strdup("raw");
		err = next.format != NULL ? 0 : -ENOMEM;
	}
	while (err == 0 && next.path != NULL
			&& chain->count < CHAIN_FILES_MAX) {
		struct chain_file *file = add_file(chain, &next);
		err = file != NULL ? inspect(chain, file, s, flags) : -ENOMEM;
		if (err == 0)
			err = find_below(file, s, conn, &next);
		s = s != NULL ? s->backing : NULL;
	}
	if (err == 0 && next.path != NULL)
		err = fail(-ELOOP, "a backing chain of more than %u files",
				CHAIN_FILES_MAX);
	backing_name_clear(&next);
	return err;
}

void chain_clear(struct chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++) {
		struct chain_file *file = &chain->files[i];
		free(file->path);
		free(file->format);
		json_decref(file->info);
		for (char **p = file->parts; p != NULL && *p != NULL; p++)
			free(*p);
		free(file->parts);
	}
	free(chain->files);
	memset(chain, 0, sizeof(*chain));
}

uint32_t chain_file_count(const struct chain *chain)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < chain->count; i++) {
		n++;
		for (char **p = chain->files[i].parts; p != NULL && *p != NULL;
				p++)
			n++;
	}
	return n;
}

bool chain_is_plain(const struct chain *chain)
{
	return chain->count == 1 && is_raw(&chain->files[0])
			&& !chain->files[0].sliced
			&& !chain->files[0].encrypted;
}

static bool allows_direct(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return fd >= 0;
}

bool chain_allows_direct(const struct chain *chain)
{
	for (unsigned i = 0; i < chain->count; i++) {
		const struct chain_file *file = &chain->files[i];
		if (!allows_direct(file->path))
			return false;
		for (char **p = file->parts; p != NULL && *p != NULL; p++)
			if (!allows_direct(*p))
				return false;
	}
	return chain->count > 0;
}
