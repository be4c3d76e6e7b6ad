/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a power failure may take: everything of a file since its last fsync,
 * every change of a directory since the directory's. Appended bytes are cut off,
 * overwritten ones come back from SHIM_STATE.undo; a name that was made goes,
 * one that was changed changes back, and what was deleted or replaced comes
 * back from a hard link in SHIM_STATE.kept. Directories get their old mtimes too:
 * that is what a reader of the directory would go by.
 *
 * A torn loss takes back some changes and not others, page by page: POSIX
 * promises no order between those that nothing was fsynced after.
 */
#undef _FILE_OFFSET_BITS
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"

#define PAGE 4096

static void kept_path(char out[PATH_ROOM], char kind, unsigned long number)
{
	snprintf(out, PATH_ROOM, "%.370s/%c%lu", side_path, kind, number);
}

static void room_for(unsigned count, unsigned max, const char *what)
{
	if (count < max)
		return;
	errno = ENOMEM;
	fatal(what);
}

/* --- bytes --- */

static struct file *find_file(ino_t ino)
{
	for (unsigned i = 0; i < state->file_count; i++)
		if (state->files[i].ino == ino)
			return &state->files[i];
	return NULL;
}

/* The file, with a link that it can be reached by whatever happens to its
 * names. */
static struct file *note_file(int fd, const struct stat *st)
{
	char link[40], path[PATH_ROOM];
	struct file *f = find_file(st->st_ino);

	if (f)
		return f;
	room_for(state->file_count, FILES_MAX, "too many open files");
	f = &state->files[state->file_count++];
	f->ino = st->st_ino;
	f->size = st->st_size;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	kept_path(path, 'i', st->st_ino);
	if (linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0
			&& errno != EEXIST && errno != ENOENT && errno != EXDEV)
		fatal(path);
	return f;
}

void hide_link(struct stat *st)
{
	char path[PATH_ROOM];

	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return;
	kept_path(path, 'i', st->st_ino);
	if (access(path, F_OK) == 0)
		st->st_nlink--;
}

static void save(const struct file *f, int from, off_t at, size_t len)
{
	char *buf = malloc(len);
	int fd = open(undo_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			0600);
	struct undo *u;

	if (fd < 0 || !buf)
		fatal(undo_path);
	/* The descriptor may be for writing only. */
	if (pread(from, buf, len, at) != (ssize_t)len)
		fatal("can't read what will be overwritten");
	room_for(state->undo_count, UNDO_MAX, "too many overwritten places");
	u = &state->undo[state->undo_count++];
	*u = (struct undo){ .ino = f->ino,
		.at = at,
		.len = len,
		.pos = lseek(fd, 0, SEEK_END) };
	if (write(fd, buf, len) != (ssize_t)len)
		fatal(undo_path);
	close(fd);
	free(buf);
}

