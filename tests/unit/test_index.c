/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the index finds what was added, and every kind of damage
 * to it, every foreign owner and every stuck process costs time alone. */
#include "directory.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */
#include "repo/index/helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PACKS 48
#define CHUNKS 150 /* of each pack */
#define TRIALS 12  /* with flipped bits; INDEX_TRIALS overrides it */

static const uint8_t repo_id[REPO_ID_SIZE] = "0123456789abcde";
static char directory
		[DIRECTORY_MAX]; /* holds the repository "r" and the index "i" */
static char dir[96];
static struct store *store;
static atomic_uint loads;

/* --- a repository of packs whose whole content is their prefixes --- */

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static struct pack_id id_of(unsigned pack)
{
	struct pack_id id;
	uint64_t a = mix(1000000 + pack), b = mix(2000000 + pack);
	memcpy(id.b, &a, 8);
	memcpy(id.b + 8, &b, 8);
	return id;
}

/* Chunk I of PACK; each third pack shares its chunks with the next one. */
static uint64_t prefix_of(unsigned pack, unsigned i)
{
	if (pack % 3 == 1)
		pack--;
	return mix((uint64_t)pack << 32 | i);
}

static struct index_pack pack_of(unsigned pack, uint64_t *prefixes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		prefixes[i] = prefix_of(pack, i);
	return (struct index_pack){ .pack = id_of(pack),
		.kind = PACK_DATA,
		.count = n,
		.prefixes = prefixes };
}

static void store_pack(unsigned pack)
{
	uint64_t prefixes[CHUNKS];
	char name[PACK_NAME_SIZE];
	struct pack_id id = id_of(pack);
	pack_of(pack, prefixes, CHUNKS);
	pack_name(name, &id);
	assert_int_equal(store_put(store, name, prefixes, sizeof(prefixes),
					 true),
			0);
}

static void store_packs(unsigned from, unsigned to)
{
	while (from < to)
		store_pack(from++);
}

static void delete_pack(unsigned pack)
{
	char name[PACK_NAME_SIZE];
	struct pack_id id = id_of(pack);
	pack_name(name, &id);
	assert_int_equal(store_delete(store, name), 0);
}

static int load(void *ctx, const struct pack_id *id, struct index_pack *out)
{
	char name[PACK_NAME_SIZE];
	void *data;
	size_t len;
	(void)ctx;
	loads++;
	pack_name(name, id);
	int err = store_get(store, name, &data, &len, 1 << 20);
	if (err < 0)
		return err;
	if (len % 8 != 0) {
		free(data);
		return -EBADMSG;
	}
	*out = (struct index_pack){ .pack = *id,
		.kind = PACK_DATA,
		.count = (uint32_t)(len / 8),
		.prefixes = data };
	return 0;
}

static int setup(void **state)
{
	char path[96];
	(void)state;
	assert_int_equal(directory_make(directory, "test_index"), 0);
	snprintf(path, sizeof(path), "%s/r", directory);
	snprintf(dir, sizeof(dir), "%s/i", directory);
	index_tuning = (struct index_tuning){
		.lock_ms = 10000,
		.silence_ms = 20000,
		.cpu_seconds = 20,
		.map_size = 1 << 24,
		.run_entries = 4000,
		.txn_entries = 1500,
		.memory_entries = 1 << 20,
	};
	loads = 0;
	int err = store_create_local(&store, path);
	if (err < 0)
		print_error("%s\n", error_text(err));
	return err;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	directory_remove(directory);
	return 0;
}

static struct index *open_index(void)
{
	struct index *index;
	int err = index_open(&index, store, repo_id, dir, load, NULL);
	if (err < 0)
		print_error("%s\n", error_text(err));
	assert_int_equal(err, 0);
	return index;
}

static void reconcile(struct index *index)
{
	int err = index_reconcile(index);
	if (err < 0)
		print_error("%s\n", error_text(err));
	assert_int_equal(err, 0);
}

static bool writer_finds(struct index *index, uint64_t prefix)
{
	struct pack_id got;
	return index_candidates(index, prefix, true, &got, 1) > 0;
}

static bool found(struct index *index, unsigned pack, unsigned chunk)
{
	struct pack_id want = id_of(pack), got[8];
	int n = index_candidates(index, prefix_of(pack, chunk), false, got, 8);
	for (int i = 0; i < n; i++)
		if (memcmp(&got[i], &want, sizeof(want)) == 0)
			return true;
	return false;
}

/* Asks for some chunks of packs FROM to TO, whatever the answer. */
static void look_around(struct index *index, unsigned from, unsigned to)
{
	for (unsigned p = from; p < to; p++)
		for (unsigned i = p % 7; i < CHUNKS; i += 7)
			found(index, p, i);
}

/* How many chunks of packs FROM to TO are found where they are. */
static unsigned count_found(struct index *index, unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned p = from; p < to; p++)
		for (unsigned i = 0; i < CHUNKS; i++)
			n += found(index, p, i);
	return n;
}

#define ALL(from, to) (((to) - (from)) * CHUNKS)

static int add_pack(struct index *index, unsigned pack)
{
	uint64_t prefixes[CHUNKS];
	struct index_pack k = pack_of(pack, prefixes, CHUNKS);
	return index_merge_packs(index, &k, 1);
}

/* --- processes --- */

/* Runs FN in a process of its own; its exit status, or 1000 + signal. */
static int run_apart(int (*fn)(void *), void *arg, unsigned seconds)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(seconds);
		_exit(fn(arg));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

static void data_path(char out[128])
{
	snprintf(out, 128, "%s/" INDEX_DATA_FILE, dir);
}

static off_t data_size(void)
{
	char path[128];
	struct stat st;
	data_path(path);
	return stat(path, &st) == 0 ? st.st_size : -1;
}

