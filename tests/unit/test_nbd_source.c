/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Goal of this test: chains are followed only by formats that were given, and
 * what qemu-nbd shows of them is read right, holes and dirty bitmaps
 * included. */
#include "ingest/libvirt/child.h"
#include "ingest/source/nbd_source.h"
#include "repo/base/bytes.h"
#include "repo/base/error.h" /* before cmocka.h, which has a fail() */
#include "repo/base/interrupt.h"
#include "repo/base/units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE ((size_t)48 << 20)
#define SPAN ((size_t)16 << 20)
#define WORKERS 3

static char directory[64];

static char *in_directory(const char *name)
{
	char *path;
	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	return path;
}

/* Runs a command in the directory; words are separated by '|'. */
static void run(const char *words)
{
	char *copy = strdup(words), *save = NULL, *out = NULL;
	char *argv[32] = { NULL };
	int n = 0, err;
	for (char *w = strtok_r(copy, "|", &save); w != NULL;
			w = strtok_r(NULL, "|", &save))
		argv[n++] = w;
	err = child_run(argv, 1 << 20, &out);
	if (err != 0)
		fail_msg("%s: %s", words, error_text(err));
	free(out);
	free(copy);
}

static void *slurp(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *buf;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	buf = malloc(*len + 1);
	assert_int_equal(read(fd, buf, *len), (ssize_t)*len);
	close(fd);
	return buf;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(directory, "/var/tmp/amb.XXXXXX");
	if (mkdtemp(directory) == NULL || chdir(directory) < 0)
		return -1;
	if (access("/usr/bin/qemu-nbd", X_OK) < 0) {
		rmdir(directory);
		exit(77);
	}
	run("qemu-img|create|-q|-f|raw|base.raw|48M");
	run("qemu-io|-f|raw|-c|write -q -P 1 0 1M|-c|write -q -P 2 20M 8k"
	    "|-c|write -q -P 3 47M 1M|base.raw");
	run("qemu-img|create|-q|-f|qcow2|-F|raw|-b|base.raw|a,b=c d.qcow2");
	run("qemu-io|-f|qcow2|-c|write -q -P 4 512k 1M|-c|write -q -z 20M 64k"
	    "|a,b=c d.qcow2");
	run("qemu-img|create|-q|-f|qcow2|-F|qcow2|-b|./a,b=c d.qcow2"
	    "|\xc3\xbcn'i\"x.qcow2");
	run("qemu-io|-f|qcow2|-c|write -q -P 5 30M 3M|\xc3\xbcn'i\"x.qcow2");
	run("qemu-img|convert|-f|qcow2|-O|raw|\xc3\xbcn'i\"x.qcow2|flat.raw");
	return 0;
}

/* As images of the time before qemu insisted: the header names a backing file
 * but not its format. The header's extension becomes one that nobody knows. */
static void forget_backing_format(const char *name)
{
	static const unsigned char format_tag[4] = { 0xe2, 0x79, 0x2a, 0xca };
	size_t len;
	char *bytes = slurp(name, &len);
	char *tag = memmem(bytes, len, format_tag, 4);
	int fd = open(name, O_WRONLY);
	assert_non_null(tag);
	assert_int_equal(pwrite(fd, "1234", 4, tag - bytes), 4);
	close(fd);
	free(bytes);
}

static int tear_down(void **state)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	(void)state;
	while (d != NULL && (e = readdir(d)) != NULL)
		unlink(e->d_name);
	if (d != NULL)
		closedir(d);
	return rmdir(directory);
}

static int resolve(struct chain *chain, const char *name, const char *format)
{
	char *path = in_directory(name);
	struct disk_source s = { .type = SOURCE_FILE,
		.present = true,
		.path = path,
		.format = (char *)format };
	int err = chain_resolve(chain, &s, NULL, 0);
	free(path);
	return err;
}

static void resolve_fine(struct chain *chain, const char *name,
		const char *format)
{
	int err = resolve(chain, name, format);
	if (err != 0)
		fail_msg("%s: %s", name, error_text(err));
}

