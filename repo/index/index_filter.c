/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The filter in front of the index: a blocked Bloom filter (Putze, Sanders,
 * Singler: "Cache-, Hash- and Space-Efficient Bloom Filters", 2007) over the
 * prefixes of all chunks ever added. It lets a writer skip the look-up of a
 * chunk that was never seen. A wrong answer costs at most a duplicate; readers
 * never use it.
 *
 * The file, little-endian: magic 8, nonce of the index 16, generation u64,
 * number of blocks u64, zero 24, then blocks of 64 bytes. Bits are only ever
 * set, through a shared mapping, before the chunks are committed. A file whose
 * nonce or generation is not the index's is ignored and rebuilt; a new one
 * goes under its name by rename. Nothing is synced: after a power failure
 * bits may be missing, see above.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index_internal.h"
#include "repo/base/cleanup.h"

#define TEMPORARY_FILE INDEX_FILTER_FILE ".tmp"
#define HEADER_SIZE 64u
#define BLOCK_BYTES 64u
#define BLOCK_BITS 512u
#define PROBES 6
/* Bits for each chunk when full; it is made for twice what is there. */
#define BITS_PER_KEY 12u
#define BLOCKS_MIN 1024u
#define BLOCKS_MAX ((uint64_t)1 << 30)

static const uint8_t magic[8] = { 'a', 'm', 'b', 'r', 'f', 'i', 'l', '1' };

struct index_filter {
	uint8_t *map;
	size_t size; /* of the map */
	uint64_t blocks;
	bool temporary;	  /* not under its name yet */
	atomic_bool lost; /* a read of it failed */
};

static uint64_t blocks_for(uint64_t entries)
{
	uint64_t b = entries / BLOCK_BITS * BITS_PER_KEY;
	return min_u64(max_u64(b, BLOCKS_MIN), BLOCKS_MAX);
}

static struct index_filter *map_filter(int fd, uint64_t blocks, bool write)
{
	struct index_filter *filter = calloc(1, sizeof(*filter));
	if (filter == NULL)
		return NULL;
	filter->blocks = blocks;
	filter->size = HEADER_SIZE + blocks * BLOCK_BYTES;
	void *map = mmap(NULL, filter->size,
			PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd,
			0);
	if (map == MAP_FAILED) {
		free(filter);
		return NULL;
	}
	filter->map = map;
	return filter;
}

/* The file's blocks if it is well-formed and belongs to NONCE and GENERATION;
 * else 0. */
static uint64_t judge(int fd, const uint8_t *nonce, uint64_t generation)
{
	uint8_t h[HEADER_SIZE];
	struct stat st;
	if (fstat(fd, &st) < 0 || !index_layout_owns(&st)
			|| pread(fd, h, sizeof(h), 0) != sizeof(h))
		return 0;
	uint64_t blocks = get_le64(h + 32);
	if (memcmp(h, magic, sizeof(magic)) != 0
			|| memcmp(h + 8, nonce, INDEX_NONCE_SIZE) != 0
			|| get_le64(h + 24) != generation || blocks < BLOCKS_MIN
			|| blocks > BLOCKS_MAX
			|| (uint64_t)st.st_size
					!= HEADER_SIZE + blocks * BLOCK_BYTES)
		return 0;
	return blocks;
}

