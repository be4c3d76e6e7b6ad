/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * adaptxml FILE [same] [isolated] [console] [nvram] [memory] [TARGET=PATH...]:
 * what domain_adapt makes of FILE, on stdout; its notes on stderr. PATH is a
 * qcow2 file; TARGET=PATH:BACKING says what raw file is below it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/libvirt/domain_doc.h"
#include "ingest/recovery/adapt/domain_adapt.h"
#include "repo/base/error.h"

#define DISKS_MAX 64

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	char *text = malloc(32u << 20);
	if (f == NULL || text == NULL) {
		perror(path);
		exit(1);
	}
	*len = fread(text, 1, 32u << 20, f);
	fclose(f);
	return text;
}

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
		.format = "qcow2",
		.backing_path = backing,
		.backing_format = backing != NULL ? "raw" : NULL };
}

int main(int argc, char **argv)
{
	struct adapt_disk disks[DISKS_MAX];
	struct adapt_options o = { .name = "new & 'name' <ü>", .disks = disks };
	xmlDoc *doc = NULL;
	char *xml = NULL;
	char *out = NULL;
	char *notes = NULL;
	size_t len = 0;
	int err = 0;
	if (argc < 2 || argc > DISKS_MAX)
		return 2;
	for (int i = 2; i < argc; i++)
		if (!flag(&o, argv[i]))
			add_disk(&disks[o.disk_count++], argv[i]);
	xml = slurp(argv[1], &len);
	err = domain_doc_parse(&doc, xml, len);
	free(xml);
	if (err == 0)
		err = domain_adapt(doc, &o, &out, &notes);
	xmlFreeDoc(doc);
	if (err != 0) {
		fprintf(stderr, "adaptxml: %s\n", error_text(err));
		return 1;
	}
	fputs(out, stdout);
	fputs(notes, stderr);
	free(out);
	free(notes);
	return 0;
}
