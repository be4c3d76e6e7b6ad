/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: the local store puts durably and exclusively, reads,
 * lists and deletes objects, cleans up after the dead, and tells them from the
 * living. */
#include "directory.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */
#include "repo/store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define ID_A "00112233445566778899aabbccddeeff"
#define ID_B "ffeeddccbbaa99887766554433221100"
#define PACK "packs/3f/3f00aa"

struct fixture {
	char directory[DIRECTORY_MAX], repo[96];
	struct store *s;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	if (directory_make(f->directory, "test_store") < 0)
		return -1;
	snprintf(f->repo, sizeof(f->repo), "%s/repo", f->directory);
	*state = f;
	return store_create_local(&f->s, f->repo);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	store_close(f->s);
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

static void put(struct store *store, const char *name, const char *text)
{
	assert_int_equal(store_put(store, name, text, strlen(text), true), 0);
}

static void assert_holds(struct store *store, const char *name,
		const char *text)
{
	void *data;
	size_t len;
	assert_int_equal(store_get(store, name, &data, &len, 1 << 20), 0);
	assert_int_equal(len, strlen(text));
	assert_memory_equal(data, text, len);
	free(data);
}

static int add_name(void *ctx, const char *name)
{
	char *list = ctx;
	strcat(list, name);
	strcat(list, " ");
	return 0;
}

static int count_name(void *ctx, const char *name)
{
	(void)name;
	++*(int *)ctx;
	return 0;
}

static int stop_at_once(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return 7;
}

static int count(struct store *store, const char *prefix)
{
	int n = 0;
	assert_int_equal(store_list(store, prefix, count_name, &n), 0);
	return n;
}

static void touch(struct fixture *f, const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", f->repo, name);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static bool exists(struct fixture *f, const char *name)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", f->repo, name);
	return access(path, F_OK) == 0;
}

