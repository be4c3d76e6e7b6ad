/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making one snapshot (declared in backup_run.h):
 *
 *	1 the base's roots are published, then it is looked at again: from here
 *	  no prune takes its chunks
 *	2 each file is taken over unread, or read and stored
 *	3 open frames end, data packs become durable, then tree packs
 *	4 our own session is still there
 *	5 the source still belongs to this domain, or to files
 *	6 the snapshot object: the one commit point
 *	7 4 and 5 are still true, else the snapshot is withdrawn
 */
#include "backup_report.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "repo/base/interrupt.h"
#include "repo/base/units.h"
#include "repo/format/name.h"
#include "repo/snapshot/snapshot_commit.h"
#include "repo/snapshot/snapshot_list.h"
#include "repo/snapshot/snapshot_object.h"
#include "source_owner.h"

#define CLOCK_BEHIND_S 300

static char *escape(const char *raw)
{
	return raw != NULL ? name_escape(raw, strlen(raw)) : NULL;
}

/* --- the base --- */

static int publish_base(struct backup_snapshot *snapshot)
{
	struct repository *repo = snapshot->run->repo;
	uint32_t count = snapshot->base->file_count;
	struct id *roots = calloc(count + 1, sizeof(*roots));
	if (roots == NULL)
		return fail_no_memory("making a snapshot");
	for (uint32_t i = 0; i < count; i++)
		roots[i] = snapshot->base->files[i].root.id;
	int err = session_add_roots(snapshot->run->storing.session, roots,
			count);
	if (err < 0) {
		free(roots);
		return err;
	}
	if (snapshot_object_exists(repo, snapshot->base) == 0) {
		snapshot->roots = roots;
		snapshot->root_count = count;
		return 0;
	}
	/* It was forgotten just before we published: no base then, and what is
	 * gone must not be published as in use. */
	snapshot_free(take_ptr(snapshot->base));
	err = session_leave_all(snapshot->run->storing.session, roots, count);
	free(roots);
	return err;
}

/* A little behind is what snapshots are that are made faster than one a second,
 * and they should sort in the order in which they were made. More is a clock
 * that was set: the time stays as it is, and the number tells the order. */
static void follow_in_time(struct backup_snapshot *snapshot)
{
	int64_t behind = snapshot->base->time - snapshot->snap->time;
	char age[SIZE_TEXT_MAX];
	if (behind > CLOCK_BEHIND_S)
		report_warning("the clock is %s behind the last snapshot of "
			       "%s: one of both times is wrong",
				age_format(age, behind),
				NAME_SHOWN(snapshot->snap->source));
	else if (behind >= 0)
		snapshot->snap->time = snapshot->base->time + 1;
}

/* An unreadable last snapshot triggers a full read; the run continues. */
static int find_base(struct backup_snapshot *snapshot)
{
	int err = snapshot_list_latest(snapshot->run->repo,
			snapshot->snap->source, &snapshot->base);
	if (err == -ENOMEM)
		return err;
	if (err < 0) {
		report_warning("the last snapshot of %s can't be read, so "
			       "everything is read again: %s",
				NAME_SHOWN(snapshot->snap->source),
				error_text(err));
		return 0;
	}
	if (snapshot->base == NULL)
		return 0;
	follow_in_time(snapshot);
	return publish_base(snapshot);
}

static int fill_snapshot(struct backup_snapshot *snapshot,
		const struct backup_subject *subject)
{
	char host[256] = "";
	struct snapshot *snap = snapshot->snap = snapshot_new();
	if (snap == NULL)
		return fail_no_memory("making a snapshot");
	gethostname(host, sizeof(host) - 1);
	snap->source = escape(subject->source);
	snap->host = escape(host);
	snap->uuid = escape(subject->uuid);
	snap->kind = subject->kind;
	snap->started_ns = realtime_ns();
	snap->time = snap->started_ns / 1000000000;
	return snap->source != NULL && snap->host != NULL
					&& (snap->uuid != NULL
							|| subject->uuid
									== NULL)
			? 0
			: fail_no_memory("making a snapshot");
}

