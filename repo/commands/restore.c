/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * amberfs restore: copies files of a snapshot out. A file grows under a
 * temporary name beside its final one and gets that name when it is whole and
 * fsynced; a block device is written in place.
 *
 * Damage ends it, unless --damaged=zero was given: then what can't be read
 * becomes zeros, and each such range is named.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/cleanup.h"
#include "../base/device.h"
#include "../base/error.h"
#include "../base/hex.h"
#include "../base/interrupt.h"
#include "../image/image_copy.h"
#include "../session.h"
#include "command.h"

#define FRAME_CACHE ((uint64_t)64 << 20)

/* A range of a file that was written as zeros because it can't be read. */
struct damaged_range {
	const char *file;	/* of the snapshot */
	uint64_t from, to;
	char *cause;
};

struct restore {
	struct common_options common;
	bool force;
	const char *damaged;	/* "zero", or NULL: an error */
	struct option_number jobs;
	struct repository *repo;
	struct image_reader *reader;
	struct snapshot *snap;
	struct image_copy copy; /* the one under way */
	uint64_t size;		/* of the file under way */
	uint64_t all_done, all_total, written;
	unsigned files;
	const struct snapshot_file *file; /* the one under way */
	struct damaged_range *ranges;
	size_t range_count, range_room, told;
	bool range_lost;	/* one could not even be noted */
};

/* --- damage --- */

/* An image_copy's DAMAGED: one call at a time. */
static void note_damaged(void *ctx, uint64_t offset, uint64_t len, int err)
{
	struct restore *r = ctx;
	if (r->range_count == r->range_room) {
		size_t room = r->range_room ? 2 * r->range_room : 64;
		struct damaged_range *more = reallocarray(r->ranges, room,
				sizeof(*more));
		if (more == NULL) {
			r->range_lost = true;
			return;
		}
		r->ranges = more;
		r->range_room = room;
	}
	r->ranges[r->range_count++] = (struct damaged_range){
		.file = r->file->name, .from = offset, .to = offset + len,
		.cause = strdup(error_text(err)) };
}

static int compare_ranges(const void *a, const void *b)
{
	const struct damaged_range *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to < y->to ? -1 : x->to > y->to;
}

/* Puts the last file's ranges in order, joins those that touch, and names
 * them. */
static int tell_damaged(struct restore *r)
{
	struct damaged_range *all = r->ranges + r->told;
	size_t count = r->range_count - r->told, kept = 0;
	if (r->range_lost)
		return fail_errno(-ENOMEM, "noting damaged ranges");
	if (count > 1)
		qsort(all, count, sizeof(*all), compare_ranges);
	for (size_t i = 0; i < count; i++) {
		struct damaged_range *last = kept ? &all[kept - 1] : NULL;
		if (last == NULL || all[i].from > last->to) {
			all[kept++] = all[i];
			continue;
		}
		if (all[i].to > last->to)
			last->to = all[i].to;
		free(all[i].cause);
	}
	for (size_t i = 0; i < kept; i++)
		report_error("%s: bytes %llu to %llu can't be read and were written "
			     "as zeros: %s",
				all[i].file, (unsigned long long)all[i].from,
				(unsigned long long)all[i].to - 1,
				all[i].cause ? all[i].cause : "");
	r->range_count = r->told += kept;
	return 0;
}

static json_t *damaged_to_json(const struct restore *r)
{
	json_t *list = json_array();
	for (size_t i = 0; i < r->range_count; i++) {
		const struct damaged_range *d = &r->ranges[i];
		json_array_append_new(list, json_pack("{s:s,s:I,s:I,s:s}",
				"file", d->file, "offset", (json_int_t)d->from,
				"length", (json_int_t)(d->to - d->from), "cause",
				d->cause ? d->cause : ""));
	}
	return list;
}

static uint64_t damaged_bytes(const struct restore *r)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < r->range_count; i++)
		sum += r->ranges[i].to - r->ranges[i].from;
	return sum;
}

static void free_damaged(struct restore *r)
{
	for (size_t i = 0; i < r->range_count; i++)
		free(r->ranges[i].cause);
	free(r->ranges);
}