static void test_create(void **state)
{
	struct fixture *f = *state;
	struct store *other;
	struct stat st;
	char path[128];
	assert_true(exists(f, "packs/00"));
	assert_true(exists(f, "packs/ff"));
	assert_true(exists(f, "condemned"));
	assert_false(exists(f, "index"));
	assert_int_equal(stat(f->repo, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_true(store_writable(f->s));
	assert_int_equal(store_path(f->s)[0], '/');
	assert_int_equal(store_create_local(&other, f->repo), -ENOTEMPTY);
	assert_non_null(strstr(error_text(-ENOTEMPTY), "interrupted init"));
	touch(f, "config");
	assert_int_equal(store_create_local(&other, f->repo), -ENOTEMPTY);
	assert_non_null(strstr(error_text(-ENOTEMPTY), "not empty"));
	snprintf(path, sizeof(path), "%s/no/repo", f->directory);
	assert_int_equal(store_create_local(&other, path), -ENOENT);
	assert_int_equal(store_open_local(&other, path), -ENOENT);
	snprintf(path, sizeof(path), "%s/fresh", f->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(strlen(path) < 100, 1);
	strcat(path, "/lost+found");
	assert_int_equal(mkdir(path, 0700), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(store_create_local(&other, path), 0);
	store_close(other);
}

static void test_put_and_get(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char buf[16], path[160];
	uint64_t size;
	void *data;
	size_t len;
	put(f->s, "config", "top");
	assert_holds(f->s, "config", "top");
	put(f->s, PACK, "0123456789");
	assert_holds(f->s, PACK, "0123456789");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_get_range(f->s, PACK, buf, 4, 3), 4);
		assert_memory_equal(buf, "3456", 4);
	}
	assert_int_equal(store_get_range(f->s, PACK, buf, 16, 8), 2);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 10), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 1 << 30), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, UINT64_MAX),
			-EINVAL);
	assert_int_equal(store_size(f->s, PACK, &size), 0);
	assert_int_equal(size, 10);
	assert_int_equal(store_get(f->s, PACK, &data, &len, 9), -EFBIG);
	assert_int_equal(store_get(f->s, "keys/none", &data, &len, 9), -ENOENT);
	assert_int_equal(store_size(f->s, "keys/none", &size), -ENOENT);
	assert_int_equal(store_get_range(f->s, "keys/none", buf, 1, 0),
			-ENOENT);
	put(f->s, "keys/empty", "");
	assert_holds(f->s, "keys/empty", "");
	snprintf(path, sizeof(path), "%s/%s", f->repo, PACK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_exclusive(void **state)
{
	struct fixture *f = *state;
	put(f->s, "snapshots/web/20261123T040000Z", "one");
	assert_int_equal(store_put(f->s, "snapshots/web/20261123T040000Z",
					 "two", 3, true),
			-EEXIST);
	assert_holds(f->s, "snapshots/web/20261123T040000Z", "one");
	assert_int_equal(store_put(f->s, "snapshots/web/20261123T040000Z",
					 "three", 5, false),
			0);
	assert_holds(f->s, "snapshots/web/20261123T040000Z", "three");
	/* Nothing temporary stays behind a refusal. */
	assert_int_equal(store_delete(f->s, "snapshots/web/20261123T040000Z"),
			0);
	char path[160];
	snprintf(path, sizeof(path), "%s/snapshots/web", f->repo);
	assert_int_equal(rmdir(path), 0);
}

static void test_replaced_pack_is_read_anew(void **state)
{
	struct fixture *f = *state;
	char buf[4];
	put(f->s, PACK, "aaaa");
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	assert_int_equal(store_put(f->s, PACK, "bbbb", 4, false), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	assert_memory_equal(buf, "bbbb", 4);
}

static void test_large_put(void **state)
{
	struct fixture *f = *state;
	struct store_put *put;
	size_t len = 1000003;
	uint64_t size;
	CLEANUP_FREE unsigned char *block = malloc(len);
	CLEANUP_FREE unsigned char *back = malloc(len);
	for (size_t i = 0; i < len; i++)
		block[i] = (unsigned char)(i * 2654435761u >> 13);
	assert_int_equal(store_put_begin(f->s, &put, PACK), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(store_put_write(put, block, len), 0);
	assert_int_equal(count(f->s, "packs/"), 0);
	assert_int_equal(store_put_read(put, back, len, 7 * len), 0);
	assert_memory_equal(back, block, len);
	assert_int_equal(store_put_read(put, back, 2, 20 * len - 1), -EINVAL);
	assert_int_equal(store_put_commit(put, true), 0);
	assert_int_equal(store_size(f->s, PACK, &size), 0);
	assert_int_equal(size, 20 * len);
	assert_int_equal(store_get_range(f->s, PACK, back, len, 19 * len), len);
	assert_memory_equal(back, block, len);
	assert_int_equal(store_put_begin(f->s, &put, "packs/00/00"), 0);
	assert_int_equal(store_put_write(put, block, len), 0);
	store_put_abort(put);
	store_put_abort(NULL);
	assert_int_equal(count(f->s, "packs/00/"), 0);
	char path[160];
	snprintf(path, sizeof(path), "%s/packs/00", f->repo);
	assert_int_equal(rmdir(path), 0);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "/", "/etc/passwd", "keys/",
		"keys//a", "keys/../config", "..", ".", ".hidden", "keys/.a",
		"keys/a b", "keys/\xc3\xa4", "a/b/c/d/e", "sessions/a.lock",
		"keys/\n" };
	struct fixture *f = *state;
	char name[OBJECT_NAME_MAX + 1];
	void *data;
	size_t len;
	int n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(store_put(f->s, bad[i], "x", 1, false),
				-EINVAL);
		assert_int_equal(store_get(f->s, bad[i], &data, &len, 9),
				-EINVAL);
		assert_int_equal(store_delete(f->s, bad[i]), -EINVAL);
	}
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(store_put(f->s, name, "x", 1, false), -EINVAL);
	assert_int_equal(store_list(f->s, "", count_name, &n), -EINVAL);
	assert_int_equal(store_list(f->s, "keys", count_name, &n), -EINVAL);
	assert_int_equal(store_list(f->s, "../", count_name, &n), -EINVAL);
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	char list[512] = "";
	put(f->s, "packs/3f/3f", "x");
	put(f->s, "packs/00/00", "x");
	put(f->s, "snapshots/web/1", "x");
	put(f->s, "snapshots/web/2", "x");
	put(f->s, "snapshots/db.lock/1", "x");
	touch(f, "snapshots/web/.tmp.none.99");
	touch(f, "snapshots/web/foreign file");
	touch(f, "snapshots/.hidden");
	touch(f, "sessions/x.lock");
	assert_int_equal(count(f->s, "packs/"), 2);
	assert_int_equal(count(f->s, "snapshots/"), 3);
	assert_int_equal(count(f->s, "sessions/"), 0);
	assert_int_equal(count(f->s, "snapshots/nothing/"), 0);
	assert_int_equal(store_list(f->s, "nothing/", add_name, list), -EIO);
	assert_int_equal(store_list(f->s, "packs/3f/", add_name, list), 0);
	assert_string_equal(list, "packs/3f/3f ");
	assert_int_equal(store_list(f->s, "snapshots/", stop_at_once, NULL), 7);
}

static void test_not_plain_files(void **state)
{
	struct fixture *f = *state;
	char path[160];
	void *data;
	size_t len;
	snprintf(path, sizeof(path), "%s/keys/fifo", f->repo);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/keys/link", f->repo);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(store_get(f->s, "keys/fifo", &data, &len, 99),
			-EBADMSG);
	assert_int_equal(store_get(f->s, "keys/link", &data, &len, 99),
			-EBADMSG);
}