static struct index_filter *open_named(int dir, const uint8_t *nonce,
		uint64_t generation, uint64_t blocks_min, bool write)
{
	CLEANUP_FD int fd = openat(dir, INDEX_FILTER_FILE,
			(write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW
					| O_NONBLOCK);
	if (fd < 0)
		return NULL;
	uint64_t blocks = judge(fd, nonce, generation);
	if (blocks == 0 || blocks < blocks_min)
		return NULL;
	return map_filter(fd, blocks, write);
}

struct index_filter *index_filter_open(int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t generation)
{
	index_guard_arm();
	return open_named(dir, nonce, generation, 0, false);
}

void index_filter_close(struct index_filter *filter)
{
	if (filter == NULL)
		return;
	munmap(filter->map, filter->size);
	free(filter);
}

/* --- asking --- */

struct probes {
	size_t block;  /* offset of its first byte */
	uint64_t bits; /* 9 for each probe, from the top */
};

static struct probes probes_of(const struct index_filter *filter, uint64_t key)
{
	return (struct probes){
		.block = HEADER_SIZE
				+ (((key >> 32) * filter->blocks) >> 32)
						* BLOCK_BYTES,
		.bits = key * UINT64_C(0x9E3779B97F4A7C15),
	};
}

static uint32_t next_bit(struct probes *probes)
{
	uint32_t bit = (uint32_t)(probes->bits >> 55);
	probes->bits <<= 9;
	return bit;
}

struct question {
	const struct index_filter *f;
	uint64_t key;
};

/* Guarded: the file may have been cut short. */
static int ask_guarded(void *arg)
{
	const struct question *question = arg;
	struct probes p = probes_of(question->f, question->key);
	for (int i = 0; i < PROBES; i++) {
		uint32_t bit = next_bit(&p);
		/* Volatile: another process may be setting it. */
		const volatile uint8_t *byte =
				question->f->map + p.block + bit / 8;
		if (!(*byte & 1u << bit % 8))
			return 0;
	}
	return 1;
}

bool index_filter_maybe(struct index_filter *filter, uint64_t key)
{
	struct question q = { filter, key };
	if (atomic_load_explicit(&filter->lost, memory_order_relaxed))
		return true;
	int err = index_guard_run(ask_guarded, &q);
	if (err < 0)
		atomic_store(&filter->lost, true);
	return err != 0;
}

/* --- writing --- */

int index_filter_begin(struct index_filter **out, int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t entries)
{
	uint8_t h[HEADER_SIZE] = { 0 };
	uint64_t blocks = blocks_for(2 * entries);
	if (unlinkat(dir, TEMPORARY_FILE, 0) < 0 && errno != ENOENT)
		return -errno;
	CLEANUP_FD int fd = openat(dir, TEMPORARY_FILE,
			O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	/* With its blocks allocated: a hole in a full disk is a SIGBUS. */
	int err = posix_fallocate(fd, 0,
			(off_t)(HEADER_SIZE + blocks * BLOCK_BYTES));
	memcpy(h, magic, sizeof(magic));
	memcpy(h + 8, nonce, INDEX_NONCE_SIZE);
	put_le64(h + 32, blocks);
	if (err == 0 && pwrite(fd, h, sizeof(h), 0) != sizeof(h))
		err = EIO;
	if (err == 0)
		*out = map_filter(fd, blocks, true);
	if (err != 0 || *out == NULL) {
		unlinkat(dir, TEMPORARY_FILE, 0);
		return err != 0 ? -err : -ENOMEM;
	}
	(*out)->temporary = true;
	return 0;
}

int index_filter_resume(struct index_filter **out, int dir,
		const uint8_t nonce[INDEX_NONCE_SIZE], uint64_t generation,
		uint64_t entries)
{
	*out = open_named(dir, nonce, generation, blocks_for(entries), true);
	return *out != NULL ? 0 : -ENOENT;
}

void index_filter_add(struct index_filter *filter, uint64_t key)
{
	struct probes p = probes_of(filter, key);
	for (int i = 0; i < PROBES; i++) {
		uint32_t bit = next_bit(&p);
		filter->map[p.block + bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

int index_filter_finish(struct index_filter *filter, int dir,
		uint64_t generation)
{
	int err = 0;
	put_le64(filter->map + 24, generation);
	if (filter->temporary
			&& renameat(dir, TEMPORARY_FILE, dir, INDEX_FILTER_FILE)
					< 0)
		err = -errno;
	index_filter_close(filter);
	return err;
}