static ino_t data_inode(void)
{
	char path[128];
	struct stat st;
	data_path(path);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* --- plain use --- */

static void test_find_after_add(void **state)
{
	(void)state;
	struct index *index = open_index();
	struct pack_id got[4];
	assert_int_equal(index_candidates(index, prefix_of(0, 0), false, got,
					 4),
			0);
	for (unsigned p = 0; p < 12; p++)
		assert_int_equal(add_pack(index, p), 0);
	assert_int_equal(count_found(index, 0, 12), ALL(0, 12));
	assert_int_equal(index_candidates(index, prefix_of(12, 0), false, got,
					 4),
			0);

	/* Packs 0 and 1 hold the same chunks: the newest comes first. */
	struct pack_id newest = id_of(1);
	assert_int_equal(index_candidates(index, prefix_of(0, 7), false, got,
					 4),
			2);
	assert_memory_equal(&got[0], &newest, sizeof(newest));
	assert_int_equal(index_candidates(index, prefix_of(0, 7), false, got,
					 1),
			1);
	assert_memory_equal(&got[0], &newest, sizeof(newest));

	struct index_stats st;
	assert_int_equal(index_stats(index, &st), 0);
	assert_int_equal(st.packs, 12);
	assert_int_equal(st.chunks, ALL(0, 8));
	assert_true(st.file_bytes > 0);
	index_close(index);

	index = open_index();
	assert_int_equal(count_found(index, 0, 12), ALL(0, 12));
	assert_int_equal(loads, 0);
	index_close(index);
}

static void test_add_twice_and_many(void **state)
{
	(void)state;
	static uint64_t prefixes[PACKS][CHUNKS];
	struct index_pack packs[PACKS];
	struct index_stats st;
	struct index *index = open_index();
	for (unsigned p = 0; p < PACKS; p++)
		packs[p] = pack_of(p, prefixes[p], CHUNKS);
	assert_int_equal(index_merge_packs(index, packs, PACKS), 0);
	assert_int_equal(index_merge_packs(index, packs, PACKS), 0);
	assert_int_equal(index_merge_packs(index, NULL, 0), 0);
	assert_int_equal(index_stats(index, &st), 0);
	assert_int_equal(st.packs, PACKS);
	assert_int_equal(count_found(index, 0, PACKS), ALL(0, PACKS));
	index_close(index);
}

/* One chunk in more packs than are kept: the newest ones are. */
static void test_many_copies(void **state)
{
	(void)state;
	struct index *index = open_index();
	struct pack_id got[64];
	for (unsigned p = 0; p < 20; p++) {
		uint64_t prefix = 42;
		struct index_pack k = { .pack = id_of(p),
			.kind = PACK_TREE,
			.count = 1,
			.prefixes = &prefix };
		assert_int_equal(index_merge_packs(index, &k, 1), 0);
	}
	assert_int_equal(index_candidates(index, 42, false, got, 64),
			INDEX_COPIES_MAX);
	for (unsigned i = 0; i < INDEX_COPIES_MAX; i++) {
		struct pack_id want = id_of(19 - i);
		assert_memory_equal(&got[i], &want, sizeof(want));
	}
	index_close(index);
}

static void test_reconcile(void **state)
{
	(void)state;
	store_packs(0, PACKS);
	struct index *index = open_index();
	reconcile(index);
	assert_int_equal(count_found(index, 0, PACKS), ALL(0, PACKS));
	assert_int_equal(loads, PACKS);

	store_packs(PACKS, PACKS + 2);
	delete_pack(3);
	delete_pack(4);
	reconcile(index);
	assert_int_equal(loads, PACKS + 2);
	assert_int_equal(count_found(index, 0, 3), ALL(0, 3));
	assert_int_equal(count_found(index, 3, 5), 0);
	assert_int_equal(count_found(index, 5, PACKS + 2), ALL(5, PACKS + 2));
	struct index_stats st;
	assert_int_equal(index_stats(index, &st), 0);
	assert_int_equal(st.packs, PACKS);
	/* Their chunks come back in another pack. */
	assert_int_equal(add_pack(index, 3), 0);
	assert_int_equal(count_found(index, 3, 4), ALL(3, 4));

	assert_int_equal(index_rebuild(index), 0);
	assert_int_equal(count_found(index, 3, 5), 0);
	assert_int_equal(count_found(index, 5, PACKS + 2), ALL(5, PACKS + 2));
	index_close(index);
}

static void age_shards(time_t by)
{
	static time_t started;
	if (started == 0)
		started = time(NULL);
	for (unsigned i = 0; i < 256; i++) {
		char path[128];
		/* The same whenever it is asked for. */
		struct timespec t[2] = { { started - by, 0 },
			{ started - by, 0 } };
		snprintf(path, sizeof(path), "%s/r/packs/%02x", directory, i);
		assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	}
}

static void test_settled_shards(void **state)
{
	(void)state;
	store_packs(0, 8);
	age_shards(100);
	struct index *index = open_index();
	reconcile(index);
	store_pack(8);
	assert_int_equal(add_pack(index, 9), 0);
	index_close(index);

	index = open_index();
	loads = 0;
	reconcile(index);
	assert_int_equal(loads, 1);
	assert_int_equal(count_found(index, 0, 9), ALL(0, 9));
	/* 9 is not in the store: its shard was listed although its state is the
	 * recorded one, since it has been added meanwhile. */
	assert_int_equal(count_found(index, 9, 10), 0);
	/* Settled shards are not listed. */
	age_shards(50);
	reconcile(index);
	delete_pack(2);
	age_shards(50);
	reconcile(index);
	assert_int_equal(count_found(index, 2, 3), ALL(2, 3));
	age_shards(40);
	reconcile(index);
	assert_int_equal(count_found(index, 2, 3), 0);
	assert_int_equal(loads, 1);
	ino_t inode = data_inode();
	reconcile(index);
	assert_int_equal(data_inode(), inode);
	index_close(index);
}

static void test_unreadable_pack(void **state)
{
	(void)state;
	struct index_stats st;
	char name[PACK_NAME_SIZE];
	struct pack_id id = id_of(5);
	store_packs(0, 5);
	pack_name(name, &id);
	assert_int_equal(store_put(store, name, "bad", 3, true), 0);
	age_shards(100);
	struct index *index = open_index();
	for (int i = 0; i < 2; i++) {
		reconcile(index);
		assert_int_equal(index_stats(index, &st), 0);
		assert_int_equal(st.unreadable_packs, 1);
		assert_int_equal(st.packs, 5);
	}
	assert_int_equal(store_delete(store, name), 0);
	store_pack(5);
	age_shards(100);
	reconcile(index);
	assert_int_equal(index_stats(index, &st), 0);
	assert_int_equal(st.unreadable_packs, 0);
	assert_int_equal(count_found(index, 0, 6), ALL(0, 6));
	index_close(index);
}

static int load_error;

static int fail_to_load(void *ctx, const struct pack_id *id,
		struct index_pack *out)
{
	(void)ctx;
	(void)id;
	(void)out;
	return (fail)(load_error, "the disk is on fire");
}

static void test_loader_fails(void **state)
{
	(void)state;
	struct index *index;
	store_packs(0, 3);
	assert_int_equal(index_open(&index, store, repo_id, dir, fail_to_load,
					 NULL),
			0);
	load_error = -EACCES;
	assert_int_equal(index_reconcile(index), -EACCES);
	assert_string_equal(error_text(-EACCES), "the disk is on fire");
	/* What the disk can't give back is left out until it can. */
	load_error = -EIO;
	reconcile(index);
	assert_int_equal(index_unreadable(index), 3);
	index_close(index);
	index = open_index();
	reconcile(index);
	assert_int_equal(count_found(index, 0, 3), ALL(0, 3));
	index_close(index);
}

/* --- lost, cut, foreign --- */

static void test_deleted(void **state)
{
	(void)state;
	store_packs(0, PACKS);
	struct index *index = open_index();
	reconcile(index);
	/* While it is open, directory and all. */
	directory_remove(dir);
	look_around(index, 0, PACKS);
	reconcile(index);
	assert_int_equal(count_found(index, 0, PACKS), ALL(0, PACKS));
	assert_true(data_size() > 0);
	directory_remove(dir);
	assert_int_equal(add_pack(index, PACKS), 0);
	assert_int_equal(count_found(index, PACKS, PACKS + 1), CHUNKS);
	store_pack(PACKS);
	reconcile(index);
	assert_int_equal(count_found(index, 0, PACKS + 1), ALL(0, PACKS + 1));
	index_close(index);
	directory_remove(dir);
	index = open_index();
	reconcile(index);
	assert_int_equal(count_found(index, 0, PACKS + 1), ALL(0, PACKS + 1));
	index_close(index);
}

static void test_truncated(void **state)
{
	(void)state;
	char path[128];
	data_path(path);
	store_packs(0, 16);
	struct index *index = open_index();
	reconcile(index);
	off_t full = data_size();
	index_close(index);
	for (off_t cut = 0; cut < full; cut += cut < 9000 ? 1111 : 13000) {
		assert_int_equal(truncate(path, cut), 0);
		index = open_index();
		look_around(index, 0, 16);
		reconcile(index);
		assert_int_equal(count_found(index, 0, 16), ALL(0, 16));
		index_close(index);
	}
}

static int cut_while_open(void *arg)
{
	char path[128];
	off_t cut = *(off_t *)arg;
	data_path(path);
	struct index *index = open_index();
	reconcile(index);
	if (truncate(path, cut) < 0)
		return 1;
	look_around(index, 0, 16);
	add_pack(index, 16);
	if (index_reconcile(index) < 0)
		return 2;
	if (count_found(index, 0, 16) != ALL(0, 16)
			&& (index_rebuild(index) < 0
					|| count_found(index, 0, 16)
							!= ALL(0, 16)))
		return 3;
	index_close(index);
	return 0;
}

static void test_truncated_while_open(void **state)
{
	(void)state;
	store_packs(0, 16);
	off_t cuts[] = { 0, 100, 4096, 8192, 20000, 40960, 90000 };
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		index_close(open_index());
		assert_int_equal(run_apart(cut_while_open, &cuts[i], 60), 0);
	}
}