static void test_delete(void **state)
{
	struct fixture *f = *state;
	char buf[4];
	put(f->s, PACK, "abcd");
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	assert_int_equal(store_delete(f->s, PACK), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), -ENOENT);
	assert_int_equal(store_delete(f->s, PACK), -ENOENT);
	assert_int_equal(store_delete(f->s, "nothing/here"), -ENOENT);
}

static void test_delete_many(void **state)
{
	struct fixture *f = *state;
	char buf[4];
	put(f->s, PACK, "abcd");
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	assert_int_equal(store_delete_unsynced(f->s, PACK), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), -ENOENT);
	assert_int_equal(store_delete_unsynced(f->s, PACK), -ENOENT);
	assert_int_equal(store_sync(f->s, PACK), 0);
	assert_int_equal(store_sync(f->s, "nothing/here"), -ENOENT);
	assert_int_equal(store_sync(f->s, "../here"), -EINVAL);
}

static struct store_put *begun(struct store *store, const char *name,
		const char *text)
{
	struct store_put *put = NULL;
	assert_int_equal(store_put_begin(store, &put, name), 0);
	assert_int_equal(store_put_write(put, text, strlen(text)), 0);
	return put;
}

static void test_commit_all(void **state)
{
	struct fixture *f = *state;
	struct store_put *puts[3];
	char buf[4];
	put(f->s, "condemned/b", "old");
	puts[0] = begun(f->s, "condemned/a", "new");
	puts[1] = begun(f->s, "condemned/b", "new");
	puts[2] = begun(f->s, "condemned/c", "new");
	assert_int_equal(store_put_commit_all(puts, 3), 0);
	assert_int_equal(store_get_range(f->s, "condemned/a", buf, 4, 0), 3);
	assert_memory_equal(buf, "new", 3);
	assert_int_equal(store_get_range(f->s, "condemned/b", buf, 4, 0), 3);
	assert_memory_equal(buf, "old", 3);
	assert_int_equal(store_get_range(f->s, "condemned/c", buf, 4, 0), 3);
	assert_int_equal(store_put_commit_all(puts, 0), 0);
}

