/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the qcow2 view of an image is what the specification asks
 * for (read here by a reader of its own: header, tables, refcounts, content),
 * whatever the size and wherever the data is; each part of it read by itself is
 * that part of the whole; its map of holes is right; opening it reads nothing;
 * and a tree whose counts are false gives an error, never a wrong table. */
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/image/image_view.h"
#include "repo/image/qcow2_copy.h"
#include "repo/image/qcow2_layout.h"

#include <endian.h>
#include <string.h>

#include "image_fixture.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)
#define PIECES_MAX 40
#define COPIED (UINT64_C(1) << 63)

/* --- disks of zeros with pieces of data --- */

struct disk {
	uint64_t size;
	int count;
	struct {
		uint64_t at, len;
	} pieces[PIECES_MAX]; /* ascending */
};

static uint8_t byte_at(uint64_t at)
{
	uint64_t x = at / 512 * UINT64_C(0x9e3779b97f4a7c15) + at % 512;
	return (uint8_t)((x >> 7) % 255 + 1); /* no zero in data */
}

static int disk_read(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct disk *disk = ctx;
	uint8_t *to = buf;
	(void)worker;
	memset(buf, 0, len);
	for (int k = 0; k < disk->count; k++) {
		uint64_t from = max_u64(disk->pieces[k].at, offset);
		uint64_t end = min_u64(disk->pieces[k].at + disk->pieces[k].len,
				offset + len);
		for (uint64_t at = from; at < end; at++)
			to[at - offset] = byte_at(at);
	}
	return 0;
}

static int disk_extent(void *ctx, unsigned worker, uint64_t offset,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct disk *disk = ctx;
	(void)worker;
	*hole = true;
	*end = limit;
	for (int k = disk->count; k-- > 0;) {
		uint64_t from = disk->pieces[k].at;
		uint64_t to = from + disk->pieces[k].len;
		if (offset >= from && offset < to) {
			*hole = false;
			*end = min_u64(to, limit);
		} else if (from > offset && from < *end) {
			*end = from;
		}
	}
	return 0;
}

static void add(struct disk *disk, uint64_t at, uint64_t len)
{
	assert_true(disk->count < PIECES_MAX && at + len <= disk->size);
	disk->pieces[disk->count].at = at;
	disk->pieces[disk->count++].len = len;
}

static void store(struct fixture *f, struct disk *disk, struct tree_root *root)
{
	struct image_source s = { .size = disk->size,
		.read = disk_read,
		.extent = disk_extent,
		.ctx = disk };
	struct image_counts counts = { .done = 0 };
	uint64_t size;
	assert_int_equal(image_writer_write(f->writer, &s, NULL, &counts, NULL,
					 root, &size),
			0);
	assert_int_equal(image_writer_flush(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, true), 0);
}

struct opened {
	struct image *image;
	struct qcow2_view *view;
	uint64_t size;	/* of the file */
	uint8_t *bytes; /* all of it, or NULL */
};

static void open_view(struct fixture *f, const struct tree_root *root,
		uint64_t size, struct opened *opened)
{
	assert_int_equal(image_open(&opened->image, f->reader, root, size), 0);
	assert_int_equal(qcow2_open(&opened->view, opened->image), 0);
	opened->size = qcow2_size(opened->view);
	opened->bytes = NULL;
}

static void read_whole(struct opened *opened)
{
	opened->bytes = malloc(opened->size + 1);
	assert_non_null(opened->bytes);
	assert_int_equal(qcow2_pread(opened->view, opened->bytes,
					 opened->size + 1, 0),
			opened->size);
}

static void close_view(struct opened *opened)
{
	qcow2_close(opened->view);
	image_close(opened->image);
	free(opened->bytes);
}

/* --- a reader by the specification --- */

static uint32_t be32_at(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return be32toh(v);
}

static uint64_t be64_at(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return be64toh(v);
}

struct parsed {
	const uint8_t *bytes;
	uint64_t size;
	uint64_t disk_size, l1_at, l1_entries, table_at, table_clusters;
	uint8_t *references; /* found, by cluster */
};

