/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The parts of a mount in the order in which they need each other. */
#include "service.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "housekeeping.h"
#include "log.h"
#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/format/name.h"
#include "repo/repository/secret_env.h"
#include "repo/snapshot/snapshot_resolve.h"

#define CHUNKS_IN_MEMORY (256u << 10) /* about 16 MiB of places */
#define SERVERS_MIN 4u
#define SERVERS_MAX 16u

struct service {
	struct filesystem fs;
	const char *mountpoint;
	struct mount_options *options;
	struct fuse_session *session;
	struct housekeeping *keeper;
	char *only; /* "source/time"; NULL: all */
	bool mounted;
};

/* --- the repository's side --- */

static void started(void *ctx)
{
	struct service *service = ctx;
	housekeeping_started(service->keeper);
}

static void nobody_to_tell(void *ctx __attribute__((unused)),
		uint64_t parent __attribute__((unused)),
		const char *name __attribute__((unused)))
{
}

static int open_repository(struct service *service, const char *path)
{
	struct repository_options *options = &service->options->repository;
	options->chunks_max = CHUNKS_IN_MEMORY;
	int err = repository_open(&service->fs.repo, path, options);
	secret_env_forget();
	if (err != 0)
		return err;
	/* A mount lives long: its keys must not be swapped out. */
	int locked = seal_lock(service->fs.repo->seal);
	if (locked < 0)
		report_warning("%s", error_text(locked));
	return repository_attach(service->fs.repo, options);
}

static int register_mount(struct service *service)
{
	char *why_not = NULL;
	CLEANUP_FREE char *activity = name_escape(service->mountpoint,
			strlen(service->mountpoint));
	if (activity == NULL)
		return fail_no_memory("registering the mount");
	int err = roots_new(&service->fs.roots, service->fs.repo, activity,
			&why_not);
	if (why_not != NULL)
		report_warning("%s; the mount can't register a session, so "
			       "prune may delete old snapshots while they "
			       "are being read",
				why_not);
	free(why_not);
	return err;
}

/* The one snapshot that is to be seen, as "source/time", so that "latest" stays
 * what it is now. */
static int resolve_only(struct service *service)
{
	const char *wanted = service->options->snapshot;
	struct snapshot *snap = NULL;
	CLEANUP_FREE char *file = NULL;
	if (wanted == NULL)
		return 0;
	int err = snapshot_resolve(service->fs.repo, wanted, &snap, &file);
	if (err == 0 && file != NULL)
		err = fail(-EINVAL,
				"snapshot=%s is a file; only a whole snapshot "
				"can be mounted",
				wanted);
	if (err == 0)
		service->only = strdup(snap->object + strlen("snapshots/"));
	snapshot_free(snap);
	if (err == 0 && service->only == NULL)
		err = fail_no_memory("mounting");
	return err;
}

static int open_filesystem(struct service *service, const char *path)
{
	const struct image_reader_options reading = {
		.cache_size = service->options->cache_size,
		.threads = pool_processors(),
	};
	struct filesystem *fs = &service->fs;
	int err = open_repository(service, path);
	/* Before the first thread is made and the first trace is left. */
	housekeeping_block_signals();
	if (err != 0)
		return err;
	err = register_mount(service);
	if (err != 0)
		return err;
	err = image_reader_new(&fs->reader, fs->repo->packs, &reading);
	if (err != 0)
		return err;
	err = resolve_only(service);
	if (err != 0)
		return err;
	err = tree_new(&fs->tree, fs->repo, service->only, fs->options->views);
	if (err != 0)
		return err;
	err = tree_refresh(fs->tree, nobody_to_tell, NULL);
	if (err != 0)
		return err;
	fs->usage = statfs_new(fs->repo->store);
	return fs->usage == NULL ? fail_no_memory("mounting") : 0;
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
	if (fuse_opt_add_arg(args, "-o") != 0
			|| fuse_opt_add_arg(args, option) != 0)
		return fail_no_memory("mounting");
	return 0;
}