static void test_forget(void **state)
{
	struct fixture *f = *state;
	char buf[4], path[160];
	put(f->s, PACK, "abcd");
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	snprintf(path, sizeof(path), "%s/%s", f->repo, PACK);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), 4);
	store_forget(f->s, PACK);
	assert_int_equal(store_get_range(f->s, PACK, buf, 4, 0), -ENOENT);
}

static void test_many_readers(void **state)
{
	struct fixture *f = *state;
	char name[64], buf[16], text[16];
	for (int i = 0; i < 150; i++) {
		snprintf(name, sizeof(name), "packs/%02x/%04d", i, i);
		snprintf(text, sizeof(text), "%04d", i);
		put(f->s, name, text);
	}
	for (int i = 0; i < 300; i++) {
		int n = i * 7 % 150;
		snprintf(name, sizeof(name), "packs/%02x/%04d", n, n);
		snprintf(text, sizeof(text), "%04d", n);
		assert_int_equal(store_get_range(f->s, name, buf, 4, 0), 4);
		assert_memory_equal(buf, text, 4);
	}
}

static void *read_and_forget(void *arg)
{
	struct fixture *f = arg;
	char name[64], text[16], buf[16];
	for (int i = 0; i < 2000; i++) {
		int n = i * 31 % 80;
		snprintf(name, sizeof(name), "packs/%02x/%04d", n, n);
		snprintf(text, sizeof(text), "%04d", n);
		if (store_get_range(f->s, name, buf, 4, 0) != 4
				|| memcmp(buf, text, 4) != 0)
			return arg;
		if (i % 5 == 0)
			store_forget(f->s, name);
	}
	return NULL;
}

static void test_readers_at_once(void **state)
{
	struct fixture *f = *state;
	char name[64], text[16];
	pthread_t t[4];
	for (int i = 0; i < 80; i++) {
		snprintf(name, sizeof(name), "packs/%02x/%04d", i, i);
		snprintf(text, sizeof(text), "%04d", i);
		put(f->s, name, text);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, read_and_forget,
						 f),
				0);
	for (int i = 0; i < 4; i++) {
		void *r;
		pthread_join(t[i], &r);
		assert_null(r);
	}
}

static void test_temporaries(void **state)
{
	struct fixture *f = *state;
	touch(f, "packs/3f/.tmp." ID_A ".0");
	touch(f, "packs/3f/.tmp." ID_B ".0");
	touch(f, "keys/.tmp." ID_A ".12");
	touch(f, ".tmp." ID_A ".3");
	touch(f, "keys/.tmp." ID_A ".x");
	touch(f, "keys/.tmp." ID_A "0.1");
	assert_int_equal(store_remove_temporaries(f->s, ID_A), 0);
	assert_false(exists(f, "packs/3f/.tmp." ID_A ".0"));
	assert_false(exists(f, "keys/.tmp." ID_A ".12"));
	assert_false(exists(f, ".tmp." ID_A ".3"));
	assert_true(exists(f, "packs/3f/.tmp." ID_B ".0"));
	assert_true(exists(f, "keys/.tmp." ID_A ".x"));
	assert_true(exists(f, "keys/.tmp." ID_A "0.1"));
}

static void test_owner_is_in_temporary_names(void **state)
{
	struct fixture *f = *state;
	struct store_put *put;
	touch(f, "packs/3f/.tmp." ID_A ".0"); /* taken: the next is used */
	store_set_owner(f->s, ID_A);
	assert_int_equal(store_put_begin(f->s, &put, PACK), 0);
	assert_int_equal(store_remove_temporaries(f->s, ID_B), 0);
	assert_true(exists(f, "packs/3f/.tmp." ID_A ".1"));
	/* Taken for dead and cleaned up: the commit must fail, not invent. */
	assert_int_equal(store_remove_temporaries(f->s, ID_A), 0);
	assert_int_equal(store_put_commit(put, true), -ENOENT);
	assert_int_equal(count(f->s, "packs/"), 0);
}

