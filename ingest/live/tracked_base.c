/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finds the snapshot that a checkpoint belongs to. Usually it is the last one,
 * which backup_snapshot_begin has loaded and published. It is an older one if
 * later snapshots record no checkpoint, as the domain was shut off, or are of
 * another host's domain of this name: then its roots are published too, and it
 * is loaded again, as there.
 */
#include "tracked_base.h"

#include <errno.h>
#include <string.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_object.h"

static void note_unread(void *ctx, const char *object, int err)
{
	struct tracked_base *base = ctx;
	(void)object;
	(void)err;
	base->unread = true;
}

static bool is_of(const struct snapshot *snap, const char *uuid)
{
	return snap->uuid != NULL && strcmp(snap->uuid, uuid) == 0;
}

/* Takes the domain's newest snapshot with a token from the list. */
static struct snapshot *take_newest(struct snapshot_list *list,
		const char *uuid, const uint8_t *repo_id)
{
	for (size_t i = list->count; i-- > 0;)
		if (is_of(list->items[i], uuid)
				&& tracking_token(list->items[i], repo_id)
						!= NULL)
			return take_ptr(list->items[i]);
	return NULL;
}

/* If it is gone by then, there is no base. */
static int publish(struct tracked_base *base, struct backup_snapshot *snapshot)
{
	struct session *session = snapshot->run->storing.session;
	uint32_t n = base->own->file_count;
	struct id *roots = calloc(n + 1, sizeof(*roots));
	if (roots == NULL)
		return fail_no_memory("searching for an earlier snapshot");
	for (uint32_t i = 0; i < n; i++)
		roots[i] = base->own->files[i].root.id;
	int err = session_add_roots(session, roots, n);
	if (err < 0) {
		free(roots);
		return err;
	}
	if (snapshot_object_exists(snapshot->run->repo, base->own) == 0) {
		base->roots = roots;
		base->root_count = n;
		return 0;
	}
	snapshot_free(take_ptr(base->own));
	err = session_leave_all(session, roots, n);
	free(roots);
	return err;
}

static int search_back(struct tracked_base *base,
		struct backup_snapshot *snapshot, const char *uuid)
{
	struct repository *repo = snapshot->run->repo;
	struct snapshot_list list = { .count = 0 };
	int err = snapshot_list_load(repo, snapshot->snap->source, &list,
			note_unread, base);
	if (err < 0)
		return err;
	base->own = take_newest(&list, uuid, repo->config.repo_id);
	snapshot_list_clear(&list);
	if (base->own != NULL)
		err = publish(base, snapshot);
	if (err != 0)
		return err;
	if (base->own == NULL)
		base->base.none = base->unread ? "the snapshot that its last "
						 "checkpoint belongs to can't "
						 "be read"
					       : "no snapshot belongs to its "
						 "last checkpoint (it was "
						 "forgotten, or the domain was "
						 "renamed)";
	return 0;
}

int tracked_base_find(struct tracked_base *base,
		struct backup_snapshot *snapshot, const char *uuid, bool search)
{
	const struct repository *repo = snapshot->run->repo;
	const uint8_t *repo_id = repo->config.repo_id;
	const struct snapshot *snap = snapshot->base;
	*base = (struct tracked_base){ .own = NULL };
	if (snap != NULL)
		base->base.none = is_of(snap, uuid)
				? "no earlier backup left a checkpoint"
				: "the last snapshot is of "
				  "another domain of this name";
	if (snap == NULL || !is_of(snap, uuid)
			|| tracking_token(snap, repo_id) == NULL) {
		int err = search ? search_back(base, snapshot, uuid) : 0;
		if (err < 0)
			return err;
		snap = base->own;
	}
	if (snap != NULL) {
		base->base.snap = snap;
		base->base.token = tracking_token(snap, repo_id);
	}
	return 0;
}

void tracked_base_clear(struct tracked_base *base,
		struct backup_snapshot *snapshot)
{
	if (base->roots != NULL)
		session_leave_later(snapshot->run->storing.session, base->roots,
				base->root_count);
	free(base->roots);
	snapshot_free(base->own);
	*base = (struct tracked_base){ .own = NULL };
}

int tracked_base_read(struct tracked_base *base,
		struct backup_snapshot *snapshot, const char *name, size_t max,
		char **text)
{
	const struct snapshot_file *file = NULL;
	struct image *image;
	if (base->base.snap != NULL)
		file = snapshot_find_file(base->base.snap, name);
	if (file == NULL)
		return fail(-ENOENT, "the snapshot does not contain %s", name);
	if (file->size > max)
		return fail(-EFBIG, "%s is too large", name);
	CLEANUP_FREE char *bytes = malloc((size_t)file->size + 1);
	if (bytes == NULL)
		return fail_errno(-ENOMEM, "reading %s", name);
	int err = image_open(&image, snapshot->run->storing.reader, &file->root,
			file->size);
	if (err < 0)
		return err;
	ssize_t n = image_pread(image, bytes, (size_t)file->size, 0);
	image_close(image);
	if (n < 0)
		return (int)n;
	bytes[n] = '\0';
	*text = take_ptr(bytes);
	return 0;
}
