/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a mount in the order in which they need each other. */
#include "service.h"

#include "housekeeping.h"
#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "repo/repository/secret_env.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CHUNKS_IN_MEMORY (256u << 10)	/* about 16 MiB of places */
#define SERVERS_MIN 4u
#define SERVERS_MAX 16u

struct service {
	struct filesystem fs;
	const char *mountpoint;
	struct mount_options *options;
	struct fuse_session *session;
	struct housekeeping *keeper;
	bool mounted;
};

/* --- the repository's side --- */

static void started(void *ctx)
{
	struct service *s = ctx;
	housekeeping_started(s->keeper);
}

static void nobody_to_tell(void *ctx __attribute__((unused)),
		uint64_t parent __attribute__((unused)),
		const char *name __attribute__((unused)))
{
}

static int open_repository(struct service *s, const char *path)
{
	struct repository_options *o = &s->options->repository;
	o->chunks_max = CHUNKS_IN_MEMORY;
	int err = repository_open(&s->fs.repo, path, o);
	secret_env_forget();
	if (err != 0)
		return err;
	/* A mount lives long: its keys must not come to the swap. */
	int locked = seal_lock(s->fs.repo->seal);
	if (locked < 0)
		report_warning("%s", error_text(locked));
	return repository_attach(s->fs.repo, o);
}

static int register_mount(struct service *s)
{
	char *why_not = NULL;
	CLEANUP_FREE char *activity = name_escape(s->mountpoint,
			strlen(s->mountpoint));
	if (activity == NULL)
		return fail_errno(-ENOMEM, "registering the mount");
	int err = roots_new(&s->fs.roots, s->fs.repo, activity, &why_not);
	if (why_not != NULL)
		report_warning("%s; as the mount can't register itself there, "
			       "prune may take old snapshots from under it "
			       "while they are being read",
				why_not);
	free(why_not);
	return err;
}

static int open_filesystem(struct service *s, const char *path)
{
	const struct image_reader_options reading = {
		.cache_size = s->options->cache_size,
		.threads = pool_processors(),
	};
	int err = open_repository(s, path);
	/* Before the first thread is made and the first trace is left. */
	housekeeping_block_signals();
	if (err == 0)
		err = register_mount(s);
	if (err == 0)
		err = image_reader_new(&s->fs.reader, s->fs.repo->packs,
				&reading);
	if (err == 0)
		err = tree_new(&s->fs.tree, s->fs.repo, s->options->snapshot);
	if (err == 0)
		err = tree_refresh(s->fs.tree, nobody_to_tell, NULL);
	if (err != 0)
		return err;
	s->fs.usage = statfs_new(s->fs.repo->store);
	return s->fs.usage == NULL ? fail_errno(-ENOMEM, "mounting") : 0;
}

/* --- the kernel's side --- */

/* "fsname=PATH" with what separates options escaped; to be freed. */
static char *fsname_option(const char *path)
{
	static const char key[] = "fsname=";
	char *out = malloc(sizeof(key) + 2 * strlen(path));
	if (out == NULL)
		return NULL;
	char *to = stpcpy(out, key);
	for (; *path != '\0'; path++) {
		if (*path == ',' || *path == '\\')
			*to++ = '\\';
		*to++ = *path;
	}
	*to = '\0';
	return out;
}

static int add_option(struct fuse_args *args, const char *option)
{
	if (fuse_opt_add_arg(args, "-o") != 0 ||
			fuse_opt_add_arg(args, option) != 0)
		return fail_errno(-ENOMEM, "mounting");
	return 0;
}

static int add_fsname(struct fuse_args *args, const char *path)
{
	char *option = fsname_option(path);
	if (option == NULL)
		return fail_errno(-ENOMEM, "mounting");
	int err = add_option(args, option);
	free(option);
	return err;
}

static int fill_arguments(const struct service *s, struct fuse_args *args)
{
	const struct mount_options *o = s->options;
	if (fuse_opt_add_arg(args, "amberfs") != 0)
		return fail_errno(-ENOMEM, "mounting");
	int err = add_option(args, "ro,nosuid,nodev,default_permissions,"
			"subtype=amberfs");
	if (err == 0)
		err = add_fsname(args, store_path(s->fs.repo->store));
	if (err == 0 && o->noexec)
		err = add_option(args, "noexec");
	if (err == 0 && o->allow_other)
		err = add_option(args, "allow_other");
	if (err == 0 && o->allow_root)
		err = add_option(args, "allow_root");
	return err;
}

static int make_session(struct service *s)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = fill_arguments(s, &args);
	if (err == 0) {
		s->session = fuse_session_new(&args, operations_table(),
				sizeof(struct fuse_lowlevel_ops), &s->fs);
		if (s->session == NULL)
			err = fail(-EIO, "libfuse refused the mount options");
	}
	fuse_opt_free_args(&args);
	return err;
}

static int mount_session(struct service *s, void (*ready)(void *ctx),
		void *ready_ctx)
{
	/* libfuse and fusermount3 say the reason on stderr by themselves. */
	if (fuse_session_mount(s->session, s->mountpoint) != 0)
		return fail(-EIO, "mounting on %s failed", s->mountpoint);
	s->mounted = true;
	const struct housekeeping_job job = {
		.session = s->session,
		.fs = &s->fs,
		.mountpoint = s->mountpoint,
		.ready = ready,
		.ready_ctx = ready_ctx,
	};
	return housekeeping_start(&s->keeper, &job);
}

/* --- */

int service_start(struct service **out, const char *repo,
		const char *mountpoint, struct mount_options *o,
		void (*ready)(void *ctx), void *ready_ctx)
{
	struct service *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return fail_errno(-ENOMEM, "mounting");
	s->mountpoint = mountpoint;
	s->options = o;
	s->fs.options = o;
	s->fs.started = started;
	s->fs.started_ctx = s;
	pthread_mutex_init(&s->fs.mutex, NULL);
	signal(SIGPIPE, SIG_IGN);
	int err = open_filesystem(s, repo);
	if (err == 0)
		err = make_session(s);
	if (err == 0)
		err = mount_session(s, ready, ready_ctx);
	if (err != 0) {
		struct error_copy why;
		error_save(&why, err);
		service_stop(s);
		return error_load(&why);
	}
	log_capture_libfuse();
	*out = s;
	return 0;
}

int service_run(struct service *s)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned servers = 2 * pool_processors();
	if (config == NULL)
		return fail_errno(-ENOMEM, "serving the mount");
	servers = (unsigned)max_u64(SERVERS_MIN, min_u64(servers, SERVERS_MAX));
	fuse_loop_cfg_set_max_threads(config, servers);
	fuse_loop_cfg_set_clone_fd(config, 0);
	int err = fuse_session_loop_mt(s->session, config);
	fuse_loop_cfg_destroy(config);
	/* Positive: the number of a signal, which is not a failure. */
	return err < 0 ? fail_errno(err, "serving the mount") : 0;
}

void service_stop(struct service *s)
{
	if (s == NULL)
		return;
	/* The keeper first: it uses the session's descriptor. */
	housekeeping_stop(s->keeper);
	if (s->mounted)
		fuse_session_unmount(s->session);
	if (s->session != NULL)
		fuse_session_destroy(s->session);
	file_close_all(&s->fs);
	tree_free(s->fs.tree);
	statfs_free(s->fs.usage);
	image_reader_free(s->fs.reader);
	roots_free(s->fs.roots);
	repository_close(s->fs.repo);
	pthread_mutex_destroy(&s->fs.mutex);
	free(s);
}