/* A reference to N clusters at AT, which nothing else may refer to. */
static void refer(struct parsed *parsed, uint64_t at, uint64_t n)
{
	assert_int_equal(at % CLUSTER_SIZE, 0);
	assert_true(at + n * CLUSTER_SIZE <= parsed->size);
	for (uint64_t k = at / CLUSTER_SIZE; n > 0; k++, n--)
		assert_int_equal(parsed->references[k]++, 0);
}

static void parse_header(struct parsed *parsed)
{
	static const uint8_t none[16];
	assert_true(parsed->size % CLUSTER_SIZE == 0);
	assert_memory_equal(parsed->bytes, "QFI\xfb\0\0\0\3", 8);
	assert_memory_equal(parsed->bytes + 8, none, 12); /* backing file */
	assert_int_equal(be32_at(parsed->bytes + 20), 16);
	parsed->disk_size = be64_at(parsed->bytes + 24);
	assert_int_equal(be32_at(parsed->bytes + 32), 0); /* encryption */
	parsed->l1_entries = be32_at(parsed->bytes + 36);
	parsed->l1_at = be64_at(parsed->bytes + 40);
	parsed->table_at = be64_at(parsed->bytes + 48);
	parsed->table_clusters = be32_at(parsed->bytes + 56);
	assert_memory_equal(parsed->bytes + 60, none, 12); /* snapshots */
	assert_memory_equal(parsed->bytes + 72, none, 16); /* features */
	assert_memory_equal(parsed->bytes + 88, none, 8);
	assert_int_equal(be32_at(parsed->bytes + 96), 4);
	assert_int_equal(be32_at(parsed->bytes + 100), 104);
	assert_memory_equal(parsed->bytes + 104, none, 8); /* no extension */
	refer(parsed, 0, 1);
	refer(parsed, parsed->table_at, parsed->table_clusters);
	refer(parsed, parsed->l1_at,
			(parsed->l1_entries * 8 + CLUSTER_SIZE - 1)
					/ CLUSTER_SIZE);
}

/* The address in an entry, or 0. Sets no other bit than COPIED. */
static uint64_t entry_at(const struct parsed *parsed, const uint8_t *at)
{
	uint64_t entry = be64_at(at);
	if (entry == 0)
		return 0;
	assert_true((entry & COPIED) != 0);
	refer((struct parsed *)parsed, entry & ~COPIED, 1);
	return entry & ~COPIED;
}

/* The guest's cluster at GUEST is at AT of the file, or nowhere: 0. */
static void check_cluster(const struct parsed *parsed, struct disk *disk,
		uint64_t guest, uint64_t at)
{
	uint8_t want[CLUSTER_SIZE];
	uint64_t end = guest;
	bool hole = true;
	if (guest < disk->size)
		disk_extent(disk, 0, guest, guest + CLUSTER_SIZE, &hole, &end);
	bool empty = hole && (end == guest + CLUSTER_SIZE || end == guest);
	assert_int_equal(at == 0, empty);
	if (empty)
		return;
	disk_read(disk, 0, want, CLUSTER_SIZE, guest);
	assert_int_equal(memcmp(want, parsed->bytes + at, CLUSTER_SIZE), 0);
}

static void check_content(const struct parsed *parsed, struct disk *disk)
{
	assert_true(parsed->l1_entries * QCOW2_L1_ENTRY >= parsed->disk_size);
	for (uint64_t i = 0; i < parsed->l1_entries; i++) {
		uint64_t l2 = entry_at(parsed,
				parsed->bytes + parsed->l1_at + 8 * i);
		for (uint64_t k = 0; k < 8192; k++)
			check_cluster(parsed, disk,
					i * QCOW2_L1_ENTRY + k * CLUSTER_SIZE,
					l2 == 0 ? 0
						: entry_at(parsed,
								parsed->bytes + l2
										+ 8 * k));
	}
}