static void copy_file(const char *from, const char *to)
{
	char buf[4096];
	size_t n;
	FILE *in = fopen(from, "r"), *out = fopen(to, "w");
	assert_true(in != NULL && out != NULL);
	while ((n = fread(buf, 1, sizeof(buf), in)) > 0)
		assert_int_equal(fwrite(buf, 1, n, out), n);
	assert_int_equal(fclose(out), 0);
	fclose(in);
}

static void test_foreign(void **state)
{
	(void)state;
	char path[128], copy[160];
	struct index *index;
	store_packs(0, 4);
	index = open_index();
	reconcile(index);
	assert_int_equal(add_pack(index, 7), 0); /* only in this index */
	index_close(index);
	index = open_index();
	assert_int_equal(count_found(index, 7, 8), CHUNKS);
	index_close(index);

	/* Another repository's. */
	uint8_t other[REPO_ID_SIZE] = "another";
	assert_int_equal(index_open(&index, store, other, dir, load, NULL), 0);
	assert_int_equal(count_found(index, 7, 8), 0);
	index_close(index);
	index = open_index();
	assert_int_equal(count_found(index, 7, 8), 0);
	reconcile(index);
	assert_int_equal(add_pack(index, 7), 0);
	index_close(index);

	/* A copy. */
	data_path(path);
	snprintf(copy, sizeof(copy), "%s.copy", path);
	copy_file(path, copy);
	assert_int_equal(rename(copy, path), 0);
	index = open_index();
	assert_int_equal(count_found(index, 0, 8), 0);
	reconcile(index);
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	index_close(index);

	/* A link is never written through. */
	copy_file(path, copy);
	struct stat before, after;
	assert_int_equal(stat(copy, &before), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(copy, path), 0);
	index = open_index();
	reconcile(index);
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	index_close(index);
	assert_int_equal(stat(copy, &after), 0);
	assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	assert_int_equal(lstat(path, &after), 0);
	assert_true(S_ISREG(after.st_mode));
}

/* --- an image of the index in memory, put back and damaged in place --- */

static uint8_t *image;
static size_t image_size;

static void take_image(void)
{
	char path[128];
	data_path(path);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	image_size = (size_t)data_size();
	image = realloc(image, image_size);
	assert_int_equal(fread(image, 1, image_size, f), image_size);
	fclose(f);
}

