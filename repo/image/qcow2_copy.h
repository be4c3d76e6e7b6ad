/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing a qcow2 view to a file. */
#ifndef AMBERFS_IMAGE_QCOW2_COPY_H
#define AMBERFS_IMAGE_QCOW2_COPY_H

#include <signal.h>

#include "qcow2.h"

struct qcow2_copy {
	struct qcow2_view *view;
	int fd;		/* a file that is new and empty; or a stream */
	const char *to; /* its name, for messages */
	const _Atomic sig_atomic_t *cancel; /* may be NULL */
	_Atomic uint64_t done; /* bytes processed, holes included */
	_Atomic uint64_t written;
};

/* Sets the file's size and writes all that is not hole, in this thread, while
 * the reader's threads decode ahead. Not fsynced. 0; -ECANCELED; -errno with a
 * text that names the byte (of the qcow2 file). */
int qcow2_copy(struct qcow2_copy *copy);
/* Writes all of it, holes as zeros, in order. */
int qcow2_copy_stream(struct qcow2_copy *copy);

#endif