static void test_chain(void **state)
{
	struct chain chain;
	char *reading;
	(void)state;
	resolve_fine(&chain, "\xc3\xbcn'i\"x.qcow2", "qcow2");
	assert_int_equal(chain.count, 3);
	assert_string_equal(chain.files[0].format, "qcow2");
	assert_string_equal(chain.files[1].format, "qcow2");
	assert_string_equal(chain.files[2].format, "raw");
	assert_non_null(strstr(chain.files[1].path, "/a,b=c d.qcow2"));
	assert_non_null(strstr(chain.files[2].path, "/base.raw"));
	assert_true(chain.files[0].virtual_size == SIZE);
	assert_non_null(chain.files[2].info);
	assert_false(chain_is_plain(&chain));
	reading = chain_reading(&chain);
	assert_non_null(strstr(reading, "\"driver\":\"raw\""));
	free(reading);
	chain_clear(&chain);
}

/* What a guest may do: a qcow2 header that names a file of the host, written
 * into its raw disk. */
static void test_raw_is_never_probed(void **state)
{
	struct nbd_source *s;
	struct image_source source;
	struct chain chain;
	size_t len;
	char *bytes, *read_bytes;
	(void)state;
	run("qemu-img|create|-q|-f|qcow2|-F|raw|-b|/etc/passwd|-o"
	    "|cluster_size=512|evil.raw|1M");
	for (int missing = 0; missing < 2; missing++) {
		resolve_fine(&chain, "evil.raw", missing ? NULL : "raw");
		assert_int_equal(chain.count, 1);
		assert_true(chain_is_plain(&chain));
		assert_int_equal(nbd_source_open(&s, &chain, NULL, 1), 0);
		nbd_source_fill(s, &source);
		bytes = slurp("evil.raw", &len);
		assert_true(source.size >= len);
		read_bytes = malloc(len);
		assert_int_equal(source.read(source.ctx, 0, read_bytes, len, 0),
				0);
		assert_memory_equal(bytes, read_bytes, len);
		free(bytes);
		free(read_bytes);
		nbd_source_close(s);
		chain_clear(&chain);
	}
}

/* The same below an overlay: only the format that the overlay's header has
 * counts, and without one the chain is refused. */
static void test_formats_below(void **state)
{
	struct chain chain;
	(void)state;
	run("qemu-img|create|-q|-f|qcow2|-F|raw|-b|evil.raw|over.qcow2|1M");
	resolve_fine(&chain, "over.qcow2", "qcow2");
	assert_int_equal(chain.count, 2);
	assert_string_equal(chain.files[1].format, "raw");
	chain_clear(&chain);
	run("qemu-img|create|-q|-f|qcow2|-F|raw|-b|base.raw|bare.qcow2");
	forget_backing_format("bare.qcow2");
	assert_int_equal(resolve(&chain, "bare.qcow2", "qcow2"), -ENOTSUP);
	assert_non_null(strstr(error_text(-ENOTSUP), "rebase"));
	chain_clear(&chain);
}

static void test_refused_chains(void **state)
{
	struct chain chain;
	(void)state;
	assert_int_equal(resolve(&chain, "nothing", "raw"), -ENOENT);
	chain_clear(&chain);
	assert_int_equal(resolve(&chain, "base.raw", "fat"), -ENOTSUP);
	chain_clear(&chain);
	assert_int_equal(resolve(&chain, "base.raw", "qcow2"), -EIO);
	chain_clear(&chain);
	run("qemu-img|create|-q|-f|qcow2|-u|-F|raw|-b|nbd:localhost:1"
	    "|nbd.qcow2|1M");
	assert_int_equal(resolve(&chain, "nbd.qcow2", "qcow2"), -ENOTSUP);
	chain_clear(&chain);
	run("qemu-img|create|-q|-f|qcow2|-u|-F|qcow2|-b|l2.qcow2|l1.qcow2|1M");
	run("qemu-img|create|-q|-f|qcow2|-u|-F|qcow2|-b|l1.qcow2|l2.qcow2|1M");
	assert_int_equal(resolve(&chain, "l1.qcow2", "qcow2"), -ELOOP);
	assert_int_equal(chain.count, 3);
	chain_clear(&chain);
	run("qemu-img|create|-q|-f|qcow2|-o|data_file=d.raw|data.qcow2|1M");
	assert_int_equal(resolve(&chain, "data.qcow2", "qcow2"), -ENOTSUP);
	chain_clear(&chain);
}