static size_t find_record(const uint8_t *data, size_t from, size_t len)
{
	for (; from + INDEX_RECORD_SIZE <= len; from++)
		if (memcmp(data + from + 4, repo_id, REPO_ID_SIZE) == 0)
			return from;
	return len;
}

/* A new file with the image's bytes that takes itself for the original; BUF
 * holds them and may be changed. */
static void put_image(uint8_t *buf)
{
	char path[128];
	struct stat st = { 0 };
	data_path(path);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (size_t at = 0;
			(at = find_record(buf, at, image_size)) < image_size;
			at++)
		put_le64(buf + at + 44, st.st_ino);
	assert_int_equal(write(fd, buf, image_size), image_size);
	close(fd);
}

static void test_foreign_machine(void **state)
{
	(void)state;
	struct index *index = open_index();
	assert_int_equal(add_pack(index, 7), 0);
	index_close(index);
	take_image();
	uint8_t *buf = malloc(image_size);
	memcpy(buf, image, image_size);
	put_image(buf);
	index = open_index();
	assert_int_equal(count_found(index, 7, 8), CHUNKS);
	index_close(index);
	for (size_t at = 0;
			(at = find_record(buf, at, image_size)) < image_size;
			at++)
		buf[at + 20] ^= 1;
	put_image(buf);
	index = open_index();
	assert_int_equal(count_found(index, 7, 8), 0);
	index_close(index);
	free(buf);
}

struct trial {
	unsigned seed;
	bool while_open;
};

static void damage(uint8_t *buf, unsigned seed)
{
	uint64_t r = mix(seed);
	size_t pages = image_size / 4096 + (image_size < 4096);
	switch (seed % 6) {
	case 0: /* a few bits anywhere */
		for (unsigned i = 0; i < 1 + seed % 40; i++) {
			r = mix(r);
			buf[r % image_size] ^= (uint8_t)(1 << (r >> 40) % 8);
		}
		break;
	case 1: /* in the headers of pages and nodes */
		for (unsigned i = 0; i < 12; i++) {
			r = mix(r);
			buf[r % pages * 4096 + (r >> 32) % 64] ^=
					(uint8_t)(r >> 40);
		}
		break;
	case 2: /* a page of noise */
		for (size_t i = 0; i < 4096; i++)
			buf[r % pages * 4096 + i] = (uint8_t)mix(r + i);
		break;
	case 3: /* one page in the place of another */
		memcpy(buf + r % pages * 4096, image + mix(r) % pages * 4096,
				4096);
		break;
	case 4: /* the meta pages */
		buf[r % 2 * 4096 + 8 + mix(r) % 150] ^=
				(uint8_t)(1 << (r >> 40) % 8);
		break;
	default: /* a range of zeros or ones */
		r %= image_size;
		memset(buf + r, seed % 12 < 6 ? 0 : 0xff,
				min_u64(image_size - r, 1 + seed * 37 % 20000));
	}
}

/* The bytes change under an open index. */
static int write_over(const uint8_t *buf)
{
	char path[128];
	data_path(path);
	int fd = open(path, O_WRONLY);
	ssize_t n = fd >= 0 ? pwrite(fd, buf, image_size, 0) : -1;
	close(fd);
	return n == (ssize_t)image_size ? 0 : -1;
}

static int run_trial(void *arg)
{
	const struct trial *trial = arg;
	uint8_t *buf = malloc(image_size);
	memcpy(buf, image, image_size);
	put_image(buf);
	struct index *index = NULL;
	if (trial->while_open) {
		index = open_index();
		look_around(index, 0, 2);
	}
	damage(buf, trial->seed);
	int err = write_over(buf);
	free(buf);
	if (err < 0)
		return 1;
	if (index == NULL)
		index = open_index();
	look_around(index, 0, PACKS);
	err = add_pack(index, PACKS + 1);
	if (err < 0 && err != -EAGAIN)
		return 2;
	look_around(index, 0, PACKS);
	if (index_reconcile(index) < 0)
		return 3;
	look_around(index, 0, PACKS);
	if (index_rebuild(index) < 0)
		return 4;
	if (count_found(index, 0, PACKS) != ALL(0, PACKS))
		return 5;
	struct index_stats st;
	if (index_stats(index, &st) < 0 || st.packs != PACKS)
		return 6;
	index_close(index);
	return 0;
}

static void test_flipped_bits(void **state)
{
	(void)state;
	const char *n = getenv("INDEX_TRIALS");
	unsigned trials = n != NULL ? (unsigned)strtoul(n, NULL, 10) : TRIALS;
	store_packs(0, PACKS);
	struct index *index = open_index();
	for (unsigned p = 0; p < PACKS; p += 7)
		assert_int_equal(add_pack(index, p), 0);
	reconcile(index);
	index_close(index);
	take_image();
	index_tuning.silence_ms = 8000;
	/* Spent whole where damage leads to a loop; the work takes a hundredth. */
	index_tuning.cpu_seconds = 1;
	index_tuning.run_entries = 1 << 20;
	for (unsigned i = 0; i < trials; i++) {
		struct trial t = { i, i / 6 % 2 == 1 };
		int err = run_apart(run_trial, &t, 60);
		if (err != 0)
			print_error("trial %u: %d\n", i, err);
		assert_int_equal(err, 0);
	}
}

/* --- other processes --- */

static int hold_lock(void *arg)
{
	struct index_place place;
	int fd;
	int *ready = arg;
	if (index_place_open(&place, repo_id, dir) < 0
			|| index_place_lock(&fd, &place, 1000) < 0
			|| write(ready[1], "x", 1) != 1)
		return 1;
	for (;;)
		pause();
	return 0;
}

/* A process that holds the lock and is stopped. */
static pid_t start_holder(void)
{
	int ready[2], status;
	char c;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		_exit(hold_lock(ready));
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	kill(pid, SIGSTOP);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	return pid;
}

