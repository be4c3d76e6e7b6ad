/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process that LMDB runs in: amberfs-index, started by index_child.c. It
 * holds no keys, and nothing of the program that started it but the
 * descriptors named on its command line.
 */
#ifndef AMBERFS_INDEX_HELPER_H
#define AMBERFS_INDEX_HELPER_H

#include "index_internal.h"
#include "index_wire.h"

struct helper {
	const char *mode; /* WIRE_READ, WIRE_WRITE */
	int channel;
	int lock, request; /* or -1 */
};

/* Reads the command line and takes the process out of the way of terminals
 * and of the parent's files; the index's directory is the current one then.
 * Ends the process where it was not started by amberfs. */
void helper_begin(struct helper *helper, int argc, char **argv);
/* After that, the process may use so much of the processor. */
void helper_limit(uint64_t cpu_seconds);
/* For one that writes: says that it is at work. */
void helper_alive(const struct helper *helper);
/* For one that writes: says what came of it, and ends the process. */
_Noreturn void helper_end(const struct helper *helper, int err);

/* The two that amberfs-index does. Their results are the process's. */
int helper_read_main(const struct helper *helper);
int helper_write_main(const struct helper *helper);

#endif