static void test_shard_state(void **state)
{
	struct fixture *f = *state;
	char path[160];
	struct timespec old[2] = { { 1000, 5 }, { 1000, 5 } };
	assert_int_equal(store_shard_state(f->s, 0x3f), 0);
	snprintf(path, sizeof(path), "%s/packs/3f", f->repo);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(store_shard_state(f->s, 0x3f), 1000000000005);
	put(f->s, PACK, "x");
	assert_int_equal(store_shard_state(f->s, 0x3f), 0);
	old[1].tv_sec = time(NULL) + 3600;
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(store_shard_state(f->s, 0x3f), 0);
}

static void test_space(void **state)
{
	struct fixture *f = *state;
	struct store_space space;
	assert_int_equal(store_space(f->s, &space), 0);
	assert_true(space.total > 0);
	assert_true(space.free <= space.total);
	assert_true(space.available <= space.free);
}

static void test_lease(void **state)
{
	struct fixture *f = *state;
	struct lease *lease, *again;
	assert_int_equal(lease_alive(f->s, ID_A), 0);
	assert_int_equal(lease_acquire(f->s, ID_A, &lease), 0);
	assert_int_equal(lease_alive(f->s, ID_A), 1);
	assert_int_equal(lease_alive(f->s, ID_B), 0);
	assert_int_equal(lease_acquire(f->s, ID_A, &again), -EEXIST);
	assert_int_equal(lease_remove_dead(f->s, ID_A), -EBUSY);
	assert_int_equal(lease_alive(f->s, ID_A), 1);
	lease_release(lease);
	assert_int_equal(lease_alive(f->s, ID_A), 0);
	assert_false(exists(f, "sessions/" ID_A ".lock"));
	assert_int_equal(lease_acquire(f->s, "../x", &lease), -EINVAL);
	assert_int_equal(lease_alive(f->s, "a/b"), -EINVAL);
	lease_release(NULL);
}

/* Holds a lease and an unfinished put until it is killed. */
static void hold_until_killed(const char *repo, int ready)
{
	struct store *store;
	struct lease *lease;
	struct store_put *put;
	if (store_open_local(&store, repo) == 0
			&& lease_acquire(store, ID_A, &lease) == 0) {
		store_set_owner(store, ID_A);
		if (store_put_begin(store, &put, PACK) == 0
				&& store_put_write(put, "half", 4) == 0
				&& write(ready, "x", 1) == 1)
			pause();
	}
	_exit(1);
}

static void test_killed_owner_is_dead(void **state)
{
	struct fixture *f = *state;
	int ready[2], status;
	char byte;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		hold_until_killed(f->repo, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_int_equal(lease_alive(f->s, ID_A), 1);
	assert_true(exists(f, "packs/3f/.tmp." ID_A ".1"));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(lease_alive(f->s, ID_A), 0);
	assert_true(exists(f, "sessions/" ID_A ".lock"));
	assert_int_equal(lease_remove_dead(f->s, ID_A), 0);
	assert_false(exists(f, "sessions/" ID_A ".lock"));
	assert_false(exists(f, "packs/3f/.tmp." ID_A ".1"));
	assert_int_equal(lease_remove_dead(f->s, ID_A), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_create),
		TEST(test_put_and_get),
		TEST(test_exclusive),
		TEST(test_replaced_pack_is_read_anew),
		TEST(test_large_put),
		TEST(test_names),
		TEST(test_list),
		TEST(test_not_plain_files),
		TEST(test_delete),
		TEST(test_delete_many),
		TEST(test_commit_all),
		TEST(test_forget),
		TEST(test_many_readers),
		TEST(test_readers_at_once),
		TEST(test_temporaries),
		TEST(test_owner_is_in_temporary_names),
		TEST(test_shard_state),
		TEST(test_space),
		TEST(test_lease),
		TEST(test_killed_owner_is_dead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
