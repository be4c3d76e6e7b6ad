/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets (passwords in the definition, what a TPM has sealed) go only into
 * encrypted repositories.
 *
 * libvirt does not say where it keeps the state of an emulated TPM, but that
 * has never changed: in a directory for all domains, then the domain's UUID,
 * then tpm1.2 or tpm2. It exists from the domain's first start on.
 */
#include "domain_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup_path.h"
#include "repo/base/cleanup.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

#define TPM_SYSTEM "/var/lib/libvirt/swtpm"
#define TPM_SESSION "libvirt/qemu/swtpm" /* below the user's config directory */
/* Of one domain. */
#define TPM_FILES_MAX 64u
/* Files that are read twice are held in memory. An ARM NVRAM has 64 MiB. */
#define SMALL_MAX ((off_t)128 << 20)
#define READINGS 6
#define PAUSE_NS 20000000L

/* --- the definition --- */

/* The definition, with secrets only if the repository is encrypted. */
static const char *choose_xml(struct domain_run *run)
{
	const struct domain_state *state = run->domain;
	if (state->secure == NULL) {
		if (state->secrets_hidden)
			report_warning("domain %s: this connection may not "
				       "read passwords, so the definition is "
				       "stored without them",
					run->display);
		return state->inactive->text;
	}
	if (seal_encrypts(run->repo->seal))
		return state->secure->text;
	report_warning("domain %s: passwords in its definition are left out, "
		       "as this repository is not encrypted",
			run->display);
	return state->inactive->text;
}

static int store_xml(struct domain_run *run, const char *name, const char *xml)
{
	struct backup_file f = { .name = name,
		.kind = FILE_XML,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns() };
	return backup_snapshot_store_text(run->b, &f, xml);
}

/* --- one file --- */

struct bytes {
	void *data;
	size_t len;
	int64_t mtime_ns;
};

static int read_all(int fd, const char *path, struct bytes *out)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "reading %s", path);
	free(out->data);
	*out = (struct bytes){ .len = (size_t)st.st_size,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000
				+ st.st_mtim.tv_nsec };
	out->data = malloc(out->len + 1);
	if (out->data == NULL)
		return fail_no_memory("storing the domain's files");
	for (size_t at = 0; at < out->len;) {
		ssize_t n = pread(fd, (char *)out->data + at, out->len - at,
				(off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(-errno, "reading %s", path);
		if (n == 0)
			out->len = at;
		at += (size_t)n;
	}
	return 0;
}

static bool bytes_equal(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Reopened each time: swtpm replaces its file. 0; -EFBIG, -EINVAL: not a
 * small regular file. */
static int read_small(const char *path, struct bytes *out)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_errno(-errno, "opening %s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > SMALL_MAX)
		return -EFBIG;
	return read_all(fd, path, out);
}

/* Reads until two readings in a row are the same. */
static int read_stable(struct domain_run *run, const char *path,
		struct bytes *out)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct bytes before = { .len = 0 };
	int err = read_small(path, out);
	for (int i = 1; err == 0 && i < READINGS; i++) {
		free(before.data);
		before = *out;
		*out = (struct bytes){ .len = 0 };
		nanosleep(&pause, NULL);
		err = read_small(path, out);
		if (err == 0 && bytes_equal(&before, out)) {
			free(before.data);
			return 0;
		}
	}
	free(before.data);
	if (err == 0)
		report_warning("domain %s: the guest keeps writing to %s; the "
			       "stored copy may be inconsistent",
				run->display, path);
	return err;
}

/* FILE has its name and kind set. BY: the path to open. LIVE: the file may be
 * written to meanwhile. */
static int store_opened(struct domain_run *run, struct backup_file *file,
		const char *path, const char *by, bool live)
{
	struct bytes bytes = { .len = 0 };
	int err = live ? read_stable(run, by, &bytes) : -EFBIG;
	file->mode = DOMAIN_FILE_MODE;
	file->source_path = path;
	file->mtime_ns = INT64_MIN;
	if (err == -EFBIG) {
		err = backup_path(run->b, by, file);
	} else if (err == 0) {
		file->mtime_ns = bytes.mtime_ns;
		err = backup_snapshot_store_bytes(run->b, file, bytes.data,
				bytes.len);
	}
	free(bytes.data);
	return err;
}

static int store_file(struct domain_run *run, struct backup_file *file,
		const char *path, bool live)
{
	return store_opened(run, file, path, path, live);
}

/* --- what can't be had --- */

static bool is_out_of_reach(int err)
{
	return err == -EACCES || err == -EPERM || err == -ENOENT
			|| err == -ENOTDIR;
}

/* Notes that WHAT is not in the snapshot because of ERR and the thread's
 * text. */
static int lack(struct domain_run *run, const char *what,
		enum skipped_kind kind, int err)
{
	CLEANUP_FREE char *why = strdup(error_text(err));
	if (!is_out_of_reach(err))
		return err;
	report_warning("domain %s: its %s is not in the backup: %s",
			run->display, what, error_text(err));
	return why != NULL ? backup_snapshot_lacks(run->b, what, kind, why)
			   : fail_no_memory("storing the domain's files");
}

static int store_needed(struct domain_run *run, struct backup_file *file,
		const char *what, const char *path, bool live)
{
	int err = store_file(run, file, path, live);
	return err < 0 ? lack(run, what, SKIPPED_MISSING, err) : 0;
}

/* --- NVRAM, kernel, initrd --- */

/* A domain that never ran has a path for its NVRAM but no file yet. */
static int store_nvram(struct domain_run *run, bool live)
{
	const struct domain_xml *xml = run->domain->current;
	const char *path = xml->nvram;
	struct backup_file f = { .name = "nvram.fd", .kind = FILE_NVRAM };
	if (path == NULL
			|| (!live && access(path, F_OK) < 0 && errno == ENOENT))
		return 0;
	return store_needed(run, &f, "NVRAM", path, live);
}

static int store_boot(struct domain_run *run, const char *what,
		const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	struct backup_file f = { .name = slash != NULL ? slash + 1 : path,
		.kind = FILE_BOOT };
	return path != NULL ? store_needed(run, &f, what, path, false) : 0;
}

/* --- the TPM --- */

/* The directory of all domains; NULL: not known, or no memory. */
static char *tpm_root(const char *uri)
{
	const char *path = strstr(uri, "://");
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	char *out = NULL;
	path = path != NULL ? strchr(path + 3, '/') : NULL;
	if (path != NULL && strncmp(path, "/system", 7) == 0)
		return strdup(TPM_SYSTEM);
	if (path == NULL || strncmp(path, "/session", 8) != 0)
		return NULL;
	if (config != NULL && *config)
		return asprintf(&out, "%s/" TPM_SESSION, config) < 0 ? NULL
								     : out;
	if (home == NULL || asprintf(&out, "%s/.config/" TPM_SESSION, home) < 0)
		return NULL;
	return out;
}

/* The directory belongs to another user, who must not make us read what only we
 * may: no link is followed, and the file that was checked is the one read. */
static int store_tpm_file(struct domain_run *run, const char *directory,
		const char *name, bool live)
{
	CLEANUP_FREE char *path = NULL;
	char by[32];
	struct backup_file f = { .name = name, .kind = FILE_TPM };
	struct stat st;
	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return fail_no_memory("storing the domain's files");
	}
	CLEANUP_FD int fd = open(path,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
					| O_CLOEXEC);
	/* Besides the state there are a lock and sockets. */
	if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENXIO))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail_errno(-errno, "opening %s", path);
	if (!S_ISREG(st.st_mode))
		return 0;
	snprintf(by, sizeof(by), "/proc/self/fd/%d", fd);
	return store_opened(run, &f, path, by, live);
}

