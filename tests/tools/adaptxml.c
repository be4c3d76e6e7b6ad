/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * adaptxml FILE [into=DIRECTORY] [same] [isolated] [console] [nvram] [memory] [TARGET=PATH...]:
 * what domain_adapt makes of FILE, on stdout; its notes on stderr. PATH is a
 * qcow2 file, or after the word "raw" a raw one, after "block" a block device;
 * TARGET=PATH:BACKING says what raw file is below it. With DIRECTORY, FILE is a
 * list of files, and each goes there under its name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/libvirt/domain_doc.h"
#include "ingest/recovery/adapt/domain_adapt.h"
#include "repo/base/error.h"

#define DISKS_MAX 64
#define FILE_MAX (1u << 20)

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = malloc(FILE_MAX);
	if (f == NULL || text == NULL) {
		perror(path);
		exit(1);
	}
	*len = fread(text, 1, FILE_MAX, f);
	fclose(f);
	return text;
}

/* Of the disks that follow. */
static enum { KIND_QCOW2, KIND_RAW, KIND_BLOCK } kind;

static bool flag(struct adapt_options *options, const char *word)
{
	if (strcmp(word, "same") == 0)
		options->same_identity = true;
	else if (strcmp(word, "isolated") == 0)
		options->isolated = options->throw_away = true;
	else if (strcmp(word, "console") == 0)
		options->console_file = "/run/a & b/'console'";
	else if (strcmp(word, "nvram") == 0)
		options->nvram = "/var/lib/<x>/nvram.fd";
	else if (strcmp(word, "raw") == 0)
		kind = KIND_RAW;
	else if (strcmp(word, "block") == 0)
		kind = KIND_BLOCK;
	else if (strcmp(word, "memory") == 0)
		options->memory = 512u << 20;
	else
		return false;
	return true;
}

static void add_disk(struct adapt_disk *disk, char *word)
{
	char *path = strchr(word, '=');
	char *backing = path != NULL ? strchr(path, ':') : NULL;
	if (path == NULL) {
		fprintf(stderr, "adaptxml: what is %s?\n", word);
		exit(2);
	}
	*path++ = '\0';
	if (backing != NULL)
		*backing++ = '\0';
	*disk = (struct adapt_disk){ .target = word,
		.path = path,
		.format = kind == KIND_QCOW2 ? "qcow2" : "raw",
		.block_device = kind == KIND_BLOCK,
		.backing_path = backing,
		.backing_format = backing != NULL ? "raw" : NULL };
}

static const char *into;

static int adapt(const char *path, const struct adapt_options *options,
		FILE *to)
{
	xmlDoc *doc = NULL;
	char *out = NULL;
	char *notes = NULL;
	size_t len = 0;
	char *xml = slurp(path, &len);
	int err = domain_doc_parse(&doc, xml, len);
	free(xml);
	if (err == 0)
		err = domain_adapt(doc, options, &out, &notes);
	xmlFreeDoc(doc);
	if (err != 0) {
		fprintf(stderr, "adaptxml: %s: %s\n", path, error_text(err));
		return 1;
	}
	fputs(out, to);
	fputs(notes, stderr);
	free(out);
	free(notes);
	return 0;
}

static int adapt_listed(const char *list, const struct adapt_options *options)
{
	char path[200], name[500];
	FILE *from = fopen(list, "r");
	int err = from == NULL;
	while (err == 0 && fscanf(from, "%199s", path) == 1) {
		snprintf(name, sizeof(name), "%s/%s", into, path);
		FILE *to = fopen(name, "w");
		err = to == NULL || adapt(path, options, to);
		if (to != NULL)
			err |= fclose(to) != 0;
	}
	if (from != NULL)
		fclose(from);
	return err;
}

int main(int argc, char **argv)
{
	struct adapt_disk disks[DISKS_MAX];
	struct adapt_options o = { .name = "new & 'name' <ü>", .disks = disks };
	if (argc < 2 || argc > DISKS_MAX)
		return 2;
	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], "into=", 5) == 0)
			into = argv[i] + 5;
		else if (!flag(&o, argv[i]))
			add_disk(&disks[o.disk_count++], argv[i]);
	return into != NULL ? adapt_listed(argv[1], &o)
			    : adapt(argv[1], &o, stdout);
}
