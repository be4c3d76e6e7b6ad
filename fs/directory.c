/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading directories. opendir takes a copy of the list of names; readdir's
 * offsets refer to that list, so they stay valid whatever is added or removed.
 */
#include "operations_internal.h"

#include <stdlib.h>

#define DOT_NAMES 2		  /* "." and ".." come first */
#define UNKNOWN_INODE 0xffffffffu /* marks the inode number as unknown */

void directory_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct filesystem *fs = filesystem_of(req);
	struct tree_names *names = NULL;
	struct tree_attr a;
	int err = tree_attr(fs->tree, ino, &a);
	if (err == 0)
		err = tree_list(fs->tree, ino, &names);
	if (err != 0) {
		operations_reply_failure(req, err, NULL);
		return;
	}
	set_opened(fi, names);
	if (a.kind == TREE_SNAPSHOT) {
		fi->cache_readdir = 1;
		fi->keep_cache = 1;
	}
	if (fuse_reply_open(req, fi) != 0)
		tree_names_free(names);
}

void directory_release(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		struct fuse_file_info *fi)
{
	tree_names_free(opened(fi));
	fuse_reply_err(req, 0);
}

static void plain_entry(struct fuse_entry_param *param, uint64_t inode,
		enum tree_kind kind)
{
	*param = (struct fuse_entry_param){ 0 };
	param->attr.st_ino = inode == 0 ? UNKNOWN_INODE : inode;
	param->attr.st_mode = kind == TREE_LATEST ? S_IFLNK
			: kind > TREE_SNAPSHOT	  ? S_IFREG
						  : S_IFDIR;
}

/* The entry at AT. An e.ino of 0 tells readdirplus that attributes are not
 * known (a snapshot whose record has not been read yet) or not wanted
 * (dots). */
static const char *entry_at(struct filesystem *fs,
		const struct tree_names *names, size_t at, bool plus,
		struct fuse_entry_param *param)
{
	struct tree_attr a;
	if (at < DOT_NAMES) {
		plain_entry(param, at == 0 ? names->directory : names->parent,
				TREE_ROOT);
		return at == 0 ? "." : "..";
	}
	const struct tree_name *name = &names->items[at - DOT_NAMES];
	if (plus && name->inode != 0
			&& tree_attr(fs->tree, name->inode, &a) == 0)
		operations_fill_entry(fs, &a, param);
	else
		plain_entry(param, name->inode, name->kind);
	return name->name;
}

static void reply_names(fuse_req_t req, const struct tree_names *names,
		size_t size, off_t off, bool plus)
{
	struct filesystem *fs = filesystem_of(req);
	char *buf = malloc(size);
	size_t used = 0;
	if (buf == NULL) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	for (size_t at = (size_t)off; at < names->count + DOT_NAMES; at++) {
		struct fuse_entry_param e;
		const char *name = entry_at(fs, names, at, plus, &e);
		size_t room = size - used, need;
		off_t next = (off_t)at + 1;
		if (plus)
			need = fuse_add_direntry_plus(req, buf + used, room,
					name, &e, next);
		else
			need = fuse_add_direntry(req, buf + used, room, name,
					&e.attr, next);
		if (need > room)
			break;
		used += need;
	}
	fuse_reply_buf(req, buf, used);
	free(buf);
}

void directory_read(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_names(req, opened(fi), size, off, false);
}

void directory_read_plus(fuse_req_t req, fuse_ino_t ino __attribute__((unused)),
		size_t size, off_t off, struct fuse_file_info *fi)
{
	reply_names(req, opened(fi), size, off, true);
}