struct reader {
	const struct image_source *source;
	unsigned number;
	const char *want;
	uint64_t holes;
	const char *wrong;
};

static void *read_spans(void *ctx)
{
	struct reader *reader = ctx;
	const struct image_source *source = reader->source;
	char *buf = malloc(SPAN);
	for (uint64_t span = reader->number * SPAN; span < SIZE;
			span += WORKERS * SPAN) {
		uint64_t pos = span, end;
		bool hole;
		if (source->read(source->ctx, reader->number, buf, SPAN, span)
						!= 0
				|| memcmp(buf, reader->want + span, SPAN) != 0)
			reader->wrong = "bytes";
		while (pos < span + SPAN && reader->wrong == NULL) {
			if (source->extent(source->ctx, reader->number, pos,
					    span + SPAN, &hole,
					    &end) != 0
					|| end <= pos || end > span + SPAN) {
				reader->wrong = "extents";
				break;
			}
			for (uint64_t i = pos; hole && i < end; i++)
				if (reader->want[i] != 0)
					reader->wrong = "a hole";
			reader->holes += hole ? end - pos : 0;
			pos = end;
		}
	}
	free(buf);
	return NULL;
}

static void test_reading(void **state)
{
	struct reader readers[WORKERS];
	pthread_t threads[WORKERS];
	struct image_source source;
	struct nbd_source *s = NULL;
	struct chain chain;
	size_t len;
	char *want = slurp("flat.raw", &len);
	uint64_t holes = 0;
	int err;
	(void)state;
	resolve_fine(&chain, "\xc3\xbcn'i\"x.qcow2", "qcow2");
	err = nbd_source_open(&s, &chain, NULL, WORKERS);
	if (err != 0)
		fail_msg("%s", error_text(err));
	chain_clear(&chain);
	nbd_source_fill(s, &source);
	assert_true(source.size == SIZE && len == SIZE);
	for (unsigned i = 0; i < WORKERS; i++) {
		readers[i] = (struct reader){ .source = &source,
			.number = i,
			.want = want };
		pthread_create(&threads[i], NULL, read_spans, &readers[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		if (readers[i].wrong != NULL)
			fail_msg("%s", readers[i].wrong);
		holes += readers[i].holes;
	}
	assert_true(holes >= (SIZE - ((size_t)6 << 20)));
	nbd_source_close(s);
	free(want);
}

/* Writes 4 KiB every 128 KiB from FROM on, COUNT times. */
static void write_often(const char *name, unsigned from_mib, unsigned count)
{
	char *argv[2 * 200 + 6], *out = NULL;
	int n = 0;
	argv[n++] = (char *)"qemu-io";
	argv[n++] = (char *)"-f";
	argv[n++] = (char *)"qcow2";
	for (unsigned i = 0; i < count; i++) {
		argv[n++] = (char *)"-c";
		assert_true(asprintf(&argv[n++], "write -q -P %u %uk 4k", i + 1,
					    from_mib * 1024 + i * 128)
				> 0);
	}
	argv[n] = (char *)name;
	argv[n + 1] = NULL;
	assert_int_equal(child_run(argv, 1 << 20, &out), 0);
	free(out);
	for (unsigned i = 0; i < count; i++)
		free(argv[4 + 2 * i]);
}

static bool may_be_dirty(uint64_t block) /* of 64 KiB */
{
	uint64_t often = 16 * 30; /* from 30 MiB on */
	return (block >= often && block < often + 200 && block % 2 == 0)
			|| block == 0 || block == 16 * 1024
			|| block == 16 * 3000;
}

struct dirty_reader {
	const struct image_source *source;
	unsigned number;
	uint64_t dirty; /* bytes */
	const char *wrong;
};

/* Asks by spans, as the image writer's workers do; the last one backwards. */
static void *look_for_dirt(void *ctx)
{
	struct dirty_reader *reader = ctx;
	const struct image_source *source = reader->source;
	uint64_t spans = (source->size + SPAN - 1) / SPAN;
	for (uint64_t i = reader->number; i < spans && reader->wrong == NULL;
			i += WORKERS) {
		bool back = reader->number == WORKERS - 1;
		uint64_t last = reader->number
				+ (spans - 1 - reader->number) / WORKERS
						* WORKERS;
		uint64_t span = (back ? last + reader->number - i : i) * SPAN;
		uint64_t limit = span + SPAN < source->size ? span + SPAN
							    : source->size;
		uint64_t pos = span, end = 0;
		bool same, hole;
		while (pos < limit && reader->wrong == NULL) {
			if (source->same(source->ctx, reader->number, pos,
					    limit, &same,
					    &end) != 0
					|| end <= pos || end > limit) {
				reader->wrong = "an answer";
				break;
			}
			for (uint64_t b = pos >> 16; b < (end + 65535) >> 16;
					b++)
				if (may_be_dirty(b) == same)
					reader->wrong = "what is the same";
			if (!same
					&& (source->extent(source->ctx,
							    reader->number, pos,
							    end, &hole,
							    &end) != 0
							|| end <= pos))
				reader->wrong = "a hole among what is dirty";
			reader->dirty += same ? 0 : end - pos;
			pos = end;
		}
	}
	return NULL;
}

/* The bitmap's clean ranges are the base's; a discarded one is dirty and
 * reads as zero. */
static void test_bitmap(void **state)
{
	struct dirty_reader readers[WORKERS];
	pthread_t threads[WORKERS];
	struct image_source source;
	struct nbd_source *s;
	struct chain chain;
	uint64_t dirty = 0, end;
	bool same, hole;
	int err;
	(void)state;
	/* Off the cluster, and more than one question's look. */
	run("qemu-img|create|-q|-f|qcow2|tracked.qcow2|3145729536");
	run("qemu-io|-f|qcow2|-c|write -q -P 9 1G 64k|-c|write -q -P 9 2G 64k"
	    "|tracked.qcow2");
	run("qemu-img|bitmap|--add|-f|qcow2|tracked.qcow2|b 1");
	run("qemu-io|-f|qcow2|-c|write -q -P 1 0 1k|-c|discard -q 1G 64k|-c"
	    "|write -q -P 1 3145728000 1536|tracked.qcow2");
	write_often("tracked.qcow2", 30, 100);
	resolve_fine(&chain, "tracked.qcow2", "qcow2");
	err = nbd_source_open(&s, &chain, "b 1", WORKERS);
	if (err != 0)
		fail_msg("%s", error_text(err));
	nbd_source_fill(s, &source);
	assert_non_null(source.same);
	for (unsigned i = 0; i < WORKERS; i++) {
		readers[i] = (struct dirty_reader){ .source = &source,
			.number = i };
		pthread_create(&threads[i], NULL, look_for_dirt, &readers[i]);
	}
	for (unsigned i = 0; i < WORKERS; i++) {
		pthread_join(threads[i], NULL);
		if (readers[i].wrong != NULL)
			fail_msg("%s", readers[i].wrong);
		dirty += readers[i].dirty;
	}
	assert_true(dirty > 102 * 65536 && dirty <= 103 * 65536);
	assert_int_equal(source.same(source.ctx, 0, GIB, GIB + 4096, &same,
					 &end),
			0);
	assert_false(same);
	assert_true(end == GIB + 4096);
	assert_int_equal(source.extent(source.ctx, 0, GIB, GIB + 4096, &hole,
					 &end),
			0);
	assert_true(hole && end == GIB + 4096);
	nbd_source_close(s);
	assert_int_equal(nbd_source_open(&s, &chain, "b 2", 1), -EIO);
	assert_non_null(strstr(error_text(-EIO), "b 2"));
	assert_int_equal(nbd_source_open(&s, &chain, NULL, 1), 0);
	nbd_source_fill(s, &source);
	assert_null(source.same);
	nbd_source_close(s);
	chain_clear(&chain);
}

/* More is left of a large image than one question can ask about. */
static void test_large_bitmap(void **state)
{
	struct image_source source;
	struct nbd_source *s;
	struct chain chain;
	bool same = true, hole = true;
	uint64_t at = 0, end = 0;
	(void)state;
	run("qemu-img|create|-q|-f|qcow2|large.qcow2|9G");
	run("qemu-img|bitmap|--add|-f|qcow2|large.qcow2|b 1");
	run("qemu-io|-f|qcow2|-c|write -q 0 64k|-c|discard -q 64k 1G"
	    "|large.qcow2");
	resolve_fine(&chain, "large.qcow2", "qcow2");
	assert_int_equal(nbd_source_open(&s, &chain, "b 1", 1), 0);
	nbd_source_fill(s, &source);
	assert_int_equal(source.same(source.ctx, 0, 0, source.size, &same,
					 &end),
			0);
	assert_false(same);
	assert_int_equal(source.extent(source.ctx, 0, 0, source.size, &hole,
					 &end),
			0);
	assert_true(!hole && end == 65536);
	for (at = end; at < source.size; at = end) {
		assert_int_equal(source.extent(source.ctx, 0, at, source.size,
						 &hole, &end),
				0);
		assert_true(hole && end > at && end <= source.size);
	}
	nbd_source_close(s);
	chain_clear(&chain);
}

/* A server that somebody else runs: its exports have names, and one that does
 * not know the bitmap is told from one that can't be reached. */
static void test_foreign_server(void **state)
{
	struct nbd_client_options o = { .export = "d i\"sk",
		.bitmap = "b 2",
		.workers = 1 };
	struct nbd_client *client = NULL;
	struct image_source source;
	char got[512], want[512];
	bool dirty = false;
	uint64_t end = 0;
	size_t len;
	char *pid, *command, *path = in_directory("sock");
	(void)state;
	assert_true(asprintf(&command,
				    "qemu-nbd|--fork|--read-only|--persistent"
				    "|--shared=0|-f|qcow2|-k|%s|--pid-file=pid"
				    "|--export-name=d i\"sk|--bitmap=b 1"
				    "|tracked.qcow2",
				    path)
			> 0);
	run(command);
	free(command);
	o.socket = path;
	pid = slurp("pid", &len);
	pid[len] = '\0';
	assert_int_equal(nbd_client_open(&client, &o), -ENOTSUP);
	o.bitmap = "b 1";
	o.export = "other";
	assert_int_equal(nbd_client_open(&client, &o), -EIO);
	o.export = "d i\"sk";
	assert_int_equal(nbd_client_open(&client, &o), 0);
	assert_true(nbd_client_size(client) == 3145729536);
	assert_int_equal(nbd_client_dirty(client, 0, 2 * GIB, 2 * GIB + 512,
					 &dirty, &end),
			0);
	assert_true(!dirty && end == 2 * GIB + 512);
	nbd_client_fill(client, &source);
	memset(want, 9, sizeof(want));
	assert_int_equal(source.read(source.ctx, 0, got, sizeof(got), 2 * GIB),
			0);
	assert_memory_equal(got, want, sizeof(want));
	kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
	assert_int_equal(source.read(source.ctx, 0, got, sizeof(got), 2 * GIB),
			-EIO);
	assert_int_equal(source.extent(source.ctx, 0, GIB, 2 * GIB, &dirty,
					 &end),
			-EIO);
	nbd_client_close(client);
	o.socket = "nothing";
	assert_int_equal(nbd_client_open(&client, &o), -EIO);
	free(pid);
	free(path);
}

static void test_slice(void **state)
{
	char *path = in_directory("base.raw");
	struct disk_source d = { .type = SOURCE_FILE,
		.present = true,
		.path = path,
		.sliced = true,
		.slice_offset = (20 << 20) - 512,
		.slice_size = 4096 };
	struct image_source source;
	struct nbd_source *s;
	struct chain chain;
	char got[4096], want[4096] = { 0 };
	(void)state;
	memset(want + 512, 2, sizeof(want) - 512);
	assert_int_equal(chain_resolve(&chain, &d, NULL, 0), 0);
	assert_false(chain_is_plain(&chain));
	assert_int_equal(nbd_source_open(&s, &chain, NULL, 1), 0);
	nbd_source_fill(s, &source);
	assert_true(source.size == 4096);
	assert_int_equal(source.read(source.ctx, 0, got, 4096, 0), 0);
	assert_memory_equal(got, want, 4096);
	nbd_source_close(s);
	chain_clear(&chain);
	d.slice_size = SIZE;
	assert_int_equal(chain_resolve(&chain, &d, NULL, 0), -EINVAL);
	chain_clear(&chain);
	free(path);
}

/* qemu-nbd's own words reach the caller. */
static void test_server_that_fails(void **state)
{
	struct nbd_source *source;
	struct chain chain;
	(void)state;
	resolve_fine(&chain, "over.qcow2", "qcow2");
	unlink("evil.raw");
	assert_int_equal(nbd_source_open(&source, &chain, NULL, 2), -EIO);
	assert_non_null(strstr(error_text(-EIO), "evil.raw"));
	assert_non_null(strstr(error_text(-EIO), "No such file"));
	chain_clear(&chain);
}

/* --- a server that is silent --- */

static void *interrupt_soon(void *ctx)
{
	const struct timespec moment = { .tv_nsec = 300000000 };
	nanosleep(&moment, NULL);
	interrupt_flag = 1;
	return ctx;
}

static pid_t only_child(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	char line[32] = "";
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	return (pid_t)strtol(line, NULL, 10);
}

static int ask_for_holes(const struct image_source *source)
{
	bool hole;
	uint64_t end;
	return source->extent(source->ctx, 0, 0, source->size, &hole, &end);
}

static int ask_for_dirt(const struct image_source *source)
{
	bool same;
	uint64_t end;
	return source->same(source->ctx, 0, 0, source->size, &same, &end);
}

static int ask_for_bytes(const struct image_source *source)
{
	static char buf[65536];
	return source->read(source->ctx, 0, buf, sizeof(buf), 0);
}

/* Whatever it was asked, an interruption ends the waiting. */
static void test_silent_server(void **state)
{
	static int (*const calls[])(
			const struct image_source *) = { ask_for_holes,
		ask_for_dirt, ask_for_bytes };
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct image_source source;
		struct nbd_source *s;
		struct chain chain;
		pthread_t thread;
		resolve_fine(&chain, "large.qcow2", "qcow2");
		assert_int_equal(nbd_source_open(&s, &chain, "b 1", 1), 0);
		nbd_source_fill(s, &source);
		kill(only_child(), SIGSTOP);
		pthread_create(&thread, NULL, interrupt_soon, NULL);
		assert_int_equal(calls[i](&source), -ECANCELED);
		pthread_join(thread, NULL);
		interrupt_flag = 0;
		assert_int_equal(calls[i](&source), -EIO);
		nbd_source_close(s);
		chain_clear(&chain);
	}
}

/* Somebody listens, and never says a word. */
static void test_silent_from_the_start(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct nbd_client_options o = { .socket = address.sun_path };
	struct nbd_client *client;
	pthread_t thread;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent",
			directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)),
			0);
	assert_int_equal(listen(fd, 4), 0);
	pthread_create(&thread, NULL, interrupt_soon, NULL);
	assert_int_equal(nbd_client_open(&client, &o), -ECANCELED);
	pthread_join(thread, NULL);
	interrupt_flag = 0;
	close(fd);
}