static void end_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_lock_is_held(void **state)
{
	(void)state;
	store_packs(0, 4);
	struct index *index = open_index();
	reconcile(index);
	index_close(index);
	pid_t holder = start_holder();
	index_tuning.lock_ms = 300;

	uint64_t start = index_child_clock_ms();
	index = open_index();
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	assert_int_equal(add_pack(index, 4), -EAGAIN);
	assert_non_null(strstr(error_text(-EAGAIN), "another process"));
	/* A reader finds new packs all the same. */
	store_packs(5, 9);
	reconcile(index);
	assert_int_equal(count_found(index, 5, 9), ALL(5, 9));
	assert_true(writer_finds(index, prefix_of(5, 0)));
	delete_pack(6);
	loads = 0;
	reconcile(index);
	assert_int_equal(loads, 0);
	assert_int_equal(count_found(index, 6, 7), 0);
	assert_int_equal(count_found(index, 8, 9), CHUNKS);
	assert_int_equal(index_rebuild(index), -EAGAIN);
	index_tuning.memory_entries = 10;
	store_pack(10);
	assert_int_equal(index_reconcile(index), -EAGAIN);
	assert_true(index_child_clock_ms() - start < 10000);

	end_holder(holder);
	reconcile(index);
	assert_int_equal(count_found(index, 5, 6), CHUNKS);
	index_close(index);
	index = open_index();
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	assert_int_equal(count_found(index, 5, 6), CHUNKS);
	assert_int_equal(count_found(index, 6, 7), 0);
	assert_int_equal(count_found(index, 8, 9), CHUNKS);
	assert_int_equal(count_found(index, 10, 11), CHUNKS);
	index_close(index);
}

/* Nobody has an index yet and the lock can't be had. */
static void test_lock_is_held_at_first(void **state)
{
	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	pid_t holder = start_holder();
	index_tuning.lock_ms = 100;
	store_packs(0, 4);
	struct index *index = open_index();
	assert_false(writer_finds(index, prefix_of(0, 0)));
	reconcile(index);
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	end_holder(holder);
	reconcile(index);
	index_close(index);
	loads = 0;
	index = open_index();
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	assert_int_equal(loads, 0);
	index_close(index);
}

static int add_range(void *arg)
{
	unsigned from = *(unsigned *)arg;
	struct index *index = open_index();
	for (unsigned p = from; p < from + 10; p++)
		if (add_pack(index, p) < 0)
			return 1;
	if (count_found(index, from, from + 10) != ALL(0, 10))
		return 2;
	index_close(index);
	return 0;
}

static void test_two_processes_add(void **state)
{
	(void)state;
	pid_t pids[3];
	for (unsigned i = 0; i < 3; i++) {
		unsigned from = i * 9; /* each shares a pack with the next */
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(add_range(&from));
	}
	for (unsigned i = 0; i < 3; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	struct index *index = open_index();
	struct index_stats st;
	assert_int_equal(index_stats(index, &st), 0);
	assert_int_equal(st.packs, 28);
	assert_int_equal(count_found(index, 0, 28), ALL(0, 28));
	index_close(index);
}

/* The map of this process is soon too small for what the other one writes. */
static void test_map_grows(void **state)
{
	(void)state;
	unsigned from = 20;
	index_tuning.map_size = 128 << 10;
	struct index *index = open_index();
	assert_int_equal(add_pack(index, 0), 0);
	assert_int_equal(count_found(index, 0, 1), CHUNKS);
	for (int i = 0; i < 4; i++) {
		from = 20 + 10 * (unsigned)i;
		assert_int_equal(run_apart(add_range, &from, 60), 0);
		assert_int_equal(count_found(index, from, from + 10),
				ALL(0, 10));
	}
	assert_true(data_size() > 128 << 10);
	assert_int_equal(count_found(index, 0, 1), CHUNKS);
	index_close(index);
}

/* Another process finds damage and makes a new index; ours follows. */
static int rebuild_apart(void *arg)
{
	(void)arg;
	struct index *index = open_index();
	int err = index_rebuild(index);
	index_close(index);
	return err < 0;
}

static void test_replaced_while_open(void **state)
{
	(void)state;
	store_packs(0, 8);
	struct index *index = open_index();
	reconcile(index);
	assert_int_equal(run_apart(rebuild_apart, NULL, 60), 0);
	assert_int_equal(count_found(index, 0, 8), ALL(0, 8));
	assert_int_equal(add_pack(index, 8), 0);
	assert_int_equal(count_found(index, 0, 9), ALL(0, 9));
	index_close(index);
	index = open_index();
	assert_int_equal(count_found(index, 0, 9), ALL(0, 9));
	index_close(index);
}

/* --- threads --- */

struct seeker {
	struct index *ix;
	atomic_bool *stop;
	unsigned misses;
};

static void *seek(void *arg)
{
	struct seeker *seeker = arg;
	while (!atomic_load(seeker->stop)) {
		seeker->misses += ALL(0, 2) - count_found(seeker->ix, 0, 2);
		writer_finds(seeker->ix, prefix_of(30, 1));
	}
	return NULL;
}

static void test_threads(void **state)
{
	(void)state;
	pthread_t threads[20];
	struct seeker seekers[20];
	atomic_bool stop = false;
	store_packs(0, 3);
	index_tuning.map_size = 128 << 10;
	struct index *index = open_index();
	reconcile(index);
	for (int i = 0; i < 20; i++) {
		seekers[i] = (struct seeker){ index, &stop, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, seek,
						 &seekers[i]),
				0);
	}
	for (unsigned p = 3; p < 30; p++)
		assert_int_equal(add_pack(index, p), 0);
	store_pack(30);
	reconcile(index);
	atomic_store(&stop, true);
	for (int i = 0; i < 20; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(seekers[i].misses, 0);
	}
	assert_int_equal(count_found(index, 30, 31), CHUNKS);
	index_close(index);
}

/* --- the child and its limits --- */

/* What this program does in the place of amberfs-index. */

static _Noreturn void spin(void)
{
	for (volatile uint64_t n = 0;; n = n + 1)
		;
}

/* A terminal's and an operator's signals do not touch it. */
static void take_signals(void)
{
	raise(SIGINT);
	raise(SIGTERM);
	raise(SIGTSTP);
	raise(SIGKILL);
}

