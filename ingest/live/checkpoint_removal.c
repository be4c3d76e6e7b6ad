/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * libvirt first, which removes the bitmaps of a running guest with their
 * checkpoints; then the images' own lists, for what it did not know of or, with
 * the domain shut off, can't remove. Only a disk's own image is looked at:
 * backing files may belong to others as well.
 */
#include "checkpoint_removal.h"

#include <errno.h>
#include <string.h>

#include "ingest/libvirt/checkpoints.h"
#include "ingest/libvirt/child.h"
#include "repo/base/cleanup.h"
#include "repo/base/error.h"
#include "tracking.h"

#define OUTPUT_MAX 4096

/* Keeps the first error of two, with its text. */
static void keep_first(struct error_copy *first, int err)
{
	if (err < 0 && first->err == 0)
		error_save(first, err);
}

static void remove_checkpoints(const struct domain_state *state,
		struct checkpoint_removal *out, struct error_copy *first)
{
	struct checkpoint_names names;
	int err = checkpoints_list(state->domain, &names);
	keep_first(first, err);
	for (unsigned i = 0; err == 0 && i < names.count; i++) {
		const char *name = names.items[i];
		if (!tracking_is_amberfs(name))
			continue;
		int failed = state->live
				? checkpoints_delete(state->domain, name)
				: checkpoints_delete_metadata(state->domain,
						name);
		keep_first(first, failed);
		out->checkpoints += failed == 0;
	}
	if (err == 0)
		checkpoints_clear(&names);
}

/* Of an image at rest. qemu-img takes its lock, so nothing happens to one that
 * has been opened meanwhile. Backing files are not opened. */
static int remove_from_image(const struct chain_file *image, const char *name)
{
	CLEANUP_FREE char *out = NULL, *node = NULL, *file = NULL;
	json_t *json = json_pack("{s:s, s:n, s:{s:s, s:s}}", "driver", "qcow2",
			"backing", "file", "driver",
			image->block_device ? "host_device" : "file",
			"filename", image->path);
	if (image->sliced || json == NULL) {
		json_decref(json);
		return fail(-ENOTSUP,
				"the bitmap %s can't be removed from a part "
				"of %s, or its name is not UTF-8",
				name, image->path);
	}
	node = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (node == NULL || asprintf(&file, "json:%s", node) < 0) {
		file = NULL;
		return fail_no_memory("removing a bitmap");
	}
	char *argv[] = { (char *)"qemu-img", (char *)"bitmap",
		(char *)"--remove", file, (char *)name, NULL };
	int err = child_run(argv, OUTPUT_MAX, &out);
	return err < 0 ? fail_within(err, "removing bitmap %s of %s", name,
			       image->path)
		       : 0;
}

static void remove_bitmaps(const struct domain_state *state,
		const struct disk_plan *plan, struct checkpoint_removal *out,
		struct error_copy *first)
{
	const char *name;
	if (plan->chain.count == 0)
		return;
	const struct chain_file *image = &plan->chain.files[0];
	for (size_t i = 0; (name = tracking_image_bitmap(image, i)) != NULL;
			i++) {
		if (!tracking_is_amberfs(name))
			continue;
		int err = state->live ? checkpoints_delete_orphan(state->domain,
					  name, plan->target)
				      : remove_from_image(image, name);
		keep_first(first, err);
		out->bitmaps += err == 0;
	}
}

int checkpoint_removal_run(struct connection *conn, const char *uuid,
		struct checkpoint_removal *out)
{
	struct domain_state *state = NULL;
	struct error_copy first = { .err = 0 };
	*out = (struct checkpoint_removal){ 0 };
	int err = domain_state_open(&state, conn, uuid);
	if (err < 0)
		return err;
	remove_checkpoints(state, out, &first);
	/* What the images have now. */
	domain_state_close(take_ptr(state));
	keep_first(&first, domain_state_open(&state, conn, uuid));
	for (unsigned i = 0; state != NULL && i < state->disk_count; i++)
		remove_bitmaps(state, &state->disks[i], out, &first);
	domain_state_close(state);
	return first.err < 0 ? error_load(&first) : 0;
}
