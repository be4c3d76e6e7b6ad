/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Trials of compression that the project's codec is not made for: blocks of
 * other sizes than FRAME_BLOCK, and dictionaries. One thread.
 */
#ifndef AMBERFS_TABLES_TRIALS_H
#define AMBERFS_TABLES_TRIALS_H

#include "corpus.h"

struct trial {
	int level;
	uint32_t frame_size; /* bytes */
	uint32_t block;	     /* plain bytes between flushes; 0: none */
	uint32_t dictionary; /* bytes; 0: none */
	/* what comes out */
	uint64_t stored;    /* bytes */
	double encode_rate; /* plain bytes per second */
	double median_us, ninety_us;
};

/* Sizes, speed, and the time from a box in memory to 4 KiB at a random place
 * in its frame: copied, opened, decoded as far as needed. */
void trial_reads(struct trial *trial, const struct parts *sample);

/* Trains a dictionary on an eighth of the frames and compresses the others;
 * sizes and speed. */
void trial_dictionary(struct trial *trial, const struct parts *sample);

#endif
