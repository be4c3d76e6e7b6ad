/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a repository with other keys, where the same bytes have other ids: a
 * lost chunk is read at its place in the same file of the same snapshot. A lost
 * node's content follows from the bytes below it: the file is rewritten over
 * its own remains, taking over each span whose leaf is whole, and must come out
 * with the same root.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repair_internal.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_object.h"

/* --- the same snapshot there --- */

/* A damaged one is of no use, but others may be. */
static void pass_over(void *ctx, const char *object, int err)
{
	(void)ctx;
	(void)object;
	(void)err;
}

/* The one of the same name, else the one that is a copy of SNAP, or that SNAP
 * is a copy of. NULL: none. */
static struct snapshot *find_other(struct repair_snapshot *repair,
		const struct snapshot *snap)
{
	struct snapshot *found = NULL;
	struct snapshot_list all;
	if (snapshot_object_load(repair->from, snap->object, &found) == 0)
		return found;
	found = NULL;
	if (snapshot_list_load(repair->from, snap->source, &all, pass_over,
			    NULL)
			< 0)
		return NULL;
	for (size_t i = 0; found == NULL && i < all.count; i++)
		if (snapshot_object_is_copy(repair->to->repo, snap,
				    repair->from, all.items[i]))
			found = take_ptr(all.items[i]);
	snapshot_list_clear(&all);
	return found;
}

/* Publishes its roots, so that no prune there deletes it while it is read. */
static int stand_on_other(struct repair_snapshot *repair)
{
	uint32_t count = repair->other->file_count;
	struct id *roots = calloc(count + 1, sizeof(*roots));
	if (roots == NULL)
		return fail_no_memory("repairing");
	for (uint32_t i = 0; i < count; i++)
		roots[i] = repair->other->files[i].root.id;
	int err = repair->reading != NULL
			? session_add_roots(repair->reading, roots, count)
			: 0;
	if (err < 0)
		free(roots);
	else
		repair->roots = roots;
	return err < 0 && !session_unwritable(err) ? err : 0;
}

/* The file's image there, or NULL. */
static int open_other(struct repair_snapshot *repair,
		const struct snapshot *snap, const struct snapshot_file *file,
		struct image **out)
{
	*out = NULL;
	if (repair->snap != snap) {
		repair_snapshot_forget_other(repair);
		repair->snap = snap;
		repair->other = find_other(repair, snap);
		int err = repair->other != NULL ? stand_on_other(repair) : 0;
		if (err < 0)
			return err;
	}
	const struct snapshot_file *f = repair->other != NULL
			? snapshot_find_file(repair->other, file->name)
			: NULL;
	if (f == NULL || f->size != file->size)
		return 0;
	if (image_open(out, repair->reader, &f->root, f->size) < 0)
		*out = NULL;
	return 0;
}

/* --- rewriting the file --- */

struct remains {
	struct image *other;
};

static int read_other(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct remains *remains = ctx;
	(void)worker;
	ssize_t n = image_pread(remains->other, buf, len, offset);
	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EIO;
}

static int extent_of_other(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct remains *remains = ctx;
	(void)worker;
	return image_seek_extent(remains->other, offset, limit, hole, end);
}

/* A span whose leaf can still be read is what that says. */
static int remains_same(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end)
{
	(void)ctx;
	(void)worker;
	(void)offset;
	*same = true;
	*end = limit;
	return 0;
}

/* What is copied has proofs where its original has. */
static int proven_there(void *ctx, unsigned worker, uint64_t offset)
{
	const struct remains *remains = ctx;
	(void)worker;
	return image_proven(remains->other, offset);
}

/* 1 if the tree is the same again, and durable; 0, -errno. ALIKE: leaves that
 * are lost had proofs where the other repository's have, else all had. */
static int write_anew(struct repair_snapshot *repair,
		const struct snapshot_file *file, struct image *other,
		bool alike)
{
	struct remains s = { .other = other };
	const struct image_source source = { .size = file->size,
		.read = read_other,
		.extent = extent_of_other,
		.same = remains_same,
		.doubt = true,
		.proven = alike ? proven_there : NULL,
		.ctx = &s };
	struct image_counts counts = { .done = 0 };
	struct image *own;
	struct tree_root root;
	uint64_t size;
	int err = image_open(&own, repair->to->reader, &file->root, file->size);
	if (err < 0)
		return 0;
	err = image_writer_write(repair->to->writer, &source, own, &counts,
			&interrupt_flag, &root, &size);
	image_close(own);
	if (err < 0)
		return repair_snapshot_stopped(repair) ? err : 0;
	err = repair_snapshot_barrier(repair);
	if (err < 0)
		return err;
	repair->bytes += counts.read;
	if (!id_equal(&root.id, &file->root.id))
		return 0;
	repair->trees++;
	return 1;
}

/* --- chunks --- */

static int take_chunk(struct repair_snapshot *repair, struct image *other,
		const struct repair_fault *fault, uint8_t *buf)
{
	if (repair_snapshot_has(repair, &fault->id))
		return 1;
	if (fault->len > FRAME_PLAIN_MAX)
		return 0;
	ssize_t n = image_pread(other, buf, fault->len, fault->offset);
	if (n != (ssize_t)fault->len)
		return 0;
	return repair_snapshot_put(repair, PACK_DATA, &fault->id, buf,
			(uint32_t)fault->len);
}

ssize_t repair_from_image(struct repair_snapshot *repair,
		const struct snapshot *snap, const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count)
{
	CLEANUP_FREE uint8_t *buf = malloc(FRAME_PLAIN_MAX);
	struct image *other = NULL;
	bool nodes = false;
	ssize_t mended = 0;
	int err = buf != NULL ? open_other(repair, snap, file, &other)
			      : fail_no_memory("repairing");
	if (err < 0 || other == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		nodes = nodes || faults[i].node;
	if (nodes)
		err = write_anew(repair, file, other, true);
	if (nodes && err == 0)
		err = write_anew(repair, file, other, false);
	if (err == 1)
		mended = (ssize_t)count;
	for (size_t i = 0; err == 0 && i < count; i++) {
		if (!faults[i].node)
			err = take_chunk(repair, other, &faults[i], buf);
		mended += err > 0;
		err = err < 0 ? err : 0;
	}
	image_close(other);
	return err < 0 ? err : mended;
}
