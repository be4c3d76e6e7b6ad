/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The bytes of a span: read from the source into the worker's buffer, in pieces
 * that are marked (zero, a place to cut, neither) and put into the span's proof
 * while they are in the processor's cache. What the source calls a hole is
 * marked unseen.
 */
#include "image_writer_internal.h"

#include <errno.h>
#include <string.h>

#include "repo/base/bytes.h"

/* Read and scanned at once: stays in the second-level cache. */
#define READ_SIZE (256u << 10)
/* Waited for at once under a bandwidth limit: an interruption is seen then. */
#define WAIT_SIZE (4u << 10)

/* --- asking the source --- */

bool span_read_cancelled(const struct job *job)
{
	return job->cancel != NULL && *job->cancel;
}

int span_read_wait(const struct worker *worker, const struct job *job,
		uint32_t bytes)
{
	struct throttle *throttle = worker->writer->throttle;
	for (uint32_t done = 0; throttle != NULL && done < bytes
			&& !span_read_cancelled(job);
			done += WAIT_SIZE)
		throttle_wait(throttle, min_u64(WAIT_SIZE, bytes - done));
	return span_read_cancelled(job) ? fail(-ECANCELED, "interrupted") : 0;
}

/* A range that was answered for. */
static int check_answer(uint64_t at, uint64_t end, uint64_t limit,
		const char *map)
{
	return end > at && end <= limit
			? 0
			: fail(-EIO,
					"the source gave an inconsistent "
					"map of %s",
					map);
}

int span_read_extent(const struct worker *worker, const struct job *job,
		uint64_t at, uint64_t limit, bool *hole, uint64_t *end)
{
	const struct image_source *source = job->source;
	*hole = false;
	*end = limit;
	if (source->extent == NULL)
		return 0;
	int err = source->extent(source->ctx, worker->number, at, limit, hole,
			end);
	return err < 0 ? err : check_answer(at, *end, limit, "holes");
}

int span_read_same(const struct worker *worker, const struct job *job,
		uint64_t at, uint64_t limit, bool *same, uint64_t *end)
{
	const struct image_source *source = job->source;
	*same = false;
	*end = limit;
	if (source->same == NULL || job->base == NULL)
		return 0;
	int err = source->same(source->ctx, worker->number, at, limit, same,
			end);
	return err < 0 ? err : check_answer(at, *end, limit, "changes");
}

/* --- marking --- */

void span_read_begin(struct span_work *span, struct worker *worker,
		struct job *job)
{
	*span = (struct span_work){ .worker = worker,
		.counts = job->counts,
		.job = job,
		.proving = seal_encrypts(worker->writer->seal) };
	if (span->proving)
		seal_proof_begin(worker->writer->seal, &span->proof);
}

void span_read_prove(struct span_work *span, uint32_t from, uint32_t to)
{
	const uint8_t *marks = span->worker->marks;
	uint32_t run = from;
	for (uint32_t at = from; at < to; at += BLOCK_SIZE) {
		if (marks[at / BLOCK_SIZE] != BLOCK_ZERO)
			continue;
		if (at > run)
			seal_proof_update(&span->proof,
					span->worker->span + run, at - run);
		run = at + BLOCK_SIZE;
	}
	if (to > run)
		seal_proof_update(&span->proof, span->worker->span + run,
				to - run);
}

void span_read_scan(struct span_work *span, uint32_t upto)
{
	uint32_t to = upto == span->len ? upto : upto / BLOCK_SIZE * BLOCK_SIZE;
	if (to <= span->scanned)
		return;
	struct worker *worker = span->worker;
	chunker_scan(&worker->writer->chunker,
			worker->marks + span->scanned / BLOCK_SIZE,
			worker->sums + span->scanned / BLOCK_SIZE,
			worker->span + span->scanned, to - span->scanned);
	if (span->proving)
		span_read_prove(span, span->scanned, to);
	span->scanned = to;
}

/* [from, to) of the span is hole: whole blocks are marked unseen, the rest
 * becomes zeros in the buffer. */
static void fill_hole(struct span_work *span, uint32_t from, uint32_t to)
{
	uint32_t first = (uint32_t)round_up(from, BLOCK_SIZE);
	uint32_t last = to == span->len ? to : to / BLOCK_SIZE * BLOCK_SIZE;
	if (first >= last || span->scanned != from / BLOCK_SIZE * BLOCK_SIZE) {
		memset(span->worker->span + from, 0, to - from);
		span_read_scan(span, to);
		return;
	}
	if (first > from) {
		memset(span->worker->span + from, 0, first - from);
		span_read_scan(span, first);
	}
	memset(span->worker->marks + first / BLOCK_SIZE, BLOCK_ZERO,
			(last - first + BLOCK_SIZE - 1) / BLOCK_SIZE);
	span->scanned = last;
	if (to > last)
		memset(span->worker->span + last, 0, to - last);
}

/* --- reading --- */

static int read_data(struct span_work *span, uint32_t from, uint32_t to)
{
	const struct job *job = span->job;
	const struct image_source *source = job->source;
	uint64_t base = span->span * SPAN_SIZE;
	while (from < to) {
		uint32_t n = (uint32_t)min_u64(READ_SIZE, to - from);
		int err = span_read_wait(span->worker, job, n);
		if (err < 0)
			return err;
		err = source->read(source->ctx, span->worker->number,
				span->worker->span + from, n, base + from);
		if (err < 0)
			return err;
		from += n;
		job->counts->read += n;
		job->counts->done += n;
		span_read_scan(span, from);
	}
	return 0;
}

int span_read(struct span_work *span, uint32_t from, uint32_t to)
{
	uint64_t base = span->span * SPAN_SIZE;
	span->scanned = from;
	span->done += to - from;
	while (from < to) {
		bool hole;
		uint64_t end;
		int err = span_read_extent(span->worker, span->job, base + from,
				base + to, &hole, &end);
		if (err < 0)
			return err;
		uint32_t upto = (uint32_t)(end - base);
		if (hole) {
			fill_hole(span, from, upto);
			span->counts->holes += upto - from;
			span->counts->done += upto - from;
		} else {
			err = read_data(span, from, upto);
		}
		if (err < 0)
			return err;
		from = upto;
	}
	return 0;
}
