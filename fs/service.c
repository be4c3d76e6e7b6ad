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
	int r = repository_open(&s->fs.repo, path, o);
	secret_env_forget();
	if (r != 0)
		return r;
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
	int r = roots_new(&s->fs.roots, s->fs.repo, activity, &why_not);
	if (why_not != NULL)
		report_warning("%s; as the mount can't register itself there, "
			       "prune may take old snapshots from under it "
			       "while they are being read",
				why_not);
	free(why_not);
	return r;
}

static int open_filesystem(struct service *s, const char *path)
{
	const struct image_reader_options reading = {
		.cache_size = s->options->cache_size,
		.threads = pool_processors(),
	};
	int r = open_repository(s, path);
	/* Before the first thread is made and the first trace is left. */
	housekeeping_block_signals();
	if (r == 0)
		r = register_mount(s);
	if (r == 0)
		r = image_reader_new(&s->fs.reader, s->fs.repo->packs,
				&reading);
	if (r == 0)
		r = tree_new(&s->fs.tree, s->fs.repo, s->options->snapshot);
	if (r == 0)
		r = tree_refresh(s->fs.tree, nobody_to_tell, NULL);
	if (r != 0)
		return r;
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
	int r = add_option(args, option);
	free(option);
	return r;
}

static int fill_arguments(const struct service *s, struct fuse_args *args)
{
	const struct mount_options *o = s->options;
	if (fuse_opt_add_arg(args, "amberfs") != 0)
		return fail_errno(-ENOMEM, "mounting");
	int r = add_option(args, "ro,nosuid,nodev,default_permissions,"
			"subtype=amberfs");
	if (r == 0)
		r = add_fsname(args, store_path(s->fs.repo->store));
	if (r == 0 && o->noexec)
		r = add_option(args, "noexec");
	if (r == 0 && o->allow_other)
		r = add_option(args, "allow_other");
	if (r == 0 && o->allow_root)
		r = add_option(args, "allow_root");
	return r;
}

static int make_session(struct service *s)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = fill_arguments(s, &args);
	if (r == 0) {
		s->session = fuse_session_new(&args, operations_table(),
				sizeof(struct fuse_lowlevel_ops), &s->fs);
		if (s->session == NULL)
			r = fail(-EIO, "libfuse refused the mount options");
	}
	fuse_opt_free_args(&args);
	return r;
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
	int r = open_filesystem(s, repo);
	if (r == 0)
		r = make_session(s);
	if (r == 0)
		r = mount_session(s, ready, ready_ctx);
	if (r != 0) {
		struct error_copy why;
		error_save(&why, r);
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
	int r = fuse_session_loop_mt(s->session, config);
	fuse_loop_cfg_destroy(config);
	/* Positive: the number of a signal, which is not a failure. */
	return r < 0 ? fail_errno(r, "serving the mount") : 0;
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