int backup_snapshot_begin(struct backup_snapshot *snapshot,
		struct backup_lane *lane, const struct backup_subject *subject)
{
	struct backup_run *run = lane->run;
	*snapshot = (struct backup_snapshot){ .lane = lane,
		.run = run,
		.read_before = lane->read,
		.losses_before = snapshot_writer_losses(&run->storing),
		.frozen_seconds = -1 };
	image_writer_stats(lane->writer, &snapshot->before);
	int err = fill_snapshot(snapshot, subject);
	if (err < 0)
		return err;
	session_set_activity(run->storing.session, snapshot->snap->source);
	err = find_base(snapshot);
	return err < 0 ? err : source_owner_check(snapshot);
}

/* --- what became of the disks --- */

/* The outcome of TARGET, made if there is none. NULL without memory. */
static struct disk_outcome *outcome_of(struct backup_snapshot *snapshot,
		const char *target)
{
	for (unsigned i = 0; i < snapshot->disk_count; i++)
		if (strcmp(snapshot->disks[i].target, target) == 0)
			return &snapshot->disks[i];
	void *more = realloc(snapshot->disks,
			(snapshot->disk_count + 1) * sizeof(*snapshot->disks));
	if (more == NULL)
		return NULL;
	snapshot->disks = more;
	struct disk_outcome *outcome = &snapshot->disks[snapshot->disk_count];
	*outcome = (struct disk_outcome){ .target = strdup(target) };
	if (outcome->target == NULL)
		return NULL;
	snapshot->disk_count++;
	return outcome;
}

int backup_snapshot_note_disk(struct backup_snapshot *snapshot,
		const char *target, enum disk_mode mode, const char *why)
{
	struct disk_outcome *outcome = outcome_of(snapshot, target);
	if (outcome == NULL)
		return fail_no_memory("making a snapshot");
	free(take_ptr(outcome->why));
	outcome->mode = mode;
	outcome->why = why != NULL ? strdup(why) : NULL;
	return why == NULL || outcome->why != NULL
			? 0
			: fail_no_memory("making a snapshot");
}

/* The outcome of FILE's disk after READ bytes were read (none: taken over). */
static int note_read(struct backup_snapshot *snapshot,
		const struct backup_file *file, bool taken, uint64_t read)
{
	if (file->target == NULL
			|| (file->kind != FILE_DISK
					&& file->kind != FILE_IMAGE))
		return 0;
	unsigned before = snapshot->disk_count;
	struct disk_outcome *outcome = outcome_of(snapshot, file->target);
	if (outcome == NULL)
		return fail_no_memory("making a snapshot");
	bool first = before != snapshot->disk_count;
	if (first)
		outcome->mode = taken ? DISK_UNCHANGED : DISK_FULL;
	else if (!taken && outcome->mode == DISK_UNCHANGED)
		outcome->mode = DISK_FULL;
	outcome->read += read;
	return 0;
}

static void free_outcomes(struct backup_snapshot *snapshot)
{
	for (unsigned i = 0; i < snapshot->disk_count; i++) {
		free(snapshot->disks[i].target);
		free(snapshot->disks[i].why);
	}
	free(take_ptr(snapshot->disks));
	snapshot->disk_count = 0;
}

void backup_snapshot_restart(struct backup_snapshot *snapshot)
{
	struct snapshot *snap = snapshot->snap;
	while (snap->file_count > 0)
		snapshot_clear_file(&snap->files[--snap->file_count]);
	while (snap->skipped_count > 0) {
		struct snapshot_skipped *skipped =
				&snap->skipped[--snap->skipped_count];
		free(skipped->target);
		free(skipped->reason);
	}
	free(take_ptr(snap->consistency));
	free_outcomes(snapshot);
	free(take_ptr(snapshot->not_frozen));
	snapshot->partly = false;
	snapshot->frozen_seconds = -1;
}

