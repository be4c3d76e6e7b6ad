/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Secrets (passwords in the definition, what a TPM has sealed) go only into
 * encrypted repositories.
 */
#include "domain_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup_path.h"
#include "ingest/libvirt/libvirt_home.h"
#include "ingest/libvirt/tpm_state.h"
#include "left_out.h"
#include "nvram_reader.h"
#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/foreign_path.h"
#include "repo/base/units.h"
#include "repo/format/name.h"

/* Files that are read twice are held in memory. An ARM NVRAM has 64 MiB. */
#define SMALL_MAX ((off_t)128 << 20)
#define READINGS 6
#define PAUSE_NS 20000000L
/* For what another user may have put there. */
#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY)

/* --- the definition --- */

static int store_xml(struct domain_run *run, const char *name, const char *xml)
{
	struct backup_file f = { .name = name,
		.kind = FILE_XML,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns() };
	return backup_snapshot_store_text(run->b, &f, xml);
}

/* With secrets only if the repository is encrypted. */
static int store_definition(struct domain_run *run)
{
	const struct domain_state *state = run->domain;
	const char *why = NULL;
	if (state->secure == NULL && state->secrets_hidden)
		why = "this connection may not read them";
	else if (state->secure != NULL && !seal_encrypts(run->repo->seal))
		why = "this repository is not encrypted";
	if (state->secure != NULL && why == NULL)
		return store_xml(run, "domain.xml", state->secure->text);
	int err = why != NULL
			? left_out_note(run, "passwords of the definition", why)
			: 0;
	return err < 0 ? err
		       : store_xml(run, "domain.xml", state->inactive->text);
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

/* Reads until two readings in a row are the same. BY: how to open PATH. */
static int read_stable(struct domain_run *run, const char *path, const char *by,
		struct bytes *out)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct bytes before = { .len = 0 };
	int err = read_small(by, out);
	for (int i = 1; err == 0 && i < READINGS; i++) {
		free(before.data);
		before = *out;
		*out = (struct bytes){ .len = 0 };
		nanosleep(&pause, NULL);
		err = read_small(by, out);
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

/* Other users, such as the one that qemu runs as, must not make us read what
 * only we may, so the file that was opened and checked is the one read. FILE has
 * its name and kind set. LIVE: the file may be written to meanwhile. */
static int store_opened(struct domain_run *run, struct backup_file *file,
		const char *path, int fd, bool live)
{
	struct bytes bytes = { .len = 0 };
	struct stat st;
	char by[32];
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return device_fail_kind(-EPERM, path);
	snprintf(by, sizeof(by), "/proc/self/fd/%d", fd);
	int err = live ? read_stable(run, path, by, &bytes) : -EFBIG;
	file->mode = DOMAIN_FILE_MODE;
	file->source_path = path;
	file->mtime_ns = INT64_MIN;
	if (err == -EFBIG) {
		err = backup_path(run->b, by, file);
		if (err < 0)
			err = fail_within(err, "storing %s", path);
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
	CLEANUP_FD int fd = foreign_path_open(path, OPEN_FLAGS);
	return fd < 0 ? fd : store_opened(run, file, path, fd, live);
}

/* --- what can't be had --- */

static bool is_out_of_reach(int err)
{
	return err == -EACCES || err == -EPERM || err == -ENOENT
			|| err == -ENOTDIR || err == -ELOOP;
}

/* Notes that WHAT is not in the snapshot because of ERR and the thread's
 * text. */
static int lack_any(struct domain_run *run, const char *what,
		enum skipped_kind kind, int err)
{
	CLEANUP_FREE char *why = strdup(error_text(err));
	if (why != NULL && kind == SKIPPED_UNSUPPORTED)
		return left_out_note(run, what, why);
	report_warning("domain %s: its %s is not in the backup: %s",
			run->display, what, error_text(err));
	return why != NULL ? backup_snapshot_lacks(run->b, what, kind, why)
			   : fail_no_memory("storing the domain's files");
}

/* The same if that can't be helped; else ERR. */
static int lack(struct domain_run *run, const char *what,
		enum skipped_kind kind, int err)
{
	return is_out_of_reach(err) ? lack_any(run, what, kind, err) : err;
}

/* --- NVRAM, kernel, initrd --- */

#define NVRAM "NVRAM" /* as snapshots record it */

static bool had_nvram(const struct snapshot *base)
{
	for (uint32_t i = 0; base != NULL && i < base->file_count; i++)
		if (base->files[i].kind == FILE_NVRAM)
			return true;
	return snapshot_find_skipped(base, SKIPPED_MISSING, NVRAM) != NULL;
}

/* It is missing if an earlier snapshot has it; a server that never let us read it
 * (qemu-nbd serves one client unless told otherwise) is what it is. */
static int lack_network_nvram(struct domain_run *run, int err)
{
	if (err == -ENOMEM || err == -ECANCELED)
		return err;
	return lack_any(run, NVRAM,
			had_nvram(run->b->base) ? SKIPPED_MISSING
						: SKIPPED_UNSUPPORTED,
			fail(err,
					"%s; it is on an NBD server, which must "
					"let this host read it, beside the "
					"guest (qemu-nbd: --shared)",
					error_text(err)));
}

/* Of another host there is no path to record, and no time. */
static int store_network_nvram(struct domain_run *run, bool live)
{
	struct network_nvram nvram;
	struct backup_file f = { .name = "nvram.fd",
		.kind = FILE_NVRAM,
		.mode = DOMAIN_FILE_MODE,
		.mtime_ns = realtime_ns() };
	void *data = NULL;
	size_t len = 0;
	int err = network_nvram_find(run->domain->current, &nvram);
	if (err <= 0)
		return err;
	err = nvram_reader_read(&nvram, live, &data, &len);
	network_nvram_clear(&nvram);
	if (err == 0)
		err = backup_snapshot_store_bytes(run->b, &f, data, len);
	else
		err = lack_network_nvram(run, err);
	free(data);
	return err;
}

/* A domain that never ran has a path for its NVRAM but no file yet. */
static int store_nvram(struct domain_run *run, bool live)
{
	const struct domain_xml *xml = run->domain->current;
	const char *path = xml->nvram;
	struct backup_file f = { .name = "nvram.fd", .kind = FILE_NVRAM };
	if (path == NULL)
		return store_network_nvram(run, live);
	int err = store_file(run, &f, path, live);
	if (err == -ENOENT && !live)
		return 0;
	return err < 0 ? lack(run, NVRAM, SKIPPED_MISSING, err) : 0;
}

static int store_boot(struct domain_run *run, const char *what,
		const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;
	struct backup_file f = { .name = slash != NULL ? slash + 1 : path,
		.kind = FILE_BOOT };
	int err = path != NULL ? store_file(run, &f, path, false) : 0;
	return err < 0 ? lack(run, what, SKIPPED_MISSING, err) : 0;
}

/* --- the TPM --- */

static int store_tpm_file(struct domain_run *run, const char *path,
		const char *name, int fd, bool live)
{
	struct backup_file f = { .name = name, .kind = FILE_TPM };
	return store_opened(run, &f, path, fd, live);
}

/* Besides the state there are a lock and sockets, and whatever else the user
 * likes who owns the directory. */
static int store_tpm_files(struct domain_run *run, const char *directory,
		int above, bool live)
{
	int err = 0;
	for (const char *const *name = tpm_state_names;
			err == 0 && *name != NULL; name++) {
		CLEANUP_FREE char *path = NULL;
		if (asprintf(&path, "%s/%s", directory, *name) < 0) {
			path = NULL;
			return fail_no_memory("storing the domain's files");
		}
		CLEANUP_FD int fd = foreign_path_openat(above, *name,
				OPEN_FLAGS, 0);
		if (fd == -ENOENT)
			continue;
		err = fd < 0 ? fail_within(fd, "%s", directory)
			     : store_tpm_file(run, path, *name, fd, live);
	}
	return err;
}

/* PATH: a directory, or a file if the definition says so. *FOUND: it is
 * there. */
static int store_tpm_at(struct domain_run *run, const char *path, bool live,
		bool *found)
{
	const char *slash = strrchr(path, '/');
	struct stat st;
	CLEANUP_FD int fd = foreign_path_open(path, OPEN_FLAGS);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return fail_errno(-errno, "examining %s", path);
	*found = true;
	if (S_ISDIR(st.st_mode))
		return store_tpm_files(run, path, fd, live);
	return store_tpm_file(run, path, slash != NULL ? slash + 1 : path, fd,
			live);
}

static int find_tpm(struct domain_run *run, bool live, bool *found)
{
	const struct domain_state *state = run->domain;
	CLEANUP_FREE char *root =
			libvirt_home_tpm(connection_uri(state->connection));
	int err = 0;
	if (state->current->tpm_path != NULL)
		return store_tpm_at(run, state->current->tpm_path, live, found);
	for (const char *const *version = tpm_state_versions;
			root != NULL && err == 0 && *version != NULL;
			version++) {
		CLEANUP_FREE char *directory = NULL;
		if (asprintf(&directory, "%s/%s/%s", root, state->facts.uuid,
				    *version)
				< 0) {
			directory = NULL;
			return fail_no_memory("storing the domain's files");
		}
		err = store_tpm_at(run, directory, live, found);
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
	return err < 0 ? lack(run, "TPM",
			       err == -ELOOP ? SKIPPED_MISSING
					     : SKIPPED_UNSUPPORTED,
			       err)
		       : 0;
}

/* --- all --- */

int domain_files_store(struct domain_run *run)
{
	const struct domain_xml *running = run->domain->running;
	const struct domain_xml *xml = run->domain->current;
	bool live = running != NULL;
	int err = store_definition(run);
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