/* --- one file --- */

static void progress(void *ctx, struct progress_numbers *now)
{
	struct restore *r = ctx;
	now->done = r->copy.done;
	now->total = r->size;
	now->all_done = r->all_done + r->copy.done;
	now->all_total = r->all_total > r->size ? r->all_total : 0;
	now->fresh = UINT64_MAX;
}

/* Copies FILE's image to FD. */
static int copy_image(struct restore *r, const struct snapshot_file *f, int fd,
		const char *to, bool fresh, bool stream)
{
	int e = image_open(&r->copy.image, r->reader, &f->root, f->size);
	if (e < 0)
		return fail_within(e, "%s", f->name);
	r->copy.fd = fd;
	r->copy.to = to;
	r->copy.fresh = fresh;
	r->copy.threads = (unsigned)r->jobs.value;
	r->copy.cancel = &interrupt_flag;
	r->copy.damaged = r->damaged ? note_damaged : NULL;
	r->copy.ctx = r;
	r->file = f;
	r->copy.done = r->copy.written = 0;
	r->size = f->size;
	progress_begin(f->name, progress, r);
	e = stream ? image_copy_stream(&r->copy)
		   : image_copy_parallel(&r->copy);
	progress_end();
	image_close(r->copy.image);
	r->all_done += r->copy.done;
	r->written += r->copy.written;
	r->files++;
	if (e == 0)
		e = tell_damaged(r);
	return e < 0 ? fail_within(e, "restoring %s", f->name) : 0;
}

/* --- to a file --- */

/* Splits PATH into its folder, opened, and the last component. */
static int open_folder_of(const char *path, const char **leaf)
{
	CLEANUP_FREE char *folder = strdup(path);
	if (folder == NULL)
		return fail_errno(-ENOMEM, "restoring");
	char *slash = strrchr(folder, '/');
	*leaf = slash ? path + (slash - folder) + 1 : path;
	if (slash != NULL)
		slash[slash == folder ? 1 : 0] = '\0';
	int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? fail_errno(-errno, "opening the folder of %s", path)
		      : fd;
}

static int finish_file(const struct restore *r, const struct snapshot_file *f,
		int folder, int fd, const char *temporary, const char *leaf,
		const char *path)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_NOW },
		{ .tv_sec = f->mtime_ns / 1000000000,
			.tv_nsec = f->mtime_ns % 1000000000 } };
	if (times[1].tv_nsec < 0) {
		times[1].tv_nsec += 1000000000;
		times[1].tv_sec--;
	}
	if (fchmod(fd, f->mode & 0777) < 0 || futimens(fd, times) < 0
			|| fsync(fd) < 0)
		return fail_errno(-errno, "finishing %s", path);
	int n = renameat2(folder, temporary, folder, leaf,
			r->force ? 0 : RENAME_NOREPLACE);
	if (n < 0 && !r->force && (errno == EINVAL || errno == ENOSYS)) {
		/* A filesystem without it: link(2) doesn't replace either. */
		n = linkat(folder, temporary, folder, leaf, 0);
		if (n == 0)
			unlinkat(folder, temporary, 0);
	}
	if (n < 0 && errno == EEXIST)
		return fail(-EEXIST, "%s exists; --force replaces it", path);
	if (n < 0 || fsync(folder) < 0)
		return fail_errno(-errno, "naming %s", path);
	return 0;
}

