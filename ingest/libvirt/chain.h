/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files of one disk: its image and its backing files, with their formats.
 * No format is ever probed: a guest can write any header into a raw image, and
 * a probe would follow it to files of the host. The format of the top comes
 * from the domain, that of a backing file from the domain or from the header of
 * the image above it, which no guest can write.
 */
#ifndef AMBERFS_INGEST_LIBVIRT_CHAIN_H
#define AMBERFS_INGEST_LIBVIRT_CHAIN_H

#include <jansson.h>

#include "connection.h"
#include "domain_xml.h"

#define CHAIN_FILES_MAX 200u

struct chain_file {
	char *path;	 /* absolute */
	char *format;	 /* qemu's name: "raw", "qcow2", … */
	bool seen;	 /* size and allocated are known */
	bool understood; /* virtual_size is known too */
	bool block_device;
	bool encrypted;
	bool sliced;
	uint64_t slice_offset, slice_size;
	uint64_t device, inode;
	uint64_t size;	       /* of the file or device, bytes */
	uint64_t allocated;    /* of the file and its parts; a device: all */
	uint64_t virtual_size; /* what the guest sees of it */
	json_t *info; /* from qemu-img info; NULL: raw, CHAIN_NO_RAW_INFO */
	char **parts; /* further files of the same image (VMDK extents),
			 absolute; NULL-terminated, or NULL */
};

struct chain {
	unsigned count; /* files[0] is the disk's own image */
	struct chain_file *files;
};

enum chain_flags {
	CHAIN_NO_RAW_INFO = 1, /* don't run qemu-img for raw files */
};

/*
 * Follows the chain that starts with SOURCE; volumes are looked up in CONN,
 * which may be NULL. On failure the text is the reason why the disk can't be
 * backed up, and CHAIN holds the files found so far. 0, -ENOENT (a file is
 * missing), -EACCES, -ENOTSUP, -ELOOP, -ENOMEM, -EIO …
 */
int chain_resolve(struct chain *chain, const struct disk_source *source,
		struct connection *conn, unsigned flags);
void chain_clear(struct chain *chain);

/* Files of the chain, the parts of its images included. */
uint32_t chain_file_count(const struct chain *chain);

/* True if the disk's bytes are the bytes of files[0]: read it directly. */
bool chain_is_plain(const struct chain *chain);

/* The whole chain as one qemu block node with the format of every level,
 * read-only, sharing its files with everybody; without the page cache if
 * DIRECT. JSON to free, NULL without memory. */
char *chain_blockdev(const struct chain *chain, bool direct);

/* One image without those below it, as a name for qemu-img: "json:{…}". To free;
 * NULL without memory, or if its name is not UTF-8. */
char *chain_file_node(const struct chain_file *file);

/* What reading this chain depends on besides the files' bytes: paths, formats,
 * slices. For snapshot_file.reading. To free; NULL without memory. */
char *chain_reading(const struct chain *chain);

/* True if all files can be read past the page cache (O_DIRECT). */
bool chain_allows_direct(const struct chain *chain);

#endif
