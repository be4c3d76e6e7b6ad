/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A token bucket kept as one point in time: the moment until which everything
 * let through so far would take at the given rate. A caller reserves its place
 * behind that moment, in order of arrival, and sleeps until its own end is at
 * most a burst ahead. Large requests are reserved piece by piece, so that a
 * thread with small ones is not kept waiting behind them.
 */
#include "throttle.h"

#include <time.h>

#include "cleanup.h"
#include "units.h"

#define BURST_SECONDS 0.25
#define PIECE_MIN 4096

struct throttle {
	double rate; /* bytes per second */
	uint64_t piece;
	pthread_mutex_t mutex;
	double reserved GUARDED_BY(mutex); /* monotonic seconds */
};

struct throttle *throttle_new(uint64_t rate)
{
	struct throttle *throttle = calloc(1, sizeof(*throttle));
	if (throttle == NULL)
		return NULL;
	pthread_mutex_init(&throttle->mutex, NULL);
	throttle->rate = rate == 0 ? 1 : (double)rate;
	throttle->piece = (uint64_t)(throttle->rate * BURST_SECONDS);
	if (throttle->piece < PIECE_MIN)
		throttle->piece = PIECE_MIN;
	throttle->reserved = monotonic_now();
	return throttle;
}

void throttle_free(struct throttle *throttle)
{
	if (throttle == NULL)
		return;
	pthread_mutex_destroy(&throttle->mutex);
	free(throttle);
}

/* Returns when BYTES, queued now, may pass. */
static double reserve(struct throttle *throttle, uint64_t bytes)
{
	LOCK_SCOPE(&throttle->mutex);
	double now = monotonic_now();
	/* Bandwidth not used while idle is lost: no long burst later. */
	if (throttle->reserved < now)
		throttle->reserved = now;
	throttle->reserved += (double)bytes / throttle->rate;
	return throttle->reserved - BURST_SECONDS;
}

static void sleep_until(double when)
{
	struct timespec ts = {
		.tv_sec = (time_t)when,
		.tv_nsec = (long)((when - (double)(time_t)when) * 1e9),
	};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL)
			== EINTR)
		;
}

void throttle_wait(struct throttle *throttle, uint64_t bytes)
{
	while (throttle != NULL && bytes > 0) {
		uint64_t piece = bytes < throttle->piece ? bytes
							 : throttle->piece;
		double when = reserve(throttle, piece);
		if (when > monotonic_now())
			sleep_until(when);
		bytes -= piece;
	}
}
