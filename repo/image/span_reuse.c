/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs of spans that are the base's, unread: whole nodes of its tree are taken
 * over, and at the edges of a run the entries of nodes. So a change costs the
 * nodes on the path to it, and whatever lies between two changes, data or hole,
 * costs next to nothing.
 *
 * Neither leaves nor chunks are looked at. That is safe as long as the base's
 * tree is: the session publishes its root, so prune deletes nothing it needs
 * until this image's snapshot, which needs it too, exists or was given up. What
 * is condemned meanwhile prune copies out first, so for what is held by a root,
 * other than for a chunk that was found by its id, a condemned pack is as good
 * as any. What was lost or damaged remains: as for an unchanged file, each chunk
 * is looked up where anything is recorded as damaged or missing, by
 * span_update, which reads what is not whole; and where the source asks for it.
 */
#include "image_writer_internal.h"
#include "repo/base/bytes.h"

struct run {
	struct worker *worker;
	struct job *job;
	uint64_t to; /* the first span behind it */
	uint64_t base_spans;
};

bool span_reuse_in_doubt(const struct worker *worker, const struct job *job)
{
	return job->source->doubt
			|| image_reader_any_damaged(worker->writer->reader);
}

static uint64_t bytes_below(const struct job *job, uint64_t span)
		REQUIRES(job->mutex)
{
	return min_u64(span * SPAN_SIZE, job->size);
}

/* The next spans, up to UPTO, are what CHILD (of LEVEL) says; no id: hole. */
static int add(struct run *run, const struct node_child *child, uint8_t level,
		uint64_t upto, bool whole) REQUIRES(run->job->mutex)
{
	struct job *job = run->job;
	uint64_t from = job->next_span;
	int err = whole ? tree_builder_add_node(job->builder,
				  run->worker->stream, level, from, child)
			: tree_builder_skip(job->builder, run->worker->stream,
					from, upto - from);
	job->next_span = upto;
	job->counts->same += child->data_bytes;
	job->counts->done += bytes_below(run->job, upto)
			- bytes_below(run->job, from);
	return err;
}

/* Depth at most NODE_LEVEL_MAX. What of the subtree, which begins at span
 * FIRST, belongs to the run: 0, 1: the base can't be read there, -errno. */
static int take_below(struct run *run, const struct node_child *child,
		uint8_t level, uint64_t first) REQUIRES(run->job->mutex)
{
	uint64_t covers = level == 0 ? 1 : node_slot_spans(level) * NODE_FANOUT;
	uint64_t end = min_u64(first + covers, run->base_spans);
	uint64_t from = run->job->next_span, upto = min_u64(end, run->to);
	if (upto <= from)
		return 0;
	/* One that is not full, the last, must be the last here as well. */
	bool whole = from == first && upto == end
			&& (end == first + covers
					|| run->base_spans == run->job->spans);
	if (whole || id_is_zero(&child->id))
		return add(run, child, level, upto, whole);
	struct cached_node *node;
	uint64_t step = node_slot_spans(level);
	if (image_node(run->job->base, &child->id, level, from, &node) < 0)
		return 1;
	int err = 0;
	for (uint64_t slot = (from - first) / step;
			err == 0 && first + slot * step < upto; slot++)
		err = take_below(run, &node->node->children[slot],
				(uint8_t)(level - 1), first + slot * step);
	node_cache_release(node);
	return err;
}

/* How far the image is the base's from AT on. */
static int same_upto(const struct worker *worker, const struct job *job,
		uint64_t at, uint64_t *out) REQUIRES(job->mutex)
{
	uint64_t limit = min_u64(job->size, image_size(job->base));
	bool same = true;
	*out = at;
	while (same && *out < limit) {
		uint64_t end;
		int err = span_read_same(worker, job, *out, limit, &same, &end);
		if (err < 0)
			return err;
		*out = same ? end : *out;
	}
	return 0;
}

int span_reuse_pass(struct worker *worker, struct job *job) REQUIRES(job->mutex)
{
	struct run t = { .worker = worker, .job = job };
	if (job->source->same == NULL || job->base == NULL
			|| span_reuse_in_doubt(worker, job))
		return 0;
	uint64_t at = job->next_span * SPAN_SIZE, end;
	int err = same_upto(worker, job, at, &end);
	if (err < 0)
		return err;
	/* A last span that is not full counts if it is as long in both. */
	t.to = end == job->size && image_size(job->base) == end
			? job->spans
			: end / SPAN_SIZE;
	t.base_spans = node_span_count(image_size(job->base));
	if (t.to <= job->next_span)
		return end > at;
	const struct tree_root *root = &job->base->root;
	const struct node_child top = { .id = root->id,
		.data_bytes = root->data_bytes,
		.clusters = root->clusters };
	same_lock(&t.job->mutex);
	err = take_below(&t, &top, root->level, 0);
	return err < 0 ? err : end > bytes_below(job, job->next_span);
}