/* --- files --- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* The base's record of the same file: same kind, path and target. */
static const struct snapshot_file *base_file(
		const struct backup_snapshot *snapshot, const char *source_path,
		const struct backup_file *file)
{
	for (uint32_t i = 0; snapshot->base != NULL
			&& i < snapshot->base->file_count;
			i++) {
		const struct snapshot_file *k = &snapshot->base->files[i];
		if (k->kind == file->kind && same_text(k->target, file->target)
				&& same_text(k->source_path, source_path))
			return k;
	}
	return NULL;
}

static int fill_file(struct snapshot_file *to,
		const struct backup_snapshot *snapshot,
		const struct backup_file *file)
{
	char component[NAME_COMPONENT_MAX + 1];
	CLEANUP_FREE char *name = escape(file->name);
	if (name == NULL)
		return fail_no_memory("making a snapshot");
	name_component(component, name);
	to->kind = file->kind;
	to->mode = file->mode;
	to->mtime_ns = file->mtime_ns;
	to->name = snapshot_unique_name(snapshot->snap, component);
	to->source_path = escape(file->source_path);
	to->format = file->format != NULL ? strdup(file->format) : NULL;
	to->target = file->target != NULL ? strdup(file->target) : NULL;
	to->reading = file->reading != NULL ? strdup(file->reading) : NULL;
	to->checkpoint = file->checkpoint != NULL ? strdup(file->checkpoint)
						  : NULL;
	to->identities = calloc(file->identity_count + 1,
			sizeof(*to->identities));
	if (to->name == NULL
			|| (file->source_path != NULL
					&& to->source_path == NULL)
			|| (file->format != NULL && to->format == NULL)
			|| (file->target != NULL && to->target == NULL)
			|| (file->reading != NULL && to->reading == NULL)
			|| (file->checkpoint != NULL && to->checkpoint == NULL)
			|| to->identities == NULL)
		return fail_no_memory("making a snapshot");
	to->identity_count = file->identity_count;
	if (file->identity_count)
		memcpy(to->identities, file->identities,
				file->identity_count
						* sizeof(*file->identities));
	return 0;
}

/* Puts the record made of F with ROOT and SIZE into the snapshot. */
static int add_file(struct backup_snapshot *snapshot,
		const struct backup_file *file, const struct tree_root *root,
		uint64_t size)
{
	struct snapshot_file made = { .size = size, .root = *root };
	int err = fill_file(&made, snapshot, file);
	struct snapshot_file *to = snapshot_add_file(snapshot->snap);
	if (to == NULL)
		return fail_no_memory("making a snapshot");
	*to = made; /* even half-made: freed with the snapshot */
	return err;
}

static bool unchanged(const struct snapshot_file *file,
		const struct backup_file *f)
{
	if (file->identity_count != f->identity_count || f->identity_count == 0
			|| !same_text(file->reading, f->reading)
			|| !same_text(file->format, f->format))
		return false;
	for (uint32_t i = 0; i < f->identity_count; i++)
		if (!file->identities[i].valid
				|| !file_source_same_identity(
						&file->identities[i],
						&f->identities[i]))
			return false;
	return true;
}

static void count_unchanged(struct backup_run *run, uint64_t size)
{
	LOCK_SCOPE(&run->mutex);
	run->unchanged += size;
	run->all_done += size;
}

int backup_snapshot_reuse(struct backup_snapshot *snapshot,
		const struct backup_file *file, bool *taken)
{
	const struct backup_options *options = snapshot->run->options;
	CLEANUP_FREE char *path = escape(file->source_path);
	const struct snapshot_file *k = base_file(snapshot, path, file);
	*taken = k != NULL && !options->force_read
			&& unchanged(k, file)
			/* Otherwise the data is stored again from the
			 * source. */
			&& snapshot_writer_is_whole(&snapshot->run->storing,
					&k->root, k->size);
	if (!*taken)
		return 0;
	report_verbose("%s/%s: unchanged", NAME_SHOWN(snapshot->snap->source),
			k->name);
	count_unchanged(snapshot->run, k->size);
	/* The old identity, checked at that time, remains the one to compare
	 * with. */
	struct backup_file same = *file;
	same.identities = k->identities;
	int err = note_read(snapshot, file, true, 0);
	return err < 0 ? err : add_file(snapshot, &same, &k->root, k->size);
}