void will_change(int fd, off_t at, size_t len)
{
	char link[40];
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	struct file *f = note_file(fd, &st);
	end = f->size < st.st_size ? f->size : st.st_size;
	if (at >= end)
		return;
	if (len > (size_t)(end - at))
		len = (size_t)(end - at);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	int from = open(link, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		fatal(link);
	save(f, from, at, len);
	close(from);
}

void did_write_through(int fd, off_t end)
{
	struct stat st;
	struct file *f = fstat(fd, &st) == 0 ? find_file(st.st_ino) : NULL;

	if (f && f->size < end)
		f->size = end;
}

static void file_is_durable(ino_t ino)
{
	char path[PATH_ROOM];
	struct file *f = find_file(ino);
	unsigned left = 0;

	if (!f)
		return;
	*f = state->files[--state->file_count];
	kept_path(path, 'i', ino);
	unlink(path);
	for (unsigned i = 0; i < state->undo_count; i++)
		if (state->undo[i].ino != ino)
			state->undo[left++] = state->undo[i];
	state->undo_count = left;
}

/* --- names --- */

static void parent_of(char out[PATH_ROOM], const char *path)
{
	char *slash;

	strcpy(out, path);
	slash = strrchr(out, '/');
	if (slash)
		*slash = 0;
}

struct name *will_name(enum change change, const char *from, const char *path)
{
	char parent[PATH_ROOM], kept[PATH_ROOM];
	struct name *n = &state->names[state->name_count];
	struct stat st;

	room_for(state->name_count, NAMES_MAX, "too many changed names");
	n->change = change;
	strcpy(n->from, from ? from : "");
	strcpy(n->path, path);
	n->kept = 0;
	parent_of(parent, path);
	n->mtime = stat(parent, &st) == 0 ? st.st_mtim : (struct timespec){ 0 };
	if (change == DELETED || change == RENAMED) {
		kept_path(kept, 'n', state->kept + 1);
		if (link(path, kept) == 0)
			n->kept = ++state->kept;
	}
	return n;
}

static void drop_kept(const struct name *n)
{
	char kept[PATH_ROOM];

	if (!n->kept)
		return;
	kept_path(kept, 'n', n->kept);
	unlink(kept);
}

void did_name(struct name *n, bool done)
{
	if (done)
		state->name_count++;
	else
		drop_kept(n);
}

static void directory_is_durable(const char *path)
{
	char parent[PATH_ROOM];
	unsigned left = 0;

	for (unsigned i = 0; i < state->name_count; i++) {
		parent_of(parent, state->names[i].path);
		if (strcmp(parent, path) == 0)
			drop_kept(&state->names[i]);
		else
			state->names[left++] = state->names[i];
	}
	state->name_count = left;
}

void did_sync(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		directory_is_durable(path);
	else
		file_is_durable(st.st_ino);
}

/* --- loss --- */

static unsigned dice;

static bool spared(bool torn)
{
	dice = dice * 1103515245u + 12345u;
	return torn && (dice >> 16 & 1);
}

static void put_back(int to, int undo, const struct undo *u, bool torn)
{
	char page[PAGE];

	for (size_t done = 0; done < u->len; done += PAGE) {
		size_t n = u->len - done < PAGE ? u->len - done : PAGE;

		if (spared(torn))
			continue;
		if (pread(undo, page, n, u->pos + (off_t)done) != (ssize_t)n
				|| pwrite(to, page, n, u->at + (off_t)done)
						!= (ssize_t)n)
			fatal(undo_path);
	}
}

/* The part beyond the durable size: gone, or as long as it was, with pages
 * that were never written. */
static void cut(int fd, const struct file *f, bool torn)
{
	static const char zeros[PAGE];
	struct stat st;

	if (fstat(fd, &st) < 0)
		fatal("a file to take back");
	if (st.st_size <= f->size || !spared(torn)) {
		if (st.st_size != f->size && ftruncate(fd, f->size) < 0)
			fatal("a file to take back");
		return;
	}
	for (off_t at = f->size; at < st.st_size; at += PAGE) {
		off_t n = st.st_size - at < PAGE ? st.st_size - at : PAGE;

		if (!spared(torn) && pwrite(fd, zeros, (size_t)n, at) < 0)
			fatal("a file to take back");
	}
}

static void lose_bytes(const struct file *f, int undo, bool torn)
{
	char path[PATH_ROOM];

	kept_path(path, 'i', f->ino);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* it had no name any more */
	cut(fd, f, torn);
	for (unsigned i = state->undo_count; i-- > 0;)
		if (state->undo[i].ino == f->ino)
			put_back(fd, undo, &state->undo[i], torn);
	close(fd);
}

static void lose_name(const struct name *n)
{
	char parent[PATH_ROOM], kept[PATH_ROOM];
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		n->mtime };

	/* In a torn loss some of this can't be done, such as deleting what has
	 * another name now. */
	kept_path(kept, 'n', n->kept);
	switch (n->change) {
	case MADE:
		unlink(n->path);
		break;
	case MADE_DIRECTORY:
		rmdir(n->path);
		break;
	case DELETED_DIRECTORY:
		mkdir(n->path, 0700);
		break;
	case RENAMED:
		rename(n->path, n->from);
		break;
	case DELETED:
		break;
	}
	if (n->kept)
		link(kept, n->path);
	parent_of(parent, n->path);
	utimensat(AT_FDCWD, parent, times, 0);
}

void lose(bool torn, unsigned seed)
{
	int undo = open(undo_path, O_RDONLY | O_CLOEXEC);

	dice = seed;
	for (unsigned i = 0; i < state->file_count; i++)
		lose_bytes(&state->files[i], undo, torn);
	for (unsigned i = state->name_count; i-- > 0;)
		if (!spared(torn))
			lose_name(&state->names[i]);
	if (undo >= 0)
		close(undo);
}
