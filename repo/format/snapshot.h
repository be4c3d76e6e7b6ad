/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A snapshot: one source at one moment. Stored as JSON (UTF-8, at most 8 MiB)
 * in an envelope under snapshots/<component of the source>/<UTC time>. Its id
 * is the keyed BLAKE2b-256 of the JSON bytes together with the object's name.
 * Every name from outside is in its escaped form (name.h), so the JSON is
 * harmless on a terminal; unknown members are ignored (FORMAT.md).
 */
#ifndef AMBERFS_FORMAT_SNAPSHOT_H
#define AMBERFS_FORMAT_SNAPSHOT_H

#include <jansson.h>

#include "json_fields.h"
#include "name.h"
#include "node.h"
#include "repo/base/units.h"

#define SNAPSHOT_FILES_MAX 8192u
#define SNAPSHOT_SKIPPED_MAX 8192u
#define SNAPSHOT_CHAIN_MAX 1024u
/* No file has this name: a mount shows the snapshot's JSON under it. */
#define SNAPSHOT_JSON_NAME "snapshot.json"
#define QCOW2_NAME_MAX (NAME_COMPONENT_MAX + 2) /* ".raw" becomes ".qcow2" */

enum file_kind {
	FILE_DISK,  /* a disk's guest-visible content */
	FILE_IMAGE, /* a file given by name, or by --exact: its bytes */
	FILE_XML,   /* domain.xml, domain-live.xml, checkpoint.xml */
	FILE_NVRAM,
	FILE_INFO, /* what qemu-img info says, JSON */
	FILE_TPM,  /* the state of an emulated TPM */
	FILE_BOOT, /* a kernel or initrd that the domain boots directly */
};

/* By what an unchanged source file is recognised (DESIGN 4). */
struct file_identity {
	/* False: never take this file over unread; then only device and inode
	 * are kept, and both 0 if they are not known. */
	bool valid;
	uint64_t device, inode, size;
	int64_t mtime_ns, ctime_ns;
};

struct snapshot_file {
	char *name; /* in the mount, escaped, unique: "vda.raw" */
	enum file_kind kind;
	uint64_t size; /* bytes */
	uint32_t mode; /* permission bits in the mount */
	int64_t mtime_ns;
	struct tree_root root; /* its level follows from the size */
	char *source_path;     /* escaped path on the host, or NULL */
	char *format;	       /* of the source: "raw", "qcow2"; or NULL */
	char *target;	       /* "vda", or NULL */
	/* Of the file itself, or of each file of a chain, top first. */
	uint32_t identity_count;
	struct file_identity *identities;
	/* What else the backup of it depended on (e.g. the chain's formats), an
	 * opaque text compared as it is; or NULL. */
	char *reading;
	/* The libvirt checkpoint that was made with this snapshot: the bitmap of
	 * that name, in the disk's image, tells what changed since; or NULL. */
	char *checkpoint;
	json_t *extra; /* members this version doesn't know; or NULL */
};

enum snapshot_kind { SNAPSHOT_FILES, SNAPSHOT_DOMAIN };

/* Why something of a domain is not in its snapshot. */
enum skipped_kind {
	SKIPPED_UNSUPPORTED, /* its kind can't be backed up, or need not be; also
				all of the first versions, which did not tell */
	SKIPPED_EXCLUDED,    /* as asked for */
	SKIPPED_MISSING,     /* it should be there: the snapshot is
				incomplete */
	SKIPPED_DAMAGED,     /* it is there, but what it was read from is
				damaged: as if it were missing */
};

struct snapshot {
	struct id id; /* derived, not stored */
	char *object; /* "snapshots/…/…", derived */
	char *source; /* escaped */
	enum snapshot_kind kind;
	int64_t time; /* UTC second of its name */
	int64_t started_ns, finished_ns;
	uint64_t sequence;     /* 1, 2, … per source */
	struct id predecessor; /* zero: none */
	/* Copied from another repository: its id, and the snapshot's there. */
	bool has_origin;
	uint8_t origin_repository[REPO_ID_SIZE];
	struct id origin_snapshot;
	/* Of a copy: the UTC second at which it came here, by the clock of who
	 * copied it; 0: made here, or not known. */
	int64_t arrived;
	char *host;	   /* escaped */
	char *uuid;	   /* of the domain, or NULL */
	char *consistency; /* "offline", "crash", "filesystem", "none", or
			      NULL */
	uint64_t read_bytes, new_bytes, stored_bytes;
	uint32_t skipped_count; /* disks, and what else of a
				   domain, that are not in it */
	struct snapshot_skipped {
		char *target, *reason; /* escaped / plain text */
		enum skipped_kind kind;
	} * skipped;
	uint32_t file_count;
	struct snapshot_file *files;
	json_t *extra;
};