static void check_refcounts(struct parsed *parsed)
{
	uint64_t clusters = parsed->size / CLUSTER_SIZE;
	for (uint64_t i = 0; i < parsed->table_clusters * 8192; i++) {
		uint64_t at = be64_at(parsed->bytes + parsed->table_at + 8 * i);
		if (at != 0)
			refer(parsed, at, 1);
		else
			assert_true(i * 32768 >= clusters);
	}
	for (uint64_t c = 0; c < parsed->table_clusters * 8192 * 32768; c++) {
		uint64_t block = be64_at(parsed->bytes + parsed->table_at
				+ 8 * (c / 32768));
		if (block == 0)
			break;
		const uint8_t *at = parsed->bytes + block + c % 32768 * 2;
		assert_int_equal(at[0], 0);
		assert_int_equal(at[1],
				c < clusters ? parsed->references[c] : 0);
	}
}

static void check_image(const struct opened *opened, struct disk *disk)
{
	struct parsed p = { .bytes = opened->bytes, .size = opened->size };
	p.references = calloc(1, opened->size / CLUSTER_SIZE);
	assert_non_null(p.references);
	parse_header(&p);
	assert_int_equal(p.disk_size, round_up(disk->size, 512));
	check_content(&p, disk);
	check_refcounts(&p);
	free(p.references);
}

/* --- parts and holes --- */

static void check_part(const struct opened *opened, uint64_t at, size_t len)
{
	struct iovec iov[64];
	struct frame *pins[64];
	struct image_iov v = { .iov = iov, .pins = pins, .room = 64 };
	size_t want = at < opened->size ? min_u64(len, opened->size - at) : 0;
	CLEANUP_FREE uint8_t *buf = malloc(len + 1);
	buf[want] = 0xa5;
	assert_int_equal(qcow2_pread(opened->view, buf, len, at), want);
	assert_int_equal(memcmp(buf, opened->bytes + at, want), 0);
	assert_int_equal(buf[want], 0xa5);
	ssize_t n = qcow2_read_iov(opened->view, &v, len, at);
	if (n == -E2BIG)
		return;
	assert_int_equal(n, want);
	for (int k = 0; k < v.count; at += iov[k].iov_len, k++)
		assert_int_equal(memcmp(iov[k].iov_base, opened->bytes + at,
						 iov[k].iov_len),
				0);
	image_unpin(&v);
}

static void check_parts(const struct opened *opened,
		const struct qcow2_layout *layout)
{
	const uint64_t edges[] = { 0, 104, 4096, CLUSTER_SIZE,
		layout->blocks * CLUSTER_SIZE, layout->l1 * CLUSTER_SIZE,
		layout->l2 * CLUSTER_SIZE, layout->data * CLUSTER_SIZE,
		opened->size };
	assert_int_equal(layout->end * CLUSTER_SIZE, opened->size);
	for (size_t k = 0; k < ARRAY_SIZE(edges); k++)
		for (int around = -9; around <= 9; around++) {
			uint64_t at = edges[k] + (uint64_t)around;
			if (around < 0 && edges[k] == 0)
				continue;
			check_part(opened, at, 1);
			check_part(opened, at, 17);
			check_part(opened, at, 5000);
		}
	for (int k = 0; k < 400; k++)
		check_part(opened, (uint64_t)rand() % opened->size,
				(size_t)rand() % 300000);
	assert_int_equal(qcow2_pread(opened->view, NULL, 0, 5), 0);
	assert_int_equal(qcow2_pread(opened->view, NULL, 1, opened->size), 0);
}

/* Walks the map: all that is not zero is data; in the disk's own clusters the
 * blocks that are zeros are holes. Returns the bytes of data. */
