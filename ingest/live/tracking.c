/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What makes an incremental backup correct.
 *
 * At the very moment that a live backup S shows, it makes a checkpoint C with a
 * name that was never used before. From then on qemu records each write in a
 * bitmap C in the disk's image. S records C. So from then on:
 *
 *	(1) the guest-visible contents of an image with a sound bitmap C
 *	    differs from S's content only where C says so,
 *
 * for this image, for every copy of it and for every older state that it may be
 * reverted to, because contents and bitmap are in one file and move together.
 * An incremental backup reads what is dirty in C and takes the rest from S, and
 * from no other snapshot. In particular not from a later one: if an image was
 * copied before a later snapshot and put back after it, its bitmap does not
 * cover what was reverted by that. So a snapshot of a domain that is shut off,
 * which can't make a checkpoint, records none; later backups are still based on
 * S.
 *
 * What could make (1) false, and the countermeasures:
 *
 * - Another bitmap named C: impossible, as the token is 64 random bits, new for
 *   each attempt. The checkpoint of a failed attempt is recorded by no
 *   snapshot, so no backup is ever based on it. Each repository has its own
 *   checkpoints; a repository that was itself reverted to an older state, or
 *   copied and used twice, refers to one that is gone by then.
 * - A bitmap that missed writes. qemu marks it as in use while the image is
 *   open and rejects it if it was not closed (qemu killed, host crashed): so do
 *   we for images at rest, and libvirt for running domains. A program that does
 *   not know bitmaps clears the header flag that says they are valid. A
 *   disabled bitmap (without "auto") is rejected.
 * - Reverting to an internal qcow2 snapshot would change the contents and keep
 *   the bitmap: qemu and qemu-img refuse that while there are bitmaps.
 * - A backing file that changes: its bytes show through where the image has
 *   none, and no bitmap records it. Every backing file must have the device,
 *   inode, size, mtime and ctime that S recorded, and have been at rest then.
 *   Block devices do not show writes, so an image on one is always read in
 *   full.
 * - A bitmap in a backing file (after an external snapshot): the top image
 *   itself must have it; qemu-nbd would also search backing files. The chain
 *   must be the same, path by path and format by format.
 * - Another disk with this target, another file with this path, another size:
 *   compared with S's record, although (1) would hold for most of these. A disk
 *   that was shrunk and grown again has lost its end, which qemu's bitmap marks
 *   clean: so the last clean data of S is always compared (clean_check.c),
 *   which is zero now if any was lost in this way.
 * - Another domain with this name: the UUID is compared.
 * - Bytes changed in the image behind qemu's back, or a backing file replaced
 *   while qemu had the old one open: this can't be detected for certain.
 *   Therefore each incremental backup compares a few ranges that the bitmap
 *   marks clean with S's bytes, and if they differ reads everything. That is a
 *   safeguard, not a proof.
 *
 * S's checkpoint is deleted only after a newer snapshot with its own checkpoint
 * was committed; until then both exist, and whichever snapshot is the newest
 * one after a crash has its checkpoint.
 */
#include "tracking.h"

#include <stdio.h>
#include <string.h>

#include "ingest/source/file_source.h"
#include "repo/base/cleanup.h"
#include "repo/base/hex.h"
#include "repo/base/units.h"
#include "repo/crypto/seal.h"
#include "repo/format/name.h"

#define PREFIX "amberfs-"
#define ID_DIGITS 8
#define TOKEN_SIZE 8
#define TOKEN_DIGITS 16

/* --- names --- */

/* "amberfs-01234567-" */
static size_t put_prefix(char out[TRACKING_NAME_MAX],
		const uint8_t repo_id[REPO_ID_SIZE])
{
	char id[ID_DIGITS + 1];
	hex_encode(id, repo_id, ID_DIGITS / 2);
	return (size_t)snprintf(out, TRACKING_NAME_MAX, PREFIX "%s-", id);
}

void tracking_fresh_name(char out[TRACKING_NAME_MAX],
		const uint8_t repo_id[REPO_ID_SIZE])
{
	uint8_t token[TOKEN_SIZE];
	size_t at = put_prefix(out, repo_id);
	seal_random(token, sizeof(token));
	hex_encode(out + at, token, sizeof(token));
}