static void test_children(void **state)
{
	char *missing[] = { (char *)"no-such-program", NULL };
	char *failing[] = { (char *)"sh", (char *)"-c",
		(char *)"echo a; echo 'b\033c' >&2; exit 3", NULL };
	char *endless[] = { (char *)"sh", (char *)"-c",
		(char *)"yes; sleep 100", NULL };
	char *noisy[] = { (char *)"sh", (char *)"-c",
		(char *)"yes >&2 & sleep 0.3; kill $!; echo done", NULL };
	char *out = NULL;
	(void)state;
	assert_int_equal(child_run(missing, 100, &out), -ENOENT);
	assert_int_equal(child_run(failing, 100, &out), -EIO);
	assert_non_null(strstr(error_text(-EIO), "b\\x1Bc"));
	assert_int_equal(child_run(endless, 1000, &out), -EIO);
	assert_int_equal(child_run(noisy, 100, &out), 0);
	assert_string_equal(out, "done\n");
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_raw_is_never_probed),
		cmocka_unit_test(test_formats_below),
		cmocka_unit_test(test_refused_chains),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_bitmap),
		cmocka_unit_test(test_large_bitmap),
		cmocka_unit_test(test_foreign_server),
		cmocka_unit_test(test_slice),
		cmocka_unit_test(test_server_that_fails),
		cmocka_unit_test(test_silent_server),
		cmocka_unit_test(test_silent_from_the_start),
		cmocka_unit_test(test_children),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
