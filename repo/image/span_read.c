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
	return job->cancel && *job->cancel;
}

int span_read_wait(const struct worker *w, const struct job *job, uint32_t bytes)
{
	struct throttle *t = w->writer->throttle;
	for (uint32_t done = 0; t && done < bytes && !span_read_cancelled(job);
			done += WAIT_SIZE)
		throttle_wait(t, min_u64(WAIT_SIZE, bytes - done));
	return span_read_cancelled(job) ? fail(-ECANCELED, "interrupted") : 0;
}

/* A range that was answered for. */
static int check_answer(uint64_t at, uint64_t end, uint64_t limit,
		const char *map)
{
	return end > at && end <= limit
			? 0
			: fail(-EIO, "the source's map of %s makes no sense",
					  map);
}

int span_read_extent(const struct worker *w, const struct job *job, uint64_t at,
		uint64_t limit, bool *hole, uint64_t *end)
{
	const struct image_source *source = job->source;
	*hole = false;
	*end = limit;
	if (source->extent == NULL)
		return 0;
	int err = source->extent(source->ctx, w->number, at, limit, hole, end);
	return err < 0 ? err : check_answer(at, *end, limit, "holes");
}

int span_read_same(const struct worker *w, const struct job *job, uint64_t at,
		uint64_t limit, bool *same, uint64_t *end)
{
	const struct image_source *source = job->source;
	*same = false;
	*end = limit;
	if (source->same == NULL || job->base == NULL)
		return 0;
	int err = source->same(source->ctx, w->number, at, limit, same, end);
	return err < 0 ? err : check_answer(at, *end, limit, "changes");
}

/* --- marking --- */

void span_read_begin(struct span_work *s, struct worker *w, struct job *job)
{
	*s = (struct span_work){ .w = w, .job = job,
		.proving = seal_encrypts(w->writer->seal) };
	if (s->proving)
		seal_proof_begin(w->writer->seal, &s->proof);
}

void span_read_prove(struct span_work *s, uint32_t from, uint32_t to)
{
	const uint8_t *marks = s->w->marks;
	uint32_t run = from;
	for (uint32_t at = from; at < to; at += BLOCK_SIZE) {
		if (marks[at / BLOCK_SIZE] != BLOCK_ZERO)
			continue;
		if (at > run)
			seal_proof_update(&s->proof, s->w->span + run, at - run);
		run = at + BLOCK_SIZE;
	}
	if (to > run)
		seal_proof_update(&s->proof, s->w->span + run, to - run);
}

void span_read_scan(struct span_work *s, uint32_t upto)
{
	uint32_t to = upto == s->len ? upto : upto / BLOCK_SIZE * BLOCK_SIZE;
	if (to <= s->scanned)
		return;
	chunker_scan(&s->w->writer->chunker,
			s->w->marks + s->scanned / BLOCK_SIZE,
			s->w->span + s->scanned, to - s->scanned);
	if (s->proving)
		span_read_prove(s, s->scanned, to);
	s->scanned = to;
}

/* [from, to) of the span is hole: whole blocks are marked unseen, the rest
 * becomes zeros in the buffer. */
static void fill_hole(struct span_work *s, uint32_t from, uint32_t to)
{
	uint32_t first = (uint32_t)round_up(from, BLOCK_SIZE);
	uint32_t last = to == s->len ? to : to / BLOCK_SIZE * BLOCK_SIZE;
	if (first >= last || s->scanned != from / BLOCK_SIZE * BLOCK_SIZE) {
		memset(s->w->span + from, 0, to - from);
		span_read_scan(s, to);
		return;
	}
	if (first > from) {
		memset(s->w->span + from, 0, first - from);
		span_read_scan(s, first);
	}
	memset(s->w->marks + first / BLOCK_SIZE, BLOCK_ZERO,
			(last - first + BLOCK_SIZE - 1) / BLOCK_SIZE);
	s->scanned = last;
	if (to > last)
		memset(s->w->span + last, 0, to - last);
}

/* --- reading --- */

static int read_data(struct span_work *s, uint32_t from, uint32_t to)
{
	const struct job *job = s->job;
	const struct image_source *source = job->source;
	uint64_t base = s->span * SPAN_SIZE;
	while (from < to) {
		uint32_t n = (uint32_t)min_u64(READ_SIZE, to - from);
		int err = span_read_wait(s->w, job, n);
		if (err < 0)
			return err;
		err = source->read(source->ctx, s->w->number,
				s->w->span + from, n, base + from);
		if (err < 0)
			return err;
		from += n;
		job->counts->read += n;
		job->counts->done += n;
		span_read_scan(s, from);
	}
	return 0;
}

int span_read(struct span_work *s, uint32_t from, uint32_t to)
{
	uint64_t base = s->span * SPAN_SIZE;
	s->scanned = from;
	s->done += to - from;
	while (from < to) {
		bool hole;
		uint64_t end;
		int err = span_read_extent(s->w, s->job, base + from, base + to, &hole,
				&end);
		if (err < 0)
			return err;
		uint32_t upto = (uint32_t)(end - base);
		if (hole) {
			fill_hole(s, from, upto);
			s->job->counts->holes += upto - from;
			s->job->counts->done += upto - from;
		} else {
			err = read_data(s, from, upto);
		}
		if (err < 0)
			return err;
		from = upto;
	}
	return 0;
}
