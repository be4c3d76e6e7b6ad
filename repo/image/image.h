/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading an image: the FUSE-free core that the mount, restore, verify and the
 * tests share. Offsets and lengths are bytes.
 *
 * Errors: -EBADMSG damaged (all copies tried; the text and report name pack
 * and frame), -ENOENT a chunk is nowhere, -EIO, -ENOMEM. Wrong bytes never.
 * Threading: all calls on one image may run at once.
 */
#ifndef AMBERFS_IMAGE_IMAGE_H
#define AMBERFS_IMAGE_IMAGE_H

#include <sys/types.h>
#include <sys/uio.h>

#include "node_cache.h"
#include "repo/base/pool.h"
#include "repo/format/snapshot.h"

/* What images of one process share: decoded frames, decoded nodes, threads
 * that decode ahead. */
struct image_reader;

struct image_reader_options {
	uint64_t cache_size; /* decoded frames, bytes */
	unsigned threads;    /* that decode ahead; 0: none */
};
int image_reader_new(struct image_reader **out, struct pack_cache *packs,
		const struct image_reader_options *options);
void image_reader_free(struct image_reader *reader);
/* For writers: whether anything is recorded as damaged; whether an undamaged,
 * uncondemned copy of this data chunk is stored. */
bool image_reader_any_damaged(const struct image_reader *reader);
bool image_reader_chunk_stored(struct image_reader *reader,
		const struct id *id);

struct image;

/* Cheap: reads nothing. ROOT and SIZE come from a snapshot file. */
int image_open(struct image **out, struct image_reader *reader,
		const struct tree_root *root, uint64_t size);
void image_close(struct image *image); /* NULL allowed */
uint64_t image_size(const struct image *image);

/* Like pread(2): short only at the end of the image. */
ssize_t image_pread(struct image *image, void *buf, size_t len,
		uint64_t offset);

/*
 * The same without copying: fills at most *COUNT iovecs that together hold
 * LEN bytes (less at the end of the image) and point into pinned frames and a
 * page of zeros. Returns bytes; release with image_unpin. PINS has room for
 * *COUNT. -E2BIG: more iovecs would be needed; use image_pread.
 */
struct image_iov {
	struct iovec *iov;
	struct frame **pins;
	int room;   /* of both arrays */
	int count;  /* iovecs used */
	int pinned; /* pins used */
};
ssize_t image_read_iov(struct image *image, struct image_iov *iov, size_t len,
		uint64_t offset);
void image_unpin(struct image_iov *iov);

/* Next data (or hole) at or after OFFSET as lseek(2) defines it: SEEK_HOLE's
 * answer is at most the size; -ENXIO where lseek says so. WHENCE is SEEK_DATA
 * or SEEK_HOLE. */
off_t image_seek(struct image *image, off_t offset, int whence);

/* Asks the threads to decode what [offset, offset+len) needs, until their queue
 * is full; returns at once with the end of what was asked for. */
uint64_t image_prefetch(struct image *image, uint64_t offset, uint64_t len);

/* Sequential reading is recognised per handle: call for each read with the
 * handle's state (zeroed at first); prefetches by itself. Callers serialise
 * calls with one state or accept that it is a hint only. */
struct image_sequence {
	_Atomic uint64_t next, window, ahead;
};
void image_prefetch_note_read(struct image *image,
		struct image_sequence *sequence, uint64_t offset, uint64_t len);

/* Visiting all leaves that are not all hole, in order (verify, repair). Each
 * function but enter, which does so with a negative value, returns non-zero to
 * stop; image_seek_walk returns that value. */
struct image_walker {
	int (*leaf)(void *ctx, uint64_t offset, const struct leaf *leaf);
	/* A node that can't be read and the range it covers. NULL: stop. */
	int (*error)(void *ctx, uint64_t offset, uint64_t len, int err);
	/* Before a leaf or node of LEVEL for the range: 1 to pass over it and
	 * all below, 0 to visit. NULL: visit all. */
	int (*enter)(void *ctx, const struct node_child *at, uint8_t level,
			uint64_t offset, uint64_t len);
	/* After it and all below, where it was entered. May be NULL. */
	void (*leave)(void *ctx, const struct node_child *at, uint8_t level,
			uint64_t len);
	void *ctx;
};
int image_seek_walk(struct image *image, const struct image_walker *walker);

/* What the tree says of span SPAN (a zero id: all hole), without reading its
 * leaf. */
int image_child(struct image *image, uint64_t span, struct node_child *child);

/* The same of the node of LEVEL that SPAN is below; LEVEL is at most the
 * root's. */
int image_child_at(struct image *image, uint64_t span, uint8_t level,
		struct node_child *child);

/* An image_source's EXTENT: what is at OFFSET and how far that goes, at most
 * to LIMIT. Looks at one leaf at most; asked at the start of a span about more
 * than that span, at none: it then may call data what has holes. */
int image_seek_extent(struct image *image, uint64_t offset, uint64_t limit,
		bool *hole, uint64_t *end);

/* An image_source's SAME: what part of I, from OFFSET up to LIMIT, is known
 * from the trees to equal BASE, an image of the same repository. In a span that
 * differs and whose leaf in I has a proof, nothing is: so whoever copies I
 * reads all of it and can make a proof as well. */
int image_compare(struct image *image, struct image *base, uint64_t offset,
		uint64_t limit, bool *same, uint64_t *end);

/* Whether the leaf over OFFSET has a proof: 1, 0 (or no leaf), -errno. */
int image_proven(struct image *image, uint64_t offset);

/* The range around OFFSET (below the size) that can be read as a whole: a chunk
 * or a hole. Or, with the error, the one that is lost with a leaf or node that
 * can't be read, and NODE (may be NULL), the id of that. */
int image_seek_piece(struct image *image, uint64_t offset, uint64_t *from,
		uint64_t *to, struct id *node);

/* The leaf over span SPAN, counted, or NULL for an all-hole span; CHILD (may be
 * NULL) gets its entry in the tree. node_cache_release. */
int image_leaf(struct image *image, uint64_t span, struct cached_node **out,
		struct node_child *child);

/* The first span at or after SPAN that is not all hole, or the number of
 * spans. */
int image_seek_data_span(struct image *image, uint64_t span, uint64_t *out);

#endif