static uint64_t check_holes(const struct opened *opened,
		const struct qcow2_layout *layout)
{
	uint64_t data = 0;
	off_t at = 0, end = (off_t)opened->size;
	while (at < end) {
		off_t from = qcow2_seek(opened->view, at, SEEK_DATA);
		if (from == -ENXIO)
			from = end;
		assert_true(from >= at && from <= end);
		assert_true(bytes_are_zero(opened->bytes + at,
				(size_t)(from - at)));
		if (from == end)
			break;
		assert_int_equal(from % BLOCK_SIZE, 0);
		at = qcow2_seek(opened->view, from, SEEK_HOLE);
		assert_true(at > from && at <= end);
		for (off_t b = from; b < at; b += BLOCK_SIZE) {
			assert_int_equal(qcow2_seek(opened->view, b + 7,
							 SEEK_DATA),
					b + 7 < at ? b + 7 : -ENXIO);
			assert_true((uint64_t)b < layout->data * CLUSTER_SIZE
					|| !bytes_are_zero(opened->bytes + b,
							BLOCK_SIZE));
		}
		data += (uint64_t)(at - from);
	}
	assert_int_equal(qcow2_seek(opened->view, end, SEEK_DATA), -ENXIO);
	assert_int_equal(qcow2_seek(opened->view, end, SEEK_HOLE), -ENXIO);
	assert_int_equal(qcow2_seek(opened->view, -1, SEEK_HOLE), -ENXIO);
	return data;
}

/* The slots that are used, and the disk's clusters that are not empty. */
static void count_used(const struct disk *disk, uint64_t *slots,
		uint64_t *clusters)
{
	uint64_t slot = 0, cluster = 0; /* the first not counted */
	*slots = *clusters = 0;
	for (int k = 0; k < disk->count; k++) {
		uint64_t from = disk->pieces[k].at;
		uint64_t last = from + disk->pieces[k].len - 1;
		uint64_t s = max_u64(slot, from / QCOW2_L1_ENTRY);
		uint64_t c = max_u64(cluster, from / CLUSTER_SIZE);
		slot = last / QCOW2_L1_ENTRY + 1;
		cluster = last / CLUSTER_SIZE + 1;
		*slots += slot - min_u64(s, slot);
		*clusters += cluster - min_u64(c, cluster);
	}
}

static void check_disk(struct fixture *f, struct disk *disk)
{
	struct tree_root root;
	struct opened o;
	uint64_t slots, clusters, file_size, stored;
	store(f, disk, &root);
	count_used(disk, &slots, &clusters);
	assert_int_equal(root.clusters, clusters);
	struct qcow2_layout l = qcow2_layout(disk->size, clusters);
	open_view(f, &root, disk->size, &o);
	read_whole(&o);
	check_image(&o, disk);
	check_parts(&o, &l);
	uint64_t data = check_holes(&o, &l);
	qcow2_measure(disk->size, &root, &file_size, &stored);
	assert_int_equal(file_size, o.size);
	assert_int_equal(stored,
			data
					+ CLUSTER_SIZE
							* (min_u64(l.l1_entries,
									   clusters)
									- slots));
	close_view(&o);
}

static void test_shapes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 511, 512, 513, 4096, 65535,
		65536, 65537, 1000000, SPAN_SIZE - 1, SPAN_SIZE, SPAN_SIZE + 1,
		40 * MIB + 513 };
	struct fixture *f = *state;
	srand(1);
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		struct disk hole = { .size = sizes[k] }, full = hole,
			    first = hole, last = hole;
		check_disk(f, &hole);
		if (sizes[k] == 0)
			continue;
		add(&full, 0, sizes[k]);
		check_disk(f, &full);
		add(&first, 0, 1);
		check_disk(f, &first);
		add(&last, sizes[k] - 1, 1);
		check_disk(f, &last);
	}
}

/* Data on both sides of each edge there is: blocks, clusters, spans, slots,
 * nodes of 4 GiB. */