/* *FOUND: the directory is there. */
static int store_tpm_directory(struct domain_run *run, const char *directory,
		bool live, bool *found)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;
	unsigned count = 0;
	int err = 0;
	if (dir == NULL && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (dir == NULL)
		return fail_errno(-errno, "reading %s", directory);
	*found = true;
	while (err == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (++count > TPM_FILES_MAX)
			err = fail(-EPERM,
					"%s holds other things than the files "
					"of a TPM",
					directory);
		else
			err = store_tpm_file(run, directory, entry->d_name,
					live);
	}
	closedir(dir);
	return err;
}

/* PATH: as given by the definition, a directory or a file. */
static int store_tpm_at(struct domain_run *run, const char *path, bool live,
		bool *found)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return store_tpm_directory(run, path, live, found);
	struct backup_file f = { .name = slash != NULL ? slash + 1 : path,
		.kind = FILE_TPM };
	*found = true;
	return store_file(run, &f, path, live);
}

static int find_tpm(struct domain_run *run, bool live, bool *found)
{
	static const char *const versions[] = { "tpm1.2", "tpm2" };
	const struct domain_state *state = run->domain;
	CLEANUP_FREE char *root = tpm_root(connection_uri(state->connection));
	int err = 0;
	if (state->current->tpm_path != NULL)
		return store_tpm_at(run, state->current->tpm_path, live, found);
	for (size_t i = 0; root != NULL && err == 0 && i < 2; i++) {
		CLEANUP_FREE char *directory = NULL;
		if (asprintf(&directory, "%s/%s/%s", root, state->facts.uuid,
				    versions[i])
				< 0) {
			directory = NULL;
			return fail_no_memory("storing the domain's files");
		}
		err = store_tpm_directory(run, directory, live, found);
	}
	return err;
}

static int store_tpm(struct domain_run *run, bool live)
{
	const struct domain_state *state = run->domain;
	bool found = false;
	int err;
	if (!state->current->tpm_emulated)
		return 0;
	if (seal_encrypts(run->repo->seal))
		err = find_tpm(run, live, &found);
	else
		err = fail(-EPERM,
				"it holds keys, and this repository is not "
				"encrypted");
	/* Before the first start there is none. But another user's libvirt
	 * keeps it elsewhere than ours would. */
	if (err == 0 && !found
			&& (live
					|| strstr(connection_uri(state->connection),
							   "socket=")
							!= NULL))
		err = fail(-ENOENT, "cannot tell where this libvirt keeps it");
	return err < 0 ? lack(run, "TPM", SKIPPED_UNSUPPORTED, err) : 0;
}

/* --- all --- */

int domain_files_store(struct domain_run *run)
{
	const struct domain_xml *running = run->domain->running;
	const struct domain_xml *xml = run->domain->current;
	bool live = running != NULL;
	int err = store_xml(run, "domain.xml", choose_xml(run));
	if (err < 0)
		return err;
	if (live)
		err = store_xml(run, "domain-live.xml", running->text);
	if (err < 0)
		return err;
	err = store_nvram(run, live);
	if (err < 0)
		return err;
	err = store_tpm(run, live);
	if (err < 0)
		return err;
	err = store_boot(run, "kernel", xml->kernel);
	return err < 0 ? err : store_boot(run, "initrd", xml->initrd);
}
