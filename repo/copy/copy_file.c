/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One file: an image of the first repository as the source of one in the
 * second. What equals the base in the first repository, as the trees tell, is
 * taken over from the second's base; equal roots take over the whole file.
 */
#include <errno.h>
#include <string.h>

#include "copy.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"

struct source {
	struct image *image; /* what is copied */
	struct image *base;  /* the same file of the base, in FROM; or NULL */
	struct copy_memo *memo;
	_Atomic uint64_t read; /* bytes */
	uint64_t read_max;
};

static int read_image(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct source *source = ctx;
	(void)worker;
	source->read += len;
	if (source->read > source->read_max)
		return fail(-EBADMSG,
				"it holds more data than its snapshot says");
	ssize_t n = image_pread(source->image, buf, len, offset);
	if (n < 0)
		return fail_within((int)n, "at byte %llu",
				(unsigned long long)offset);
	return (size_t)n == len ? 0 : fail(-EIO, "an image is truncated");
}

static int extent(void *ctx, unsigned worker, uint64_t offset, uint64_t limit,
		bool *hole, uint64_t *end)
{
	struct source *source = ctx;
	(void)worker;
	int err = image_seek_extent(source->image, offset, limit, hole, end);
	return err < 0 ? fail_within(err, "at byte %llu",
			       (unsigned long long)offset)
		       : 0;
}

/* A base that can't be read only means more reading. */
static int same(void *ctx, unsigned worker, uint64_t offset, uint64_t limit,
		bool *same, uint64_t *end)
{
	struct source *source = ctx;
	(void)worker;
	if (source->base == NULL
			|| image_compare(source->image, source->base, offset,
					   limit, same, end)
					< 0) {
		*same = false;
		*end = limit;
	}
	return 0;
}

/* The copy's leaves have proofs where the original's have: so each tree can be
 * made again from the other. */
static int proven(void *ctx, unsigned worker, uint64_t offset)
{
	struct source *source = ctx;
	(void)worker;
	return image_proven(source->image, offset);
}

/* A part of a tree that occurs again is the same there. */
static bool known(void *ctx, uint8_t level, uint64_t first,
		struct node_child *child)
{
	struct source *source = ctx;
	struct node_child from;
	return image_child_at(source->image, first, level, &from) == 0
			&& copy_memo_get(source->memo, level, &from, child);
}

static void made(void *ctx, uint8_t level, uint64_t first,
		const struct node_child *child)
{
	struct source *source = ctx;
	struct node_child from;
	if (image_child_at(source->image, first, level, &from) == 0
			&& !id_is_zero(&from.id))
		copy_memo_put(source->memo, level, &from, child);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The base's file of that name, else the one of the same thing. */
static const struct snapshot_file *base_file(const struct snapshot *base,
		const struct snapshot_file *f)
{
	const struct snapshot_file *named = snapshot_find_file(base, f->name);
	if (named != NULL && named->kind == f->kind)
		return named;
	for (uint32_t i = 0; i < base->file_count; i++) {
		const struct snapshot_file *k = &base->files[i];
		if (k->kind == f->kind && same_text(k->target, f->target)
				&& same_text(k->source_path, f->source_path))
			return k;
	}
	return NULL;
}

/* The base's file in both repositories, alike as far as can be seen. */
static bool find_base_files(const struct copy_base *base,
		const struct snapshot_file *file,
		const struct snapshot_file **from,
		const struct snapshot_file **to)
{
	if (base->from == NULL)
		return false;
	*from = base_file(base->from, file);
	*to = *from != NULL ? snapshot_find_file(base->to, (*from)->name)
			    : NULL;
	return *to != NULL && (*to)->size == (*from)->size
			&& (*to)->root.data_bytes == (*from)->root.data_bytes
			&& (*to)->root.clusters == (*from)->root.clusters;
}

static int write_image(struct copy *copy, const struct snapshot_file *file,
		struct source *s, struct image *base, struct tree_root *root)
{
	const struct image_source source = { .size = file->size,
		.read = read_image,
		.extent = extent,
		.same = same,
		.proven = proven,
		.known = known,
		.made = made,
		.ctx = s };
	uint64_t size;
	copy->counts = (struct image_counts){ .done = 0 };
	copy->file_size = file->size;
	copy_memo_clear(copy->memo);
	report_progress_begin(file->name, copy_progress, copy);
	int err = image_writer_write(copy->to.writer, &source, base,
			&copy->counts, &interrupt_flag, root, &size);
	report_progress_end();
	copy->read += copy->counts.read;
	copy->all_done += copy->counts.done;
	copy->counts.done = 0;
	return err;
}

int copy_file(struct copy *copy, const struct snapshot_file *file,
		const struct copy_base *base, struct tree_root *root)
{
	const struct snapshot_file *from = NULL, *to = NULL;
	struct source s = { .memo = copy->memo,
		.read_max = 2 * file->root.data_bytes + 2 * SPAN_SIZE };
	struct image *base_there = NULL;
	bool based = find_base_files(base, file, &from, &to);
	if (based && id_equal(&from->root.id, &file->root.id)
			&& from->size == file->size
			&& snapshot_writer_is_whole(&copy->to, &to->root,
					to->size)) {
		report_verbose("%s: unchanged", file->name);
		copy->all_done += file->size;
		*root = to->root;
		return 0;
	}
	int err = image_open(&s.image, copy->reader, &file->root, file->size);
	if (err < 0)
		return err;
	if (based
			&& image_open(&s.base, copy->reader, &from->root,
					   from->size)
					< 0)
		s.base = NULL;
	if (based
			&& image_open(&base_there, copy->to.reader, &to->root,
					   to->size)
					< 0)
		base_there = NULL;
	err = write_image(copy, file, &s, base_there, root);
	image_close(base_there);
	image_close(s.base);
	image_close(s.image);
	return err;
}