#define DIGITS "0123456789abcdef"

bool tracking_is_ours(const char *name, const uint8_t repo_id[REPO_ID_SIZE])
{
	char prefix[TRACKING_NAME_MAX];
	size_t at = put_prefix(prefix, repo_id);
	return strncmp(name, prefix, at) == 0
			&& strlen(name + at) == TOKEN_DIGITS
			&& strspn(name + at, DIGITS) == TOKEN_DIGITS;
}

bool tracking_is_amberfs(const char *name)
{
	const char *id = name + strlen(PREFIX), *token = id + ID_DIGITS + 1;
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0
			&& strspn(id, DIGITS) == ID_DIGITS && token[-1] == '-'
			&& strlen(token) == TOKEN_DIGITS
			&& strspn(token, DIGITS) == TOKEN_DIGITS;
}

const char *tracking_token(const struct snapshot *snap,
		const uint8_t repo_id[REPO_ID_SIZE])
{
	for (uint32_t i = 0; i < snap->file_count; i++) {
		const struct snapshot_file *file = &snap->files[i];
		if (file->kind == FILE_DISK && file->checkpoint != NULL
				&& tracking_is_ours(file->checkpoint, repo_id))
			return file->checkpoint;
	}
	return NULL;
}

/* --- what the image says --- */

static json_t *specific(const struct chain_file *image, const char *key)
{
	json_t *all = json_object_get(image->info, "format-specific");
	return json_object_get(json_object_get(all, "data"), key);
}

const char *tracking_cannot(const struct disk_plan *plan)
{
	const struct chain_file *image = &plan->chain.files[0];
	const char *compat;
	if (plan->chain.count == 0)
		return "its image can't be examined";
	if (strcmp(image->format, "raw") == 0)
		return "it is a raw image, which can't hold bitmaps";
	if (strcmp(image->format, "qcow2") != 0)
		return "images of its format can't hold bitmaps";
	compat = json_string_value(specific(image, "compat"));
	if (compat == NULL || strcmp(compat, "0.10") == 0)
		return "qcow2 version 2 can't hold bitmaps (convert "
		       "it to version 3 with qemu-img amend -o "
		       "compat=1.1)";
	if (plan->disk->readonly)
		return "it is read-only, so it can't store a bitmap";
	if (plan->disk->shareable)
		return "it is shared with other domains, "
		       "whose writes no bitmap would record";
	return NULL;
}

static bool has_flag(json_t *bitmap, const char *flag)
{
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(bitmap, "flags"), i, one)
		if (json_is_string(one)
				&& strcmp(json_string_value(one), flag) == 0)
			return true;
	return false;
}

static const char *bitmap_name(json_t *bitmap)
{
	const char *name = json_string_value(json_object_get(bitmap, "name"));
	return name != NULL ? name : "";
}

bool tracking_image_has(const struct chain_file *image, const char *token,
		const char **why)
{
	size_t i;
	json_t *bitmap;
	*why = "its bitmap is missing";
	json_array_foreach (specific(image, "bitmaps"), i, bitmap) {
		if (strcmp(bitmap_name(bitmap), token) != 0)
			continue;
		*why = NULL;
		if (has_flag(bitmap, "in-use"))
			*why = "its bitmap was not closed properly (was qemu "
			       "killed?)";
		else if (!has_flag(bitmap, "auto"))
			*why = "its bitmap is disabled";
		return *why == NULL;
	}
	return false;
}

const char *tracking_image_bitmap(const struct chain_file *image, size_t number)
{
	json_t *bitmap = json_array_get(specific(image, "bitmaps"), number);
	return bitmap != NULL ? bitmap_name(bitmap) : NULL;
}

bool tracking_image_lists_ours(const struct chain_file *image,
		const uint8_t repo_id[REPO_ID_SIZE])
{
	const char *name;
	for (size_t i = 0; (name = tracking_image_bitmap(image, i)) != NULL;
			i++)
		if (tracking_is_ours(name, repo_id))
			return true;
	return false;
}

/* --- the decision --- */