/* The lock, the channel, the directory, the request, and /dev/null. */
static int files_are_right(const struct helper *helper)
{
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fd > 2 && fcntl(fd, F_GETFD) >= 0;
	return n == 4 && fcntl(helper->lock, F_GETFD) >= 0
					&& helper->channel > 2
			? 0
			: -EINVAL;
}

static int environment_is_right(void)
{
	return getenv("SECRET_OF_A_COMMAND") == NULL
					&& getenv("LD_PRELOADED") != NULL
			? 0
			: -EINVAL;
}

static int child_main(int argc, char **argv)
{
	char what[16] = "";
	struct helper helper;
	helper_begin(&helper, argc, argv);
	helper_limit(1);
	if (pread(helper.request, what, sizeof(what) - 1, 0) < 0)
		return 1;
	helper_alive(&helper);
	if (strcmp(what, "sleep") == 0)
		for (;;)
			pause();
	if (strcmp(what, "spin") == 0)
		spin();
	if (strcmp(what, "crash") == 0)
		raise(SIGSEGV);
	if (strcmp(what, "killed") == 0)
		take_signals();
	if (strcmp(what, "full") == 0)
		helper_end(&helper, -ENOSPC);
	if (strcmp(what, "files") == 0)
		helper_end(&helper, files_are_right(&helper));
	if (strcmp(what, "environment") == 0)
		helper_end(&helper, environment_is_right());
	return 1;
}

static int run_child(const struct index_place *place, int lock,
		const char *what)
{
	int request = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(request, what, strlen(what)), strlen(what));
	int err = index_child_run(place, lock, request);
	close(request);
	return err;
}

static void test_child(void **state)
{
	(void)state;
	struct index_place place;
	int lock;
	assert_int_equal(index_place_open(&place, repo_id, dir), 0);
	assert_int_equal(index_place_lock(&lock, &place, 100), 0);
	close(place.program);
	place.program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(run_child(&place, lock, "full"), -ENOSPC);
	assert_int_equal(run_child(&place, lock, "crash"), -EBADMSG);
	assert_int_equal(run_child(&place, lock, "killed"), -EAGAIN);
	int open_for_all = open("/dev/null", O_RDONLY);
	assert_int_equal(run_child(&place, lock, "files"), 0);
	close(open_for_all);
	setenv("SECRET_OF_A_COMMAND", "1", 1);
	setenv("LD_PRELOADED", "1", 1);
	assert_int_equal(run_child(&place, lock, "environment"), 0);
	assert_int_equal(run_child(&place, lock, "spin"), -EBADMSG);
	index_tuning.silence_ms = 300;
	assert_int_equal(run_child(&place, lock, "sleep"), -EAGAIN);
	/* Whoever collects the program's children. */
	signal(SIGCHLD, SIG_IGN);
	assert_int_equal(run_child(&place, lock, "full"), -ENOSPC);
	signal(SIGCHLD, SIG_DFL);
	close(lock);
	index_place_close(&place);
}

static pid_t reader_of(struct index *index)
{
	char path[64], line[256];
	long pid = 0;
	(void)index;
	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
			(int)getpid());
	FILE *f = fopen(path, "r");
	if (f != NULL && fgets(line, sizeof(line), f) != NULL)
		pid = strtol(line, NULL, 10);
	if (f != NULL)
		fclose(f);
	return (pid_t)pid;
}

/* Killed from outside, it says nothing of the index. */
static void test_reader_is_killed(void **state)
{
	(void)state;
	store_packs(0, 4);
	struct index *index = open_index();
	reconcile(index);
	pid_t reader = reader_of(index);
	if (reader <= 0)
		skip(); /* a kernel without children in /proc */
	ino_t inode = data_inode();
	kill(reader, SIGKILL);
	look_around(index, 0, 4);
	loads = 0;
	reconcile(index);
	assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
	assert_int_equal(loads, 0);
	assert_int_equal(data_inode(), inode);
	index_close(index);
}

/* The writer's lock goes with the process that is killed in the middle. */
static int add_for_ever(void *arg)
{
	(void)arg;
	struct index *index = open_index();
	for (unsigned p = 0;; p++)
		if (add_pack(index, p) < 0)
			return 1;
}

static void test_writer_is_killed(void **state)
{
	(void)state;
	store_packs(0, 4);
	for (unsigned i = 0; i < 12; i++) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(add_for_ever(NULL));
		struct timespec t = { .tv_nsec = 3000000L * (3 + 2 * i) };
		nanosleep(&t, NULL);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		uint64_t start = index_child_clock_ms();
		struct index *index = open_index();
		assert_int_equal(add_pack(index, 1000), 0);
		reconcile(index);
		assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
		assert_true(index_child_clock_ms() - start < 8000);
		index_close(index);
	}
}

/* --- the filter --- */

/* What the filter alone says. */
static bool filter_maybe(const struct index *index, uint64_t prefix)
{
	not_shared(&index->lock);
	return index->filter == NULL
			|| index_filter_maybe(index->filter, index_key(prefix));
}

static unsigned count_maybe(struct index *index, unsigned from, unsigned to)
{
	unsigned n = 0;
	for (unsigned p = from; p < to; p++)
		for (unsigned i = 0; i < CHUNKS; i++)
			n += filter_maybe(index, prefix_of(p, i));
	return n;
}

static void filter_path(char out[128])
{
	snprintf(out, 128, "%s/" INDEX_FILTER_FILE, dir);
}