static int add_fsname(struct fuse_args *args, const char *path)
{
	char *option = fsname_option(path);
	if (option == NULL)
		return fail_no_memory("mounting");
	int err = add_option(args, option);
	free(option);
	return err;
}

static int fill_arguments(const struct service *service, struct fuse_args *args)
{
	const struct mount_options *options = service->options;
	if (fuse_opt_add_arg(args, "amberfs") != 0)
		return fail_no_memory("mounting");
	int err = add_option(args,
			"ro,nosuid,nodev,default_permissions,subtype=amberfs");
	if (err != 0)
		return err;
	err = add_fsname(args, store_path(service->fs.repo->store));
	if (err != 0)
		return err;
	if (options->noexec)
		err = add_option(args, "noexec");
	if (err != 0)
		return err;
	if (options->allow_other)
		err = add_option(args, "allow_other");
	if (err != 0)
		return err;
	if (options->allow_root)
		err = add_option(args, "allow_root");
	return err;
}

static int make_session(struct service *service)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = fill_arguments(service, &args);
	if (err == 0) {
		service->session = fuse_session_new(&args, operations_table(),
				sizeof(struct fuse_lowlevel_ops), &service->fs);
		if (service->session == NULL)
			err = fail(-EIO, "libfuse refused the mount options");
	}
	fuse_opt_free_args(&args);
	return err;
}

static int mount_session(struct service *service, void (*ready)(void *ctx),
		void *ready_ctx)
{
	/* libfuse and fusermount3 say the reason on stderr by themselves. */
	if (fuse_session_mount(service->session, service->mountpoint) != 0)
		return fail(-EIO, "mounting on %s failed", service->mountpoint);
	service->mounted = true;
	const struct housekeeping_job job = {
		.session = service->session,
		.fs = &service->fs,
		.mountpoint = service->mountpoint,
		.ready = ready,
		.ready_ctx = ready_ctx,
	};
	return housekeeping_start(&service->keeper, &job);
}

/* --- */

int service_start(struct service **out, const char *repo,
		const char *mountpoint, struct mount_options *options,
		void (*ready)(void *ctx), void *ready_ctx)
{
	struct service *service = calloc(1, sizeof(*service));
	if (service == NULL)
		return fail_no_memory("mounting");
	service->mountpoint = mountpoint;
	service->options = options;
	service->fs.options = options;
	service->fs.started = started;
	service->fs.started_ctx = service;
	pthread_mutex_init(&service->fs.mutex, NULL);
	signal(SIGPIPE, SIG_IGN);
	int err = open_filesystem(service, repo);
	if (err == 0)
		err = make_session(service);
	if (err == 0)
		err = mount_session(service, ready, ready_ctx);
	if (err != 0) {
		struct error_copy why;
		error_save(&why, err);
		service_stop(service);
		return error_load(&why);
	}
	log_capture_libfuse();
	*out = service;
	return 0;
}

int service_run(struct service *service)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	unsigned servers = 2 * pool_processors();
	if (config == NULL)
		return fail_no_memory("serving the mount");
	servers = (unsigned)max_u64(SERVERS_MIN, min_u64(servers, SERVERS_MAX));
	fuse_loop_cfg_set_max_threads(config, servers);
	fuse_loop_cfg_set_clone_fd(config, 0);
	int err = fuse_session_loop_mt(service->session, config);
	fuse_loop_cfg_destroy(config);
	/* Positive: the number of a signal, which is not a failure. */
	return err < 0 ? fail_errno(err, "serving the mount") : 0;
}

void service_stop(struct service *service)
{
	if (service == NULL)
		return;
	/* The keeper first: it uses the session's descriptor. */
	housekeeping_stop(service->keeper);
	if (service->mounted)
		fuse_session_unmount(service->session);
	if (service->session != NULL)
		fuse_session_destroy(service->session);
	file_close_all(&service->fs);
	tree_free(service->fs.tree);
	free(service->only);
	statfs_free(service->fs.usage);
	image_reader_free(service->fs.reader);
	roots_free(service->fs.roots);
	repository_close(service->fs.repo);
	pthread_mutex_destroy(&service->fs.mutex);
	free(service);
}