static const struct snapshot_file *find_record(const struct snapshot *snap,
		const char *target)
{
	for (uint32_t i = 0; i < snap->file_count; i++) {
		const struct snapshot_file *file = &snap->files[i];
		if (file->kind == FILE_DISK && file->target != NULL
				&& strcmp(file->target, target) == 0)
			return file;
	}
	return NULL;
}

static bool was_missing(const struct snapshot *snap, const char *target)
{
	CLEANUP_FREE char *escaped = name_escape(target, strlen(target));
	return escaped != NULL
			&& snapshot_find_skipped(snap, SKIPPED_MISSING, escaped)
			!= NULL;
}

static bool same_path(const struct snapshot_file *record, const char *path)
{
	CLEANUP_FREE char *escaped = name_escape(path, strlen(path));
	return escaped != NULL && record->source_path != NULL
			&& strcmp(escaped, record->source_path) == 0;
}

/* Compares the backing files, not the image itself, which its guest changes. */
static const char *compare_below(const struct snapshot_file *record,
		const struct tracking_disk *disk)
{
	if (record->reading == NULL || disk->reading == NULL
			|| strcmp(record->reading, disk->reading) != 0
			|| record->identity_count != disk->identity_count
			|| disk->identity_count == 0)
		return "its backing chain has changed";
	for (uint32_t i = 1; i < disk->identity_count; i++) {
		if (!record->identities[i].valid)
			return "its backing files can't be shown to "
			       "be unchanged";
		if (!file_source_same_identity(&record->identities[i],
				    &disk->identities[i]))
			return "a backing file changed";
	}
	return NULL;
}

static bool same_file(const struct file_identity *a,
		const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->inode != 0;
}

/* Why the disk is not the recorded one; NULL: it is. */
static const char *compare_disk(const struct snapshot_file *record,
		const struct tracking_disk *disk)
{
	const char *why;
	if (!same_path(record, disk->path))
		return "it is a different file than before";
	why = compare_below(record, disk);
	if (why == NULL
			&& !same_file(&record->identities[0],
					&disk->identities[0]))
		why = "it is a different file than before, with the same name";
	return why;
}

static void say(struct tracking_verdict *verdict, const char *why)
{
	snprintf(verdict->why, sizeof(verdict->why), "%s", why);
}

static void say_resized(struct tracking_verdict *verdict, uint64_t from,
		uint64_t to)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX];
	size_format(a, from);
	size_format(b, to);
	uint64_t change = from > to ? from - to : to - from;
	if (change < to / 100) /* not visible with three digits */
		snprintf(verdict->why, sizeof(verdict->why),
				"it was resized from %llu to %llu bytes",
				(unsigned long long)from,
				(unsigned long long)to);
	else
		snprintf(verdict->why, sizeof(verdict->why),
				"it was resized from %s to %s", a, b);
}

static void judge(struct tracking_verdict *verdict,
		const struct tracking_base *base,
		const struct snapshot_file *record,
		const struct tracking_disk *disk)
{
	const char *why;
	if (record->checkpoint == NULL
			|| strcmp(record->checkpoint, base->token) != 0) {
		say(verdict, "the last backup made no bitmap in it");
		return;
	}
	why = compare_disk(record, disk);
	if (why != NULL)
		say(verdict, why);
	else if (record->size != disk->size)
		say_resized(verdict, record->size, disk->size);
	else
		verdict->record = record;
}

void tracking_decide(struct tracking_verdict *verdict,
		const struct tracking_base *base, const char *uuid,
		const struct tracking_disk *disk)
{
	*verdict = (struct tracking_verdict){ .record = NULL };
	if (disk->cannot != NULL) {
		say(verdict, disk->cannot);
		return;
	}
	if (base->snap == NULL) {
		say(verdict, base->none != NULL ? base->none : "");
		return;
	}
	if (base->snap->uuid == NULL || strcmp(base->snap->uuid, uuid) != 0) {
		say(verdict,
				"the last snapshot is of another domain of "
				"this name");
		return;
	}
	const struct snapshot_file *record =
			find_record(base->snap, disk->target);
	if (record == NULL)
		say(verdict,
				was_missing(base->snap, disk->target)
						? "the last backup with a checkpoint could not "
						  "read it"
						: "the disk is new since the last backup with "
						  "a checkpoint");
	else
		judge(verdict, base, record, disk);
}