static void test_filter(void **state)
{
	(void)state;
	char path[128];
	struct stat st;
	filter_path(path);
	struct index *index = open_index();
	for (unsigned p = 0; p < PACKS; p++) {
		assert_int_equal(add_pack(index, p), 0);
		assert_int_equal(count_maybe(index, p, p + 1), CHUNKS);
	}
	assert_int_equal(count_maybe(index, 0, PACKS), ALL(0, PACKS));
	assert_true(count_maybe(index, 1002, 1102) < ALL(0, 100) / 50);
	assert_int_equal(stat(path, &st), 0);

	/* Cut under an open index: no crash, all may be there. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(count_maybe(index, 0, PACKS), ALL(0, PACKS));
	/* The next merge makes it anew. */
	assert_int_equal(add_pack(index, PACKS), 0);
	assert_int_equal(count_maybe(index, 0, PACKS + 1), ALL(0, PACKS + 1));
	assert_true(count_maybe(index, 1002, 1102) < ALL(0, 100) / 50);

	/* Without one, all may be there. */
	index_close(index);
	assert_int_equal(unlink(path), 0);
	index = open_index();
	assert_int_equal(count_maybe(index, 1002, 1012), ALL(0, 10));
	assert_int_equal(add_pack(index, PACKS + 1), 0);
	assert_int_equal(count_maybe(index, 0, PACKS + 2), ALL(0, PACKS + 2));
	assert_true(count_maybe(index, 1002, 1102) < ALL(0, 100) / 50);
	index_close(index);
}

/* Merged by another process: our mapping sees it. */
static void test_filter_is_shared(void **state)
{
	(void)state;
	unsigned from = 20;
	struct index *index = open_index();
	assert_int_equal(add_pack(index, 0), 0);
	assert_int_equal(count_maybe(index, 20, 30) < 20, 1);
	assert_int_equal(run_apart(add_range, &from, 60), 0);
	assert_int_equal(count_maybe(index, 20, 30), ALL(0, 10));
	index_close(index);
}

static void test_filter_outgrown(void **state)
{
	(void)state;
	enum { MANY = 60000 };
	char path[128];
	struct stat before, after;
	uint64_t *prefixes = malloc(MANY * sizeof(*prefixes));
	filter_path(path);
	struct index *index = open_index();
	assert_int_equal(add_pack(index, 0), 0);
	assert_int_equal(stat(path, &before), 0);
	struct index_pack k = pack_of(1002, prefixes, MANY);
	assert_int_equal(index_merge_packs(index, &k, 1), 0);
	k = pack_of(1005, prefixes, MANY);
	assert_int_equal(index_merge_packs(index, &k, 1), 0);
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_size > before.st_size);
	assert_int_equal(count_maybe(index, 0, 1), CHUNKS);
	for (unsigned i = 0; i < MANY; i++)
		if (!filter_maybe(index, prefix_of(1002, i))
				|| !filter_maybe(index, prefix_of(1005, i)))
			fail_msg("chunk %u is not in the filter", i);
	assert_true(count_maybe(index, 2001, 2101) < ALL(0, 100) / 30);
	index_close(index);
	free(prefixes);
}

/* --- the directory --- */

static int open_at(const char *path, bool make_above)
{
	char *real;
	int fd;
	int err = index_trust_open(&fd, &real, path, make_above);
	if (err < 0)
		return err;
	close(fd);
	free(real);
	return 0;
}

static const char *below(const char *name)
{
	static char path[4][160];
	static unsigned at;
	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", directory, name);
	return path[at];
}

static void test_directory(void **state)
{
	(void)state;
	struct index *index;
	const char *deep = below("a/b");
	assert_int_equal(index_open(&index, store, repo_id, deep, load, NULL),
			-ENOENT);
	assert_int_equal(mkdir(below("a"), 0700), 0);
	assert_int_equal(index_open(&index, store, repo_id, deep, load, NULL),
			0);
	assert_string_equal(index_dir(index), deep);
	index_close(index);
	assert_int_equal(index_open(&index, store, repo_id, "/dev/null", load,
					 NULL),
			-ENOTDIR);
	assert_non_null(strstr(error_text(-ENOTDIR), "--index-dir"));
	assert_int_equal(chdir(directory), 0);
	assert_int_equal(open_at("a/../a/./b", false), 0);
	assert_int_equal(chdir("/"), 0);
}

/* Only where nobody else can put anything. */
static void test_trust(void **state)
{
	(void)state;
	assert_int_equal(open_at(below("x/y/z"), true), 0);
	assert_int_equal(chmod(below("x/y"), 0775), 0);
	assert_int_equal(open_at(below("x/y/z"), true), -EPERM);
	assert_non_null(strstr(error_text(-EPERM), "/x/y may be written"));
	/* What is ours in it stays. */
	assert_int_equal(chmod(below("x/y"), 01777), 0);
	assert_int_equal(open_at(below("x/y/z"), true), 0);
	assert_int_equal(open_at(below("x/y"), true), -EPERM);
	assert_int_equal(chmod(below("x/y/z"), 0702), 0);
	assert_int_equal(open_at(below("x/y/z"), true), -EPERM);

	/* Links of ours, where nobody else could make them. */
	assert_int_equal(mkdir(below("t"), 0700), 0);
	assert_int_equal(symlink("t", below("l")), 0);
	assert_int_equal(symlink(below("l/u"), below("m")), 0);
	assert_int_equal(open_at(below("m/v"), true), 0);
	assert_int_equal(access(below("t/u/v"), F_OK), 0);
	assert_int_equal(symlink("round", below("round")), 0);
	assert_int_equal(open_at(below("round"), true), -ELOOP);
	if (geteuid() != 0)
		return;
	assert_int_equal(lchown(below("l"), 65534, 65534), 0);
	assert_int_equal(open_at(below("m/v"), true), -EPERM);
	assert_non_null(strstr(error_text(-EPERM), "link of another user"));
	assert_int_equal(chown(below("t"), 65534, 65534), 0);
	assert_int_equal(open_at(below("t/u"), true), -EPERM);
}

/* Files of the index that are links, or others may write: not touched, not
 * followed. */
static void test_planted_files(void **state)
{
	(void)state;
	static const char *const names[] = { "data.mdb", "lock.mdb", "lock",
		"filter" };
	char path[160];
	struct stat st;
	store_packs(0, 4);
	FILE *f = fopen(below("victim"), "w");
	assert_true(f != NULL && fputs("untouched", f) > 0);
	fclose(f);
	for (unsigned i = 0; i < 3 * ARRAY_SIZE(names); i++) {
		struct index *index = open_index();
		reconcile(index);
		index_close(index);
		snprintf(path, sizeof(path), "%s/%s", dir, names[i / 3]);
		if (i % 3 == 2) {
			assert_int_equal(chmod(path, 0666), 0);
		} else {
			assert_int_equal(unlink(path), 0);
			assert_int_equal((i % 3 == 0 ? symlink
						     : link)(below("victim"),
							 path),
					0);
		}
		index = open_index();
		assert_int_equal(add_pack(index, 4), 0);
		reconcile(index);
		assert_int_equal(count_found(index, 0, 4), ALL(0, 4));
		index_close(index);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(index_layout_owns(&st));
		assert_int_equal(stat(below("victim"), &st), 0);
		assert_int_equal(st.st_size, strlen("untouched"));
	}
}

