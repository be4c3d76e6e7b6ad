/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --bwlimit: a token bucket that readers of a source draw from. Thread-safe. */
#ifndef AMBERFS_BASE_THROTTLE_H
#define AMBERFS_BASE_THROTTLE_H

#include <stdint.h>

struct throttle;

/* RATE in bytes per second, > 0. NULL without memory. */
struct throttle *throttle_new(uint64_t rate);
void throttle_free(struct throttle *throttle); /* NULL allowed */
/* Sleeps until BYTES may pass. NULL: at once. */
void throttle_wait(struct throttle *throttle, uint64_t bytes);

#endif
