/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading files and devices. Before a worker reads from a window it asks which
 * of its pages are in the page cache (mincore); it requests the others slightly
 * ahead of its reads and drops them afterwards. The kernel's own readahead is
 * off for the descriptor, as it would add pages that are not accounted for.
 *
 * mincore tells the truth only to users who may write the file; for others all
 * pages seem to be cached, and then none is dropped.
 */
#include "file_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "repo/base/bytes.h"
#include "repo/base/cleanup.h"
#include "repo/base/device.h"
#include "repo/base/error.h"
#include "repo/base/report.h"
#include "repo/base/units.h"

#define PAGE 4096u
#define WINDOW (16u << 20)
#define WINDOW_PAGES (WINDOW / PAGE)
#define AHEAD (2u << 20)
/* A file that changed less than this before it was opened may change again
 * without a change of its times. */
#define SETTLED_NS 2000000000LL

/* What one worker knows about its current window. */
struct window {
	uint64_t start; /* UINT64_MAX: none */
	uint64_t asked; /* requested up to here */
	bool any_missing;
	uint8_t resident[WINDOW_PAGES];
};

struct file_source {
	int fd;
	char *path;
	struct stat st;
	uint64_t size;
	int64_t opened_ns;
	unsigned workers;
	struct window *windows;
};