static void test_edges(void **state)
{
	struct fixture *f = *state;
	struct disk d = { .size = 5 * GIB + 700 };
	srand(2);
	add(&d, 4096, 4096);
	add(&d, CLUSTER_SIZE - 1, 2);
	add(&d, 5 * CLUSTER_SIZE, 3 * CLUSTER_SIZE);
	add(&d, SPAN_SIZE - 1, 2);
	add(&d, QCOW2_L1_ENTRY - 2 * CLUSTER_SIZE, 4 * CLUSTER_SIZE);
	add(&d, 3 * QCOW2_L1_ENTRY - 1, 1);
	add(&d, 4 * GIB - 100, 200);
	add(&d, 5 * GIB - 3 * CLUSTER_SIZE, 3 * CLUSTER_SIZE + 700);
	check_disk(f, &d);
	d.size += 300 * MIB; /* a tail of hole */
	check_disk(f, &d);
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	srand(3);
	for (int round = 0; round < 6; round++) {
		struct disk d = { .size = 100 * MIB + (uint64_t)rand() % GIB };
		uint64_t at = 0;
		while (d.count < PIECES_MAX) {
			at += (uint64_t)rand() % (d.size / 20);
			uint64_t len = 1 + (uint64_t)rand() % 500000;
			if (at + len > d.size)
				break;
			add(&d, at, len);
			at += len;
		}
		check_disk(f, &d);
	}
}

/* --- the largest --- */

static void test_layouts(void **state)
{
	(void)state;
	static const uint64_t sizes[] = { 0, 1, 512 * MIB, 512 * MIB + 1,
		16 * TIB, 16 * TIB - 1, 64 * TIB, IMAGE_SIZE_MAX };
	srand(4);
	for (int round = 0; round < 4000; round++) {
		uint64_t size = sizes[round % 8];
		uint64_t most = (size + CLUSTER_SIZE - 1) / CLUSTER_SIZE;
		/* Around the places where another refcount block begins. */
		uint64_t n = (uint64_t)rand() * 32768 + (uint64_t)(rand() % 9)
				+ 32758 - size / QCOW2_L1_ENTRY;
		n = round < 8 ? 0 : round < 16 ? most : n % (most + 1);
		struct qcow2_layout l = qcow2_layout(size, n);
		assert_int_equal(l.disk_size, round_up(size, 512));
		assert_int_equal(l.end - l.data, n);
		assert_int_equal(l.data - l.l2, l.l1_entries);
		assert_true(l.l1_entries * QCOW2_L1_ENTRY >= size);
		assert_true((l.l2 - l.l1) * 8192 >= l.l1_entries);
		assert_true((l.blocks - 1) * 8192 >= l.block_count);
		assert_int_equal(l.l1 - l.blocks, l.block_count);
		assert_true(l.block_count * 32768 >= l.end);
		assert_true((l.block_count - 2) * 32768 < l.end
				|| l.block_count < 2);
		/* qemu's limits */
		assert_true(l.l1_entries * 8 <= 32 * MIB);
		assert_true((l.blocks - 1) * CLUSTER_SIZE <= 8 * MIB);
	}
}

static void read_be64(const struct opened *opened, uint64_t at, uint64_t *out)
{
	uint8_t b[8];
	assert_int_equal(qcow2_pread(opened->view, b, 8, at), 8);
	*out = be64_at(b);
}

/* What the guest reads at AT, through the tables, byte by byte. */
static uint8_t guest_byte(const struct opened *opened,
		const struct qcow2_layout *layout, uint64_t at)
{
	uint64_t l2, cluster;
	uint8_t b = 0;
	read_be64(opened, layout->l1 * CLUSTER_SIZE + at / QCOW2_L1_ENTRY * 8,
			&l2);
	if (l2 == 0)
		return 0;
	read_be64(opened,
			(l2 & ~COPIED) + at % QCOW2_L1_ENTRY / CLUSTER_SIZE * 8,
			&cluster);
	if (cluster == 0)
		return 0;
	assert_int_equal(qcow2_pread(opened->view, &b, 1,
					 (cluster & ~COPIED)
							 + at % CLUSTER_SIZE),
			1);
	return b;
}