/* In the repository: not read, and removed if it is an index and no more. */
static void test_former_index(void **state)
{
	(void)state;
	struct stat st;
	struct index *index;
	assert_int_equal(index_open(&index, store, repo_id, below("r/index"),
					 load, NULL),
			0);
	assert_int_equal(add_pack(index, 0), 0);
	index_close(index);
	assert_int_equal(stat(below("r/index/data.mdb"), &st), 0);
	index_close(open_index());
	assert_int_equal(lstat(below("r/index"), &st), -1);

	assert_int_equal(mkdir(below("elsewhere"), 0700), 0);
	assert_int_equal(symlink(below("elsewhere"), below("r/index")), 0);
	FILE *f = fopen(below("elsewhere/data.mdb"), "w");
	assert_non_null(f);
	fclose(f);
	index_close(open_index());
	assert_int_equal(stat(below("elsewhere/data.mdb"), &st), 0);
	assert_int_equal(unlink(below("r/index")), 0);

	/* A directory with something of the user's. */
	assert_int_equal(rename(below("elsewhere"), below("r/index")), 0);
	f = fopen(below("r/index/notes"), "w");
	assert_non_null(f);
	fclose(f);
	index_close(open_index());
	assert_int_equal(stat(below("r/index/data.mdb"), &st), 0);
}

static unsigned entries_of(const char *path)
{
	unsigned n = 0;
	DIR *list = opendir(path);
	assert_non_null(list);
	while (readdir(list) != NULL)
		n++;
	closedir(list);
	return n - 2;
}

/* No place of its user's: one for the time. ARG: is killed in it. */
static int open_temporary(void *arg)
{
	struct stat st;
	struct index *index;
	setenv("XDG_CACHE_HOME", "/proc/none", 1);
	setenv("HOME", "/proc/none", 1);
	setenv("TMPDIR", below("tmp"), 1);
	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	if (index_open(&index, store, repo_id, NULL, load, NULL) < 0)
		return 2;
	if (strncmp(index_dir(index), below("tmp/"), strlen(below("tmp/"))) != 0
			|| stat(index_dir(index), &st) < 0
			|| (st.st_mode & 07777) != 0700)
		return 3;
	if (index_reconcile(index) < 0 || count_found(index, 0, 4) != ALL(0, 4))
		return 4;
	if (arg != NULL)
		kill(getpid(), SIGKILL);
	index_close(index);
	return 0;
}

/* Somebody who may read the repository but not write it. */
static int open_as_nobody(void *arg)
{
	struct index *index;
	const char *cache = below("cache");
	(void)arg;
	if (setgid(65534) < 0 || setuid(65534) < 0
			|| setenv("XDG_CACHE_HOME", cache, 1) < 0)
		return 1;
	if (index_open(&index, store, repo_id, NULL, load, NULL) < 0)
		return 2;
	if (strncmp(index_dir(index), cache, strlen(cache)) != 0)
		return 3;
	if (index_reconcile(index) < 0 || count_found(index, 0, 4) != ALL(0, 4))
		return 4;
	index_close(index);
	return 0;
}

static int let_read(const char *path, const struct stat *st, int type,
		struct FTW *ftw)
{
	(void)ftw;
	return chmod(path, st->st_mode | (type == FTW_D ? 0555 : 0444));
}

static void test_cache_directory(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	store_packs(0, 4);
	nftw(directory, let_read, 16, FTW_PHYS);
	assert_int_equal(mkdir(below("cache"), 0700), 0);
	assert_int_equal(chown(below("cache"), 65534, 65534), 0);
	assert_int_equal(run_apart(open_as_nobody, NULL, 60), 0);
}

static void test_temporary(void **state)
{
	(void)state;
	store_packs(0, 4);
	nftw(directory, let_read, 16, FTW_PHYS);
	assert_int_equal(mkdir(below("tmp"), 0700), 0);
	assert_int_equal(chmod(below("tmp"), 01777), 0);
	assert_int_equal(run_apart(open_temporary, NULL, 60), 0);
	assert_int_equal(entries_of(below("tmp")), 0);
	/* What a killed one left, the next one takes away. */
	int killed = 1;
	assert_int_equal(run_apart(open_temporary, &killed, 60),
			1000 + SIGKILL);
	assert_int_equal(entries_of(below("tmp")), 1);
	assert_int_equal(run_apart(open_temporary, NULL, 60), 0);
	assert_int_equal(entries_of(below("tmp")), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	if (argc > 1)
		return child_main(argc, argv);
	const struct CMUnitTest tests[] = {
		TEST(test_find_after_add),
		TEST(test_add_twice_and_many),
		TEST(test_many_copies),
		TEST(test_reconcile),
		TEST(test_settled_shards),
		TEST(test_unreadable_pack),
		TEST(test_loader_fails),
		TEST(test_deleted),
		TEST(test_truncated),
		TEST(test_truncated_while_open),
		TEST(test_foreign),
		TEST(test_foreign_machine),
		TEST(test_flipped_bits),
		TEST(test_lock_is_held),
		TEST(test_lock_is_held_at_first),
		TEST(test_two_processes_add),
		TEST(test_map_grows),
		TEST(test_replaced_while_open),
		TEST(test_threads),
		TEST(test_child),
		TEST(test_reader_is_killed),
		TEST(test_writer_is_killed),
		TEST(test_filter),
		TEST(test_filter_is_shared),
		TEST(test_filter_outgrown),
		TEST(test_directory),
		TEST(test_trust),
		TEST(test_planted_files),
		TEST(test_former_index),
		TEST(test_temporary),
		TEST(test_cache_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
