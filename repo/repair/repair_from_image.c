/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From a repository with other keys, where the same bytes have other ids: a
 * lost chunk is read at its place in the same file of the same snapshot. A lost
 * node's content follows from the bytes below it: the file is written anew over
 * its own remains, taking over each span whose leaf is whole, and must come out
 * with the same root.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repair_internal.h"

/* --- the same snapshot there --- */

/* One that is damaged gives nothing, and the others may. */
static void pass_over(void *ctx, const char *object, int err)
{
	(void)ctx;
	(void)object;
	(void)err;
}

/* The one of the same name, else the one that is a copy of SNAP, or that SNAP
 * is a copy of. NULL: none. */
static struct snapshot *find_other(struct repair_snapshot *m, const struct snapshot *snap)
{
	struct snapshot *found = NULL;
	struct snapshot_list all;
	if (snapshot_object_load(m->from, snap->object, &found) == 0)
		return found;
	found = NULL;
	if (snapshot_list_load(m->from, snap->source, &all, pass_over,
			    NULL)
			< 0)
		return NULL;
	for (size_t i = 0; found == NULL && i < all.count; i++)
		if (snapshot_object_is_copy(m->to->repo, snap, m->from, all.items[i]))
			found = take_ptr(all.items[i]);
	snapshot_list_clear(&all);
	return found;
}

/* Publishes its roots, so that no prune there takes it from under us. */
static int stand_on_other(struct repair_snapshot *m)
{
	uint32_t count = m->other->file_count;
	struct id *roots = calloc(count + 1, sizeof(*roots));
	if (roots == NULL)
		return fail_errno(-ENOMEM, "mending");
	for (uint32_t i = 0; i < count; i++)
		roots[i] = m->other->files[i].root.id;
	int err = m->reading ? session_add_roots(m->reading, roots, count) : 0;
	if (err < 0)
		free(roots);
	else
		m->roots = roots;
	return err < 0 && !session_unwritable(err) ? err : 0;
}

/* The file's image there, or NULL. */
static int open_other(struct repair_snapshot *m, const struct snapshot *snap,
		const struct snapshot_file *file, struct image **out)
{
	*out = NULL;
	if (m->snap != snap) {
		repair_snapshot_forget_other(m);
		m->snap = snap;
		m->other = find_other(m, snap);
		int err = m->other ? stand_on_other(m) : 0;
		if (err < 0)
			return err;
	}
	const struct snapshot_file *f =
			m->other ? snapshot_find_file(m->other, file->name)
				 : NULL;
	if (f == NULL || f->size != file->size)
		return 0;
	if (image_open(out, m->reader, &f->root, f->size) < 0)
		*out = NULL;
	return 0;
}

/* --- the file anew --- */

struct remains {
	struct image *other;
};

static int read_other(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct remains *s = ctx;
	(void)worker;
	ssize_t n = image_pread(s->other, buf, len, offset);
	return n < 0 ? (int)n : (size_t)n == len ? 0 : -EIO;
}

static int extent_of_other(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct remains *s = ctx;
	(void)worker;
	return image_seek_extent(s->other, offset, limit, hole, end);
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
	const struct remains *s = ctx;
	(void)worker;
	return image_proven(s->other, offset);
}

/* 1 if the tree is the same again, and durable; 0, -errno. ALIKE: leaves that
 * are lost had proofs where the other repository's have, else all had. */
static int write_anew(struct repair_snapshot *m, const struct snapshot_file *file,
		struct image *other, bool alike)
{
	struct remains s = { .other = other };
	const struct image_source source = { .size = file->size,
		.read = read_other, .extent = extent_of_other,
		.same = remains_same, .doubt = true,
		.proven = alike ? proven_there : NULL, .ctx = &s };
	struct image_counts counts = { .done = 0 };
	struct image *own;
	struct tree_root root;
	uint64_t size;
	int err = image_open(&own, m->to->reader, &file->root, file->size);
	if (err < 0)
		return 0;
	err = image_writer_write(m->to->writer, &source, own, &counts, &interrupt_flag,
			&root, &size);
	image_close(own);
	if (err < 0)
		return repair_snapshot_stopped(m) ? err : 0;
	err = repair_snapshot_barrier(m);
	if (err < 0)
		return err;
	m->bytes += counts.read;
	if (!id_equal(&root.id, &file->root.id))
		return 0;
	m->trees++;
	return 1;
}

/* --- chunks --- */

static int take_chunk(struct repair_snapshot *m, struct image *other,
		const struct repair_fault *f, uint8_t *buf)
{
	if (repair_snapshot_has(m, &f->id))
		return 1;
	if (f->len > FRAME_PLAIN_MAX)
		return 0;
	ssize_t n = image_pread(other, buf, f->len, f->offset);
	if (n != (ssize_t)f->len)
		return 0;
	return repair_snapshot_put(m, PACK_DATA, &f->id, buf, (uint32_t)f->len);
}

ssize_t repair_from_image(struct repair_snapshot *m, const struct snapshot *snap,
		const struct snapshot_file *file,
		const struct repair_fault *faults, size_t count)
{
	CLEANUP_FREE uint8_t *buf = malloc(FRAME_PLAIN_MAX);
	struct image *other = NULL;
	bool nodes = false;
	ssize_t mended = 0;
	int err = buf ? open_other(m, snap, file, &other)
		    : fail_errno(-ENOMEM, "mending");
	if (err < 0 || other == NULL)
		return err;
	for (size_t i = 0; i < count; i++)
		nodes = nodes || faults[i].node;
	if (nodes)
		err = write_anew(m, file, other, true);
	if (nodes && err == 0)
		err = write_anew(m, file, other, false);
	if (err == 1)
		mended = (ssize_t)count;
	for (size_t i = 0; err == 0 && i < count; i++) {
		if (!faults[i].node)
			err = take_chunk(m, other, &faults[i], buf);
		mended += err > 0;
		err = err < 0 ? err : 0;
	}
	image_close(other);
	return err < 0 ? err : mended;
}