static void test_huge(void **state)
{
	struct fixture *f = *state;
	struct disk d = { .size = IMAGE_SIZE_MAX - 65536 * 3 + 513 };
	struct tree_root root;
	struct opened o;
	add(&d, 0, 1);
	add(&d, 4 * GIB - 1, 2);
	add(&d, TIB - 1, 2);
	add(&d, 64 * TIB - 1, 100000);
	add(&d, d.size - 1, 1);
	store(f, &d, &root);
	struct qcow2_layout l = qcow2_layout(d.size, root.clusters);
	open_view(f, &root, d.size, &o);
	for (int k = 0; k < d.count; k++)
		for (int around = -1; around <= 1; around++) {
			uint64_t at = d.pieces[k].at + (uint64_t)around;
			uint8_t want = 0;
			if (at >= d.size)
				continue;
			disk_read(&d, 0, &want, 1, at);
			assert_int_equal(guest_byte(&o, &l, at), want);
		}
	/* From a hole of a terabyte to the next slot, at once. */
	off_t slots = (off_t)(l.l2 * CLUSTER_SIZE);
	assert_int_equal(qcow2_seek(o.view, slots + 9 * CLUSTER_SIZE,
					 SEEK_DATA),
			slots
					+ (off_t)((TIB / QCOW2_L1_ENTRY - 1)
							* CLUSTER_SIZE));
	assert_int_equal(qcow2_seek(o.view, (off_t)(l.data * CLUSTER_SIZE) - 1,
					 SEEK_HOLE),
			l.data * CLUSTER_SIZE + BLOCK_SIZE);
	close_view(&o);
}

/* --- hints and copies --- */

static void test_copy(void **state)
{
	struct fixture *f = *state;
	struct disk d = { .size = 600 * MIB + 77 };
	struct tree_root root;
	struct opened o;
	char path[128];
	for (uint64_t k = 0; k < 10; k++)
		add(&d, k * 60 * MIB + 5000, 3 * MIB);
	add(&d, d.size - 5000, 5000);
	store(f, &d, &root);
	open_view(f, &root, d.size, &o);
	read_whole(&o);
	snprintf(path, sizeof(path), "%s/copy", f->directory);
	CLEANUP_FD int fd = open(path, O_RDWR | O_CREAT, 0600);
	struct qcow2_copy c = { .view = o.view, .fd = fd, .to = path };
	assert_int_equal(qcow2_copy(&c), 0);
	CLEANUP_FREE uint8_t *copy = malloc(o.size + 1);
	assert_int_equal(pread(fd, copy, o.size + 1, 0), o.size);
	assert_int_equal(memcmp(copy, o.bytes, o.size), 0);
	assert_int_equal(c.done, o.size);
	assert_in_range(c.written, root.data_bytes,
			root.data_bytes + 5 * CLUSTER_SIZE);
	/* In order, holes too. */
	memset(copy, 0, o.size);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(qcow2_copy_stream(&c), 0);
	assert_int_equal(pread(fd, copy, o.size + 1, 0), o.size);
	assert_int_equal(memcmp(copy, o.bytes, o.size), 0);
	assert_int_equal(c.done, o.size);
	/* Hints from anywhere, past the end too. */
	for (int k = 0; k < 2000; k++) {
		struct image_sequence s = { 0 };
		uint64_t at = (uint64_t)rand() % (o.size + 100000);
		for (int more = 0; more < 3; more++)
			qcow2_note_read(o.view, &s, at + (uint64_t)more * 65536,
					65536);
	}
	close_view(&o);
}

/* --- trees that lie --- */

static void put_node(struct fixture *f, struct chunk_stream *stream,
		const uint8_t *bytes, size_t len, struct id *id)
{
	const struct chunk_entry entry =
			chunk_stream_name_node(f->repo->seal, bytes, len);
	*id = entry.id;
	assert_int_equal(chunk_stream_put(stream, PACK_TREE, &entry, bytes), 0);
}

/* A leaf over one span: the chunk ID at cluster AT. */
static void put_leaf(struct fixture *f, struct chunk_stream *stream,
		const struct id *chunk, uint32_t at, struct node_child *out)
{
	CLEANUP_FREE struct leaf *leaf =
			calloc(1, sizeof(*leaf) + 3 * sizeof(leaf->entries[0]));
	uint8_t bytes[32 + 3 * 36];
	uint32_t offset = at * CLUSTER_SIZE;
	leaf->span_len = SPAN_SIZE;
	leaf->count = 3;
	leaf->entries[0] = (struct leaf_entry){ .len = offset, .hole = true };
	leaf->entries[1] = (struct leaf_entry){ .offset = offset,
		.len = CLUSTER_SIZE,
		.id = *chunk };
	leaf->entries[2] = (struct leaf_entry){ .offset = offset + CLUSTER_SIZE,
		.len = SPAN_SIZE - CLUSTER_SIZE - offset,
		.hole = true };
	leaf_sum(leaf);
	put_node(f, stream, bytes, leaf_encode(bytes, leaf), &out->id);
	out->data_bytes = leaf->data_bytes;
	out->clusters = leaf->clusters;
}

