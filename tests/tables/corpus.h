/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Disk images to measure on, and the ways of cutting them that the tables
 * compare. All lengths are bytes. One thread; what fails ends the program.
 */
#ifndef AMBERFS_TABLES_CORPUS_H
#define AMBERFS_TABLES_CORPUS_H

#include <stddef.h>
#include <stdint.h>

enum method_kind {
	METHOD_FIXED,  /* equal slices */
	METHOD_BLOCKS, /* amberfs: content-defined, on 4 KiB blocks */
	METHOD_GEAR,   /* content-defined at any byte, a gear hash */
};

struct method {
	const char *name;
	enum method_kind kind;
	uint32_t average; /* minimum a quarter, maximum four times of it;
				   METHOD_FIXED: the length */
	uint32_t span;	  /* METHOD_BLOCKS: at most SPAN_SIZE */
};

/* One chunk, in the mapped image. */
struct part {
	const uint8_t *data;
	uint32_t len;
};

struct parts {
	struct part *items;
	size_t count, room;
	uint64_t bytes;
};

struct corpus;

/* Maps the images and reads all their data once. */
struct corpus *corpus_open(char **paths, int count);
void corpus_close(struct corpus *c);
uint64_t corpus_data_bytes(const struct corpus *c);

/* Cuts everything; zero chunks and holes are left out. Returns seconds. */
double corpus_cut(const struct corpus *c, const struct method *method,
		struct parts *all);

/* The first of each kind of chunk, in order. */
void parts_unique(const struct parts *all, struct parts *unique);
void parts_add(struct parts *parts, const uint8_t *data, uint64_t len);
void parts_free(struct parts *parts);

/* Copies the chunks of the next frame (at least one; more while they fit into
 * SIZE) to PLAIN and returns their number. */
size_t parts_gather(const struct part *parts, size_t count, uint32_t size,
		uint8_t *plain, uint32_t *len);

#endif