/* With a single lane the progress bar shows the current image. */
static void image_progress(void *ctx, struct progress_numbers *now)
{
	const struct backup_lane *lane = ctx;
	struct progress_numbers all;
	backup_run_progress(lane->run, &all);
	now->done = lane->counts.done;
	now->total = lane->image_size;
	now->all_done = all.done;
	now->all_total = all.total > lane->image_size ? all.total : 0;
	now->fresh = all.fresh;
}

static void begin_counting(struct backup_lane *lane, uint64_t size)
{
	LOCK_SCOPE(&lane->run->mutex);
	lane->counts = (struct image_counts){ .done = 0 };
	lane->image_size = size;
}

/* Returns what was read. */
static uint64_t end_counting(struct backup_lane *lane)
{
	struct backup_run *run = lane->run;
	LOCK_SCOPE(&run->mutex);
	uint64_t read = lane->counts.read;
	lane->read += read;
	run->read += read;
	run->holes += lane->counts.holes;
	run->same += lane->counts.same;
	run->all_done += lane->counts.done;
	lane->counts = (struct image_counts){ .done = 0 };
	return read;
}

static int write_image(struct backup_snapshot *snapshot,
		const struct backup_file *file,
		const struct image_source *source, struct tree_root *root,
		uint64_t *size, uint64_t *read)
{
	struct backup_lane *lane = snapshot->lane;
	bool alone = snapshot->run->lane_count == 1;
	CLEANUP_FREE char *path = escape(file->source_path);
	const struct snapshot_file *k = file->base != NULL
			? file->base
			: base_file(snapshot, path, file);
	struct image *base = NULL;
	char what[256];
	if (k != NULL
			&& image_open(&base, snapshot->run->storing.reader,
					   &k->root, k->size)
					< 0)
		base = NULL; /* nothing to compare with, then */
	begin_counting(lane, source->next != NULL ? 0 : source->size);
	name_display(what, sizeof(what), file->name);
	if (alone)
		report_progress_begin(what, image_progress, lane);
	int err = image_writer_write(lane->writer, source, base, &lane->counts,
			&interrupt_flag, root, size);
	if (alone)
		report_progress_end();
	*read = end_counting(lane);
	image_close(base);
	return err == -EFBIG ? fail_within(err, "%s", what) : err;
}

int backup_snapshot_store(struct backup_snapshot *snapshot,
		const struct backup_file *file,
		const struct image_source *source)
{
	struct tree_root root;
	uint64_t size, read;
	int err = write_image(snapshot, file, source, &root, &size, &read);
	if (err < 0)
		return err;
	err = note_read(snapshot, file, false, read);
	return err < 0 ? err : add_file(snapshot, file, &root, size);
}

struct memory {
	const char *bytes;
};

static int read_memory(void *ctx, unsigned worker, void *buf, size_t len,
		uint64_t offset)
{
	const struct memory *memory = ctx;
	(void)worker;
	memcpy(buf, memory->bytes + offset, len);
	return 0;
}

int backup_snapshot_store_bytes(struct backup_snapshot *snapshot,
		const struct backup_file *file, const void *bytes, size_t len)
{
	struct memory m = { .bytes = bytes };
	struct image_source source = { .size = len,
		.read = read_memory,
		.ctx = &m };
	return backup_snapshot_store(snapshot, file, &source);
}

int backup_snapshot_store_text(struct backup_snapshot *snapshot,
		const struct backup_file *file, const char *text)
{
	return backup_snapshot_store_bytes(snapshot, file, text, strlen(text));
}

