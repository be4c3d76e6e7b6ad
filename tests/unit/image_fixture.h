/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A fresh repository with all that stores and reads images. Includes cmocka.h,
 * which has a fail() of its own: other headers of the repository go before. */
#ifndef AMBERFS_TESTS_IMAGE_FIXTURE_H
#define AMBERFS_TESTS_IMAGE_FIXTURE_H

#include "directory.h"
#include "repo/image/image_writer.h"
#include "repo/pack/chunk_sink.h"
#include "repo/session/session.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WORKERS 3u

struct fixture {
	char directory[DIRECTORY_MAX], path[96], key[96];
	struct repository *repo;
	struct session *session;
	struct chunk_sink *sink;
	struct image_reader *reader;
	struct image_writer *writer;
};

static inline int begin(struct fixture *f, const struct config *config)
{
	struct repository_options o = { .index_dir = NULL };
	struct image_reader_options ro = { .cache_size = 4 << 20,
		.threads = 2 };
	if (config->encrypted)
		o.credentials.key_file = f->key;
	int fd = open(f->key, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0 && write(fd, "a key of some length", 20) == 20);
	close(fd);
	assert_int_equal(repository_init(f->path, &o, config), 0);
	assert_int_equal(repository_open(&f->repo, f->path, &o), 0);
	assert_int_equal(repository_attach(f->repo, &o), 0);
	assert_int_equal(session_begin(&f->session, f->repo, SESSION_BACKUP,
					 NULL),
			0);
	const struct pack_target target = { .store = f->repo->store,
		.seal = f->repo->seal,
		.config = &f->repo->config,
		.session = session_id(f->session) };
	assert_int_equal(chunk_sink_new(&f->sink, &target, f->repo->packs,
					 f->repo->index, 1),
			0);
	assert_int_equal(image_reader_new(&f->reader, f->repo->packs, &ro), 0);
	assert_int_equal(image_writer_new(&f->writer, f->repo->seal,
					 &f->repo->config, f->sink, f->reader,
					 WORKERS, NULL),
			0);
	return 0;
}

/* CONFIG: what the repository is to be like. */
static inline int setup_config(void **state, const struct config *config)
{
	struct fixture *f = calloc(1, sizeof(*f));
	unsetenv("AMBERFS_KEY_FILE");
	unsetenv("AMBERFS_PASSPHRASE");
	assert_int_equal(directory_make(f->directory, "image_fixture"), 0);
	setenv("AMBERFS_STATE_DIR", f->directory, 1);
	snprintf(f->path, sizeof(f->path), "%s/repo", f->directory);
	snprintf(f->key, sizeof(f->key), "%s/key", f->directory);
	*state = f;
	return begin(f, config);
}

static inline int setup_any(void **state, bool encrypted)
{
	struct config c;
	assert_int_equal(seal_global_init(), 0);
	config_defaults(&c, encrypted);
	return setup_config(state, &c);
}

static inline int setup(void **state)
{
	return setup_any(state, true);
}

static inline int setup_plain(void **state)
{
	return setup_any(state, false);
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	image_writer_free(f->writer);
	chunk_sink_free(f->sink);
	image_reader_free(f->reader);
	session_end(f->session);
	repository_close(f->repo);
	int err = directory_remove(f->directory);
	free(f);
	return err;
}

/* Bytes that nothing compresses, after srand() always the same; rand() for each
 * of them would take longer than to store them. */
static inline void fill_noise(uint8_t *to, uint64_t len)
{
	uint64_t x = (uint64_t)rand() << 31 | (uint64_t)rand() | 1;
	for (uint64_t at = 0; at < len; at += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(to + at, &x,
				len - at < sizeof(x) ? len - at : sizeof(x));
	}
}

/* What was written can be read. */
static inline void fixture_flush(struct fixture *f)
{
	assert_int_equal(image_writer_flush(f->writer), 0);
	assert_int_equal(chunk_sink_barrier(f->sink, true), 0);
}

#endif