static int to_file(struct restore *r, const struct snapshot_file *f,
		const char *path)
{
	char temporary[64];
	uint8_t random[8];
	char digits[17];
	const char *leaf = NULL;
	struct stat st;
	CLEANUP_FD int folder = open_folder_of(path, &leaf);
	if (folder < 0)
		return folder;
	if (!r->force && fstatat(folder, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return fail(-EEXIST, "%s exists; --force replaces it", path);
	seal_random(random, sizeof(random));
	hex_encode(digits, random, sizeof(random));
	snprintf(temporary, sizeof(temporary), ".amberfs-restore.%s", digits);
	CLEANUP_FD int fd = openat(folder, temporary,
			O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
			0600);
	if (fd < 0)
		return fail_errno(-errno, "making %s", path);
	int e = ftruncate(fd, (off_t)f->size) < 0
			? fail_errno(-errno, "making %s %llu bytes large", path,
					  (unsigned long long)f->size)
			: 0;
	if (e == 0)
		e = copy_image(r, f, fd, path, true, false);
	if (e == 0)
		e = finish_file(r, f, folder, fd, temporary, leaf, path);
	if (e < 0)
		unlinkat(folder, temporary, 0);
	return e;
}

/* --- to a device or a stream --- */

static int to_device(struct restore *r, const struct snapshot_file *f,
		const char *path)
{
	uint64_t size = 0;
	if (!r->force)
		return fail(-EEXIST,
				"%s is a block device; --force overwrites it", path);
	CLEANUP_FD int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", path);
	int e = device_size(fd, &size);
	if (e < 0)
		return fail_errno(e, "asking %s for its size", path);
	if (size < f->size)
		return fail(-ENOSPC,
				"%s has %llu bytes, %s needs %llu: use a larger device",
				path, (unsigned long long)size, f->name,
				(unsigned long long)f->size);
	e = copy_image(r, f, fd, path, false, false);
	if (e == 0 && fsync(fd) < 0)
		e = fail_errno(-errno, "writing %s", path);
	return e;
}

static int to_stdout(struct restore *r, const struct snapshot_file *f)
{
	if (isatty(STDOUT_FILENO))
		return fail(-EINVAL, "will not write an image to the terminal; "
				     "send it into a file or a pipe");
	return copy_image(r, f, STDOUT_FILENO, "standard output", true, true);
}

/* --- where to --- */

static int into_folder(struct restore *r, const char *dest, const char *file)
{
	for (uint32_t i = 0; i < r->snap->file_count; i++) {
		const struct snapshot_file *f = &r->snap->files[i];
		CLEANUP_FREE char *path = NULL;
		if (file != NULL && strcmp(f->name, file) != 0)
			continue;
		if (asprintf(&path, "%s/%s", dest, f->name) < 0)
			return fail_errno(-ENOMEM, "restoring");
		int e = to_file(r, f, path);
		if (e < 0)
			return e;
	}
	return 0;
}

static int restore_to(struct restore *r, const char *file, const char *dest)
{
	struct stat st;
	bool exists = stat(dest, &st) == 0;
	const struct snapshot_file *f =
			file ? snapshot_find_file(r->snap, file) : NULL;
	if (strcmp(dest, "-") == 0)
		return f ? to_stdout(r, f)
			 : fail(-EINVAL, "to standard output goes one file: name it "
					 "(SNAPSHOT/FILE)");
	if (exists && S_ISDIR(st.st_mode))
		return into_folder(r, dest, file);
	if (f == NULL) {
		if (exists)
			return fail(-ENOTDIR,
					"%s is no folder; a whole snapshot goes into a "
					"folder",
					dest);
		if (mkdir(dest, 0700) < 0)
			return fail_errno(-errno, "making folder %s", dest);
		return into_folder(r, dest, NULL);
	}
	if (exists && S_ISBLK(st.st_mode))
		return to_device(r, f, dest);
	return to_file(r, f, dest);
}

/* --- the session: prune must not take the chunks from under us --- */

static int stand_on_files(struct restore *r, struct session **out)
{
	int e = session_begin(out, r->repo, SESSION_READ, "restore");
	for (uint32_t i = 0; e == 0 && i < r->snap->file_count; i++)
		e = session_stand_on(*out, &r->snap->files[i].root.id);
	if (session_unwritable(e)) {
		session_end(take_ptr(*out));
		report_warning("%s can't be written, so nobody sees this restore: a "
			       "prune meanwhile may break it",
				store_path(r->repo->store));
		return 0;
	}
	/* Only now does it count that the snapshot is there. */
	return e < 0 ? e : snapshot_is_there(r->repo, r->snap);
}

static int run(struct restore *r, const char *spec, const char *dest)
{
	CLEANUP_FREE char *file = NULL;
	struct session *session = NULL;
	struct image_reader_options ro = { .cache_size = FRAME_CACHE,
		.threads = (unsigned)r->jobs.value };
	int e = snapshot_resolve(r->repo, spec, &r->snap, &file);
	if (e == 0)
		e = stand_on_files(r, &session);
	if (e == 0)
		e = image_reader_new(&r->reader, r->repo->packs, &ro);
	for (uint32_t i = 0; e == 0 && i < r->snap->file_count; i++)
		if (!file || strcmp(file, r->snap->files[i].name) == 0)
			r->all_total += r->snap->files[i].size;
	if (e == 0)
		e = restore_to(r, file, dest);
	image_reader_free(r->reader);
	session_end(session);
	return e;
}

static void print_summary(struct restore *r, const char *dest, double seconds)
{
	char size[SIZE_TEXT_MAX], data[SIZE_TEXT_MAX], took[SIZE_TEXT_MAX];
	if (r->range_count != 0)
		report_warning("%s in %zu range%s can't be read and were written as "
			       "zeros; 'amberfs repair' may bring them back",
				size_format(size, damaged_bytes(r)),
				r->range_count, r->range_count == 1 ? "" : "s");
	if (report_json())
		report_print_json(json_pack("{s:s,s:i,s:I,s:I,s:f,s:o}", "snapshot",
				r->snap->object + strlen("snapshots/"), "files",
				(int)r->files, "bytes",
				(json_int_t)r->all_done, "written",
				(json_int_t)r->written, "seconds", seconds,
				"damaged", damaged_to_json(r)));
	else if (report_wants_text() && strcmp(dest, "-") != 0)
		printf("Restored %u file%s, %s (%s written, the rest holes), in "
		       "%s.\n",
				r->files, r->files == 1 ? "" : "s",
				size_format(size, r->all_done),
				size_format(data, r->written),
				duration_format(took, seconds));
}

int command_restore(int argc, char **argv)
{
	struct restore r = { .jobs = { .value = processors_usable(), .min = 1,
				     .max = 256 } };
	const struct option own[] = {
		{ "force", 0, OPTION_FLAG, &r.force, NULL,
			"replace files that exist; overwrite a block device" },
		{ "damaged", 0, OPTION_TEXT, &r.damaged, "zero",
			"write what can't be read as zeros, and name it" },
		{ "jobs", 'j', OPTION_NUMBER, &r.jobs, "N",
			"threads (default: one per processor)" },
		{ NULL, 0, OPTION_FLAG, NULL, NULL, NULL },
	};
	const struct option *tables[] = { own,
		repository_option_table(&r.common.repository),
		report_option_table(&r.common.report), NULL };
	const struct command_line cl = {
		.program = "amberfs restore",
		.operands = "REPO SNAPSHOT[/FILE] DEST",
		.purpose = "Copy a snapshot's files, or one, to DEST: a folder, a file, a "
			   "block device, or\n- (standard output). Holes stay holes; nothing "
			   "partial gets a final name.",
		.tables = tables,
		.min_operands = 3, .max_operands = 3,
	};
	options_parse(&cl, argc, argv);
	report_setup(cl.program, &r.common.report);
	if (r.common.report.json && strcmp(argv[3], "-") == 0)
		usage_error(&cl, "--json and standard output as DEST contradict "
				 "each other");
	if (r.damaged != NULL && strcmp(r.damaged, "zero") != 0)
		usage_error(&cl, "--damaged takes the word zero");
	interrupt_setup();
	double begin = monotonic_now();
	r.repo = command_open(argv[1], &r.common);
	if (r.repo == NULL)
		return EXIT_FAILED;
	int e = run(&r, argv[2], argv[3]);
	if (e == 0)
		print_summary(&r, argv[3], monotonic_now() - begin);
	bool partly = r.range_count != 0;
	free_damaged(&r);
	snapshot_free(r.snap);
	repository_close(r.repo);
	if (e < 0)
		return command_failed(e);
	return report_finish(partly ? EXIT_PARTLY : EXIT_DONE);
}