/* Reads all of the view in every way; each either works or says EBADMSG. */
static void read_hostile(const struct opened *opened, uint64_t *refused)
{
	static uint8_t buf[CLUSTER_SIZE];
	for (uint64_t at = 0; at < opened->size; at += CLUSTER_SIZE) {
		ssize_t n = qcow2_pread(opened->view, buf, sizeof(buf), at);
		off_t to = qcow2_seek(opened->view, (off_t)at, SEEK_DATA);
		assert_true(n == CLUSTER_SIZE || n == -EBADMSG);
		assert_true(to >= (off_t)at || to == -EBADMSG || to == -ENXIO);
		*refused += n == -EBADMSG;
		to = qcow2_seek(opened->view, (off_t)at, SEEK_HOLE);
		assert_true(to >= (off_t)at || to == -EBADMSG);
		struct image_sequence s = { 0 };
		qcow2_note_read(opened->view, &s, at, CLUSTER_SIZE);
	}
}

static void try_counts(struct fixture *f, const struct node_child leaves[2],
		uint32_t first, uint32_t second, uint32_t root_count,
		bool refused)
{
	struct node node = { .level = 1, .spans = 256 };
	struct tree_root root = { .level = 1, .clusters = root_count };
	struct chunk_stream *stream;
	uint8_t bytes[NODE_SIZE_MAX];
	struct opened o;
	uint64_t errors = 0;
	node.children[3] = leaves[0];
	node.children[3].clusters = first;
	node.children[200] = leaves[1];
	node.children[200].clusters = second;
	root.data_bytes = leaves[0].data_bytes + leaves[1].data_bytes;
	assert_int_equal(chunk_stream_new(f->sink, &stream), 0);
	put_node(f, stream, bytes, node_encode(bytes, &node), &root.id);
	assert_int_equal(chunk_stream_flush(stream), 0);
	chunk_stream_free(stream);
	assert_int_equal(chunk_sink_barrier(f->sink, true), 0);
	open_view(f, &root, 4 * GIB, &o);
	read_hostile(&o, &errors);
	assert_int_equal(errors != 0, refused);
	close_view(&o);
}

static void test_false_counts(void **state)
{
	struct fixture *f = *state;
	struct chunk_stream *stream;
	struct node_child leaves[2];
	struct id chunk;
	static uint8_t data[CLUSTER_SIZE];
	memset(data, 0x5a, sizeof(data));
	seal_id(f->repo->seal, ID_CHUNK, &chunk, data, sizeof(data));
	const struct chunk_entry entry = { .id = chunk, .len = sizeof(data) };
	assert_int_equal(chunk_stream_new(f->sink, &stream), 0);
	assert_int_equal(chunk_stream_put(stream, PACK_DATA, &entry, data), 0);
	put_leaf(f, stream, &chunk, 1, &leaves[0]);
	put_leaf(f, stream, &chunk, 200, &leaves[1]);
	assert_int_equal(chunk_stream_flush(stream), 0);
	chunk_stream_free(stream);
	try_counts(f, leaves, 1, 1, 2, false);
	try_counts(f, leaves, 2, 1, 3, true); /* leaf against node */
	try_counts(f, leaves, 1, 16, 17, true);
	try_counts(f, leaves, 1, 1, 1, true); /* node against root */
	try_counts(f, leaves, 1, 1, 3, true);
	try_counts(f, leaves, 1, 1, 65536, true);
	try_counts(f, leaves, 16, 16, 2, true);
}

/* A root that claims more than the size can have is refused at once; else a
 * tree that is not even there matters only to who needs it. */