static int64_t to_ns(struct timespec t)
{
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- identity --- */

static void identity_from_stat(const struct stat *st, int64_t at_ns,
		struct file_identity *out)
{
	int64_t mtime = to_ns(st->st_mtim), ctime = to_ns(st->st_ctim);
	int64_t last = mtime > ctime ? mtime : ctime;
	*out = (struct file_identity){ .valid = S_ISREG(st->st_mode)
				&& at_ns - last > SETTLED_NS,
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = mtime,
		.ctime_ns = ctime };
}

bool file_source_same_identity(const struct file_identity *a,
		const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode
			&& a->size == b->size && a->mtime_ns == b->mtime_ns
			&& a->ctime_ns == b->ctime_ns;
}

/* A write changes mtime as well, once it is fsynced. */
static bool same_data(struct file_identity a, const struct file_identity *b)
{
	a.ctime_ns = b->ctime_ns;
	return file_source_same_identity(&a, b);
}

int file_source_compare(const char *path, const struct file_identity *before,
		const struct file_identity *after)
{
	if (file_source_same_identity(before, after))
		return 0;
	if (!same_data(*before, after))
		return fail(-EBUSY,
				"%s changed while it was read: is something "
				"using it?",
				path);
	report_warning("%s: its owner, mode or names changed while it was "
		       "read, but not its data",
			path);
	return 0;
}

/* fstat after fsync: only then do a regular file's times reflect every write
 * through a mapping. 0 or -errno. */
static int stat_settled(int fd, struct stat *st)
{
	if (fstat(fd, st) < 0)
		return -errno;
	if (!S_ISREG(st->st_mode))
		return 0;
	/* Read-only filesystems that can't fsync have nothing to flush. */
	if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		return -errno;
	return fstat(fd, st) < 0 ? -errno : 0;
}

/* *AT_NS is a time before fstat: however long this
 * process is stopped, no recent change seems old. */
static int open_settled(const char *path, struct stat *st, int64_t *at_ns)
{
	CLEANUP_FD int fd = open(path,
			O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail_errno(-errno, "opening %s", path);
	*at_ns = realtime_ns();
	int err = stat_settled(fd, st);
	if (err < 0)
		return fail_errno(err, "flushing %s before reading it", path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return device_fail_kind(-EINVAL, path);
	return take_fd(&fd);
}

int file_source_identify(const char *path, struct file_identity *out)
{
	struct stat st = { .st_mode = 0 };
	int64_t at_ns = 0;
	CLEANUP_FD int fd = open_settled(path, &st, &at_ns);
	if (fd < 0)
		return fd;
	identity_from_stat(&st, at_ns, out);
	return 0;
}

/* --- opening --- */

void file_source_close(struct file_source *source)
{
	if (source == NULL)
		return;
	if (source->fd >= 0)
		close(source->fd);
	free(source->path);
	free(source->windows);
	free(source);
}

static int set_size(struct file_source *source)
{
	source->size = (uint64_t)source->st.st_size;
	if (!S_ISBLK(source->st.st_mode))
		return 0;
	int err = device_size(source->fd, &source->size);
	return err < 0 ? fail_errno(err, "getting the size of %s", source->path)
		       : 0;
}

int file_source_open(struct file_source **out, const char *path,
		unsigned workers)
{
	struct file_source *source = calloc(1, sizeof(*source));
	if (source == NULL)
		return fail_errno(-ENOMEM, "opening %s", path);
	source->fd = -1;
	source->workers = workers;
	source->path = strdup(path);
	source->windows = calloc(workers, sizeof(*source->windows));
	int err = source->path != NULL && source->windows != NULL
			? 0
			: fail_errno(-ENOMEM, "opening %s", path);
	if (err == 0)
		err = source->fd = open_settled(path, &source->st,
				&source->opened_ns);
	if (err >= 0)
		err = set_size(source);
	if (err < 0) {
		file_source_close(source);
		return err;
	}
	for (unsigned i = 0; i < workers; i++)
		source->windows[i].start = UINT64_MAX;
	posix_fadvise(source->fd, 0, 0, POSIX_FADV_RANDOM);
	*out = source;
	return 0;
}

uint64_t file_source_size(const struct file_source *source)
{
	return source->size;
}

const struct stat *file_source_stat(const struct file_source *source)
{
	return &source->st;
}

void file_source_identity(const struct file_source *source,
		struct file_identity *out)
{
	identity_from_stat(&source->st, source->opened_ns, out);
}

int file_source_recheck(struct file_source *source)
{
	struct file_identity before, after;
	struct stat st;
	uint64_t size = 0;
	int err = stat_settled(source->fd, &st);
	if (err < 0)
		return fail_errno(err, "examining %s again", source->path);
	identity_from_stat(&source->st, 0, &before);
	identity_from_stat(&st, 0, &after);
	if (S_ISBLK(st.st_mode)) {
		if (device_size(source->fd, &size) < 0 || size != source->size)
			return fail(-EBUSY,
					"the size of %s changed while it was "
					"read",
					source->path);
		return 0;
	}
	return file_source_compare(source->path, &before, &after);
}

/* --- the page cache --- */

/* Finds out which pages of the window at START are cached. */
static void enter_window(struct file_source *source, struct window *window,
		uint64_t start)
{
	size_t len = min_u64(WINDOW, source->size - start);
	window->start = window->asked = start;
	window->any_missing = false;
	memset(window->resident, 1, sizeof(window->resident));
	void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, source->fd,
			(off_t)start);
	if (map == MAP_FAILED)
		return;
	if (mincore(map, len, window->resident) < 0)
		memset(window->resident, 1, sizeof(window->resident));
	munmap(map, len);
	for (size_t i = 0; i < (len + PAGE - 1) / PAGE; i++) {
		window->resident[i] &= 1;
		if (!window->resident[i])
			window->any_missing = true;
	}
}

/* ADVICE for each run of pages in [from, to) that were not cached. */
static void advise_missing(struct file_source *source, struct window *window,
		uint64_t from, uint64_t to, int advice)
{
	uint64_t first = (from - window->start) / PAGE;
	uint64_t end = min_u64((to - window->start + PAGE - 1) / PAGE,
			WINDOW_PAGES);
	while (first < end) {
		uint64_t last = first;
		while (last < end && !window->resident[last])
			last++;
		if (last > first)
			posix_fadvise(source->fd,
					(off_t)(window->start + first * PAGE),
					(off_t)((last - first) * PAGE), advice);
		first = last + 1;
	}
}

/* --- reading --- */

static int read_exactly(struct file_source *source, void *buf, size_t len,
		uint64_t offset)
{
	uint8_t *to = buf;
	while (len > 0) {
		ssize_t n = pread(source->fd, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_errno(-errno, "reading %s at byte %llu",
					source->path,
					(unsigned long long)offset);
		if (n == 0)
			return fail(-EBUSY,
					"%s was truncated while it was read",
					source->path);
		to += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* A piece that lies within one window. */
static int read_in_window(struct file_source *source, struct window *window,
		void *buf, size_t len, uint64_t offset)
{
	uint64_t start = offset / WINDOW * WINDOW;
	if (window->start != start)
		enter_window(source, window, start);
	if (!window->any_missing)
		return read_exactly(source, buf, len, offset);
	uint64_t ahead = min_u64(offset + len + AHEAD,
			min_u64(start + WINDOW, source->size));
	uint64_t from = max_u64(window->asked, offset);
	if (ahead > from) {
		advise_missing(source, window, from, ahead,
				POSIX_FADV_WILLNEED);
		window->asked = ahead;
	}
	int err = read_exactly(source, buf, len, offset);
	advise_missing(source, window, offset, offset + len,
			POSIX_FADV_DONTNEED);
	return err;
}

static int read_file(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	struct file_source *source = ctx;
	uint8_t *to = buf;
	while (len > 0) {
		size_t n = min_u64(len, WINDOW - offset % WINDOW);
		int err = read_in_window(source, &source->windows[worker], to,
				n, offset);
		if (err < 0)
			return err;
		to += n;
		offset += n;
		len -= n;
	}
	return 0;
}

static int extent(void *ctx, unsigned worker, uint64_t offset, uint64_t limit,
		bool *hole, uint64_t *end)
{
	struct file_source *source = ctx;
	(void)worker;
	*hole = false;
	*end = limit;
	off_t data = lseek(source->fd, (off_t)offset, SEEK_DATA);
	if (data < 0 && errno == ENXIO) {
		*hole = true;
		return 0;
	}
	if (data < 0) /* holes are not supported here: all is data */
		return 0;
	if ((uint64_t)data > offset) {
		*hole = true;
		*end = min_u64((uint64_t)data, limit);
		return 0;
	}
	off_t next = lseek(source->fd, (off_t)offset, SEEK_HOLE);
	if (next > (off_t)offset)
		*end = min_u64((uint64_t)next, limit);
	return 0;
}

void file_source_fill(struct file_source *s, struct image_source *source)
{
	*source = (struct image_source){ .size = s->size,
		.read = read_file,
		.extent = extent,
		.ctx = s };
}