/* Zeroed; snapshot_free frees all that it points to. */
struct snapshot *snapshot_new(void);
void snapshot_free(struct snapshot *snap); /* NULL allowed */

/* False: something that should be in it is missing, or was damaged when it was
 * read. */
bool snapshot_is_complete(const struct snapshot *snap);
/* What it lacks and why, for people: "missing: vdb (no such file), NVRAM (…);
 * damaged: vda (…)"; cut off if SIZE is too small, "" if complete. Returns BUF. */
char *snapshot_missing(char *buf, size_t size, const struct snapshot *snap);

/* What is said of TARGET (escaped) with that KIND; NULL: nothing. SNAP may be
 * NULL. */
const struct snapshot_skipped *snapshot_find_skipped(
		const struct snapshot *snap, enum skipped_kind kind,
		const char *target);

/* Appends a zeroed file and returns it (valid until the next call), or NULL:
 * no memory, or SNAPSHOT_FILES_MAX are there. */
struct snapshot_file *snapshot_add_file(struct snapshot *snap);
/* Frees what FILE points to and zeroes it. */
void snapshot_clear_file(struct snapshot_file *file);
struct snapshot_file *snapshot_find_file(const struct snapshot *snap,
		const char *name);
/* Deep copy of a file record into a zeroed one. 0 or -ENOMEM. */
int snapshot_copy_file(struct snapshot_file *file,
		const struct snapshot_file *from);

/* The name under which the disk FILE, "vda.raw", is shown as a qcow2 file too:
 * "vda.qcow2". False: FILE is no disk or is named otherwise. A file of the
 * snapshot that has this name goes before. */
bool snapshot_qcow2_name(char out[QCOW2_NAME_MAX + 1],
		const struct snapshot_file *file);
/* The disk that is shown as NAME, or NULL. */
struct snapshot_file *snapshot_find_qcow2(const struct snapshot *snap,
		const char *name);

/* WANTED (an escaped name of any length) as a file's name within SNAP: at most
 * NAME_COMPONENT_MAX bytes and unique: "disk.img", then "disk-2.img", … .
 * Returns a string to free, or NULL. */
char *snapshot_unique_name(const struct snapshot *snap, const char *wanted);

/* A new JSON object: what is stored, dumped with JSON_FIELDS_DUMP_FLAGS.
 * NULL, with a text, without memory or for what JSON can't hold (a number
 * from 2^63 on, text that is not UTF-8). It does not check SNAP: a writer must
 * see snapshot_json_decode accept the bytes before it stores them. */
json_t *snapshot_json_encode(const struct snapshot *snap);

/* The id of the snapshot that is stored as OBJECT with these JSON bytes.
 * 0 or -ENOMEM. */
int snapshot_json_derive_id(struct id *out, const struct seal *seal,
		const char *object, const char *json, size_t len);

/* From the payload of the object OBJECT; checks bounds, names, that source and
 * time match OBJECT; sets object and id. 0, -EBADMSG with a text, -ENOMEM. */
int snapshot_json_decode(struct snapshot **out, const struct seal *seal,
		const char *object, const char *json, size_t len);

/* "snapshots/SOURCE-COMPONENT/20261123T040000Z". */
void snapshot_object_name(char *out, size_t size, const char *source,
		int64_t time);

/* For people, and taken by every command: of "snapshots/SOURCE/TIME", or of its
 * last two parts, the source as name_shown has it, and the time. Returns OUT. */
#define SNAPSHOT_SHOWN_MAX (2 * NAME_COMPONENT_MAX + UTC_TEXT_MAX)
char *snapshot_shown(char out[SNAPSHOT_SHOWN_MAX], const char *object);

const char *snapshot_file_kind_name(enum file_kind k);
const char *snapshot_kind_name(enum snapshot_kind k);
const char *snapshot_skipped_kind_name(enum skipped_kind kind);

#endif