static void test_opening(void **state)
{
	struct fixture *f = *state;
	struct tree_root root = { .id = { "nowhere" },
		.level = 1,
		.data_bytes = 5 * CLUSTER_SIZE,
		.clusters = 5 };
	struct qcow2_view *view;
	struct opened o;
	uint8_t b;
	open_view(f, &root, 40 * MIB, &o);
	struct qcow2_layout l = qcow2_layout(40 * MIB, 5);
	assert_int_equal(o.size, l.end * CLUSTER_SIZE);
	assert_int_equal(qcow2_pread(o.view, &b, 1, 0), 1);
	assert_int_equal(qcow2_pread(o.view, &b, 1, CLUSTER_SIZE), 1);
	assert_int_equal(qcow2_pread(o.view, &b, 1, l.blocks * CLUSTER_SIZE),
			-ENOENT);
	assert_int_equal(qcow2_pread(o.view, &b, 1, l.l1 * CLUSTER_SIZE),
			-ENOENT);
	assert_int_equal(qcow2_pread(o.view, &b, 1, l.l2 * CLUSTER_SIZE),
			-ENOENT);
	assert_int_equal(qcow2_pread(o.view, &b, 1, o.size - 1), -ENOENT);
	assert_int_equal(qcow2_seek(o.view, (off_t)o.size - 1, SEEK_DATA),
			-ENOENT);
	close_view(&o);
	root.clusters = 641;
	assert_int_equal(image_open(&o.image, f->reader, &root, 40 * MIB), 0);
	assert_int_equal(qcow2_open(&view, o.image), -EBADMSG);
	image_close(o.image);
	/* A root that is not there has no clusters, whatever it says. */
	memset(&root.id, 0, sizeof(root.id));
	open_view(f, &root, 40 * MIB, &o);
	assert_int_equal(o.size, qcow2_layout(40 * MIB, 0).end * CLUSTER_SIZE);
	close_view(&o);
}

static void check_view(const struct fixture *f, const struct tree_root *root,
		uint64_t size, enum image_view_kind kind, uint8_t first)
{
	struct image_view *view;
	struct image_sequence sequence = { 0 };
	struct iovec iov[4];
	struct frame *pins[4];
	struct image_iov v = { .iov = iov, .pins = pins, .room = 4 };
	uint8_t b;
	assert_int_equal(image_view_open(&view, f->reader, root, size, kind),
			0);
	assert_int_equal(image_view_pread(view, &b, 1, 0), 1);
	assert_int_equal(b, first);
	ssize_t n = image_view_read_iov(view, &v, 1, 0);
	if (kind == IMAGE_VIEW_RAW) {
		assert_int_equal(n, 1);
		assert_int_equal(*(uint8_t *)v.iov[0].iov_base, first);
		image_unpin(&v);
	} else {
		assert_int_equal(n, -E2BIG); /* the header is computed */
	}
	assert_int_equal(image_view_seek(view, 0, SEEK_DATA), 0);
	image_view_note_read(view, &sequence, 0, 1);
	image_view_close(view);
}

/* The same image through both kinds of view. */
static void test_views(void **state)
{
	struct fixture *f = *state;
	struct image_view *view = NULL;
	struct disk disk = { .size = 8 * MIB };
	struct tree_root root;
	add(&disk, 0, 3 * CLUSTER_SIZE);
	store(f, &disk, &root);
	check_view(f, &root, disk.size, IMAGE_VIEW_RAW, byte_at(0));
	check_view(f, &root, disk.size, IMAGE_VIEW_QCOW2, 'Q');
	root.clusters = 129;
	assert_int_equal(image_view_open(&view, f->reader, &root, disk.size,
					 IMAGE_VIEW_QCOW2),
			-EBADMSG);
	assert_null(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test_setup_teardown(test_shapes, setup_plain,
				teardown),
		cmocka_unit_test_setup_teardown(test_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup_plain,
				teardown),
		cmocka_unit_test_setup_teardown(test_huge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_false_counts, setup,
				teardown),
		cmocka_unit_test_setup_teardown(test_opening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_views, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