int backup_snapshot_lacks(struct backup_snapshot *snapshot, const char *what,
		enum skipped_kind kind, const char *reason)
{
	struct snapshot *snap = snapshot->snap;
	void *more = realloc(snap->skipped,
			(snap->skipped_count + 1) * sizeof(*snap->skipped));
	if (more == NULL)
		return fail_no_memory("making a snapshot");
	snap->skipped = more;
	struct snapshot_skipped *skipped =
			&snap->skipped[snap->skipped_count++];
	skipped->target = escape(what);
	skipped->reason = strdup(reason);
	skipped->kind = kind;
	if (kind == SKIPPED_MISSING || kind == SKIPPED_DAMAGED)
		snapshot->partly = true;
	return skipped->target != NULL && skipped->reason != NULL
			? 0
			: fail_no_memory("making a snapshot");
}

int backup_snapshot_skip(struct backup_snapshot *snapshot, const char *target,
		enum skipped_kind kind, const char *reason)
{
	int err = backup_snapshot_lacks(snapshot, target, kind, reason);
	return err < 0 ? err
		       : backup_snapshot_note_disk(snapshot, target,
				       DISK_SKIPPED, reason);
}

/* --- the commit --- */

static void finish_snapshot(struct backup_snapshot *snapshot)
{
	struct chunk_sink_stats st;
	struct snapshot *snap = snapshot->snap;
	image_writer_stats(snapshot->lane->writer, &st);
	snap->finished_ns = realtime_ns();
	snap->sequence = snapshot_list_next_sequence(snapshot->run->repo,
			snap->source, snapshot->base);
	if (snapshot->base != NULL)
		snap->predecessor = snapshot->base->id;
	snap->read_bytes = snapshot->lane->read - snapshot->read_before;
	snap->new_bytes = st.new_bytes - snapshot->before.new_bytes;
	snap->stored_bytes = st.stored_bytes - snapshot->before.stored_bytes;
}

bool backup_snapshot_lost(const struct backup_snapshot *snapshot)
{
	return snapshot_writer_losses(&snapshot->run->storing)
			!= snapshot->losses_before;
}

/* Of several that are made at once nobody knows whose chunk it was, or who found it
 * stored already. */
static int check_losses(const struct backup_snapshot *snapshot)
{
	return backup_snapshot_lost(snapshot) ? fail(-EIO,
			       "a chunk that it may need changed in "
			       "memory before it was stored; test "
			       "this machine's memory, then try "
			       "again")
					      : 0;
}

int backup_snapshot_commit(struct backup_snapshot *snapshot)
{
	struct snapshot_writer *writer = &snapshot->run->storing;
	LOCK_SCOPE(&snapshot->run->commit_mutex);
	int err = snapshot_writer_barrier(writer);
	if (err == 0)
		err = check_losses(snapshot);
	if (err < 0)
		return err;
	err = source_owner_check_later(snapshot);
	if (err < 0)
		return err;
	finish_snapshot(snapshot);
	err = snapshot_writer_commit(writer, snapshot->snap, snapshot_commit);
	if (err < 0)
		return err;
	err = source_owner_check_later(snapshot);
	return err == -EEXIST
			? snapshot_writer_withdraw(writer, snapshot->snap, err)
			: 0;
}

static void add_to_report(struct backup_snapshot *snapshot, const char *source,
		int err)
{
	struct backup_run *run = snapshot->run;
	json_t *row = backup_report_row(snapshot, source, err);
	LOCK_SCOPE(&run->mutex);
	json_array_set_new(run->snapshots, snapshot->lane->row, row);
	if (err < 0)
		run->failed++;
	else if (snapshot->partly)
		run->partly++;
	else
		run->done++;
}

void backup_snapshot_end(struct backup_snapshot *snapshot, const char *source,
		int err)
{
	add_to_report(snapshot, source, err);
	free_outcomes(snapshot);
	free(take_ptr(snapshot->not_frozen));
	if (snapshot->roots != NULL)
		session_leave_later(snapshot->run->storing.session,
				snapshot->roots, snapshot->root_count);
	free(take_ptr(snapshot->roots));
	snapshot_free(snapshot->snap);
	snapshot_free(snapshot->base);
	snapshot->snap = snapshot->base = NULL;
}
